package bench

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// raw is the driver that costs little: pre-encoded batches on plain connections, few threads, no allocation per record.
type raw struct {
	*run
	collect *collector
	senders []*sendLoop
	readers []*readLoop
}

func newRaw(r *run) *raw { return &raw{run: r, collect: r.collect} }

// threads is how many loops share the work of n connections: the broker needs processors too.
func threads(n int) int { return max(1, min(n, runtime.GOMAXPROCS(0)/2)) }

func (d *raw) connect(ctx context.Context) error {
	if err := d.connectProducers(ctx); err != nil {
		return err
	}
	return d.connectConsumers(ctx)
}

func (d *raw) connectProducers(ctx context.Context) error {
	for range threads(d.spec.Producers) {
		s, err := newSendLoop(d.run, d.collect, len(d.senders))
		if err != nil {
			return err
		}
		d.senders = append(d.senders, s)
	}
	for i := range d.spec.Producers {
		if err := d.connectProducer(ctx, int32(i), d.senders[i%len(d.senders)]); err != nil {
			return fmt.Errorf("producer %d: %w", i, err)
		}
	}
	return nil
}

func (d *raw) connectConsumers(ctx context.Context) error {
	consumers := d.spec.Groups * d.spec.Consumers
	for range threads(consumers) {
		l, err := newReadLoop(d.run)
		if err != nil {
			return err
		}
		d.readers = append(d.readers, l)
	}
	for i := range consumers {
		group, consumer := i/d.spec.Consumers, i%d.spec.Consumers
		if err := d.connectConsumer(ctx, group, consumer, d.readers[i%len(d.readers)]); err != nil {
			return fmt.Errorf("consumer %d of group %d: %w", consumer, group, err)
		}
	}
	return nil
}

func (d *raw) connectProducer(ctx context.Context, id int32, s *sendLoop) error {
	p := newSender(d.run, id, s)
	if d.spec.Idempotent {
		var err error
		if p.producerID, p.producerEpoch, err = d.producerID(ctx); err != nil {
			return err
		}
	}
	byLeader := map[string]*sendLink{}
	for _, leader := range d.place.leaders {
		k := byLeader[leader]
		if k == nil {
			l, err := dial(ctx, leader, 16<<10)
			if err != nil {
				return err
			}
			k = &sendLink{link: l, sender: p, flights: make([]flight, d.spec.InFlight)}
			if err := s.loop.add(l); err != nil {
				return errors.Join(err, l.close())
			}
			byLeader[leader] = k
			p.own = append(p.own, k)
			s.links = append(s.links, k)
		}
		p.links = append(p.links, k)
	}
	s.senders = append(s.senders, p)
	return nil
}

func (d *raw) producerID(ctx context.Context) (int64, int16, error) {
	request := kmsg.NewPtrInitProducerIDRequest()
	for {
		answer, err := request.RequestWith(ctx, d.place.client)
		if err == nil {
			err = kerr.ErrorForCode(answer.ErrorCode)
		}
		if err == nil {
			return answer.ProducerID, answer.ProducerEpoch, nil
		}
		if !kerr.IsRetriable(err) {
			return 0, 0, fmt.Errorf("producer id: %w", err)
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return 0, 0, fmt.Errorf("producer id: %w", errors.Join(ctx.Err(), err))
		}
	}
}

// connectConsumer deals the partitions out: consumer i of n has every n-th.
func (d *raw) connectConsumer(ctx context.Context, group, consumer int, l *readLoop) error {
	byLeader := map[string]*readLink{}
	for partition := consumer; partition < len(d.place.leaders); partition += d.spec.Consumers {
		leader := d.place.leaders[partition]
		k := byLeader[leader]
		if k == nil {
			socket, err := dial(ctx, leader, 64<<10)
			if err != nil {
				return err
			}
			k = &readLink{link: socket, readLoop: l}
			if err := l.loop.add(socket); err != nil {
				return errors.Join(err, socket.close())
			}
			byLeader[leader] = k
			l.links = append(l.links, k)
		}
		k.assign(d.trackers[group][partition])
	}
	return nil
}

func (d *raw) produce(ctx context.Context) error { return d.send(ctx, d.span) }

func (d *raw) send(ctx context.Context, sp span) error {
	errs := make([]error, len(d.senders))
	var running sync.WaitGroup
	for i, s := range d.senders {
		running.Go(func() { errs[i] = s.work(ctx, sp) })
	}
	running.Wait()
	return errors.Join(errs...)
}

func (d *raw) consume(ctx context.Context) error {
	errs := make([]error, len(d.readers))
	var running sync.WaitGroup
	for i, l := range d.readers {
		running.Go(func() { errs[i] = l.work(ctx, d.span) })
	}
	running.Wait()
	return errors.Join(errs...)
}

func (d *raw) close() {
	for _, s := range d.senders {
		s.loop.close()
	}
	for _, l := range d.readers {
		l.loop.close()
	}
}

// worked notes the share of the window that a thread did not wait.
func (r *run) worked(share float64) {
	for {
		old := r.busiest.Load()
		if math.Float64frombits(old) >= share || r.busiest.CompareAndSwap(old, math.Float64bits(share)) {
			return
		}
	}
}
