package metric

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// Each duration is in the bucket whose bounds hold it, and the buckets leave no gap.
func TestBucketsHoldWhatTheyCount(t *testing.T) {
	for i := 1; i < Buckets; i++ {
		at := lower(i)
		if got := bucket(uint64(at)); got != i {
			t.Errorf("%d us is in bucket %d, not %d", at, got, i)
		}
		if got := bucket(uint64(at - 1)); got != i-1 {
			t.Errorf("%d us is in bucket %d, not %d", at-1, got, i-1)
		}
	}
	if got := bucket(1 << 60); got != Buckets-1 {
		t.Errorf("a very long duration is in bucket %d", got)
	}
}

func TestQuantiles(t *testing.T) {
	var h Histogram
	var all []int64
	r := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		ns := int64(r.ExpFloat64() * 3e6)
		all = append(all, ns)
		h.Observe(ns)
	}
	slices.Sort(all)
	var c Counts
	h.AddTo(&c)
	for _, q := range []float64{0.5, 0.75, 0.99, 0.999} {
		want := all[int(q*float64(len(all)))]
		if got := c.Quantile(q); got < want*7/8 || got > want*9/8 {
			t.Errorf("quantile %v is %d ns, want about %d", q, got, want)
		}
	}
	if n := c.Count(); n != 20_000 {
		t.Errorf("%d durations", n)
	}
	if got := (&Counts{}).Quantile(0.5); got != 0 {
		t.Errorf("a quantile of nothing is %d", got)
	}
}

func TestOctavesCountWhatLiesBelow(t *testing.T) {
	var h Histogram
	for _, us := range []int64{-5, 3, 15, 16, 31, 32, 1 << 25, 1 << 40} {
		h.Observe(us * 1000)
	}
	var c Counts
	h.AddTo(&c)
	earlier := c
	h.Observe(20_000)
	h.AddTo(&c)
	now := c.Since(&earlier) // what was before, and one more
	got := map[int64]int64{}
	bounds, last := 0, int64(0)
	now.Octaves(func(bound, below int64) {
		bounds++
		got[bound/1000] = below
		if bound != 2*last && last != 0 || below < got[last/1000] {
			t.Errorf("%d after %d", bound, last)
		}
		last = bound
	})
	for us, want := range map[int64]int64{16: 3, 32: 6, 64: 7, 1 << 25: 7, 1 << 26: 8} {
		if got[us] != want {
			t.Errorf("%d durations below %d us, want %d", got[us], us, want)
		}
	}
	if now.Count() != 9 || bounds != 23 {
		t.Errorf("%d durations, %d bounds", now.Count(), bounds)
	}
}

func TestObserveAllocatesNothing(t *testing.T) {
	var h Histogram
	if n := testing.AllocsPerRun(100, func() { h.Observe(12345) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkObserve(b *testing.B) {
	var h Histogram
	for i := range b.N {
		h.Observe(int64(i))
	}
}
