package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"slices"
	"strings"

	"github.com/millrace/millrace/index"
	"github.com/millrace/millrace/segment"
)

// errChanged ends a cleaning whose log is not the one it began with: closed, truncated, deleted from the front, removed. Another one begins anew.
var errChanged = errors.New("the log changed while it was cleaned")

// swap puts a cleaned segment in the place of a group of old ones. Readers go on in the old files until they look for the next segment; slices of
// them stay valid. Whatever the moment of a crash, a start finds all of the old ones or all of the new one (see segment.Cleaned and resumeSwaps).
// marker is the last end of a transaction that the new one does not have any more; -1: none.
func (l *Log) swap(o *opened, group []*segment.Segment, c *segment.Cleaned, marker, now int64) error {
	l.work.Lock()
	defer l.work.Unlock()
	at, err := l.placeOf(o, group)
	if err != nil {
		return err
	}
	if marker >= 0 {
		// What was written down of the producers before this marker may tell of a transaction that nothing in the log would ever end.
		l.noting.Lock()
		l.dropState(o, marker+1, math.MaxInt64)
		l.noting.Unlock()
	}
	if err := c.Commit(); errors.Is(err, fs.ErrNotExist) {
		return errChanged // somebody has cleared its files away: all is as it was
	} else if err != nil {
		return l.dir.fail(err)
	}
	// From here on only going on is right: what fails now is finished by the next start.
	next := o.segments[at+len(group)].Base()
	s, t, err := l.moveIn(group, next)
	if err != nil {
		return l.dir.fail(err)
	}
	l.mu.Lock()
	o.segments = slices.Concat(o.segments[:at], []*segment.Segment{s}, o.segments[at+len(group):])
	o.txns = slices.Concat(o.txns[:at], []txnIndex{{Txn: t}}, o.txns[at+len(group):])
	l.view.Store(&view{o.segments})
	l.mu.Unlock()
	l.looked.Store(nil)
	due := now + l.config.Load().FileDeleteDelayMs
	for _, old := range group {
		if err := old.Close(false); err != nil {
			return l.fail(err)
		}
		l.dir.throwAway(trash{at: due, name: l.folder + "/" + offsetName(old.Base(), logSuffix), unlink: old.Delete})
	}
	return nil
}

// placeOf finds a group in the list of segments, which may not have changed in any other way than by growing, and sees to it that no flush has
// anything to do with its files any more: those go on meanwhile. Holds work.
func (l *Log) placeOf(o *opened, group []*segment.Segment) (at int, err error) {
	if err := l.offline(); err != nil {
		return 0, err
	}
	l.flushing.Lock()
	defer l.flushing.Unlock()
	l.mu.Lock()
	same := l.mu.o == o
	at = slices.Index(o.segments, group[0])
	same = same && at >= 0 && at+len(group) < len(o.segments) && slices.Equal(o.segments[at:at+len(group)], group)
	var txns []*index.Txn
	if same {
		txns = txnsOf(o.txns[at : at+len(group)])
	}
	unflushed := slices.ContainsFunc(group, func(s *segment.Segment) bool { return slices.Contains(o.unflushed, s) })
	l.mu.Unlock()
	if !same {
		return 0, errChanged
	}
	if unflushed {
		if err := l.flush(); err != nil { // what the table calls durable must hold for what takes its place
			return 0, err
		}
	}
	for _, t := range txns {
		if err := t.Flush(true); err != nil {
			return 0, err
		}
	}
	return at, nil
}

// moveIn is what follows the commit of a cleaned segment: the old ones go, it gets its names, and is opened for reading. Holds work.
func (l *Log) moveIn(group []*segment.Segment, next int64) (*segment.Segment, *index.Txn, error) {
	// Each time another name: what an earlier cleaning has replaced is unlinked by its name, later, and that must not be ours. Readers may still open it.
	l.swaps++
	suffix := fmt.Sprintf(".%d%s", l.swaps, deletedSuffix)
	for _, old := range group {
		if err := old.Retire(suffix); err != nil {
			return nil, nil, err
		}
	}
	if err := l.dir.fs.SyncDir(l.path("")); err != nil {
		return nil, nil, err
	}
	base := group[0].Base()
	if err := segment.Install(l.path(""), base, l.dir.fs); err != nil {
		return nil, nil, err
	}
	s, err := segment.OpenSealed(l.path(""), base, next, l.segmentOptions())
	if err != nil {
		return nil, nil, err
	}
	t, err := index.OpenTxn(l.dir.fs, l.path(offsetName(base, txnIndexSuffix)))
	return s, t, err
}

// resumeSwaps finishes the swaps that a crash has interrupted: a log file with the suffix is a committed segment, which stands for all that begin
// below its end. What else has the suffix belongs to one whose log has its name already.
func (l *Log) resumeSwaps(entries []fs.DirEntry) (swapped bool, err error) {
	var swaps, bases []int64
	var side []string
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), swapSuffix)
		if offset, is := parseOffsetName(name, logSuffix); ok && is {
			swaps = append(swaps, offset)
		} else if ok {
			side = append(side, name)
		} else if is {
			bases = append(bases, offset)
		}
	}
	for _, base := range swaps {
		if err := l.resumeSwap(base, bases); err != nil {
			return false, fmt.Errorf("finish a compaction: %w", err)
		}
	}
	for _, name := range side {
		if err := l.dir.fs.Rename(l.path(name+swapSuffix), l.path(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return false, err
		}
	}
	if len(side) > 0 {
		err = l.dir.fs.SyncDir(l.path(""))
	}
	return len(swaps)+len(side) > 0, err
}

func (l *Log) resumeSwap(base int64, bases []int64) error {
	end, err := segment.SwapEnd(l.path(""), base, l.segmentOptions())
	if err != nil {
		return err
	}
	l.dir.o.Log.Info("finishing a compaction", "topic", l.topic, "partition", l.partition, "baseOffset", base, "endOffset", end)
	for _, old := range bases {
		if old <= base || old >= end {
			continue
		}
		for _, suffix := range []string{logSuffix, indexSuffix, timeIndexSuffix, txnIndexSuffix} {
			if err := l.dir.fs.Remove(l.path(offsetName(old, suffix))); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	if err := l.dir.fs.SyncDir(l.path("")); err != nil {
		return err
	}
	return segment.Install(l.path(""), base, l.dir.fs)
}
