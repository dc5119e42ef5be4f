package report

import (
	"fmt"

	"github.com/millrace/millrace/bench"
	"github.com/millrace/millrace/bench/trial"
)

// figures are the numbers of cells that are no load.
func (c *cell) figures(p *page) {
	for _, t := range c.targets {
		var body [][]any
		for _, name := range sortedKeys(t.first().Figures) {
			median, low, high := t.of(func(r *bench.Result) figure { v, known := r.Figures[name]; return figure{v, known} })
			cells := []any{name, median}
			if len(t.runs) > 1 {
				cells = append(cells, digits(low), digits(high))
			}
			body = append(body, cells)
		}
		if len(body) > 0 {
			p.grid(t.name, 1, []string{"figure", "median", "least", "most"}[:len(body[0])], body)
		}
	}
}

// findings are the forest and, for those who do not see it, the table.
func findings(p *page, of *trial.Comparison) {
	if f, any := forest(of); any {
		p.figure(of.B+" by "+of.A, fmt.Sprintf("Ratios of %s's figure by %s's in the same pair of runs, with their intervals. An interval that contains 1 carries no verdict.", of.B, of.A), f, 340, 619)
	}
	var body [][]any
	for _, m := range of.Metrics {
		name := any(metricWords(m.Metric))
		if m.Headline {
			name = markup("<b>" + escape(metricWords(m.Metric)) + "</b> (named in advance)")
		}
		body = append(body, []any{name, digits(m.A) + " " + m.Unit, digits(m.B) + " " + m.Unit, m.Words})
	}
	p.put(`<details><summary>Every comparison in words</summary>`)
	p.grid(of.B+" against "+of.A, 1, []string{"metric", of.A, of.B, "finding"}, body)
	p.put(`</details>`)
	for _, n := range of.Notes {
		p.put(`<p class="note">%s</p>`, n)
	}
}
