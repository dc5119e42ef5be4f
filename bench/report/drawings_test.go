package report

import (
	"encoding/json"
	"encoding/xml"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/bench"
	"github.com/millrace/millrace/bench/trial"
)

func TestDrawingsAreFilesOfTheirOwn(t *testing.T) {
	d, err := Read("testdata")
	if err != nil {
		t.Fatal(err)
	}
	all, err := Drawings(d)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range all {
		names = append(names, f.Name)
		if err := xml.Unmarshal([]byte(f.SVG), new(struct{ XMLName xml.Name })); err != nil {
			t.Errorf("%s: %v", f.Name, err)
		}
		if n := strings.Count(f.SVG, "http"); n != 1 { // the name of SVG itself
			t.Errorf("%s refers to something else", f.Name)
		}
		contains(t, f.SVG, "prefers-color-scheme:dark", `class="paper"`, "<title>", "<desc>")
	}
	want := []string{"L1-millrace-by-kafka.svg", "L1-e2e.svg", "L1-produce.svg", "L1-used.svg", "one-e2e.svg", "one-produce.svg", "one-used.svg", "L1-knee.svg"}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Error(diff)
	}
	for _, f := range all {
		if f.Name == "L1-e2e.svg" {
			contains(t, strings.Join(strings.Fields(f.SVG), " "), "2,000 records/s, open loop", "kafka was SATURATED", "durability os (page cache, no flush)")
		}
	}
}

func TestEveryDocumentOfTheBenchIsRead(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, document any) {
		text, err := json.Marshal(document)
		if err == nil {
			err = os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755)
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), text, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	// A suite as it is written: comparisons without segments, segments without results.
	c := compared(t, "P1", 1000)
	suite := trial.SuiteResult{Schema: trial.SuiteSchema, Name: "short", Command: []string{"millrace", "bench", "suite"}}
	cell := trial.CellResult{Cell: "P1", Segments: c.Segments, Compared: []*trial.Comparison{c}}
	for i := range c.Segments {
		s := &c.Segments[i]
		s.File = filepath.Join("P1", string(rune('a'+i))+".json")
		write(s.File, s.Result)
		s.Result = nil
	}
	c.Segments, c.Command = nil, nil
	suite.Cells = []trial.CellResult{cell}
	write("suite.json", suite)
	write("two.json", trial.Results{Schema: trial.ResultsSchema, Results: []*bench.Result{run(), run()}})
	write("goals.json", map[string]string{"schema": "somebody's"})

	d, err := Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(d.All()); n != 8+2 || len(d.Comparisons) != 1 {
		t.Errorf("%d runs and %d comparisons, want 10 and 1", n, len(d.Comparisons))
	}
	cells, err := d.cells()
	if err != nil {
		t.Fatal(err)
	}
	if len(cells) != 2 || len(cells[0].comparisons) != 1 || len(cells[0].targets) != 2 || len(cells[0].targets[1].runs) != 4 {
		t.Errorf("%d cells, %d comparisons of the first, its targets %v", len(cells), len(cells[0].comparisons), cells[0].targets)
	}
	contains(t, rendered(t, d), "millrace bench suite")

	if _, err := Read(filepath.Join(dir, "goals.json")); err == nil || !strings.Contains(err.Error(), "somebody's") {
		t.Errorf("a file of somebody else: %v", err)
	}
	if _, err := Read(t.TempDir()); err == nil || !strings.Contains(err.Error(), "bench run --json") {
		t.Errorf("an empty folder: %v", err)
	}
	suite.Cells[0].Segments[0].File = "../outside.json"
	write("suite.json", suite)
	if _, err := Read(dir); err == nil || !strings.Contains(err.Error(), "outside") {
		t.Errorf("a segment's file outside of the folder: %v", err)
	}
}

// A comparison can be shown without its runs.
func TestComparisonsWithoutTheirRunsAreShown(t *testing.T) {
	c := compared(t, "P1", 1000)
	c.Segments = nil
	contains(t, rendered(t, Document{Comparisons: []*trial.Comparison{c}}), escape(c.Headline), "millrace by kafka", "Every comparison in words")
	if all, err := Drawings(Document{Comparisons: []*trial.Comparison{c}}); err != nil || len(all) != 1 {
		t.Errorf("%d drawings (%v), want the forest", len(all), err)
	}
}

func TestTheSameRunFromTwoFilesIsOne(t *testing.T) {
	r := run()
	copied := *r
	later := *r
	later.Started = r.Started.Add(time.Second)
	d := Document{Results: []*bench.Result{r, &copied, &later}}
	if n := len(d.All()); n != 2 {
		t.Errorf("%d runs, want 2", n)
	}
}
