package report

import (
	"html"
	"strings"

	"github.com/millrace/millrace/bench"
	"github.com/millrace/millrace/bench/report/chart"
)

func escape(text string) string { return html.EscapeString(text) }

// figure puts a chart into the page, drawn once for each width: text in it is never scaled to where it cannot be read.
func (p *page) figure(title, explained string, f chart.Chart, widths ...int) {
	p.put(`<figure><figcaption><h3>%s</h3>`, title)
	if explained != "" {
		p.put(`<p>%s</p>`, explained)
	}
	p.put(`</figcaption>`)
	for i, w := range widths {
		p.put(`<div class="w%d-%d">%s</div>`, i+1, len(widths), markup(chart.Inline(f, w, strings.TrimSpace(title+". "+explained))))
	}
	p.put(`</figure>`)
}

// section is one workload.
func (c *cell) section(p *page, i int) {
	p.put(`<section id="c%d"><h2>%s</h2>`, i, c.name)
	if len(c.targets) == 0 {
		for _, of := range c.comparisons {
			findings(p, of)
		}
		p.put(`</section>`)
		return
	}
	p.put(`<p>%s</p><dl class="facts">`, sentenceCase(load(c.targets[0].first())))
	for _, t := range c.targets {
		p.put(`<dt>%s</dt><dd>%s; %s</dd>`, t.name, promise(t.first()), requests(t.first()))
	}
	p.put(`</dl>`)
	c.notes(p)
	c.figures(p)
	p.put(`<div class="pair">`)
	for _, of := range c.comparisons {
		p.put(`<div>`)
		findings(p, of)
		p.put(`</div>`)
	}
	const log = "Latency in which so many of the records were done. Every nine takes the same room; both axes are logarithmic."
	if len(c.targets) == 1 {
		if f, any := percentileCurve(c, bench.LatencyProduce, bench.LatencyEndToEnd, bench.LatencyService); any {
			p.figure("Latency by percentile", log, f, 340, 620)
		}
	}
	if f, any := bars(c); any {
		p.figure("What the brokers used", "Their processes in the window: medians of the runs; a whisker spans all of them. Mapped files the kernel takes back when it likes.", f, 340, 620)
	}
	if len(c.targets) > 1 {
		for _, of := range []struct{ key, name string }{{bench.LatencyEndToEnd, "End-to-end latency by percentile"}, {bench.LatencyProduce, "Produce latency by percentile"}} {
			if f, any := percentileCurve(c, of.key); any {
				explained := log
				if len(c.targets[0].runs) > 1 {
					explained += " Thin: each run by itself."
				}
				p.figure(of.name, explained, f, 340, 620)
			}
		}
	}
	p.put(`</div>`)
	c.latencies(p)
	c.overTime(p)
	p.put(`</section>`)
}

// notes are remarks that belong beside the figures.
func (c *cell) notes(p *page) {
	for _, t := range c.targets {
		noted := map[string]bool{} // the first run of a kind stands for all
		for _, r := range t.runs {
			for _, m := range remarks(r) {
				if noted[m.word] {
					continue
				}
				noted[m.word] = true
				p.put(`<p class="note bad"><b>%s: %s</b> (%s): %s`, t.name, m.word, m.means, strings.Join(m.why, "; "))
				if n := t.saturated(); n > 0 && len(t.runs) > 1 && m.word == "SATURATED" {
					p.put(` (so were %d of %s)`, n, counted(len(t.runs), "run"))
				}
				p.put(`</p>`)
			}
		}
		if n := len(t.vain); n > 0 {
			p.put(`<p class="note"><b>%s</b>: %s in vain and in no figure here; the verdict above says why.</p>`, t.name, counted(n, "run"))
		}
		if r := t.first(); r.Load.Asked == 0 {
			p.put(`<p class="note"><b>%s</b>: no rate was asked, so the next record waited for the last (closed loop). A stall then hides the records it kept from being sent: these latencies are not those at a rate.</p>`, t.name)
		}
	}
}

// overTime has a timeline for each target.
func (c *cell) overTime(p *page) {
	all := timelines(c)
	shown := 0
	for _, f := range all {
		for _, n := range f.Runs {
			shown += n
		}
	}
	if shown == 0 {
		return
	}
	const explained = "Second by second. Darker fields: more records took so long (a logarithmic shade); the line is each second's p99, the dotted one its maximum. What the machine itself was late by stands below."
	if len(all) == 1 {
		p.figure("Over time", explained, all[0], 340, 640, 1240)
		return
	}
	p.put(`<h3 class="alone">Over time</h3><p class="explained">%s All have the same axes.</p><div class="pair">`, explained)
	for i, f := range all {
		p.figure("Over time: "+c.targets[i].name, "", f, 340, 620)
	}
	p.put(`</div>`)
}

func sentenceCase(text string) string {
	if text == "" {
		return text
	}
	return strings.ToUpper(text[:1]) + strings.TrimSuffix(text[1:], ".") + "."
}
