package bench

import (
	"context"
	"os"
	"time"

	"github.com/millrace/millrace/bench/host"
)

// watch observes the machine in the window: the brokers' processes, our own, and a thread that only sleeps.
type watch struct {
	run          *run
	brokers, own *host.Sampler
	hiccups      *host.Hiccups
	done         chan struct{} // closed when the window is over and what follows is filled in

	brokersUsed, ownUsed []host.Usage
	lateness             host.Lateness
}

// watch begins to look. The end of ctx ends the window early.
func (r *run) watch(ctx context.Context) *watch {
	w := &watch{
		run: r, brokers: host.StartSampler(r.pids(), 0), own: host.StartSampler([]int{os.Getpid()}, 0), hiccups: host.StartHiccups(),
		done: make(chan struct{}),
	}
	go func() {
		defer close(w.done)
		wait := func(until time.Duration) {
			select {
			case <-time.After(until - r.clock.now()):
			case <-ctx.Done():
			}
		}
		wait(r.span.from)
		w.brokers.Mark()
		w.own.Mark()
		w.hiccups.Mark()
		wait(r.span.to)
		w.lateness = w.hiccups.Stop()
		w.brokersUsed, w.ownUsed = w.brokers.Stop(), w.own.Stop()
	}()
	return w
}

func (r *run) pids() []int {
	if len(r.setup.Pids) > 0 {
		return r.setup.Pids
	}
	return r.setup.Target.Pids
}

// second adds to a second what the machine did in it.
func (w *watch) second(s *Second) {
	zero, end := w.run.clock.zero, w.run.span.end(s.Second)
	from, to := zero.Add(end-time.Second), zero.Add(end)
	s.Hiccup = w.hiccups.Worst(from, to).Seconds() * 1000
	s.BrokerCPU, s.BrokerAnon = w.brokers.Between(from, to)
	s.OwnCPU, _ = w.own.Between(from, to)
}

// fill puts the window into a result.
func (w *watch) fill(res *Result) {
	<-w.done
	res.Brokers = w.brokersUsed
	if len(w.ownUsed) > 0 {
		res.Own = w.ownUsed[0]
	}
	res.Machine = w.own.Machine()
	late := NewLatencies()
	late.histogram.Merge(w.lateness.Histogram)
	late.longest = w.lateness.Longest
	res.Hiccups = NewDistribution(late)
	res.Disturbed = host.Disturbed(res.Machine, append(w.ownUsed, w.brokersUsed...), w.lateness)
}
