package trial

import (
	"math"
	"math/rand/v2"
	"testing"
)

func TestStudentQuantileIsThatOfTheTables(t *testing.T) {
	for _, c := range []struct {
		p       float64
		freedom int
		want    float64
	}{
		{0.975, 1, 12.706}, {0.975, 3, 3.182}, {0.975, 7, 2.365}, {0.975, 11, 2.201}, {0.975, 30, 2.042}, {0.995, 3, 5.841},
		{0.9, 7, 1.415}, {0.5, 5, 0}, {0.025, 7, -2.365}, {0.9995, 4, 8.610}, {0.975, 1000, 1.962},
	} {
		if got := studentQuantile(c.p, c.freedom); math.Abs(got-c.want) > 0.0006 {
			t.Errorf("t(%d, %v) = %.4f, want %.3f", c.freedom, c.p, got, c.want)
		}
	}
}

func TestNormalQuantile(t *testing.T) {
	for p, want := range map[float64]float64{0.5: 0, 0.975: 1.95996, 0.1: -1.28155} {
		if got := normalQuantile(p); math.Abs(got-want) > 1e-4 || math.Abs(normalBelow(got)-p) > 1e-9 {
			t.Errorf("z(%v) = %v, want %v", p, got, want)
		}
	}
}

// The promise of an interval is how often it holds what it should. Few pairs, where a bootstrap alone misses one time in ten and
// more; noise that is normal, and noise that is skewed as latencies are.
func TestIntervalCoversWhatItPromises(t *testing.T) {
	const trials = 400
	truth := math.Log(1.3)
	for _, c := range []struct {
		name  string
		n     int
		least float64 // of the trials; the sampling error of 400 of them is 2.2 % (two sigma)
		noise func(*rand.Rand) float64
	}{
		{"normal", 4, 0.928, func(r *rand.Rand) float64 { return 0.2 * r.NormFloat64() }},
		{"normal", 8, 0.928, func(r *rand.Rand) float64 { return 0.2 * r.NormFloat64() }},
		{"a difference of two skewed ones", 4, 0.928, func(r *rand.Rand) float64 { return 0.2 * (r.ExpFloat64() - r.ExpFloat64()) }},
	} {
		random := rand.New(rand.NewPCG(7, uint64(c.n)))
		held := 0
		for range trials {
			logs := make([]float64, c.n)
			for i := range logs {
				logs[i] = truth + c.noise(random)
			}
			if _, i := paired(logs, 0.95, random.Uint64()); i.Low <= 1.3 && 1.3 <= i.High {
				held++
			}
		}
		if share := float64(held) / trials; share < c.least {
			t.Errorf("%s, %d pairs: the interval of 95 %% held the truth in %.1f %% of %d trials", c.name, c.n, 100*share, trials)
		}
	}
}
