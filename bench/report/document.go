package report

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/millrace/millrace/bench"
	"github.com/millrace/millrace/bench/trial"
)

// Document is what a page or a set of charts is made from. The runs of a comparison may be among the results as well: a run counts once.
type Document struct {
	Results     []*bench.Result
	Comparisons []*trial.Comparison
	Sweeps      []*trial.Swept
	Suites      []*trial.SuiteResult // as tables; what they hold is among the others, too
}

// cell is one workload and those who had it.
type cell struct {
	name        string
	targets     []*target // none: only the comparisons are there, without their runs
	comparisons []*trial.Comparison
}

// target is who had a workload, in one or several runs.
type target struct {
	name   string
	series int             // its colour, the same in all cells
	runs   []*bench.Result // that count
	vain   []*bench.Result // that do not: in no figure and no chart as long as there are others
	merged map[string]*merged
}

// first is a run that stands for all where they do not differ.
func (t *target) first() *bench.Result { return t.runs[0] }

// cells sorts runs by what was asked of whom. Two results of one name are of one target only when workload, durability and software
// are the same.
func (d *Document) cells() ([]*cell, error) {
	var cells []*cell
	find := func(r *bench.Result) *target {
		cellName, targetName := name(r)
		work := workload(r.Spec)
		var in *cell
		for _, c := range cells {
			if c.name == cellName && workload(c.targets[0].any().Spec) == work {
				in = c
			}
		}
		if in == nil {
			in = &cell{name: cellName}
			cells = append(cells, in)
		}
		for _, t := range in.targets {
			if a := t.any(); t.name == targetName && a.Target.Durability == r.Target.Durability && a.Target.Software == r.Target.Software && a.Version == r.Version {
				return t
			}
		}
		t := &target{name: targetName}
		in.targets = append(in.targets, t)
		return t
	}
	seen := map[string]bool{}
	add := func(r *bench.Result, used bool) {
		t := find(r)
		once := identity(r)
		if seen[once] {
			return
		}
		seen[once] = true
		if used {
			t.runs = append(t.runs, r)
		} else {
			t.vain = append(t.vain, r)
		}
	}
	for _, comparison := range d.Comparisons {
		for _, s := range comparison.Segments {
			if s.Result != nil {
				add(s.Result, s.Used)
			}
		}
	}
	for _, r := range d.Results {
		add(r, r.Sound())
	}
	for _, comparison := range d.Comparisons {
		of := &bench.Result{Spec: comparison.Spec}
		if of.Spec.Name == "" {
			of.Spec.Name = comparison.Cell
		}
		cellName, _ := name(of)
		same := func(c *cell) bool {
			return c.name == cellName && (len(c.targets) == 0 || workload(c.targets[0].any().Spec) == workload(comparison.Spec))
		}
		i := slices.IndexFunc(cells, same)
		if i < 0 {
			i, cells = len(cells), append(cells, &cell{name: cellName})
		}
		cells[i].comparisons = append(cells[i].comparisons, comparison)
	}
	if len(cells)+len(d.Sweeps) == 0 {
		return nil, errors.New("nothing to report: no result was given")
	}
	for _, c := range cells {
		told := map[string]int{}
		for _, t := range c.targets {
			if len(t.runs) == 0 {
				t.runs, t.vain = t.vain, nil // shown all the same, with the reasons beside them
			}
			if told[t.name]++; told[t.name] > 1 {
				t.name = fmt.Sprintf("%s (%d)", t.name, told[t.name])
			}
			if err := t.merge(); err != nil {
				return nil, fmt.Errorf("%s, %s: %w", c.name, t.name, err)
			}
		}
	}
	names := d.targets(cells)
	for _, c := range cells {
		for _, t := range c.targets {
			t.series = slices.Index(names, t.name)
		}
	}
	return cells, nil
}

// targets are the names of all, in the order in which they come: a target's place in it is its colour.
func (d *Document) targets(cells []*cell) (names []string) {
	see := func(name string) {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	for _, c := range cells {
		for _, t := range c.targets {
			see(t.name)
		}
	}
	for _, c := range d.Comparisons {
		see(c.A)
		see(c.B)
	}
	for _, s := range d.Sweeps {
		see(s.Target.Name)
	}
	return names
}

// any is a run of the target, whether it counts or not.
func (t *target) any() *bench.Result {
	if len(t.runs) > 0 {
		return t.runs[0]
	}
	return t.vain[0]
}

// workload is what was asked for, without what differs from run to run.
func workload(s bench.Spec) string {
	s = s.WithDefaults()
	s.Topic, s.Seed, s.TopicConfigs = "", 0, nil
	text, _ := json.Marshal(s) // plain values
	return string(text)
}

// of is the median of a figure over the runs, and what it is between. Runs that do not know it are passed over.
func (t *target) of(read func(*bench.Result) figure) (median figure, low, high float64) {
	var all []float64
	for _, r := range t.runs {
		if f := read(r); f.known {
			all = append(all, f.value)
		}
	}
	if len(all) == 0 {
		return figure{}, 0, 0
	}
	slices.Sort(all)
	middle := all[len(all)/2]
	if len(all)%2 == 0 {
		middle = (middle + all[len(all)/2-1]) / 2
	}
	return figure{middle, true}, all[0], all[len(all)-1]
}

// saturated is how many of the runs that count the broker could not keep up with.
func (t *target) saturated() (n int) {
	for _, r := range t.runs {
		if r.Saturated {
			n++
		}
	}
	return n
}

func placeIn(names []string) func(string) int {
	return func(name string) int { return slices.Index(names, name) }
}
