// Package metric counts durations for a reader that comes by now and then: a histogram whose writers take no lock and allocate nothing.
package metric

import (
	"math/bits"
	"sync/atomic"
)

// Buckets is how many buckets a Histogram has. Bucket i holds durations in whole microseconds from lower(i) up to lower(i+1): four to each
// power of two, so that a quantile read from them is off by an eighth at most.
//
//	bucket   0 1 2 3   4 5 6 7   8  10 12 14  ...  100             103
//	from us  0 1 2 3   4 5 6 7   8  10 12 14  ...  2^26            7 * 2^24, and all that is longer
const Buckets = 104

// Histogram counts durations. The zero value is ready. Any goroutine may write and read; one that few write to costs least.
type Histogram struct {
	sum     atomic.Int64 // ns
	buckets [Buckets]atomic.Int64
}

// Observe counts one duration in nanoseconds. A negative one counts as none.
func (h *Histogram) Observe(ns int64) {
	ns = max(ns, 0)
	h.sum.Add(ns)
	h.buckets[bucket(uint64(ns)/1000)].Add(1)
}

func bucket(us uint64) int {
	shift := max(bits.Len64(us)-3, 0)
	return min(shift<<2+int(us>>shift), Buckets-1)
}

// lower is the shortest duration of a bucket, in microseconds.
func lower(i int) int64 {
	if i < 4 {
		return int64(i)
	}
	return int64(i&3|4) << (i>>2 - 1)
}

// AddTo adds what the histogram holds to c. Durations that are counted meanwhile are in it or not.
func (h *Histogram) AddTo(c *Counts) {
	c.Sum += h.sum.Load()
	for i := range h.buckets {
		c.Buckets[i] += h.buckets[i].Load()
	}
}

// Counts is what histograms held at one time.
type Counts struct {
	Sum     int64 // ns
	Buckets [Buckets]int64
}

// Count is how many durations there are.
func (c *Counts) Count() (n int64) {
	for _, m := range &c.Buckets {
		n += m
	}
	return n
}

// Since is what has come since an earlier time.
func (c *Counts) Since(earlier *Counts) *Counts {
	d := *c
	d.Sum -= earlier.Sum
	for i := range d.Buckets {
		d.Buckets[i] -= earlier.Buckets[i]
	}
	return &d
}

// Quantile is the duration in nanoseconds that a share of q lies below, 0 when there is none at all.
func (c *Counts) Quantile(q float64) int64 {
	total := c.Count()
	rank := q * float64(total)
	var below int64
	for i, n := range &c.Buckets {
		if n == 0 || float64(below+n) < rank {
			below += n
			continue
		}
		from, to := lower(i), lower(i+1)
		return from*1000 + int64(float64((to-from)*1000)*(rank-float64(below))/float64(n))
	}
	return 0
}

// Octaves calls f with every power of two of microseconds from 16 on that bounds buckets, in nanoseconds, and how many durations lie below it.
func (c *Counts) Octaves(f func(bound, below int64)) {
	var below int64
	for i := 0; i < Buckets-4; i += 4 {
		for _, n := range c.Buckets[i : i+4] {
			below += n
		}
		if bound := lower(i + 4); bound >= 16 {
			f(bound*1000, below)
		}
	}
}
