package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/millrace/millrace/bench"
)

type demoFlags struct {
	input, durability, progress, output string
	keep                                bool
	rate                                float64
	length                              time.Duration
	partitions                          int
}

// demoDocument is what -o json prints.
type demoDocument struct {
	Schema     string        `json:"schema"`
	Version    string        `json:"version"`
	Input      string        `json:"input"`
	Files      int           `json:"files"`
	Durability string        `json:"durability"`
	FileSystem string        `json:"file_system"`
	Partitions int           `json:"partitions"`
	ReadyAfter time.Duration `json:"ready_after_ns"`
	Produced   *bench.Phase  `json:"produced"`
	Consumed   *bench.Phase  `json:"consumed"`
	Verified   bench.Verdict `json:"verified"`
	Paced      *bench.Paced  `json:"paced"`
	BrokerCPU  struct {
		User   time.Duration `json:"user_ns"`
		System time.Duration `json:"system_ns"`
	} `json:"broker_cpu"`
}

func newDemo() *cobra.Command {
	var f demoFlags
	c := &cobra.Command{
		Use:   "demo [--input PATH]",
		Short: "Start a broker of its own, move real data through it, verify every record, print the figures",
		Long: `Starts a broker of its own on a free port with its data in a temporary directory, produces a text to it line by line (the key is
the file's path), consumes and verifies every record, measures latency at a fixed rate, and puts everything away again.

The text is the source of the Go installation, or what --input names: a file, or a directory with text files.`,
		Example: `  millrace demo
  millrace demo --input /usr/share/doc
  millrace demo --durability replicated -o json | jq .paced`,
		Args: needs(),
	}
	output := addOutput(c, "text", "json")
	c.Flags().StringVar(&f.input, "input", "", "file or directory to read (default: src of the Go installation)")
	c.Flags().StringVar(&f.durability, "durability", "fsync", "millrace.durability of the broker: fsync, replicated or os")
	c.Flags().BoolVar(&f.keep, "keep", false, "keep the data directory and say where it is")
	c.Flags().Float64Var(&f.rate, "rate", 1000, "records a second while latency is measured")
	c.Flags().DurationVar(&f.length, "duration", 5*time.Second, "how long latency is measured")
	c.Flags().IntVar(&f.partitions, "partitions", 6, "partitions of the topic")
	c.Flags().StringVar(&f.progress, "progress", "auto", "auto, plain or off")
	c.RunE = func(c *cobra.Command, _ []string) error {
		f.output = *output
		switch {
		case f.rate <= 0 || f.length <= 0 || f.partitions <= 0:
			return usage(c, errors.New("--rate, --duration and --partitions must be more than 0"))
		case f.progress != "auto" && f.progress != "plain" && f.progress != "off":
			return usage(c, fmt.Errorf("--progress %s: want auto, plain or off", f.progress))
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
	child, err := startChild(ctx, "millrace.durability="+f.durability)
	if child != nil {
		atSecondSignal = child.kill
		defer func() {
			stopErr := child.stop()
			if f.keep {
				fmt.Fprintf(os.Stderr, "kept: %s\n", child.dir)
			} else if removeErr := os.RemoveAll(child.dir); removeErr != nil {
				stopErr = errors.Join(stopErr, removeErr)
			}
			err = errors.Join(err, stopErr)
		}()
	}
	if err != nil {
		return err
	}
	d := &demoDocument{
		Schema: "millrace.demo/v1", Version: versionString(), Input: path, Files: in.Files(), Partitions: f.partitions,
		FileSystem: fileSystem(child.dir), ReadyAfter: child.readyAfter,
	}
	measuring, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() { <-child.exited; cancel(errBrokerEnded) }() // ends at the latest when the child is put away
	if err := f.measure(measuring, child.address, in, d); err != nil {
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
	if err == nil && (!d.Verified.Intact() || d.Paced.Incomplete) {
		err = &failure{exitUnhealthy, "verification", "the verification failed: " + d.Verified.String() + "\n  " + strings.Join(d.Verified.Examples, "\n  "), ""}
	}
	return err
}

// measure runs the phases of the demo against a broker.
func (f *demoFlags) measure(ctx context.Context, address string, in *bench.Input, d *demoDocument) (err error) {
	o := bench.Options{Brokers: []string{address}, Topic: "demo", Partitions: f.partitions}
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

	o.Topic = "demo-latency"
	if err := bench.CreateTopic(ctx, o, nil); err != nil {
		return err
	}
	ledger = bench.NewLedger(f.partitions)
	o.Progress = bar.timed("measuring latency", f.length)
	if d.Paced, err = bench.RunPaced(ctx, o, in, f.rate, f.length, ledger); err != nil {
		return err
	}
	d.Verified.Add(ledger.Verdict())
	return nil
}

func (d *demoDocument) print(w io.Writer) error {
	var b strings.Builder
	row := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%-11s %s\n", name, fmt.Sprintf(format, args...))
	}
	phase := func(name string, p *bench.Phase) {
		row(name, "%s records, %.1f MB in %.1f s: %s records/s, %.1f MB/s (%s requests of %s records)", thousands(p.Records), float64(p.Bytes)/1e6, p.Elapsed.Seconds(),
			thousands(int64(p.RecordsPerSecond())), p.MegabytesPerSecond(), thousands(p.Requests), thousands(p.Records/max(p.Requests, 1)))
	}
	row("input", "%s, %s", d.Input, counted(d.Files, "file"))
	row("broker", "millrace %s, ready after %.0f ms, used %.1f s of CPU (%.1f user, %.1f system)", d.Version, d.ReadyAfter.Seconds()*1000,
		(d.BrokerCPU.User + d.BrokerCPU.System).Seconds(), d.BrokerCPU.User.Seconds(), d.BrokerCPU.System.Seconds())
	row("durability", "%s, on %s; acks=all, 1 replica, %s, no compression", d.Durability, d.FileSystem, counted(d.Partitions, "partition"))
	phase("produced", d.Produced)
	phase("consumed", d.Consumed)
	if d.Verified.Intact() {
		row("verified", "every one of %s records came back once, in order, unchanged (%s of them sent to measure latency)", thousands(d.Verified.Sent),
			thousands(d.Verified.Sent-d.Produced.Records))
	} else {
		row("verified", "NO: %s", d.Verified)
	}
	fmt.Fprintf(&b, "\nlatency in ms at %s records/s (%s achieved), one record a batch, from the moment each record was due;\n", thousands(int64(d.Paced.Rate)), thousands(int64(d.Paced.Achieved+0.5)))
	fmt.Fprintf(&b, "broker and clients share this machine's %s\n", counted(runtime.NumCPU(), "processor"))
	fmt.Fprintf(&b, "%-26s %9s %9s %9s %9s %9s %9s\n", "", "p50", "p90", "p99", "p99.9", "max", "samples")
	for _, l := range []struct {
		name string
		bench.LatencySummary
	}{{"acknowledged (acks=all)", d.Paced.Acked}, {"end to end", d.Paced.EndToEnd}, {"of it, generator late", d.Paced.Slip}} {
		fmt.Fprintf(&b, "%-26s %9.3f %9.3f %9.3f %9.3f %9.3f %9s\n", l.name, l.P50, l.P90, l.P99, l.P999, l.Max, thousands(l.Count))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// goSource finds the source of the Go installation.
func goSource(ctx context.Context) (string, error) {
	root := os.Getenv("GOROOT")
	if root == "" {
		out, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
		if err == nil {
			root = strings.TrimSpace(string(out))
		}
	}
	if root != "" {
		src := filepath.Join(root, "src")
		if info, err := os.Stat(src); err == nil && info.IsDir() {
			return src, nil
		}
	}
	return "", &failure{exitFailed, "input", "there is no Go installation whose source could be the input", "--input PATH takes a file or a directory with text files"}
}

// fileSystem names what the data lies on: an fsync costs nothing on some.
func fileSystem(dir string) string {
	var s unix.Statfs_t
	if unix.Statfs(dir, &s) != nil {
		return "an unknown file system"
	}
	names := map[int64]string{
		unix.EXT4_SUPER_MAGIC: "ext4", unix.XFS_SUPER_MAGIC: "xfs", unix.BTRFS_SUPER_MAGIC: "btrfs", unix.TMPFS_MAGIC: "tmpfs (memory)",
		unix.OVERLAYFS_SUPER_MAGIC: "overlayfs", unix.F2FS_SUPER_MAGIC: "f2fs", unix.NFS_SUPER_MAGIC: "nfs",
	}
	if name, ok := names[s.Type]; ok {
		return name
	}
	return fmt.Sprintf("file system %#x", s.Type)
}

var errBrokerEnded = errors.New("the broker went away")

// child is a broker of our own.
type child struct {
	cmd        *exec.Cmd
	dir        string // of everything it writes
	address    string
	readyAfter time.Duration
	exited     chan struct{}
	exitErr    error // after exited
	stopped    bool
}

// startChild runs this same binary as a broker and waits until it is ready. It ends with us, whatever ends us. The child is
// returned with an error too, to be put away.
func startChild(ctx context.Context, options ...string) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "millrace-demo-")
	if err != nil {
		return nil, err
	}
	c := &child{dir: dir, exited: make(chan struct{})}
	ports, log := filepath.Join(dir, "ports.json"), filepath.Join(dir, "server.log")
	args := []string{"server", "--port", "0", "--ports-file", ports, "--data-dir", filepath.Join(dir, "data")}
	for _, o := range options {
		args = append(args, "-o", o)
	}
	c.cmd = exec.Command(self, args...)
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, "MILLRACE_") {
			c.cmd.Env = append(c.cmd.Env, variable)
		}
	}
	out, err := os.Create(log)
	if err != nil {
		return c, err
	}
	defer out.Close() // the child has its own
	c.cmd.Stderr = out
	// Its own group: Ctrl-C is for us, who stop it in order. The kernel kills it when the thread that started it ends, which is
	// why this goroutine keeps its thread for good.
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	runtime.LockOSThread()
	begin := time.Now()
	if err := c.cmd.Start(); err != nil {
		return c, err
	}
	go func() { c.exitErr = c.cmd.Wait(); close(c.exited) }()
	for tick := time.NewTicker(time.Millisecond); ; {
		if address, ok := readPorts(ports); ok {
			tick.Stop()
			c.address, c.readyAfter = address, time.Since(begin)
			return c, nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return c, ctx.Err()
		case <-c.exited:
			if ctx.Err() != nil {
				return c, ctx.Err()
			}
			return c, c.explain(errors.New("the broker did not start"))
		}
		if time.Since(begin) > time.Minute {
			return c, c.explain(errors.New("the broker was not ready within a minute"))
		}
	}
}

// explain adds the end of the broker's log to an error, when the broker has ended by itself.
func (c *child) explain(err error) error {
	select {
	case <-c.exited:
	default:
		return err
	}
	text, _ := os.ReadFile(filepath.Join(c.dir, "server.log"))
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return fmt.Errorf("%w\nthe broker has ended (%v); its last words:\n  %s", err, c.exitErr, strings.Join(lines[max(0, len(lines)-10):], "\n  "))
}

// stop ends the broker in order.
func (c *child) stop() error {
	if c.cmd == nil || c.cmd.Process == nil || c.stopped {
		return nil
	}
	c.stopped = true
	_ = c.cmd.Process.Signal(syscall.SIGTERM) // it may have ended already, which exitErr tells
	select {
	case <-c.exited:
	case <-time.After(30 * time.Second):
		_ = c.cmd.Process.Kill()
		<-c.exited
		return errors.New("the broker did not stop within 30 s and was killed")
	}
	if c.exitErr != nil {
		return fmt.Errorf("the broker did not stop in order: %w", c.exitErr)
	}
	return nil
}

// kill puts everything away at once.
func (c *child) kill() {
	if c.cmd != nil && c.cmd.Process != nil {
		_ = c.cmd.Process.Kill()
		<-c.exited
	}
	_ = os.RemoveAll(c.dir)
}
