package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// rate is a flag's records a second: 500, 10k, 50k/s, 1.5M/s. 0 is no rate.
type rate float64

func (*rate) Type() string     { return "rate" }
func (r *rate) String() string { return short(float64(*r)) }

func (r *rate) Set(text string) error {
	number, factor := strings.TrimSuffix(text, "/s"), 1.0
	switch {
	case strings.HasSuffix(number, "k"), strings.HasSuffix(number, "K"):
		number, factor = number[:len(number)-1], 1e3
	case strings.HasSuffix(number, "M"):
		number, factor = number[:len(number)-1], 1e6
	}
	n, err := strconv.ParseFloat(number, 64)
	if err != nil || math.IsNaN(n) || n < 0 || n*factor > 1e9 {
		return fmt.Errorf("want a number from 0 to 1000M, such as 500, 10k or 1.5M/s")
	}
	*r = rate(n * factor)
	return nil
}

// short writes a number the way rate reads it.
func short(n float64) string {
	switch {
	case n >= 1e6 && math.Mod(n, 1e5) == 0:
		return strconv.FormatFloat(n/1e6, 'f', -1, 64) + "M"
	case n >= 1e3 && math.Mod(n, 1e2) == 0:
		return strconv.FormatFloat(n/1e3, 'f', -1, 64) + "k"
	}
	return strconv.FormatFloat(n, 'f', -1, 64)
}

// byteUnits are those of sizes; the longest suffix that fits counts.
var byteUnits = []struct {
	suffix string
	bytes  float64
}{
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40},
	{"kB", 1e3}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}, {"B", 1}, {"", 1},
}

func parseBytes(text string) (int64, error) {
	for _, u := range byteUnits {
		number, ok := strings.CutSuffix(text, u.suffix)
		if !ok {
			continue
		}
		n, err := strconv.ParseFloat(number, 64)
		if err != nil || math.IsNaN(n) || n < 0 || n*u.bytes > 1<<50 {
			break
		}
		return int64(n * u.bytes), nil
	}
	return 0, fmt.Errorf("want a number of bytes, such as 1000, 64KiB or 2GiB")
}

// formatBytes is the shortest exact way to write a number of bytes.
func formatBytes(n int64) string {
	for i := 3; i >= 0; i-- {
		if u := byteUnits[i]; n >= int64(u.bytes) && n%int64(u.bytes) == 0 {
			return fmt.Sprint(n/int64(u.bytes), u.suffix)
		}
	}
	return strconv.FormatInt(n, 10)
}

// byteCount is a flag of bytes.
type byteCount int64

func (*byteCount) Type() string     { return "bytes" }
func (b *byteCount) String() string { return formatBytes(int64(*b)) }

func (b *byteCount) Set(text string) error {
	n, err := parseBytes(text)
	*b = byteCount(n)
	return err
}

// valueSize is a flag of the sizes of values, kept the way bench.Spec reads it, where numbers are of bytes.
type valueSize string

func (*valueSize) Type() string     { return "size" }
func (s *valueSize) String() string { return string(*s) }

func (s *valueSize) Set(text string) error {
	kind, rest, named := strings.Cut(text, ":")
	switch {
	case !named:
		n, err := parseBytes(text)
		*s = valueSize(strconv.FormatInt(n, 10))
		return err
	case kind == "lognormal":
		median, sigma, _ := strings.Cut(rest, ":")
		n, err := parseBytes(median)
		if err != nil {
			return fmt.Errorf("median %s: %w", median, err)
		}
		*s = valueSize(fmt.Sprintf("lognormal:%d:%s", n, sigma))
	case kind == "file":
		*s = valueSize(text)
	default:
		return fmt.Errorf("want bytes (1KiB), lognormal:MEDIAN:SIGMA or file:PATH")
	}
	return nil
}
