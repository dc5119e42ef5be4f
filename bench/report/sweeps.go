package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/millrace/millrace/bench"
	"github.com/millrace/millrace/bench/report/chart"
	"github.com/millrace/millrace/bench/trial"
)

// knees are sweeps of one workload with one set of objectives.
type knees struct {
	name   string
	sweeps []*trial.Swept
}

func (d *Document) knees() (all []*knees) {
	key := func(s *trial.Swept) string {
		spec := s.Spec
		spec.Rate = 0
		return spec.Name + workload(spec) + strings.Join(s.SLOs, ",")
	}
	for _, s := range d.Sweeps {
		i := slices.IndexFunc(all, func(k *knees) bool { return key(k.sweeps[0]) == key(s) })
		if i < 0 {
			spec := s.Spec
			spec.Rate = 0
			cell, _ := name(&bench.Result{Spec: spec})
			all, i = append(all, &knees{name: cell}), len(all)
		}
		all[i].sweeps = append(all[i].sweeps, s)
	}
	return all
}

// objective is the first objective that is a latency: what it is of, in words and of a result, and its limit in ms.
func (k *knees) objective() (what string, of func(*bench.Result) float64, limit float64) {
	which, quantile := bench.LatencyEndToEnd, percentiles[3]
	for _, text := range k.sweeps[0].SLOs {
		slo, err := trial.ParseSLO(text)
		if err != nil || slo.Metric.Unit != "ms" {
			continue
		}
		key, name, _ := strings.Cut(slo.Metric.Name, ".")
		if i := slices.IndexFunc(percentiles, func(p percentile) bool { return p.name == name }); i >= 0 {
			which, quantile, limit = key, percentiles[i], slo.Limit
			break
		}
	}
	return which + " " + quantile.name, func(r *bench.Result) float64 {
		d := r.Latency[which]
		if d == nil {
			d = r.Latency[bench.LatencyProduce]
		}
		if d == nil {
			return 0
		}
		return quantile.at(d)
	}, limit
}

// chart joins the runs at one rate by their median.
func (k *knees) chart(series func(target string) int) chart.Knee {
	what, of, limit := k.objective()
	f := chart.Knee{What: what, Limit: limit}
	for _, s := range k.sweeps {
		l := chart.KneeLine{Name: s.Target.Name, Series: series(s.Target.Name), Highest: s.Highest}
		byRate := map[float64][]trial.Point{}
		for _, p := range s.Points {
			byRate[p.Rate] = append(byRate[p.Rate], p)
		}
		for rate, points := range byRate {
			slices.SortFunc(points, func(a, b trial.Point) int { return cmp.Compare(of(a.Result), of(b.Result)) })
			middle := points[len(points)/2]
			if ms := of(middle.Result); ms > 0 {
				l.Points = append(l.Points, chart.KneePoint{Rate: rate, Millis: ms, Held: rate <= s.Highest, Told: chart.Millis(ms) + ", " + middle.Why})
			}
		}
		slices.SortFunc(l.Points, func(a, b chart.KneePoint) int { return cmp.Compare(a.Rate, b.Rate) })
		f.Lines = append(f.Lines, l)
	}
	return f
}

func (k *knees) section(p *page, i int, series func(string) int) {
	p.put(`<section id="s%d"><h2>%s: how much at which latency</h2><p>%s</p><p>Objective: %s.</p>`, i, k.name, sentenceCase(load(&bench.Result{Spec: k.sweeps[0].Spec})),
		strings.Join(k.sweeps[0].SLOs, " and "))
	p.figure("Latency by rate", "Flat while a target keeps up. A hollow point is a rate that did not hold.", k.chart(series), 340, 900)
	for _, s := range k.sweeps {
		var body [][]any
		points := slices.Clone(s.Points)
		slices.SortStableFunc(points, func(a, b trial.Point) int { return cmp.Compare(a.Rate, b.Rate) })
		what, of, _ := k.objective()
		for _, point := range points {
			held := "no"
			if point.Held {
				held = "yes"
			}
			u := usage(point.Result)
			body = append(body, []any{thousands(int64(point.Rate + 0.5)), thousands(int64(point.Result.Load.Achieved + 0.5)), held, digits(of(point.Result)), u.cores, u.perGigabyte, point.Why})
		}
		p.put(`<details><summary>%s: every run</summary>`, s.Target.Name)
		p.grid(fmt.Sprintf("%s: %s", s.Target.Name, s.Words), 0, []string{"records/s asked", "achieved", "held", what + ", ms", "cores", "CPU-s/GB", "why"}, body)
		p.put(`</details>`)
	}
	p.put(`</section>`)
}
