package trial

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/millrace/millrace/bench"
)

// knee is a broker whose p99.9 goes through 10 ms at a rate.
type knee struct {
	at      float64
	noise   float64
	starved float64 // from this rate on the generator is the limit
	random  *rand.Rand
	runs    int
}

func (k *knee) run(_ context.Context, t bench.Target, s bench.Spec) (*bench.Result, error) {
	k.runs++
	ms := 10 * s.Rate / k.at * (1 + k.noise*k.random.NormFloat64())
	r := &bench.Result{Target: t, Spec: s, Load: bench.Load{Asked: s.Rate, Achieved: s.Rate},
		Latency: map[string]*bench.Distribution{"e2e": {LatencySummary: bench.LatencySummary{Count: 1e6, P50: ms / 9, P999: ms}}}}
	if s.Rate > 2*k.at {
		r.Load.Achieved, r.Saturated = 2*k.at, true
	}
	if k.starved > 0 && s.Rate >= k.starved {
		r.Invalid = []string{"slip p99 of 3 ms"}
	}
	return r, nil
}

func (k *knee) sweep(t *testing.T, from float64) (found *Swept) {
	t.Helper()
	if k.random == nil {
		k.random = rand.New(rand.NewPCG(1, 1))
	}
	o, err := ParseSLO("e2e.p99.9=10ms")
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		found, err = Sweep{Target: bench.Target{Name: "b"}, Spec: bench.Spec{Rate: from}, SLOs: []SLO{o}, Run: k.run}.Do(t.Context())
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestSweepFindsTheKnee(t *testing.T) {
	for _, from := range []float64{0, 1000, 47_000, 900_000} { // also from far above
		k := &knee{at: 50_000}
		f := k.sweep(t, from)
		if f.Highest > 50_000 || f.Highest < 47_000 || f.Broken < 50_000 || f.Bounded != byBroker || k.runs > 40 {
			t.Errorf("from %v: %s after %d runs, between %v and %v", from, f.Words, k.runs, f.Highest, f.Broken)
		}
		if !strings.HasPrefix(f.Words, fmt.Sprintf("b holds e2e.p99.9=10ms up to %.0f records/s; ", f.Highest)) || len(f.Points) != k.runs {
			t.Errorf("%s; %d points", f.Words, len(f.Points))
		}
	}
}

// Each end of the bracket rests on two runs, and noise at the border ends the search near the knee all the same.
func TestSweepBearsNoise(t *testing.T) {
	for seed := range uint64(20) {
		k := &knee{at: 50_000, noise: 0.04, random: rand.New(rand.NewPCG(seed, 2))}
		f := k.sweep(t, 1000)
		if f.Highest < 42_000 || f.Highest > 54_000 {
			t.Errorf("seed %d: %s", seed, f.Words)
		}
		agree := 0
		for _, p := range f.Points {
			if p.Rate == f.Highest && p.Held {
				agree++
			}
		}
		if agree < 2 {
			t.Errorf("seed %d: %v rests on %d runs", seed, f.Highest, agree)
		}
	}
}

func TestSweepEndsAtTheGenerator(t *testing.T) {
	f := (&knee{at: 1e9, starved: 100_000}).sweep(t, 10_000)
	if f.Bounded != byGenerator || f.Highest != 80_000 || !strings.Contains(f.Words, "at least: the generator, not the broker, was the limit at 160000 records/s (the generator was the limit: slip p99 of 3 ms)") {
		t.Errorf("%s", f.Words)
	}
}

func TestSweepThatHoldsNowhereOrEverywhereEnds(t *testing.T) {
	if f := (&knee{at: 0.0001}).sweep(t, 1000); f.Highest != 0 || !strings.Contains(f.Words, "no rate was found") {
		t.Error(f.Words)
	}
	if f := (&knee{at: 1e9, starved: 1}).sweep(t, 1000); f.Highest != 0 || !strings.Contains(f.Words, "no rate was found at which e2e.p99.9=10ms holds: the generator, not the broker, was the limit at 1000 records/s") {
		t.Error(f.Words)
	}
	if f := (&knee{at: 1e12}).sweep(t, 1e6); f.Highest != 10e6 || f.Bounded != byRange {
		t.Error(f.Words)
	}
}

func TestObjectives(t *testing.T) {
	for text, want := range map[string]float64{"e2e.p99.9=10ms": 10, "e2e.p99.9<=1.5s": 1500, "produce.p50=200us": 0.2, "e2e.max=7": 7, "cores=0.5": 0.5, "cpu_per_request=9us": 9, "throughput=100 MB/s": 100, "rss_anon=64 MB": 64e6, "rss_anon=8MiB": 8 << 20, "rss_anon=100": 100} {
		if s, err := ParseSLO(text); err != nil || s.Limit != want {
			t.Errorf("%s: %v, %v", text, s.Limit, err)
		}
	}
	for _, text := range []string{"e2e.p99.9", "p99=1ms", "e2e.p99=", "e2e.p99=-1ms", "cores=10ms", "throughput=0"} {
		if s, err := ParseSLO(text); err == nil {
			t.Errorf("%s is taken as %v", text, s.Limit)
		}
	}
}
