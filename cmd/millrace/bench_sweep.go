package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/millrace/millrace/bench"
	"github.com/millrace/millrace/bench/report"
	"github.com/millrace/millrace/bench/trial"
)

func newBenchSweep() *cobra.Command {
	c := &cobra.Command{
		Use:   "sweep --slo FIGURE=LIMIT [-b HOST:PORT] [workload flags]",
		Short: "Find the highest rate at which an objective holds",
		Long: `Doubles the rate until the objectives do not hold any more, then halves the gap until it is narrow. A rate counts as held, or as
broken, when two of at most three runs say so. The search begins at --rate.

Exits 0 when a rate was found, 3 when none holds or records were lost, 4 when the generator or a disturbed machine ended the search.`,
		Example: `  millrace bench sweep --slo e2e.p99.9=10ms
  millrace bench sweep -b kafka-1:9092 --slo e2e.p99.9=10ms --slo cores=1 --rate 10k/s --duration 20s --html knee.html`,
		Args:              needs(),
		ValidArgsFunction: nothing,
	}
	sweep := trial.Sweep{}
	var highest rate
	w := addWorkloadFlags(c)
	end := group(c, "Search")
	slos := c.Flags().StringArray("slo", nil, "what must hold, FIGURE=LIMIT: e2e.p99.9=10ms, cores=0.5; repeatable")
	c.Flags().Float64Var(&sweep.Precision, "precision", 0.05, "the search ends when the rates held and broken are this close, as a share of the one held")
	c.Flags().Var(&highest, "highest", "the search ends at this rate (default 10M/s)")
	c.Flags().DurationVar(&sweep.Settle, "settle", time.Second, "pause before each run")
	end()
	target := addTargetFlags(c)
	end = group(c, groupResult)
	output := addOutput(c, "text", "json")
	html := c.Flags().String("html", "", "write a report to this file, one that needs no network")
	live := addLive(c)
	end()
	completeFlag(c, "slo", metricNames)
	for _, name := range strings.Fields("precision highest settle") {
		completeFlag(c, name, nothing)
	}
	c.RunE = func(c *cobra.Command, args []string) (err error) {
		if sweep.Spec, err = w.workload(c); err != nil {
			return err
		}
		if err := noTopic(c); err != nil {
			return err
		}
		if err := checkLive(c, *live); err != nil {
			return err
		}
		if err := checkFiles(c, map[string]string{"html": *html}); err != nil {
			return err
		}
		for _, text := range *slos {
			slo, err := trial.ParseSLO(text)
			if err != nil {
				return usage(c, fmt.Errorf("--slo %w", err))
			}
			sweep.SLOs = append(sweep.SLOs, slo)
		}
		if len(sweep.SLOs) == 0 {
			return usage(c, fmt.Errorf("--slo is missing: what must hold, such as e2e.p99.9=10ms"))
		}
		sweep.Highest = float64(highest)
		runner := runner{live: *live, command: asTyped(c, args)}
		sweep.Run, sweep.Progress = runner.run, runner.step
		var found *trial.Swept
		err = target.with(c, func(ctx context.Context, t bench.Target) (err error) {
			sweep.Target = t
			found, err = sweep.Do(ctx)
			return err
		})
		if err != nil {
			return trialFailure(c, err)
		}
		found.Command = runner.command
		if *output == "json" {
			err = printJSON(os.Stdout, found)
		} else {
			err = printSwept(os.Stdout, found)
		}
		if err == nil && *html != "" {
			err = writeReport(*html, report.Document{Sweeps: []*trial.Swept{found}})
		}
		if err != nil {
			return err
		}
		return sweptOutcome(found)
	}
	return c
}

// printSwept writes the sentence to quote, then the rates in order.
func printSwept(w io.Writer, s *trial.Swept) error {
	if _, err := fmt.Fprintf(w, "%s\n\n", s.Words); err != nil {
		return err
	}
	rows := [][]string{{"RATE", "ACHIEVED", "MB/S", "P50", "P99", "P99.9", "MAX", "CORES", "HELD", "WHY"}}
	points := slices.Clone(s.Points)
	slices.SortStableFunc(points, func(a, b trial.Point) int { return cmp.Compare(a.Rate, b.Rate) })
	for _, p := range points {
		r := p.Result
		row := []string{thousands(int64(p.Rate + 0.5)), thousands(int64(r.Load.Achieved + 0.5)), fmt.Sprintf("%.1f", r.Load.MegabytesASecond), "-", "-", "-", "-", "-", "no", p.Why}
		d := r.Latency[bench.LatencyEndToEnd]
		if d == nil || d.Count == 0 {
			d = r.Latency[bench.LatencyProduce]
		}
		if d != nil {
			for i, ms := range []float64{d.P50, d.P99, d.P999, d.Max} {
				row[3+i] = milliseconds(ms)
			}
		}
		if len(r.Brokers) > 0 {
			var cores float64
			for _, b := range r.Brokers {
				cores += b.Cores()
			}
			row[7] = fmt.Sprintf("%.2f", cores)
		}
		if p.Held {
			row[8] = "yes"
		}
		rows = append(rows, row)
	}
	return printTable(w, rows)
}

// sweptOutcome is the exit code of a search.
func sweptOutcome(s *trial.Swept) error {
	switch {
	case s.Bounded == "generator" || s.Bounded == "disturbance":
		return &failure{exitUnsound, "unsound", s.Words, "fewer or larger requests, more of the machine for the generator, or a machine that nobody else uses"}
	case s.Highest == 0:
		return &failure{exitUnhealthy, "not_met", s.Words, "a lower --rate to begin with, or a wider --slo"}
	}
	return nil
}
