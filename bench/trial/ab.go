package trial

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/millrace/millrace/bench"
)

// AB compares two targets on one workload.
//
// How many blocks it takes: n pairs whose ratios scatter by s (standard deviation of their logarithms) show a difference d in nine
// of ten comparisons when (t(n-1, 0.975) + t(n-1, 0.9)) s / sqrt(n) <= log(1+d). Broker CPU scatters by 3 to 7 % on a shared
// machine: the 8 pairs of the 4 blocks that are the default show 10 % up to s = 7 %, 12 pairs up to 9 %. Tail latencies scatter by
// 20 % and more, and with 8 pairs show nothing below 30 %.
type AB struct {
	A, B              bench.Target // with different names, even when they are the same
	Spec              bench.Spec
	Blocks            int           // A B B A; default 4, which is 8 pairs
	Again             int           // how many disturbed or invalid runs are repeated, in all; default: as many as Blocks, -1: none
	AllowDisturbed    bool          // use what the machine disturbed: the notes say so
	Settle            time.Duration // between segments; default 2 s
	Headline          string        // metric; default: see headline
	Seed              uint64        // default 1
	UnequalDurability bool
	Files             *Files // nil: results are kept in memory alone
	Run               Run
	Configs           func(target bench.Target) map[string]string // of topics on that target, beside the workload's own; nil: none
	Progress          func(Step)
}

func (ab AB) withDefaults() AB {
	if ab.Blocks == 0 {
		ab.Blocks = 4
	}
	if ab.Again == 0 {
		ab.Again = ab.Blocks
	}
	if ab.Settle == 0 {
		ab.Settle = 2 * time.Second
	}
	if ab.Seed == 0 {
		ab.Seed = 1
	}
	if ab.Headline == "" {
		ab.Headline = headline(ab.Spec, len(ab.A.Pids) > 0 && len(ab.B.Pids) > 0)
	}
	if ab.Progress == nil {
		ab.Progress = func(Step) {}
	}
	return ab
}

// headline is the metric that is looked at first when nobody said which: by what is asked for, never by what came out.
func headline(spec bench.Spec, pids bool) string {
	switch {
	case pids:
		return "cpu_per_gb"
	case spec.Rate == 0:
		return "throughput"
	case spec.Consume == "after":
		return "produce.p99"
	}
	return "e2e.p99"
}

// Do runs the blocks. On an error the comparison holds what was run until then.
func (ab AB) Do(ctx context.Context) (*Comparison, error) {
	ab = ab.withDefaults()
	metric, err := MetricNamed(ab.Headline)
	switch {
	case err != nil:
		return nil, err
	case ab.A.Name == ab.B.Name:
		return nil, fmt.Errorf("both targets are called %s: name them A=HOST:PORT B=HOST:PORT", ab.A.Name)
	case ab.Blocks < 1:
		return nil, errors.New("a comparison needs a block at least")
	}
	if err := ab.Files.ready(); err != nil {
		return nil, err
	}
	c := &Comparison{Schema: ComparisonSchema, Started: time.Now().UTC(), Cell: ab.Spec.Name, A: ab.A.Name, B: ab.B.Name, Spec: ab.Spec, Seed: ab.Seed}
	if err := ab.probe(ctx, c); err != nil {
		return nil, err
	}
	b := blocks{cell: ab.Spec.Name, targets: []bench.Target{ab.A, ab.B}, run: ab.Run, n: ab.Blocks, again: ab.Again, allow: ab.AllowDisturbed, settle: ab.Settle, seed: ab.Seed,
		files: ab.Files, progress: ab.Progress, spec: ab.spec}
	c.Segments, err = b.do(ctx)
	if err != nil {
		return c, err
	}
	c.compare(metric)
	return c, nil
}

func (ab AB) spec(target int, seed uint64) bench.Spec {
	t, s := ab.A, ab.Spec
	if target == 1 {
		t = ab.B
	}
	s.Seed = seed
	if ab.Configs != nil {
		s.TopicConfigs = merged(s.TopicConfigs, ab.Configs(t))
	}
	return s
}

func merged(a, b map[string]string) map[string]string {
	all := map[string]string{}
	for _, m := range []map[string]string{a, b} {
		for k, v := range m {
			all[k] = v
		}
	}
	return all
}

// probe runs half a second of the workload against each, so that what makes the comparison impossible is said before it has taken
// minutes. Its figures are not used.
func (ab AB) probe(ctx context.Context, c *Comparison) error {
	for i, t := range []bench.Target{ab.A, ab.B} {
		s := ab.spec(i, ab.Seed)
		s.Warmup, s.Duration, s.Backlog, s.Idle, s.Churn = 0, 500*time.Millisecond, 0, 0, 0
		r, err := ab.Run(ctx, t, s)
		if err != nil {
			return fmt.Errorf("%s: %w", t.Name, err)
		}
		if !r.Verdict.Intact() {
			return &VerificationError{Target: t.Name, Verdict: r.Verdict}
		}
		c.Durability[i], c.Version = r.Target.Durability, r.Version
	}
	if !ab.UnequalDurability && !sameDurability(c.Durability[0], c.Durability[1]) {
		return &UnequalDurabilityError{A: c.A, B: c.B, ModeA: c.Durability[0], ModeB: c.Durability[1]}
	}
	return nil
}
