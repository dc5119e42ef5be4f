package trial

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/millrace/millrace/bench"
)

// SweepSchema is the version of the document.
const SweepSchema = "millrace.bench.sweep/v1"

// Sweep finds the highest rate at which objectives hold: up by doubling until they do not, then the middle of the bracket until it
// is narrow. A rate counts as held, or as broken, when two of at most three runs say so; a run that passes a limit by less than
// Slack says neither, so that noise at the border does not send the search the wrong way. In doubt a rate is not held.
type Sweep struct {
	Target    bench.Target
	Spec      bench.Spec // its rate is where the search begins; default 1000 records/s
	SLOs      []SLO
	Precision float64       // how narrow, by the rate held: default 0.05
	Slack     float64       // default 0.05
	Highest   float64       // rate; default 10 million records/s
	Settle    time.Duration // between runs; default 1 s
	Run       Run
	Progress  func(Step)
}

// Swept is what a sweep found.
type Swept struct {
	Schema  string       `json:"schema"`
	Version string       `json:"version,omitempty"`
	Started time.Time    `json:"started"`
	Command []string     `json:"command,omitempty"`
	Target  bench.Target `json:"target"`
	Spec    bench.Spec   `json:"spec"`
	SLOs    []string     `json:"slos"`
	Highest float64      `json:"highest_per_second"`          // held; 0: none was
	Broken  float64      `json:"broken_per_second,omitempty"` // the lowest that was not; 0: none
	Bounded string       `json:"bounded_by"`                  // broker, generator, disturbance or range
	Words   string       `json:"words"`
	Points  []Point      `json:"points"` // of the knee plot, in the order they were run
}

// Point is one run at one rate.
type Point struct {
	Rate   float64       `json:"rate"`
	Held   bool          `json:"held"`
	Why    string        `json:"why"`
	Result *bench.Result `json:"result"`
}

// What ended the search from above.
const (
	byBroker      = "broker"
	byGenerator   = "generator"
	byDisturbance = "disturbance"
	byRange       = "range"
)

func (s Sweep) withDefaults() Sweep {
	if s.Spec.Rate == 0 {
		s.Spec.Rate = 1000
	}
	if s.Precision == 0 {
		s.Precision = 0.05
	}
	if s.Slack == 0 {
		s.Slack = 0.05
	}
	if s.Highest == 0 {
		s.Highest = 10e6
	}
	if s.Settle == 0 {
		s.Settle = time.Second
	}
	if s.Progress == nil {
		s.Progress = func(Step) {}
	}
	return s
}

// Do searches. On an error what was found until then is returned with it.
func (s Sweep) Do(ctx context.Context) (*Swept, error) {
	s = s.withDefaults()
	if len(s.SLOs) == 0 {
		return nil, errors.New("a sweep needs an objective, for example --slo e2e.p99.9=10ms")
	}
	if s.Spec.Rate < 0 || s.Highest < s.Spec.Rate || s.Precision < 0.001 {
		return nil, fmt.Errorf("a sweep begins at a rate between 0 and %.0f records/s and ends at a precision of 0.001 at best", s.Highest)
	}
	found := &Swept{Schema: SweepSchema, Started: time.Now().UTC(), Target: s.Target, Spec: s.Spec, Bounded: byBroker}
	for _, o := range s.SLOs {
		found.SLOs = append(found.SLOs, o.Text)
	}
	err := s.search(ctx, found)
	found.words()
	return found, err
}

// lowest is how far below the first rate the search goes before it gives up.
const lowest = 1.0 / 1024

func (s Sweep) search(ctx context.Context, found *Swept) error {
	for rate := s.Spec.Rate; ; {
		ok, err := s.holds(ctx, rate, found)
		switch {
		case err != nil:
			return err
		case found.Bounded != byBroker: // no higher rate can be judged
			return nil
		case ok:
			found.Highest = rate
		default:
			found.Broken = rate
		}
		switch {
		case found.Broken == 0 && rate == s.Highest:
			found.Bounded = byRange
			return nil
		case found.Broken == 0:
			rate = min(2*rate, s.Highest)
		case found.Highest == 0:
			if rate /= 2; rate < s.Spec.Rate*lowest {
				return nil
			}
		case found.Broken-found.Highest <= s.Precision*found.Highest:
			return nil
		default:
			rate = (found.Highest + found.Broken) / 2
		}
	}
}

// holds runs a rate until two runs agree. When the generator or the machine made that impossible it says so in found.Bounded.
func (s Sweep) holds(ctx context.Context, rate float64, found *Swept) (bool, error) {
	votes := map[hold]int{}
	vain := 0
	for votes[held] < 2 && votes[broken] < 2 && votes[held]+votes[border]+votes[broken] < 3 {
		if err := settle(ctx, s.Settle); err != nil {
			return false, err
		}
		spec := s.Spec
		spec.Rate, spec.Seed = rate, s.Spec.Seed+uint64(len(found.Points))+1
		s.Progress(Step{Cell: fmt.Sprintf("%.0f records/s", rate), Target: s.Target.Name})
		r, err := s.Run(ctx, s.Target, spec)
		if err != nil {
			return false, fmt.Errorf("at %.0f records/s: %w", rate, err)
		}
		if !r.Verdict.Intact() {
			return false, &VerificationError{Target: s.Target.Name, Verdict: r.Verdict}
		}
		found.Version = r.Version
		p := Point{Rate: rate, Result: r}
		var h hold
		why := inVain(r)
		if len(why) == 0 {
			h, p.Why = s.judge(r)
			votes[h]++
			p.Held = h == held
		} else {
			p.Why = strings.Join(why, "; ")
			vain++
		}
		found.Points = append(found.Points, p)
		s.Progress(Step{Cell: fmt.Sprintf("%.0f records/s", rate), Target: s.Target.Name, Result: r, Why: p.Why})
		if vain == 3 { // and none of them said a thing
			found.Bounded = byDisturbance
			if len(r.Invalid) > 0 {
				found.Bounded = byGenerator
			}
			return false, nil
		}
	}
	return votes[held] >= 2, nil
}

// judge is the worst of the objectives. A rate that the broker could not keep is not held, whatever the latencies.
func (s Sweep) judge(r *bench.Result) (hold, string) {
	if r.Saturated {
		return broken, fmt.Sprintf("%.0f of %.0f records/s were achieved", r.Load.Achieved, r.Load.Asked)
	}
	worst, words := held, ""
	for _, o := range s.SLOs {
		h, w := o.of(r, s.Slack)
		if words == "" || h > worst {
			worst, words = max(worst, h), w
		}
	}
	return worst, words
}

func (f *Swept) words() {
	objectives := strings.Join(f.SLOs, " and ")
	if f.Highest == 0 {
		f.Words = fmt.Sprintf("%s: no rate was found at which %s holds", f.Target.Name, objectives)
	} else {
		f.Words = fmt.Sprintf("%s holds %s up to %.0f records/s", f.Target.Name, objectives, f.Highest)
	}
	if n := len(f.Points); n > 0 {
		last, least := f.Points[n-1], " at least"
		if f.Highest == 0 {
			least = ""
		}
		switch f.Bounded {
		case byGenerator:
			f.Words += fmt.Sprintf("%s: the generator, not the broker, was the limit at %.0f records/s (%s)", least, last.Rate, last.Why)
		case byDisturbance:
			f.Words += fmt.Sprintf("%s: at %.0f records/s the machine was disturbed three times (%s)", least, last.Rate, last.Why)
		case byRange:
			f.Words += " at least, where the search was to end"
		default:
			if f.Broken > 0 {
				f.Words += fmt.Sprintf("; %.0f is too much", f.Broken)
			}
		}
	}
}
