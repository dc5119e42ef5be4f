// Package trial decides what runs of the bench prove: which of two targets is better and by how much (AB), whether something has
// become worse (Compare), up to which rate an objective holds (Sweep), a table of workloads (Suite) and a list of limits (Gate).
//
// It decides and does not measure: a run of a workload is a func of the caller's, so that everything here is tested with made-up
// results. Its rules: only runs of one sitting, in turns, are compared; what was run in vain is named and never used; what is
// looked at first is named before the first run; and where the data do not carry a verdict, there is none.
package trial

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/millrace/millrace/bench"
)

// Run does one run of a workload against a target. An error means that it could not be done; a bad verdict is in the result.
type Run func(ctx context.Context, target bench.Target, spec bench.Spec) (*bench.Result, error)

// Step is told to whoever watches: a segment begins (Result is nil) or has ended.
type Step struct {
	Cell          string // of a suite
	Target        string
	Block, Blocks int // from 1
	Place, Places int // in the block, from 1
	Result        *bench.Result
	Why           string // why a run is repeated, or a rate judged as it was
}

// ParseTarget reads NAME=HOST:PORT[,HOST:PORT...]; without NAME= the address is the name.
func ParseTarget(s string) (bench.Target, error) {
	name, brokers, named := strings.Cut(s, "=")
	if !named {
		name, brokers = s, s
	}
	t := bench.Target{Name: name, Brokers: strings.Split(brokers, ",")}
	for _, b := range t.Brokers {
		if i := strings.LastIndexByte(b, ':'); name == "" || i < 1 || i == len(b)-1 {
			return bench.Target{}, fmt.Errorf("target %q: want NAME=HOST:PORT, for example kafka=127.0.0.1:9092", s)
		}
	}
	return t, nil
}

// settle waits between two segments, so that what the one left to write does not fall to the other.
func settle(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
