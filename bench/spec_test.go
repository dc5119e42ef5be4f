package bench

import (
	"math"
	"strings"
	"testing"
	"time"
)

// Each of these once ended in a panic, in a run without end, or in one of another workload than was asked for.
func TestValidateRefusesWhatCannotBeRun(t *testing.T) {
	for what, s := range map[string]Spec{
		"idle connections": {Idle: -1},
		"backlog":          {Backlog: -1},
		"linger":           {Linger: -time.Second},
		"rate":             {Rate: 1e-13},
		"rate is":          {Rate: math.NaN()},
		"churn":            {Churn: -1},
		"churn is":         {Churn: math.NaN()},
		"entropy":          {Entropy: math.NaN()},
		"a fetch":          {FetchMaxWait: -1},
	} {
		if err := s.WithDefaults().Validate(); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := (Spec{Rate: 1, Churn: 0.5}).WithDefaults().Validate(); err != nil {
		t.Error(err)
	}
}
