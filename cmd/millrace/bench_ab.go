package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/millrace/millrace/bench"
	"github.com/millrace/millrace/bench/report"
	"github.com/millrace/millrace/bench/trial"
)

func newBenchAB() *cobra.Command {
	c := &cobra.Command{
		Use:   "ab A=HOST:PORT B=HOST:PORT [--blocks N] [--durability MODE | --unequal-durability]",
		Short: "Run one workload against two brokers in turns, and say what differs and by how much",
		Long: `Runs blocks of A B B A, so that what drifts on the machine falls on both alike, and compares pairs of runs that were close to each
other: ratios with their intervals, in sentences to quote. Where the data do not carry a verdict there is none. A block in which the
machine was disturbed, or the generator was the bottleneck, is named and run once more.

What an acknowledgement promises must be the same on both: --durability os (page cache) or fsync sets it for the topics on either as
it needs it, in Millrace by millrace.durability, elsewhere by flush.messages. --unequal-durability compares them as they are, and the
headline says so.

Exits 0 when the blocks carry a verdict, "no difference" being one, 3 when records were lost, reordered or changed, and 4 when too
few blocks were left.`,
		Example: `  millrace bench ab kafka=127.0.0.1:9092 millrace=127.0.0.1:9192 --rate 10k/s --durability os
  millrace bench ab old=127.0.0.1:9092 new=127.0.0.1:9192 --batch-records 64 --blocks 6 --html ab.html`,
		Args:              needs("A=HOST:PORT", "B=HOST:PORT"),
		ValidArgsFunction: nothing,
	}
	ab := trial.AB{}
	w := addWorkloadFlags(c)
	end := group(c, "Comparison")
	c.Flags().IntVar(&ab.Blocks, "blocks", 4, "of A B B A, each two pairs")
	c.Flags().IntVar(&ab.Again, "again", 4, "how many disturbed or invalid runs are repeated, in all")
	c.Flags().DurationVar(&ab.Settle, "settle", 2*time.Second, "pause before each run")
	c.Flags().StringVar(&ab.Headline, "headline", "", "figure that is looked at first: cpu_per_gb, e2e.p99.9, throughput, ... (default: what the workload asks for)")
	c.Flags().BoolVar(&ab.UnequalDurability, "unequal-durability", false, "compare though an acknowledgement promises more on one side")
	targets := addNamedTargets(c)
	end()
	end = group(c, groupResult)
	output := addOutput(c, "text", "json")
	dir := c.Flags().String("dir", "", "keep each run's result in this directory")
	resume := c.Flags().Bool("resume", false, "go on with what is in --dir")
	html := c.Flags().String("html", "", "write a report to this file, one that needs no network")
	live := addLive(c)
	end()
	completeFlag(c, "headline", metricNames)
	for _, name := range strings.Fields("blocks again settle") {
		completeFlag(c, name, nothing)
	}
	c.RunE = func(c *cobra.Command, args []string) (err error) {
		if ab.Spec, err = w.workload(c); err != nil {
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
		if ab.Headline != "" {
			if _, err := trial.MetricNamed(ab.Headline); err != nil {
				return usage(c, fmt.Errorf("--headline: %w", err))
			}
		}
		if ab.Files, err = resultDir(c, *dir, *resume); err != nil {
			return err
		}
		runner := runner{live: *live, command: asTyped(c, args)}
		ab.Run, ab.Progress = runner.run, runner.step
		var result *trial.Comparison
		err = targets.with(c, args, func(ctx context.Context, t []bench.Target) (err error) {
			ab.A, ab.B = t[0], t[1]
			ab.Configs = func(t bench.Target) map[string]string { return targets.promise(t, targets.durability) }
			result, err = ab.Do(ctx)
			return err
		})
		if err != nil {
			return trialFailure(c, err)
		}
		result.Command = runner.command
		if *output == "json" {
			err = printJSON(os.Stdout, result)
		} else {
			err = printComparison(os.Stdout, result)
		}
		if err == nil && *html != "" {
			err = writeReport(*html, report.Document{Comparisons: []*trial.Comparison{result}})
		}
		if err == nil && !result.Sound() {
			err = &failure{exitUnsound, "unsound", "too few blocks were left for a verdict", "more --blocks, or a machine that nobody else uses"}
		}
		return err
	}
	return c
}

// metricNames completes the name of a figure.
func metricNames(*cobra.Command, []string, string) (names []string, directive cobra.ShellCompDirective) {
	for _, m := range trial.Metrics() {
		names = append(names, m.Name+"\t"+m.Words)
	}
	return names, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
}

// resultDir is where results are kept; nil: nowhere.
func resultDir(c *cobra.Command, dir string, resume bool) (*trial.Files, error) {
	if dir != "" {
		return &trial.Files{Dir: dir, Resume: resume}, nil
	}
	if resume {
		return nil, usage(c, errors.New("--resume goes on with the results in --dir, which is missing"))
	}
	return nil, nil
}

// trialFailure gives what a trial refuses its exit code.
func trialFailure(c *cobra.Command, err error) error {
	var lost *trial.VerificationError
	var unequal *trial.UnequalDurabilityError
	switch {
	case errors.As(err, &lost):
		return &failure{exitUnhealthy, "verification", "the verification failed: " + err.Error(), ""}
	case errors.As(err, &unequal):
		return &failure{exitUsage, "unequal_durability", unequal.Error(), ""}
	}
	return err
}

// step tells where a trial stands, on stderr.
func (r *runner) step(s trial.Step) {
	if r.live == "off" {
		return
	}
	where := s.Target
	if s.Blocks > 0 {
		where = fmt.Sprintf("block %d of %d, run %d of %d: %s", s.Block, s.Blocks, s.Place, s.Places, s.Target)
	}
	if s.Cell != "" {
		where = s.Cell + ": " + where
	}
	switch {
	case s.Result != nil:
		fmt.Fprintf(os.Stderr, "%s: %s\n", where, brief(s.Result))
	case s.Why != "":
		fmt.Fprintf(os.Stderr, "%s: %s\n", where, s.Why)
	}
}

// brief is a result in a line.
func brief(r *bench.Result) string {
	var text []string
	if r.Load.Achieved > 0 {
		text = append(text, fmt.Sprintf("%s records/s, %.1f MB/s", thousands(int64(r.Load.Achieved+0.5)), r.Load.MegabytesASecond))
	}
	for _, name := range []string{bench.LatencyProduce, bench.LatencyEndToEnd} {
		if d := r.Latency[name]; d != nil && d.Count > 0 {
			text = append(text, fmt.Sprintf("%s p50 %s p99 %s ms", name, milliseconds(d.P50), milliseconds(d.P99)))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(r.Figures)) {
		if m, err := trial.MetricNamed(name); err == nil {
			text = append(text, name+" "+m.Format(r.Figures[name]))
		}
	}
	state, why := stateOf(r)
	if len(why) > 0 {
		state += ": " + why[0]
	}
	return strings.Join(append(text, state), ", ")
}

// stateOf is what may be made of a result, in a word, and why.
func stateOf(r *bench.Result) (state string, why []string) {
	switch {
	case !r.Verdict.Intact():
		return "NOT VERIFIED", append([]string{r.Verdict.String()}, r.Verdict.Examples...)
	case r.Errors > 0:
		return "ERRORS", append([]string{counted(int(r.Errors), "request") + " failed"}, r.Verdict.Examples...)
	case len(r.Invalid) > 0:
		return "INVALID", append(slices.Clone(r.Invalid), r.Disturbed...)
	case len(r.Disturbed) > 0:
		return "disturbed", r.Disturbed
	case r.Saturated:
		return "saturated", nil
	}
	return "verified", nil
}
