package report

import (
	"fmt"
	"strings"

	"github.com/millrace/millrace/bench"
	"github.com/millrace/millrace/bench/report/chart"
)

// Drawing is a chart as a file of its own, for a document that embeds it. It brings its background, light or dark as its reader likes.
type Drawing struct {
	Name string // of the file
	SVG  string
}

const drawingWidth = 760

// Drawings are the charts of everything in the document: latency by percentile, what the brokers used, comparisons, knees.
func Drawings(d Document) (all []Drawing, err error) {
	cells, err := d.cells()
	if err != nil {
		return nil, err
	}
	names := map[string]int{}
	add := func(cell, what string, f chart.Chart, title, subtitle string) {
		file := fileName(cell) + "-" + what
		if names[file]++; names[file] > 1 { // two workloads of one name
			file += fmt.Sprintf("-%d", names[file])
		}
		all = append(all, Drawing{file + ".svg", chart.File(f, drawingWidth, title, subtitle)})
	}
	for _, c := range cells {
		for _, of := range c.comparisons {
			if f, any := forest(of); any {
				add(c.name, fileName(of.B)+"-by-"+fileName(of.A), f, fmt.Sprintf("%s: %s by %s", c.name, of.B, of.A), of.Headline+".")
			}
		}
		if len(c.targets) == 0 {
			continue
		}
		under := c.under()
		for _, of := range []struct{ key, file, title string }{{bench.LatencyEndToEnd, "e2e", "end-to-end latency"}, {bench.LatencyProduce, "produce", "latency until acknowledged"}} {
			if f, any := percentileCurve(c, of.key); any {
				add(c.name, of.file, f, c.name+": "+of.title+" by percentile", under)
			}
		}
		if f, any := bars(c); any {
			add(c.name, "used", f, c.name+": what the brokers used", under)
		}
	}
	if f, any := forestOfCells(d.Comparisons); any {
		add("all", "compared", f, "All workloads", "What was named in advance of each. An interval that contains 1 carries no verdict.")
	}
	targets := d.targets(cells)
	for _, k := range d.knees() {
		add(k.name, "knee", k.chart(placeIn(targets)), k.name+": latency by rate", "Objective: "+strings.Join(k.sweeps[0].SLOs, " and ")+".")
	}
	return all, nil
}

// under is what a chart's reader has to know: how much, and what an acknowledgement was worth.
func (c *cell) under() string {
	r := c.targets[0].first()
	s := "Closed loop"
	if r.Load.Asked > 0 {
		s = thousands(int64(r.Load.Asked+0.5)) + " records/s, open loop"
	}
	s += fmt.Sprintf(", values of %s B, %s a batch, %s, acks=%s.", r.Spec.Size, counted(r.Spec.BatchRecords, "record"), counted(r.Spec.Partitions, "partition"), r.Spec.Acks)
	for _, t := range c.targets {
		s += fmt.Sprintf(" %s: durability %s, %s.", t.name, orNone(t.first().Target.Durability), counted(len(t.runs), "run"))
		if t.saturated() > 0 {
			s += fmt.Sprintf(" %s was SATURATED: its latencies are the length of its queue.", t.name)
		}
		if why := unsound(t.first()); why != "" {
			s += " NOT SOUND: " + why + "."
		}
	}
	return s
}

// fileName keeps what every file system and every address takes.
func fileName(text string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' || r == '.' {
			return r
		}
		return '_'
	}, text)
}
