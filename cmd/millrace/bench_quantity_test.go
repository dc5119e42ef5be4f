package main

import "testing"

func TestRatesAndSizesAreReadInTheirUnits(t *testing.T) {
	for _, c := range []struct {
		text string
		want float64
	}{{"0", 0}, {"500", 500}, {"10k", 10e3}, {"50k/s", 50e3}, {"1.5M/s", 1.5e6}, {"250/s", 250}} {
		var r rate
		if err := r.Set(c.text); err != nil || float64(r) != c.want {
			t.Errorf("rate %s is %v (%v), want %v", c.text, float64(r), err, c.want)
		}
		var again rate
		if err := again.Set(r.String()); err != nil || again != r {
			t.Errorf("rate %s is written %s, which is %v (%v)", c.text, &r, float64(again), err)
		}
	}
	for _, text := range []string{"", "fast", "-1", "10 k", "NaN", "Inf", "2000M", "k"} {
		if err := new(rate).Set(text); err == nil {
			t.Errorf("rate %q is taken", text)
		}
	}
	for _, c := range []struct {
		text, back string
		want       int64
	}{{"1000", "1000", 1000}, {"1KiB", "1KiB", 1024}, {"64KiB", "64KiB", 64 << 10}, {"1.5MiB", "1536KiB", 3 << 19}, {"2GB", "1953125KiB", 2e9}, {"7B", "7", 7}, {"0", "0", 0}} {
		n, err := parseBytes(c.text)
		if err != nil || n != c.want || formatBytes(n) != c.back {
			t.Errorf("%s is %d bytes, written %s (%v), want %d and %s", c.text, n, formatBytes(n), err, c.want, c.back)
		}
	}
	for _, text := range []string{"", "KiB", "-1", "1 KiB", "1KIB", "9999999TB"} {
		if n, err := parseBytes(text); err == nil {
			t.Errorf("%q is %d bytes", text, n)
		}
	}
	for text, want := range map[string]string{"1KiB": "1024", "lognormal:2KiB:0.5": "lognormal:2048:0.5", "file:sizes.txt": "file:sizes.txt"} {
		var s valueSize
		if err := s.Set(text); err != nil || string(s) != want {
			t.Errorf("size %s is %q (%v), want %q", text, s, err, want)
		}
	}
	for _, text := range []string{"big", "normal:1:2", "lognormal:x:1"} {
		if err := new(valueSize).Set(text); err == nil {
			t.Errorf("size %q is taken", text)
		}
	}
}
