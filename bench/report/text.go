package report

import (
	"fmt"
	"io"
	"strings"

	"github.com/millrace/millrace/bench"
)

// notCarried marks a percentile that too few samples carry.
const notCarried = "?"

// Text writes a result as a person at a terminal reads it.
func Text(w io.Writer, r *bench.Result) error {
	var b strings.Builder
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%-11s %s\n", name, fmt.Sprintf(format, args...))
	}
	cell, target := name(r)
	fmt.Fprintf(&b, "%s, %s: %s\n", cell, target, did(r))
	line("load", "%s", load(r))
	line("durability", "%s", promise(r))
	line(verified(r))
	b.WriteByte('\n')
	latencies(&b, r)
	b.WriteByte('\n')
	line("requests", "%s", requests(r))
	if u := usage(r); u.cores.known {
		line("broker", "%s cores (user %s), %s CPU-s/GB %s, %s us a %s, %s us a record", u.cores, u.user.percent(), u.perGigabyte, u.verb, u.perRequest, u.unit, u.perRecord)
		if len(u.threads) > 0 {
			line("  threads", "%s", busiest(u, 6))
		}
		line("  memory", "RssAnon %s (peak %s), RssFile %s; %s written to disk", u.anon.size(), u.peak.size(), u.file.size(), u.written.size())
	} else {
		line("broker", "its processes were not named, so what they used is not known")
	}
	line("generator", "%s cores, its busiest thread %s of the window", ownCores(r.Own), figure{r.Busy, true}.percent())
	if r.Host.Kernel != "" {
		line("machine", "%s", r.Host)
	}
	for _, c := range remarks(r) {
		for _, why := range c.why {
			line(c.word, "%s", why)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// did is what was asked for and achieved, in one sentence.
func did(r *bench.Result) string {
	l := &r.Load
	s := fmt.Sprintf("%s records/s", thousands(int64(l.Achieved+0.5)))
	if l.Asked > 0 {
		s = fmt.Sprintf("%s records/s asked, %s achieved (%s)", thousands(int64(l.Asked+0.5)), thousands(int64(l.Achieved+0.5)), held(r).percent())
	}
	s += fmt.Sprintf(", %s MB/s for %s", digits(l.MegabytesASecond), lasting(l.Elapsed))
	if r.Spec.Warmup > 0 {
		s += " after " + lasting(r.Spec.Warmup) + " of warm-up"
	}
	return s
}

// load is the shape of the workload, in one line.
func load(r *bench.Result) string {
	s := &r.Spec
	parts := []string{s.Mode + " mode", "open loop, " + s.Arrivals + " arrivals"}
	if s.Rate == 0 {
		parts[1] = "closed loop"
	}
	parts = append(parts, "values of "+s.Size+" B", "keys "+s.Keys, "codec "+s.Codec, counted(s.Partitions, "partition"), counted(s.Producers, "producer"),
		counted(s.BatchRecords, "record")+" a batch", fmt.Sprintf("%d in flight", s.InFlight), fmt.Sprintf("%s of %s, %s", counted(s.Groups, "group"), counted(s.Consumers, "consumer"), s.Consume))
	if s.Idempotent {
		parts = append(parts, "idempotent")
	}
	if r.Load.Ratio > 0 && s.Codec != "none" {
		parts = append(parts, "compressed "+digits(r.Load.Ratio)+":1")
	}
	return strings.Join(parts, ", ")
}

// verified is the verdict about the records, and the sums behind it.
func verified(r *bench.Result) (word, format, sums string) {
	l := &r.Load
	sums = fmt.Sprintf("%s attempted = %s acked + %s failed; %s consumed by %s: ", thousands(l.Attempted), thousands(l.Acked), thousands(l.Failed),
		thousands(l.Consumed), counted(r.Spec.Groups, "group"))
	if r.Errors > 0 {
		sums += counted(r.Errors, "error") + " of requests; "
	}
	if !r.Verdict.Intact() {
		return "verified", "%s", sums + "NO: " + r.Verdict.String() + strings.Join(append([]string{""}, r.Verdict.Examples...), "\n            ")
	}
	return "verified", "%s", sums + "each once, in order, unchanged"
}

func latencies(b *strings.Builder, r *bench.Result) {
	fmt.Fprintf(b, "%-11s", "latency, ms")
	for _, p := range percentiles {
		fmt.Fprintf(b, " %8s ", p.name)
	}
	fmt.Fprintf(b, " %8s %12s\n", "max", "samples")
	marked := false
	for _, w := range rows(r) {
		fmt.Fprintf(b, "  %-9s", w.name)
		for _, p := range percentiles {
			mark := " "
			if !p.carried(w.of.Count) {
				mark, marked = notCarried, true
			}
			fmt.Fprintf(b, " %8s%s", digits(p.at(w.of)), mark)
		}
		fmt.Fprintf(b, " %8s %12s\n", digits(w.of.Max), thousands(w.of.Count))
	}
	if marked {
		fmt.Fprintf(b, "  %s fewer than %d samples lie beyond it: not to be quoted\n", notCarried, carriedBy)
	}
	for _, w := range rows(r) {
		if w.of.Beyond > 0 {
			fmt.Fprintf(b, "  %s: %s counted as 60 s, longer than the histogram reaches\n", w.name, counted(w.of.Beyond, "sample"))
		}
	}
}

func requests(r *bench.Result) string {
	l := &r.Load
	s := fmt.Sprintf("%s produce requests/s of %s records", rate(r, l.Requests).whole(), per(float64(l.Records), float64(l.Requests)))
	if l.Fetches > 0 {
		s += fmt.Sprintf(", %s fetches/s of %s records", rate(r, l.Fetches).whole(), per(float64(l.Fetched), float64(l.Fetches)))
	}
	if l.Asked > 0 {
		s += fmt.Sprintf("; at most %s due and not acknowledged", counted(l.PeakBacklog, "record"))
	}
	if l.CaughtUpAfter > 0 {
		s += "; caught up after " + lasting(l.CaughtUpAfter)
	}
	return s
}

// busiest names the threads that used most, and what the others used together.
func busiest(u use, n int) string {
	var parts []string
	rest := 0.0
	for i, t := range u.threads {
		if i < n && t.cores >= 0.0005 {
			parts = append(parts, fmt.Sprintf("%s %.3f", t.name, t.cores))
		} else {
			rest += t.cores
		}
	}
	if rest >= 0.0005 {
		parts = append(parts, fmt.Sprintf("others %.3f", rest))
	}
	return strings.Join(parts, ", ")
}

// remark is why a result must not be quoted.
type remark struct {
	word, means string
	why         []string
}

func remarks(r *bench.Result) []remark {
	all := []remark{
		{"INVALID", "the generator was the bottleneck: the figures are its own, not the broker's", r.Invalid},
		{"SATURATED", "the broker could not keep the rate: this is no latency result", saturated(r)},
		{"DISTURBED", "the machine did other work beyond the stated limits", r.Disturbed},
	}
	there := all[:0]
	for _, c := range all {
		if len(c.why) > 0 {
			there = append(there, c)
		}
	}
	return there
}

func saturated(r *bench.Result) []string {
	if !r.Saturated {
		return nil
	}
	return []string{fmt.Sprintf("%s of %s records/s asked, with as many requests in flight as were allowed", rate(r, r.Load.Records).whole(), thousands(int64(r.Load.Asked+0.5)))}
}
