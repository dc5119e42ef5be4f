package report

import (
	"context"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/millrace/millrace/bench"
	"github.com/millrace/millrace/bench/host"
	"github.com/millrace/millrace/bench/trial"
)

// shape is a made-up target.
type shape struct {
	median, tail, share float64 // ms, ms, share of slow records
	cores, anon         float64
}

// imagined is a run of a made-up target, with a histogram of each second.
func imagined(of shape, target bench.Target, spec bench.Spec, seed uint64) *bench.Result {
	random := rand.New(rand.NewPCG(seed, 7))
	r := run()
	r.Target, r.Spec, r.Series = target, spec, nil
	r.Command = []string{"millrace", "bench", "ab", "kafka=127.0.0.1:9092", "millrace=127.0.0.1:9192", "--rate", "10000", "--duration", "20s"}
	whole := hdrhistogram.New(1, time.Minute.Microseconds(), 3)
	seconds := int(spec.Duration / time.Second)
	for s := range seconds {
		row := make([]int64, len(bench.HeatBounds)+1)
		one := hdrhistogram.New(1, time.Minute.Microseconds(), 3)
		slow := of.share
		if s == seconds*2/3 {
			slow *= 6
		}
		for range int(spec.Rate) {
			ms := of.median * math.Exp(0.25*random.NormFloat64())
			if random.Float64() < slow {
				ms += of.tail * random.ExpFloat64()
			}
			us := max(1, int64(1000*ms))
			_ = whole.RecordValue(us)
			_ = one.RecordValue(us)
			i := 0
			for i < len(bench.HeatBounds) && bench.HeatBounds[i] < time.Duration(us)*time.Microsecond {
				i++
			}
			row[i]++
		}
		at := func(q float64) float64 { return float64(one.ValueAtQuantile(q)) / 1000 }
		r.Series = append(r.Series, bench.Second{
			Second: s, Asked: spec.Rate, Acked: int64(spec.Rate * (0.99 + 0.02*random.Float64())), Consumed: int64(spec.Rate * (0.985 + 0.02*random.Float64())), Bytes: int64(spec.Rate * 1000),
			Backlog: int64(10 + 30*random.ExpFloat64()), EndToEnd: map[string]float64{"p50": at(50), "p99": at(99), "p99.9": at(99.9), "max": float64(one.Max()) / 1000},
			Heat: row, Hiccup: 0.1 + 0.4*random.ExpFloat64(), BrokerCPU: of.cores * (0.9 + 0.2*random.Float64()), BrokerAnon: int64(of.anon * (0.95 + 0.002*float64(s))), OwnCPU: 0.3 + 0.05*random.Float64(),
		})
	}
	encoded, _ := whole.Encode(hdrhistogram.V2CompressedEncodingCookieBase)
	at := func(q float64) float64 { return float64(whole.ValueAtQuantile(q)) / 1000 }
	r.Latency[bench.LatencyEndToEnd] = &bench.Distribution{
		LatencySummary: bench.LatencySummary{Count: whole.TotalCount(), P50: at(50), P90: at(90), P99: at(99), P999: at(99.9), Max: float64(whole.Max()) / 1000},
		P9999:          at(99.99), Mean: whole.Mean() / 1000, Histogram: string(encoded),
	}
	n := int64(spec.Rate) * int64(seconds)
	r.Load.Records, r.Load.Bytes, r.Load.Requests, r.Load.Elapsed, r.Load.Achieved = n, n*1000, n/10, spec.Duration, spec.Rate*0.999
	r.Load.Asked, r.Load.MegabytesASecond = spec.Rate, spec.Rate/1000
	busy := time.Duration(of.cores * (0.95 + 0.1*random.Float64()) * float64(spec.Duration))
	r.Brokers = []host.Usage{{Pid: 77, Elapsed: spec.Duration, User: busy / 4, System: busy * 3 / 4, Anon: int64(of.anon), PeakAnon: int64(of.anon * 1.05), File: 50e6,
		Threads: map[string]time.Duration{"data-plane-kafka-network-thread": busy * 6 / 10, "data-plane-kafka-request-handler": busy * 2 / 10, "G1 Young": busy / 10, "C2 CompilerThread": busy / 20, "other": busy / 20}}}
	return r
}

var shapes = map[string]shape{"kafka": {0.4, 9, 0.02, 1.13, 980e6}, "millrace": {0.18, 1, 0.004, 0.22, 41e6}}

func compared(t *testing.T, cell string, rate float64) *trial.Comparison {
	t.Helper()
	seed := uint64(rate)
	c, err := trial.AB{
		A:    bench.Target{Name: "kafka", Brokers: []string{"127.0.0.1:9092"}, Software: "Apache Kafka 4.4.0", Durability: "os (page cache, no flush)", ClusterID: "a", Pids: []int{1}, Configs: map[string]string{"num.io.threads": "2", "socket.send.buffer.bytes": "-1"}},
		B:    bench.Target{Name: "millrace", Brokers: []string{"127.0.0.1:9192"}, Software: "Millrace", Durability: "os", ClusterID: "b", Pids: []int{2}},
		Spec: bench.Spec{Name: cell, Rate: rate, Duration: 5 * time.Second, Partitions: 6}.WithDefaults(), Blocks: 2, Settle: time.Nanosecond,
		Run: func(_ context.Context, target bench.Target, spec bench.Spec) (*bench.Result, error) {
			seed++
			return imagined(shapes[target.Name], target, spec, seed), nil
		},
	}.Do(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return c
}
