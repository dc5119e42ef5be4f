package trial

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// FailOn is a change that must not be: e2e.p99>+5%, throughput<-3%.
type FailOn struct {
	Metric Metric
	Limit  float64 // 0.05, or -0.03 where higher is better
	Text   string
}

// ParseFailOn reads one. A sign or a direction that would fail a change for the better is refused: it is a slip.
func ParseFailOn(text string) (FailOn, error) {
	bad := func(why string) (FailOn, error) {
		return FailOn{}, fmt.Errorf("%q: %s; write METRIC>+5%% where lower is better, METRIC<-5%% where higher is", text, why)
	}
	at := strings.IndexAny(text, "<>")
	if at < 0 {
		return bad("no > or <")
	}
	m, err := MetricNamed(strings.TrimSpace(text[:at]))
	if err != nil {
		return FailOn{}, err
	}
	number, percent := strings.CutSuffix(strings.TrimSpace(text[at+1:]), "%")
	v, err := strconv.ParseFloat(number, 64)
	switch {
	case err != nil || !percent:
		return bad("the limit is no percentage")
	case m.Higher != (text[at] == '<'):
		return bad(fmt.Sprintf("%s is better when it is %s", m.Name, direction(m)))
	case m.Higher && !(v <= 0 && v > -100), !m.Higher && !(v >= 0 && v < math.Inf(1)):
		return bad("the sign of the limit")
	}
	return FailOn{m, v / 100, text}, nil
}

func direction(m Metric) string {
	if m.Higher {
		return "higher"
	}
	return "lower"
}

// beyond reports whether a change (0.07: 7 % more) is past the limit.
func (f FailOn) beyond(change float64) bool {
	if f.Metric.Higher {
		return change < f.Limit
	}
	return change > f.Limit
}
