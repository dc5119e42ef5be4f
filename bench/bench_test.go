package bench

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"
)

// The values are those of UtilsTest.testMurmur2 of Kafka's Java client, as Java's signed integers.
func TestMurmur2IsTheJavaClients(t *testing.T) {
	for key, want := range map[string]int32{
		"21": -973932308, "foobar": -790332482, "a-little-bit-long-string": -985981536, "a-little-bit-longer-string": -1486304829,
		"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971, "abc": 479470107,
	} {
		if got := int32(murmur2([]byte(key))); got != want {
			t.Errorf("murmur2(%q) = %d, want %d", key, got, want)
		}
	}
}

func TestKeyPartitionIsFranzGos(t *testing.T) {
	other := kgo.StickyKeyPartitioner(nil).ForTopic("t")
	for i := range 1000 {
		key := []byte(strings.Repeat("k", i%9) + string(rune('a'+i%26)) + string(rune(i)))
		for _, n := range []int{1, 3, 6, 50} {
			if got, want := KeyPartition(key, n), other.Partition(&kgo.Record{Key: key}, n); int(got) != want {
				t.Fatalf("partition of %q among %d: %d, franz-go says %d", key, n, got, want)
			}
		}
	}
}

func TestInputIsLinesKeyedByPath(t *testing.T) {
	dir := t.TempDir()
	long := strings.Repeat("x", maxLine+5)
	for name, text := range map[string]string{"b/two.txt": "one\n\ntwo", "a.txt": "crlf\r\n", "empty": "", "image": "PNG\x00\n", "long": long + "\n"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	read := func(root string) (list []string) {
		in, err := OpenInput(root)
		if err != nil {
			t.Fatal(err)
		}
		err = in.Each(func(key, value []byte) error { list = append(list, string(key)+"="+string(value)); return nil })
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	want := []string{"a.txt=crlf\r", "b/two.txt=one", "b/two.txt=", "b/two.txt=two", "long=" + long[:maxLine], "long=xxxxx"}
	if diff := cmp.Diff(want, read(dir)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(want[1:4], read(filepath.Join(dir, "b"))); diff == "" {
		t.Error("keys are not relative to the input")
	}
	if diff := cmp.Diff([]string{"a.txt=crlf\r"}, read(filepath.Join(dir, "a.txt"))); diff != "" {
		t.Error(diff)
	}
	if _, err := OpenInput(filepath.Join(dir, "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing input: %v", err)
	}
	if err := os.Mkdir(filepath.Join(dir, "c"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenInput(filepath.Join(dir, "c")); err == nil || !strings.Contains(err.Error(), "no text files") {
		t.Errorf("an input without text: %v", err)
	}
}

// A file is read in blocks; where they end makes no difference.
func TestLinesAcrossBlocksAreWhole(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	var text strings.Builder
	for text.Len() < 5*readBlock/2 {
		text.WriteString(strings.Repeat(string(rune('a'+r.IntN(26))), r.IntN(3*maxLine/2)))
		text.WriteByte('\n')
	}
	text.WriteString("the end")
	file := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(file, []byte(text.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	in, err := OpenInput(file)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	if err := in.Each(func(_, value []byte) error { got = append(got, string(value)); return nil }); err != nil {
		t.Fatal(err)
	}
	var want []string
	for line := range strings.SplitSeq(text.String(), "\n") {
		for ; len(line) > maxLine; line = line[maxLine:] {
			want = append(want, line[:maxLine])
		}
		want = append(want, line)
	}
	if !slices.Equal(got, want) {
		t.Errorf("%d lines, want %d, or other lines", len(got), len(want))
	}
}

func TestLatenciesBeyondTheHistogramAreTold(t *testing.T) {
	l := NewLatencies()
	for i := 1; i <= 999; i++ {
		l.Record(time.Duration(i) * time.Microsecond)
	}
	l.Record(2 * time.Minute)
	l.Record(0)
	got := l.Summary()
	if got.Count != 1001 || got.Beyond != 1 || got.P50 != 0.5 || got.P99 != 0.99 || got.Max != 120000 {
		t.Errorf("%+v", got)
	}
}
