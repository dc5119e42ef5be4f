package trial

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace/millrace/bench"
	"github.com/millrace/millrace/bench/host"
)

// rig makes results up: a target's cost is cpu seconds per GB and a p99, with noise that both runs of a pair share in part.
type rig struct {
	random *rand.Rand
	cost   map[string]float64
	noise  float64
	mode   map[string]string
	spoil  func(run int, target string, r *bench.Result) // what else happens
	runs   []string
	specs  []bench.Spec
}

func newRig(seed uint64, noise float64) *rig {
	return &rig{random: rand.New(rand.NewPCG(seed, 1)), noise: noise, cost: map[string]float64{"a": 1, "b": 1}, mode: map[string]string{"a": "os", "b": "os"},
		spoil: func(int, string, *bench.Result) {}}
}

func (g *rig) run(_ context.Context, t bench.Target, s bench.Spec) (*bench.Result, error) {
	const gb = 1e9
	shake := func() float64 { return math.Exp(g.noise * g.random.NormFloat64() / math.Sqrt2) } // of a ratio of two: noise
	cpu := time.Duration(g.cost[t.Name] * shake() * float64(time.Second))
	ms := 2 * g.cost[t.Name] * shake()
	r := &bench.Result{Schema: bench.ResultSchema, Target: bench.Target{Name: t.Name, Durability: g.mode[t.Name]}, Spec: s.WithDefaults(),
		Load:    bench.Load{Elapsed: 10 * time.Second, Records: 1e6, Bytes: gb, Requests: 1e6, MegabytesASecond: 100 / g.cost[t.Name]},
		Latency: map[string]*bench.Distribution{"produce": {LatencySummary: bench.LatencySummary{Count: 1e6, P50: ms / 2, P99: ms, P999: ms * 3, Max: ms * 9}, P9999: ms * 5}},
		Brokers: []host.Usage{{User: cpu / 2, System: cpu / 2, Anon: 5e6, Voluntary: 1e5}},
	}
	r.Verdict.Sent, r.Verdict.Consumed = 1e6, 1e6
	g.runs, g.specs = append(g.runs, t.Name), append(g.specs, s)
	g.spoil(len(g.runs), t.Name, r)
	return r, nil
}

func (g *rig) ab() AB {
	return AB{A: bench.Target{Name: "a", Pids: []int{1}}, B: bench.Target{Name: "b", Pids: []int{2}}, Run: g.run}
}

// do runs a comparison in bubbles of its own time: the seconds between segments pass at once.
func do(t *testing.T, ab AB) (c *Comparison, err error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { c, err = ab.Do(t.Context()) })
	return c, err
}

func (c *Comparison) metric(name string) *Ratio {
	for i := range c.Metrics {
		if c.Metrics[i].Metric == name {
			return &c.Metrics[i]
		}
	}
	return nil
}

// A build against itself: the named metric errs in at most one of twenty comparisons, and so do all the others together.
func TestABuildAgainstItselfDoesNotDiffer(t *testing.T) {
	const trials = 100
	head, others := 0, 0
	for seed := range uint64(trials) {
		c, err := do(t, newRig(seed, 0.05).ab())
		if err != nil {
			t.Fatal(err)
		}
		if c.Metrics[0].Difference != None {
			head++
		}
		for _, m := range c.Metrics[1:] {
			if m.Difference != None && m.Metric != "throughput" && m.Metric != "requests" { // made up without noise
				others++
				break
			}
		}
	}
	if head > trials*9/100 || others > trials*9/100 { // 5 % and two sigma
		t.Errorf("of %d comparisons %d found a difference of the named metric, %d one of another", trials, head, others)
	}
}

// A build that costs 10 % more is found out by the default number of blocks at the noise of a shared machine.
func TestTenPerCentAreFound(t *testing.T) {
	const trials = 60
	found := 0
	for seed := range uint64(trials) {
		g := newRig(seed, 0.06)
		g.cost["b"] = 1.1
		c, err := do(t, g.ab())
		if err != nil {
			t.Fatal(err)
		}
		if c.Metrics[0].Difference == Worse {
			found++
		}
	}
	if found < trials*85/100 {
		t.Errorf("found in %d of %d comparisons", found, trials)
	}
}

func TestTheWordsCarryWhatTheDataCarry(t *testing.T) {
	g := newRig(3, 0.02)
	g.cost["b"] = 1 / 3.1
	c, err := do(t, g.ab())
	if err != nil {
		t.Fatal(err)
	}
	for metric, want := range map[string]string{
		"cpu_per_gb":  "b uses 3.1x less CPU per GB [3.1, 3.1], n=8",
		"throughput":  "b has 3.1x higher throughput [3.1, 3.1], n=8",
		"rss_anon":    "private memory: no difference the data could show (1.00x [1.00, 1.00], n=8)",
		"produce.p99": "b has 3.1x lower produce p99 [3.0, 3.2], n=8",
	} {
		if got := c.metric(metric); got == nil || got.Words != want {
			t.Errorf("%s: %+v, want %q", metric, got, want)
		}
	}
	if c.Headline != c.Metrics[0].Words || c.Metrics[0].Metric != "cpu_per_gb" {
		t.Errorf("the headline is %q", c.Headline)
	}
	if c.metric("e2e.p99") != nil {
		t.Error("a metric that was not measured is in the list")
	}
	g = newRig(3, 0.01)
	g.cost["b"] = 1.1
	if c, err = do(t, g.ab()); err != nil || c.Headline != "b uses 9.8 % more CPU per GB [9.2 %, 10.4 %], n=8" {
		t.Errorf("%v, %q", err, c.Headline)
	}
	ab := newRig(3, 0.01).ab()
	ab.Blocks = 1
	if c, err = do(t, ab); err != nil || c.Sound() || !strings.Contains(c.Headline, "no verdict, too few pairs") || c.Metrics[0].Interval != nil {
		t.Errorf("two pairs: %v, %q", err, c.Headline)
	}
}

// Segments are in turns, mirrored, each order comes up, and the two of a pair have one seed.
func TestBlocksAreMirrored(t *testing.T) {
	g := newRig(1, 0.01)
	ab := g.ab()
	ab.Blocks = 12
	c, err := do(t, ab)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	for i := 0; i < len(c.Segments); i += 4 {
		order := ""
		for _, s := range c.Segments[i : i+4] {
			order += s.Target
		}
		seen[order]++
		seeds := [4]uint64{}
		for j := range seeds {
			seeds[j] = g.specs[2+i+j].Seed // after the two probes
		}
		if seeds[0] != seeds[1] || seeds[2] != seeds[3] || seeds[0] == seeds[2] {
			t.Errorf("block %d has the seeds %v", i/4+1, seeds)
		}
	}
	if seen["abba"] == 0 || seen["baab"] == 0 || seen["abba"]+seen["baab"] != 12 {
		t.Errorf("orders %v", seen)
	}
}

func TestAVainRunIsRunOnceMoreAndBounded(t *testing.T) {
	g := newRig(1, 0.01)
	g.spoil = func(run int, _ string, r *bench.Result) {
		if run == 4 || run == 9 {
			r.Disturbed = []string{"steal 3 %"}
			r.Brokers[0].User *= 50 // would show if it were used
		}
	}
	c, err := do(t, g.ab())
	if err != nil {
		t.Fatal(err)
	}
	if c.Metrics[0].N != 8 || c.Metrics[0].Difference != None || len(c.Segments) != 16+2 {
		t.Errorf("%d segments, %s", len(c.Segments), c.Headline)
	}
	if len(c.Notes) == 0 || !strings.Contains(c.Notes[0], "runs in vain, not used: 2; the first because the machine was disturbed: steal 3 %") {
		t.Errorf("notes %q", c.Notes)
	}

	ab := newRig(1, 0.01).ab()
	ab.Again = -1
	spoiled := newRig(1, 0.01)
	spoiled.spoil = g.spoil
	ab.Run = spoiled.run
	if c, err = do(t, ab); err != nil || c.Metrics[0].N != 4 || len(spoiled.runs) != 2+2+4+1+4 {
		t.Errorf("none is run once more: %v, %s after %d runs", err, c.Headline, len(spoiled.runs))
	}
	spoiled.runs, ab.AllowDisturbed = nil, true
	if c, err = do(t, ab); err != nil || c.Metrics[0].N != 8 || !strings.Contains(strings.Join(c.Notes, " "), "disturbed and that are used all the same: 2") {
		t.Errorf("disturbed runs are allowed: %v, %s %q", err, c.Headline, c.Notes)
	}

	g = newRig(1, 0.01)
	g.spoil = func(_ int, target string, r *bench.Result) {
		if target == "b" {
			r.Invalid = []string{"slip"}
		}
	}
	if c, err = do(t, g.ab()); err != nil || c.Sound() || len(g.runs) > 2+2*8 {
		t.Errorf("an invalid generator: %v, sound %v after %d runs", err, c.Sound(), len(g.runs))
	}
}

func TestNothingIsComparedThatLosesRecords(t *testing.T) {
	g := newRig(1, 0.01)
	g.spoil = func(run int, _ string, r *bench.Result) {
		if run == 5 {
			r.Verdict.Consumed--
			r.Verdict.Lost++
		}
	}
	c, err := do(t, g.ab())
	var lost *VerificationError
	if !errors.As(err, &lost) || lost.Target == "" || len(c.Segments) != 3 || c.Sound() {
		t.Errorf("%v with %d segments", err, len(c.Segments))
	}
}

func TestUnequalDurabilityIsRefused(t *testing.T) {
	g := newRig(1, 0.01)
	g.mode["a"], g.mode["b"] = "os (page cache, no flush)", "fsync"
	_, err := do(t, g.ab())
	var unequal *UnequalDurabilityError
	if !errors.As(err, &unequal) || !strings.Contains(err.Error(), `a acknowledges with durability "os (page cache, no flush)", b with "fsync"`) || !strings.Contains(err.Error(), "--durability os") {
		t.Fatal(err)
	}
	if len(g.runs) != 2 {
		t.Errorf("it was said after %d runs", len(g.runs))
	}
	ab := g.ab()
	ab.UnequalDurability = true
	c, err := do(t, ab)
	if err != nil || !strings.HasPrefix(c.Headline, "UNEQUAL DURABILITY (a os (page cache, no flush), b fsync): ") {
		t.Errorf("%v: %q", err, c.Headline)
	}
	g.mode["b"] = "os"
	if c, err = do(t, g.ab()); err != nil || strings.Contains(c.Headline, "UNEQUAL") {
		t.Errorf("the same promise in other words: %v: %q", err, c.Headline)
	}
}

func TestSaturatedLatencyIsNotCompared(t *testing.T) {
	g := newRig(1, 0.01)
	g.spoil = func(_ int, target string, r *bench.Result) { r.Saturated = target == "a" }
	c, err := do(t, g.ab())
	if err != nil || c.metric("produce.p99") != nil || c.metric("cpu_per_gb").N != 8 || !strings.Contains(strings.Join(c.Notes, " "), "a could not keep the rate") {
		t.Errorf("%v, %q", err, c.Notes)
	}
}

func TestFewRecordsHaveNoTail(t *testing.T) {
	r := &bench.Result{Latency: map[string]*bench.Distribution{"e2e": {LatencySummary: bench.LatencySummary{Count: 20_000, P50: 1, P99: 2, P999: 3}, P9999: 4}}}
	for name, want := range map[string]bool{"e2e.p50": true, "e2e.p99.9": true, "e2e.p99.99": false, "produce.p50": false} {
		m, err := MetricNamed(name)
		if _, ok := m.Of(r); err != nil || ok != want {
			t.Errorf("%s of 20,000 records: %v, %v", name, ok, err)
		}
	}
	if _, err := MetricNamed("p99"); err == nil || !strings.Contains(err.Error(), "e2e.p99") {
		t.Error(err)
	}
}

// What was interrupted goes on where it was, and nothing is taken for something else.
func TestSegmentsAreKeptAndTakenUpAgain(t *testing.T) {
	dir := t.TempDir()
	g := newRig(1, 0.01)
	ab := g.ab()
	ab.Files = &Files{Dir: dir}
	stop := errors.New("stopped")
	ab.Run = func(ctx context.Context, target bench.Target, s bench.Spec) (*bench.Result, error) {
		if len(g.runs) == 7 {
			return nil, stop
		}
		return g.run(ctx, target, s)
	}
	if c, err := do(t, ab); !errors.Is(err, stop) || len(c.Segments) != 5 {
		t.Fatal(err)
	}
	g.runs, ab.Run = nil, g.run
	if _, err := do(t, ab); err == nil || !strings.Contains(err.Error(), "--resume") {
		t.Errorf("the same folder again: %v", err)
	}
	g.runs = nil
	ab.Files.Resume = true
	c, err := do(t, ab)
	if err != nil || len(g.runs) != 2+16-5 || c.Metrics[0].N != 8 || c.Segments[0].File == "" {
		t.Errorf("%v after %d more runs: %s", err, len(g.runs), c.Headline)
	}
	for i, want := range []int{1, 0} { // what was in vain is run once more, what is good is not
		s := c.Segments[15]
		s.Result.Disturbed = [][]string{{"steal 3 %"}, nil}[i]
		if err := writeJSON(filepath.Join(dir, s.File), s.Result); err != nil {
			t.Fatal(err)
		}
		g.runs = nil
		if c, err := do(t, ab); err != nil || len(g.runs) != 2+want || c.Metrics[0].N != 8 {
			t.Errorf("%v after %d more runs", err, len(g.runs))
		}
	}
	ab.Spec.Rate = 1000
	if _, err := do(t, ab); err == nil || !strings.Contains(err.Error(), "another workload") {
		t.Errorf("another workload: %v", err)
	}
}
