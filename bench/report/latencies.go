package report

import (
	"fmt"

	"github.com/millrace/millrace/bench"
	"github.com/millrace/millrace/bench/report/chart"
)

// latencies is the table of all percentiles.
func (c *cell) latencies(p *page) {
	head := []string{"measured"}
	if len(c.targets) > 1 {
		head = append(head, "target")
	}
	for _, q := range percentiles {
		head = append(head, q.name)
	}
	head = append(head, "max", "samples")
	var body [][]any
	marked, runs := false, 1
	for _, kind := range rows(everything(c)) {
		first := true
		for _, t := range c.targets {
			m := t.merged[kind.key]
			if m == nil {
				continue
			}
			runs = max(runs, len(t.runs))
			what := markup("")
			if first {
				what = markup(fmt.Sprintf(`%s <span class="quiet">%s</span>`, escape(m.name), escape(m.what)))
			} else {
				what = markup(fmt.Sprintf(`<span class="aside">%s</span>`, escape(m.name)))
			}
			first = false
			cells := []any{what}
			if len(c.targets) > 1 {
				cells = append(cells, markup(fmt.Sprintf(`<span class="dot d%d"></span>%s`, t.series%chart.Series, escape(t.name))))
			}
			for _, q := range percentiles {
				cells = append(cells, quantile(m.of, q))
				marked = marked || !q.carried(m.of.Count)
			}
			body = append(body, append(cells, digits(m.of.Max), thousands(m.of.Count)))
		}
	}
	if len(body) == 0 {
		return
	}
	caption := "Latency in ms"
	if runs > 1 {
		caption += ", all runs in one histogram"
	}
	p.grid(caption, min(2, len(c.targets)), head, body)
	if marked {
		p.put(`<p class="quiet">? fewer than %d samples lie beyond it: not to be quoted.</p>`, carriedBy)
	}
}

// everything is a result that has each distribution which any target of the cell has.
func everything(c *cell) *bench.Result {
	r := &bench.Result{Spec: c.targets[0].first().Spec, Latency: map[string]*bench.Distribution{}}
	for _, t := range c.targets {
		for key, m := range t.merged {
			if key == "hiccups" {
				r.Hiccups = m.of
			} else {
				r.Latency[key] = m.of
			}
		}
	}
	return r
}
