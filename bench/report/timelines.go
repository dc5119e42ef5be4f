package report

import (
	"fmt"
	"math"

	"github.com/millrace/millrace/bench"
	"github.com/millrace/millrace/bench/report/chart"
)

// timelines has one for each target of a cell, on the same axes.
func timelines(c *cell) []chart.Timeline {
	var all []chart.Timeline
	var low, high float64
	highs := map[string]float64{}
	for _, t := range c.targets {
		f := timeline(t)
		if f.Heat != nil {
			if l, h := f.Heat.Range(); h > 0 {
				if low == 0 {
					low = l
				}
				low, high = min(low, l), max(high, h)
			}
		}
		for _, track := range f.Tracks {
			for _, l := range track.Lines {
				for _, run := range l.Values {
					for _, v := range run {
						if !math.IsNaN(v) {
							highs[track.Name] = max(highs[track.Name], v)
						}
					}
				}
			}
		}
		all = append(all, f)
	}
	for _, f := range all {
		if f.Heat != nil {
			f.Heat.Low, f.Heat.High = low, high
		}
		for i := range f.Tracks {
			f.Tracks[i].High = highs[f.Tracks[i].Name]
		}
	}
	return all
}

func timeline(t *target) chart.Timeline {
	class := fmt.Sprintf("thin s%d", t.series%chart.Series)
	var f chart.Timeline
	var runs [][]bench.Second
	counted := false
	for _, r := range t.runs {
		var seconds []bench.Second
		for _, s := range r.Series {
			if s.Second >= 0 { // not the warm-up
				seconds = append(seconds, s)
				counted = counted || len(s.Heat) > 0
			}
		}
		runs, f.Runs = append(runs, seconds), append(f.Runs, len(seconds))
	}
	line := func(name, class string, read func(*bench.Second) float64) chart.TrackLine {
		l := chart.TrackLine{Name: name, Class: class}
		for _, run := range runs {
			var values []float64
			for i := range run {
				values = append(values, read(&run[i]))
			}
			l.Values = append(l.Values, values)
		}
		return l
	}
	latency := func(name, class, which string) chart.TrackLine {
		l := line(name, class, func(s *bench.Second) float64 {
			of := s.EndToEnd
			if len(of) == 0 {
				of = s.Produce
			}
			if ms, there := of[which]; there && ms > 0 {
				return ms
			}
			return math.NaN()
		})
		l.Peak = true
		return l
	}
	what := "Acknowledgement"
	if _, there := t.merged[bench.LatencyEndToEnd]; there {
		what = "End-to-end latency"
	}
	lines := []chart.TrackLine{latency("p99", "over", "p99"), latency("max", "over dotted", "max")}
	if counted {
		h := &chart.Heat{Name: what, Lines: lines}
		for _, b := range bench.HeatBounds {
			h.Bounds = append(h.Bounds, b.Seconds()*1000)
		}
		for _, run := range runs {
			var counts [][]int64
			for i := range run {
				counts = append(counts, run[i].Heat)
			}
			h.Counts = append(h.Counts, counts)
		}
		f.Heat = h
	} else {
		f.Tracks = append(f.Tracks, chart.Track{Name: what, Label: chart.Millis, Log: true, Lines: lines})
	}
	hiccup := line("largest hiccup", "quiet-line", func(s *bench.Second) float64 { return max(s.Hiccup, 0.001) })
	hiccup.Area, hiccup.Peak = true, true
	f.Tracks = append(f.Tracks, chart.Track{Name: "Hiccups of the machine", Label: chart.Millis, Log: true, Lines: []chart.TrackLine{hiccup}})
	perSecond := func(v float64) string { return chart.Count(v) + "/s" }
	throughput := chart.Track{Name: "Records", Label: perSecond, Lines: []chart.TrackLine{
		line("acknowledged", class, func(s *bench.Second) float64 { return float64(s.Acked) }),
	}}
	first := t.first()
	if first.Load.Asked > 0 {
		throughput.Lines = append([]chart.TrackLine{line("asked", "asked", func(s *bench.Second) float64 { return s.Asked })}, throughput.Lines...)
	}
	if first.Load.Fetched > 0 {
		throughput.Lines = append(throughput.Lines, line("consumed", class+" dotted", func(s *bench.Second) float64 { return float64(s.Consumed) }))
	}
	f.Tracks = append(f.Tracks, throughput)
	if first.Load.Asked > 0 {
		backlog := line("records due, not acknowledged", class, func(s *bench.Second) float64 { return float64(s.Backlog) })
		backlog.Area, backlog.Peak = true, true
		f.Tracks = append(f.Tracks, chart.Track{Name: "Backlog", Label: chart.Count, Lines: []chart.TrackLine{backlog}})
	}
	cpu := chart.Track{Name: "Processors", Label: digits}
	if len(first.Brokers) > 0 {
		cpu.Lines = append(cpu.Lines, line("broker", class, func(s *bench.Second) float64 { return s.BrokerCPU }))
	}
	cpu.Lines = append(cpu.Lines, line("generator", "asked", func(s *bench.Second) float64 { return s.OwnCPU }))
	f.Tracks = append(f.Tracks, cpu)
	if len(first.Brokers) > 0 {
		anon := line("RssAnon", class, func(s *bench.Second) float64 { return float64(s.BrokerAnon) })
		anon.Area = true
		f.Tracks = append(f.Tracks, chart.Track{Name: "Broker's private memory", Label: chart.Bytes, Lines: []chart.TrackLine{anon}})
	}
	return f
}
