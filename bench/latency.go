package bench

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

const longest = 60 * time.Second

// Latencies counts durations from 1 us to 60 s with three digits. One goroutine records.
type Latencies struct {
	histogram *hdrhistogram.Histogram // of microseconds
	longest   time.Duration           // exactly, also beyond 60 s
	beyond    int64
}

// NewLatencies returns an empty histogram.
func NewLatencies() *Latencies {
	return &Latencies{histogram: hdrhistogram.New(1, longest.Microseconds(), 3)}
}

// Record counts one duration. More than 60 s counts as 60 s, and is told by Beyond and by the maximum.
func (l *Latencies) Record(d time.Duration) { l.RecordN(d, 1) }

// RecordN counts a duration n times.
func (l *Latencies) RecordN(d time.Duration, n int64) {
	l.longest = max(l.longest, d)
	us := (d + time.Microsecond/2).Microseconds()
	if us > longest.Microseconds() {
		us = longest.Microseconds()
		l.beyond += n
	}
	_ = l.histogram.RecordValues(max(us, 1), n) // within its bounds
}

// Merge adds what another one counted.
func (l *Latencies) Merge(o *Latencies) {
	l.histogram.Merge(o.histogram) // of the same bounds: nothing is dropped
	l.longest = max(l.longest, o.longest)
	l.beyond += o.beyond
}

// Reset empties it.
func (l *Latencies) Reset() {
	if l.histogram.TotalCount() > 0 {
		l.histogram.Reset()
	}
	l.longest, l.beyond = 0, 0
}

// LatencySummary is the row of a latency table, in milliseconds.
type LatencySummary struct {
	Count  int64   `json:"count"`
	P50    float64 `json:"p50_ms"`
	P90    float64 `json:"p90_ms"`
	P99    float64 `json:"p99_ms"`
	P999   float64 `json:"p99_9_ms"`
	Max    float64 `json:"max_ms"`
	Beyond int64   `json:"beyond_60s"`
}

// Summary reads the percentiles.
func (l *Latencies) Summary() LatencySummary {
	longest := float64(l.longest.Microseconds()) / 1000 // exact, where the percentiles have three digits
	at := func(q float64) float64 { return min(float64(l.histogram.ValueAtQuantile(q))/1000, longest) }
	return LatencySummary{
		Count: l.histogram.TotalCount(),
		P50:   at(50), P90: at(90), P99: at(99), P999: at(99.9), Max: longest,
		Beyond: l.beyond,
	}
}
