package report

import (
	"fmt"

	"github.com/millrace/millrace/bench/report/chart"
	"github.com/millrace/millrace/bench/trial"
)

// forest is a comparison's metrics.
func forest(c *trial.Comparison) (f chart.Forest, any bool) {
	f.Left, f.Right = "less at "+c.B, "more at "+c.B
	for _, m := range c.Metrics {
		if r, ok := forestRow(metricWords(m.Metric), m); ok {
			f.Rows = append(f.Rows, r)
		}
	}
	return f, len(f.Rows) > 0
}

// forestOfCells is what was named in advance, of each cell.
func forestOfCells(all []*trial.Comparison) (f chart.Forest, any bool) {
	for _, c := range all {
		f.Left, f.Right = "less at "+c.B, "more at "+c.B
		if len(c.Metrics) == 0 {
			continue
		}
		if r, ok := forestRow(fmt.Sprintf("%s: %s", c.Cell, metricWords(c.Metrics[0].Metric)), c.Metrics[0]); ok {
			f.Rows = append(f.Rows, r)
		}
	}
	return f, len(f.Rows) > 1
}

// forestRow is a metric that has an interval.
func forestRow(name string, m trial.Ratio) (chart.ForestRow, bool) {
	if m.Interval == nil {
		return chart.ForestRow{}, false
	}
	kind := "open"
	switch m.Difference {
	case trial.Better:
		kind = "good"
	case trial.Worse:
		kind = "bad"
	}
	return chart.ForestRow{Name: name, Ratio: m.Ratio, Low: m.Interval.Low, High: m.Interval.High, Kind: kind, Words: m.Words}, true
}

// metricWords is a metric's name in a sentence.
func metricWords(metric string) string {
	if m, err := trial.MetricNamed(metric); err == nil {
		return m.Words
	}
	return metric
}
