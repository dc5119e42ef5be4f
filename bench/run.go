package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Setup is what a run needs beside the workload.
type Setup struct {
	Target  Target     // Brokers and Name; the rest is found out
	Pids    []int      // of the broker's processes, whose use of the machine is measured; empty: none
	Command []string   // for Result.Command
	Version string     // of the generator
	Live    func(Live) // called once a second, never twice at a time; nil: nobody looks
	Client  []kgo.Opt  // for everything but the connections of mode raw
	Keep    bool       // the topic stays
}

// Live is where a run stands.
type Live struct {
	Phase          string // setup, backlog, warm-up, measure, drain, verify
	Elapsed, Total time.Duration
	Second         Second // the last one that is complete
	Errors         int64
	Verified       int64 // records that came back, of all groups
}

// driver moves a run's records one way: raw or kgo. Its methods are called in the order they stand in.
type driver interface {
	// connect makes connections and clients, and the recorders of everything that will work; nothing is sent yet.
	connect(ctx context.Context) error
	// consume reads until ctx ends. It runs beside produce or after it.
	consume(ctx context.Context) error
	// produce sends by the schedule of the run's span, or without a rate as fast as it goes until the span's end. It returns when
	// everything is answered or given up.
	produce(ctx context.Context) error
	close()
}

// run is one run of one workload: what its parts share.
type run struct {
	spec  Spec
	words *workload // of the spec; each worker draws from one of its own
	setup Setup
	id    uint64
	clock clock
	span  span // set before produce and consume begin
	place *place

	books    []*book
	trackers [][]*tracker // by group and partition
	collect  *collector
	acked    atomic.Int64
	unsent   atomic.Int64 // due in time, and never sent because the broker was too far behind
	errors   mistakes
	busiest  atomic.Uint64 // math.Float64bits of the share of the window the busiest thread worked
	phase    atomic.Value  // of string; "" while the schedule runs
	churn    *churn        // nil: none
}

// mistakes counts errors of requests and keeps the first few.
type mistakes struct {
	n  atomic.Int64
	mu struct {
		sync.Mutex
		first []string
	}
}

func (m *mistakes) note(format string, args ...any) {
	m.n.Add(1)
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.mu.first) < maxExamples {
		m.mu.first = append(m.mu.first, fmt.Sprintf(format, args...))
	}
}

// lead is the time between the moment a schedule is made and its first record.
const lead = 20 * time.Millisecond

// Run makes a topic, drives the target with the workload, verifies every record and measures. An error says that the run could
// not be done; what it found out about the target is in the result.
func Run(ctx context.Context, s Setup, spec Spec) (res *Result, err error) {
	spec = spec.WithDefaults()
	if err := spec.Validate(); err != nil {
		return nil, err
	}
	words, err := newWorkload(spec, 0)
	if err != nil {
		return nil, err
	}
	if spec.Rate == 0 {
		spec.Rate = words.arrivals.Rate() // of a trace
	}
	r := &run{spec: spec, words: words, setup: s, id: rand.Uint64(), clock: clock{time.Now()}, collect: newCollector()}
	r.enter("setup")
	if r.place, err = findPlace(ctx, r); err != nil {
		return nil, err
	}
	defer func() {
		left := r.place.leave()
		if left != nil && res != nil { // a topic that stays does not spoil what was measured
			res.Verdict.example("%v", left)
			return
		}
		err = errors.Join(err, left)
	}()
	r.spec.Partitions = len(r.place.leaders)
	r.books = newBooks(r.spec.Producers, r.spec.Partitions)
	for g := range r.spec.Groups {
		var group []*tracker
		for p, offset := range r.place.starts {
			t := newTracker(g, int32(p), r.id, r.spec.Producers, offset)
			t.packed = r.spec.packedRecords()
			group = append(group, t)
		}
		r.trackers = append(r.trackers, group)
	}
	d := r.driver()
	defer d.close()
	if err := d.connect(ctx); err != nil {
		return nil, err
	}
	idle, err := openIdle(ctx, r.place.target.Brokers, r.spec.Idle)
	if err != nil {
		return nil, err
	}
	defer idle.close()
	if err := r.fill(ctx); err != nil {
		return nil, wrap("backlog", err)
	}
	w, err := r.drive(ctx, d)
	if err != nil {
		return nil, err
	}
	if n := idle.closed(); n > 0 {
		r.errors.note("the broker closed %d of %d idle connections", n, r.spec.Idle)
	}
	r.enter("verify")
	return r.result(w), nil
}

func (r *run) driver() driver {
	if r.spec.Mode == "raw" {
		return newRaw(r)
	}
	return newReal(r)
}

// enter tells where the run stands. While drive runs, publish does.
func (r *run) enter(phase string) {
	r.phase.Store(phase)
	if r.setup.Live != nil && phase != "drain" {
		r.setup.Live(Live{Phase: phase, Total: r.spec.Warmup + r.spec.Duration, Errors: r.errors.n.Load(), Verified: r.consumed()})
	}
}

// drive produces and consumes.
func (r *run) drive(ctx context.Context, d driver) (*watch, error) {
	r.span.begin = r.clock.now() + lead
	r.span.from = r.span.begin + r.spec.Warmup
	r.span.to = r.span.from + r.spec.Duration
	r.phase.Store("")
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w := r.watch(ctx)
	r.collect.observe = w.second
	if r.setup.Live != nil {
		tell, stop := r.publish()
		r.collect.publish = tell
		defer stop()
	}
	collected := make(chan struct{})
	go func() { r.collect.run(r.span); close(collected) }()
	var churning sync.WaitGroup
	if r.spec.Churn > 0 {
		r.churn = &churn{brokers: r.place.target.Brokers, rate: r.spec.Churn}
		churning.Go(func() { r.churn.run(ctx, r.clock.zero.Add(r.span.begin), r.span.to-r.span.begin) })
	}
	reading, stop := context.WithCancel(ctx)
	defer stop()
	consumed := make(chan error, 1)
	consume := func() { consumed <- d.consume(reading) }
	if r.spec.Consume == "live" {
		go consume()
	}
	err := d.produce(ctx)
	r.enter("drain")
	if r.spec.Consume == "after" {
		go consume()
	}
	if err == nil {
		r.drain(ctx)
	}
	stop()
	err = errors.Join(err, <-consumed, ctx.Err())
	<-collected
	if err == nil {
		churning.Wait()
		<-w.done
	}
	return w, err
}

// publish tells the onlooker of a second, on a goroutine of his own: one who is slow misses seconds and holds up nobody.
func (r *run) publish() (tell func(Second), stop func()) {
	seconds, done := make(chan Live, 1), make(chan struct{})
	go func() {
		defer close(done)
		for l := range seconds {
			r.setup.Live(l)
		}
	}()
	tell = func(s Second) {
		if r.span.end(s.Second) > r.clock.now() {
			return // a run that was ended early has empty seconds to its end
		}
		select {
		case seconds <- r.stand(s):
		default:
		}
	}
	return tell, func() { close(seconds); <-done }
}

// stand is where the run stands after a second.
func (r *run) stand(s Second) Live {
	phase := r.phase.Load().(string)
	if phase == "" {
		if phase = "measure"; s.Second < 0 {
			phase = "warm-up"
		}
	}
	return Live{
		Phase: phase, Elapsed: r.span.end(s.Second) - r.span.begin, Total: r.span.to - r.span.begin,
		Second: s, Errors: r.errors.n.Load(), Verified: r.consumed(),
	}
}

// consumed is how many records have come, of all groups.
func (r *run) consumed() int64 {
	var n int64
	for _, group := range r.trackers {
		for _, t := range group {
			n += t.consumed.Load()
		}
	}
	return n
}

// patience is how long the drain waits without anything coming.
const patience = 10 * time.Second

// drain waits until every group has read to the end of every partition and as many records as were acknowledged.
func (r *run) drain(ctx context.Context) {
	ends, err := r.place.ends(ctx)
	if err != nil {
		r.errors.note("the ends of the partitions: %v", err)
		return
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	last, since := int64(-1), time.Now()
	for {
		if r.drained(ends) {
			return
		}
		if n := r.consumed(); n > last {
			last, since = n, time.Now()
		}
		if time.Since(since) > patience {
			return // what has not come is in the verdict
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (r *run) drained(ends []int64) bool {
	acked := r.acked.Load()
	for _, group := range r.trackers {
		var n int64
		for p, t := range group {
			if t.position.Load() < ends[p] {
				return false
			}
			n += t.consumed.Load()
		}
		if n < acked {
			return false
		}
	}
	return true
}
