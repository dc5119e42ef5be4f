package bench

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// What a result file carries of a histogram gives it back, and merging two is as if one had recorded everything.
func TestDistributionsMergeWithoutLoss(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	parts, whole := [2]*Latencies{NewLatencies(), NewLatencies()}, NewLatencies()
	for i := range 20_000 {
		d := time.Duration(random.ExpFloat64() * float64(20*time.Millisecond))
		if i == 77 {
			d = 2 * time.Minute
		}
		parts[i%2].RecordN(d, 3)
		whole.RecordN(d, 3)
	}
	merged := NewLatencies()
	for _, p := range parts {
		back, err := NewDistribution(p).Latencies()
		if err != nil {
			t.Fatal(err)
		}
		merged.Merge(back)
	}
	if got, want := NewDistribution(merged), NewDistribution(whole); *got != *want {
		t.Errorf("%+v\nwant %+v", got, want)
	}
	if d := NewDistribution(whole); d.Beyond != 3 || d.Max != 120_000 || d.P9999 < d.P999 || d.Mean <= 0 {
		t.Errorf("%+v", d)
	}
	empty, err := new(Distribution).Latencies()
	if err != nil || empty.Summary().Count != 0 {
		t.Errorf("%v, %v", empty, err)
	}
	for _, bad := range []string{"!", "HISTFAAA", "AAAA"} {
		if _, err := (&Distribution{Histogram: bad}).Latencies(); err == nil {
			t.Errorf("%q was taken for a histogram", bad)
		}
	}
}

func TestSpan(t *testing.T) {
	const s = time.Second
	sp := span{begin: 10 * s, from: 12 * s, to: 15*s + s/2}
	for at, want := range map[time.Duration]int{10 * s: -2, 11*s - 1: -2, 11 * s: -1, 12*s - 1: -1, 12 * s: 0, 13 * s: 1, 15 * s: 3, 15*s + s/2: 4, 16*s + s/2: 5} {
		if got := sp.second(at); got != want {
			t.Errorf("%v is in second %d, want %d", at, got, want)
		}
		if end := sp.end(want); end <= at || end > at+s {
			t.Errorf("second %d, of %v, ends at %v", want, at, end)
		}
	}
	if sp.seconds() != 4 || sp.end(3) != sp.to || sp.measured(12*s-1) || !sp.measured(12*s) || sp.measured(sp.to) {
		t.Errorf("%d seconds, the last ends at %v", sp.seconds(), sp.end(3))
	}
}

// Seconds come in order when every worker that has begun has passed them, with what all of them saw; only what was due in the
// window is measured, and only what happened in it is counted.
func TestCollector(t *testing.T) {
	const s = time.Second
	sp := span{begin: 0, from: s, to: 3 * s}
	c := newCollector()
	producer, consumer, late := c.recorder(produceKind, serviceKind, slipKind), c.recorder(endToEndKind), c.recorder(endToEndKind)
	var published []Second
	c.publish = func(s Second) { published = append(published, s) }
	ended := make(chan struct{})
	go func() { c.run(sp); close(ended) }()
	producer.start(sp, 0)
	consumer.start(sp, 0)
	for at := time.Duration(0); at < 4*s; at += s / 10 {
		producer.turn(at)
		consumer.turn(at)
		if at < sp.to {
			producer.due(2)
		}
		if at >= s/2 { // each is answered half a second late
			producer.acked(at, at-s/2, at-s/4, 2, 200)
			consumer.consumed(at, at-s/2, 2)
			consumer.fetched(2, 200)
		}
	}
	producer.end()
	consumer.end()
	late.start(sp, 5*s)
	late.fetched(1, 1)
	late.end()
	<-ended
	var seconds []int
	for _, p := range published {
		seconds = append(seconds, p.Second)
	}
	if len(seconds) < 4 || seconds[0] != -1 || seconds[1] != 0 || seconds[2] != 1 || seconds[3] != 2 {
		t.Errorf("seconds %v", seconds)
	}
	if len(c.series) != 3 || c.series[0].Acked != 10 || c.series[1].Acked != 20 || c.series[2].Asked != 20 || c.series[2].Backlog != 10 || c.peak != 10 {
		t.Errorf("peak %d, %+v", c.peak, c.series)
	}
	if c.window.acked != 40 || c.whole.acked != 70 || c.window.bytes != 4000 || c.whole.consumed != 71 {
		t.Errorf("%+v, %+v", c.window, c.whole)
	}
	for k, want := range map[kind]time.Duration{produceKind: s / 2, endToEndKind: s / 2, serviceKind: s / 4} {
		if l := c.total[k]; l.Summary().Count != 40 || l.longest != want {
			t.Errorf("%s: %+v", kindNames[k], l.Summary())
		}
	}
	if h := c.series[2].Heat; len(h) != len(HeatBounds)+1 || sum(h) != 20 || c.series[0].Heat != nil {
		t.Errorf("heat %v", h)
	}

	res := &Result{Version: "test", Started: time.Unix(1700000000, 0), Series: c.series, intervals: c.intervals}
	var log bytes.Buffer
	if err := WriteHlog(&log, res); err != nil {
		t.Fatal(err)
	}
	reader := hdrhistogram.NewHistogramLogReader(strings.NewReader(log.String()))
	n, records := 0, int64(0)
	for {
		h, err := reader.NextIntervalHistogram()
		if err != nil {
			t.Fatal(err)
		}
		if h == nil {
			break
		}
		n++
		records += h.TotalCount()
	}
	if n != 4 || records != 2*30 {
		t.Errorf("%d histograms of %d records in\n%s", n, records, log.String())
	}
}

func sum(row []int64) (n int64) {
	for _, v := range row {
		n += v
	}
	return n
}

// What makes a result invalid, or says that the broker was the one that was too slow.
func TestJudge(t *testing.T) {
	slow := func(p99 float64) *Distribution { return &Distribution{LatencySummary: LatencySummary{P99: p99}} }
	for _, c := range []struct {
		name                  string
		slip, produce, busy   float64
		achieved, peakBacklog float64 // of 1000 asked for
		due                   int64   // 0: as asked for
		invalid               string
		saturated             bool
	}{
		{name: "fine", slip: 0.9, produce: 2, busy: 0.5, achieved: 1000},
		{name: "late", slip: 1.1, produce: 2, busy: 0.5, achieved: 1000, invalid: "late by 1.1 ms"},
		{name: "late, which is little here", slip: 4, produce: 50, achieved: 1000},
		{name: "busy", slip: 0.1, produce: 2, busy: 0.96, achieved: 1000, invalid: "busy 96 %"},
		{name: "the broker is slow", slip: 0.1, produce: 900, achieved: 900, peakBacklog: 1000, saturated: true},
		{name: "the generator is slow", slip: 0.1, produce: 2, achieved: 900, peakBacklog: 10, invalid: "900.0 reached"},
		{name: "random arrivals were fewer", slip: 0.1, produce: 2, achieved: 980, peakBacklog: 3, due: 9800},
		{name: "random arrivals were more, and not kept", slip: 0.1, produce: 900, achieved: 1000, peakBacklog: 900, due: 10_300, saturated: true},
		{name: "the warm-up left a queue", slip: 0.1, produce: 900, achieved: 1100, peakBacklog: 2000, saturated: true},
		{name: "nothing was due", slip: 0.1, produce: 2, due: -1, invalid: "no record was due"},
	} {
		r := &Result{Busy: c.busy, Latency: map[string]*Distribution{LatencySlip: slow(c.slip), LatencyProduce: slow(c.produce)}}
		r.Load = Load{Asked: 1000, Achieved: c.achieved, Records: int64(10 * c.achieved), Elapsed: 10 * time.Second, PeakBacklog: int64(c.peakBacklog)}
		switch r.Load.Due = c.due; c.due {
		case 0:
			r.Load.Due = 10_000
		case -1:
			r.Load.Due = 0
		}
		r.judge()
		if got := strings.Join(r.Invalid, "; "); r.Saturated != c.saturated || (got == "") != (c.invalid == "") || !strings.Contains(got, c.invalid) {
			t.Errorf("%s: invalid %q, saturated %v", c.name, got, r.Saturated)
		}
	}
}

// A generator that looks late is late with everything that was due meanwhile, also with what then finds the window full; what was due
// while it was full is not its fault.
func TestSlip(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct {
		name                        string
		due, look, freed, now, want time.Duration
	}{
		{"in time", 10 * ms, 10 * ms, 5 * ms, 10 * ms, 0},
		{"looked late", 10 * ms, 30 * ms, 5 * ms, 30 * ms, 20 * ms},
		{"looked late, slow since", 10 * ms, 30 * ms, 5 * ms, 33 * ms, 23 * ms},
		{"looked late, then full", 10 * ms, 30 * ms, 80 * ms, 81 * ms, 21 * ms},
		{"due while full", 40 * ms, 30 * ms, 80 * ms, 81 * ms, ms},
		{"due just after it was freed", 82 * ms, 30 * ms, 80 * ms, 85 * ms, 3 * ms},
	} {
		p, k := &sender{due: c.due, look: c.look}, &sendLink{freed: c.freed}
		if got := p.slip(k, c.now); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
	behind := &sender{due: 40 * ms, look: 30 * ms, freed: 80 * ms} // a batch for another leader, whose window was full until then
	if got := behind.slip(&sendLink{}, 81*ms); got != ms {
		t.Errorf("behind another leader's: %v, want %v", got, ms)
	}
}
