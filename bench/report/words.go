package report

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// thousands writes a whole number with its groups apart.
func thousands[N int | int64](n N) string {
	digits := strconv.FormatInt(int64(n), 10)
	sign := ""
	if digits[0] == '-' {
		sign, digits = "-", digits[1:]
	}
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return sign + digits
}

// counted is a number and its noun.
func counted[N int | int64](n N, noun string) string {
	if n != 1 {
		switch {
		case strings.HasSuffix(noun, "ch"):
			noun += "e"
		case strings.HasSuffix(noun, "y"):
			noun = noun[:len(noun)-1] + "ie"
		}
		noun += "s"
	}
	return thousands(n) + " " + noun
}

// digits writes three significant digits, and every digit before the point.
func digits(v float64) string {
	switch a := math.Abs(v); {
	case math.IsNaN(v) || math.IsInf(v, 0):
		return "-"
	case a >= 99.95:
		return thousands(int64(math.Round(v)))
	case a >= 9.995:
		return strconv.FormatFloat(v, 'f', 1, 64)
	case a >= 0.9995:
		return strconv.FormatFloat(v, 'f', 2, 64)
	case a == 0:
		return "0"
	default:
		return strconv.FormatFloat(v, 'f', 3, 64)
	}
}

func (f figure) String() string {
	if !f.known {
		return "-"
	}
	return digits(f.value)
}

// whole writes a figure without a fraction.
func (f figure) whole() string {
	if !f.known {
		return "-"
	}
	return thousands(int64(math.Round(f.value)))
}

// percent writes a share of 1.
func (f figure) percent() string {
	if !f.known {
		return "-"
	}
	return strconv.FormatFloat(100*f.value, 'f', 1, 64) + " %"
}

// size writes bytes in powers of ten, as throughput is counted.
func (f figure) size() string {
	if !f.known {
		return "-"
	}
	v, unit := f.value, "B"
	for _, larger := range []string{"kB", "MB", "GB", "TB"} {
		if math.Abs(v) < 1000 {
			break
		}
		v, unit = v/1000, larger
	}
	return digits(v) + " " + unit
}

// lasting writes a duration of a run: whole seconds, or what is left below one.
func lasting(d time.Duration) string {
	if d < 10*time.Second {
		return fmt.Sprintf("%.3g s", d.Seconds())
	}
	return d.Round(time.Second).String()
}
