package broker

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/millrace/millrace/engine"
	"github.com/millrace/millrace/replica"
	"github.com/millrace/millrace/wire"
	"github.com/millrace/millrace/wire/record"
)

// Produce, versions 3-13 (0-2 are advertised, because old librdkafka turns compression off without them, and close the connection).
//
// Every partition of a request carries one batch. The batches are checked (on the loop when that is cheap, else by a worker while the
// connection reads no further: DESIGN D17), then appended in the request's order; the next request of the connection may begin when that is
// done. acks=1 and 0 are answered then, acks=all when the high watermark has passed every batch.
//
// Gaps: transactions. A request that names a transactional id gets INVALID_REQUEST.

// maxPartitions bounds how many partitions one request may name: beyond what a cluster has, it is only a way to make us spend memory.
const maxPartitions = 1 << 17

// produce is one request in work. It is pooled; refs says who may still touch it.
type produce struct {
	n   *Node
	c   *call
	req wire.ProduceRequest

	resp  wire.ProduceResponse
	items []produceItem
	next  int   // the first item that is not appended yet
	now   int64 // ms
	named bool  // a topic's name in the answer is a view of the frame

	refs     atomic.Int32 // waiting items, the timer, and the handler itself
	waiting  atomic.Int32 // waiting items and the handler
	timer    timer
	timerSet bool
}

// produceItem is one partition of the request.
type produceItem struct {
	replica.AckWaiter
	owner    *produce
	topic    *replica.Topic // nil: unknown
	p        *replica.Partition
	batch    record.Batch // a view of the frame
	appended engine.Appended
	err      error
}

var produces sync.Pool

// Not in the declaration: what a produce does ends in the pool.
func init() {
	produces.New = func() any {
		s := new(produce)
		s.timer.fire = s.expire
		return s
	}
}

var errTooManyPartitions = errors.New("the request names too many partitions")

func (n *Node) handleProduce(c *call) {
	s := produces.Get().(*produce)
	s.n, s.c, s.now = n, c, n.now()
	if err := s.req.Decode(c.header.Version, c.body); err != nil {
		s.abort(err)
		return
	}
	slow, err := s.prepare()
	if err != nil {
		s.abort(err)
		return
	}
	s.refs.Store(1)
	s.waiting.Store(1)
	if slow {
		s.hold(func(ready func()) {
			n.workers.check.Go(func() {
				s.check()
				ready()
			})
		})
		return
	}
	s.check()
	if !s.append() {
		s.hold(s.items[s.next].p.WhenReady)
	}
}

// A loop checks no more than checkOnLoop bytes of one request: about a millisecond of work. A compressed batch counts as what it may
// decompress to there (record.Batch.Cheap).
const (
	checkOnLoop  = 4 << 20
	cheapBatchIs = 64 << 10
)

// prepare makes an item of each partition and finds its batch. slow: the check is work for a worker, not for a loop.
func (s *produce) prepare() (slow bool, err error) {
	count := 0
	for i := range s.req.Topics {
		count += len(s.req.Topics[i].Partitions)
	}
	if count > maxPartitions {
		return false, errTooManyPartitions
	}
	s.items = s.items[:0]
	if cap(s.items) < count {
		s.items = make([]produceItem, 0, count) // waiters point into it: it must not move while they wait
	}
	refused := s.refused()
	byID := s.c.header.Version >= 13
	work := 0
	for i := range s.req.Topics {
		t := &s.req.Topics[i]
		topic, unknown := s.n.topic(t.Name, t.TopicID, byID)
		s.named = s.named || topic == nil && !byID
		for j := range t.Partitions {
			s.items = s.items[:len(s.items)+1]
			it := &s.items[len(s.items)-1]
			it.owner, it.topic, it.p, it.err, it.batch = s, topic, nil, refused, nil
			if it.Done == nil {
				it.Done = it.done
			}
			if it.err == nil && topic == nil {
				it.err = unknown
			}
			if it.err == nil && topic.Internal && s.c.header.ClientID != "__admin_client" {
				it.err = wire.InvalidTopicException
			}
			if it.err == nil {
				it.p, it.err = partitionOf(topic, t.Partitions[j].Index)
			}
			if it.err == nil {
				it.batch, it.err = oneBatch(t.Partitions[j].Records)
			}
			if it.err == nil && it.batch.Transactional() {
				it.err = wire.TransactionalIDAuthorizationFailed // of a transaction that this request does not name
			}
			if work += len(it.batch); it.err != nil || it.topic.Config().HeaderOnly {
				continue
			}
			if it.batch.Codec() != record.None {
				work += cheapBatchIs
			}
			slow = slow || !it.batch.Cheap()
		}
	}
	return slow || work > checkOnLoop, nil
}

// refused is why the whole request cannot be done, partition by partition.
func (s *produce) refused() error {
	switch {
	case s.req.TransactionalID.Valid:
		return errTransactional
	case s.req.Acks < -1 || s.req.Acks > 1:
		return wire.InvalidRequiredAcks
	}
	return nil
}

// oneBatch is the single batch that a partition's records must be.
func oneBatch(records []byte) (record.Batch, error) {
	if len(records) == 0 {
		return nil, invalid("a produce request must have one record batch per partition: there is none")
	}
	b, rest, err := record.Next(records)
	switch {
	case err != nil:
		// Kafka reads the size and the magic before anything else: what does not add up is a corrupt message.
		return nil, &record.CheckError{Code: int16(wire.CorruptMessage), Index: -1, Reason: err.Error()}
	case len(rest) > 0:
		return nil, invalid("a produce request must have exactly one record batch per partition")
	}
	return b, nil
}

func invalid(reason string) error {
	return &record.CheckError{Code: int16(wire.InvalidRecord), Index: -1, Reason: reason}
}

// rawAtLeast is what a batch may decompress to, unless a topic allows larger messages: what a worker spends on one is bounded.
const rawAtLeast = 64 << 20

// check validates the batches. On the loop, or on a worker while the connection is held.
func (s *produce) check() {
	for i := range s.items {
		it := &s.items[i]
		if it.err != nil {
			continue
		}
		c := it.topic.Config()
		it.err = it.batch.Check(&record.CheckOptions{
			Now:                s.now,
			TimestampBeforeMax: c.TimestampBeforeMaxMs,
			TimestampAfterMax:  c.TimestampAfterMaxMs,
			LogAppendTime:      c.LogAppendTime,
			Compacted:          c.CleanupCompact,
			HeaderOnly:         c.HeaderOnly,
			ZstdAllowed:        s.c.header.Version >= 7,
			MaxBytes:           int(c.MaxMessageBytes),
			MaxRaw:             max(rawAtLeast, 2*int64(c.MaxMessageBytes)),
			FromClient:         true,
		})
		if it.err == nil && len(it.batch) > int(c.SegmentBytes) {
			it.err = wire.RecordListTooLarge
		}
	}
}

// append appends what is not appended yet, in the request's order. False: a log needs background work first, and nothing of the rest has
// been appended. True: the request's ordered half is done, and s may be gone.
func (s *produce) append() bool {
	o := replica.AppendOptions{All: s.req.Acks == -1, Now: s.now}
	for ; s.next < len(s.items); s.next++ {
		it := &s.items[s.next]
		if it.err != nil {
			continue
		}
		if o.All { // before the append: its Done may come from another goroutine at once
			s.refs.Add(1)
			s.waiting.Add(1)
		}
		appended, pending, err := it.p.Append(it.batch, o, &it.AckWaiter)
		it.appended = appended
		if pending {
			continue // it.err is Done's, which may have been called by now
		}
		if o.All {
			s.refs.Add(-1)
			s.waiting.Add(-1)
		}
		if err != nil && isWait(err) {
			return false
		}
		it.err = err
	}
	if s.waiting.Load() > 1 {
		if s.named {
			s.c.keep() // the answer outlives the frame's buffer
			s.rebind()
		}
		s.refs.Add(1)
		s.timerSet = true
		s.n.produceTimers.add(&s.timer, int64(s.req.TimeoutMs))
	}
	s.settle()
	return true
}

// hold lets the connection read no further until every batch is appended. when arranges for its func to be called once, on any goroutine,
// when the request may go on. Loop only, during Frame.
func (s *produce) hold(when func(ready func())) {
	s.c.keep()
	s.rebind()
	conn := s.c.conn
	conn.Hold()
	var resume func()
	ready := func() { conn.Post(resume) }
	resume = func() {
		if conn.Closed() {
			s.giveUp()
		}
		if !s.append() {
			s.items[s.next].p.WhenReady(ready)
		} else if !conn.Closed() {
			conn.Unhold()
		}
	}
	when(ready)
}

// giveUp appends no more for a connection that has closed: nobody waits for the answer. What was appended stays.
func (s *produce) giveUp() {
	for i := s.next; i < len(s.items); i++ {
		if it := &s.items[i]; it.err == nil {
			it.err = wire.NetworkException
		}
	}
}

// rebind moves the views to the frame's new place after keep.
func (s *produce) rebind() {
	if err := s.req.Decode(s.c.header.Version, s.c.body); err != nil {
		panic("broker: a request that was decoded does not decode again: " + err.Error())
	}
	i := 0
	for t := range s.req.Topics {
		for _, p := range s.req.Topics[t].Partitions {
			if it := &s.items[i]; it.batch != nil {
				it.batch = record.Batch(p.Records[:len(it.batch):len(it.batch)])
			}
			i++
		}
	}
}

// done is AckWaiter's: one batch is acknowledged, or will not be.
func (w *produceItem) done(_ *replica.AckWaiter, err error) {
	if err != nil {
		w.err = err
	}
	w.owner.settle()
}

// settle counts one that the request waited for. The last one of them answers, once the timer is out of the way.
func (s *produce) settle() {
	if s.waiting.Add(-1) == 0 && s.timerSet && s.n.produceTimers.cancel(&s.timer) {
		s.refs.Add(-1) // cannot be the last: the caller's own is still counted
	}
	if s.refs.Add(-1) == 0 {
		s.answer()
	}
}

// expire is the timer: what is not acknowledged by now gets REQUEST_TIMED_OUT. The records stay.
func (s *produce) expire() {
	for i := range s.items {
		it := &s.items[i]
		if it.p != nil && it.p.Cancel(&it.AckWaiter) {
			it.err = wire.RequestTimedOut
			s.waiting.Add(-1)
			s.refs.Add(-1) // the timer's own is still counted
		}
	}
	if s.refs.Add(-1) == 0 {
		s.answer()
	}
}

// answer writes the response into the reply. Any goroutine.
func (s *produce) answer() {
	c := s.c
	if s.req.Acks == 0 && s.refusedNothing() {
		s.free()
		c.drop()
		return
	}
	if s.req.Acks == 0 {
		// There is no response to put an error into: the closed connection makes the client refresh its metadata.
		err := s.firstError()
		s.free()
		c.fail(fmt.Errorf("produce with acks=0: %w", err))
		return
	}
	s.resp.Default()
	i := 0
	for t := range s.req.Topics {
		from := &s.req.Topics[t]
		rt := s.resp.AddTopic()
		rt.TopicID = from.TopicID
		for j := range from.Partitions {
			it := &s.items[i]
			i++
			rt.Name = from.Name
			if it.topic != nil {
				rt.Name = it.topic.Name // the frame may be gone
			}
			rp := rt.AddPartition()
			rp.Index = from.Partitions[j].Index
			if it.err != nil {
				s.explain(rp, it)
				continue
			}
			rp.BaseOffset, rp.LogAppendTimeMs, rp.LogStartOffset = it.appended.BaseOffset, it.appended.LogAppendTime, it.appended.LogStart
		}
	}
	r, h := c.reply, c.header
	r.Buf = wire.AppendResponseHeader(r.Buf, h.Key, h.Version, h.CorrelationID)
	r.Buf = s.resp.Append(h.Version, r.Buf)
	s.free()
	c.finish()
	r.Send()
}

// explain turns an item's error into the partition's answer.
func (s *produce) explain(rp *wire.ProduceResponsePartition, it *produceItem) {
	rp.BaseOffset = -1
	rp.ErrorCode = codeOf(it.err)
	text := messageOf(it.err)
	var check *record.CheckError
	if errors.As(it.err, &check) && check.Index >= 0 {
		rp.RecordErrors = append(rp.RecordErrors, wire.ProduceResponseRecordError{
			BatchIndex: check.Index, BatchIndexErrorMessage: wire.StrOrNull(check.Reason),
		})
	}
	rp.ErrorMessage = wire.StrOrNull(text)
	if rp.ErrorCode != wire.NotLeaderOrFollower || it.topic == nil {
		return
	}
	if h, ok := s.n.leaderOf(it.topic, rp.Index, s.c.conn); ok {
		rp.CurrentLeader = &wire.ProduceResponseLeader{LeaderID: h.id, LeaderEpoch: h.epoch}
		for _, e := range s.resp.NodeEndpoints {
			if e.NodeID == h.id {
				return
			}
		}
		if h.host != "" {
			s.resp.NodeEndpoints = append(s.resp.NodeEndpoints, wire.ProduceResponseNodeEndpoint{
				NodeID: h.id, Host: h.host, Port: h.port, Rack: wire.StrOrNull(h.rack),
			})
		}
	}
}

func (s *produce) refusedNothing() bool { return s.firstError() == nil }

func (s *produce) firstError() error {
	for i := range s.items {
		if s.items[i].err != nil {
			return s.items[i].err
		}
	}
	return nil
}

func (s *produce) abort(err error) {
	c := s.c
	s.free()
	c.fail(err)
}

// free gives the state back to the pool, unless it has grown beyond what requests are like.
func (s *produce) free() {
	if len(s.items) > 4096 {
		return
	}
	for i := range s.items {
		it := &s.items[i]
		it.topic, it.p, it.batch, it.err = nil, nil, nil, nil
	}
	s.n, s.c, s.items, s.next, s.named, s.timerSet = nil, nil, s.items[:0], 0, false, false
	produces.Put(s)
}
