package replica

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/millrace/millrace/internal/peer"
	"github.com/millrace/millrace/internal/vfs"
	"github.com/millrace/millrace/wire"
	"github.com/millrace/millrace/wire/record"
)

// How much is sent ahead of a follower's acknowledgements. A larger batch travels alone.
const (
	streamWindow    = 8 << 20 // bytes, of all partitions of a stream
	partitionWindow = 1 << 20
	maxAhead        = 1024 // frames of one partition
)

// SenderOptions of a Sender.
type SenderOptions struct {
	Follower    int32
	BrokerEpoch int64 // of the follower's life
	// Wake is called when Next has something again after it had nothing. It must not block, nor call back: locks may be held.
	Wake func()
}

// Sender is the leader's end of the stream that one follower has opened: which partitions it has subscribed to and what is on its way. It knows
// neither sockets nor clocks: whoever carries the stream gives it what comes in and takes from Next what goes out. One call of Receive and one of
// Next at a time; both may run beside one another.
type Sender struct {
	o       SenderOptions
	table   *Table
	entries []peer.Entry // of Receive

	mu struct {
		sync.Mutex
		handles  map[uint32]*subscription
		ready    []*subscription // have something to be sent, in the order in which they came to have it
		out      []byte          // frames that go before any Data
		marks    []peer.Entry
		inFlight int
		idle     bool // Next has found nothing
		closed   bool
	}
}

// subscription is one partition of a stream.
type subscription struct {
	p           *Partition
	sender      *Sender
	handle      uint32
	leaderEpoch int32

	// Guarded by Sender.mu.
	streaming bool
	queued    bool
	blocked   bool  // by its window
	next      int64 // offset of the next Data
	told      int64 // the last high watermark sent
	ahead     []sent
	inFlight  int
}

type sent struct {
	end   int64
	bytes int
}

// NewSender serves a follower that has said who it is.
func (t *Table) NewSender(o SenderOptions) *Sender {
	s := &Sender{o: o, table: t}
	s.mu.handles = map[uint32]*subscription{}
	s.mu.idle = true
	return s
}

// Receive takes in one frame of the follower. An error ends the stream.
func (s *Sender) Receive(h *peer.Header, body []byte, now int64) error {
	switch h.Kind {
	case peer.Subscribe:
		at, err := peer.ParseSubscribe(body)
		if err != nil {
			return err
		}
		s.subscribe(h, &at, now)
	case peer.Ack:
		var err error
		if s.entries, err = peer.ParseEntries(s.entries[:0], h.Kind, body); err != nil {
			return err
		}
		for i := range s.entries {
			if err := s.acked(&s.entries[i], now); err != nil {
				return err
			}
		}
	case peer.Nack:
		s.refused(h)
	case peer.Heartbeat:
	default:
		return fmt.Errorf("%w: %s from a follower", peer.ErrFrame, h.Kind)
	}
	return nil
}

func (s *Sender) subscribe(h *peer.Header, at *peer.Position, now int64) {
	sub := &subscription{sender: s, handle: h.Handle, leaderEpoch: h.LeaderEpoch, told: -1}
	if tp := s.table.TopicByID(at.TopicID); tp != nil {
		sub.p, _ = tp.Partition(at.Partition)
	}
	if sub.p == nil {
		s.answer(&peer.Header{Kind: peer.Refused, Code: wire.UnknownTopicID, Handle: h.Handle, LeaderEpoch: h.LeaderEpoch}, nil)
		return
	}
	s.mu.Lock()
	s.mu.handles[sub.handle] = sub // before the partition knows of it, which may at once have news
	s.mu.Unlock()
	s.try(sub, at, now)
}

// try asks the partition, as often as its log has to be opened first.
func (s *Sender) try(sub *subscription, at *peer.Position, now int64) {
	answer, ok, err := sub.p.subscribe(sub, at, now)
	switch {
	case errors.Is(err, ErrWait):
		sub.p.log.WhenReady(func() { s.try(sub, at, now) })
		return
	case err != nil:
		answer = peer.Header{Kind: peer.Refused, Code: wire.KafkaStorageError, Handle: sub.handle, LeaderEpoch: sub.leaderEpoch}
	}
	if !ok {
		s.answer(&answer, nil)
		return
	}
	s.mu.Lock()
	sub.next, sub.told = at.LogEnd, answer.HighWatermark
	s.mu.Unlock()
	s.answer(&answer, sub)
}

// answer queues the answer to a subscription; with sub, Data may follow it.
func (s *Sender) answer(h *peer.Header, sub *subscription) {
	var wake woken
	s.mu.Lock()
	s.mu.out = h.Append(s.mu.out)
	if sub == nil {
		delete(s.mu.handles, h.Handle)
	} else {
		sub.streaming = true
		s.queueLocked(sub)
	}
	s.stirLocked(&wake)
	closed := s.mu.closed
	s.mu.Unlock()
	if closed && sub != nil {
		sub.p.leave(sub) // the stream has ended while the partition looked
	}
	wake.fire()
}

func (s *Sender) queueLocked(sub *subscription) {
	if sub.streaming && !sub.queued {
		sub.queued = true
		s.mu.ready = append(s.mu.ready, sub)
	}
}

func (s *Sender) stirLocked(wake *woken) {
	if s.mu.idle && !s.mu.closed {
		s.mu.idle = false
		wake.call(s.o.Wake)
	}
}

// notify has Next look at a partition. Holds Partition.mu.
func (s *Sender) notify(sub *subscription, wake *woken) {
	s.mu.Lock()
	if sub.streaming {
		s.queueLocked(sub)
		s.stirLocked(wake)
	}
	s.mu.Unlock()
}

func (s *Sender) acked(e *peer.Entry, now int64) error {
	var wake woken
	s.mu.Lock()
	sub := s.mu.handles[e.Handle]
	if sub == nil || sub.leaderEpoch != e.LeaderEpoch || !sub.streaming {
		s.mu.Unlock()
		return nil
	}
	n := 0
	for n < len(sub.ahead) && sub.ahead[n].end <= e.End {
		sub.inFlight -= sub.ahead[n].bytes
		s.mu.inFlight -= sub.ahead[n].bytes
		n++
	}
	sub.ahead = slices.Delete(sub.ahead, 0, n)
	if n > 0 && sub.blocked {
		sub.blocked = false
		s.queueLocked(sub)
	}
	if len(s.mu.ready) > 0 {
		s.stirLocked(&wake)
	}
	s.mu.Unlock()
	wake.fire()
	if !sub.p.acked(sub, e.End, e.Other, now) {
		return fmt.Errorf("%w: broker %d acknowledges offset %d of %s-%d, which nobody has written", peer.ErrFrame, s.o.Follower, e.End, sub.p.Topic.Name, sub.p.Index)
	}
	return nil
}

// refused: the follower does not take what it got. It will subscribe again; what it got is logged here too, because one of the two is damaged.
func (s *Sender) refused(h *peer.Header) {
	s.mu.Lock()
	sub := s.mu.handles[h.Handle]
	s.dropLocked(sub)
	s.mu.Unlock()
	if sub != nil {
		sub.p.leave(sub)
		s.table.o.Log.Error("a follower refused what this broker sent", "topic", sub.p.Topic.Name, "partition", sub.p.Index, "offset", h.BaseOffset,
			"follower", s.o.Follower, "leaderEpoch", h.LeaderEpoch)
	}
}

// drop ends one subscription: the partition has a newer one, or another role.
func (s *Sender) drop(sub *subscription) {
	var wake woken
	s.mu.Lock()
	s.dropLocked(sub)
	if len(s.mu.ready) > 0 { // the window may have become free
		s.stirLocked(&wake)
	}
	s.mu.Unlock()
	wake.fire()
}

// dropLocked forgets a subscription and what is on its way.
func (s *Sender) dropLocked(sub *subscription) {
	if sub == nil {
		return
	}
	if s.mu.handles[sub.handle] == sub {
		delete(s.mu.handles, sub.handle)
	}
	sub.streaming = false
	s.mu.inFlight -= sub.inFlight
	sub.inFlight, sub.ahead = 0, nil
}

// Next appends the frames that go out next. The last of them may be a Data whose body is what the slice holds; the caller sends it and releases it. Nothing
// at all: Wake will tell. It may wait for the disk.
func (s *Sender) Next(dst []byte) ([]byte, vfs.Slice) {
	s.mu.Lock()
	defer s.mu.Unlock()
	dst = append(dst, s.mu.out...)
	s.mu.out = s.mu.out[:0]
	for len(s.mu.ready) > 0 && s.mu.inFlight < streamWindow {
		sub := s.mu.ready[0]
		s.mu.ready = s.mu.ready[1:]
		sub.queued = false
		if !sub.streaming {
			continue
		}
		if sub.blocked = sub.inFlight >= partitionWindow || len(sub.ahead) >= maxAhead; sub.blocked {
			s.markLocked(sub)
			continue
		}
		room, next, alone := min(partitionWindow-sub.inFlight, streamWindow-s.mu.inFlight), sub.next, sub.inFlight == 0
		s.mu.Unlock()
		h, slice, err := sub.pull(next, room, alone)
		s.mu.Lock()
		if !sub.streaming {
			slice.Release()
			continue
		}
		if errors.Is(err, ErrWait) {
			s.mu.Unlock()
			sub.p.log.WhenReady(func() { s.again(sub) })
			s.mu.Lock()
			continue
		}
		if err != nil {
			s.failedLocked(sub, err)
			continue
		}
		if slice.Length == 0 {
			sub.blocked = next < sub.p.log.LogEnd() // what comes next does not fit beside what is on its way
			s.markLocked(sub)
			continue
		}
		sub.next, sub.told = h.BaseOffset+int64(h.Detail), h.HighWatermark
		sub.ahead = append(sub.ahead, sent{sub.next, slice.Length})
		sub.inFlight += slice.Length
		s.mu.inFlight += slice.Length
		s.queueLocked(sub) // behind the others: there may be more
		return h.Append(dst), slice
	}
	dst = peer.AppendEntries(dst, peer.Marks, s.mu.marks)
	s.mu.marks = s.mu.marks[:0]
	s.mu.idle = len(dst) == 0
	return dst, vfs.Slice{}
}

// markLocked tells a high watermark that no Data carries.
func (s *Sender) markLocked(sub *subscription) {
	highWatermark := sub.p.highWatermark.Load()
	if epoch, leads := sub.p.Leads(); !leads || epoch != sub.leaderEpoch || highWatermark <= sub.told {
		return
	}
	sub.told = highWatermark
	s.mu.marks = append(s.mu.marks, peer.Entry{Handle: sub.handle, LeaderEpoch: sub.leaderEpoch, End: highWatermark, Other: min(sub.p.log.LogStart(), highWatermark)})
}

// again looks at a partition whose log had work to do first.
func (s *Sender) again(sub *subscription) {
	var wake woken
	s.notify(sub, &wake)
	wake.fire()
}

// failedLocked: the log cannot be read there.
func (s *Sender) failedLocked(sub *subscription, err error) {
	h := peer.Header{Kind: peer.Refused, Code: wire.KafkaStorageError, Handle: sub.handle, LeaderEpoch: sub.leaderEpoch}
	switch {
	case errors.Is(err, wire.OffsetOutOfRange):
		h.Kind, h.Code, h.LogStart = peer.OutOfRange, wire.None, sub.p.log.LogStart()
	case errors.Is(err, wire.NotLeaderOrFollower):
		h.Code = wire.NotLeaderOrFollower
	}
	s.mu.out = h.Append(s.mu.out)
	s.dropLocked(sub)
}

// Close ends the stream.
func (s *Sender) Close() {
	s.mu.Lock()
	s.mu.closed = true
	var subs []*subscription
	for _, sub := range s.mu.handles {
		sub.streaming = false
		subs = append(subs, sub)
	}
	clear(s.mu.handles)
	s.mu.ready, s.mu.marks, s.mu.out = nil, nil, nil
	s.mu.Unlock()
	for _, sub := range subs {
		sub.p.leave(sub)
	}
}

// pull reads the batches from an offset on that fit into room, with the header of their frame; a batch alone need not fit. The slice is whole batches.
func (sub *subscription) pull(from int64, room int, alone bool) (h peer.Header, slice vfs.Slice, err error) {
	p := sub.p
	h = peer.Header{Kind: peer.Data, Handle: sub.handle, LeaderEpoch: sub.leaderEpoch, BaseOffset: from}
	if slice, err = p.log.Read(from, p.log.LogEnd(), room, alone, true); err != nil {
		return h, slice, err
	}
	if slice.Length > 0 {
		var end int64
		whole := slice
		if whole.Length, end, err = wholeBatches(slice); err != nil || whole.Length == 0 {
			slice.Release()
			return h, vfs.Slice{}, err
		}
		slice = whole
		h.Length, h.Detail = slice.Length, int32(end-from)
	}
	h.HighWatermark = p.highWatermark.Load()
	h.LogStart = min(p.log.LogStart(), h.HighWatermark)
	// What was read belongs to this leader epoch if it is still the one: a log is cut only by a follower.
	if epoch, leads := p.Leads(); !leads || epoch != sub.leaderEpoch {
		slice.Release()
		return h, vfs.Slice{}, wire.NotLeaderOrFollower
	}
	return h, slice, nil
}

// wholeBatches is how many bytes of a slice are whole batches, perhaps none, and where their offsets end.
func wholeBatches(s vfs.Slice) (length int, end int64, err error) {
	if !s.Resident() {
		if err := s.Warm(); err != nil {
			return 0, 0, err
		}
	}
	bytes := s.Bytes()
	if bytes == nil {
		bytes = make([]byte, s.Length)
		if _, err := s.ReadAt(bytes, 0); err != nil && err != io.EOF {
			return 0, 0, err
		}
	}
	for rest := bytes; ; {
		b, more, err := record.Next(rest)
		if err != nil {
			break // the end, or cut short
		}
		length += len(b)
		end, rest = b.NextOffset(), more
	}
	return length, end, nil
}
