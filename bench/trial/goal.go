package trial

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
	"strings"

	yaml "go.yaml.in/yaml/v3"
)

// Goal is a limit that must hold, with the reason for it.
type Goal struct {
	Cell    string `yaml:"cell"`
	Metric  string `yaml:"metric"`
	Target  string `yaml:"target"`  // default: the suite's last
	Against string `yaml:"against"` // another target: then the limit is of the ratio to it, and the whole interval has to hold it
	Limit   string `yaml:"limit"`   // "<= 60us", ">= 100"; of a ratio "<= 1/5", ">= 8"
	Needs   string `yaml:"needs"`   // strace: where it is missing, or may not look, the goal is skipped and not undecided
	Reason  string `yaml:"reason"`

	metric Metric
	least  bool // the limit is one from below
	value  float64
}

// ReadGoals reads a YAML list of goals. A field that there is not, an unknown metric or a limit in the wrong direction is an error
// that names the goal.
func ReadGoals(path string) ([]Goal, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var goals []Goal
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	decoder.KnownFields(true)
	if err := decoder.Decode(&goals); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if len(goals) == 0 {
		return nil, fmt.Errorf("%s holds no goals: want a list of {cell, metric, limit, reason}", path)
	}
	for i := range goals {
		if err := goals[i].read(); err != nil {
			return nil, fmt.Errorf("%s: goal %d (%s %s): %w", path, i+1, goals[i].Cell, goals[i].Metric, err)
		}
	}
	return goals, nil
}

func (g *Goal) read() (err error) {
	if g.Cell == "" || g.Reason == "" {
		return errors.New("a goal needs a cell, a metric, a limit and a reason")
	}
	if g.Needs != "" && g.Needs != "strace" {
		return fmt.Errorf("needs %q: only strace is known", g.Needs)
	}
	if g.metric, err = MetricNamed(g.Metric); err != nil {
		return err
	}
	text, most := strings.CutPrefix(g.Limit, "<=")
	if !most {
		text, g.least = strings.CutPrefix(g.Limit, ">=")
	}
	if !most && !g.least {
		return fmt.Errorf("limit %q: want <= or >= and a value", g.Limit)
	}
	if g.least != g.metric.Higher {
		return fmt.Errorf("limit %q: %s is better when it is %s", g.Limit, g.Metric, direction(g.metric))
	}
	if g.Against == "" {
		g.value, err = g.metric.parse(text)
		return err
	}
	over, under, fraction := strings.Cut(strings.TrimSpace(text), "/")
	g.value, err = strconv.ParseFloat(over, 64)
	if fraction && err == nil {
		var by float64
		by, err = strconv.ParseFloat(under, 64)
		g.value /= by
	}
	if err != nil || !(g.value > 0) || math.IsInf(g.value, 1) {
		return fmt.Errorf("limit %q: a ratio is a number above 0, or a fraction like 1/5", g.Limit)
	}
	return nil
}

func (g *Goal) holds(v float64) bool {
	if g.least {
		return v >= g.value
	}
	return v <= g.value
}
