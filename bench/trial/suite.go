package trial

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/millrace/millrace/bench"
)

// SuiteSchema is the version of the document.
const SuiteSchema = "millrace.bench.suite/v1"

// Subject is a target of a suite.
type Subject struct {
	bench.Target
	Variants []bench.Target // instead of one broker: in each cell the one is taken that a short run finds best, under the subject's name
	Start    []string       // command that starts such a broker in the foreground, with {dir} and {port} to be filled in, and after "--" when another has to run before; none: cells that need one are left out
	Floor    bool           // appends and does nothing else: it takes part where a cell says that it can be done so
}

// Suite runs a table of workloads against one or more targets, in turns. It can be interrupted and goes on where it was.
type Suite struct {
	Name     string
	Cells    []Cell
	Targets  []Subject // the last one is compared with each of the others
	Blocks   int       // default 1 of one run for a single target, else 2: four pairs
	Again    int       // how many disturbed or invalid runs of a cell are repeated; default 4, none below 0
	Allow    bool      // use what the machine disturbed: the segments say so
	Settle   time.Duration
	Seed     uint64
	Files    *Files // nil: results are kept in memory alone
	Warm     bool   // the targets, before the first run that is not there already
	Run      Run
	Configs  func(t bench.Target, durability string) (map[string]string, error)                      // of topics with that promise; nil: none
	Ours     func(t bench.Target) bool                                                               // whether Cell.Ours is for it; nil: no
	Measure  func(ctx context.Context, cell Cell, s Subject, spec bench.Spec) (*bench.Result, error) // of cells that are no load; default: Measure below
	Progress func(Step)
}

// SuiteResult is what a suite found.
type SuiteResult struct {
	Schema  string       `json:"schema"`
	Name    string       `json:"name"`
	Version string       `json:"version,omitempty"`
	Started time.Time    `json:"started"`
	Command []string     `json:"command,omitempty"`
	Targets []string     `json:"targets"`
	Warmed  []Warmed     `json:"warmed,omitempty"`
	Cells   []CellResult `json:"cells"`
}

// FloorCannot is why a floor was left out of a cell that takes more than appending.
const FloorCannot = "a floor cannot do it"

// CellResult is a row of it.
type CellResult struct {
	Cell       string                        `json:"cell"`
	What       string                        `json:"what"`
	Headline   string                        `json:"headline"` // metric
	Durability map[string]string             `json:"durability,omitempty"`
	Left       map[string]string             `json:"left_out,omitempty"` // targets, and why
	Variant    map[string]string             `json:"variant,omitempty"`  // of targets that have several: the one taken
	Error      string                        `json:"error,omitempty"`    // what ended the cell early
	Lost       bool                          `json:"lost,omitempty"`     // it was the verification
	Figures    map[string]map[string]float64 `json:"figures"`            // medians, by target and metric
	Segments   []Segment                     `json:"segments"`
	Compared   []*Comparison                 `json:"comparisons,omitempty"` // of the last target with each other one; their segments are those above
}

func (s Suite) withDefaults() Suite {
	if s.Blocks == 0 {
		s.Blocks = 2
		if len(s.Targets) == 1 {
			s.Blocks = 1
		}
	}
	if s.Again == 0 {
		s.Again = 4
	}
	if s.Settle == 0 {
		s.Settle = time.Second
	}
	if s.Seed == 0 {
		s.Seed = 1
	}
	if s.Configs == nil {
		s.Configs = func(bench.Target, string) (map[string]string, error) { return nil, nil }
	}
	if s.Ours == nil {
		s.Ours = func(bench.Target) bool { return false }
	}
	if s.Measure == nil {
		s.Measure = Measure
	}
	if s.Progress == nil {
		s.Progress = func(Step) {}
	}
	return s
}

// Do runs the cells. A cell that cannot be run says so and the next one is run; only the end of ctx ends it all.
func (s Suite) Do(ctx context.Context) (*SuiteResult, error) {
	s = s.withDefaults()
	if len(s.Targets) == 0 || len(s.Cells) == 0 {
		return nil, errors.New("a suite needs a target and a cell at least")
	}
	if err := s.Files.ready(); err != nil {
		return nil, err
	}
	found := &SuiteResult{Schema: SuiteSchema, Name: s.Name, Started: time.Now().UTC()}
	for _, t := range s.Targets {
		found.Targets = append(found.Targets, t.Name)
	}
	warm := s.Warm
	run := s.Run
	s.Run = func(ctx context.Context, t bench.Target, spec bench.Spec) (*bench.Result, error) {
		if warm {
			warm = false // its own runs come this way, too
			for _, t := range s.Targets {
				if t.Floor {
					continue
				}
				w, err := s.warm(ctx, t)
				if err != nil {
					return nil, err
				}
				found.Warmed = append(found.Warmed, w)
			}
		}
		return run(ctx, t, spec)
	}
	for _, c := range s.Cells {
		r, err := s.cell(ctx, c)
		found.Cells = append(found.Cells, r)
		for _, g := range r.Segments {
			found.Version = g.Result.Version
		}
		if err != nil {
			return found, err
		}
		if s.Files != nil {
			if err := writeJSON(filepath.Join(s.Files.Dir, "suite.json"), found.withoutResults()); err != nil {
				return found, err
			}
		}
	}
	return found, nil
}

// withoutResults refers to the files in which they are.
func (r *SuiteResult) withoutResults() *SuiteResult {
	short := *r
	short.Cells = append([]CellResult(nil), r.Cells...)
	for i := range short.Cells {
		c := &short.Cells[i]
		c.Segments = append([]Segment(nil), c.Segments...)
		for j := range c.Segments {
			c.Segments[j].Result = nil
		}
	}
	return &short
}

// Intact reports whether every cell gave back what it acknowledged.
func (r *SuiteResult) Intact() bool {
	for _, c := range r.Cells {
		if c.Lost {
			return false
		}
	}
	return true
}

// Sound reports whether no run failed, and every target that was not left out has a figure of every cell.
func (r *SuiteResult) Sound() bool {
	for _, c := range r.Cells {
		if c.Error != "" {
			return false
		}
		for _, t := range r.Targets {
			if c.Left[t] == "" && c.Figures[t] == nil {
				return false
			}
		}
	}
	return true
}

// Vain is how many runs of the cell do not count.
func (c *CellResult) Vain() (n int) {
	for _, g := range c.Segments {
		if !g.Used {
			n++
		}
	}
	return n
}

// cell runs one. The error is that of ctx; what else went wrong is in the result.
func (s Suite) cell(ctx context.Context, c Cell) (CellResult, error) {
	r := CellResult{Cell: c.Name, What: c.What, Headline: c.Headline, Left: map[string]string{}, Durability: map[string]string{}, Figures: map[string]map[string]float64{}}
	var in []Subject
	var specs []bench.Spec
	for _, t := range s.Targets {
		spec, why := s.prepare(c, t)
		if why != "" {
			r.Left[t.Name] = why
			continue
		}
		if len(t.Variants) > 0 {
			best, err := s.choose(ctx, c, t, spec)
			if ctx.Err() != nil {
				return r, ctx.Err()
			}
			if err != nil {
				r.Left[t.Name] = err.Error()
				continue
			}
			r.Variant = map[string]string{t.Name: best.Name}
			best.Name = t.Name
			t.Target = best
		}
		in, specs = append(in, t), append(specs, spec)
	}
	if len(in) == 0 {
		return r, ctx.Err()
	}
	for len(in) > 0 {
		var err error
		if r.Segments, err = s.blocks(c, in, specs).do(ctx); err == nil {
			break
		}
		if ctx.Err() != nil {
			return r, ctx.Err()
		}
		r.Error = err.Error()
		var lost *VerificationError
		r.Lost = errors.As(err, &lost)
		var failed *runError
		if !errors.As(err, &failed) {
			break
		}
		r.Left[failed.target] = err.Error() // the others can do it, perhaps, and keep what they have done
		at := slices.IndexFunc(in, func(t Subject) bool { return t.Name == failed.target })
		in, specs = slices.Delete(in, at, at+1), slices.Delete(specs, at, at+1)
	}
	if len(in) == 0 {
		return r, nil
	}
	s.sum(c, &r, in)
	return r, nil
}

// blocks are those of a cell on these targets.
func (s Suite) blocks(c Cell, in []Subject, specs []bench.Spec) *blocks {
	b := blocks{cell: c.Name, n: s.Blocks, again: s.Again, allow: s.Allow, settle: s.Settle, seed: s.Seed, files: s.Files, progress: s.Progress,
		spec: func(i int, seed uint64) bench.Spec { spec := specs[i]; spec.Seed = seed; return spec },
		run: func(ctx context.Context, t bench.Target, spec bench.Spec) (*bench.Result, error) {
			if c.Kind == LoadKind {
				return s.load(ctx, c, t, spec)
			}
			for _, subject := range in {
				if subject.Name == t.Name {
					return s.Measure(ctx, c, subject, spec)
				}
			}
			return nil, fmt.Errorf("no target %s", t.Name)
		}}
	for _, t := range in {
		b.targets = append(b.targets, t.Target)
	}
	return &b
}

// load runs a workload, and where the cell wants it counts the broker's system calls in a run of its own.
func (s Suite) load(ctx context.Context, c Cell, t bench.Target, spec bench.Spec) (*bench.Result, error) {
	r, err := s.Run(ctx, t, spec)
	if err != nil || !c.Calls || r.Errors > 0 || !r.Verdict.Intact() { // a generator that was the limit does not change them
		return r, err
	}
	calls, err := callsPerRequest(ctx, s.Run, t, spec)
	switch {
	case errors.Is(err, errNoTrace):
	case err != nil:
		return nil, err
	default:
		r.Figures = map[string]float64{"calls_per_request": calls}
	}
	return r, nil
}

// choose runs each variant for a second and takes the one with the best headline. The runs are kept like all others, so that what is
// resumed goes on with the same.
func (s Suite) choose(ctx context.Context, c Cell, t Subject, spec bench.Spec) (best bench.Target, err error) {
	m, err := MetricNamed(c.Headline)
	if err != nil {
		return best, err
	}
	spec.Warmup, spec.Duration = min(spec.Warmup, time.Second/2), min(spec.Duration, time.Second)
	var of float64
	for i, v := range t.Variants {
		g := Segment{Cell: c.Name, Block: 0, Try: 1, Place: i + 1, Target: v.Name}
		r, _, err := s.Files.kept(g, spec, true, func(spec bench.Spec) (*bench.Result, error) { return s.Run(ctx, v, spec) })
		if err != nil {
			return best, fmt.Errorf("%s: %w", v.Name, err)
		}
		if f, ok := m.Of(r); ok && r.Verdict.Intact() && (best.Name == "" || (f > of) == m.Higher) {
			best, of = v, f
		}
	}
	if best.Name == "" {
		err = errors.New("none of its variants could do it")
	}
	return best, err
}

// prepare is a cell's workload as one target needs it, or why it is not for that one.
func (s Suite) prepare(c Cell, t Subject) (spec bench.Spec, left string) {
	switch {
	case t.Floor && !c.Floor:
		return spec, FloorCannot
	case c.Kind == StartKind && len(t.Start) == 0:
		return spec, "no command to start it was given"
	}
	spec = c.Spec.WithDefaults()
	spec.Name = c.Name
	if c.Durability != "" && !t.Floor {
		configs, err := s.Configs(t.Target, c.Durability)
		if err != nil {
			return spec, err.Error()
		}
		spec.TopicConfigs = merged(spec.TopicConfigs, configs)
	}
	if s.Ours(t.Target) {
		spec.TopicConfigs = merged(spec.TopicConfigs, c.Ours)
	}
	return spec, ""
}

// sum fills in the medians and the comparisons.
func (s Suite) sum(c Cell, r *CellResult, in []Subject) {
	for _, t := range in {
		var of []*bench.Result
		for _, g := range r.Segments {
			if g.Used && g.Target == t.Name {
				of = append(of, g.Result)
				r.Durability[t.Name] = g.Result.Target.Durability
			}
		}
		if len(of) > 0 {
			r.Figures[t.Name] = medians(of)
		}
	}
	headline, err := MetricNamed(c.Headline)
	if err != nil {
		r.Error = err.Error()
		return
	}
	judged := in[len(in)-1]
	for _, t := range in[:len(in)-1] {
		if judged.Floor || judged.Name != s.Targets[len(s.Targets)-1].Name {
			return // the one that all others are compared with was left out
		}
		if t.Floor {
			r.Durability[t.Name] = r.Durability[judged.Name] // it promises what it is compared with: nothing beyond the page cache
		}
		p := &Comparison{Schema: ComparisonSchema, Cell: c.Name, A: t.Name, B: judged.Name, Spec: c.Spec, Seed: s.Seed,
			Durability: [2]string{r.Durability[t.Name], r.Durability[judged.Name]}, Segments: r.Segments}
		p.compare(headline)
		p.Segments = nil
		r.Compared = append(r.Compared, p)
	}
}

// medians are those of every metric that the results have.
func medians(of []*bench.Result) map[string]float64 {
	all := map[string]float64{}
	for _, m := range metrics {
		if v := figures(m, of); len(v) > 0 {
			all[m.Name] = median(v)
		}
	}
	return all
}

// Subjects are targets as a suite takes them: those named floor/VARIANT are variants of one floor, and starts are commands by name.
func Subjects(targets []bench.Target, starts map[string][]string) (all []Subject) {
	for _, t := range targets {
		group, _, variant := strings.Cut(t.Name, "/")
		if group != "floor" {
			all = append(all, Subject{Target: t, Start: starts[t.Name]})
			continue
		}
		at := slices.IndexFunc(all, func(s Subject) bool { return s.Name == group })
		if at < 0 {
			at = len(all)
			all = append(all, Subject{Target: bench.Target{Name: group}, Floor: true})
		}
		if variant {
			all[at].Variants = append(all[at].Variants, t)
		} else {
			all[at].Target = t
		}
	}
	return all
}
