package coord

import (
	"errors"
	"io"
	"time"

	"github.com/millrace/millrace/group"
	"github.com/millrace/millrace/replica"
	"github.com/millrace/millrace/wire"
	"github.com/millrace/millrace/wire/record"
)

var errTail = errors.New("coord: the end of the log cannot be made durable")

// loader replays a partition's log into a new group.Shard.
type loader struct {
	s     *shard
	state *group.Shard
	epoch int32
	next  int64 // offset of the next record to replay

	records  int
	buf      []byte
	iterator record.Iterator
	parked   replica.Parked
	ready    chan struct{} // holds one when what was waited for has come
}

// load replays the log up to its end. Everything in it is durable by then: an answer may tell of it.
func (s *shard) load() error {
	began := time.Now()
	l := &loader{s: s, state: group.New(s.groups.o.Group), ready: make(chan struct{}, 1)}
	s.setLoading(true)
	defer s.setLoading(false)
	defer time.AfterFunc(s.groups.o.loadPatience, s.loadIsLate).Stop()
	l.parked.Wake = l.signal
	var leads bool
	if l.epoch, leads = s.partition.Leads(); !leads {
		return wire.NotLeaderOrFollower
	}
	if err := l.takeTurn(); err != nil {
		return err
	}
	defer func() { <-s.groups.loading }()
	if err := l.replay(); err != nil {
		l.state.Release()
		return err
	}
	s.state, s.epoch, s.end = l.state, l.epoch, l.next
	s.now = max(s.now, s.groups.o.Now())
	s.expireAt = s.now + s.groups.o.ExpireMs
	s.state.Loaded(s.now)
	if exists := s.groups.o.Exists; exists != nil {
		s.state.RemoveGoneTopics(exists)
	}
	s.collect()
	s.log.Debug("groups loaded", "leaderEpoch", s.epoch, "records", l.records, "offset", l.next, "took", time.Since(began))
	return nil
}

func (s *shard) setLoading(is bool) {
	s.inbox.Lock()
	s.inbox.loading = is
	s.inbox.Unlock()
}

// loadIsLate answers those who have come to a load that takes long, and from now on those who come.
func (s *shard) loadIsLate() {
	var queued taskList
	s.inbox.Lock()
	if s.inbox.loading {
		s.inbox.refuse = wire.CoordinatorLoadInProgress
		queued = s.takeLocked()
	}
	s.inbox.Unlock()
	s.groups.turnAway(&queued, wire.CoordinatorLoadInProgress)
}

func (l *loader) signal() {
	select {
	case l.ready <- struct{}{}:
	default:
	}
}

// takeTurn waits until few enough others load.
func (l *loader) takeTurn() error {
	for {
		select {
		case l.s.groups.loading <- struct{}{}:
			return l.look()
		case <-l.s.wake:
		}
		if l.s.resigned.Load() {
			return errResigned
		}
	}
}

// wait waits for signal.
func (l *loader) wait() error {
	for {
		select {
		case <-l.ready:
			return l.look()
		case <-l.s.wake:
		}
		if err := l.look(); err != nil {
			return err
		}
	}
}

// look is for in between: whether the shard has to end.
func (l *loader) look() error {
	if l.s.resigned.Load() {
		return errResigned
	}
	if epoch, leads := l.s.partition.Leads(); !leads || epoch != l.epoch {
		return wire.NotLeaderOrFollower
	}
	return nil
}

func (l *loader) replay() error {
	p := l.s.partition
	l.next = p.Log().LogStart()
	o := replica.ReadOptions{LeaderEpoch: -1, LastFetchedEpoch: -1, MaxBytes: l.s.groups.o.LoadBytes, MinOne: true, Block: true}
	for {
		if err := l.look(); err != nil {
			return err
		}
		var r replica.ReadResult
		o.Offset, o.Now = l.next, l.s.groups.o.Now()
		err := p.Read(&o, &r)
		switch {
		case errors.Is(err, replica.ErrWait):
			p.WhenReady(l.signal)
			if err := l.wait(); err != nil {
				return err
			}
		case errors.Is(err, wire.OffsetOutOfRange) && r.LogStart > l.next: // it was not known before the log was open
			l.next = r.LogStart
		case err != nil:
			return err
		case r.Slice.Length > 0:
			if err := l.take(&r); err != nil {
				return err
			}
		case l.next < r.Bound:
			l.next = r.Bound // compaction has left nothing there
		case r.Bound >= p.Log().LogEnd():
			return nil
		default: // appended, not yet durable: it may or may not become so
			l.parked.Arm(1)
			w := replica.ReadWaiter{Parked: &l.parked}
			if !p.Wait(&w, &r) {
				continue
			}
			p.FlushSoon()
			err := l.wait()
			p.Leave(&w)
			if err != nil {
				return err
			}
			if p.HighWatermark() == r.HighWatermark {
				return errTail
			}
		}
	}
}

// take replays the batches that were read.
func (l *loader) take(r *replica.ReadResult) error {
	n := r.Slice.Length
	if cap(l.buf) < n {
		l.buf = make([]byte, n)
	}
	_, err := r.Slice.ReadAt(l.buf[:n], 0)
	r.Slice.Release()
	if err != nil && err != io.EOF {
		return err
	}
	for rest := l.buf[:n]; ; {
		var b record.Batch
		if b, rest, err = record.Next(rest); err == io.EOF || err == io.ErrUnexpectedEOF {
			return nil
		} else if err != nil {
			return err
		}
		if err := b.CheckHeader(); err != nil {
			return err
		}
		if err := l.replayBatch(b); err != nil {
			return err
		}
		l.next = b.NextOffset()
	}
}

func (l *loader) replayBatch(b record.Batch) error {
	if b.Control() {
		return nil
	}
	l.iterator.Reset(b, record.Limits{})
	defer l.iterator.Close()
	for l.iterator.Next() {
		r := l.iterator.Record()
		if r.Offset < l.next {
			continue // below the log's start, or where the last read ended
		}
		l.records++
		if r.Key == nil {
			continue
		}
		if err := l.state.Replay(r.Key, r.Value); err != nil {
			l.s.log.Warn("a record of the offsets topic is skipped", "offset", r.Offset, "err", err)
		}
	}
	return l.iterator.Err()
}
