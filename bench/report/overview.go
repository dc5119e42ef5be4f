package report

import (
	"fmt"

	"github.com/millrace/millrace/bench"
)

// overview is one row for each workload and target.
func overview(p *page, cells []*cell) {
	p.put(`<section id="overview"><h2>Overview</h2>`)
	var body [][]any
	for i, c := range cells {
		for _, t := range c.targets {
			r := t.first()
			median := func(read func(*bench.Result) figure) figure { f, _, _ := t.of(read); return f }
			achieved := median(func(r *bench.Result) figure { return figure{r.Load.Achieved, true} }).whole()
			if n := t.saturated(); n > 0 {
				achieved += " (saturated)"
			}
			cells := []any{markup(fmt.Sprintf(`<a href="#c%d">%s</a>`, i, escape(c.name))), t.name, achieved, median(func(r *bench.Result) figure { return figure{r.Load.MegabytesASecond, true} })}
			h, there := headline(r)
			for _, q := range percentiles[:4] {
				if q.name == "p90" {
					continue
				}
				if !there || t.saturated() > 0 {
					cells = append(cells, "-")
					continue
				}
				cells = append(cells, quantile(t.merged[h.key].of, q))
			}
			cells = append(cells, median(func(r *bench.Result) figure { return usage(r).cores }), median(func(r *bench.Result) figure { return usage(r).perGigabyte }),
				median(func(r *bench.Result) figure { return usage(r).perRequest }), median(func(r *bench.Result) figure { return usage(r).anon }).size())
			body = append(body, cells)
		}
	}
	p.grid("Every workload and target; latency in ms, end to end where it was measured, else until acknowledged", 2, []string{"workload", "target", "records/s", "MB/s", "p50", "p99", "p99.9", "cores", "CPU-s/GB", "µs/request", "RssAnon"}, body)
	p.put(`</section>`)
}

// quantile is a cell of a latency table.
func quantile(d *bench.Distribution, q percentile) markup {
	if !q.carried(d.Count) {
		return markup(fmt.Sprintf(`<span class="uncarried" title="fewer than %d samples lie beyond it: not to be quoted">%s?</span>`, carriedBy, digits(q.at(d))))
	}
	return markup(digits(q.at(d)))
}
