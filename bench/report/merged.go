package report

import (
	"fmt"
	"math"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/millrace/millrace/bench"
	"github.com/millrace/millrace/bench/report/chart"
)

// merged is a distribution over all runs of a target: from one histogram, never from averages of percentiles.
type merged struct {
	row
	histogram *hdrhistogram.Histogram
	members   []*hdrhistogram.Histogram // of the runs
}

// merge adds up the histograms of the runs.
func (t *target) merge() error {
	t.merged = map[string]*merged{}
	for _, r := range t.runs {
		for _, w := range rows(r) {
			h, err := hdrhistogram.Decode([]byte(w.of.Histogram))
			if err != nil {
				return fmt.Errorf("histogram of %s: %w", w.name, err)
			}
			m := t.merged[w.key]
			if m == nil {
				m = &merged{row: w, histogram: hdrhistogram.New(h.LowestTrackableValue(), h.HighestTrackableValue(), int(h.SignificantFigures()))}
				m.of = &bench.Distribution{}
				t.merged[w.key] = m
			}
			if dropped := m.histogram.Merge(h); dropped > 0 {
				return fmt.Errorf("histogram of %s: %d samples are outside of what the first run's reaches", w.name, dropped)
			}
			m.members = append(m.members, h)
			m.of.Max, m.of.Beyond = max(m.of.Max, w.of.Max), m.of.Beyond+w.of.Beyond
		}
	}
	for _, m := range t.merged {
		at := func(q float64) float64 { return min(float64(m.histogram.ValueAtQuantile(q))/1000, m.of.Max) }
		m.of.Count, m.of.Mean = m.histogram.TotalCount(), m.histogram.Mean()/1000
		m.of.P50, m.of.P90, m.of.P99, m.of.P999, m.of.P9999 = at(50), at(90), at(99), at(99.9), at(99.99)
	}
	return nil
}

// line is the curve of one distribution; with members, when there are several runs, also each by itself.
func (m *merged) line(name string, series int, members bool) chart.CurveLine {
	l := chart.CurveLine{Name: name, Series: series, Points: points(m.histogram, m.of.Max)}
	l.Carried = chart.Nines(1 - carriedBy/float64(max(m.of.Count, 2*carriedBy)))
	if members && len(m.members) > 1 {
		for _, h := range m.members {
			l.Members = append(l.Members, points(h, m.of.Max))
		}
	}
	for _, p := range percentiles {
		if p.carried(m.of.Count) {
			l.Marks = append(l.Marks, chart.CurvePoint{Nines: chart.Nines(p.q), Millis: p.at(m.of)})
		}
	}
	return l
}

// points reads a histogram twenty times for each nine, up to its last sample.
func points(h *hdrhistogram.Histogram, longest float64) (all []chart.CurvePoint) {
	if h.TotalCount() == 0 {
		return nil
	}
	last := math.Log10(float64(h.TotalCount()))
	const each = 20
	for i := 0; ; i++ {
		n := min(float64(i)/each, last)
		ms := min(float64(h.ValueAtQuantile(100*(1-math.Pow(10, -n))))/1000, longest)
		all = append(all, chart.CurvePoint{Nines: n, Millis: ms})
		if n == last {
			return all
		}
	}
}
