package floor_test

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/millrace/millrace/bench"
	"github.com/millrace/millrace/bench/floor"
)

// A benchmark drives each variant as it drives a broker, and finds every record again.
func TestABenchmarkRuns(t *testing.T) {
	for _, variant := range floor.Variants {
		for name, spec := range map[string]bench.Spec{
			"large": {Mode: "raw", BatchRecords: 64, Consume: "after"},
			"live":  {Mode: "raw", Rate: 2000, Idempotent: true, Partitions: 3, Producers: 2, Groups: 2},
			"kgo":   {Mode: "kgo", Rate: 2000, Idempotent: true, Partitions: 3},
		} {
			t.Run(variant+"/"+name, func(t *testing.T) {
				listener, err := net.Listen("tcp", "127.0.0.1:0")
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithCancel(t.Context())
				ended := make(chan error, 1)
				go func() { ended <- floor.Serve(ctx, listener, floor.Options{Variant: variant, Dir: t.TempDir()}) }()
				spec.Duration = 200 * time.Millisecond
				r, err := bench.Run(ctx, bench.Setup{Target: bench.Target{Brokers: []string{listener.Addr().String()}}}, spec)
				if err != nil {
					t.Fatal(err)
				}
				if !r.Verdict.Intact() || r.Load.Acked == 0 {
					t.Errorf("%v; %d acknowledged", r.Verdict, r.Load.Acked)
				}
				cancel()
				if err := <-ended; err != nil {
					t.Error(err)
				}
			})
		}
	}
}
