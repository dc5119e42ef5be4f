package report

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/bench"
	"github.com/millrace/millrace/bench/host"
)

// distribution is a histogram of so many samples around a median, with a tail.
func distribution(seed uint64, samples int, median, tail float64) *bench.Distribution {
	key := fmt.Sprint(seed, samples, median, tail)
	if d := drawn[key]; d != nil {
		return d
	}
	r := rand.New(rand.NewPCG(seed, 1))
	h := hdrhistogram.New(1, time.Minute.Microseconds(), 3)
	for range samples {
		ms := median * math.Exp(0.3*r.NormFloat64())
		if r.Float64() < 0.01 {
			ms += tail * r.ExpFloat64()
		}
		_ = h.RecordValue(max(1, int64(1000*ms)))
	}
	encoded, err := h.Encode(hdrhistogram.V2CompressedEncodingCookieBase)
	if err != nil {
		panic(err)
	}
	at := func(q float64) float64 { return float64(h.ValueAtQuantile(q)) / 1000 }
	drawn[key] = &bench.Distribution{
		LatencySummary: bench.LatencySummary{Count: int64(samples), P50: at(50), P90: at(90), P99: at(99), P999: at(99.9), Max: float64(h.Max()) / 1000},
		P9999:          at(99.99), Mean: h.Mean() / 1000, Histogram: string(encoded),
	}
	return drawn[key]
}

var drawn = map[string]*bench.Distribution{} // they take their time, and nobody changes them

var began = time.Date(2026, 11, 27, 20, 0, 0, 0, time.UTC)

// run is a result whose figures are easy to check by hand: 10,000 records/s of 1,000 bytes for 10 s.
func run() *bench.Result {
	began = began.Add(time.Minute)
	r := &bench.Result{
		Schema: bench.ResultSchema, Version: "v1", Started: began,
		Target: bench.Target{Name: "kafka", Brokers: []string{"127.0.0.1:9092"}, Durability: "os (page cache, no flush)"},
		Spec:   bench.Spec{Name: "L1", Rate: 10000, Size: "1000", Warmup: 2 * time.Second, Partitions: 6, BatchRecords: 10}.WithDefaults(),
		Load: bench.Load{
			Attempted: 120000, Acked: 120000, Consumed: 120000, Elapsed: 10 * time.Second, Records: 100000, Bytes: 100e6, Requests: 10000,
			Fetched: 100000, FetchedBytes: 100e6, Fetches: 5000, Asked: 10000, Achieved: 9990, MegabytesASecond: 9.99, PeakBacklog: 321,
		},
		Latency: map[string]*bench.Distribution{
			bench.LatencyProduce: distribution(1, 99999, 0.3, 5), bench.LatencyEndToEnd: distribution(2, 100000, 0.5, 8),
			bench.LatencyService: distribution(3, 100000, 0.2, 5), bench.LatencySlip: distribution(4, 100000, 0.01, 0.1),
		},
		Hiccups: distribution(5, 9000, 0.06, 1),
		Brokers: []host.Usage{{
			Pid: 77, Name: "java", Elapsed: 10 * time.Second, User: time.Second, System: 3 * time.Second, Anon: 900e6, PeakAnon: 950e6, File: 50e6,
			Threads: map[string]time.Duration{"network": 3 * time.Second, "io": 900 * time.Millisecond, "gc": 100 * time.Millisecond},
		}},
		Own: host.Usage{Pid: 78, Name: "millrace", Elapsed: 10 * time.Second, User: 2 * time.Second, System: time.Second},
	}
	r.Busy = 0.25
	r.Verdict = bench.Verdict{Sent: 120000, Consumed: 120000}
	for i := range 10 {
		r.Series = append(r.Series, bench.Second{
			Second: i, Asked: 10000, Acked: 9990, Consumed: 9990, Bytes: 9990e3, Backlog: int64(i), BrokerCPU: 0.4, BrokerAnon: 900e6, OwnCPU: 0.3,
			Produce: map[string]float64{"p50": 0.3, "p99": 0.9, "p99.9": 4, "max": 9}, Hiccup: 0.2,
		})
	}
	return r
}

func text(t *testing.T, r *bench.Result) string {
	t.Helper()
	var b strings.Builder
	if err := Text(&b, r); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// contains holds a text against pieces that must be in it.
func contains(t *testing.T, text string, pieces ...string) {
	t.Helper()
	for _, p := range pieces {
		if !strings.Contains(text, p) {
			t.Errorf("%q is not in\n%.3000s", p, text)
		}
	}
}

func TestTextSaysWhatWasAskedPromisedVerifiedAndUsed(t *testing.T) {
	contains(t, text(t, run()),
		"L1, kafka: 10,000 records/s asked, 9,990 achieved (99.9 %), 9.99 MB/s for 10s after 2 s of warm-up",
		"durability  os (page cache, no flush); acks=all, the cluster's default replication",
		"verified    120,000 attempted = 120,000 acked + 0 failed; 120,000 consumed by 1 group: each once, in order, unchanged",
		"requests    1,000 produce requests/s of 10.0 records, 500 fetches/s of 20.0 records; at most 321 records due and not acknowledged",
		"broker      0.400 cores (user 25.0 %), 40.0 CPU-s/GB acknowledged, 400 us a request, 40.0 us a record",
		"threads   network 0.300, io 0.090, gc 0.010",
		"RssAnon 900 MB (peak 950 MB), RssFile 50.0 MB",
		"generator   0.300 cores, its busiest thread 25.0 % of the window")
}

func TestUnsoundResultsSayWhy(t *testing.T) {
	r := run()
	r.Invalid = []string{"slip p99 is 3 ms"}
	r.Disturbed = []string{"steal 4 %"}
	r.Verdict.Lost, r.Verdict.Consumed = 1, 119999
	r.Verdict.Examples = []string{"partition 3 offset 17"}
	contains(t, text(t, r), "INVALID     slip p99 is 3 ms", "DISTURBED   steal 4 %", "NO: 120000 sent, 119999 consumed: 1 lost", "\n            partition 3 offset 17")
}

func TestWithoutProcessesTheirUseIsNotKnown(t *testing.T) {
	r := run()
	r.Brokers = nil
	contains(t, text(t, r), "broker      its processes were not named")
	if got := text(t, r); strings.Contains(got, "CPU-s/GB") {
		t.Errorf("a figure from nothing:\n%s", got)
	}
}

// 99,999 samples have 9.9999 beyond their p99.99, 100,000 have ten.
func TestPercentilesThatTooFewSamplesCarryAreMarked(t *testing.T) {
	var produce, e2e, hiccups string
	for line := range strings.SplitSeq(text(t, run()), "\n") {
		switch {
		case strings.HasPrefix(line, "  produce"):
			produce = line
		case strings.HasPrefix(line, "  end to end"):
			e2e = line
		case strings.HasPrefix(line, "  hiccups"):
			hiccups = line
		}
	}
	got := []int{strings.Count(produce, "?"), strings.Count(e2e, "?"), strings.Count(hiccups, "?")}
	if diff := cmp.Diff([]int{1, 0, 2}, got); diff != "" {
		t.Errorf("marks of produce, e2e, hiccups: %s\n%s\n%s\n%s", diff, produce, e2e, hiccups)
	}
}

func TestNumbersHaveThreeDigitsAndTheirGroups(t *testing.T) {
	for _, c := range []struct {
		v    float64
		want string
	}{{0, "0"}, {0.0314, "0.031"}, {0.9996, "1.00"}, {9.996, "10.0"}, {31.25, "31.2"}, {99.96, "100"}, {1234.5, "1,235"}, {-1e6, "-1,000,000"}, {math.NaN(), "-"}} {
		if got := digits(c.v); got != c.want {
			t.Errorf("digits(%v) = %s, want %s", c.v, got, c.want)
		}
	}
	for _, c := range []struct {
		got, want string
	}{{counted(1, "batch"), "1 batch"}, {counted(2, "batch"), "2 batches"}, {counted(1000, "query"), "1,000 queries"}, {figure{1.5e9, true}.size(), "1.50 GB"}, {figure{}.size(), "-"}} {
		if c.got != c.want {
			t.Errorf("%s, want %s", c.got, c.want)
		}
	}
}
