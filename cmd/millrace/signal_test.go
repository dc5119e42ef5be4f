package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// launched is the binary under test with its output watched.
type launched struct {
	*exec.Cmd
	stdout, stderr watched
}

// watched is a writer that tells when a text has come.
type watched struct {
	text chan string
	all  bytes.Buffer // read it after the process has ended
}

func (w *watched) Write(p []byte) (int, error) {
	w.all.Write(p)
	select {
	case w.text <- w.all.String():
	default: // nobody waits for more
	}
	return len(p), nil
}

func (w *watched) wait(t *testing.T, part string) {
	t.Helper()
	for limit := time.After(30 * time.Second); ; {
		select {
		case text := <-w.text:
			if strings.Contains(text, part) {
				return
			}
		case <-limit:
			t.Fatalf("%q did not come", part)
		}
	}
}

func launch(t *testing.T, env []string, args ...string) *launched {
	t.Helper()
	l := &launched{Cmd: exec.Command(binary, args...)}
	l.stdout.text, l.stderr.text = make(chan string, 1000), make(chan string, 1000)
	l.Stdout, l.Stderr = &l.stdout, &l.stderr
	l.Env = append(append(os.Environ(), "MILLRACE_BROKERS="+kafka), env...)
	l.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return l
}

func (l *launched) run(t *testing.T) {
	t.Helper()
	if err := l.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Process.Kill() })
}

// ends waits for the process and checks its exit code.
func (l *launched) ends(t *testing.T, want int) {
	t.Helper()
	over := time.AfterFunc(30*time.Second, func() { _ = l.Process.Kill() })
	_ = l.Wait() // the code tells
	over.Stop()
	if got := l.ProcessState.ExitCode(); got != want {
		t.Errorf("exit code %d, want %d; stderr:\n%s", got, want, l.stderr.all.String())
	}
}

func (l *launched) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := l.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

func TestInterruptedConsumeExitsWith130AndHasPrintedWhatCame(t *testing.T) {
	produce := launch(t, nil, "produce", "sig-consume")
	produce.Stdin = strings.NewReader("one\ntwo\n")
	produce.run(t)
	produce.ends(t, 0)
	c := launch(t, nil, "consume", "sig-consume")
	c.run(t)
	c.stdout.wait(t, "two\n")
	c.signal(t, syscall.SIGINT)
	c.ends(t, 130)
	if got := c.stdout.all.String() + c.stderr.all.String(); got != "one\ntwo\n" {
		t.Errorf("printed %q", got)
	}
}

func TestInterruptedProduceSendsWhatItHasRead(t *testing.T) {
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	defer in.Close()
	p := launch(t, nil, "produce", "sig-produce")
	p.Stdin = in
	p.run(t)
	if _, err := out.WriteString("read\n"); err != nil {
		t.Fatal(err)
	}
	// The record shows up while the producer still waits for more input.
	for deadline := time.Now().Add(20 * time.Second); ; {
		c := launch(t, nil, "consume", "sig-produce", "-n", "1")
		c.run(t)
		_ = c.Wait()
		if c.stdout.all.String() == "read\n" {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the record did not come: %s", c.stderr.all.String())
		}
	}
	p.signal(t, syscall.SIGTERM)
	p.ends(t, 128+15)
}

// timeout(1) signals the process and then its group, this process among it: that is one wish, not two.
func TestSignalThatComesTwiceAtOnceCountsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		signals := make(chan os.Signal)
		var got []string
		go obey(signals, func(syscall.Signal) { got = append(got, "stop") }, func(syscall.Signal) { got = append(got, "cut") })
		signals <- syscall.SIGTERM
		signals <- syscall.SIGTERM
		time.Sleep(echo)
		signals <- syscall.SIGCONT
		synctest.Wait()
		if !slices.Equal(got, []string{"stop"}) {
			t.Errorf("at once: %q", got)
		}
		time.Sleep(time.Nanosecond)
		signals <- syscall.SIGTERM
		synctest.Wait()
		if !slices.Equal(got, []string{"stop", "cut"}) {
			t.Errorf("once more: %q", got)
		}
		close(signals)
	})
}

func TestConsumeGivesUpOnABrokerThatIsGone(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "ports.json")
	broker, stderr := start("server", "--port", "0", "--ports-file", file, "--data-dir", filepath.Join(dir, "data"))
	defer stop(broker)
	if err := waitForFile(file, broker); err != nil {
		t.Fatalf("%v\n%s", err, stderr)
	}
	address, _ := readPorts(file)
	p := launch(t, nil, "produce", "gone", "-b", address)
	p.Stdin = strings.NewReader("one\n")
	p.run(t)
	p.ends(t, 0)
	c := launch(t, nil, "consume", "gone", "-b", address, "--timeout", "1s")
	c.run(t)
	c.stdout.wait(t, "one\n")
	if err := broker.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	c.ends(t, exitTimeout)
	if got := c.stderr.all.String(); !strings.HasPrefix(got, "millrace: no answer from "+address+" for 1s\n") {
		t.Errorf("stderr:\n%s", got)
	}
}

func TestSecondInterruptEndsAtOnce(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "ports.json")
	broker, stderr := start("server", "--port", "0", "--ports-file", file, "--data-dir", filepath.Join(dir, "data"))
	defer stop(broker)
	if err := waitForFile(file, broker); err != nil {
		t.Fatalf("%v\n%s", err, stderr)
	}
	address, _ := readPorts(file)
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	defer in.Close()
	p := launch(t, nil, "produce", "sig-twice", "-b", address, "--timeout", "10m")
	p.Stdin = in
	p.run(t)
	if _, err := out.WriteString("first\n"); err != nil {
		t.Fatal(err)
	}
	consume := launch(t, nil, "consume", "sig-twice", "-b", address, "-n", "1")
	for consume.run(t); ; consume.run(t) { // until the topic is there
		_ = consume.Wait()
		if consume.ProcessState.ExitCode() == 0 {
			break
		}
		consume = launch(t, nil, "consume", "sig-twice", "-b", address, "-n", "1")
	}
	// A broker that does not answer any more: the first Ctrl-C waits for the acknowledgement, the second does not.
	if err := broker.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = broker.Process.Signal(syscall.SIGCONT) }()
	if _, err := out.WriteString("second\n"); err != nil {
		t.Fatal(err)
	}
	p.signal(t, syscall.SIGINT)
	gone := make(chan struct{})
	go func() { p.ends(t, 130); close(gone) }()
	for tick := time.NewTicker(20 * time.Millisecond); ; {
		select {
		case <-tick.C:
			_ = p.Process.Signal(syscall.SIGINT) // it may take the first one a moment to be seen
			continue
		case <-gone:
			tick.Stop()
		}
		break
	}
}

// demoLeftovers lists what a demo left in its directory, and the brokers that still run from there.
func demoLeftovers(t *testing.T, tmp string) []string {
	t.Helper()
	var left []string
	entries, err := os.ReadDir(tmp)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		left = append(left, e.Name())
	}
	processes, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range processes {
		if text, err := os.ReadFile(p); err == nil && bytes.Contains(text, []byte(tmp)) {
			left = append(left, p)
		}
	}
	return left
}

func TestInterruptedDemoLeavesNothingBehind(t *testing.T) {
	for _, test := range []struct {
		name   string
		signal syscall.Signal
		times  int
		exit   int
	}{{"Ctrl-C", syscall.SIGINT, 1, 130}, {"SIGTERM", syscall.SIGTERM, 1, 143}, {"Ctrl-C twice", syscall.SIGINT, 2, 130}} {
		tmp := t.TempDir()
		text := filepath.Join(t.TempDir(), "text")
		if err := os.WriteFile(text, []byte(strings.Repeat("a line\n", 1000)), 0o600); err != nil {
			t.Fatal(err)
		}
		d := launch(t, []string{"TMPDIR=" + tmp}, "demo", "--input", text, "--duration", "10m", "--progress", "plain")
		d.run(t)
		d.stderr.wait(t, ", measure ")
		if len(demoLeftovers(t, tmp)) < 2 {
			t.Fatal("the demo's directory and broker are not where this test looks")
		}
		for range test.times {
			d.signal(t, test.signal)
		}
		d.ends(t, test.exit)
		if left := demoLeftovers(t, tmp); len(left) > 0 {
			t.Errorf("%s: left behind: %v", test.name, left)
		}
	}
}

func TestDemoWhoseBrokerDiesSaysSoAndLeavesNothingBehind(t *testing.T) {
	tmp := t.TempDir()
	text := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(text, []byte("a line\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	d := launch(t, []string{"TMPDIR=" + tmp}, "demo", "--input", text, "--duration", "10m", "--progress", "plain")
	d.run(t)
	d.stderr.wait(t, ", measure ")
	for _, left := range demoLeftovers(t, tmp) {
		if pid, ok := strings.CutSuffix(strings.TrimPrefix(left, "/proc/"), "/cmdline"); ok {
			n, err := strconv.Atoi(pid)
			if err != nil {
				t.Fatal(err)
			}
			if err := syscall.Kill(n, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
		}
	}
	d.ends(t, exitFailed)
	if got := d.stderr.all.String(); !strings.Contains(got, "the broker has ended (signal: killed)") {
		t.Errorf("stderr:\n%s", got)
	}
	if left := demoLeftovers(t, tmp); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestKilledDemoTakesItsBrokerWithIt(t *testing.T) {
	tmp := t.TempDir()
	text := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(text, []byte("a line\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	d := launch(t, []string{"TMPDIR=" + tmp}, "demo", "--input", text, "--duration", "10m", "--progress", "plain")
	d.run(t)
	d.stderr.wait(t, ", measure ")
	d.signal(t, syscall.SIGKILL)
	d.ends(t, -1)
	for tick, limit := time.NewTicker(5*time.Millisecond), time.After(20*time.Second); len(demoLeftovers(t, tmp)) > 1; { // the directory stays
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("still there: %v", demoLeftovers(t, tmp))
		}
	}
}

// A run that is ended leaves neither its broker nor its directory behind.
func TestInterruptedBenchPutsItsBrokerAway(t *testing.T) {
	dir := t.TempDir()
	b := launch(t, nil, "bench", "run", "--rate", "100", "--duration", "1m", "--live", "plain")
	b.Env = append(os.Environ(), "TMPDIR="+dir)
	b.run(t)
	b.stderr.wait(t, "verified") // the first line, after five seconds
	running, _ := filepath.Glob(filepath.Join(dir, "millrace-bench-*", "ports.json"))
	if len(running) != 1 {
		t.Errorf("brokers: %v", running)
	}
	b.signal(t, syscall.SIGINT)
	b.ends(t, 130)
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("it leaves %v behind", left)
	}
	if out := b.stdout.all.String(); out != "" {
		t.Errorf("a result of a run that was not done:\n%s", out)
	}
}
