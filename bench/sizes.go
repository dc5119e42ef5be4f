package bench

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
)

// What a value's size may be, in bytes.
const (
	smallestValue = MinSize   // what verification puts into every value
	largestDrawn  = 1_000_000 // of a distribution without an end: fits Kafka's default max.message.bytes
	largestValue  = 64 << 20
)

// sizes is a distribution of the sizes of values. It does not change: many goroutines may draw, each with a source of its own.
type sizes struct {
	fixed         int
	median, sigma float64 // lognormal, when sigma is above 0
	drawn         []int32 // empirical
	mean          float64
	largest       int
}

// parseSizes reads N, lognormal:MEDIAN:SIGMA, or file:PATH with one size a line.
func parseSizes(text string) (*sizes, error) {
	kind, rest, _ := strings.Cut(text, ":")
	switch kind {
	case "lognormal":
		return parseLognormal(text, rest)
	case "file":
		return readSizes(rest)
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return nil, fmt.Errorf("size %q: want a number of bytes, lognormal:MEDIAN:SIGMA or file:PATH", text)
	}
	if err := checkSize(float64(n)); err != nil {
		return nil, fmt.Errorf("size %q: %w", text, err)
	}
	return &sizes{fixed: int(n), mean: float64(n), largest: int(n)}, nil
}

func checkSize(n float64) error {
	switch {
	case n < smallestValue:
		return fmt.Errorf("%v bytes are less than the %d that verification puts into every value; give %d or more", n, smallestValue, smallestValue)
	case n > largestValue:
		return fmt.Errorf("%.0f bytes are more than the limit of %d; give less", n, largestValue)
	case n != math.Trunc(n): // also what is not a number
		return fmt.Errorf("%v is not a whole number of bytes", n)
	}
	return nil
}

func parseLognormal(text, rest string) (*sizes, error) {
	m, s, two := strings.Cut(rest, ":")
	median, err1 := strconv.ParseFloat(m, 64)
	sigma, err2 := strconv.ParseFloat(s, 64)
	switch {
	case !two || err1 != nil || err2 != nil:
		return nil, fmt.Errorf("size %q: want lognormal:MEDIAN:SIGMA, for example lognormal:1000:0.5", text)
	case !(median >= smallestValue && median <= largestDrawn):
		return nil, fmt.Errorf("size %q: the median must be between %d and %d bytes, which is also where what is drawn is cut off", text, smallestValue, largestDrawn)
	case !(sigma > 0 && sigma <= 4):
		return nil, fmt.Errorf("size %q: sigma must be above 0 and at most 4; without any spread give the size alone", text)
	}
	d := &sizes{median: median, sigma: sigma, largest: largestDrawn}
	d.mean = d.clippedMean()
	return d, nil
}

// clippedMean integrates over the quantiles, since the ends are cut off.
func (d *sizes) clippedMean() float64 {
	const steps = 20_000
	sum := 0.0
	for i := range steps {
		sum += float64(d.at(math.Sqrt2 * math.Erfinv(2*(float64(i)+0.5)/steps-1)))
	}
	return sum / steps
}

// at is the size that many standard deviations from the median.
func (d *sizes) at(deviations float64) int {
	x := math.Round(d.median * math.Exp(d.sigma*deviations))
	return int(min(max(x, smallestValue), largestDrawn))
}

func readSizes(path string) (*sizes, error) {
	numbers, err := readNumbers("size", path)
	if err != nil {
		return nil, err
	}
	d := &sizes{drawn: make([]int32, len(numbers))}
	for i, n := range numbers {
		if err := checkSize(n); err != nil {
			return nil, fmt.Errorf("size file %s, number %d: %w", path, i+1, err)
		}
		d.drawn[i] = int32(n)
		d.largest = max(d.largest, int(n))
		d.mean += n / float64(len(numbers))
	}
	return d, nil
}

// Draw returns the size of the next value.
func (d *sizes) Draw(r *rand.Rand) int {
	switch {
	case d.drawn != nil:
		return int(d.drawn[r.IntN(len(d.drawn))])
	case d.sigma > 0:
		return d.at(r.NormFloat64())
	}
	return d.fixed
}

// Mean is what the sizes are on average, in the long run.
func (d *sizes) Mean() float64 { return d.mean }

// Max is the largest there is.
func (d *sizes) Max() int { return d.largest }
