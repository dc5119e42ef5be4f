package trial

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/millrace/millrace/bench"
)

// SLO is what must hold of a run: e2e.p99.9=10ms, cores=0.5, throughput=100.
type SLO struct {
	Metric Metric
	Limit  float64 // in the metric's unit
	Text   string
}

// ParseSLO reads METRIC=LIMIT. A limit of a time may have a unit of its own; without one it is in that of the metric.
func ParseSLO(text string) (SLO, error) {
	name, limit, found := strings.Cut(text, "=")
	m, err := MetricNamed(strings.TrimSpace(strings.TrimRight(name, "<>")))
	if !found {
		return SLO{}, fmt.Errorf("%q: want METRIC=LIMIT, for example e2e.p99.9=10ms", text)
	}
	if err != nil {
		return SLO{}, err
	}
	v, err := m.parse(strings.TrimSpace(limit))
	if err != nil {
		return SLO{}, fmt.Errorf("%q: %w", text, err)
	}
	return SLO{m, v, text}, nil
}

// durations are the units in which a metric of time is kept.
var durations = map[string]time.Duration{"s": time.Second, "ms": time.Millisecond, "us": time.Microsecond}

// parse reads a value in the metric's unit or, of a time, in any.
func (m Metric) parse(s string) (float64, error) {
	s = strings.TrimSpace(s)
	if unit := durations[m.Unit]; unit != 0 {
		if d, err := time.ParseDuration(strings.ReplaceAll(s, " ", "")); err == nil && d > 0 {
			return float64(d) / float64(unit), nil
		}
	}
	unit, times := m.Unit, 1.0
	if m.Unit == "bytes" {
		for _, b := range memory {
			if strings.HasSuffix(s, b.unit) {
				unit, times = b.unit, b.times
				break
			}
		}
	}
	v, err := strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(s, unit)), 64)
	if err != nil || !(v > 0) || math.IsInf(v, 1) {
		return 0, fmt.Errorf("%q is no limit of %s: want a number of %s above 0", s, m.Name, m.Unit)
	}
	return v * times, nil
}

// memory has the units in which it may be given, the longer ones first.
var memory = []struct {
	unit  string
	times float64
}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"kB", 1e3}, {"MB", 1e6}}

// hold is what a run says of a list of objectives.
type hold int

const (
	held   hold = iota
	border      // beyond a limit by so little that it may be chance
	broken
)

// of judges one objective. slack is by how much (0.05: 5 %) a limit has to be passed before it is broken and not at the border.
func (s SLO) of(r *bench.Result, slack float64) (hold, string) {
	v, ok := s.Metric.Of(r)
	if !ok {
		return broken, s.Metric.Name + " was not measured, or of too few records"
	}
	by := v / s.Limit
	if s.Metric.Higher {
		by = s.Limit / v
	}
	words := s.Metric.Name + " " + s.Metric.Format(v)
	switch {
	case by <= 1:
		return held, words
	case by <= 1+slack:
		return border, words
	}
	return broken, words
}
