package trial

import (
	"math"
	"time"

	"github.com/millrace/millrace/bench"
)

// ComparisonSchema is the version of a comparison's document. A field may be added under the same number.
const ComparisonSchema = "millrace.bench.ab/v1"

// Comparison is what paired runs of one workload against two targets showed. A ratio is always B's figure by A's.
type Comparison struct {
	Schema     string     `json:"schema"`
	Version    string     `json:"version,omitempty"` // of the generator
	Started    time.Time  `json:"started"`
	Command    []string   `json:"command,omitempty"`
	Cell       string     `json:"cell,omitempty"`
	A          string     `json:"a"`
	B          string     `json:"b"`
	Durability [2]string  `json:"durability"` // of A and of B
	Spec       bench.Spec `json:"spec"`       // without the seed of a segment
	Seed       uint64     `json:"seed"`
	Headline   string     `json:"headline"` // a sentence to quote
	Notes      []string   `json:"notes,omitempty"`
	Metrics    []Ratio    `json:"metrics"`            // the headline's first
	Segments   []Segment  `json:"segments,omitempty"` // of a suite's comparison: those of its cell
}

// Difference is what a comparison found of one metric.
type Difference string

const (
	None   Difference = "none"    // none the data could show
	Better Difference = "better"  // B is
	Worse  Difference = "worse"   // B is
	TooFew Difference = "too few" // pairs: no verdict
)

// Ratio is one metric of a comparison.
type Ratio struct {
	Metric     string     `json:"metric"`
	Unit       string     `json:"unit,omitempty"`
	Headline   bool       `json:"headline,omitempty"`
	N          int        `json:"n"` // pairs
	A          float64    `json:"a"` // geometric means
	B          float64    `json:"b"`
	Ratio      float64    `json:"ratio"` // B by A, geometric mean of the pairs
	Interval   *Interval  `json:"interval,omitempty"`
	Pairs      []float64  `json:"pairs"` // the ratio of each pair
	Difference Difference `json:"difference"`
	Words      string     `json:"words"`
}

// Sound reports whether enough pairs came about for a verdict, whatever it is.
func (c *Comparison) Sound() bool { return len(c.Metrics) > 0 && c.Metrics[0].Difference != TooFew }

// level is that of the metric named in advance. The others share the same 5 % among them: were each taken at 95 %, one of twenty
// that do not differ would be said to.
const level = 0.95

// compare fills in the metrics and the sentences from the segments. The headline's metric was chosen before the first run.
func (c *Comparison) compare(headline Metric) {
	var others []Ratio
	head := c.ratio(headline)
	head.Headline = true
	for _, m := range metrics {
		if m.Name == headline.Name {
			continue
		}
		if r := c.ratio(m); r.N > 0 {
			others = append(others, r)
		}
	}
	c.judge(&head, level)
	for i := range others {
		c.judge(&others[i], 1-(1-level)/float64(len(others)))
	}
	c.Metrics = append([]Ratio{head}, others...)
	c.Headline = head.Words
	if !sameDurability(c.Durability[0], c.Durability[1]) {
		c.Headline = "UNEQUAL DURABILITY (" + c.A + " " + c.Durability[0] + ", " + c.B + " " + c.Durability[1] + "): " + c.Headline
	}
	c.notes()
}

// ratio pairs what was used.
func (c *Comparison) ratio(m Metric) Ratio {
	r := Ratio{Metric: m.Name, Unit: m.Unit}
	var as, bs []float64
	for _, a := range c.Segments {
		if !a.Used || a.Target != c.A {
			continue
		}
		for _, b := range c.Segments {
			if !b.Used || b.Target != c.B || a.Pair != b.Pair {
				continue
			}
			va, okA := m.Of(a.Result)
			vb, okB := m.Of(b.Result)
			if okA && okB {
				as, bs, r.Pairs = append(as, va), append(bs, vb), append(r.Pairs, vb/va)
			}
		}
	}
	if r.N = len(r.Pairs); r.N > 0 {
		r.A, r.B, r.Ratio = geometricMean(as), geometricMean(bs), geometricMean(r.Pairs)
	}
	return r
}

func (c *Comparison) judge(r *Ratio, level float64) {
	m, _ := MetricNamed(r.Metric) // it is one of them
	if r.N < minPairs {
		r.Difference = TooFew
	} else {
		logs := make([]float64, r.N)
		for i, p := range r.Pairs {
			logs[i] = math.Log(p)
		}
		_, interval := paired(logs, level, c.Seed)
		r.Interval = &interval
		switch {
		case interval.Spans():
			r.Difference = None
		case (r.Ratio > 1) == m.Higher:
			r.Difference = Better
		default:
			r.Difference = Worse
		}
	}
	r.Words = r.words(m, c.B)
}
