package engine

import (
	"cmp"
	"slices"

	"github.com/millrace/millrace/index"
	"github.com/millrace/millrace/wire/record"
)

// cleanedTxns follows the transactions of a log while it is cleaned from front to back. What an aborted one has written is dropped; a marker is
// dropped when nothing of its transaction was met, which is one cleaning after the last of it went.
type cleanedTxns struct {
	pending   []index.Aborted         // that begin further on, by first offset
	aborted   map[int64]*cleanedAbort // under way, by producer
	committed map[int64]bool          // producers of which a batch was met that is not aborted, since their last marker
	keep      func(a index.Aborted)   // an aborted transaction of which something was met; may be nil
}

type cleanedAbort struct {
	index.Aborted
	met bool
}

func newCleanedTxns(keep func(index.Aborted)) *cleanedTxns {
	return &cleanedTxns{aborted: map[int64]*cleanedAbort{}, committed: map[int64]bool{}, keep: keep}
}

// add tells of the aborted transactions that overlap the next segment. Some may be known.
func (t *cleanedTxns) add(list []index.Aborted) {
	if len(list) == 0 {
		return
	}
	t.pending = append(t.pending, list...)
	slices.SortFunc(t.pending, func(a, b index.Aborted) int {
		return cmp.Or(cmp.Compare(a.FirstOffset, b.FirstOffset), cmp.Compare(a.LastOffset, b.LastOffset))
	})
	t.pending = slices.Compact(t.pending)
}

// read takes note of the next batch and says whether it may be dropped.
func (t *cleanedTxns) read(b record.Batch) (discard bool) {
	for len(t.pending) > 0 && t.pending[0].FirstOffset <= b.LastOffset() {
		a := t.pending[0]
		t.pending = t.pending[1:]
		if is := t.aborted[a.ProducerID]; (is == nil || is.LastOffset < a.FirstOffset) && a.LastOffset >= b.BaseOffset() {
			t.aborted[a.ProducerID] = &cleanedAbort{Aborted: a}
		}
	}
	switch {
	case b.Control():
		return t.marker(b)
	case !b.Transactional():
		return false
	}
	if a := t.aborted[b.ProducerID()]; a != nil && a.LastOffset >= b.BaseOffset() {
		a.met = true
		return true
	}
	delete(t.aborted, b.ProducerID()) // its marker was not met: what the index says ends there all the same
	t.committed[b.ProducerID()] = true
	return false
}

func (t *cleanedTxns) marker(b record.Batch) (discard bool) {
	if b.Count() == 0 {
		return true // its marker is gone already
	}
	m, err := record.ParseControl(b)
	switch {
	case err != nil:
		return false // some other control batch
	case m.Commit:
		met := t.committed[b.ProducerID()]
		delete(t.committed, b.ProducerID())
		return !met
	}
	a := t.aborted[b.ProducerID()]
	delete(t.aborted, b.ProducerID())
	if a == nil || !a.met {
		return true
	}
	if t.keep != nil {
		t.keep(a.Aborted)
	}
	return false
}

// abortedOf lists the aborted transactions that overlap [from, to). All indexes from that of the segment that holds from on have been read.
func (o *opened) abortedOf(from, to int64) (list []index.Aborted) {
	for _, t := range o.txns[max(0, (&view{o.segments}).find(from)):] {
		if t.Txn == nil {
			continue
		}
		for _, a := range t.All() {
			if a.LastOffset >= from && a.FirstOffset < to {
				list = append(list, a)
			}
			if a.LastStable >= to {
				return list
			}
		}
	}
	return list
}
