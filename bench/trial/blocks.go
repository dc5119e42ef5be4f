package trial

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/millrace/millrace/bench"
)

// Segment is one run within a block.
type Segment struct {
	Cell   string        `json:"cell,omitempty"`
	Block  int           `json:"block"` // from 1
	Try    int           `json:"try"`   // from 1: a segment in vain is run once more in its place
	Place  int           `json:"place"` // in the block, from 1
	Pair   int           `json:"pair"`  // from 1: segments of one pair ran close to each other, with the same seed
	Target string        `json:"target"`
	Used   bool          `json:"used"`
	Why    []string      `json:"why,omitempty"`  // not, or what speaks against it
	File   string        `json:"file,omitempty"` // where the result is, beside this document
	Result *bench.Result `json:"result,omitempty"`
}

// blocks runs targets in turns. A block has each target twice, in an order drawn anew for each and then that order backwards:
// A B B A. What drifts evenly over a block falls on all targets alike, and what a target leaves behind to the next (dirty pages,
// a busy disk) is left to everyone as often. The first half and the second are a pair each.
type blocks struct {
	cell     string
	targets  []bench.Target
	spec     func(target int, seed uint64) bench.Spec
	run      Run
	n        int  // blocks wanted
	again    int  // how many segments may be run once more, in all
	allow    bool // use what was disturbed
	settle   time.Duration
	seed     uint64
	files    *Files // nil: results are kept in memory alone
	progress func(Step)
}

// do returns what was run, whether used or not. The error of a run, or of its verification, ends it all.
func (b *blocks) do(ctx context.Context) (all []Segment, err error) {
	for block := 1; block <= b.n; block++ {
		segments, err := b.block(ctx, block)
		all = append(all, segments...)
		if err != nil {
			return all, err
		}
	}
	return all, nil
}

func (b *blocks) order(block int) []int {
	order := rand.New(rand.NewPCG(b.seed, uint64(block)<<8|1)).Perm(len(b.targets))
	for i := len(order) - 1; i >= 0 && len(order) > 1; i-- { // a single one needs no turns
		order = append(order, order[i])
	}
	return order
}

// block runs each segment until one counts. Where none does and no more may be run, the block ends: those after it would be in vain,
// too, or have no partner.
func (b *blocks) block(ctx context.Context, block int) (segments []Segment, err error) {
	order := b.order(block)
	for i, t := range order {
		pair := 2*block - 1
		if i >= len(b.targets) {
			pair++
		}
		s := Segment{Cell: b.cell, Block: block, Place: i + 1, Pair: pair, Target: b.targets[t].Name}
		for s.Try = 1; !s.Used; s.Try++ {
			step := Step{Cell: b.cell, Target: s.Target, Block: block, Blocks: b.n, Place: s.Place, Places: len(order)}
			b.progress(step)
			s.Result, s.File, err = b.files.kept(s, b.spec(t, b.seed+uint64(pair)), b.allow, func(spec bench.Spec) (*bench.Result, error) {
				if err := settle(ctx, b.settle); err != nil {
					return nil, err
				}
				return b.run(ctx, b.targets[t], spec)
			})
			if err != nil {
				return segments, &runError{s.Target, fmt.Errorf("%s, block %d, segment %d: %w", s.Target, block, s.Place, err)}
			}
			s.Why, s.Used = inVain(s.Result), usable(s.Result, b.allow) && s.Result.Verdict.Intact()
			segments = append(segments, s)
			step.Result = s.Result
			b.progress(step)
			switch {
			case !s.Result.Verdict.Intact():
				return segments, &VerificationError{Target: s.Target, Verdict: s.Result.Verdict}
			case s.Used:
			case b.again <= 0:
				return segments, nil
			default:
				b.again--
				step.Result, step.Why = nil, "run once more: "+strings.Join(s.Why, "; ")
				b.progress(step)
			}
		}
	}
	return segments, nil
}

// inVain is why a result must not be used.
func inVain(r *bench.Result) (why []string) {
	if r.Errors > 0 {
		why = append(why, fmt.Sprintf("%d requests failed", r.Errors))
	}
	for _, w := range r.Invalid {
		why = append(why, "the generator was the limit: "+w)
	}
	for _, w := range r.Disturbed {
		why = append(why, "the machine was disturbed: "+w)
	}
	return why
}

// usable reports whether nothing speaks against a result, or nothing that is not allowed. Where a disturbed machine is, so is a
// generator that was late on it.
func usable(r *bench.Result, allowDisturbed bool) bool {
	return len(inVain(r)) == 0 || allowDisturbed && len(r.Disturbed) > 0 && r.Errors == 0
}

// runError is of a run that could not be done.
type runError struct {
	target string
	err    error
}

func (e *runError) Error() string { return e.err.Error() }
func (e *runError) Unwrap() error { return e.err }

// VerificationError ends a comparison: a target that does not give back what it acknowledged has no speed.
type VerificationError struct {
	Target  string
	Verdict bench.Verdict
}

func (e *VerificationError) Error() string {
	return fmt.Sprintf("%s did not give back what it acknowledged: %v", e.Target, e.Verdict)
}
