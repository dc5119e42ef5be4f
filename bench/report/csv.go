package report

import (
	"encoding/csv"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/millrace/millrace/bench"
)

// table gathers one row after another under the names given with the first.
type table struct {
	names, cells []string
}

func (t *table) text(name, value string) {
	t.names, t.cells = append(t.names, name), append(t.cells, value)
}

func (t *table) whole(name string, value int64) { t.text(name, strconv.FormatInt(value, 10)) }

// number leaves the cell of what is not known empty.
func (t *table) number(name string, value float64, known bool) {
	if !known {
		t.text(name, "")
		return
	}
	t.text(name, strconv.FormatFloat(value, 'g', 6, 64))
}

func (t *table) figure(name string, f figure) { t.number(name, f.value, f.known) }

func (t *table) latency(key string, d *bench.Distribution) {
	if d == nil {
		d = &bench.Distribution{}
	}
	t.whole(key+"_samples", d.Count)
	for _, p := range percentiles {
		t.number(key+"_"+strings.ReplaceAll(p.name, ".", "_")+"_ms", p.at(d), p.carried(d.Count))
	}
	t.number(key+"_max_ms", d.Max, d.Count > 0)
}

// writeRows writes what fill says about each, under one heading.
func writeRows[T any](w io.Writer, all []T, fill func(*table, T)) error {
	out := csv.NewWriter(w)
	for i, one := range all {
		var t table
		fill(&t, one)
		if i == 0 {
			_ = out.Write(t.names) // Flush keeps the error
		}
		_ = out.Write(t.cells)
	}
	out.Flush()
	return out.Error()
}

// CSV writes a row for each result. A figure that is not known and a percentile that the samples do not carry are empty.
func CSV(w io.Writer, results []*bench.Result) error { return writeRows(w, results, (*table).result) }

func (t *table) result(r *bench.Result) {
	s, l := &r.Spec, &r.Load
	t.identity(r)
	t.text("verified", yes(r.Verdict.Intact()))
	t.text("sound", yes(r.Sound()))
	t.whole("errors", r.Errors)
	t.text("invalid", strings.Join(r.Invalid, "; "))
	t.text("disturbed", strings.Join(r.Disturbed, "; "))
	t.text("saturated", yes(r.Saturated))

	t.text("durability", r.Target.Durability)
	t.text("acks", s.Acks)
	t.text("mode", s.Mode)
	t.text("size", s.Size)
	t.text("keys", s.Keys)
	t.text("codec", s.Codec)
	t.whole("partitions", int64(s.Partitions))
	t.whole("producers", int64(s.Producers))
	t.whole("batch_records", int64(s.BatchRecords))
	t.whole("groups", int64(s.Groups))
	t.whole("consumers", int64(s.Consumers))

	t.whole("attempted", l.Attempted)
	t.whole("acked", l.Acked)
	t.whole("failed", l.Failed)
	t.whole("consumed", l.Consumed)
	t.number("seconds", l.Elapsed.Seconds(), true)
	t.number("asked_per_second", l.Asked, l.Asked > 0)
	t.number("achieved_per_second", l.Achieved, true)
	t.number("mb_per_second", l.MegabytesASecond, true)
	t.figure("requests_per_second", rate(r, l.Requests))
	t.figure("records_per_request", per(float64(l.Records), float64(l.Requests)))
	t.whole("peak_backlog", l.PeakBacklog)

	for _, key := range []string{bench.LatencyProduce, bench.LatencyEndToEnd, bench.LatencyService, bench.LatencySlip} {
		t.latency(key, r.Latency[key])
	}
	t.latency("hiccups", r.Hiccups)

	u := usage(r)
	t.figure("broker_cores", u.cores)
	t.figure("broker_cpu_s_per_gb", u.perGigabyte)
	t.figure("broker_us_per_request", u.perRequest)
	t.figure("broker_us_per_record", u.perRecord)
	t.figure("broker_rss_anon", u.anon)
	t.figure("broker_rss_anon_peak", u.peak)
	t.figure("broker_rss_file", u.file)
	t.figure("generator_cores", ownCores(r.Own))
}

func (t *table) identity(r *bench.Result) {
	cell, target := name(r)
	t.text("cell", cell)
	t.text("target", target)
	t.text("started", r.Started.UTC().Format(time.RFC3339))
}

// SeriesCSV writes a row for each second of each result.
func SeriesCSV(w io.Writer, results []*bench.Result) error {
	type second struct {
		of *bench.Result
		bench.Second
	}
	var all []second
	for _, r := range results {
		for _, s := range r.Series {
			all = append(all, second{r, s})
		}
	}
	return writeRows(w, all, func(t *table, s second) {
		t.identity(s.of)
		t.whole("second", int64(s.Second.Second))
		t.number("asked", s.Asked, true)
		t.whole("acked", s.Acked)
		t.whole("consumed", s.Consumed)
		t.whole("bytes", s.Bytes)
		t.whole("backlog", s.Backlog)
		for _, of := range []struct {
			key string
			ms  map[string]float64
		}{{"produce", s.Produce}, {"e2e", s.EndToEnd}} {
			for _, p := range []string{"p50", "p99", "p99.9", "max"} {
				ms, known := of.ms[p]
				t.number(of.key+"_"+strings.ReplaceAll(p, ".", "_")+"_ms", ms, known)
			}
		}
		t.number("hiccup_max_ms", s.Hiccup, true)
		t.number("broker_cores", s.BrokerCPU, len(s.of.Brokers) > 0)
		t.number("broker_rss_anon", float64(s.BrokerAnon), len(s.of.Brokers) > 0)
		t.number("generator_cores", s.OwnCPU, true)
	})
}

func yes(is bool) string {
	if is {
		return "yes"
	}
	return "no"
}
