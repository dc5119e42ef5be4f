package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/millrace/millrace/bench"
	"github.com/millrace/millrace/bench/trial"
)

// suiteColumns are the figures of a suite's table. A row has those that its workload has.
var suiteColumns = []struct{ heading, metric string }{
	{"MB/S", "throughput"}, {"CPU-S/GB", "cpu_per_gb"}, {"US/REQUEST", "cpu_per_request"}, {"CORES", "cores"},
	{"P50 MS", ".p50"}, {"P99 MS", ".p99"}, {"P99.9 MS", ".p99.9"},
}

// printSuite writes a row for each workload and target, then what was compared and what went wrong.
func printSuite(w io.Writer, s *trial.SuiteResult) error {
	head := []string{"WORKLOAD", "TARGET", "RECORDS/S"}
	for _, col := range suiteColumns {
		head = append(head, col.heading)
	}
	rows := [][]string{append(head, "HEADLINE", "DURABILITY", "STATE")}
	for _, cell := range s.Cells {
		for _, target := range s.Targets {
			rows = append(rows, suiteRow(cell, target))
		}
	}
	if err := printTable(w, rows); err != nil {
		return err
	}
	var b strings.Builder
	b.WriteByte('\n')
	for _, cell := range s.Cells {
		fmt.Fprintf(&b, "%-14s %s\n", cell.Cell, cell.What)
		for _, c := range cell.Compared {
			fmt.Fprintf(&b, "%-14s   %s\n", "", c.Headline)
		}
		for _, target := range s.Targets {
			for _, why := range suiteRemarks(cell, target) {
				fmt.Fprintf(&b, "%-14s   %s: %s\n", "", target, why)
			}
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// lastOf is the last run of a workload on a target.
func lastOf(cell trial.CellResult, target string) (last *bench.Result) {
	for _, g := range cell.Segments {
		if g.Target == target && g.Result != nil {
			last = g.Result
		}
	}
	return last
}

// suiteRemarks say why a row counts for nothing, or for less.
func suiteRemarks(cell trial.CellResult, target string) (why []string) {
	if cell.Left[target] != "" {
		return []string{"left out: " + cell.Left[target]}
	}
	if cell.Error != "" {
		why = append(why, cell.Error)
	}
	if last := lastOf(cell, target); last != nil {
		state, because := stateOf(last)
		for _, b := range because {
			why = append(why, state+", "+b)
		}
	}
	return why
}

// suiteRow shows the last run of a workload on a target, and its state.
func suiteRow(cell trial.CellResult, target string) []string {
	row := []string{cell.Cell, target}
	last, state := lastOf(cell, target), "not run"
	switch {
	case cell.Left[target] != "":
		state = "left out"
	case cell.Error != "":
		state = "failed"
	case last != nil:
		state, _ = stateOf(last)
	}
	if last == nil {
		return append(row, append(strings.Fields(strings.Repeat("- ", len(suiteColumns)+3)), state)...)
	}
	figures := cell.Figures[target]
	value := func(name string) string {
		m, err := trial.MetricNamed(name)
		if err != nil {
			return "-"
		}
		v, ok := figures[name]
		if !ok && figures == nil {
			v, ok = m.Of(last) // in vain, which its state says
		}
		if !ok {
			return "-"
		}
		return figure(v)
	}
	row = append(row, figureOr(last.Load.Achieved))
	latency := bench.LatencyProduce
	if d := last.Latency[bench.LatencyEndToEnd]; d != nil && d.Count > 0 {
		latency = bench.LatencyEndToEnd
	}
	for _, col := range suiteColumns {
		if strings.HasPrefix(col.metric, ".") {
			row = append(row, value(latency+col.metric))
		} else {
			row = append(row, value(col.metric))
		}
	}
	headline := cell.Headline + " " + value(cell.Headline)
	if m, err := trial.MetricNamed(cell.Headline); err == nil && m.Unit != "" {
		headline += " " + m.Unit
	}
	return append(row, headline, last.Target.Durability, state)
}

func figureOr(v float64) string {
	if v == 0 {
		return "-"
	}
	return thousands(int64(v + 0.5))
}
