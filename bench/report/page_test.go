package report

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/bench"
	"github.com/millrace/millrace/bench/trial"
)

func rendered(t *testing.T, d Document) string {
	t.Helper()
	var b strings.Builder
	if err := Page(&b, d); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestPageSaysTheComparisonInItsOwnWords(t *testing.T) {
	c := compared(t, "L1", 1000)
	page := rendered(t, Document{Comparisons: []*trial.Comparison{c}})
	contains(t, page, "<h1>kafka and millrace, L1</h1>", "<li>"+escape(c.Headline)+".</li>", "VERIFIED", "SOUND", "Latency in ms, all runs in one histogram",
		"End-to-end latency by percentile", "What the brokers used", "Over time: millrace", "millrace bench ab kafka=127.0.0.1:9092")
	for _, m := range c.Metrics {
		contains(t, page, escape(m.Words))
	}
}

func TestPageNeedsNothingElse(t *testing.T) {
	page := rendered(t, Document{Results: []*bench.Result{run()}, Comparisons: []*trial.Comparison{compared(t, "L1", 1000)}})
	for _, of := range []string{"http://", "https://", " src=", "@import", "url(", "<link rel=\"stylesheet"} {
		if i := strings.Index(page, of); i >= 0 {
			t.Errorf("the page refers to something else: %s", page[i:min(len(page), i+80)])
		}
	}
}

// A broker, a file's author or a group of one may choose the names.
func TestPageEscapesWhatOthersNamed(t *testing.T) {
	const name = `"><script>alert('x')</script>&`
	r := run()
	r.Spec.Name, r.Target.Name, r.Target.Durability, r.Target.Configs = name, name, name, map[string]string{name: name}
	r.Command, r.Invalid, r.Spec.Size, r.Figures = []string{name}, []string{name}, name, map[string]float64{name: 1}
	r.Brokers[0].Threads = map[string]time.Duration{name: 1e9, "b": 1e8}
	page := rendered(t, Document{Results: []*bench.Result{r}})
	if n := strings.Count(page, "<script"); n != 2 { // the data and the page's own
		t.Errorf("%d scripts", n)
	}
	page, _, _ = strings.Cut(page, `id="raw">`) // there it is JSON, whose < are escaped
	if strings.Contains(page, `"><script>alert`) || strings.Contains(page, `alert('x')`) {
		t.Error("a name is markup")
	}
}

func TestPageHasTheDataItWasMadeFrom(t *testing.T) {
	r := run()
	page := rendered(t, Document{Results: []*bench.Result{r}})
	_, raw, _ := strings.Cut(page, `id="raw">`)
	raw, _, _ = strings.Cut(raw, `</script>`)
	var got struct{ Results []*bench.Result }
	if err := json.Unmarshal([]byte(raw), &got); err != nil {
		t.Fatal(err)
	}
	want, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	found, err := json.Marshal(got.Results[0])
	if diff := cmp.Diff(string(want), string(found)); diff != "" || err != nil || len(got.Results) != 1 {
		t.Error(diff, err)
	}
	if again := rendered(t, Document{Results: []*bench.Result{r}}); again != page {
		t.Error("the same data make another page")
	}
}

func TestPageDoesNotQuoteWhatIsNotSound(t *testing.T) {
	r := run()
	r.Invalid = []string{"slip p99 3 ms"}
	contains(t, rendered(t, Document{Results: []*bench.Result{r}}), "no figure of this run is to be quoted, INVALID: slip p99 3 ms", "1 RUN NOT SOUND")
	r = run()
	r.Verdict.Lost = 3
	contains(t, rendered(t, Document{Results: []*bench.Result{r}}), "NOT VERIFIED", "verification failed")
	r = run()
	r.Saturated = true
	contains(t, rendered(t, Document{Results: []*bench.Result{r}}), "could not keep 10,000 records/s", "1 RUN SATURATED", "SATURATED</b>")
	if err := Page(&strings.Builder{}, Document{}); err == nil {
		t.Error("a page of nothing")
	}
}

// A run that is not sound is in no figure as long as there are others.
func TestRunsInVainAreInNoFigure(t *testing.T) {
	bad := run()
	bad.Disturbed = []string{"steal"}
	bad.Latency[bench.LatencyEndToEnd] = distribution(9, 100000, 500, 1)
	cells, err := (&Document{Results: []*bench.Result{bad, run(), run()}}).cells()
	if err != nil {
		t.Fatal(err)
	}
	target := cells[0].targets[0]
	if len(cells) != 1 || len(cells[0].targets) != 1 || len(target.runs) != 2 || len(target.vain) != 1 {
		t.Fatalf("%d cells, %d runs count, %d in vain", len(cells), len(target.runs), len(target.vain))
	}
	if d := target.merged[bench.LatencyEndToEnd].of; d.Count != 200000 || d.P99 > 100 {
		t.Errorf("%d samples, p99 %v ms", d.Count, d.P99)
	}
}

// Percentiles of several runs come from their merged histogram: 1 ms and 100 ms have no p50 of 50.5 ms.
func TestRunsMergeByHistogram(t *testing.T) {
	slow, fast := run(), run()
	fast.Latency[bench.LatencyEndToEnd], slow.Latency[bench.LatencyEndToEnd] = distribution(1, 30000, 1, 0), distribution(1, 10000, 100, 0)
	cells, err := (&Document{Results: []*bench.Result{slow, fast}}).cells()
	if err != nil {
		t.Fatal(err)
	}
	m := cells[0].targets[0].merged[bench.LatencyEndToEnd]
	if m.of.P50 > 2 || m.of.P90 < 50 || m.of.Count != 40000 || len(m.members) != 2 {
		t.Errorf("p50 %v, p90 %v, %d samples of %d runs", m.of.P50, m.of.P90, m.of.Count, len(m.members))
	}
	line := m.line("x", 0, true)
	if got := math.Pow(10, -line.Carried) * 40000; math.Abs(got-carriedBy) > 1e-6 {
		t.Errorf("the curve is said to be carried up to where %v samples lie beyond", got)
	}
}

// A suite hands over all of its results, and comparisons of some of them.
func TestARunCountsOnce(t *testing.T) {
	c := compared(t, "L1", 1000)
	var all []*bench.Result
	for _, s := range c.Segments {
		all = append(all, s.Result)
	}
	cells, err := (&Document{Results: all, Comparisons: []*trial.Comparison{c}}).cells()
	if err != nil {
		t.Fatal(err)
	}
	if len(cells) != 1 || len(cells[0].targets) != 2 || len(cells[0].targets[0].runs) != 4 {
		t.Errorf("%d cells, the first has %d runs of its first target, want 1 and 4", len(cells), len(cells[0].targets[0].runs))
	}
}

// What was asked makes a workload, what was promised makes a target.
func TestDifferentPromisesAreDifferentTargets(t *testing.T) {
	other, more := run(), run()
	other.Target.Durability = "fsync"
	more.Spec.Partitions = 50
	cells, err := (&Document{Results: []*bench.Result{run(), other, more}}).cells()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range cells {
		for _, t := range c.targets {
			got = append(got, c.name+": "+t.name)
		}
	}
	if diff := cmp.Diff([]string{"L1: kafka", "L1: kafka (2)", "L1: kafka"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestCommandsCanBePasted(t *testing.T) {
	if got, want := shell([]string{"millrace", "bench", "a b", "it's", "e2e.p99.9=10ms", ""}), `millrace bench 'a b' 'it'\''s' e2e.p99.9=10ms ''`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
