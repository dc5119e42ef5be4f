package main

import (
	"fmt"
	"io"
	"runtime"
	"strings"
	"time"

	"github.com/millrace/millrace/bench"
)

// demoDocument is what -o json prints.
type demoDocument struct {
	Schema     string        `json:"schema"`
	Version    string        `json:"version"`
	Input      string        `json:"input"`
	Files      int           `json:"files"`
	Durability string        `json:"durability"`
	FileSystem string        `json:"file_system"`
	Partitions int           `json:"partitions"`
	ReadyAfter time.Duration `json:"ready_after_ns"`
	Produced   *bench.Phase  `json:"produced"`
	Consumed   *bench.Phase  `json:"consumed"`
	Verified   bench.Verdict `json:"verified"`
	Latency    *bench.Result `json:"latency"` // of a run of its own, see millrace bench run
	BrokerCPU  struct {
		User   time.Duration `json:"user_ns"`
		System time.Duration `json:"system_ns"`
	} `json:"broker_cpu"`
}

func (d *demoDocument) print(w io.Writer) error {
	var b strings.Builder
	row := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%-11s %s\n", name, fmt.Sprintf(format, args...))
	}
	phase := func(name string, p *bench.Phase) {
		row(name, "%s records, %.1f MB in %.1f s: %s records/s, %.1f MB/s (%s requests of %s records)", thousands(p.Records), float64(p.Bytes)/1e6, p.Elapsed.Seconds(),
			thousands(int64(p.RecordsPerSecond())), p.MegabytesPerSecond(), thousands(p.Requests), thousands(p.Records/max(p.Requests, 1)))
	}
	row("input", "%s, %s", d.Input, counted(d.Files, "file"))
	row("broker", "millrace %s, ready after %.0f ms, used %.1f s of CPU (%.1f user, %.1f system)", d.Version, d.ReadyAfter.Seconds()*1000,
		(d.BrokerCPU.User + d.BrokerCPU.System).Seconds(), d.BrokerCPU.User.Seconds(), d.BrokerCPU.System.Seconds())
	row("durability", "%s, on %s; acks=all, 1 replica, %s, no compression", d.Durability, d.FileSystem, counted(d.Partitions, "partition"))
	phase("produced", d.Produced)
	phase("consumed", d.Consumed)
	if d.Verified.Intact() {
		row("verified", "every one of %s records came back once, in order, unchanged (%s of them sent to measure latency)", thousands(d.Verified.Sent),
			thousands(d.Verified.Sent-d.Produced.Records))
	} else {
		row("verified", "NO: %s", d.Verified)
	}
	l := d.Latency
	fmt.Fprintf(&b, "\nlatency in ms at %s records/s (%s achieved), %s bytes each, one a batch and encoded beforehand (mode raw), from the\n"+
		"moment each was due; broker and clients share this machine's %s\n",
		thousands(int64(l.Load.Asked+0.5)), thousands(int64(l.Load.Achieved+0.5)), l.Spec.Size, counted(runtime.NumCPU(), "processor"))
	fmt.Fprintf(&b, "%-26s %9s %9s %9s %9s %9s %9s\n", "", "p50", "p90", "p99", "p99.9", "max", "samples")
	for _, row := range []struct{ name, of string }{
		{"acknowledged (acks=all)", bench.LatencyProduce}, {"end to end", bench.LatencyEndToEnd}, {"of it, generator late", bench.LatencySlip},
	} {
		if h := l.Latency[row.of]; h != nil {
			fmt.Fprintf(&b, "%-26s %9.3f %9.3f %9.3f %9.3f %9.3f %9s\n", row.name, h.P50, h.P90, h.P99, h.P999, h.Max, thousands(h.Count))
		}
	}
	for _, why := range l.Invalid {
		row("invalid", "the generator was the bottleneck of the latencies: %s", why)
	}
	for _, why := range l.Disturbed {
		row("disturbed", "the machine was, while latency was measured: %s", why)
	}
	_, err := io.WriteString(w, b.String())
	return err
}
