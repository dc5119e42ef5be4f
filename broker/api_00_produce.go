package broker

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/millrace/millrace/engine"
	"github.com/millrace/millrace/internal/config"
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
// A batch that is not in its topic's compression.type is recompressed by the worker. That takes memory beside the frame, so it is done some
// batches at a time, which are appended before the next ones, and by so many requests at a time as there are turns.
//
// Gaps: transactions. A request that names a transactional id gets INVALID_REQUEST.

// maxPartitions bounds how many partitions one request may name: beyond what a cluster has, it is only a way to make us spend memory.
const maxPartitions = 1 << 17

// produce is one request in work. It is pooled; refs says who may still touch it.
type produce struct {
	n   *Node
	c   *call
	req wire.ProduceRequest

	resp    wire.ProduceResponse
	items   []produceItem
	checked int   // the first item that is not checked yet
	next    int   // the first item that is not appended yet
	now     int64 // ms
	named   bool  // a topic's name in the answer is a view of the frame

	recompress bool // some batches have to be
	turn       bool // it has a turn of recompression

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
	config   *config.TopicConfig
	p        *replica.Partition
	batch    record.Batch // a view of the frame, unless it is recompressed
	own      bool         // it is recompressed
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
	s.n, s.c, s.now = n, c, n.nowOn(c.conn)
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
		s.hold(s.checkLater)
		return
	}
	s.check()
	if s.append() == waits {
		s.hold(s.items[s.next].p.WhenReady)
	}
}

// checkLater checks in a worker; ready is called, on any goroutine, when there is something to append.
func (s *produce) checkLater(ready func()) {
	check := func() {
		s.n.workers.check.Go(func() {
			s.check()
			ready()
		})
	}
	if !s.recompress {
		check()
		return
	}
	s.n.recompressions.take(func() {
		s.turn = true
		check()
	})
}

// A loop checks no more than checkOnLoop bytes of one request: about a millisecond of work. A compressed batch counts as what it may
// decompress to there (record.Batch.Cheap), one of zstd as four: it takes as long.
const (
	checkOnLoop  = 4 << 20
	cheapBatchIs = 64 << 10
	zstdBatchIs  = 4 * cheapBatchIs
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
			it.owner, it.topic, it.config, it.p, it.err, it.batch, it.own = s, topic, nil, nil, refused, nil, false
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
				it.batch, it.err = record.Only(t.Partitions[j].Records)
			}
			if it.err == nil && it.batch.Transactional() {
				it.err = wire.TransactionalIDAuthorizationFailed // of a transaction that this request does not name
			}
			if work += len(it.batch); it.err != nil {
				continue
			}
			it.config = topic.Config() // one for all that is done with the batch: settings may change meanwhile
			if it.foreign() {
				slow, s.recompress = true, true
			}
			if it.config.HeaderOnly {
				continue
			}
			switch it.batch.Codec() {
			case record.None:
			case record.Zstd:
				work += zstdBatchIs
			default:
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

// rawAtLeast is what a batch may decompress to, unless a topic allows larger messages: what a worker spends on one is bounded.
const rawAtLeast = 64 << 20

// foreign tells whether the batch is not compressed as its topic says.
func (it *produceItem) foreign() bool {
	return it.config.Recompress && record.Codec(it.config.Codec) != it.batch.Codec()
}

// recompressAtOnce is after how many recompressed bytes a worker stops, so that they are appended first.
const recompressAtOnce = 4 << 20

// maxRecompressions is how many requests may hold recompressed batches at a time, each recompressAtOnce and one batch more.
const maxRecompressions = 16

// check validates the batches, and recompresses those that need it, some at a time. On the loop, or on a worker while the connection is held.
func (s *produce) check() {
	recompressed := 0
	for ; s.checked < len(s.items) && recompressed < recompressAtOnce; s.checked++ {
		it := &s.items[s.checked]
		if it.err != nil {
			continue
		}
		c := it.config
		foreign, oneTime, time := it.foreign(), it.batch.LogAppendTime(), it.batch.MaxTimestamp()
		it.err = it.batch.Check(&record.CheckOptions{
			Now:                s.now,
			TimestampBeforeMax: c.TimestampBeforeMaxMs,
			TimestampAfterMax:  c.TimestampAfterMaxMs,
			LogAppendTime:      c.LogAppendTime,
			Compacted:          c.CleanupCompact,
			HeaderOnly:         c.HeaderOnly && !foreign,
			ZstdAllowed:        s.c.header.Version >= 7,
			MaxBytes:           int(c.MaxMessageBytes),
			MaxRaw:             maxRaw(c),
			FromClient:         true,
		})
		if it.err == nil && foreign {
			it.batch, it.err = it.batch.Recompress(record.RecompressOptions{
				Codec: record.Codec(c.Codec), Level: codecLevel(c), MaxBytes: int(c.MaxMessageBytes), MaxRaw: maxRaw(c), OneTime: oneTime, Time: time,
			})
			it.own = true
			recompressed += len(it.batch)
		}
		if it.err == nil && len(it.batch) > int(c.SegmentBytes) {
			it.err = wire.RecordListTooLarge
		}
	}
}

func maxRaw(c *config.TopicConfig) int64 { return max(rawAtLeast, 2*int64(c.MaxMessageBytes)) }

func codecLevel(c *config.TopicConfig) int {
	switch record.Codec(c.Codec) {
	case record.Gzip:
		return int(c.GzipLevel)
	case record.LZ4:
		return int(c.LZ4Level)
	case record.Zstd:
		return int(c.ZstdLevel)
	}
	return record.DefaultLevel
}

// progress is how far append has come.
type progress uint8

const (
	appended  progress = iota // the request's ordered half is done, and the produce may be gone
	waits                     // a log needs background work first; nothing of the rest has been appended
	unchecked                 // the rest has to be checked first
)

// append appends what is checked and not appended yet, in the request's order.
func (s *produce) append() progress {
	o := replica.AppendOptions{All: s.req.Acks == -1, Now: s.now}
	for ; s.next < s.checked; s.next++ {
		it := &s.items[s.next]
		if it.err != nil {
			continue
		}
		if o.All { // before the append: its Done may come from another goroutine at once
			s.refs.Add(1)
			s.waiting.Add(1)
		}
		a, pending, err := it.p.Append(it.batch, o, &it.AckWaiter)
		it.appended = a
		if pending {
			continue // it.err is Done's, which may have been called by now
		}
		if o.All {
			s.refs.Add(-1)
			s.waiting.Add(-1)
		}
		if err != nil && isWait(err) {
			return waits
		}
		it.err = err
	}
	s.endTurn()
	if s.checked < len(s.items) {
		return unchecked
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
	return appended
}

// endTurn lets go of what was recompressed, and of the turn. What was appended is in the log; nobody looks at the batches again.
func (s *produce) endTurn() {
	if !s.turn {
		return
	}
	s.turn = false
	for i := range s.items[:s.checked] {
		if it := &s.items[i]; it.own {
			it.batch = nil
		}
	}
	s.n.recompressions.give()
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
		switch s.append() {
		case waits:
			s.items[s.next].p.WhenReady(ready)
		case unchecked:
			s.checkLater(ready)
		case appended:
			if !conn.Closed() {
				conn.Unhold()
			}
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
	s.checked = len(s.items)
}

// rebind moves the views to the frame's new place after keep.
func (s *produce) rebind() {
	if err := s.req.Decode(s.c.header.Version, s.c.body); err != nil {
		panic("broker: a request that was decoded does not decode again: " + err.Error())
	}
	i := 0
	for t := range s.req.Topics {
		for _, p := range s.req.Topics[t].Partitions {
			if it := &s.items[i]; it.batch != nil && !it.own {
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
	s.count()
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
	rp.ErrorMessage = wire.StrOrNull(messageOf(it.err))
	switch rp.ErrorCode { // what Kafka finds out when it looks at the log, it answers with the log's start
	case wire.InvalidRecord, wire.InvalidTimestamp, wire.OutOfOrderSequenceNumber, wire.InvalidProducerEpoch:
		if it.config != nil {
			rp.LogStartOffset = it.p.Log().LogStart()
		}
	}
	var check *record.CheckError
	if errors.As(it.err, &check) && len(check.Records) > 0 {
		explainRecords(rp, it, check)
	}
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

// explainRecords lists the records that made the broker refuse their batch, in Kafka's words.
func explainRecords(rp *wire.ProduceResponsePartition, it *produceItem, check *record.CheckError) {
	for _, r := range check.Records {
		if r.MissingKey() {
			r.Reason = fmt.Sprintf("%s in topic partition %s-%d", r.Reason, it.topic.Name, it.p.Index)
		}
		rp.RecordErrors = append(rp.RecordErrors, wire.ProduceResponseRecordError{BatchIndex: r.Index, BatchIndexErrorMessage: wire.Str(r.Reason)})
	}
	if rp.ErrorCode != wire.InvalidRecord {
		return
	}
	var first []string
	for _, r := range rp.RecordErrors[:min(3, len(rp.RecordErrors))] {
		first = append(first, fmt.Sprintf("RecordError(batchIndex=%d, message='%s')", r.BatchIndex, r.BatchIndexErrorMessage.Value))
	}
	rp.ErrorMessage = wire.Str(fmt.Sprintf("%s due to %d record errors in total, and only showing the first three errors at most: [%s]",
		check.Reason, len(rp.RecordErrors), strings.Join(first, ", ")))
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
		it.topic, it.config, it.p, it.batch, it.own, it.err = nil, nil, nil, nil, false, nil
	}
	s.n, s.c, s.items, s.checked, s.next, s.named, s.recompress, s.timerSet = nil, nil, s.items[:0], 0, 0, false, false, false
	produces.Put(s)
}
