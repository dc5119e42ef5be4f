package engine

import (
	"errors"
	"io/fs"
	"math"
	"slices"
)

// loadNamed loads the producers' file that the table names, if the table may be believed.
func (l *Log) loadNamed(o *opened, end, through, snapshot int64) (from int64, ok bool) {
	if through < 0 || through > end {
		return 0, false
	}
	if snapshot < 0 {
		o.snapshotAt = -1
		return through, true
	}
	list, size, err := l.readSidecar(snapshot)
	if err != nil {
		l.dir.o.Log.Warn("producer state rebuilt", "topic", l.topic, "partition", l.partition, "offset", snapshot, "err", err)
		return 0, false
	}
	o.producers.load(list)
	o.snapshotAt, o.snapshotSize = snapshot, size
	return through, true
}

func (l *Log) readSidecar(offset int64) ([]producer, int, error) {
	b, err := readFile(l.dir.fs, l.path(offsetName(offset, producersSuffix)))
	if err != nil {
		return nil, 0, err
	}
	at, list, err := parseProducers(b)
	if err == nil && at != offset {
		err = errSnapshot
	}
	return list, len(b), err
}

// loadNewest loads the newest usable file that knows nothing of offset limit or above: ours, else Kafka's. Without any, the state is
// empty and everything has to be replayed from first.
func (l *Log) loadNewest(ps *producers, ls listing, limit, first int64) (from int64) {
	ps.clear()
	offsets := slices.Concat(ls.sidecars, ls.snapshots)
	slices.Sort(offsets)
	offsets = slices.Compact(offsets)
	for i := len(offsets) - 1; i >= 0; i-- {
		offset := offsets[i]
		if offset > limit || offset < first {
			continue
		}
		list, _, err := l.readSidecar(offset)
		if err != nil {
			var b []byte
			if b, err = readFile(l.dir.fs, l.path(offsetName(offset, snapshotSuffix))); err == nil {
				list, err = parseSnapshot(b)
			}
		}
		if err == nil {
			ps.load(list)
			return offset
		}
		if !errors.Is(err, fs.ErrNotExist) {
			l.dir.o.Log.Warn("producer snapshot ignored", "topic", l.topic, "partition", l.partition, "offset", offset, "err", err)
		}
	}
	return first
}

// noteProducer takes note that the producers changed by the batch at offset.
func (o *opened) noteProducer(offset int64) {
	o.producersNew = min(o.producersNew, offset)
	o.sinceCapture = min(o.sinceCapture, offset)
}

// captureLocked copies the producers, as of the log's end, in order to write them down.
func (o *opened) captureLocked(end int64) []producer {
	o.capturedAt, o.sinceCapture, o.unsaved = end, math.MaxInt64, 0
	return o.producers.sorted()
}

// saveProducers writes our producers file as of an offset. Holds noting.
func (l *Log) saveProducers(o *opened, offset int64, list []producer, bases []int64, sync bool) error {
	if o.snapshotAt >= offset {
		return nil // a newer capture was faster
	}
	size := 0
	if len(list) > 0 {
		b := appendProducers(nil, offset, list)
		size = len(b)
		if err := replaceFile(l.dir.fs, l.path(offsetName(offset, producersSuffix)), b, sync); err != nil {
			l.mu.Lock()
			o.sinceCapture = o.producersNew
			l.mu.Unlock()
			return err
		}
		o.sidecars = insertOffset(o.sidecars, offset)
		// Kept, as Kafka keeps its snapshots: those at the bases of segments, for a truncation. And the last two, for a start.
		for i := len(o.sidecars) - 3; i >= 0; i-- {
			if at := o.sidecars[i]; !slices.Contains(bases, at) {
				l.unlink(offsetName(at, producersSuffix))
				o.sidecars = slices.Delete(o.sidecars, i, i+1)
			}
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	o.snapshotSize, o.producersNew = size, o.sinceCapture
	if o.capturedAt != offset {
		o.producersNew = offset // another capture came in between: sinceCapture begins there
	}
	if o.snapshotAt = offset; size == 0 {
		o.snapshotAt = -1
	}
	return nil
}

// writeSnapshot writes Kafka's snapshot as of an offset. Kafka keeps those at the bases of segments and the newest. Holds noting.
func (l *Log) writeSnapshot(o *opened, offset int64, list []producer, bases []int64, sync bool) error {
	if len(list) == 0 && len(o.snapshots) == 0 {
		return nil // Kafka makes one for itself when it finds none
	}
	if err := replaceFile(l.dir.fs, l.path(offsetName(offset, snapshotSuffix)), appendSnapshot(nil, list), sync); err != nil {
		return err
	}
	o.snapshots = insertOffset(o.snapshots, offset)
	o.snapshots = slices.DeleteFunc(o.snapshots, func(at int64) bool {
		if at >= offset || slices.Contains(bases, at) {
			return false
		}
		l.unlink(offsetName(at, snapshotSuffix))
		return true
	})
	return nil
}

// dropState unlinks the files of producers that are named for offsets outside [from, to], and says whether there were any. Holds noting.
func (l *Log) dropState(o *opened, from, to int64) (dropped bool) {
	outside := func(suffix string) func(int64) bool {
		return func(at int64) bool {
			if at >= from && at <= to {
				return false
			}
			l.unlink(offsetName(at, suffix))
			dropped = true
			return true
		}
	}
	o.snapshots = slices.DeleteFunc(slices.Clone(o.snapshots), outside(snapshotSuffix))
	o.sidecars = slices.DeleteFunc(slices.Clone(o.sidecars), outside(producersSuffix))
	if o.snapshotAt >= 0 && !slices.Contains(o.sidecars, o.snapshotAt) {
		o.snapshotAt = noSnapshot
	}
	return dropped
}

// unlink removes a file that is not needed any more. What fails here is found again at the next open.
func (l *Log) unlink(name string) {
	if err := l.dir.fs.Remove(l.path(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		l.dir.o.Log.Warn("unlink", "topic", l.topic, "partition", l.partition, "file", name, "err", err)
	}
}

// noSnapshot says that no file of ours tells the state of the producers; -1 would say that there are none.
const noSnapshot = -2

func (o *opened) bases() []int64 {
	list := make([]int64, len(o.segments))
	for i, s := range o.segments {
		list[i] = s.Base()
	}
	return list
}

func insertOffset(list []int64, offset int64) []int64 {
	i, found := slices.BinarySearch(list, offset)
	if found {
		return list
	}
	return slices.Insert(slices.Clone(list), i, offset)
}
