package main

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/millrace/millrace/bench"
)

// aSecond is in the middle of a run.
func aSecond() bench.Live {
	return bench.Live{
		Phase: "measure", Elapsed: 12 * time.Second, Total: 30 * time.Second, Verified: 1234567,
		Second: bench.Second{
			Second: 11, Asked: 10000, Acked: 9998, Consumed: 9997, Bytes: 9998000, Backlog: 12,
			Produce:   map[string]float64{"p50": 0.213, "p99": 1.2, "p99.9": 13.871, "max": 115.02},
			EndToEnd:  map[string]float64{"p50": 0.302, "p99": 1.5, "p99.9": 14.1, "max": 115.3},
			BrokerCPU: 0.38, BrokerAnon: 43201331, OwnCPU: 0.22,
		},
	}
}

func TestLiveViewOfASecond(t *testing.T) {
	v := liveView{title: "workload (10k/s constant, 1000 bytes, 1 partition, acks=all)", open: true, cores: 2}
	for _, p99 := range []float64{1, 2, 8, 0} {
		l := aSecond()
		l.Second.EndToEnd["p99"] = p99
		v.add(l)
	}
	v.add(bench.Live{Phase: "verify"}) // is no second of the window
	const want = `workload (10k/s constant, 1000 bytes, 1 partition, acks=all)
measure   ████████████░░░░░░░░░░░░░░░░░░  40%, 18s left
rate      10,000/s asked, 9,998/s done, 10.0 MB/s, backlog 12
produce   p50 0.213  p99 1.200  p99.9 13.87  max 115 ms
e2e       p50 0.302  p99 1.500  p99.9 14.10  max 115 ms
p99       ▁▂█▁ up to 8.000 ms
cpu       broker 0.38 cores, 41.2 MiB of memory; generator 0.22 cores
verified  1,234,567 records, 0 errors`
	if got := strings.Join(v.render(aSecond(), 79, false), "\n"); got != want {
		t.Errorf("the view is\n%s\nwant\n%s", got, want)
	}
	const line = "workload (10k/s constant, 1000 bytes, 1 partition, acks=all): 12s, measure 9,998/s of 10,000/s, 10.0 MB/s, backlog 12, " +
		"produce p50 0.213 p99 1.200, e2e p50 0.302 p99 1.500 ms, 1,234,567 verified, 0 errors"
	if got := v.line(aSecond()); got != line {
		t.Errorf("the line is\n%s\nwant\n%s", got, line)
	}
}

func TestLiveViewFitsItsTerminal(t *testing.T) {
	l := aSecond()
	l.Second.Backlog, l.Second.Asked, l.Second.Acked, l.Second.Bytes, l.Errors = 1<<60, 1<<50, 1<<50, 1<<60, 1<<40
	l.Second.OwnCPU = 1.99
	v := liveView{title: strings.Repeat("a long name ", 20), open: true, cores: 2}
	for range 200 {
		v.add(l)
	}
	for _, width := range []int{20, 40, 79} {
		lines := v.render(l, width, false)
		if len(lines) > liveLines {
			t.Errorf("%d lines", len(lines))
		}
		for _, line := range lines {
			if n := utf8.RuneCountInString(line); n > width {
				t.Errorf("%d columns, want at most %d: %s", n, width, line)
			}
		}
	}
}

// The generator at its limit, and errors, are red where colours are.
func TestLiveViewWarnsInRed(t *testing.T) {
	l := aSecond()
	v := liveView{title: "t", cores: 2}
	if text := strings.Join(v.render(l, 79, true), "\n"); strings.Contains(text, "\x1b") {
		t.Errorf("red without a reason:\n%s", text)
	}
	l.Second.OwnCPU, l.Errors = 1.95, 3
	text := strings.Join(v.render(l, 79, true), "\n")
	if !strings.Contains(text, "\x1b[31mcpu       GENERATOR IS THE BOTTLENECK: broker 0.38 cores") || !strings.Contains(text, "\x1b[31mverified  1,234,567 records, 3 errors\x1b[0m") {
		t.Errorf("the view is\n%q", text)
	}
	if text := strings.Join(v.render(l, 79, false), "\n"); strings.Contains(text, "\x1b") {
		t.Errorf("coloured though it may not be:\n%q", text)
	}
	late := aSecond()
	late.Second.Slip = 1.4
	if text := strings.Join(v.render(late, 79, true), "\n"); !strings.Contains(text, "\x1b[31mcpu       GENERATOR LATE BY 1.400 ms: broker") {
		t.Errorf("the view is\n%q", text)
	}
	late.Second.Slip = 0.9
	if text := v.line(late); strings.Contains(text, "LATE") {
		t.Errorf("late by little: %s", text)
	}
	if !strings.Contains(v.line(l), "GENERATOR IS THE BOTTLENECK") {
		t.Errorf("the line is\n%s", v.line(l))
	}
}
