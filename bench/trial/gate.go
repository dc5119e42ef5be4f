package trial

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/millrace/millrace/bench"
)

// GateSchema is the version of the document.
const GateSchema = "millrace.bench.gate/v1"

// Gated is how goals came out.
type Gated struct {
	Schema string   `json:"schema"`
	Judged []Judged `json:"judged"`
}

// Outcome is the worst of the goals'.
func (g *Gated) Outcome() Outcome { return worst(g.Judged) }

// Gate holds goals against what a suite found. A goal whose cell was not run, or whose figures do not tell, neither holds nor fails.
//
// allow is for a machine that has other work: a goal of time (Metric.Clock) that no quiet run was there for, and that the others did not meet, is
// skipped. What is counted decides all the same, also where the generator was the limit.
func Gate(goals []Goal, suite *SuiteResult, allow bool) *Gated {
	found := &Gated{Schema: GateSchema}
	for _, g := range goals {
		j := Judged{Cell: g.Cell, Demand: g.Metric + " " + g.Limit}
		if g.Against != "" {
			j.Demand += " of " + g.Against
		}
		j.Outcome, j.Words = g.judge(suite, allow)
		if j.Outcome != Passed {
			j.Words += "; " + g.Reason
		}
		found.Judged = append(found.Judged, j)
	}
	return found
}

func (g *Goal) judge(suite *SuiteResult, allow bool) (Outcome, string) {
	at := slices.IndexFunc(suite.Cells, func(c CellResult) bool { return c.Cell == g.Cell })
	if at < 0 {
		return Undecided, "was not run"
	}
	cell := suite.Cells[at]
	target := g.Target
	if target == "" {
		target = suite.Targets[len(suite.Targets)-1]
	}
	switch {
	case cell.Lost:
		return Failed, cell.Error
	case cell.Left[target] != "":
		return Undecided, target + " was left out: " + cell.Left[target]
	case g.Against != "":
		return g.judgeRatio(cell, target)
	}
	v, ok := cell.Figures[target][g.Metric]
	if !ok && allow && !g.metric.Clock() {
		v, ok = cell.counted(target, g.metric)
	}
	why := ""
	if allow && g.metric.Clock() {
		why = cell.unquiet(target)
	}
	switch {
	case ok && g.holds(v):
		return Passed, g.metric.Format(v)
	case ok && why != "":
		return Skipped, g.metric.Format(v) + ", but " + why
	case ok:
		return Failed, g.metric.Format(v)
	case g.Needs != "" && cell.Figures[target] != nil: // the cell was measured, and this is what it could not
		return Skipped, "needs " + g.Needs
	case cell.Error != "":
		return Undecided, "was not measured: " + cell.Error
	case why != "":
		return Skipped, why
	}
	return Undecided, "was not measured, or the runs were disturbed"
}

// judgeRatio needs the interval on one side of the limit.
func (g *Goal) judgeRatio(cell CellResult, target string) (Outcome, string) {
	for _, c := range cell.Compared {
		if c.A != g.Against || c.B != target {
			continue
		}
		for _, r := range c.Metrics {
			if r.Metric != g.Metric {
				continue
			}
			if r.Interval == nil {
				return Undecided, fmt.Sprintf("%.2fx, of too few pairs (%d)", r.Ratio, r.N)
			}
			words := fmt.Sprintf("%.2fx [%.2f, %.2f], n=%d", r.Ratio, r.Interval.Low, r.Interval.High, r.N)
			switch low, high := g.holds(r.Interval.Low), g.holds(r.Interval.High); {
			case low && high:
				return Passed, words
			case !low && !high:
				return Failed, words
			}
			return Undecided, words
		}
	}
	return Undecided, target + " and " + g.Against + " were not compared"
}

// ReadSuite reads what a suite left in a folder, or any results, as the figures of their cells.
func ReadSuite(path string) (*SuiteResult, error) {
	data, err := os.ReadFile(filepath.Join(path, "suite.json"))
	if err == nil {
		r := new(SuiteResult)
		if err := json.Unmarshal(data, r); err != nil || r.Schema != SuiteSchema || len(r.Targets) == 0 {
			return nil, errors.Join(fmt.Errorf("%s is no document of a suite (%s)", filepath.Join(path, "suite.json"), SuiteSchema), err)
		}
		for i := range r.Cells {
			for j := range r.Cells[i].Segments {
				s := &r.Cells[i].Segments[j]
				if s.Result, err = readResult(filepath.Join(path, s.File)); err != nil {
					return nil, err
				}
			}
		}
		return r, nil
	}
	if info, e := os.Stat(path); e == nil && info.IsDir() && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	all, err := ReadResults(path)
	if err != nil {
		return nil, err
	}
	return figuresOf(all), nil
}

// figuresOf sorts single results by cell and target; only sound ones count.
func figuresOf(all []*bench.Result) *SuiteResult {
	found := &SuiteResult{Schema: SuiteSchema}
	by := map[[2]string][]*bench.Result{}
	for _, r := range all {
		cell, target := r.Spec.Name, r.Target.Name
		if !slices.Contains(found.Targets, target) {
			found.Targets = append(found.Targets, target)
		}
		at := slices.IndexFunc(found.Cells, func(c CellResult) bool { return c.Cell == cell })
		if at < 0 {
			at = len(found.Cells)
			found.Cells = append(found.Cells, CellResult{Cell: cell, Figures: map[string]map[string]float64{}})
		}
		c := &found.Cells[at]
		switch {
		case !r.Verdict.Intact():
			c.Lost, c.Error = true, (&VerificationError{Target: target, Verdict: r.Verdict}).Error()
		case r.Sound():
			by[[2]string{cell, target}] = append(by[[2]string{cell, target}], r)
			c.Figures[target] = medians(by[[2]string{cell, target}])
		}
	}
	return found
}
