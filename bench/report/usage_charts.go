package report

import (
	"github.com/millrace/millrace/bench"
	"github.com/millrace/millrace/bench/report/chart"
)

// percentileCurve lays the targets of a cell over each other, or, when there is one, its distributions.
func percentileCurve(c *cell, keys ...string) (f chart.Curve, any bool) {
	for _, t := range c.targets {
		for i, key := range keys {
			m := t.merged[key]
			if m == nil {
				continue
			}
			if len(keys) > 1 {
				f.Lines = append(f.Lines, m.line(m.name, i, false))
			} else {
				f.Lines = append(f.Lines, m.line(t.name, t.series, true))
			}
		}
	}
	return f, len(f.Lines) > 0
}

// bars is what the brokers of a cell used.
func bars(c *cell) (f chart.Bars, any bool) {
	for _, g := range []struct {
		name  string
		label func(float64) string
		of    func(*bench.Result) figure
	}{
		{"CPU of 10⁹ bytes " + usage(c.targets[0].first()).verb + ", by thread", func(v float64) string { return digits(v) + " s" }, func(r *bench.Result) figure { return usage(r).perGigabyte }},
		{"CPU of a " + usage(c.targets[0].first()).unit, func(v float64) string { return digits(v) + " µs" }, func(r *bench.Result) figure { return usage(r).perRequest }},
		{"Processors busy", digits, func(r *bench.Result) figure { return usage(r).cores }},
		{"Private memory at the end (RssAnon)", func(v float64) string { return figure{v, true}.size() }, func(r *bench.Result) figure { return usage(r).anon }},
		{"Mapped files at the end (RssFile)", func(v float64) string { return figure{v, true}.size() }, func(r *bench.Result) figure { return usage(r).file }},
	} {
		bars := chart.BarFigure{Name: g.name, Label: g.label}
		for _, t := range c.targets {
			value, low, high := t.of(g.of)
			if !value.known {
				continue
			}
			b := chart.Bar{Name: t.name, Series: t.series, Value: value.value}
			if len(t.runs) > 1 {
				b.Low, b.High = low, high
			}
			if len(f.Figures) == 0 {
				b.Parts = parts(t, value.value)
			}
			bars.Bars = append(bars.Bars, b)
		}
		if len(bars.Bars) > 0 {
			f.Figures = append(f.Figures, bars)
		}
	}
	return f, len(f.Figures) > 0
}

// parts divides a bar as the CPU of the first run was divided among threads.
func parts(t *target, whole float64) (parts []chart.BarPart) {
	u := usage(t.first())
	rest := whole
	for i, th := range u.threads {
		if i == 4 || len(u.threads) < 2 || u.cores.value == 0 {
			break
		}
		p := chart.BarPart{Name: th.name, Value: min(rest, whole*th.cores/u.cores.value)}
		rest -= p.Value
		parts = append(parts, p)
	}
	if len(parts) > 0 && rest > whole/200 {
		parts = append(parts, chart.BarPart{Name: "other threads", Value: rest})
	}
	return parts
}
