package trial

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/millrace/millrace/bench"
)

// errNoTrace says that system calls cannot be counted here; it is no failure.
var errNoTrace = errors.New("strace is missing or may not look at the process")

// callsPerRequest runs a second of the workload with strace at the broker, which makes everything slow but counts exactly: every
// system call of the process while the run lasts, by produce requests. The topic's making and the reading back are in it, which is
// why the run has to make many requests.
func callsPerRequest(ctx context.Context, run Run, t bench.Target, spec bench.Spec) (float64, error) {
	if len(t.Pids) != 1 {
		return 0, errNoTrace
	}
	spec.Warmup, spec.Duration = 0, time.Second
	var r *bench.Result
	calls, err := countCalls(t.Pids[0], func() (err error) {
		r, err = run(ctx, t, spec)
		return err
	})
	if err != nil {
		return 0, err
	}
	requests := float64(r.Load.Attempted) / float64(spec.BatchRecords)
	if !r.Verdict.Intact() || requests < 100 {
		return 0, fmt.Errorf("the traced run made %.0f requests: %v", requests, r.Verdict)
	}
	return float64(calls) / requests, nil
}

// countCalls counts the system calls of a process and its threads while f runs.
func countCalls(pid int, f func() error) (int64, error) {
	dir, err := os.MkdirTemp("", "millrace-strace-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	out := filepath.Join(dir, "counts")
	cmd := exec.Command("strace", "-c", "-f", "-o", out, "-p", strconv.Itoa(pid))
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return 0, err
	}
	if err := cmd.Start(); err != nil {
		return 0, errNoTrace
	}
	attached := false
	lines := bufio.NewScanner(stderr)
	for !attached && lines.Scan() {
		attached = strings.Contains(lines.Text(), "attached")
	}
	if !attached {
		_ = cmd.Wait()
		return 0, errNoTrace
	}
	drained := make(chan struct{})
	go func() {
		for lines.Scan() { // it speaks of every thread
		}
		close(drained)
	}()
	failed := f()
	_ = cmd.Process.Signal(syscall.SIGINT) // it lets go of the process, and writes
	<-drained
	_ = cmd.Wait() // ends with the signal
	if failed != nil {
		return 0, failed
	}
	text, err := os.ReadFile(out)
	if err != nil {
		return 0, err
	}
	return sumCalls(string(text))
}

// sumCalls adds up strace's table:
//
//	% time     seconds  usecs/call     calls    errors syscall
//	------ ----------- ----------- --------- --------- ----------------
//	 61.70    0.000546           4       130         2 epoll_pwait
func sumCalls(table string) (sum int64, err error) {
	for line := range strings.Lines(table) {
		f := strings.Fields(line)
		if len(f) < 5 || f[len(f)-1] == "total" || strings.HasPrefix(f[0], "-") || f[0] == "%" {
			continue
		}
		n, err := strconv.ParseInt(f[3], 10, 64)
		if err != nil {
			return 0, fmt.Errorf("strace: %q", line)
		}
		sum += n
	}
	if sum == 0 {
		return 0, errors.New("strace counted nothing")
	}
	return sum, nil
}
