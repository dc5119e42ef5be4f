package report

import (
	"fmt"
	"strings"

	"github.com/millrace/millrace/bench"
	"github.com/millrace/millrace/bench/report/chart"
	"github.com/millrace/millrace/bench/trial"
)

// headlines are the findings in words: those of comparisons as they stand, otherwise one of each target.
func (d *Document) headlines(p *page, cells []*cell) {
	p.put(`<ul class="headlines">`)
	for _, c := range cells {
		for _, of := range c.comparisons {
			if len(cells) > 1 {
				p.put(`<li><b>%s</b>: %s.</li>`, c.name, of.Headline)
			} else {
				p.put(`<li>%s.</li><li class="also">%s.</li>`, of.Headline, strings.Join(also(of), "; "))
			}
		}
		if len(c.comparisons) > 0 {
			continue
		}
		for _, t := range c.targets {
			p.put(`<li>%s</li>`, t.sentence(c, len(cells) > 1))
		}
	}
	for _, s := range d.Sweeps {
		p.put(`<li>%s.</li>`, s.Words)
	}
	p.put(`</ul>`)
}

// also is what most readers ask for next, whatever it turned out to be.
func also(c *trial.Comparison) (words []string) {
	for _, m := range c.Metrics {
		switch m.Metric {
		case "throughput", "e2e.p50", "e2e.p99.9", "rss_anon":
			if !m.Headline {
				words = append(words, m.Words)
			}
		}
	}
	return words
}

// sentence says what a target did.
func (t *target) sentence(c *cell, many bool) string {
	r := t.first()
	who := t.name
	if many {
		who = c.name + ": " + who
	}
	if why := unsound(r); why != "" {
		return who + ": no figure of this run is to be quoted, " + why + "."
	}
	achieved, _, _ := t.of(func(r *bench.Result) figure { return figure{r.Load.Achieved, true} })
	megabytes, _, _ := t.of(func(r *bench.Result) figure { return figure{r.Load.MegabytesASecond, true} })
	s := fmt.Sprintf("%s took %s records/s (%s MB/s)", who, achieved.whole(), megabytes)
	switch {
	case t.saturated() > 0:
		s = fmt.Sprintf("%s could not keep %s records/s: it took %s (%s MB/s), and its latencies are the length of its queue", who, thousands(int64(r.Load.Asked+0.5)), achieved.whole(), megabytes)
	case r.Load.Asked > 0:
		s = fmt.Sprintf("%s held %s records/s (%s MB/s)", who, thousands(int64(r.Load.Asked+0.5)), megabytes)
	}
	if h, there := headline(r); there && t.saturated() == 0 {
		m := t.merged[h.key].of
		s += fmt.Sprintf(", %s p50 %s", h.name, chart.Millis(m.P50))
		tail := percentile{}
		for _, p := range percentiles {
			if p.carried(m.Count) && p.q < 0.9995 {
				tail = p
			}
		}
		if tail.q > 0.5 {
			s += fmt.Sprintf(", %s %s", tail.name, chart.Millis(tail.at(m)))
		}
	}
	if cores, _, _ := t.of(func(r *bench.Result) figure { return usage(r).cores }); cores.known {
		anon, _, _ := t.of(func(r *bench.Result) figure { return usage(r).anon })
		s += fmt.Sprintf(", with %s processors busy and %s of private memory", cores, anon.size())
	}
	return s + "."
}
