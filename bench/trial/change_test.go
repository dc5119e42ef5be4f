package trial

import (
	"context"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millrace/millrace/bench"
)

func TestMannWhitney(t *testing.T) {
	for _, c := range []struct {
		x, y []float64
		want float64
	}{
		{[]float64{1, 2, 3, 4}, []float64{5, 6, 7, 8}, 2.0 / 70},
		{[]float64{1, 2, 3, 4, 5}, []float64{6, 7, 8, 9, 10}, 2.0 / 252},
		{[]float64{1, 3, 5, 7}, []float64{2, 4, 6, 8}, 0.6857142857},                                                                 // R: wilcox.test
		{[]float64{0.8, 0.83, 1.89, 1.04, 1.45, 1.38, 1.91, 1.64, 0.73, 1.46}, []float64{1.15, 0.88, 0.9, 0.74, 1.21}, 0.2544122544}, // as above: its own example
		{[]float64{2, 2, 2, 2}, []float64{2, 2, 2, 2}, 1},
	} {
		if got := mannWhitney(c.x, c.y); math.Abs(got-c.want) > 1e-8 {
			t.Errorf("%v %v: p=%v, want %v", c.x, c.y, got, c.want)
		}
	}
	x, y := make([]float64, 14), make([]float64, 14) // too many orders to look at
	for i := range x {
		x[i], y[i] = float64(2*i), float64(2*i+7)
	}
	if got := mannWhitney(x, y); math.Abs(got-0.0508) > 0.0002 {
		t.Errorf("the approximation says %v", got)
	}
}

// results makes runs whose p99 is about that.
func results(random *rand.Rand, n int, ms float64) (all []*bench.Result) {
	g := newRig(random.Uint64(), 0.03)
	g.cost["a"] = ms
	for range n {
		r, _ := g.run(context.Background(), bench.Target{Name: "a"}, bench.Spec{Name: "L1", Seed: random.Uint64()})
		all = append(all, r)
	}
	return all
}

func demands(t *testing.T, texts ...string) (all []FailOn) {
	t.Helper()
	for _, text := range texts {
		f, err := ParseFailOn(text)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, f)
	}
	return all
}

func TestDemandsOnAChange(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	for _, c := range []struct {
		name     string
		old, new int
		by       float64
		demands  []string
		want     Outcome
		words    string
	}{
		{"worse", 6, 6, 1.2, []string{"produce.p99>+5%"}, Failed, "p=0.0022"},
		{"a little worse", 6, 6, 1.03, []string{"produce.p99>+15%"}, Passed, "%"},
		{"better", 6, 6, 0.5, []string{"produce.p99>+5%", "throughput<-3%"}, Passed, "-"},
		{"one run each", 1, 1, 1.5, []string{"produce.p99>+5%"}, Undecided, "not enough runs: 1 old and 1 new cannot tell it from chance, 4 each can"},
		{"many demands", 4, 4, 1.5, []string{"produce.p99>+5%", "cpu_per_gb>+5%"}, Undecided, "5 each can"},
		{"not measured", 6, 6, 1, []string{"e2e.p99>+5%"}, Undecided, "was not measured"},
	} {
		got, err := Compare(results(random, c.old, 1), results(random, c.new, c.by), demands(t, c.demands...))
		if err != nil {
			t.Fatal(err)
		}
		if got.Outcome() != c.want || !strings.Contains(got.Judged[0].Words, c.words) {
			t.Errorf("%s: %+v", c.name, got.Judged)
		}
	}
}

// A gate that goes off by itself is switched off by its owners.
func TestADemandSeldomFailsByChance(t *testing.T) {
	random := rand.New(rand.NewPCG(2, 1))
	failed := 0
	for range 200 {
		c, err := Compare(results(random, 5, 1), results(random, 5, 1), demands(t, "produce.p99>+0%", "cpu_per_gb>+0%"))
		if err != nil {
			t.Fatal(err)
		}
		if c.Outcome() == Failed {
			failed++
		}
	}
	if failed > 11 {
		t.Errorf("%d of 200 comparisons of the same failed", failed)
	}
}

// A new result that failed the verification is left out of the figures, and so would pass every demand on them.
func TestDemandsDoNotPassWhatIsLeftOut(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 1))
	old, now := results(random, 6, 1), results(random, 7, 1)
	now[6].Verdict = bench.Verdict{Sent: 10, Consumed: 9, Lost: 1}
	got, err := Compare(old, now, demands(t, "produce.p99>+50%"))
	if err != nil || got.Outcome() != Failed || got.Judged[0].Demand != "verification" {
		t.Errorf("%v: %+v", err, got)
	}
	for _, r := range results(random, 6, 1) {
		r.Spec.Name = "L2"
		old = append(old, r)
	}
	got, err = Compare(old, now[:6], demands(t, "produce.p99>+50%"))
	if err != nil || got.Outcome() != Undecided {
		t.Errorf("%v: %+v", err, got)
	}
}

func TestDemandsThatAreSlipsAreRefused(t *testing.T) {
	for text, want := range map[string]string{
		"e2e.p99>NaN%":     "sign",
		"e2e.p99>+Inf%":    "sign",
		"e2e.p99":          "no > or <",
		"e2e.p99>+5":       "no percentage",
		"e2e.p99<-5%":      "better when it is lower",
		"throughput>+5%":   "better when it is higher",
		"e2e.p99>-5%":      "the sign",
		"throughput<+5%":   "the sign",
		"e2e.p98>+5%":      "no metric",
		"throughput<-1e9%": "the sign",
	} {
		if _, err := ParseFailOn(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

func TestOnlyTheSameIsCompared(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 1))
	old, now := results(random, 4, 1), results(random, 5, 1)
	now[0].Disturbed = []string{"steal"}
	c, err := Compare(old, now, nil)
	if err != nil || c.Changes[0].NewN != 4 || !strings.Contains(c.Notes[0], "1 of 5 new results are left out") {
		t.Errorf("%v %+v", err, c)
	}
	now[1].Target.Durability = "fsync"
	if _, err := Compare(old, now, nil); err == nil || !strings.Contains(err.Error(), "different durability") {
		t.Error(err)
	}
	now[1].Target.Durability, now[2].Spec.Rate = "os", 7
	if _, err := Compare(old, now, nil); err == nil || !strings.Contains(err.Error(), "different workloads") {
		t.Error(err)
	}
	for _, r := range now {
		r.Spec.Name = "P1"
	}
	if _, err := Compare(old, now, nil); err == nil || !strings.Contains(err.Error(), "no workload in common") {
		t.Error(err)
	}
}

func TestResultsAreReadFromFilesAndFolders(t *testing.T) {
	dir := t.TempDir()
	all := results(rand.New(rand.NewPCG(4, 1)), 3, 1)
	for name, v := range map[string]any{"one.json": all[0], "below/two.json": all[1:], "ab.json": Comparison{Schema: ComparisonSchema}} {
		if err := writeJSON(filepath.Join(dir, name), v); err != nil {
			t.Fatal(err)
		}
	}
	for path, want := range map[string]int{"": 3, "one.json": 1, "below/two.json": 2} {
		if got, err := ReadResults(filepath.Join(dir, path)); err != nil || len(got) != want {
			t.Errorf("%q: %d results, %v", path, len(got), err)
		}
	}
	if _, err := ReadResults(filepath.Join(dir, "ab.json")); err == nil || !strings.Contains(err.Error(), "holds no results") {
		t.Error(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "alien.json"), []byte(`{"schema":"x"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadResults(dir); err == nil || !strings.Contains(err.Error(), `schema "x"`) {
		t.Error(err)
	}
}
