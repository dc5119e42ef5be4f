package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/millrace/millrace/bench"
	"github.com/millrace/millrace/bench/floor"
	"github.com/millrace/millrace/bench/report"
	"github.com/millrace/millrace/bench/trial"
)

func newBenchSuite() *cobra.Command {
	c := &cobra.Command{
		Use:   "suite [" + strings.Join(trial.Suites(), "|") + "] [-b HOST:PORT | --target NAME=HOST:PORT...] [--dir DIR [--resume]]",
		Short: "Run a table of workloads, against one broker or several in turns",
		Long: `Runs the workloads of a suite one after the other, short unless another is named: short shows in a minute and a half what one broker
does, smoke is what CI runs, matrix is that of BENCHMARKS.md and takes an hour. Without a target it starts a broker of its own.
Several --target are run in turns, and the last one is compared with each of the others.

--dir keeps every result in a file; a suite that was interrupted goes on from there by --resume. Exits 3 when records were lost,
reordered or changed, and 4 when a workload has no figures that count.`,
		Example: `  millrace bench suite short --html suite.html
  millrace bench suite short -b kafka-1:9092
  millrace bench suite matrix --target kafka=127.0.0.1:9092 --target millrace=127.0.0.1:9192 --dir results --resume`,
		Args:              needs("[SUITE]"),
		ValidArgsFunction: oneOf(trial.Suites()...),
	}
	var f suiteFlags
	end := group(c, "Suite")
	c.Flags().StringArrayVar(&f.cells, "cell", nil, "run only this workload of the suite; repeatable")
	c.Flags().IntVar(&f.suite.Blocks, "blocks", 0, "how often each workload is run on each target, twice that with several (default 1; 2 with several targets)")
	c.Flags().IntVar(&f.suite.Again, "again", 4, "how many disturbed or invalid runs of a workload are repeated; -1: none")
	c.Flags().DurationVar(&f.suite.Settle, "settle", time.Second, "pause before each run")
	c.Flags().BoolVar(&f.suite.Warm, "warm", false, "warm the brokers up first, a minute at least and until what a request costs no longer falls: for a JVM")
	c.Flags().StringArrayVar(&f.targets, "target", nil, "a running broker, NAME=HOST:PORT; repeatable; of several called floor/VARIANT each workload takes the best")
	c.Flags().BoolVar(&f.floor, "floor", false, "compare with the floor, too: every variant of bench floor is started beside the targets")
	c.Flags().StringArrayVar(&f.starts, "start", nil, "NAME=COMMAND that starts such a broker in the foreground, with {dir} and {port} in it; workloads that start one need it")
	end()
	f.own = addTargetFlags(c)
	end = group(c, groupResult)
	f.output = addOutput(c, "text", "json", "csv", "benchstat")
	c.Flags().StringVar(&f.html, "html", "", "write a report to this file, one that needs no network")
	c.Flags().StringVar(&f.dir, "dir", "", "keep each run's result in this directory")
	c.Flags().BoolVar(&f.resume, "resume", false, "go on with what is in --dir")
	c.Flags().BoolVar(&f.allowDisturbed, "allow-disturbed", false, "exit 0 though the machine was disturbed; the results stay marked")
	f.live = addLive(c)
	end()
	for _, name := range strings.Fields("blocks again settle target start") {
		completeFlag(c, name, nothing)
	}
	completeFlag(c, "cell", func(_ *cobra.Command, args []string, _ string) (names []string, directive cobra.ShellCompDirective) {
		cells, _ := trial.Cells(suiteName(args))
		for _, cell := range cells {
			names = append(names, cell.Name+"\t"+cell.What)
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	})
	c.RunE = func(c *cobra.Command, args []string) error { return f.run(c, args) }
	return c
}

func suiteName(args []string) string {
	if len(args) == 0 {
		return "short"
	}
	return args[0]
}

type suiteFlags struct {
	suite                         trial.Suite
	cells, targets, starts        []string
	own                           *targetFlags
	output, live                  *string
	html, dir                     string
	resume, allowDisturbed, floor bool
}

func (f *suiteFlags) run(c *cobra.Command, args []string) (err error) {
	s := &f.suite
	s.Name = suiteName(args)
	if s.Cells, err = chosenCells(s.Name, f.cells); err != nil {
		return usage(c, err)
	}
	if err := checkLive(c, *f.live); err != nil {
		return err
	}
	if err := checkFiles(c, map[string]string{"html": f.html}); err != nil {
		return err
	}
	if s.Files, err = resultDir(c, f.dir, f.resume); err != nil {
		return err
	}
	runner := runner{live: *f.live, command: asTyped(c, args)}
	s.Run, s.Progress, s.Allow = runner.run, runner.step, f.allowDisturbed
	var found *trial.SuiteResult
	do := func(ctx context.Context, targets []bench.Target, n *namedTargets) (err error) {
		starts, err := f.startCommands(c, targets)
		if err != nil {
			return err
		}
		s.Targets = trial.Subjects(targets, starts)
		s.Configs = func(t bench.Target, durability string) (map[string]string, error) {
			return n.promise(t, durability), nil
		}
		s.Ours = func(t bench.Target) bool { return n.ours[t.Name] }
		found, err = s.Do(ctx)
		return err
	}
	if len(f.targets) > 0 {
		err = f.onNamed(c, do)
	} else {
		err = f.onOne(c, do)
	}
	if err != nil {
		return trialFailure(c, err)
	}
	found.Command = runner.command
	if err := f.write(found); err != nil {
		return err
	}
	return f.judge(found)
}

// chosenCells are the cells of a suite, or those of it that were named.
func chosenCells(suite string, names []string) ([]trial.Cell, error) {
	cells, err := trial.Cells(suite)
	if err != nil || len(names) == 0 {
		return cells, err
	}
	var some []trial.Cell
	var all []string
	for _, name := range names {
		found := false
		for _, cell := range cells {
			if cell.Name == name {
				some, found = append(some, cell), true
			}
		}
		if !found {
			for _, cell := range cells {
				all = append(all, cell.Name)
			}
			return nil, fmt.Errorf("--cell %s: suite %s has %s", name, suite, strings.Join(all, ", "))
		}
	}
	return some, nil
}

// onTargets runs a suite on targets, of which some are ours.
type onTargets func(context.Context, []bench.Target, *namedTargets) error

// onNamed runs the suite on the brokers of --target.
func (f *suiteFlags) onNamed(c *cobra.Command, do onTargets) error {
	for _, flag := range append(ownOnly, "brokers", "pid") {
		if c.Flags().Changed(flag) && !(flag == "brokers" && fromEnvironment(f.own.client.brokers)) {
			return usage(c, fmt.Errorf("--%s is for a single broker, and --target names others", flag))
		}
	}
	n := &namedTargets{timeout: f.own.client.timeout, place: f.own.place, ours: map[string]bool{}}
	return n.with(c, f.targets, func(ctx context.Context, targets []bench.Target) error { return f.withFloor(ctx, c, targets, n, do) })
}

// onOne runs the suite on the broker of -b, or on one of our own.
func (f *suiteFlags) onOne(c *cobra.Command, do onTargets) error {
	return f.own.with(c, func(ctx context.Context, t bench.Target) (err error) {
		n := &namedTargets{place: f.own.place, ours: map[string]bool{t.Name: true}}
		if len(f.own.client.brokers) > 0 {
			if n.ours[t.Name], err = f.own.client.isMillrace(ctx); err != nil {
				return err
			}
		}
		return f.withFloor(ctx, c, []bench.Target{t}, n, do)
	})
}

// withFloor starts the variants of the floor, when they are wanted; they come first, since the last target is the one compared.
func (f *suiteFlags) withFloor(ctx context.Context, c *cobra.Command, targets []bench.Target, n *namedTargets, do onTargets) error {
	if !f.floor {
		return do(ctx, targets, n)
	}
	where, err := n.place.read(c)
	if err != nil {
		return err
	}
	var start func(ctx context.Context, left []string, started []bench.Target) error
	start = func(ctx context.Context, left []string, started []bench.Target) error {
		if len(left) == 0 {
			return do(ctx, append(started, targets...), n)
		}
		return withChild(ctx, floorChild(left[0], f.own.dataDir, where), func(ctx context.Context, server *child) error {
			return start(ctx, left[1:], append(started, server.target("floor/"+left[0])))
		})
	}
	return start(ctx, floor.Variants, nil)
}

// startCommands are those of --start, and that of a broker of our own, by the targets' names.
func (f *suiteFlags) startCommands(c *cobra.Command, targets []bench.Target) (map[string][]string, error) {
	commands := map[string][]string{}
	if len(f.own.client.brokers)+len(f.targets) == 0 {
		self, err := os.Executable()
		if err != nil {
			return nil, err
		}
		commands[ownName] = []string{self, "server", "--port", "{port}", "--data-dir", "{dir}"}
	}
	for _, text := range f.starts {
		name, command, _ := strings.Cut(text, "=")
		words := strings.Fields(command)
		if len(words) == 0 || !strings.Contains(command, "{port}") {
			return nil, usage(c, fmt.Errorf("--start %s: want NAME=COMMAND with {port} and {dir} in it", text))
		}
		if !slices.ContainsFunc(targets, func(t bench.Target) bool { return t.Name == name }) {
			return nil, usage(c, fmt.Errorf("--start %s=...: there is no such target", name))
		}
		commands[name] = words
	}
	return commands, nil
}

// results are all that were run.
func results(s *trial.SuiteResult) (all []*bench.Result, compared []*trial.Comparison) {
	for _, cell := range s.Cells {
		for _, g := range cell.Segments {
			if g.Result != nil {
				all = append(all, g.Result)
			}
		}
		compared = append(compared, cell.Compared...)
	}
	return all, compared
}

func (f *suiteFlags) write(s *trial.SuiteResult) (err error) {
	all, compared := results(s)
	switch *f.output {
	case "json":
		err = printJSON(os.Stdout, s)
	case "csv":
		err = report.CSV(os.Stdout, all)
	case "benchstat":
		err = report.Benchstat(os.Stdout, all)
	default:
		err = printSuite(os.Stdout, s)
	}
	if err == nil && f.html != "" {
		err = writeReport(f.html, report.Document{Results: all, Comparisons: compared})
	}
	return err
}

// judge is the exit code of a suite.
func (f *suiteFlags) judge(s *trial.SuiteResult) error {
	var lost, unsound, broken []string
	for _, cell := range s.Cells {
		switch {
		case cell.Lost:
			lost = append(lost, cell.Cell+": "+cell.Error)
		case cell.Error != "":
			broken = append(broken, cell.Cell+": "+cell.Error)
		}
		for _, target := range s.Targets {
			if cell.Left[target] == "" && cell.Error == "" && cell.Figures[target] == nil {
				if why := vain(cell, target, f.allowDisturbed); why != "" {
					unsound = append(unsound, cell.Cell+", "+target+": "+why)
				}
			}
		}
	}
	switch {
	case len(lost) > 0:
		return &failure{exitUnhealthy, "verification", "the verification failed: " + strings.Join(lost, "\n  "), ""}
	case len(broken) > 0:
		return &failure{exitFailed, "failed", strings.Join(broken, "\n  "), ""}
	case len(unsound) > 0:
		return unsoundFailure(unsound)
	}
	return nil
}

// vain is why a cell has no figures of a target. Where a disturbed machine is allowed, so is a generator that was late on it.
func vain(cell trial.CellResult, target string, allowDisturbed bool) string {
	last := lastOf(cell, target)
	if last == nil || allowDisturbed && len(last.Disturbed) > 0 {
		return ""
	}
	_, why := stateOf(last)
	return strings.Join(why, "; ")
}
