package trial

import (
	"testing"

	"github.com/millrace/millrace/bench"
)

// Other work on the machine fails no goal of time, and excuses nothing else.
func TestOtherWorkOnTheMachineSkipsGoalsOfTimeAlone(t *testing.T) {
	gs, err := goals(t, `
- {cell: P1-64k, metric: produce.p99, limit: "<= 1us", reason: not met}
- {cell: P1-64k, metric: produce.p50, limit: "<= 1m", reason: met}
- {cell: P1-64k, metric: rss_anon, limit: "<= 1 MB", reason: not met}
- {cell: P1-64k, metric: rss_anon, limit: "<= 64 MB", reason: met}
- {cell: L1-10k, metric: produce.p50, limit: "<= 1m", reason: not run}
`)
	if err != nil {
		t.Fatal(err)
	}
	disturbed := func(r *bench.Result) { r.Disturbed = []string{"another process took 1.9 cores"} }
	late := func(r *bench.Result) { r.Invalid = []string{"a thread was busy"} }
	for name, c := range map[string]struct {
		spoil func(*bench.Result)
		allow bool
		want  [5]Outcome
	}{
		"quiet":               {func(*bench.Result) {}, true, [5]Outcome{Failed, Passed, Failed, Passed, Undecided}},
		"disturbed":           {disturbed, true, [5]Outcome{Skipped, Passed, Failed, Passed, Undecided}},
		"disturbed, not told": {disturbed, false, [5]Outcome{Failed, Passed, Failed, Passed, Undecided}},
		"a late generator":    {late, true, [5]Outcome{Skipped, Skipped, Failed, Passed, Undecided}},
		"late, not told":      {late, false, [5]Outcome{Undecided, Undecided, Undecided, Undecided, Undecided}},
		"requests failed":     {func(r *bench.Result) { r.Errors = 1 }, true, [5]Outcome{Undecided, Undecided, Undecided, Undecided, Undecided}},
	} {
		g := threeRig()
		g.spoil = func(_ int, _ string, r *bench.Result) { c.spoil(r) }
		s := g.suite([]Cell{p1Big()}, "millrace")
		s.Allow = true // as the suite of the gate is run
		r, err := doSuite(t, s)
		if err != nil {
			t.Fatal(err)
		}
		for i, j := range Gate(gs, r, c.allow).Judged {
			if j.Outcome != c.want[i] || j.Words == "" {
				t.Errorf("%s: %s: %s (%s), want %s", name, j.Demand, j.Outcome, j.Words, c.want[i])
			}
		}
	}
	g := threeRig()
	g.spoil = func(_ int, _ string, r *bench.Result) { disturbed(r); r.Verdict.Lost = 1 }
	s := g.suite([]Cell{p1Big()}, "millrace")
	s.Allow = true
	r, err := doSuite(t, s)
	if err != nil {
		t.Fatal(err)
	}
	if o := Gate(gs, r, true).Judged[1].Outcome; o != Failed {
		t.Errorf("a lost record: %s", o)
	}
}
