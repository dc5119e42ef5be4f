package main

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/millrace/millrace/bench"
)

// liveLines is the height of the live view at most.
const liveLines = 8

// liveHistory is of how many seconds the spark line tells.
const liveHistory = 60

// liveView is what is shown of a run while it lasts.
type liveView struct {
	title string
	open  bool      // at a rate that was asked for
	cores int       // that the generator may use
	tail  []float64 // p99 in ms of the last seconds: end to end, else produce
}

// add takes in a second that has passed.
func (v *liveView) add(l bench.Live) {
	if l.Phase != "warm-up" && l.Phase != "measure" {
		return
	}
	of := l.Second.EndToEnd
	if len(of) == 0 {
		of = l.Second.Produce
	}
	if v.tail = append(v.tail, of["p99"]); len(v.tail) > liveHistory {
		v.tail = v.tail[1:]
	}
}

// render draws the view, at most liveLines lines none of which is wider than width.
func (v *liveView) render(l bench.Live, width int, coloured bool) []string {
	paint := func(code, text string) string {
		if !coloured {
			return text
		}
		return "\x1b[" + code + "m" + text + "\x1b[0m"
	}
	s := l.Second
	lines := []string{cut(v.title, width), v.bar(l, width)}
	asked := "as fast as it answers"
	if v.open {
		asked = thousands(int64(s.Asked+0.5)) + "/s asked"
	}
	lines = append(lines, cut(fmt.Sprintf("rate      %s, %s/s done, %.1f MB/s, backlog %s", asked, thousands(s.Acked), float64(s.Bytes)/1e6, thousands(s.Backlog)), width))
	for _, row := range []struct {
		name string
		ms   map[string]float64
	}{{"produce", s.Produce}, {"e2e", s.EndToEnd}} {
		if len(row.ms) > 0 {
			lines = append(lines, cut(fmt.Sprintf("%-9s p50 %s  p99 %s  p99.9 %s  max %s ms", row.name,
				milliseconds(row.ms["p50"]), milliseconds(row.ms["p99"]), milliseconds(row.ms["p99.9"]), milliseconds(row.ms["max"])), width))
		}
	}
	if len(v.tail) > 0 {
		lines = append(lines, cut("p99       "+spark(v.tail, min(liveHistory, width-10)), width))
	}
	use := fmt.Sprintf("generator %.2f cores", s.OwnCPU)
	if s.BrokerAnon > 0 {
		use = fmt.Sprintf("broker %.2f cores, %s of memory; ", s.BrokerCPU, mebibytes(s.BrokerAnon)) + use
	}
	if why := v.bound(l); why != "" {
		lines = append(lines, paint("31", cut("cpu       "+why+": "+use, width)))
	} else {
		lines = append(lines, cut("cpu       "+use, width))
	}
	verified := cut(fmt.Sprintf("verified  %s records, %s", thousands(l.Verified), counted(int(l.Errors), "error")), width)
	if l.Errors > 0 {
		verified = paint("31", verified)
	}
	return append(lines, verified)
}

// bound says why the generator is what holds the run up, when it is.
func (v *liveView) bound(l bench.Live) string {
	switch {
	case l.Second.Late():
		return fmt.Sprintf("GENERATOR LATE BY %s ms", milliseconds(l.Second.Slip))
	case l.Second.OwnCPU > 0.95*float64(v.cores):
		return "GENERATOR IS THE BOTTLENECK"
	}
	return ""
}

// bar is the phase and how far it is.
func (v *liveView) bar(l bench.Live, width int) string {
	if l.Total <= 0 {
		return cut(fmt.Sprintf("%-9s %s", l.Phase, l.Elapsed.Round(time.Second)), width)
	}
	const steps = 30
	share := min(1, l.Elapsed.Seconds()/l.Total.Seconds())
	full := int(share * steps)
	return cut(fmt.Sprintf("%-9s %s%s %3.0f%%, %s left", l.Phase, strings.Repeat("█", full), strings.Repeat("░", steps-full), share*100,
		max(0, l.Total-l.Elapsed).Round(time.Second)), width)
}

// line is the same in few words, for a log.
func (v *liveView) line(l bench.Live) string {
	s := l.Second
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s, %s %s/s", v.title, l.Elapsed.Round(time.Second), l.Phase, thousands(s.Acked))
	if v.open {
		fmt.Fprintf(&b, " of %s/s", thousands(int64(s.Asked+0.5)))
	}
	fmt.Fprintf(&b, ", %.1f MB/s, backlog %s", float64(s.Bytes)/1e6, thousands(s.Backlog))
	if len(s.Produce) > 0 {
		fmt.Fprintf(&b, ", produce p50 %s p99 %s", milliseconds(s.Produce["p50"]), milliseconds(s.Produce["p99"]))
	}
	if len(s.EndToEnd) > 0 {
		fmt.Fprintf(&b, ", e2e p50 %s p99 %s", milliseconds(s.EndToEnd["p50"]), milliseconds(s.EndToEnd["p99"]))
	}
	if len(s.Produce)+len(s.EndToEnd) > 0 {
		b.WriteString(" ms")
	}
	fmt.Fprintf(&b, ", %s verified, %s", thousands(l.Verified), counted(int(l.Errors), "error"))
	if why := v.bound(l); why != "" {
		fmt.Fprintf(&b, ", %s", why)
	}
	return b.String()
}

// spark draws the last values as bars between 0 and the largest, which it names.
func spark(values []float64, width int) string {
	bars := []rune("▁▂▃▄▅▆▇█")
	var largest float64
	for _, v := range values {
		largest = max(largest, v)
	}
	legend := fmt.Sprintf(" up to %s ms", milliseconds(largest))
	values = values[max(0, len(values)-max(1, width-len(legend))):]
	var b strings.Builder
	for _, v := range values {
		level := 0
		if largest > 0 {
			level = int(v / largest * float64(len(bars)-1))
		}
		b.WriteRune(bars[level])
	}
	return b.String() + legend
}

// milliseconds has three digits that tell something.
func milliseconds(ms float64) string {
	switch {
	case ms < 10:
		return fmt.Sprintf("%.3f", ms)
	case ms < 100:
		return fmt.Sprintf("%.2f", ms)
	}
	return fmt.Sprintf("%.0f", ms)
}

func mebibytes(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }

// cut keeps a line within a width.
func cut(text string, width int) string {
	if utf8.RuneCountInString(text) <= width {
		return text
	}
	return string([]rune(text)[:max(0, width-1)]) + "…"
}
