package trial

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/millrace/millrace/bench"
)

// Warmed is how a target was made warm: a JVM compiles what it runs often, and until then its figures are those of something else.
type Warmed struct {
	Target  string        `json:"target"`
	Took    time.Duration `json:"took_ns"`
	Windows []float64     `json:"us_per_request"` // CPU; by windows of ten seconds
	Slope   float64       `json:"slope"`          // over the last three windows, 0.02: 2 %
	Steady  bool          `json:"steady"`
}

const (
	warmWindow  = 10 * time.Second
	warmAtLeast = 6  // windows
	warmAtMost  = 18 // then it counts as warm, and the slope says how much
	warmSlope   = 0.03
)

// warm loads a target with single records, written and read, until a minute has gone by and the CPU of a request no longer changes;
// then with large batches and with compressed ones for a window each.
func (s Suite) warm(ctx context.Context, t Subject) (Warmed, error) {
	w := Warmed{Target: t.Name}
	began := time.Now()
	perRequest, _ := MetricNamed("cpu_per_request")
	one := func(c Cell) (*bench.Result, error) {
		c.Durability = "os"
		spec, _ := s.prepare(c, t)
		spec.Name, spec.Warmup, spec.Duration = "warm-up", 0, warmWindow
		r, err := s.Run(ctx, t.Target, spec)
		if err != nil {
			return nil, fmt.Errorf("warm-up of %s: %w", t.Name, err)
		}
		s.Progress(Step{Cell: spec.Name, Target: t.Name, Result: r})
		return r, nil
	}
	for !w.Steady && len(w.Windows) < warmAtMost {
		r, err := one(l1(10_000, 1))
		if err != nil {
			return w, err
		}
		us, _ := perRequest.Of(r) // 0 where the broker's process is not known: then it is a matter of time alone
		w.Windows = append(w.Windows, us)
		w.judge()
	}
	for _, c := range []Cell{p1Big(), p3("zstd")} {
		if _, err := one(c); err != nil {
			return w, err
		}
	}
	w.Took = time.Since(began)
	return w, nil
}

// judge looks at the last three windows.
func (w *Warmed) judge() {
	n := len(w.Windows)
	if n < warmAtLeast {
		return
	}
	first, mean, last := w.Windows[n-3], (w.Windows[n-3]+w.Windows[n-2]+w.Windows[n-1])/3, w.Windows[n-1]
	if mean > 0 {
		w.Slope = math.Abs(last-first) / mean
	}
	w.Steady = w.Slope < warmSlope
}
