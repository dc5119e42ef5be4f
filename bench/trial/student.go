package trial

import "math"

// studentQuantile is the x with P(T <= x) = p of Student's distribution, by bisection: exact to 1e-9, fast enough for a table.
func studentQuantile(p float64, freedom int) float64 {
	if p < 0.5 {
		return -studentQuantile(1-p, freedom)
	}
	low, high := 0.0, 1.0
	for studentBelow(high, freedom) < p && high < 1e9 {
		high *= 2
	}
	for high-low > 1e-9*max(1, high) {
		if mid := (low + high) / 2; studentBelow(mid, freedom) < p {
			low = mid
		} else {
			high = mid
		}
	}
	return high
}

// studentBelow is P(T <= x).
func studentBelow(x float64, freedom int) float64 {
	v := float64(freedom)
	tail := incompleteBeta(v/2, 0.5, v/(v+x*x)) / 2
	if x < 0 {
		return tail
	}
	return 1 - tail
}

// incompleteBeta is the regularized one, by its continued fraction in Lentz's form.
func incompleteBeta(a, b, x float64) float64 {
	if x <= 0 || x >= 1 {
		return min(max(x, 0), 1)
	}
	if x > (a+1)/(a+b+2) { // the fraction converges fast only below
		return 1 - incompleteBeta(b, a, 1-x)
	}
	la, _ := math.Lgamma(a)
	lb, _ := math.Lgamma(b)
	lab, _ := math.Lgamma(a + b)
	front := math.Exp(lab-la-lb+a*math.Log(x)+b*math.Log1p(-x)) / a
	nonzero := func(v float64) float64 {
		if math.Abs(v) < 1e-300 {
			return 1e-300
		}
		return v
	}
	c, d := 1.0, 1/nonzero(1-(a+b)*x/(a+1))
	f := d
	for i := 1; i < 500; i++ {
		m := float64(i)
		for _, term := range []float64{
			m * (b - m) * x / ((a + 2*m - 1) * (a + 2*m)),
			-(a + m) * (a + b + m) * x / ((a + 2*m) * (a + 2*m + 1)),
		} {
			d = 1 / nonzero(1+term*d)
			c = nonzero(1 + term/c)
			f *= c * d
		}
		if math.Abs(c*d-1) < 1e-14 {
			break
		}
	}
	return front * f
}
