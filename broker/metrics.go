package broker

import (
	"sync/atomic"
	"time"

	"github.com/millrace/millrace/internal/metric"
	"github.com/millrace/millrace/netio"
	"github.com/millrace/millrace/replica"
	"github.com/millrace/millrace/wire"
)

// metrics is what the node counts that is no other room's. On the hot path a request costs one Observe on histograms of its own loop, and one or two
// additions for each partition it names (replica.Partition.CountProduce). All else is counted where something has gone wrong.
type metrics struct {
	start time.Time

	loops   [netio.MaxLoops]atomic.Pointer[loopMetrics]
	closed  []atomic.Int64 // requests answered by closing the connection, by the row of their API
	unknown atomic.Int64   // the same of those that are no request, or of no API or version that is served

	produceErrors, fetchErrors codeCounts // requests with an error in their answer, by the first one

	// Partitions that were named and are not here: those of no topic.
	nowhere struct{ produces, fetches, failedProduces, failedFetches atomic.Int64 }
}

// loopMetrics is written by one loop.
type loopMetrics struct {
	took []metric.Histogram // from the wake-up that brought a request until its answer has left, by the row of its API
}

func newMetrics() *metrics {
	return &metrics{start: time.Now(), closed: make([]atomic.Int64, len(apis))}
}

// now is a clock for durations, in nanoseconds.
func (m *metrics) now() int64 { return int64(time.Since(m.start)) }

// of is a loop's part, made when its first connection comes. On that loop.
func (m *metrics) of(loop int) *loopMetrics {
	l := m.loops[loop].Load()
	if l == nil {
		l = &loopMetrics{took: make([]metric.Histogram, len(apis))}
		m.loops[loop].Store(l)
	}
	return l
}

// codeCounts counts error codes.
type codeCounts [160]atomic.Int64

const leastCode = wire.UnknownServerError

// add counts a code; None is no error.
func (c *codeCounts) add(code wire.Code) {
	if code == wire.None {
		return
	}
	i := int(code - leastCode)
	if i < 0 || i >= len(c) {
		i = 0 // none of Kafka's: as unknown as the one that says so
	}
	c[i].Add(1)
}

// byName is how often each code was counted.
func (c *codeCounts) byName() map[string]int64 {
	counts := map[string]int64{}
	for i := range c {
		if n := c[i].Load(); n > 0 {
			counts[(wire.Code(i) + leastCode).String()] = n
		}
	}
	return counts
}

// count counts the request and its partitions. It is answered: nobody else looks at it any more.
func (s *produce) count() {
	m, first := s.n.metrics, wire.None
	for i := range s.items {
		it := &s.items[i]
		failed := false
		if it.err != nil {
			code := codeOf(it.err)
			failed = !expectedOfProduce(code)
			if first == wire.None {
				first = code
			}
		}
		if it.p != nil {
			it.p.CountProduce(failed)
			continue
		}
		m.nowhere.produces.Add(1)
		if failed {
			m.nowhere.failedProduces.Add(1)
		}
	}
	m.produceErrors.add(first)
}

// count counts the fetch and its partitions. On the loop, when what was read is not the reply's yet.
func (s *fetch) count() {
	m, first := s.n.metrics, wire.None
	for i := range s.parts {
		part := &s.parts[i]
		failed := false
		if part.err != nil {
			code := codeOf(part.err)
			failed = !expectedOfFetch(code)
			if first == wire.None {
				first = code
			}
		}
		if part.p != nil {
			part.p.CountFetch(part.got.Slice.Length, failed)
			continue
		}
		m.nowhere.fetches.Add(1)
		if failed {
			m.nowhere.failedFetches.Add(1)
		}
	}
	m.fetchErrors.add(first)
}

// expectedOfProduce are the errors that Kafka does not count as failed: they tell of the client or of a cluster that moves, not of a broker that fails.
func expectedOfProduce(code wire.Code) bool {
	switch code {
	case wire.UnknownTopicOrPartition, wire.UnknownTopicID, wire.NotLeaderOrFollower, wire.MessageTooLarge, wire.RecordListTooLarge,
		wire.CorruptMessage, wire.KafkaStorageError:
		return true
	}
	return false
}

// expectedOfFetch is the same of fetches.
func expectedOfFetch(code wire.Code) bool {
	switch code {
	case wire.UnknownTopicOrPartition, wire.UnknownTopicID, wire.NotLeaderOrFollower, wire.FencedLeaderEpoch, wire.UnknownLeaderEpoch,
		wire.ReplicaNotAvailable, wire.KafkaStorageError, wire.OffsetOutOfRange:
		return true
	}
	return false
}

// nowhereCounts is what was asked of partitions that are not here.
func (m *metrics) nowhereCounts() replica.Counts {
	return replica.Counts{
		Produces: m.nowhere.produces.Load(), FailedProduces: m.nowhere.failedProduces.Load(),
		Fetches: m.nowhere.fetches.Load(), FailedFetches: m.nowhere.failedFetches.Load(),
	}
}
