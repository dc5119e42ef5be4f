package trial

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func goals(t *testing.T, text string) ([]Goal, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "goals.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return ReadGoals(path)
}

func TestGoalsAreHeldAgainstASuite(t *testing.T) {
	gs, err := goals(t, `
- {cell: P1-64k, metric: cpu_per_gb, limit: "<= 2.5", reason: wide}
- {cell: P1-64k, metric: cpu_per_gb, limit: "<= 0.5s", reason: narrow}
- {cell: P1-64k, metric: throughput, limit: ">= 50 MB/s", reason: wide}
- {cell: P1-64k, metric: cpu_per_gb, against: kafka, limit: "<= 1/2", reason: design}
- {cell: P1-64k, metric: cpu_per_gb, against: kafka, limit: "<= 1/5", reason: design}
- {cell: P1-64k, metric: cpu_per_gb, target: kafka, limit: "<= 2.5", reason: Kafka has a gate too}
- {cell: P1-64k, metric: produce.p99.9, limit: "<= 1s", reason: wide}
- {cell: P1-64k, metric: calls_per_request, limit: "<= 9", needs: strace, reason: no surprise}
- {cell: P1-64k, metric: e2e.p99, limit: "<= 9ms", reason: not measured there}
- {cell: L1-10k, metric: e2e.p99, limit: "<= 9ms", reason: not run}
`)
	if err != nil {
		t.Fatal(err)
	}
	g := threeRig()
	r, err := doSuite(t, g.suite([]Cell{p1Big()}, "kafka", "millrace"))
	if err != nil {
		t.Fatal(err)
	}
	got := Gate(gs, r, false)
	for i, want := range []Outcome{Passed, Failed, Passed, Passed, Failed, Failed, Passed, Skipped, Undecided, Undecided} {
		if j := got.Judged[i]; j.Outcome != want || j.Words == "" {
			t.Errorf("%s: %s (%s), want %s", j.Demand, j.Outcome, j.Words, want)
		}
	}
	if got.Outcome() != Failed || !strings.Contains(got.Judged[1].Words, "; narrow") {
		t.Errorf("%s, %+v", got.Outcome(), got.Judged[1])
	}
	if o := Gate(gs[:1], r, false).Outcome(); o != Passed {
		t.Error(o)
	}
	if o := Gate(gs[9:], r, false).Outcome(); o != Undecided {
		t.Error(o)
	}
}

// A cell that was not measured at all is undecided, also for what may be missing where a cell was measured.
func TestAGoalWithNeedsIsNotSkippedWithItsCell(t *testing.T) {
	gs, err := goals(t, `[{cell: P1-64k, metric: calls_per_request, limit: "<= 9", needs: strace, reason: no surprise}]`)
	if err != nil {
		t.Fatal(err)
	}
	r := &SuiteResult{Targets: []string{"millrace"}, Cells: []CellResult{{Cell: "P1-64k", Error: "the broker did not start"}}}
	if j := Gate(gs, r, false).Judged[0]; j.Outcome != Undecided || !strings.Contains(j.Words, "did not start") {
		t.Errorf("%+v", j)
	}
}

// A goal of a ratio holds when all of its interval does.
func TestAGoalAtTheBorderIsUndecided(t *testing.T) {
	gs, err := goals(t, `[{cell: P1-64k, metric: cpu_per_gb, against: kafka, limit: "<= 0.335", reason: border}]`)
	if err != nil {
		t.Fatal(err)
	}
	g := threeRig()
	g.noise = 0.1
	r, err := doSuite(t, g.suite([]Cell{p1Big()}, "kafka", "millrace"))
	if err != nil {
		t.Fatal(err)
	}
	if j := Gate(gs, r, false).Judged[0]; j.Outcome != Undecided {
		t.Errorf("%+v", j)
	}
}

func TestGoalsThatAreSlipsAreRefused(t *testing.T) {
	for text, want := range map[string]string{
		``: "no goals",
		`[{cell: P1, metric: cpu_per_gb, limit: "<= 1", reason: x, limits: 2}]`: "limits",
		`[{cell: P1, metric: cpu_per_gb, limit: "<= 1"}]`:                       "needs a cell, a metric, a limit and a reason",
		`[{cell: P1, metric: cpu, limit: "<= 1", reason: x}]`:                   "goal 1 (P1 cpu): no metric",
		`[{cell: P1, metric: cpu_per_gb, limit: ">= 1", reason: x}]`:            "better when it is lower",
		`[{cell: P1, metric: cpu_per_gb, limit: "1", reason: x}]`:               "want <= or >=",

		`[{cell: P1, metric: cpu_per_gb, limit: "<= 1/0", against: kafka, reason: x}]`:   "a fraction like 1/5",
		`[{cell: P1, metric: cpu_per_gb, limit: "<= kafka", against: kafka, reason: x}]`: "a fraction like 1/5",
		`[{cell: P1, metric: cpu_per_gb, limit: "<= 1", needs: perf, reason: x}]`:        "only strace",
	} {
		if _, err := goals(t, text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

func TestASuiteIsReadBack(t *testing.T) {
	g := threeRig()
	s := g.suite([]Cell{p1Big()}, "kafka", "millrace")
	s.Files = &Files{Dir: t.TempDir()}
	r, err := doSuite(t, s)
	if err != nil {
		t.Fatal(err)
	}
	back, err := ReadSuite(s.Files.Dir)
	if err != nil || len(back.Cells) != 1 || back.Cells[0].Segments[7].Result == nil || back.Cells[0].Compared[0].Headline != r.Cells[0].Compared[0].Headline {
		t.Fatalf("%v %+v", err, back)
	}
	if err := os.Remove(filepath.Join(s.Files.Dir, "suite.json")); err != nil {
		t.Fatal(err)
	}
	single, err := ReadSuite(s.Files.Dir)
	if err != nil || len(single.Targets) != 2 || single.Cells[0].Figures["kafka"]["cpu_per_gb"] != r.Cells[0].Figures["kafka"]["cpu_per_gb"] {
		t.Errorf("%v %+v", err, single)
	}
}

func TestSystemCallsAreCounted(t *testing.T) {
	n, err := sumCalls(`% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 61.70    0.000546           4       130         2 epoll_pwait
 38.30    0.000339           3       100           recvfrom
------ ----------- ----------- --------- --------- ----------------
100.00    0.000885           3       230         2 total
`)
	if err != nil || n != 230 {
		t.Errorf("%d, %v", n, err)
	}
	if _, err := sumCalls("% time"); err == nil {
		t.Error("nothing is something")
	}
}

// The goals of this repository are about cells that there are.
func TestOurOwnGoalsAreOfTheSmokeCells(t *testing.T) {
	gs, err := ReadGoals("../goals.yaml")
	if err != nil {
		t.Fatal(err)
	}
	cells, err := Cells("smoke")
	if err != nil {
		t.Fatal(err)
	}
	have := map[string]bool{}
	for _, g := range gs {
		have[g.Cell] = true
	}
	for _, c := range cells {
		if !have[c.Name] {
			t.Errorf("%s has no goal", c.Name)
		}
		delete(have, c.Name)
	}
	for name := range have {
		t.Errorf("smoke has no cell %s", name)
	}
}
