package bench

import (
	"sync/atomic"
	"time"
)

// tracker verifies one partition as one group reads it. Only its consumer calls came; everybody may load the counters.
type tracker struct {
	group     int
	partition int32
	run       uint64
	seal      sealer
	packed    int64        // see packedRecords
	header    packedHeader // when they are packed

	producers  []progress // by producer
	lastOffset int64
	found      Verdict

	caughtUp atomic.Int64 // when the end of the partition was first reached, by the run's clock; 0: not yet
	consumed atomic.Int64 // records that came, whatever they were
	position atomic.Int64 // the offset that comes next
}

// progress is how far one producer's records have come.
type progress struct {
	next    int64  // sequence that should come now
	missing ranges // passed over
}

// newTracker begins at an offset: whatever lies before it is not the run's.
func newTracker(group int, partition int32, run uint64, producers int, offset int64) *tracker {
	t := &tracker{group: group, partition: partition, run: run, producers: make([]progress, producers), lastOffset: offset - 1}
	t.position.Store(offset)
	return t
}

// reached notes how far the consumer has come, and whether that was the partition's end.
func (t *tracker) reached(now time.Duration, next, highWatermark int64) {
	if next >= highWatermark && t.caughtUp.Load() == 0 {
		t.caughtUp.Store(int64(now))
	}
}

// came takes a record; due is its due time when it is one of this run's that was not seen before.
func (t *tracker) came(offset int64, key, value []byte) (due time.Duration, ok bool) {
	st, intact := t.seal.open(key, value)
	if intact && t.packed > 0 {
		st, intact = t.unpacked(st, offset)
	}
	if !intact || st.run != t.run || st.producer < 0 || int(st.producer) >= len(t.producers) || st.sequence < 0 {
		t.found.Corrupted++
		t.found.example("group %d, partition %d, offset %d: this is no record that was sent (%d bytes of key, %d of value)", t.group, t.partition, offset, len(key), len(value))
		t.lastOffset = max(t.lastOffset, offset)
		return 0, false
	}
	p := &t.producers[st.producer]
	if offset <= t.lastOffset {
		t.found.example("group %d, partition %d: offset %d came after offset %d", t.group, t.partition, offset, t.lastOffset)
	}
	back := offset <= t.lastOffset
	t.lastOffset = max(t.lastOffset, offset)
	switch {
	case st.sequence == p.next && !back:
		p.next++
	case st.sequence >= p.next:
		p.missing.add(p.next, st.sequence)
		p.next = st.sequence + 1
		if back {
			t.found.Reordered++
		}
	case p.missing.take(st.sequence):
		t.found.Reordered++
		t.found.example("group %d, partition %d, offset %d: number %d of producer %d came after later ones", t.group, t.partition, offset, st.sequence, st.producer)
	default:
		t.found.Duplicated++
		t.found.example("group %d, partition %d, offset %d: number %d of producer %d came again", t.group, t.partition, offset, st.sequence, st.producer)
		return 0, false
	}
	return st.due, true
}

// unreadable notes a batch that could not be read.
func (t *tracker) unreadable(offset int64, records int, err error) {
	t.found.Corrupted += int64(max(1, records))
	t.found.example("group %d, partition %d, offset %d: unreadable batch: %v", t.group, t.partition, offset, err)
	t.lastOffset = max(t.lastOffset, offset+int64(records)-1)
}

// verdict holds what came against what was sent. It is called once, when nobody produces or consumes any more.
func (t *tracker) verdict(books []*book) Verdict {
	v := t.found
	var missing int64
	for i, b := range books {
		page, p := &b.partitions[t.partition], &t.producers[i]
		failed := page.failed.count()
		last := p.next
		p.missing.add(last, page.next) // everything after the last one that came
		excused := p.missing.common(&page.failed)
		if n := p.missing.count() - excused; n > 0 {
			v.example("group %d, partition %d: %d of %d records of producer %d have not come: number %d is the first of them, the last that came is number %d",
				t.group, t.partition, n, page.next, i, p.missing.firstOutside(&page.failed), last-1)
		}
		v.Sent += page.next - failed
		v.Consumed += page.next - p.missing.count() - (failed - excused) // of the acknowledged ones, each once
		missing += p.missing.count() - excused
	}
	// A record that came corrupted is missing under its own number: it is one mistake.
	v.Lost = max(0, missing-v.Corrupted)
	return v
}
