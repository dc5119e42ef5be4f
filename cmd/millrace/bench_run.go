package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/millrace/millrace/bench"
)

func newBenchRun() *cobra.Command {
	c := &cobra.Command{
		Use:   "run [-b HOST:PORT] [--rate RATE] [--duration LENGTH]",
		Short: "Run one workload against one broker",
		Long: `Runs one workload, against the broker of -b or one of its own, and prints what came of it: the verdict first. Topics are made by the
run and deleted again.`,
		Example: `  millrace bench run --rate 10k/s
  millrace bench run -b kafka-1:9092 --rate 50k/s --batch-records 16 --duration 1m --html report.html
  millrace bench run -P 4 --batch-records 64 --consume after --server-cpus 0 --client-cpus 1 -o json`,
		Args:              needs(),
		ValidArgsFunction: nothing,
	}
	w := addWorkloadFlags(c)
	target := addTargetFlags(c)
	end := group(c, groupResult)
	out := addResultFlags(c)
	hlog := c.Flags().String("hlog", "", "write the latencies of each second to this file, as an HdrHistogram log")
	name := c.Flags().String("name", "", "of the result, in tables and files")
	keep := c.Flags().Bool("keep", false, "keep the topic that the run makes")
	live := addLive(c)
	end()
	completeFlag(c, "name", nothing)
	c.RunE = func(c *cobra.Command, args []string) error {
		spec, err := w.workload(c)
		if err != nil {
			return err
		}
		spec.Name = *name
		if err := checkLive(c, *live); err != nil {
			return err
		}
		if err := out.check(c); err != nil {
			return err
		}
		if err := checkFiles(c, map[string]string{"hlog": *hlog}); err != nil {
			return err
		}
		runner := runner{live: *live, command: asTyped(c, args), keep: *keep}
		var result *bench.Result
		err = target.with(c, func(ctx context.Context, t bench.Target) (err error) {
			result, err = runner.run(ctx, t, spec)
			return err
		})
		if err == nil && *hlog != "" {
			err = writeFile(*hlog, func(w io.Writer) error { return bench.WriteHlog(w, result) })
		}
		if err != nil {
			return err
		}
		return out.write(result)
	}
	return c
}

// runner runs workloads and shows them while they last.
type runner struct {
	live    string
	command []string // that repeats it
	keep    bool     // the topics it makes
}

func (r *runner) run(ctx context.Context, t bench.Target, spec bench.Spec) (*bench.Result, error) {
	s := newScreen(r.live, title(t.Name, spec), spec.Rate > 0 || strings.HasPrefix(spec.Arrivals, "trace:"), os.Stderr)
	defer s.close()
	result, err := bench.Run(ctx, bench.Setup{Target: t, Pids: t.Pids, Command: r.command, Version: versionString(), Live: s.show, Keep: r.keep}, spec)
	if err != nil && ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return result, err
}

// title is the workload in a line.
func title(target string, s bench.Spec) string {
	text := s.Name
	if text == "" {
		text = "workload"
	}
	if target != "" {
		text = target + " " + text
	}
	load := "closed loop"
	if s.Rate > 0 {
		load = short(s.Rate) + "/s " + s.Arrivals
	}
	return fmt.Sprintf("%s (%s, %s bytes, %s, acks=%s)", text, load, s.Size, counted(s.Partitions, "partition"), s.Acks)
}
