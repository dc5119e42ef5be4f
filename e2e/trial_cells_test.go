package e2e

import (
	"context"
	"testing"
	"time"

	"github.com/millrace/millrace/bench"
	"github.com/millrace/millrace/bench/trial"
)

// The cells of a suite that are no load, and one whose system calls are counted, against the real binary. No figure is held to a
// limit of time: only that it is there and can be.
func TestCellsThatAreNoLoad(t *testing.T) {
	b := start(t, t.TempDir(), 0)
	subject := trial.Subject{
		Target: bench.Target{Name: "millrace", Brokers: []string{b.addr}, Pids: []int{b.pid()}},
		Start:  []string{"true", "{dir}", "--", millrace, "server", "--data-dir", "{dir}", "--port", "{port}"},
	}
	counted := trial.Cell{Name: "P1", What: "single records", Headline: "cpu_per_request", Calls: true, Spec: bench.Spec{Warmup: time.Second / 10, Duration: time.Second, Consume: "after"}}
	s := trial.Suite{Name: "own", Targets: []trial.Subject{subject}, Allow: true, Settle: time.Millisecond, Cells: []trial.Cell{
		{Name: "S1", What: "start", Kind: trial.StartKind, Headline: "first_ack"},
		{Name: "S2", What: "partitions, more than one request may ask for", Kind: trial.PartitionsKind, Headline: "create", Spec: bench.Spec{Partitions: 6000}},
		counted,
	}, Run: func(ctx context.Context, target bench.Target, spec bench.Spec) (*bench.Result, error) {
		r, err := bench.Run(ctx, bench.Setup{Target: target, Pids: target.Pids}, spec)
		if r != nil {
			r.Invalid, r.Disturbed = nil, nil // other tests run beside this one
		}
		return r, err
	}}
	found, err := s.Do(within(t, 2*time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range found.Cells {
		if c.Error != "" || c.Lost {
			t.Fatalf("%s: %s", c.Cell, c.Error)
		}
	}
	for i, want := range []struct {
		metric      string
		least, most float64
	}{{"first_ack", 1, 60_000}, {"create", 0.1, 60_000}, {"calls_per_request", 0.5, 30}} {
		v, ok := found.Cells[i].Figures["millrace"][want.metric]
		if !ok && want.metric == "calls_per_request" {
			t.Log("strace is missing or may not attach: system calls are not counted here")
			continue
		}
		if v < want.least || v > want.most {
			t.Errorf("%s is %v, want something from %v to %v", want.metric, v, want.least, want.most)
		}
	}
	if d := found.Cells[0].Durability["millrace"]; d != "fsync" {
		t.Errorf("the broker that was started promises %q", d)
	}
	t.Log(found.Cells[0].Figures, found.Cells[1].Figures, found.Cells[2].Figures["millrace"]["calls_per_request"])
}

// A command that starts nothing is named with its last words.
func TestABrokerThatDoesNotStartIsToldSo(t *testing.T) {
	s := trial.Suite{Targets: []trial.Subject{{Target: bench.Target{Name: "none"}, Start: []string{millrace, "server", "--port", "{port}", "--data-dir", "/dev/null/{dir}"}}},
		Cells: []trial.Cell{{Name: "S1", Kind: trial.StartKind, Headline: "first_ack"}}}
	found, err := s.Do(within(t, time.Minute))
	if err != nil || found.Sound() || len(found.Cells[0].Error) < 50 {
		t.Errorf("%v: %+v", err, found.Cells)
	}
	t.Log(found.Cells[0].Error)
}
