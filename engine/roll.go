package engine

import (
	"errors"

	"github.com/millrace/millrace/index"
	"github.com/millrace/millrace/segment"
)

// spareJob prepares the next segment's files.
func (l *Log) spareJob() {
	l.work.Lock()
	err := l.prepareSpare()
	l.work.Unlock()
	l.end(askSpare, err)
}

// prepareSpare sees to it that there is one, as the topic's settings are now. Holds work.
func (l *Log) prepareSpare() error {
	l.mu.Lock()
	o := l.mu.o
	l.mu.Unlock()
	if o == nil || l.offline() != nil {
		return nil
	}
	if sp := o.spare; sp != nil {
		if sp.Fits(l.segmentOptions()) {
			return nil
		}
		l.mu.Lock()
		o.spare = nil
		l.mu.Unlock()
		if err := sp.Discard(); err != nil {
			return l.fail(err)
		}
	}
	sp, err := segment.Prepare(l.path(""), l.segmentOptions())
	if err != nil {
		return l.fail(err) // the roll tries again and tells whoever waits
	}
	l.mu.Lock()
	o.spare = sp
	l.mu.Unlock()
	return nil
}

// rollJob begins a new segment for an append that waits.
func (l *Log) rollJob() {
	l.work.Lock()
	list, err := l.roll()
	l.work.Unlock()
	l.end(askRoll, err)
	if list != nil {
		l.afterRoll(list)
	}
}

// Roll begins a new segment, unless the active one is empty or no file is open. Off the loops.
func (l *Log) Roll() error {
	l.work.Lock()
	l.mu.Lock()
	o := l.mu.o
	if o == nil || o.active().Size() == 0 {
		l.mu.Unlock()
		l.work.Unlock()
		return l.offline()
	}
	o.rolling = true
	asked := l.mu.asked&askRoll != 0 // then the job finds the work done
	l.mu.asked |= askRoll
	l.mu.Unlock()
	rolled, err := l.roll()
	l.work.Unlock()
	if !asked {
		l.end(askRoll, nil) // err is our caller's
	}
	if rolled != nil {
		l.afterRoll(rolled)
	}
	return err
}

// rolled is what a roll leaves to be written down.
type rolled struct {
	o     *opened
	base  int64
	list  []producer
	bases []int64
}

// roll swaps in a new active segment. No append runs from the moment rolling was set until it is done. Holds work.
func (l *Log) roll() (*rolled, error) {
	l.mu.Lock()
	o := l.mu.o
	if o == nil || !o.rolling {
		l.mu.Unlock()
		return nil, nil
	}
	base := l.logEnd.Load()
	l.mu.Unlock()

	t, err := index.OpenTxn(l.dir.fs, l.path(offsetName(base, txnIndexSuffix)))
	if err == nil {
		t.TruncateTo(0)
	}
	s, err := l.takeSpare(o, base)
	l.mu.Lock()
	defer l.mu.Unlock()
	o.rolling = false
	if err != nil {
		return nil, err
	}
	last := o.active()
	last.Seal()
	o.unflushed = append(o.unflushed, last)
	o.add(s, txnIndex{Txn: t})
	o.jitter = l.jitter()
	o.firstTimestamp, o.pace = -1, pace{} // its names are synced by its first flush
	r := &rolled{o: o, base: base, list: o.captureLocked(base)}
	r.bases = o.bases()
	l.view.Store(&view{o.segments})
	return r, nil
}

// jitter is by how much a new segment rolls earlier than others of its topic.
func (l *Log) jitter() int64 {
	c := l.config.Load()
	if c.SegmentJitterMs <= 0 {
		return 0
	}
	return int64(l.dir.o.Rand() % uint64(min(c.SegmentJitterMs, c.SegmentMs)))
}

func (l *Log) takeSpare(o *opened, base int64) (*segment.Segment, error) {
	if err := l.prepareSpare(); err != nil {
		return nil, err
	}
	l.mu.Lock()
	sp := o.spare
	o.spare = nil
	l.mu.Unlock()
	if sp == nil {
		return nil, l.offline()
	}
	s, err := sp.Take(base)
	if err != nil {
		return nil, l.fail(err)
	}
	return s, nil
}

// afterRoll writes the producers down as of the roll, and makes the finished segment durable, which every mode does.
func (l *Log) afterRoll(r *rolled) {
	l.noting.Lock()
	l.mu.Lock()
	current := l.mu.o == r.o // not closed or removed meanwhile
	txns := txnsOf(r.o.txns)
	l.mu.Unlock()
	var err error
	if current {
		if err = l.saveAfterRoll(r, txns); err != nil {
			err = l.fail(err)
		}
	}
	l.noting.Unlock()
	if err == nil || errors.Is(err, ErrDiskFull) {
		_, err = l.Flush()
	}
	if err != nil && !errors.Is(err, ErrDiskFull) && !errors.Is(err, ErrOffline) {
		l.dir.o.Log.Error("after a roll", "topic", l.topic, "partition", l.partition, "err", err)
	}
}

// saveAfterRoll writes the aborted transactions before the producers: what the files of those know of, a start does not replay. Holds
// noting.
func (l *Log) saveAfterRoll(r *rolled, txns []*index.Txn) error {
	for _, t := range txns {
		if err := t.Flush(false); err != nil {
			return err
		}
	}
	if err := l.saveProducers(r.o, r.base, r.list, r.bases, true); err != nil {
		return err
	}
	return l.writeSnapshot(r.o, r.base, r.list, r.bases, true)
}
