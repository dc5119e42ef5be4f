// Package report shows what a benchmark found: as a table for a terminal, as CSV, as lines for benchstat, as a page that stands
// for itself and as charts for a document. It measures nothing and decides nothing; what is not known is shown as not known.
package report

import (
	"fmt"
	"strings"

	"github.com/millrace/millrace/bench"
)

// row is one line of a latency table.
type row struct {
	name, key string // for people, and in Result.Latency
	what      string // measured from when until when
	of        *bench.Distribution
}

// rows are the distributions of a result in the order they are shown.
func rows(r *bench.Result) []row {
	all := []row{
		{"produce", bench.LatencyProduce, "due until acknowledged", r.Latency[bench.LatencyProduce]},
		{"end to end", bench.LatencyEndToEnd, "due until a consumer had it", r.Latency[bench.LatencyEndToEnd]},
		{"catch-up", bench.LatencyCatchUp, "due until a consumer had it, while it read the backlog", r.Latency[bench.LatencyCatchUp]},
		{"service", bench.LatencyService, "request written until acknowledged", r.Latency[bench.LatencyService]},
		{"slip", bench.LatencySlip, "due until the generator was ready: contained in the first two", r.Latency[bench.LatencySlip]},
		{"hiccups", "hiccups", "lateness of a thread that only sleeps: the machine's own", r.Hiccups},
	}
	if r.Spec.Rate == 0 {
		all[0].what = "request written until acknowledged (no rate was asked: closed loop, a stall hides what it delayed)"
	}
	there := all[:0]
	for _, w := range all {
		if w.of != nil && w.of.Count > 0 {
			there = append(there, w)
		}
	}
	return there
}

// headline is the distribution a reader asks for first.
func headline(r *bench.Result) (row, bool) {
	for _, key := range []string{bench.LatencyEndToEnd, bench.LatencyProduce} {
		for _, w := range rows(r) {
			if w.key == key {
				return w, true
			}
		}
	}
	return row{}, false
}

// percentile is a column of a latency table.
type percentile struct {
	name string
	q    float64 // share of the samples at or below
	at   func(*bench.Distribution) float64
}

var percentiles = []percentile{
	{"p50", 0.5, func(d *bench.Distribution) float64 { return d.P50 }},
	{"p90", 0.9, func(d *bench.Distribution) float64 { return d.P90 }},
	{"p99", 0.99, func(d *bench.Distribution) float64 { return d.P99 }},
	{"p99.9", 0.999, func(d *bench.Distribution) float64 { return d.P999 }},
	{"p99.99", 0.9999, func(d *bench.Distribution) float64 { return d.P9999 }},
}

// carriedBy is how many samples a percentile must leave above itself to be more than the luck of a few.
const carriedBy = 10

// carried reports whether so many samples carry a percentile.
func (p percentile) carried(samples int64) bool {
	return float64(samples)*(1-p.q) >= carriedBy-1e-6 // 1-q is not exact
}

// name is what a run is called: its cell and what was measured.
func name(r *bench.Result) (cell, target string) {
	cell, target = r.Spec.Name, r.Target.Name
	if cell == "" {
		cell = r.Spec.Mode
		if r.Spec.Rate > 0 {
			cell += fmt.Sprintf("-%.0f", r.Spec.Rate)
		}
		cell += "-" + r.Spec.Size
	}
	if target == "" {
		target = r.Target.Software
	}
	if target == "" {
		target = strings.Join(r.Target.Brokers, ",")
	}
	return cell, target
}

// promise says what an acknowledgement was worth in this run.
func promise(r *bench.Result) string {
	durability := r.Target.Durability
	if durability == "" {
		durability = "unknown"
	}
	replication := "the cluster's default replication"
	if n := r.Spec.ReplicationFactor; n > 0 {
		replication = counted(n, "replica")
	}
	return fmt.Sprintf("%s; acks=%s, %s", durability, r.Spec.Acks, replication)
}

// processors is how many the machine has.
func processors(r *bench.Result) int { return max(1, r.Host.Cores) }
