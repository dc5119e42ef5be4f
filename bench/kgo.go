package bench

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// real is the driver of mode kgo: franz-go, with its buffers, its linger and its groups. What the client makes of them is part of
// what is measured, and so is its work.
type real struct {
	*run
	producers []*kgoProducer
	consumers []*kgoConsumer
}

func newReal(r *run) *real { return &real{run: r} }

func (d *real) connect(ctx context.Context) error {
	for i := range d.spec.Producers {
		p, err := newKgoProducer(ctx, d.run, i)
		if err != nil {
			return fmt.Errorf("producer %d: %w", i, err)
		}
		d.producers = append(d.producers, p)
	}
	for group := range d.spec.Groups {
		for i := range d.spec.Consumers {
			c, err := newKgoConsumer(ctx, d.run, group, i)
			if err != nil {
				return fmt.Errorf("consumer %d of group %d: %w", i, group, err)
			}
			d.consumers = append(d.consumers, c)
		}
	}
	return d.awaitGroups(ctx)
}

func (d *real) produce(ctx context.Context) error {
	errs := make([]error, len(d.producers))
	var running sync.WaitGroup
	for i, p := range d.producers {
		running.Go(func() { errs[i] = p.work(ctx) })
	}
	running.Wait()
	return errors.Join(errs...)
}

func (d *real) consume(ctx context.Context) error {
	var running sync.WaitGroup
	for _, c := range d.consumers {
		running.Go(func() { c.work(ctx) })
	}
	running.Wait()
	return nil
}

func (d *real) close() {
	for _, p := range d.producers {
		p.client.Close()
	}
	for _, c := range d.consumers {
		c.client.Close() // leaves its group
	}
	d.forgetGroups()
}

// meter counts what a client does, from its hooks. Each of them may be called by any of its goroutines.
type meter struct {
	requests  atomic.Int64 // answered ones, of the API that counts
	raw, sent atomic.Int64 // bytes of batches before and after compression
	api       int16
	answered  func(time.Duration) // how long from writing until the answer was read; nil: nobody asks
}

var (
	_ kgo.HookBrokerE2E           = (*meter)(nil)
	_ kgo.HookProduceBatchWritten = (*meter)(nil)
)

// OnBrokerE2E implements kgo.HookBrokerE2E.
func (m *meter) OnBrokerE2E(_ kgo.BrokerMetadata, key int16, e kgo.BrokerE2E) {
	if key != m.api || e.Err() != nil {
		return
	}
	m.requests.Add(1)
	if m.answered != nil {
		m.answered(e.DurationE2E())
	}
}

// OnProduceBatchWritten implements kgo.HookProduceBatchWritten.
func (m *meter) OnProduceBatchWritten(_ kgo.BrokerMetadata, _ string, _ int32, b kgo.ProduceBatchMetrics) {
	m.raw.Add(int64(b.UncompressedBytes))
	m.sent.Add(int64(b.CompressedBytes))
}
