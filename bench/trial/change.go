package trial

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/millrace/millrace/bench"
)

// ChangesSchema is the version of the document.
const ChangesSchema = "millrace.bench.compare/v1"

// Changes are what is different between results of before and of after, which were not run in turns: between two days a machine
// changes by more than a broker does, so that this is for runs of one machine, close in time.
type Changes struct {
	Schema  string   `json:"schema"`
	Changes []Change `json:"changes"`
	Judged  []Judged `json:"judged,omitempty"` // by the expressions given
	Notes   []string `json:"notes,omitempty"`
}

// Change is one metric of one workload.
type Change struct {
	Cell   string  `json:"cell"`
	Metric string  `json:"metric"`
	Unit   string  `json:"unit,omitempty"`
	OldN   int     `json:"old_n"`
	NewN   int     `json:"new_n"`
	Old    float64 `json:"old"` // medians
	New    float64 `json:"new"`
	Change float64 `json:"change"`      // 0.07: 7 % more
	P      float64 `json:"p,omitempty"` // Mann-Whitney, two-sided; 0: not enough runs
}

// Outcome is how a demand came out.
type Outcome string

const (
	Passed    Outcome = "passed"
	Failed    Outcome = "failed"
	Undecided Outcome = "undecided" // the data do not tell
	Skipped   Outcome = "skipped"   // what it needs is not here, and need not be
)

// Judged is one demand on one workload.
type Judged struct {
	Cell    string  `json:"cell"`
	Demand  string  `json:"demand"`
	Outcome Outcome `json:"outcome"`
	Words   string  `json:"words"`
}

// minRuns of each side are needed to say anything.
const minRuns = 4

// Compare finds what changed, and judges the demands. Those were named in advance and share 5 % of chance among them: a demand
// fails when the medians are further apart than it allows and the two sides' ranks are further apart than chance puts them. Where
// there are too few runs for that it neither passes nor fails.
func Compare(old, now []*bench.Result, demands []FailOn) (*Changes, error) {
	c := &Changes{Schema: ChangesSchema}
	before, after := c.cells(old, "old"), c.cells(now, "new")
	if len(before.targets) == 1 && len(after.targets) == 1 { // a target may be called something else by now
		before.forget()
		after.forget()
	}
	var common []string
	for _, name := range slices.Sorted(maps.Keys(before.results)) {
		if after.results[name] != nil {
			common = append(common, name)
		} else {
			c.Notes = append(c.Notes, name+" is among the old results only")
			for _, d := range demands { // what broke so much that it is not to be quoted must not pass for it
				c.Judged = append(c.Judged, Judged{Cell: name, Demand: d.Text, Outcome: Undecided, Words: "there is no sound result among the new ones"})
			}
		}
	}
	if len(common) == 0 {
		return nil, errors.New("the old and the new results have no workload in common")
	}
	for _, r := range now {
		if len(demands) > 0 && !r.Verdict.Intact() {
			c.Judged = append(c.Judged, Judged{Cell: r.Spec.Name, Demand: "verification", Outcome: Failed, Words: r.Verdict.String()})
		}
	}
	level := 0.05 / float64(max(1, len(demands)*len(common)))
	for _, name := range common {
		o, n := before.results[name], after.results[name]
		if err := comparable(name, append(slices.Clone(o), n...)); err != nil {
			return nil, err
		}
		for _, m := range metrics {
			if change, ok := changeOf(name, m, o, n); ok {
				c.Changes = append(c.Changes, change)
			}
		}
		for _, d := range demands {
			c.Judged = append(c.Judged, d.judge(name, o, n, level))
		}
	}
	return c, nil
}

// Outcome is the worst of the demands'.
func (c *Changes) Outcome() Outcome { return worst(c.Judged) }

func worst(all []Judged) Outcome {
	o := Passed
	for _, j := range all {
		if j.Outcome == Failed {
			return Failed
		}
		if j.Outcome == Undecided {
			o = Undecided
		}
	}
	return o
}

// cells sorts sound results by workload and target.
type cells struct {
	results map[string][]*bench.Result
	targets map[string]bool
}

func (c *Changes) cells(all []*bench.Result, side string) cells {
	found := cells{map[string][]*bench.Result{}, map[string]bool{}}
	unsound := 0
	for _, r := range all {
		if !r.Sound() {
			unsound++
			continue
		}
		name := r.Spec.Name
		if name == "" {
			name = "run"
		}
		if r.Target.Name != "" {
			name += "@" + r.Target.Name
		}
		found.targets[r.Target.Name] = true
		found.results[name] = append(found.results[name], r)
	}
	if unsound > 0 {
		c.Notes = append(c.Notes, fmt.Sprintf("%d of %d %s results are left out: not verified, invalid or disturbed", unsound, len(all), side))
	}
	return found
}

func (f *cells) forget() {
	by := map[string][]*bench.Result{}
	for _, rs := range f.results {
		name := rs[0].Spec.Name
		if name == "" {
			name = "run"
		}
		by[name] = append(by[name], rs...)
	}
	f.results = by
}

// comparable refuses results of different workloads or promises under one name.
func comparable(name string, all []*bench.Result) error {
	first := all[0]
	for _, r := range all[1:] {
		a, b := first.Spec, r.Spec
		a.Seed, b.Seed = 0, 0
		if !sameWorkload(a, b) {
			return fmt.Errorf("%s: the results are of different workloads", name)
		}
		if !sameDurability(first.Target.Durability, r.Target.Durability) {
			return fmt.Errorf("%s: the results are of different durability, %q and %q", name, first.Target.Durability, r.Target.Durability)
		}
	}
	return nil
}

func figures(m Metric, rs []*bench.Result) (v []float64) {
	for _, r := range rs {
		if f, ok := m.Of(r); ok {
			v = append(v, f)
		}
	}
	return v
}

func changeOf(cell string, m Metric, old, now []*bench.Result) (Change, bool) {
	o, n := figures(m, old), figures(m, now)
	if len(o) == 0 || len(n) == 0 {
		return Change{}, false
	}
	c := Change{Cell: cell, Metric: m.Name, Unit: m.Unit, OldN: len(o), NewN: len(n), Old: median(o), New: median(n)}
	c.Change = c.New/c.Old - 1
	if len(o) >= minRuns && len(n) >= minRuns {
		c.P = mannWhitney(o, n)
	}
	return c, true
}

func (f FailOn) judge(cell string, old, now []*bench.Result, level float64) Judged {
	j := Judged{Cell: cell, Demand: f.Text, Outcome: Undecided}
	c, ok := changeOf(cell, f.Metric, old, now)
	switch {
	case !ok:
		j.Words = "was not measured"
	case c.P == 0 || leastP(c.OldN, c.NewN) > level:
		j.Words = fmt.Sprintf("%+.1f %%, not enough runs: %d old and %d new cannot tell it from chance, %d each can", 100*c.Change, c.OldN, c.NewN, runsFor(level))
	case f.beyond(c.Change) && c.P <= level:
		j.Outcome, j.Words = Failed, fmt.Sprintf("%+.1f %% (p=%.2g, n=%d+%d)", 100*c.Change, c.P, c.OldN, c.NewN)
	case f.beyond(c.Change):
		j.Outcome, j.Words = Passed, fmt.Sprintf("%+.1f %%, but that may be chance (p=%.2g, n=%d+%d)", 100*c.Change, c.P, c.OldN, c.NewN)
	default:
		j.Outcome, j.Words = Passed, fmt.Sprintf("%+.1f %% (n=%d+%d)", 100*c.Change, c.OldN, c.NewN)
	}
	return j
}

// runsFor is how many of each side can show something at that level.
func runsFor(level float64) int {
	n := minRuns
	for leastP(n, n) > level {
		n++
	}
	return n
}
