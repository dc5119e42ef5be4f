package e2e

import (
	"testing"
	"time"

	"github.com/millrace/millrace/bench"
)

// What holds for the raw generator holds for the real client: every record is acknowledged, comes back, and is timed.
func TestBenchRunOfARealClient(t *testing.T) {
	b := start(t, t.TempDir(), 0)
	const second = time.Second
	for _, spec := range []bench.Spec{
		{Name: "open loop", Rate: 2000, Warmup: second, Duration: 2 * second, Size: "1000"},
		{Name: "batches, partitions, producers, groups", Rate: 5000, Duration: second, BatchRecords: 10, Linger: 2 * time.Millisecond, Partitions: 6, Producers: 4, Groups: 2, Consumers: 3},
		{Name: "group protocol", Rate: 2000, Duration: second, Partitions: 6, Groups: 2, Consumers: 3, GroupProtocol: true},
		{Name: "closed loop", Duration: second, Size: "1000", BatchRecords: 16, Partitions: 3, Idempotent: true},
		{Name: "keys", Rate: 3000, Duration: second, Partitions: 6, Keys: "zipf:1000:0.99", Size: "lognormal:200:1", Arrivals: "bursty:30"},
		{Name: "acks 1, lz4, half random", Rate: 2000, Duration: second, Acks: "1", Codec: "lz4", Entropy: 0.5, BatchRecords: 100, Linger: 20 * time.Millisecond, Consume: "after"},
		{Name: "backlog", Rate: 500, Warmup: second / 2, Duration: second, Partitions: 2, Backlog: 1_000_000},
		{Name: "acks 0", Rate: 500, Duration: second, Acks: "0"},
	} {
		t.Run(spec.Name, func(t *testing.T) {
			spec.Mode = "kgo"
			r := runBench(t, b.addr, spec)
			if !r.Verdict.Intact() {
				t.Errorf("not intact: %s %q", r.Verdict, r.Verdict.Examples)
			}
			l := r.Load
			if spec.Backlog > 0 {
				made := l.Attempted - int64(spec.Rate*(spec.Warmup+spec.Duration).Seconds())
				if l.CaughtUpAfter == 0 || made < 1000 || r.Verdict.Consumed != l.Acked {
					t.Errorf("a backlog of %d records, caught up after %v; %d acknowledged, %d verified", made, l.CaughtUpAfter, l.Acked, r.Verdict.Consumed)
				}
				return
			}
			if l.Attempted == 0 || l.Attempted != l.Acked || r.Verdict.Consumed != l.Acked*int64(r.Spec.Groups) {
				t.Errorf("attempted %d, acknowledged %d, verified %d of %d groups", l.Attempted, l.Acked, r.Verdict.Consumed, r.Spec.Groups)
			}
			if l.Requests == 0 || l.Fetches == 0 && spec.Consume != "after" {
				t.Errorf("%d requests, %d fetches", l.Requests, l.Fetches)
			}
			if spec.Codec == "lz4" && (l.Ratio < 1.3 || l.Ratio > 2) {
				t.Errorf("half random bytes were compressed to one %.2fth", l.Ratio)
			}
			if spec.Rate == 0 {
				return
			}
			if want := int64(spec.Rate * (spec.Warmup + spec.Duration).Seconds()); l.Attempted != want {
				t.Errorf("%d records were sent, %d were due", l.Attempted, want)
			}
			window := int64(spec.Rate * spec.Duration.Seconds())
			for name, want := range map[string]int64{bench.LatencyProduce: window, bench.LatencySlip: window, bench.LatencyEndToEnd: window * int64(r.Spec.Groups)} {
				if name == bench.LatencyEndToEnd && spec.Consume == "after" {
					want = 0
				}
				if d := r.Latency[name]; d == nil && want > 0 || d != nil && d.Count != want {
					t.Errorf("%s: %+v, want %d records", name, d, want)
				}
			}
		})
	}
}
