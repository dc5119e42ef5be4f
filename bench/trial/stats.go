package trial

import (
	"math"
	"math/rand/v2"
	"slices"
)

const (
	resamples = 10_000
	minPairs  = 4 // fewer carry no verdict: with three the interval is as wide as the world, or a lie
)

// Interval is where a ratio probably is.
type Interval struct {
	Low    float64 `json:"low"`
	High   float64 `json:"high"`
	Level  float64 `json:"level"`  // 0.95: of a hundred such intervals five miss
	Method string  `json:"method"` // t or bca, the wider of both
}

// Spans reports whether no difference at all is within it.
func (i Interval) Spans() bool { return i.Low <= 1 && i.High >= 1 }

// paired is the geometric mean of ratios and its interval, from the logarithms of the ratios, one of each pair. The interval is
// the wider of two: the BCa bootstrap, which assumes no shape of the noise but is too narrow when there are few pairs (its
// samples are only ever those few values), and Student's t on the logarithms, which is right for few pairs if the noise is
// symmetric. With few pairs it is mostly the second, with many skewed ones the first.
func paired(logs []float64, level float64, seed uint64) (ratio float64, i Interval) {
	m, sd := meanSD(logs)
	n := float64(len(logs))
	half := studentQuantile(1-(1-level)/2, len(logs)-1) * sd / math.Sqrt(n)
	i = Interval{m - half, m + half, level, "t"}
	if low, high := bca(logs, level, seed); high-low > i.High-i.Low {
		i = Interval{low, high, level, "bca"}
	}
	i.Low, i.High = math.Exp(i.Low), math.Exp(i.High)
	return math.Exp(m), i
}

func meanSD(x []float64) (m, sd float64) {
	for _, v := range x {
		m += v
	}
	m /= float64(len(x))
	for _, v := range x {
		sd += (v - m) * (v - m)
	}
	return m, math.Sqrt(sd / float64(len(x)-1))
}

// bca is Efron's interval of the mean, corrected for bias and skew.
func bca(x []float64, level float64, seed uint64) (low, high float64) {
	m, sd := meanSD(x)
	if sd <= 1e-12*math.Abs(m) {
		return m, m
	}
	random := rand.New(rand.NewPCG(seed, 0x6d696c6c72616365))
	n := len(x)
	means := make([]float64, resamples)
	below := 0.0
	for i := range means {
		sum := 0.0
		for range n {
			sum += x[random.IntN(n)]
		}
		means[i] = sum / float64(n)
		switch {
		case means[i] < m:
			below++
		case means[i] == m:
			below += 0.5
		}
	}
	slices.Sort(means)
	bias := normalQuantile(min(max(below, 1), resamples-1) / resamples)
	var squares, cubes float64 // of what leaving one out moves the mean by
	for _, v := range x {
		d := (v - m) / float64(n-1)
		squares += d * d
		cubes += d * d * d
	}
	skew := cubes / (6 * math.Pow(squares, 1.5))
	at := func(p float64) float64 {
		z := bias + normalQuantile(p)
		q := normalBelow(bias + z/(1-skew*z))
		return means[min(max(int(q*resamples), 0), resamples-1)]
	}
	return at((1 - level) / 2), at(1 - (1-level)/2)
}

func normalBelow(z float64) float64    { return (1 + math.Erf(z/math.Sqrt2)) / 2 }
func normalQuantile(p float64) float64 { return math.Sqrt2 * math.Erfinv(2*p-1) }

func geometricMean(x []float64) float64 {
	sum := 0.0
	for _, v := range x {
		sum += math.Log(v)
	}
	return math.Exp(sum / float64(len(x)))
}
