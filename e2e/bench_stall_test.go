package e2e

import (
	"context"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/millrace/millrace/bench"
)

// A broker that stands still for S every T, under a fixed rate: what was due during a stall was late by the rest of it, whether it
// could be sent or not. So the longest latency is S, and what was due in the first half of a stall is slower than S/2: a share of
// S/2T of all. A generator that waits for the broker before it sends on would show a handful of slow records instead.
func TestBenchSeesStallsOfTheBroker(t *testing.T) {
	if testing.Short() {
		t.Skip("two runs of 20 s")
	}
	for _, mode := range []string{"raw", "kgo"} {
		t.Run(mode, func(t *testing.T) {
			const attempts = 3
			for range attempts {
				result, stood := stalled(t, mode)
				less, more := judge(t, result, stood)
				if less != "" {
					t.Fatal(less) // nothing that a machine does makes latencies shorter
				}
				if more == "" {
					return
				}
				// The machine's own stalls cannot be told from the broker's. The limits stay as they are: the run is repeated.
				if len(result.Disturbed) == 0 {
					t.Fatal(more)
				}
				t.Logf("again: %s; %q", more, result.Disturbed)
			}
			t.Skipf("the machine was disturbed in each of %d runs: no stall was missed, whether any was exaggerated cannot be told", attempts)
		})
	}
}

const (
	stall  = 500 * time.Millisecond
	period = 5 * time.Second
	length = 4 * period
)

// stalled makes one run with a broker that stands still, and says for how long it did at most.
func stalled(t *testing.T, mode string) (result *bench.Result, stood time.Duration) {
	b := start(t, t.TempDir(), 0)
	defer b.kill()
	ctx, cancel := context.WithCancel(within(t, 2*time.Minute))
	defer cancel()
	measuring := make(chan struct{})
	begun := false
	live := func(l bench.Live) {
		if l.Phase == "measure" && !begun {
			begun = true
			close(measuring)
		}
	}
	longest := make(chan time.Duration, 1)
	go func() {
		select {
		case <-measuring:
			longest <- halt(ctx, b.pid(), int(length/period))
		case <-ctx.Done():
			longest <- 0
		}
	}()
	setup := bench.Setup{Target: bench.Target{Brokers: []string{b.addr}}, Pids: []int{b.pid()}, Live: live}
	spec := bench.Spec{Mode: mode, Rate: 2000, Warmup: time.Second, Duration: length, BatchRecords: 10}
	if mode == "kgo" {
		spec.BatchRecords = 100 // what has waited goes together: the sooner it is gone, the less of it is late for its own sake
	}
	result, err := bench.Run(ctx, setup, spec)
	cancel()
	stood = <-longest
	if err != nil {
		t.Fatal(err)
	}
	return result, stood
}

// halt stops the process n times for a while, a period apart, and returns the longest time it can have stood still.
func halt(ctx context.Context, pid, n int) (longest time.Duration) {
	next := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	wait := func(until time.Time) bool {
		timer.Reset(time.Until(until))
		select {
		case <-timer.C:
			return true
		case <-ctx.Done():
			return false
		}
	}
	for range n {
		if !wait(next) {
			break
		}
		before := time.Now()
		_ = syscall.Kill(pid, syscall.SIGSTOP)
		again := wait(time.Now().Add(stall))
		_ = syscall.Kill(pid, syscall.SIGCONT)
		longest = max(longest, time.Since(before))
		if !again {
			break
		}
		next = next.Add(period)
	}
	return longest
}

// judge says what is too little and what is too much in a result, if anything.
func judge(t *testing.T, result *bench.Result, stood time.Duration) (less, more string) {
	if !result.Verdict.Intact() {
		t.Fatalf("%v %v", result.Verdict, result.Verdict.Examples)
	}
	const late = stall / 2
	want := stall.Seconds() / 2 / period.Seconds()
	for _, name := range []string{bench.LatencyProduce, bench.LatencyEndToEnd} {
		d := result.Latency[name]
		if d == nil || d.Count != int64(length.Seconds()*result.Spec.Rate) {
			t.Fatalf("%s: %v, want every record of %v at %v/s", name, d, length, result.Spec.Rate)
		}
		longest, share := time.Duration(d.Max*float64(time.Millisecond)), slower(t, d, late)
		found := fmt.Sprintf("%s: max %v after stalls of %v to %v; slower than %v: %.2f %%, want %.2f %%", name, longest, stall, stood, late, 100*share, 100*want)
		t.Log(found)
		if longest < stall || share < 0.8*want {
			less = found
		}
		if longest > stood+100*time.Millisecond || share > 1.2*want {
			more = found
		}
	}
	return less, more
}

// slower is the share of a distribution above a duration.
func slower(t *testing.T, d *bench.Distribution, than time.Duration) float64 {
	h, err := hdrhistogram.Decode([]byte(d.Histogram))
	if err != nil {
		t.Fatal(err)
	}
	var n int64
	for _, bar := range h.Distribution() {
		if bar.From > than.Microseconds() {
			n += bar.Count
		}
	}
	return float64(n) / float64(h.TotalCount())
}
