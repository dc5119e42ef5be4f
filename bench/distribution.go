package bench

import (
	"fmt"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// NewDistribution is what a result file says of a histogram, and the histogram.
func NewDistribution(l *Latencies) *Distribution {
	d := &Distribution{LatencySummary: l.Summary()}
	if d.Count == 0 {
		return d
	}
	d.P9999 = min(float64(l.histogram.ValueAtQuantile(99.99))/1000, d.Max)
	d.Mean = l.histogram.Mean() / 1000
	coded, err := l.histogram.Encode(hdrhistogram.V2CompressedEncodingCookieBase)
	if err != nil {
		panic(fmt.Sprintf("bench: encoding a histogram to memory: %v", err))
	}
	d.Histogram = string(coded) // base64 already
	return d
}

// Latencies decodes the histogram, so that distributions of several runs can be merged.
func (d *Distribution) Latencies() (*Latencies, error) {
	l := NewLatencies()
	if d.Histogram == "" {
		return l, nil
	}
	h, err := hdrhistogram.Decode([]byte(d.Histogram))
	if err != nil {
		return nil, fmt.Errorf("histogram: %w", err)
	}
	if dropped := l.histogram.Merge(h); dropped > 0 {
		return nil, fmt.Errorf("histogram: %d values are outside 1 us to 60 s", dropped)
	}
	l.longest = time.Duration(d.Max * float64(time.Millisecond))
	l.beyond = d.Beyond
	return l, nil
}
