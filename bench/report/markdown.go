package report

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/millrace/millrace/bench"
	"github.com/millrace/millrace/bench/trial"
)

// Markdown writes each suite as a table for a document: a row for each figure of a workload, a column for each target, and for each but the
// last the last one's ratio to it. The figure that was named in advance is judged and has its interval, of 95 %; where that shows no difference,
// the ratio stands in brackets. The others are to be read, not quoted: four pairs cannot carry a dozen verdicts.
func Markdown(w io.Writer, d Document) error {
	var b strings.Builder
	for i, s := range d.Suites {
		if i > 0 {
			b.WriteByte('\n')
		}
		markdownSuite(&b, s)
	}
	if len(d.Suites) == 0 {
		return fmt.Errorf("no suite among the files: `millrace bench suite --dir DIR` writes DIR/suite.json")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func markdownSuite(b *strings.Builder, s *trial.SuiteResult) {
	last := s.Targets[len(s.Targets)-1]
	b.WriteString("| workload | figure |")
	for _, t := range s.Targets {
		b.WriteString(" " + t + " |")
	}
	for _, t := range s.Targets[:len(s.Targets)-1] {
		b.WriteString(" " + last + " / " + t + " |")
	}
	b.WriteString(" n |\n|" + strings.Repeat("---|", 2*len(s.Targets)+2) + "\n")
	for _, c := range s.Cells {
		label := c.Cell
		for _, name := range figuresOf(c) {
			m, err := trial.MetricNamed(name)
			if err != nil {
				continue // of a later version
			}
			if markdownRow(b, s, c, m, label) {
				label = ""
			}
		}
	}
	b.WriteByte('\n')
	for _, c := range s.Cells {
		fmt.Fprintf(b, "- %s: %s.", c.Cell, c.What)
		for _, t := range s.Targets {
			if why := c.Left[t]; why != "" && why != trial.FloorCannot {
				fmt.Fprintf(b, " %s: %s.", t, why)
			}
		}
		if v := c.Variant["floor"]; v != "" {
			fmt.Fprintf(b, " Floor: %s.", strings.TrimPrefix(v, "floor/"))
		}
		if n := c.Vain(); n > 0 {
			fmt.Fprintf(b, " Runs repeated: %d.", n)
		}
		b.WriteByte('\n')
	}
}

// figuresOf are the figures of a workload that a reader looks for: the headline first.
func figuresOf(c trial.CellResult) []string {
	names := []string{c.Headline}
	add := func(more ...string) {
		for _, name := range more {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	switch {
	case strings.HasPrefix(c.Headline, bench.LatencyEndToEnd):
		add("e2e.p50", "e2e.p99", "e2e.p99.9", "cpu_per_request", "cores")
	case c.Headline == "cpu_per_gb_out":
		add("e2e.p99", "caught_up")
	case c.Headline == "cores":
		add("rss_anon")
	case c.Headline == "create":
		add("delete", "anon_per_partition")
	case c.Headline == "first_ack":
	default:
		add("cpu_per_request", "throughput", "produce.p50", "produce.p99")
	}
	return names
}

// markdownRow writes a figure, unless no target has it.
func markdownRow(b *strings.Builder, s *trial.SuiteResult, c trial.CellResult, m trial.Metric, label string) bool {
	var figures, ratios []string
	some, n := false, 0
	for i, t := range s.Targets {
		text := "-"
		if v, ok := c.Figures[t][m.Name]; ok {
			text, some = m.Format(v), true
		}
		figures = append(figures, text)
		if i == len(s.Targets)-1 {
			break
		}
		text = "-"
		if r := ratioTo(c, t, m.Name); r != nil && r.N > 0 {
			n = max(n, r.N)
			text = fmt.Sprintf("%.2f", r.Ratio)
			if m.Name == c.Headline && r.Interval != nil {
				text = fmt.Sprintf("**%s** %.2f-%.2f", text, r.Interval.Low, r.Interval.High)
			}
			if m.Name == c.Headline && (r.Difference == trial.None || r.Difference == trial.TooFew) {
				text = "(" + strings.ReplaceAll(text, "**", "") + ")"
			}
		}
		ratios = append(ratios, text)
	}
	if some {
		fmt.Fprintf(b, "| %s | %s | %s | %d |\n", label, m.Words, strings.Join(append(figures, ratios...), " | "), n)
	}
	return some
}

// ratioTo is the last target's figure by that of a.
func ratioTo(c trial.CellResult, a, metric string) *trial.Ratio {
	for _, p := range c.Compared {
		if p.A != a {
			continue
		}
		for i := range p.Metrics {
			if p.Metrics[i].Metric == metric {
				return &p.Metrics[i]
			}
		}
	}
	return nil
}
