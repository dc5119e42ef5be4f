package bench

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// counters are what a phase has done so far; the series is made of their differences.
type counters struct {
	records, bytes, requests atomic.Int64
	done                     atomic.Int64 // for the progress
}

// watch reports progress and gathers the series until stop is called.
func (c *counters) watch(progress func(Progress), total int64) (stop func() *Phase) {
	begin := time.Now()
	quit, done := make(chan struct{}), make(chan struct{})
	phase := &Phase{}
	var last Sample
	sample := func(second int) {
		now := Sample{second, c.records.Load(), c.bytes.Load()}
		phase.Series = append(phase.Series, Sample{second, now.Records - last.Records, now.Bytes - last.Bytes})
		last = now
	}
	go func() {
		defer close(done)
		ticker := time.NewTicker(250 * time.Millisecond)
		defer ticker.Stop()
		for second := 0; ; {
			select {
			case <-ticker.C:
				if passed := int(time.Since(begin).Seconds()); passed > second {
					sample(second)
					second = passed
				}
				progress(Progress{Records: c.records.Load(), Bytes: c.bytes.Load(), Done: c.done.Load(), Total: total, Elapsed: time.Since(begin)})
			case <-quit:
				sample(second)
				return
			}
		}
	}()
	return func() *Phase {
		phase.Elapsed = time.Since(begin)
		close(quit)
		<-done
		phase.Records, phase.Bytes, phase.Requests = c.records.Load(), c.bytes.Load(), c.requests.Load()
		progress(Progress{Records: phase.Records, Bytes: phase.Bytes, Done: c.done.Load(), Total: total, Elapsed: phase.Elapsed, Last: true})
		return phase
	}
}

// requestCounter counts the produce and fetch requests of a client.
type requestCounter struct{ n *atomic.Int64 }

var _ kgo.HookBrokerE2E = requestCounter{}

// OnBrokerE2E implements kgo.HookBrokerE2E.
func (r requestCounter) OnBrokerE2E(_ kgo.BrokerMetadata, key int16, _ kgo.BrokerE2E) {
	if key == 0 || key == 1 {
		r.n.Add(1)
	}
}

// chunk is how many records go from the reader to a worker at a time.
const chunk = 512

// Produce sends the whole input with acks=all, as fast as it goes, and returns when every record is acknowledged. Each record is
// noted in the ledger. Batches are as large as the speed makes them, so this phase has a throughput but no latency worth telling.
func Produce(ctx context.Context, o Options, in *Input, ledger *Ledger) (*Phase, error) {
	o = o.withDefaults()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var count counters
	workers := make([]*producer, o.Workers)
	for i := range workers {
		client, err := o.client(
			kgo.RecordPartitioner(kgo.ManualPartitioner()),
			kgo.RequiredAcks(kgo.AllISRAcks()),
			kgo.ProducerLinger(5*time.Millisecond),
			kgo.ProducerBatchCompression(kgo.NoCompression()),
			kgo.MaxBufferedRecords(200_000),
			kgo.MaxBufferedBytes(64<<20),
			kgo.WithHooks(requestCounter{&count.requests}),
		)
		if err != nil {
			return nil, err
		}
		defer client.Close()
		workers[i] = &producer{client: client, topic: o.Topic, ledger: ledger, count: &count, in: make(chan []*kgo.Record, 8), cancel: cancel}
	}
	stop := count.watch(o.Progress, in.Bytes)
	var running sync.WaitGroup
	for _, w := range workers {
		running.Go(func() { w.run(ctx) })
	}
	err := deal(ctx, in, o.Partitions, workers)
	for _, w := range workers {
		close(w.in)
	}
	running.Wait()
	phase := stop()
	return phase, wrap("produce", firstError(err, context.Cause(ctx)))
}

// deal reads the input and gives each worker the records of its partitions, in order.
func deal(ctx context.Context, in *Input, partitions int, workers []*producer) error {
	pending := make([][]*kgo.Record, len(workers))
	send := func(i int) error {
		select {
		case workers[i].in <- pending[i]:
			pending[i] = nil
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	err := in.Each(func(key, value []byte) error {
		partition := KeyPartition(key, partitions)
		i := int(partition) % len(workers)
		if pending[i] == nil {
			pending[i] = make([]*kgo.Record, 0, chunk)
		}
		pending[i] = append(pending[i], &kgo.Record{Partition: partition, Key: key, Value: value})
		if len(pending[i]) == chunk {
			return send(i)
		}
		return nil
	})
	for i := range pending {
		if err == nil && len(pending[i]) > 0 {
			err = send(i)
		}
	}
	return err
}

// producer sends the records of its own partitions.
type producer struct {
	client *kgo.Client
	topic  string
	ledger *Ledger
	count  *counters
	in     chan []*kgo.Record
	cancel context.CancelCauseFunc
}

func (p *producer) run(ctx context.Context) {
	acked := func(r *kgo.Record, err error) {
		if err != nil {
			p.cancel(err)
			return
		}
		p.count.records.Add(1)
		p.count.bytes.Add(int64(len(r.Key) + len(r.Value)))
		p.count.done.Add(int64(len(r.Value) + 1)) // and its newline
	}
	for records := range p.in {
		for _, r := range records {
			r.Topic = p.topic
			p.ledger.Sent(r.Partition, r.Key, r.Value)
			p.client.Produce(ctx, r, acked)
		}
	}
	if err := p.client.Flush(ctx); err != nil {
		p.cancel(err)
	}
}
