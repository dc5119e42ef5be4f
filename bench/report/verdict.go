package report

import (
	"fmt"
	"slices"
	"strings"

	"github.com/millrace/millrace/bench"
)

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
