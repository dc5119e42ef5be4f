package report

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/millrace/millrace/bench"
	"github.com/millrace/millrace/bench/report/chart"
	"github.com/millrace/millrace/bench/trial"
)

// Page writes one HTML document that needs nothing else: no network, no script for what it says. The data it was made from are in it.
func Page(w io.Writer, d Document) error {
	cells, err := d.cells()
	if err != nil {
		return err
	}
	var p page
	title := d.title(cells)
	p.put(`<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1"><title>%s</title>`, title)
	p.put(`<link rel="icon" href="data:,"><style>%s%s</style></head><body><header>`, markup(chart.Style(":root")), markup(pageStyle))
	p.put(`<p class="kind">Benchmark report</p><h1>%s</h1>`, title)
	d.headlines(&p, cells)
	p.put(`</header><main>`)
	d.verdict(&p, cells)
	if len(cells) > 1 {
		overview(&p, cells)
	}
	if f, any := forestOfCells(d.Comparisons); any {
		p.put(`<section id="all"><h2>All workloads</h2>`)
		p.figure("What was named in advance, of each workload", "Ratio with its interval. One that contains 1 carries no verdict.", f, 340, 900)
		p.put(`</section>`)
	}
	for i, k := range d.knees() {
		k.section(&p, i, placeIn(d.targets(cells)))
	}
	for i, c := range cells {
		c.section(&p, i)
	}
	d.environment(&p, cells)
	if err := d.data(&p); err != nil {
		return err
	}
	p.put(`</main><script>%s</script></body></html>`+"\n", markup(script))
	_, err = w.Write(p.Bytes())
	return err
}

// title is short: it is also the name of the browser's tab.
func (d *Document) title(cells []*cell) string {
	targets := d.targets(cells)
	who := strings.Join(targets, " and ")
	if len(targets) > 3 {
		who = counted(len(targets), "target")
	}
	knees := d.knees()
	switch {
	case len(cells) == 1:
		return who + ", " + cells[0].name
	case len(cells) == 0 && len(knees) == 1:
		return who + ", " + knees[0].name
	}
	return who + ", " + counted(len(cells)+len(knees), "workload")
}

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

// verdict says whether all this may be believed.
func (d *Document) verdict(p *page, cells []*cell) {
	var attempted, acked, failed, consumed int64
	runs, intact := 0, true
	var bad [][2]string
	saturated := 0
	count := func(cell, target string, r *bench.Result) {
		runs++
		attempted, acked, failed, consumed = attempted+r.Load.Attempted, acked+r.Load.Acked, failed+r.Load.Failed, consumed+r.Load.Consumed
		intact = intact && r.Verdict.Intact()
		if why := unsound(r); why != "" {
			bad = append(bad, [2]string{cell + ", " + target + ", " + r.Started.UTC().Format("15:04:05"), why})
		}
	}
	for _, c := range cells {
		for _, t := range c.targets {
			for _, r := range slices.Concat(t.runs, t.vain) {
				count(c.name, t.name, r)
				if r.Saturated {
					saturated++
				}
			}
		}
	}
	for _, s := range d.Sweeps {
		for _, point := range s.Points {
			count(fmt.Sprintf("at %.0f records/s", point.Rate), s.Target.Name, point.Result)
		}
	}
	p.put(`<section id="verdict"><h2>Verdict</h2><p class="badges">`)
	if intact {
		p.put(`<span class="badge good">VERIFIED</span>`)
	} else {
		p.put(`<span class="badge bad">NOT VERIFIED</span>`)
	}
	if len(bad) == 0 {
		p.put(`<span class="badge good">SOUND</span>`)
	} else {
		p.put(`<span class="badge bad">%s NOT SOUND</span>`, strings.ToUpper(counted(len(bad), "run")))
	}
	if saturated > 0 {
		p.put(`<span class="badge bad">%s SATURATED</span>`, strings.ToUpper(counted(saturated, "run")))
	}
	p.put(`</p><p>%s: %s records attempted = %s acknowledged + %s failed; %s consumed, `, counted(runs, "run"), thousands(attempted), thousands(acked), thousands(failed), thousands(consumed))
	if intact {
		p.put(`each once by each group, in order, unchanged.</p>`)
	} else {
		p.put(`and not all as they were sent.</p>`)
	}
	if len(bad) > 0 {
		p.put(`<ul>`)
		for _, b := range bad {
			p.put(`<li><b>%s</b>: %s</li>`, b[0], b[1])
		}
		p.put(`</ul>`)
	}
	p.put(`</section>`)
}

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

// data puts the documents themselves into the page, for whoever wants to compute on.
func (d *Document) data(p *page) error {
	text, err := json.Marshal(struct {
		Results     []*bench.Result     `json:"results"`
		Comparisons []*trial.Comparison `json:"comparisons,omitempty"`
		Sweeps      []*trial.Swept      `json:"sweeps,omitempty"`
	}{d.Results, d.Comparisons, d.Sweeps}) // which escapes <, > and &
	if err != nil {
		return err
	}
	p.put(`<section id="data"><h2>Data</h2><p>The result files, histograms included, are in this page as JSON, in the element <code>#raw</code>. <button type="button" id="download" hidden>Save them as a file</button></p>`)
	p.put(`<p class="quiet">The last run began at %s.</p></section><script type="application/json" id="raw">%s</script>`, d.newest().UTC().Format("2006-01-02 15:04:05 UTC"), markup(text))
	return nil
}

// newest is when the last run began: the same data make the same page.
func (d *Document) newest() (t time.Time) {
	for _, r := range d.All() {
		if r.Started.After(t) {
			t = r.Started
		}
	}
	return t
}
