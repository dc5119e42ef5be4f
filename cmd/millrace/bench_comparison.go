package main

import (
	"fmt"
	"io"
	"strconv"

	"github.com/millrace/millrace/bench/trial"
)

// printComparison writes the sentence to quote, then what it rests on.
func printComparison(w io.Writer, c *trial.Comparison) error {
	if _, err := fmt.Fprintf(w, "%s\n\n", c.Headline); err != nil {
		return err
	}
	rows := [][]string{{"FIGURE", "UNIT", c.A, c.B, "RATIO", "INTERVAL", "PAIRS", "VERDICT"}}
	for _, m := range c.Metrics {
		row := []string{m.Metric, m.Unit, figure(m.A), figure(m.B), fmt.Sprintf("%.2f", m.Ratio), "", strconv.Itoa(m.N), verdict(m.Difference, c.B)}
		if m.N == 0 {
			row[2], row[3], row[4] = "-", "-", "-"
		}
		if m.Interval != nil {
			row[5] = fmt.Sprintf("%.2f to %.2f", m.Interval.Low, m.Interval.High)
		} else {
			row[5] = "-"
		}
		rows = append(rows, row)
	}
	if err := printTable(w, rows); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\n%-11s %s %s, %s %s\n", "durability", c.A, c.Durability[0], c.B, c.Durability[1])
	for _, note := range c.Notes {
		if err == nil {
			_, err = fmt.Fprintf(w, "%-11s %s\n", "note", note)
		}
	}
	return err
}

func verdict(d trial.Difference, b string) string {
	switch d {
	case trial.Better, trial.Worse:
		return b + " is " + string(d)
	case trial.None:
		return "no difference shown"
	}
	return "too few pairs"
}

// figure has four digits, and no more.
func figure(v float64) string {
	if v >= 10000 {
		return thousands(int64(v + 0.5))
	}
	return strconv.FormatFloat(v, 'g', 4, 64)
}
