package report

import (
	"encoding/json"
	"io"
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
