package bench

import (
	"math"
	"math/rand/v2"
)

// zipf draws ranks from 0 to n-1, rank k with a weight of (k+1)^-s, for any s above 0: the standard library's needs s above 1,
// and real keys are often below. The method is rejection-inversion (Hörmann and Derflinger, 1996): the weights lie under the curve
// h(x) = x^-s, whose integral has a closed inverse, so a draw costs the same for ten keys and for a billion.
type zipf struct {
	n, s     float64
	from, to float64 // of the integral
	shift    float64 // how near below a rank a draw may lie that needs no check
}

func newZipf(n int64, s float64) *zipf {
	z := &zipf{n: float64(n), s: s}
	z.from = z.integral(1.5) - 1 // the first rank has its whole weight, h(1) = 1
	z.to = z.integral(z.n + 0.5)
	z.shift = 2 - z.inverse(z.integral(2.5)-z.weight(2))
	return z
}

func (z *zipf) weight(x float64) float64 { return math.Exp(-z.s * math.Log(x)) }

// integral is (x^(1-s) - 1) / (1-s), which for s = 1 is log x; written so that it stays exact near that.
func (z *zipf) integral(x float64) float64 {
	l := math.Log(x)
	t := (1 - z.s) * l
	if math.Abs(t) < 1e-8 {
		return l * (1 + t/2)
	}
	return l * math.Expm1(t) / t
}

func (z *zipf) inverse(y float64) float64 {
	t := max(y*(1-z.s), -1) // less can only be rounding
	if math.Abs(t) < 1e-8 {
		return math.Exp(y * (1 - t/2))
	}
	return math.Exp(y * math.Log1p(t) / t)
}

func (z *zipf) draw(r *rand.Rand) int64 {
	for {
		y := z.to + r.Float64()*(z.from-z.to)
		x := z.inverse(y)
		k := min(max(math.Floor(x+0.5), 1), z.n)
		if k-x <= z.shift || y >= z.integral(k+0.5)-z.weight(k) {
			return int64(k) - 1
		}
	}
}
