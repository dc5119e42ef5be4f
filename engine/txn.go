package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/millrace/millrace/index"
	"github.com/millrace/millrace/wire/record"
)

func abortedEntry(c completedTxn) index.Aborted {
	return index.Aborted{ProducerID: c.producerID, FirstOffset: c.firstOffset, LastOffset: c.lastOffset, LastStable: c.lastStable}
}

// LastStable is the first offset that a read-committed reader must not see: that of the oldest transaction that is open, or whose
// marker is not below the high watermark yet; the high watermark when there is none. What was deleted from the
// front of the log holds nobody up. No lock while there are no transactions.
func (l *Log) LastStable(highWatermark int64) int64 {
	if l.unstable.Load() >= highWatermark {
		return highWatermark
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if o := l.mu.o; o != nil {
		l.unstable.Store(o.producers.unstable(highWatermark))
	}
	return min(highWatermark, max(l.unstable.Load(), l.logStart.Load()))
}

// Aborted appends to dst the aborted transactions that overlap [from, to): all that a reader of this range must leave out.
func (l *Log) Aborted(dst []AbortedTxn, from, to int64) ([]AbortedTxn, error) {
	if err := l.offline(); err != nil {
		return dst, err
	}
	l.mu.Lock()
	o := l.mu.o
	if o == nil {
		l.mu.Unlock()
		return dst, l.readClosed(from, to)
	}
	i := max(0, (&view{o.segments}).find(from))
	for _, t := range o.txns[i:] {
		if t.unread {
			l.mu.Unlock()
			return dst, l.request(askTxns)
		}
		if t.Txn == nil {
			continue
		}
		var done bool
		if dst, done = appendOverlapping(dst, t.Txn, from, to); done {
			break
		}
	}
	l.mu.Unlock()
	return dst, nil
}

// appendOverlapping is done when an entry tells that all transactions that began below to were over.
func appendOverlapping(dst []AbortedTxn, t *index.Txn, from, to int64) ([]AbortedTxn, bool) {
	for _, a := range t.All() {
		if a.LastOffset >= from && a.FirstOffset < to {
			dst = append(dst, AbortedTxn{a.ProducerID, a.FirstOffset})
		}
		if a.LastStable >= to {
			return dst, true
		}
	}
	return dst, false
}

// txnsJob reads the transaction indexes of old segments.
func (l *Log) txnsJob() {
	l.work.Lock()
	err := l.readTxns(0)
	l.work.Unlock()
	l.end(askTxns, err)
}

// readTxns reads the indexes, of all segments from the one at position on, that nobody has read yet. Holds work.
func (l *Log) readTxns(position int) error {
	l.mu.Lock()
	o := l.mu.o
	l.mu.Unlock()
	if o == nil {
		return nil
	}
	for i := position; i < len(o.segments); i++ { // the list changes only under work
		if !o.txns[i].unread {
			continue
		}
		t, err := l.readTxn(o, i)
		if err != nil {
			return l.fail(err)
		}
		l.mu.Lock()
		o.txns[i] = txnIndex{Txn: t}
		l.mu.Unlock()
	}
	return nil
}

// readTxn reads one index, or rebuilds it from the segment's batches when it is damaged.
func (l *Log) readTxn(o *opened, i int) (*index.Txn, error) {
	base := o.segments[i].Base()
	t, err := index.OpenTxn(l.dir.fs, l.path(offsetName(base, txnIndexSuffix)))
	if err == nil {
		err = checkAborted(t.All(), base)
	}
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return t, nil
	}
	l.dir.o.Log.Warn("transaction index rebuilt", "topic", l.topic, "partition", l.partition, "baseOffset", base, "err", err)
	ls, err := l.list()
	if err != nil {
		return nil, err
	}
	var ps producers
	from := l.loadNewest(&ps, ls, base, o.segments[0].Base())
	t.TruncateTo(0)
	end := o.segments[i].NextOffset()
	for _, s := range o.segments[:i+1] {
		if s.NextOffset() <= from {
			continue
		}
		err := s.Scan(max(from, s.Base()), func(b record.Batch, _ int64) error {
			if b.BaseOffset() < from || b.BaseOffset() >= end {
				return nil
			}
			if done, ended := ps.apply(b); ended && done.aborted && done.lastOffset >= base {
				t.Append(abortedEntry(done))
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return t, t.Flush(true)
}

// checkAborted refuses what cannot be, like the zeros that a power cut leaves behind the last synced entry: a marker comes after what it
// ends, and lies in the segment.
func checkAborted(list []index.Aborted, base int64) error {
	for i, a := range list {
		if a.FirstOffset >= a.LastOffset || a.LastOffset < base || a.LastStable > a.LastOffset+1 {
			return fmt.Errorf("entry %d: %+v in the segment at %d", i, a, base)
		}
	}
	return nil
}

// txnsOf returns the indexes that are in memory.
func txnsOf(list []txnIndex) []*index.Txn {
	var read []*index.Txn
	for _, t := range slices.Clip(list) {
		if t.Txn != nil {
			read = append(read, t.Txn)
		}
	}
	return read
}
