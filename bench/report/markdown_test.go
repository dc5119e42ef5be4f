package report

import (
	"strings"
	"testing"

	"github.com/millrace/millrace/bench/trial"
)

func TestASuiteIsATableForADocument(t *testing.T) {
	s := &trial.SuiteResult{Targets: []string{"floor", "kafka", "millrace"}, Cells: []trial.CellResult{{
		Cell: "L1-10k", What: "end to end", Headline: "e2e.p99.9", Left: map[string]string{"floor": trial.FloorCannot},
		Figures:  map[string]map[string]float64{"kafka": {"e2e.p99.9": 8, "e2e.p50": 0.4, "cores": 1.1}, "millrace": {"e2e.p99.9": 2, "e2e.p50": 0.39}},
		Segments: []trial.Segment{{Target: "kafka"}, {Target: "kafka", Used: true}, {Target: "millrace", Used: true}},
		Compared: []*trial.Comparison{{A: "kafka", B: "millrace", Metrics: []trial.Ratio{
			{Metric: "e2e.p99.9", N: 4, Ratio: 0.25, Interval: &trial.Interval{Low: 0.2, High: 0.3}, Difference: trial.Better},
			{Metric: "e2e.p50", N: 4, Ratio: 0.98, Interval: &trial.Interval{Low: 0.9, High: 1.1}, Difference: trial.None},
		}}},
	}, {
		Cell: "Z1-1mb", What: "few records", Headline: "e2e.p99", Figures: map[string]map[string]float64{"millrace": {"e2e.p50": 1.5}},
	}}}
	var b strings.Builder
	if err := Markdown(&b, Document{Suites: []*trial.SuiteResult{s}}); err != nil {
		t.Fatal(err)
	}
	want := `| workload | figure | floor | kafka | millrace | millrace / floor | millrace / kafka | n |
|---|---|---|---|---|---|---|---|
| L1-10k | e2e p99.9 | - | 8.00 ms | 2.00 ms | - | **0.25** 0.20-0.30 | 4 |
|  | e2e p50 | - | 0.400 ms | 0.390 ms | - | 0.98 | 4 |
|  | CPU | - | 1.10 cores | - | - | - | 0 |
| Z1-1mb | e2e p50 | - | - | 1.50 ms | - | - | 0 |

- L1-10k: end to end. Runs repeated: 1.
- Z1-1mb: few records.
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
	if err := Markdown(&b, Document{}); err == nil {
		t.Error("nothing is a table")
	}
}
