package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/millrace/millrace/bench"
	"github.com/millrace/millrace/bench/report"
)

type demoFlags struct {
	input, durability, progress, output, html string
	named, keep                               bool // named: html is, by the user
	rate                                      float64
	length                                    time.Duration
	partitions                                int
}

func newDemo() *cobra.Command {
	var f demoFlags
	c := &cobra.Command{
		Use:   "demo [--input PATH]",
		Short: "Start a broker of its own, move real data through it, verify every record, print the figures",
		Long: `Starts a broker of its own on a free port with its data in a temporary directory, produces a text to it line by line (the key is
the file's path), consumes and verifies every record, measures latency at a fixed rate as bench run does, and puts everything away
again, but for a report of the latencies.

The text is the source of the Go installation, or what --input names: a file, or a directory with text files.`,
		Example: `  millrace demo
  millrace demo --input /usr/share/doc
  millrace demo --durability replicated -o json | jq .latency.latency`,
		Args: needs(),
	}
	output := addOutput(c, "text", "json")
	c.Flags().StringVar(&f.input, "input", "", "file or directory to read (default: src of the Go installation)")
	c.Flags().StringVar(&f.durability, "durability", "fsync", "millrace.durability of the broker: fsync, replicated or os")
	c.Flags().BoolVar(&f.keep, "keep", false, "keep the data directory and say where it is")
	c.Flags().Float64Var(&f.rate, "rate", 1000, "records a second while latency is measured")
	c.Flags().DurationVar(&f.length, "duration", 5*time.Second, "how long latency is measured")
	c.Flags().IntVar(&f.partitions, "partitions", 6, "partitions of the topic")
	c.Flags().StringVar(&f.html, "html", demoReport, "file of the report; none when empty, and under -o json unless it is named")
	c.Flags().StringVar(&f.progress, "progress", "auto", "auto, plain or off")
	c.RunE = func(c *cobra.Command, _ []string) error {
		f.output = *output
		f.named = c.Flags().Changed("html")
		switch {
		case f.rate <= 0 || f.length <= 0 || f.partitions <= 0:
			return usage(c, errors.New("--rate, --duration and --partitions must be more than 0"))
		case f.progress != "auto" && f.progress != "plain" && f.progress != "off":
			return usage(c, fmt.Errorf("--progress %s: want auto, plain or off", f.progress))
		}
		if err := checkFiles(c, map[string]string{"html": f.html}); err != nil {
			return err
		}
		return f.run(c.Context())
	}
	return c
}

func (f *demoFlags) run(ctx context.Context) (err error) {
	// A reader of our output that goes away must not keep us from putting things away.
	signal.Ignore(syscall.SIGPIPE)
	path := f.input
	if path == "" {
		if path, err = goSource(ctx); err != nil {
			return err
		}
	}
	in, err := bench.OpenInput(path)
	if err != nil {
		return &failure{exitFailed, "input", "input: " + err.Error(), "--input PATH takes a file or a directory with text files"}
	}
	child, err := startChild(ctx, childOptions{name: "demo", args: []string{"server", "-o", "millrace.durability=" + f.durability}})
	if child != nil {
		atSecondSignal = child.kill
		defer func() { err = errors.Join(err, child.putAway(f.keep)) }()
	}
	if err != nil {
		return err
	}
	d := &demoDocument{
		Schema: "millrace.demo/v2", Version: versionString(), Input: path, Files: in.Files(), Partitions: f.partitions,
		FileSystem: fileSystem(child.dir), ReadyAfter: child.readyAfter,
	}
	measuring, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() { <-child.exited; cancel(errBrokerEnded) }() // ends at the latest when the child is put away
	if err := f.measure(measuring, child, in, d); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return child.explain(err)
	}
	if err := child.stop(); err != nil {
		return err
	}
	d.BrokerCPU.User, d.BrokerCPU.System = child.cmd.ProcessState.UserTime(), child.cmd.ProcessState.SystemTime()
	if f.output == "json" {
		err = printJSON(os.Stdout, d)
	} else {
		err = d.print(os.Stdout)
	}
	if err == nil && f.wantsReport() {
		err = f.report(d.Latency)
	}
	if err == nil && !d.Verified.Intact() {
		err = &failure{exitUnhealthy, "verification", "the verification failed: " + d.Verified.String() + "\n  " + strings.Join(d.Verified.Examples, "\n  "), ""}
	}
	return err
}

// measure runs the phases of the demo against a broker.
func (f *demoFlags) measure(ctx context.Context, broker *child, in *bench.Input, d *demoDocument) (err error) {
	o := bench.Options{Brokers: []string{broker.address}, Topic: "demo", Partitions: f.partitions}
	if err := bench.CreateTopic(ctx, o, nil); err != nil {
		return err
	}
	if d.Durability, err = bench.Durability(ctx, o); err != nil {
		return err
	}
	ledger := bench.NewLedger(f.partitions)
	bar := newProgress(f.progress, os.Stderr)
	o.Progress = bar.phase("producing")
	if d.Produced, err = bench.Produce(ctx, o, in, ledger); err != nil {
		return err
	}
	o.Progress = bar.phase("consuming and verifying")
	if d.Consumed, err = bench.Consume(ctx, o, ledger); err != nil {
		return err
	}
	d.Verified = ledger.Verdict()

	spec := bench.Spec{Name: "demo", Rate: f.rate, Warmup: min(f.length/5, 2*time.Second), Duration: f.length, Partitions: f.partitions}.WithDefaults()
	latency := runner{live: f.progress, command: []string{"millrace", "bench", "run", "--name=demo", "--rate=" + short(f.rate), "--warmup=" + spec.Warmup.String(),
		"--duration=" + f.length.String(), fmt.Sprint("--partitions=", f.partitions), "--durability=" + f.durability}}
	if d.Latency, err = latency.run(ctx, broker.target(ownName), spec); err != nil {
		return err
	}
	d.Verified.Add(d.Latency.Verdict)
	return nil
}

// demoReport is where the report goes, when nobody says.
const demoReport = "millrace-demo.html"

// wantsReport reports whether the user asked for a file, or at least looks at the terminal.
func (f *demoFlags) wantsReport() bool { return f.html != "" && (f.named || f.output != "json") }

// report writes the file and says where it is. Where nobody asked for it, a directory that cannot be written to is no failure.
func (f *demoFlags) report(r *bench.Result) error {
	err := writeReport(f.html, report.Document{Results: []*bench.Result{r}})
	if err != nil && !f.named {
		fmt.Fprintf(os.Stderr, "note: no report: %v; --html FILE names another place\n", err)
		return nil
	}
	return err
}
