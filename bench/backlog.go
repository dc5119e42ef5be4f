package bench

import (
	"context"
	"errors"
	"time"
)

// fill produces the backlog, as fast as it goes and in mode raw whatever the run's mode is, and returns when it is acknowledged.
// Its records are counted and verified like all others, and not measured.
func (r *run) fill(ctx context.Context) error {
	if r.spec.Backlog == 0 {
		return nil
	}
	r.enter("backlog")
	c := newCollector()
	d := &raw{run: r, collect: c}
	defer d.close()
	if err := d.connectProducers(ctx); err != nil {
		return err
	}
	share := max(1, r.spec.Backlog/int64(r.spec.Producers))
	for _, s := range d.senders {
		for _, p := range s.senders {
			p.schedule, p.ahead, p.left = nil, nil, share
		}
	}
	unmeasured := span{begin: r.clock.now(), from: never, to: never}
	collected := make(chan struct{})
	go func() { c.run(span{never, never, never}); close(collected) }()
	err := d.send(ctx, unmeasured)
	<-collected
	r.collect.whole.plus(&c.whole)
	return errors.Join(err, ctx.Err())
}

// readFrom is when consumers may begin: with a backlog, when the window does.
func (r *run) readFrom() time.Duration {
	if r.spec.Backlog > 0 {
		return r.span.from
	}
	return 0
}

// caughtUp is how long after the window's beginning every group had read to the end of every partition.
func (r *run) caughtUp() time.Duration {
	var last time.Duration
	for _, group := range r.trackers {
		for _, t := range group {
			at := time.Duration(t.caughtUp.Load())
			if at == 0 {
				return 0
			}
			last = max(last, at)
		}
	}
	return max(0, last-r.span.from)
}
