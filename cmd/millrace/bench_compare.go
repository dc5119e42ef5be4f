package main

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/millrace/millrace/bench"
	"github.com/millrace/millrace/bench/trial"
)

func newBenchCompare() *cobra.Command {
	c := &cobra.Command{
		Use:   "compare OLD NEW [--fail-on EXPR]...",
		Short: "Say what changed between results of before and of after",
		Long: `OLD and NEW are files of results or directories of them. Each side needs four runs of a workload before a change can be told from
chance, and more when there are several --fail-on; bench ab, which runs both in turns, tells smaller differences apart.

A --fail-on names a figure and the change that must not be: e2e.p99>+5% where lower is better, throughput<-3% where higher is. Exits
3 when one failed or a new result was not verified, 4 when the runs are too few to tell or none of a workload counts any more.`,
		Example: `  millrace bench compare before/ after/ --fail-on 'e2e.p99>+5%' --fail-on 'cpu_per_gb>+3%'
  millrace bench compare old.json new.json`,
		Args: needs("OLD", "NEW"),
	}
	output := addOutput(c, "text", "json")
	failOn := c.Flags().StringArray("fail-on", nil, "a change that must not be, METRIC>+N% or METRIC<-N%; repeatable")
	completeFlag(c, "fail-on", metricNames)
	c.RunE = func(c *cobra.Command, args []string) error {
		var demands []trial.FailOn
		for _, text := range *failOn {
			d, err := trial.ParseFailOn(text)
			if err != nil {
				return usage(c, fmt.Errorf("--fail-on %w", err))
			}
			demands = append(demands, d)
		}
		var sides [2][]*bench.Result
		for i, path := range args {
			var err error
			if sides[i], err = readResults(path); err != nil {
				return err
			}
		}
		changes, err := trial.Compare(sides[0], sides[1], demands)
		if err != nil {
			return &failure{exitFailed, "not_comparable", err.Error(), ""}
		}
		if *output == "json" {
			err = printJSON(os.Stdout, changes)
		} else {
			err = printChanges(os.Stdout, changes)
		}
		if err != nil {
			return err
		}
		return outcome(changes.Judged)
	}
	return c
}

// readResults reads files of results, and every such file below a directory.
func readResults(paths ...string) (all []*bench.Result, err error) {
	for _, path := range paths {
		some, err := trial.ReadResults(path)
		if err != nil {
			return nil, &failure{exitFailed, "no_result", err.Error(), "results are what `millrace bench run --json FILE` and `millrace bench suite --dir DIR` write"}
		}
		all = append(all, some...)
	}
	return all, nil
}

func printChanges(w io.Writer, c *trial.Changes) error {
	rows := [][]string{{"WORKLOAD", "FIGURE", "UNIT", "OLD", "NEW", "CHANGE", "RUNS", "P"}}
	for _, ch := range c.Changes {
		p := "-"
		if ch.P > 0 {
			p = fmt.Sprintf("%.2g", ch.P)
		}
		rows = append(rows, []string{ch.Cell, ch.Metric, orNone(ch.Unit), figure(ch.Old), figure(ch.New), fmt.Sprintf("%+.1f%%", 100*ch.Change), fmt.Sprintf("%d+%d", ch.OldN, ch.NewN), p})
	}
	if err := printTable(w, rows); err != nil {
		return err
	}
	if len(c.Judged)+len(c.Notes) > 0 {
		fmt.Fprintln(w)
	}
	return printJudged(w, c.Judged, c.Notes)
}

func orNone(unit string) string {
	if unit == "" {
		return "-"
	}
	return unit
}

// printJudged writes how demands came out, and what has to be known besides.
func printJudged(w io.Writer, judged []trial.Judged, notes []string) error {
	var b strings.Builder
	for _, j := range judged {
		fmt.Fprintf(&b, "%-9s %s: %s, %s\n", j.Outcome, j.Cell, j.Demand, j.Words)
	}
	for _, note := range notes {
		fmt.Fprintf(&b, "%-9s %s\n", "note", note)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// outcome is the exit code of demands: one that failed counts before those that nobody can tell.
func outcome(judged []trial.Judged) error {
	var failed, undecided []string
	for _, j := range judged {
		line := j.Cell + ": " + j.Demand + ", " + j.Words
		switch j.Outcome {
		case trial.Failed:
			failed = append(failed, line)
		case trial.Undecided:
			undecided = append(undecided, line)
		}
	}
	switch {
	case len(failed) > 0:
		return &failure{exitUnhealthy, "not_met", strconv.Itoa(len(failed)) + " of " + counted(len(judged), "demand") + " failed: " + strings.Join(failed, "\n  "), ""}
	case len(undecided) > 0:
		return &failure{exitUnsound, "undecided", "the figures do not tell: " + strings.Join(undecided, "\n  "), ""}
	}
	return nil
}
