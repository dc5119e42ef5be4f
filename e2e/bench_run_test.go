package e2e

import (
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/bench"
)

func runBench(t *testing.T, addr string, spec bench.Spec) *bench.Result {
	t.Helper()
	r, err := bench.Run(within(t, time.Minute), bench.Setup{Target: bench.Target{Brokers: []string{addr}}}, spec)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s: %+v; %s; invalid %q, saturated %v, busy %.2f", spec.Name, r.Load, r.Verdict, r.Invalid, r.Saturated, r.Busy)
	for name, d := range r.Latency {
		t.Logf("  %-8s %+v", name, d.LatencySummary)
	}
	return r
}

// A topic that was named and is not there is said so at once.
func TestBenchOfNoTopic(t *testing.T) {
	b := start(t, t.TempDir(), 0)
	ctx := within(t, 20*time.Second) // less than a topic that was made is waited for
	_, err := bench.Run(ctx, bench.Setup{Target: bench.Target{Brokers: []string{b.addr}}}, bench.Spec{Topic: "nowhere", Duration: time.Second})
	if err == nil || !strings.Contains(err.Error(), "there is no topic nowhere") {
		t.Error(err)
	}
}

// One run of the generator against the real broker, in each way it can send: every record is acknowledged, comes back, and is
// timed.
func TestBenchRun(t *testing.T) {
	b := start(t, t.TempDir(), 0)
	const second = time.Second
	for _, spec := range []bench.Spec{
		{Name: "open loop", Rate: 2000, Warmup: second, Duration: 2 * second, Size: "1000"},
		{Name: "open loop, batches, partitions, producers, groups", Rate: 5000, Duration: second, BatchRecords: 10, Partitions: 6, Producers: 20, Groups: 2, Consumers: 3},
		{Name: "closed loop", Duration: second, Size: "1000", BatchRecords: 16, Partitions: 3, Idempotent: true},
		{Name: "large", Duration: second, Size: "65000", TopicConfigs: map[string]string{"millrace.durability": "os"}},
		{Name: "keys", Rate: 5000, Duration: second, BatchRecords: 10, Partitions: 6, Keys: "zipf:1000:0.99", Size: "lognormal:200:1"},
		{Name: "keys one by one", Rate: 2000, Duration: second, Partitions: 6, Keys: "uniform:100000", Arrivals: "poisson"},
		{Name: "backlog", Rate: 500, Warmup: second, Duration: second, Backlog: 20 << 20, Idempotent: true, BatchRecords: 50, Partitions: 3, Producers: 2},
		{Name: "company", Rate: 500, Duration: second, Idle: 200, Churn: 100},
		{Name: "acks 1", Rate: 500, Duration: second, Acks: "1", Consume: "after"},
		{Name: "acks 0", Rate: 500, Duration: second, Acks: "0"},
		{Name: "gzip", Rate: 500, Duration: second, Codec: "gzip", BatchRecords: 5},
		{Name: "lz4", Rate: 500, Duration: second, Codec: "lz4", BatchRecords: 5},
		{Name: "zstd", Rate: 500, Duration: second, Codec: "zstd", BatchRecords: 5, Idempotent: true},
		{Name: "snappy", Rate: 500, Duration: second, Codec: "snappy", BatchRecords: 5},
	} {
		t.Run(spec.Name, func(t *testing.T) {
			r := runBench(t, b.addr, spec)
			if !r.Verdict.Intact() {
				t.Errorf("not intact: %s %q", r.Verdict, r.Verdict.Examples)
			}
			l := r.Load
			if spec.Backlog > 0 {
				// A batch is due every 100 ms of this rate: a broker that is faster than that has none to time.
				if l.CaughtUpAfter == 0 || r.Latency[bench.LatencyCatchUp] == nil && l.CaughtUpAfter > 200*time.Millisecond {
					t.Errorf("caught up after %v, %v", l.CaughtUpAfter, r.Latency)
				}
				if made := l.Attempted - int64(spec.Rate*2); made < spec.Backlog/1000 || made > spec.Backlog/1000+200 {
					t.Errorf("a backlog of %d records, %d bytes were asked for", made, spec.Backlog)
				}
				return
			}
			if spec.Churn > 0 && l.Churned < 90 {
				t.Errorf("%d connections were opened and closed", l.Churned)
			}
			if l.Attempted == 0 || l.Attempted != l.Acked || r.Verdict.Consumed != l.Acked*int64(r.Spec.Groups) {
				t.Errorf("attempted %d, acknowledged %d, verified %d of %d groups", l.Attempted, l.Acked, r.Verdict.Consumed, r.Spec.Groups)
			}
			seconds := int((spec.Warmup + spec.Duration) / second)
			if len(r.Series) != seconds || r.Series[0].Second != -int(spec.Warmup/second) {
				t.Errorf("%d seconds from %d, want %d", len(r.Series), r.Series[0].Second, seconds)
			}
			if spec.Rate == 0 {
				return
			}
			// The schedule is exact: so many records are due in the whole run, and each of the window is timed.
			if want := int64(spec.Rate * float64(seconds)); l.Attempted != want && spec.Arrivals != "poisson" {
				t.Errorf("%d records were sent, %d were due", l.Attempted, want)
			}
			window := int64(spec.Rate * spec.Duration.Seconds())
			if spec.Arrivals == "poisson" {
				window = l.Attempted
			}
			for name, want := range map[string]int64{bench.LatencyProduce: window, bench.LatencySlip: window, bench.LatencyEndToEnd: window * int64(r.Spec.Groups)} {
				if d := r.Latency[name]; name == bench.LatencyEndToEnd && spec.Consume == "after" {
					if d != nil {
						t.Errorf("%d records that were read afterwards were timed end to end", d.Count)
					}
				} else if d == nil || d.Count != want {
					t.Errorf("%s: %+v, want %d records", name, d, want)
				}
			}
		})
	}
}

// A broker that dies is told in the verdict, and ends the run instead of hanging it.
func TestBenchBrokerDies(t *testing.T) {
	b := start(t, t.TempDir(), 0)
	r, err := bench.Run(within(t, time.Minute), bench.Setup{
		Target: bench.Target{Brokers: []string{b.addr}},
		Live: func(l bench.Live) {
			if l.Phase == "measure" {
				b.kill()
			}
		},
	}, bench.Spec{Rate: 1000, Duration: 3 * time.Second, Producers: 3, Partitions: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v, %s, %q", r.Load, r.Verdict, r.Verdict.Examples)
	if r.Sound() || r.Load.Failed == 0 || r.Load.Attempted != r.Load.Acked+r.Load.Failed || len(r.Verdict.Examples) == 0 {
		t.Errorf("%+v, %s, %q", r.Load, r.Verdict, r.Verdict.Examples)
	}
}
