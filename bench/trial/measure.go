package trial

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/millrace/millrace/bench"
)

// Measure runs a cell that is no load. Its result has figures, and no load or latencies.
func Measure(ctx context.Context, cell Cell, s Subject, spec bench.Spec) (*bench.Result, error) {
	r := &bench.Result{Schema: bench.ResultSchema, Started: time.Now().UTC(), Target: s.Target, Spec: spec, Figures: map[string]float64{}}
	switch cell.Kind {
	case StartKind:
		return r, measureStart(ctx, s, r)
	case PartitionsKind:
		return r, measurePartitions(ctx, s, spec, r)
	}
	return nil, fmt.Errorf("%s is a load and is not measured like this", cell.Name)
}

// starts are how often a segment starts a broker; its figure is the median.
const starts = 3

func measureStart(ctx context.Context, s Subject, r *bench.Result) error {
	var took []float64
	for range starts {
		d, durability, err := firstAck(ctx, s.Start)
		if err != nil {
			return fmt.Errorf("start of %s: %w", s.Name, err)
		}
		took = append(took, float64(d)/float64(time.Millisecond))
		r.Target.Durability = durability
	}
	slices.Sort(took)
	r.Figures["first_ack"] = median(took)
	return nil
}
