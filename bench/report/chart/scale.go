package chart

import (
	"math"
	"strconv"
)

// scale maps a value to a pixel.
type scale struct {
	transform func(float64) float64
	low, high float64 // transformed
	from, to  float64 // pixels
	ticks     []tick
}

type tick struct {
	value float64
	label string // empty: a faint line only
}

// at is the pixel of a value; what lies outside is drawn at the edge.
func (s *scale) at(v float64) float64 {
	share := (s.transform(v) - s.low) / (s.high - s.low)
	return s.from + min(max(share, 0), 1)*(s.to-s.from)
}

// linear begins at 0 and ends at a round number not below high.
func linear(high, from, to float64, ticks int, label func(float64) string) *scale {
	if high <= 0 || math.IsNaN(high) || math.IsInf(high, 0) {
		high = 1
	}
	step := math.Pow(10, math.Floor(math.Log10(high/float64(ticks))))
	for _, times := range []float64{1, 2, 2.5, 5, 10} {
		if step*times*float64(ticks) >= high*0.9999 {
			step *= times
			break
		}
	}
	s := &scale{transform: func(v float64) float64 { return v }, from: from, to: to}
	n := math.Ceil(high/step - 1e-9)
	s.high = n * step
	for i := range int(n) + 1 {
		s.ticks = append(s.ticks, tick{float64(i) * step, label(float64(i) * step)})
	}
	return s
}

// logarithmic covers low to high, both widened to 1, 2 or 5 of a decade. Labels stand at decades, and between them when there are few.
func logarithmic(low, high, from, to float64, label func(float64) string) *scale {
	if !(low > 0) || math.IsInf(low, 1) {
		low = 1e-3
	}
	if !(high > low) || math.IsInf(high, 1) {
		high = low * 10
	}
	low, high = roundDown(low), roundUp(high)
	s := &scale{transform: math.Log10, low: math.Log10(low), high: math.Log10(high), from: from, to: to}
	few := s.high-s.low < 2.5 && math.Abs(to-from) > 90*(s.high-s.low)
	for decade := math.Floor(s.low); decade <= s.high; decade++ {
		for _, times := range []float64{1, 2, 5} {
			v := times * math.Pow(10, decade)
			if v < low*0.999 || v > high*1.001 {
				continue
			}
			t := tick{value: v}
			if times == 1 || few {
				t.label = label(v)
			}
			s.ticks = append(s.ticks, t)
		}
	}
	return s
}

// thin takes labels away until those that are left are so many pixels apart.
func (s *scale) thin(apart float64) {
	last := math.Inf(1)
	for i, t := range s.ticks {
		if t.label == "" {
			continue
		}
		if math.Abs(s.at(t.value)-last) < apart {
			s.ticks[i].label = ""
			continue
		}
		last = s.at(t.value)
	}
}

func roundDown(v float64) float64 {
	decade := math.Pow(10, math.Floor(math.Log10(v)+1e-9))
	for _, times := range []float64{5, 2} {
		if v >= times*decade*0.999 {
			return times * decade
		}
	}
	return decade
}

func roundUp(v float64) float64 {
	decade := math.Pow(10, math.Floor(math.Log10(v)+1e-9))
	for _, times := range []float64{1, 2, 5} {
		if v <= times*decade*1.001 {
			return times * decade
		}
	}
	return 10 * decade
}

// nines spreads the tail: 0.9, 0.99 and 0.999 are equally far apart. Its values are shares of the samples.
func nines(most, from, to float64) *scale {
	s := &scale{transform: Nines, high: max(most, 1), from: from, to: to}
	for _, t := range []tick{{0.5, "p50"}, {0.9, "p90"}, {0.99, "p99"}, {0.999, "p99.9"}, {0.9999, "p99.99"}, {0.99999, "p99.999"}, {0.999999, "p99.9999"}} {
		if Nines(t.value) <= s.high+1e-9 {
			s.ticks = append(s.ticks, t)
		}
	}
	return s
}

// Nines is how many nines a share has: 3 of 0.999.
func Nines(share float64) float64 { return -math.Log10(1 - share) }

// Millis writes a duration in milliseconds, in the unit that suits it.
func Millis(ms float64) string {
	switch {
	case ms < 0.9995:
		return short(ms*1000) + " µs"
	case ms < 999.5:
		return short(ms) + " ms"
	}
	return short(ms/1000) + " s"
}

// Count writes a number with a letter for its thousands.
func Count(v float64) string {
	for _, u := range []struct {
		of     float64
		letter string
	}{{1e9, "G"}, {1e6, "M"}, {1e3, "k"}} {
		if math.Abs(v) >= u.of*0.9995 {
			return short(v/u.of) + u.letter
		}
	}
	return short(v)
}

// Bytes writes a size in powers of ten.
func Bytes(v float64) string {
	if math.Abs(v) < 999.5 {
		return short(v) + " B"
	}
	text := Count(v)
	return text[:len(text)-1] + " " + text[len(text)-1:] + "B"
}

// short has three significant digits at most.
func short(v float64) string {
	if v == 0 {
		return "0"
	}
	decimals := 2 - int(math.Floor(math.Log10(math.Abs(v))+1e-9))
	unit := math.Pow(10, float64(decimals))
	return strconv.FormatFloat(math.Round(v*unit)/unit, 'f', -1, 64)
}
