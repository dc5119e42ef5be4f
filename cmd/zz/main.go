// scratch, not committed
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/millrace/millrace/bench"
	"github.com/millrace/millrace/bench/host"
	"github.com/millrace/millrace/bench/trial"
)

func run(ctx context.Context, t bench.Target, s bench.Spec) (*bench.Result, error) {
	r, err := bench.Run(ctx, bench.Setup{Target: t, Pids: t.Pids}, s)
	if r != nil && os.Getenv("NODIST") != "" {
		r.Disturbed, r.Invalid = nil, nil
	}
	return r, err
}

func step(s trial.Step) {
	if s.Result != nil {
		r := s.Result
		fmt.Fprintf(os.Stderr, "%s %s block %d place %d: %.0f/s cpu/req ", s.Cell, s.Target, s.Block, s.Place, r.Load.Achieved)
		m, _ := trial.MetricNamed("cpu_per_request")
		v, _ := m.Of(r)
		fmt.Fprintf(os.Stderr, "%.2f us; invalid %v disturbed %v saturated %v %s why %s fig %v\n", v, r.Invalid, r.Disturbed, r.Saturated, r.Verdict, s.Why, r.Figures)
	} else if s.Why != "" {
		fmt.Fprintln(os.Stderr, s)
	}
}

func main() {
	var targets []bench.Target
	var subjects []trial.Subject
	for _, a := range os.Args[3:] {
		t, err := trial.ParseTarget(a)
		if err != nil {
			panic(err)
		}
		pid, _ := host.Listening(t.Brokers[0])
		t.Pids = []int{pid}
		targets = append(targets, t)
		s := trial.Subject{Target: t}
		if t.Name == "millrace" {
			s.Start = []string{os.Getenv("MR"), "server", "--data-dir", "{dir}", "--port", "{port}"}
		}
		subjects = append(subjects, s)
	}
	began := time.Now()
	var out any
	var err error
	switch os.Args[1] {
	case "ab":
		blocks := 4
		fmt.Sscan(os.Getenv("BLOCKS"), &blocks)
		d := 3 * time.Second
		if x, e := time.ParseDuration(os.Getenv("DUR")); e == nil {
			d = x
		}
		sp := bench.Spec{Mode: "raw", Producers: 4, Partitions: 4, Warmup: time.Second, Duration: d, Consume: "after", TopicConfigs: map[string]string{"millrace.durability": "os"}}
		fmt.Sscan(os.Getenv("RATE"), &sp.Rate)
		ab := trial.AB{A: targets[0], B: targets[1], Spec: sp, Blocks: blocks, Again: 2, Settle: 500 * time.Millisecond, Run: run, Progress: step}
		c, e := ab.Do(context.Background())
		out, err = c, e
		if c != nil {
			fmt.Println(c.Headline)
			for _, m := range c.Metrics {
				fmt.Printf("  %v %.3f %s\n", m.Words, m.Pairs, m.Difference)
			}
			fmt.Println(c.Notes)
		}
	case "suite":
		cells, e := trial.Cells(os.Args[2])
		if e != nil {
			panic(e)
		}
		if only := os.Getenv("ONLY"); only != "" {
			var some []trial.Cell
			for _, c := range cells {
				if strings.Contains(only, c.Name) {
					some = append(some, c)
				}
			}
			cells = some
		}
		s := trial.Suite{Name: os.Args[2], Cells: cells, Targets: subjects, Run: run, Progress: step, Files: &trial.Files{Dir: os.Getenv("DIR"), Resume: true}, Ours: func(t bench.Target) bool { return t.Name != "kafka" }, Configs: func(t bench.Target, m string) (map[string]string, error) {
			if t.Name != "kafka" {
				return map[string]string{"millrace.durability": m}, nil
			}
			if m == "fsync" {
				return map[string]string{"flush.messages": "1"}, nil
			}
			return nil, nil
		}}
		r, e := s.Do(context.Background())
		out, err = r, e
		for _, c := range r.Cells {
			fmt.Printf("%-18s %s %v lost %v left %v\n", c.Cell, c.What, c.Error, c.Lost, c.Left)
			for t, f := range c.Figures {
				b, _ := json.Marshal(f)
				fmt.Printf("    %s %s\n", t, b)
			}
			for _, x := range c.Compared {
				fmt.Println("   ", x.Headline)
			}
		}
		fmt.Println("sound", r.Sound(), "intact", r.Intact())
	case "sweep":
		o, _ := trial.ParseSLO(os.Args[2])
		sw := trial.Sweep{Target: targets[0], Spec: bench.Spec{Producers: 4, Partitions: 4, BatchRecords: 16, Warmup: time.Second / 2, Duration: 3 * time.Second, TopicConfigs: map[string]string{"millrace.durability": "os"}}, SLOs: []trial.SLO{o}, Run: run, Progress: step, Settle: time.Second / 5, Precision: 0.2}
		r, e := sw.Do(context.Background())
		err = e
		out = r
		if r != nil {
			fmt.Println(r.Words)
		}
	}
	fmt.Println(time.Since(began), err)
	b, _ := json.Marshal(out)
	os.WriteFile("/tmp/trialout.json", b, 0o644)
}
