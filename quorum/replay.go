package quorum

import (
	"errors"
	"fmt"

	"github.com/millrace/millrace/meta"
	"github.com/millrace/millrace/wire/record"
)

// ErrKafka is told of a directory whose metadata log Kafka has written: its records are others, and it is not ours to change.
var ErrKafka = errors.New("the directory is Apache Kafka's own, with Kafka's metadata: start in an empty one")

// kafkas tells whether p begins with a control batch. Kafka's metadata logs and snapshots do; ours have none.
func kafkas(p []byte) bool {
	b, _, err := record.Next(p)
	return err == nil && b.CheckHeader() == nil && b.Control()
}

// findFirst finds the first entry: behind the log's beginning, and behind what was written before there were entries. It returns the index
// up to which that reaches, as far as it can be told yet.
func (v *voter) findFirst(newest snapshot) (old uint64, err error) {
	d := v.disk
	begin, end := d.log.LogStart(), d.log.LogEnd()
	d.first, d.firstTerm = uint64(newest.next), newest.term
	if begin == end {
		return 0, nil
	}
	p, err := d.read(begin, end, record.HeaderSize)
	if err != nil {
		return 0, err
	}
	if kafkas(p) {
		return 0, ErrKafka
	}
	b, _, err := nextBatch(p, begin)
	if err != nil {
		return 0, err
	}
	kind, _, err := kindOf(b)
	if err != nil {
		return 0, fmt.Errorf("offset %d: %w", begin, err)
	}
	if kind != noKey {
		return 0, v.findTerm(begin)
	}
	return v.oldEnd(newest)
}

// findTerm makes the log's beginning the first entry, if the term before it is known: at 0 there is none, and otherwise a snapshot ends there.
func (v *voter) findTerm(begin int64) error {
	if begin == 0 {
		v.disk.first, v.disk.firstTerm = 0, 0
		return nil
	}
	names, err := v.disk.store.list()
	for _, name := range names {
		if name.next == begin {
			v.disk.first, v.disk.firstTerm = uint64(begin), name.term
		}
	}
	return err
}

// oldEnd finds the end of what was written before there were entries, at or above the snapshot, and makes it the beginning of the entries.
func (v *voter) oldEnd(newest snapshot) (uint64, error) {
	d := v.disk
	at, end := newest.next, d.log.LogEnd()
	for at < end {
		p, err := d.read(at, end, readStep)
		if err != nil {
			return 0, err
		}
		for len(p) > 0 {
			var b record.Batch
			if b, p, err = nextBatch(p, at); err != nil {
				return 0, err
			}
			kind, _, err := kindOf(b)
			if err != nil {
				return 0, fmt.Errorf("offset %d: %w", at, err)
			}
			if kind != noKey {
				return uint64(at), nil
			}
			at = b.NextOffset()
			d.first, d.firstTerm = uint64(at), uint64(b.LeaderEpoch())
		}
	}
	return uint64(at), nil
}

// replay applies the log up to an index.
func (v *voter) replay(committed uint64) error {
	d := v.disk
	var records []meta.Record
	var pending int // bytes of these
	apply := func() (err error) {
		// Together: a topic with many partitions would be copied by each batch otherwise.
		if len(records) > 0 {
			v.image, err = v.image.Apply(records, v.image.Index()+1)
		}
		v.since.records += int64(len(records))
		v.since.bytes += int64(pending)
		records, pending = records[:0], 0
		return err
	}
	for v.applied < committed {
		p, err := d.read(int64(v.applied), int64(committed), readStep)
		if err != nil {
			return err
		}
		for len(p) > 0 {
			var b record.Batch
			if b, p, err = nextBatch(p, int64(v.applied)); err != nil {
				return err
			}
			if records, err = v.replayBatch(records, b); err != nil {
				return fmt.Errorf("offset %d: %w", b.BaseOffset(), err)
			}
			v.applied = uint64(b.NextOffset())
			pending += len(b)
			if v.applied%hashEvery == 0 && !v.sole {
				if err := apply(); err != nil {
					return err
				}
				v.mark = marked{v.applied, v.image}
			}
		}
		if err := apply(); err != nil {
			return err
		}
	}
	return nil
}

// replayBatch appends what a batch says beyond the offset that comes next.
func (v *voter) replayBatch(records []meta.Record, b record.Batch) ([]meta.Record, error) {
	kind, value, err := kindOf(b)
	if err != nil {
		return records, err
	}
	next := int64(v.applied)
	if kind != noKey && b.BaseOffset() != next {
		return records, fmt.Errorf("an entry where offset %d comes next", next)
	}
	switch kind {
	case decisionEntry:
		return decodeDecision(records, value)
	case noKey:
		err = b.Iterate(record.Limits{}, func(r record.Record) error {
			if r.Offset < next {
				return nil
			}
			if r.Offset != next {
				return fmt.Errorf("offset %d follows offset %d", r.Offset, next-1)
			}
			m, err := meta.DecodeRecord(r.Value)
			records = append(records, m)
			next++
			return err
		})
	}
	return records, err
}
