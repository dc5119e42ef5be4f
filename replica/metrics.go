package replica

import (
	"sync"
	"sync/atomic"

	"github.com/millrace/millrace/internal/metric"
)

// metrics is what a partition counts. What is appended is counted under Partition.mu, on cache lines that the appender has at hand anyway.
type metrics struct {
	bytesIn, recordsIn            atomic.Int64 // appended, duplicates left out; written under mu
	bytesOut, produces, fetches   atomic.Int64
	failedProduces, failedFetches atomic.Int64 // as Kafka counts them: see CountProduce
}

// Counts is what has gone through partitions since the process started. Produces and Fetches count a request once for each partition it names.
type Counts struct {
	BytesIn, RecordsIn, BytesOut  int64
	Produces, Fetches             int64
	FailedProduces, FailedFetches int64
}

// Add adds what another has counted.
func (c *Counts) Add(o *Counts) {
	c.BytesIn += o.BytesIn
	c.RecordsIn += o.RecordsIn
	c.BytesOut += o.BytesOut
	c.Produces += o.Produces
	c.Fetches += o.Fetches
	c.FailedProduces += o.FailedProduces
	c.FailedFetches += o.FailedFetches
}

// Counts is what has gone through the partition. Any goroutine.
func (p *Partition) Counts() Counts {
	m := &p.metrics
	return Counts{m.bytesIn.Load(), m.recordsIn.Load(), m.bytesOut.Load(), m.produces.Load(), m.fetches.Load(), m.failedProduces.Load(), m.failedFetches.Load()}
}

// CountProduce counts one produce request that named the partition. failed: the failure was not the client's.
func (p *Partition) CountProduce(failed bool) {
	p.metrics.produces.Add(1)
	if failed {
		p.metrics.failedProduces.Add(1)
	}
}

// CountFetch counts one fetch of a client that named the partition, and the bytes it has got of it. failed as above.
func (p *Partition) CountFetch(bytes int, failed bool) {
	p.metrics.fetches.Add(1)
	if bytes > 0 {
		p.metrics.bytesOut.Add(int64(bytes))
	}
	if failed {
		p.metrics.failedFetches.Add(1)
	}
}

// countAppendLocked counts one batch.
func (p *Partition) countAppendLocked(bytes, records int64) {
	m := &p.metrics
	m.bytesIn.Store(m.bytesIn.Load() + bytes)
	m.recordsIn.Store(m.recordsIn.Load() + records)
}

// removed is what the partitions counted whose topics are gone: sums over all must not go down.
type removed struct {
	sync.Mutex
	counts Counts
}

func (r *removed) add(p *Partition) {
	c := p.Counts()
	r.Lock()
	r.counts.Add(&c)
	r.Unlock()
}

// Removed is what has gone through partitions that are not in the table any more.
func (t *Table) Removed() Counts {
	t.gone.Lock()
	defer t.gone.Unlock()
	return t.gone.counts
}

// Visible is the first offset consumers may not see yet, as far as it is known: of a log that nobody has opened since the start it is what the last
// run has left. It opens nothing.
func (p *Partition) Visible() int64 {
	if p.opened.Load() {
		return p.highWatermark.Load()
	}
	return min(max(p.log.HighWatermark(), p.log.LogStart()), p.log.LogEnd())
}

// Flushes adds to c how long the flushes of partitions took.
func (f *Flusher) Flushes(c *metric.Counts) { f.took.AddTo(c) }
