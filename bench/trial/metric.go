package trial

import (
	"fmt"
	"slices"
	"strings"

	"github.com/millrace/millrace/bench"
)

// Metric is one figure of a result.
type Metric struct {
	Name   string // as flags and goals name it: cpu_per_gb, e2e.p99.9
	Unit   string
	Words  string // as a sentence names it: CPU per GB
	Uses   bool   // a target uses less of it; of the others it has a lower or higher one
	Higher bool   // is better

	of func(*bench.Result) (float64, bool)
}

// Of reads the figure; false when the result does not have it, or not with enough records behind it to be told from chance.
func (m Metric) Of(r *bench.Result) (float64, bool) {
	v, ok := m.of(r)
	return v, ok && v > 0
}

// Clock reports whether the figure is read from a clock, so that it is worse wherever a broker or the generator waits for a processor.
func (m Metric) Clock() bool { return !m.Uses }

// Metrics are all there are, the ones most often asked for first.
func Metrics() []Metric { return slices.Clone(metrics) }

// MetricNamed finds one.
func MetricNamed(name string) (Metric, error) {
	var names []string
	for _, m := range metrics {
		if m.Name == name {
			return m, nil
		}
		names = append(names, m.Name)
	}
	return Metric{}, fmt.Errorf("no metric %q: there are %s", name, strings.Join(names, ", "))
}

var metrics = func() []Metric {
	per := func(what func(bench.Load) int64, unit float64) func(*bench.Result) (float64, bool) {
		return func(r *bench.Result) (float64, bool) {
			v, ok := r.CPUPer(what(r.Load))
			return v * unit, ok && r.Load.Requests+r.Load.Fetches >= minRequests
		}
	}
	ms := []Metric{
		{"cpu_per_gb", "s", "CPU per GB", true, false, per(func(l bench.Load) int64 { return l.Bytes }, 1e9)},
		{"cpu_per_gb_out", "s", "CPU per GB fetched", true, false, per(func(l bench.Load) int64 { return l.FetchedBytes }, 1e9)},
		{"cpu_per_million", "s", "CPU per million records", true, false, per(func(l bench.Load) int64 { return l.Records }, 1e6)},
		{"cpu_per_request", "us", "CPU per produce request", true, false, per(func(l bench.Load) int64 { return l.Requests }, 1e6)},
		{"cores", "cores", "CPU", true, false, func(r *bench.Result) (float64, bool) {
			return r.BrokerCPU().Seconds() / r.Load.Elapsed.Seconds(), r.Load.Elapsed > 0
		}},
		{"switches_per_request", "", "context switches per produce request", true, false, func(r *bench.Result) (float64, bool) {
			var n int64
			for _, b := range r.Brokers {
				n += b.Voluntary + b.Involuntary
			}
			return float64(n) / float64(r.Load.Requests), r.Load.Requests >= minRequests
		}},
		{"rss_anon", "bytes", "private memory", true, false, func(r *bench.Result) (float64, bool) {
			var n int64
			for _, b := range r.Brokers {
				n += b.Anon
			}
			return float64(n), true
		}},
		{"throughput", "MB/s", "throughput", false, true, func(r *bench.Result) (float64, bool) {
			return r.Load.MegabytesASecond, r.Load.Asked == 0 // with a rate it is what was asked for
		}},
		{"requests", "/s", "rate of produce requests", false, true, func(r *bench.Result) (float64, bool) {
			return float64(r.Load.Requests) / r.Load.Elapsed.Seconds(), r.Load.Asked == 0 && r.Load.Elapsed > 0
		}},
		{"caught_up", "s", "time to catch up", false, false, func(r *bench.Result) (float64, bool) {
			return r.Load.CaughtUpAfter.Seconds(), true
		}},
	}
	for _, d := range []string{bench.LatencyProduce, bench.LatencyEndToEnd} {
		for _, q := range []struct {
			name   string
			beyond float64 // the share of records that are slower
			of     func(*bench.Distribution) float64
		}{
			{"p50", 0.5, func(d *bench.Distribution) float64 { return d.P50 }},
			{"p99", 0.01, func(d *bench.Distribution) float64 { return d.P99 }},
			{"p99.9", 0.001, func(d *bench.Distribution) float64 { return d.P999 }},
			{"p99.99", 0.0001, func(d *bench.Distribution) float64 { return d.P9999 }},
			{"max", 0, func(d *bench.Distribution) float64 { return d.Max }},
		} {
			ms = append(ms, Metric{d + "." + q.name, "ms", d + " " + q.name, false, false, func(r *bench.Result) (float64, bool) {
				h := r.Latency[d]
				if h == nil || r.Saturated || q.beyond > 0 && float64(h.Count)*q.beyond < minBeyond || q.beyond == 0 && h.Count == 0 {
					return 0, false
				}
				return q.of(h), true
			}})
		}
	}
	for _, m := range []Metric{ // of cells that are no load
		{Name: "first_ack", Unit: "ms", Words: "time from start to first acknowledgement"},
		{Name: "create", Unit: "ms", Words: "time to create the partitions"},
		{Name: "delete", Unit: "ms", Words: "time to delete the partitions"},
		{Name: "anon_per_partition", Unit: "bytes", Words: "private memory per partition", Uses: true},
		{Name: "calls_per_request", Words: "system calls per produce request", Uses: true},
	} {
		m.of = func(r *bench.Result) (float64, bool) {
			v, ok := r.Figures[m.Name]
			return v, ok
		}
		ms = append(ms, m)
	}
	return ms
}()

// minBeyond is how many records of a run have to be slower than a percentile before it says more than which record was the
// unlucky one.
const minBeyond = 10

// minRequests are needed before what was used is theirs and not that of a process which merely exists.
const minRequests = 100

// Format writes a value as people read it.
func (m Metric) Format(v float64) string {
	if m.Unit == "bytes" && v < 1e5 {
		return fmt.Sprintf("%.2f kB", v/1e3)
	}
	if m.Unit == "bytes" {
		return fmt.Sprintf("%.1f MB", v/1e6)
	}
	digits := 0
	switch {
	case v < 1:
		digits = 3
	case v < 10:
		digits = 2
	case v < 1000:
		digits = 1
	}
	return strings.TrimSpace(fmt.Sprintf("%.*f %s", digits, v, m.Unit))
}
