package trial

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/millrace/millrace/bench"
)

// suite is one of made-up results: kafka costs three times as much, and the floor half.
func (g *rig) suite(cells []Cell, targets ...string) Suite {
	s := Suite{Name: "test", Cells: cells, Run: g.run,
		Configs: func(t bench.Target, mode string) (map[string]string, error) {
			return map[string]string{"mode": mode}, nil
		},
		Ours: func(t bench.Target) bool { return t.Name == "millrace" },
		Measure: func(ctx context.Context, c Cell, s Subject, spec bench.Spec) (*bench.Result, error) {
			r, _ := g.run(ctx, s.Target, spec)
			return &bench.Result{Schema: r.Schema, Target: r.Target, Spec: spec, Figures: map[string]float64{"first_ack": 10 * g.cost[s.Name], "create": 5}}, nil
		}}
	for _, t := range targets {
		g.mode[t] = "os"
		s.Targets = append(s.Targets, Subject{Target: bench.Target{Name: t}, Floor: t == "floor", Start: []string{t}})
	}
	return s
}

func doSuite(t *testing.T, s Suite) (r *SuiteResult, err error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { r, err = s.Do(t.Context()) })
	return r, err
}

func threeRig() *rig {
	g := newRig(1, 0.01)
	g.cost = map[string]float64{"kafka": 3, "floor": 0.5, "millrace": 1}
	return g
}

func TestSuitesAreWhatTheyShouldBe(t *testing.T) {
	for _, name := range Suites() {
		cells, err := Cells(name)
		if err != nil {
			t.Fatal(err)
		}
		seen := map[string]bool{}
		for _, c := range cells {
			if seen[c.Name] || c.Name == "" || c.What == "" {
				t.Errorf("%s: %q twice, or without words", name, c.Name)
			}
			seen[c.Name] = true
			if err := c.Spec.WithDefaults().Validate(); err != nil {
				t.Errorf("%s %s: %v", name, c.Name, err)
			}
			if _, err := MetricNamed(c.Headline); err != nil {
				t.Errorf("%s %s: %v", name, c.Name, err)
			}
			if c.Kind == LoadKind && c.Spec.Duration == 0 {
				t.Errorf("%s %s: no time", name, c.Name)
			}
		}
		has := func(prefix string) bool {
			for n := range seen {
				if strings.HasPrefix(n, prefix) {
					return true
				}
			}
			return false
		}
		want := map[string]string{"smoke": "P1 P2 L1 S1 I1 Z1", "matrix": "P1 P2 P3 P5 L1 L2 C1 C2 S1 S2 I1 Z1", "short": "P1 L1 S1"}[name]
		for _, prefix := range strings.Fields(want) {
			if !has(prefix) {
				t.Errorf("%s has no %s", name, prefix)
			}
		}
		if name == "smoke" && len(cells) != 6 {
			t.Errorf("smoke has %d cells", len(cells))
		}
	}
	if _, err := Cells("long"); err == nil || !strings.Contains(err.Error(), "matrix, short, smoke") {
		t.Error(err)
	}
}

func TestSuiteComparesTheLastWithTheOthers(t *testing.T) {
	g := threeRig()
	s := g.suite([]Cell{p1Big(), headerOnly(p3("lz4")), start()}, "floor", "kafka", "millrace")
	r, err := doSuite(t, s)
	if err != nil || !r.Sound() || !r.Intact() {
		t.Fatal(err, r.Sound(), r.Intact())
	}
	big := r.Cells[0]
	if len(big.Segments) != 2*6 || len(big.Compared) != 2 || big.Compared[0].A != "floor" || big.Compared[1].A != "kafka" || big.Compared[1].B != "millrace" {
		t.Fatalf("%d segments, compared %+v", len(big.Segments), big.Compared)
	}
	if h := big.Compared[1].Headline; !strings.HasPrefix(h, "millrace uses 3.0x less CPU per GB [") || !strings.HasSuffix(h, "n=4") {
		t.Error(h)
	}
	if f := big.Figures["kafka"]["cpu_per_gb"]; f < 2.9 || f > 3.1 {
		t.Errorf("kafka's median is %v", f)
	}
	if lz4 := r.Cells[1]; lz4.Left["floor"] == "" || len(lz4.Compared) != 1 {
		t.Errorf("a floor compresses: %+v", lz4.Left)
	}
	for i, spec := range g.specs {
		if spec.Name == "P3-lz4-header" && (spec.TopicConfigs["millrace.batch.validation"] != "") != (g.runs[i] == "millrace") {
			t.Errorf("%s has the settings %v", g.runs[i], spec.TopicConfigs)
		}
		if g.runs[i] != "floor" && spec.Name != "S1" && spec.TopicConfigs["mode"] != "os" {
			t.Errorf("%s of %s: %v", spec.Name, g.runs[i], spec.TopicConfigs)
		}
	}
	if s1 := r.Cells[2]; len(s1.Compared) != 1 || !strings.HasPrefix(s1.Compared[0].Headline, "millrace has 3.0x lower time from start to first acknowledgement [3.0, 3.0], n=4") {
		t.Errorf("%+v", s1.Compared)
	}
}

func TestSuiteGoesOnAfterACellThatCannotBeRun(t *testing.T) {
	g := threeRig()
	s := g.suite([]Cell{p1Big(), p1Medium(), start()}, "kafka", "millrace")
	s.Targets[0].Start = nil
	s.Configs = func(t bench.Target, mode string) (map[string]string, error) {
		return nil, nil
	}
	s.Run = func(ctx context.Context, t bench.Target, spec bench.Spec) (*bench.Result, error) {
		if spec.Name == "P1-64k" && t.Name == "kafka" {
			return nil, errors.New("no such thing")
		}
		r, err := g.run(ctx, t, spec)
		if spec.Name == "P1-16k" && t.Name == "millrace" {
			r.Verdict.Consumed--
		}
		return r, err
	}
	r, err := doSuite(t, s)
	if err != nil || len(r.Cells) != 3 {
		t.Fatal(err)
	}
	if r.Sound() || r.Intact() || !strings.Contains(r.Cells[0].Error, "no such thing") || r.Cells[0].Lost || !r.Cells[1].Lost {
		t.Errorf("%+v", r.Cells)
	}
	if first := r.Cells[0]; first.Left["kafka"] == "" || first.Figures["millrace"]["cpu_per_gb"] == 0 {
		t.Errorf("what one cannot do nobody has figures of: %+v", first)
	}
	if s1 := r.Cells[2]; s1.Left["kafka"] != "no command to start it was given" || s1.Figures["millrace"]["first_ack"] != 10 || len(s1.Compared) != 0 {
		t.Errorf("%+v", s1)
	}
}

func TestSuiteIsResumed(t *testing.T) {
	g := threeRig()
	s := g.suite([]Cell{p1Big(), p1Medium()}, "kafka", "millrace")
	s.Files = &Files{Dir: t.TempDir()}
	ctx, cancel := context.WithCancel(t.Context())
	s.Run = func(c context.Context, target bench.Target, spec bench.Spec) (*bench.Result, error) {
		if len(g.runs) == 11 {
			cancel()
			return nil, ctx.Err()
		}
		return g.run(c, target, spec)
	}
	synctest.Test(t, func(t *testing.T) {
		if _, err := s.Do(ctx); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	g.runs, s.Run, s.Files.Resume = nil, g.run, true
	r, err := doSuite(t, s)
	if err != nil || len(g.runs) != 5 || !r.Sound() {
		t.Errorf("%v after %d more runs", err, len(g.runs))
	}
	s.Files.Resume, s.Cells = false, []Cell{p1Single()}
	if _, err := doSuite(t, s); err == nil || !strings.Contains(err.Error(), "--resume") { // whose suite.json would take the place of this one's
		t.Errorf("other cells in the same folder: %v", err)
	}
	all, err := ReadResults(s.Files.Dir)
	if err != nil || len(all) != 16 {
		t.Errorf("%d results in the folder: %v", len(all), err)
	}
	text, err := os.ReadFile(filepath.Join(s.Files.Dir, "suite.json"))
	if err != nil || !strings.Contains(string(text), `"file":"P1-16k/02-1-4-`) || strings.Contains(string(text), "rss_anon_peak") {
		t.Errorf("suite.json: %v %.300s", err, text)
	}
}

// One target is simply measured, once a cell.
func TestSuiteOfOneTarget(t *testing.T) {
	g := threeRig()
	r, err := doSuite(t, g.suite([]Cell{p1Big(), partitions()}, "millrace"))
	if err != nil || !r.Sound() || len(g.runs) != 2 || len(r.Cells[0].Compared) != 0 || r.Cells[1].Figures["millrace"]["create"] != 5 {
		t.Errorf("%v, %v", err, g.runs)
	}
}

// A floor has variants: each cell takes the best one, and goes on with the same when it is resumed.
func TestTheBestVariantIsTaken(t *testing.T) {
	g := threeRig()
	g.noise = 0
	g.cost["pwrite"], g.cost["copy"], g.cost["direct"] = 0.9, 0.4, 0.5
	s := g.suite([]Cell{p1Big()}, "floor", "millrace")
	var targets []bench.Target
	for _, v := range []string{"pwrite", "copy", "direct"} {
		g.cost["floor/"+v] = g.cost[v]
		targets = append(targets, bench.Target{Name: "floor/" + v, Brokers: []string{v + ":9"}})
	}
	s.Targets = Subjects(append(targets, bench.Target{Name: "millrace"}), map[string][]string{"millrace": {"start"}})
	if len(s.Targets) != 2 || !s.Targets[0].Floor || len(s.Targets[0].Variants) != 3 || s.Targets[1].Start == nil {
		t.Fatalf("%+v", s.Targets)
	}
	s.Files = &Files{Dir: t.TempDir()}
	used := map[string]int{}
	s.Run = func(ctx context.Context, target bench.Target, spec bench.Spec) (*bench.Result, error) {
		if target.Name == "floor" {
			used[target.Brokers[0]]++
		}
		return g.run(ctx, target, spec)
	}
	for range 2 {
		r, err := doSuite(t, s)
		if err != nil || !r.Sound() || r.Cells[0].Variant["floor"] != "floor/copy" || len(used) != 1 || used["copy:9"] != 4 {
			t.Fatalf("%v %v %+v", err, used, r.Cells[0].Left)
		}
		s.Files.Resume = true
	}
}
