package trial

import (
	"context"
	"testing"
	"time"

	"github.com/millrace/millrace/bench"
	"github.com/millrace/millrace/bench/host"
)

// A JVM's cost per request falls for two minutes here; another's is steady from the start.
func TestATargetIsWarmWhenItsCostNoLongerFalls(t *testing.T) {
	cost, windows := map[string]float64{"kafka": 200, "millrace": 20}, map[string]int{}
	var last []string
	s := Suite{Warm: true, Run: func(_ context.Context, target bench.Target, spec bench.Spec) (*bench.Result, error) {
		last = append(last, spec.Name)
		if spec.Name == "warm-up" {
			windows[target.Name]++
		}
		if target.Name == "kafka" {
			cost["kafka"] = 100 + (cost["kafka"]-100)*0.7
		}
		r := &bench.Result{Schema: bench.ResultSchema, Spec: spec, Load: bench.Load{Elapsed: time.Second, Requests: 1e6, Bytes: 1e9}, Brokers: []host.Usage{{User: time.Duration(cost[target.Name]) * time.Second}}}
		return r, nil
	}, Cells: []Cell{p1Big()}, Targets: []Subject{{Target: bench.Target{Name: "kafka"}}, {Target: bench.Target{Name: "floor"}, Floor: true}, {Target: bench.Target{Name: "millrace"}}}}
	r, err := doSuite(t, s)
	if err != nil || len(r.Warmed) != 2 {
		t.Fatal(err, r.Warmed)
	}
	if k, m := r.Warmed[0], r.Warmed[1]; windows["kafka"] <= 9 || windows["kafka"] > warmAtMost || !k.Steady || k.Slope >= 0.03 || windows["millrace"] != 6+2 || windows["floor"] != 0 || !m.Steady {
		t.Errorf("%v: %+v", windows, r.Warmed)
	}
	if first := last[windows["kafka"]+windows["millrace"]]; first != "P1-64k" {
		t.Errorf("after the warm-up came %s", first)
	}
	s.Files = &Files{Dir: t.TempDir()}
	if _, err := doSuite(t, s); err != nil {
		t.Fatal(err)
	}
	s.Files.Resume = true
	clear(windows)
	if _, err := doSuite(t, s); err != nil || len(windows) != 0 {
		t.Errorf("a suite with nothing left to do was warmed up: %v", windows)
	}
}
