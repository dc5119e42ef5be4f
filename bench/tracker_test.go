package bench

import (
	"errors"
	"testing"
	"time"

	"github.com/cespare/xxhash/v2"
)

// sent makes the value of a record of run 7.
func sent(producer int32, sequence int64, key []byte) []byte {
	value := append(make([]byte, MinSize), "body"...)
	var s sealer
	s.seal(value, stamp{run: 7, producer: producer, sequence: sequence, due: time.Duration(sequence)}, xxhash.Sum64(value[MinSize:]), key)
	return value
}

func TestTracker(t *testing.T) {
	type come struct {
		offset   int64
		producer int32
		sequence int64
	}
	corrupt := come{producer: -1}
	for _, c := range []struct {
		name   string
		sent   [2]int64 // by producer
		failed interval64
		came   []come
		want   Verdict
	}{
		{name: "all", sent: [2]int64{2, 1}, came: []come{{0, 0, 0}, {1, 1, 0}, {2, 0, 1}}, want: Verdict{Sent: 3, Consumed: 3}},
		{name: "nothing", sent: [2]int64{2, 0}, want: Verdict{Sent: 2, Lost: 2}},
		{name: "one lost", sent: [2]int64{3, 0}, came: []come{{0, 0, 0}, {1, 0, 2}}, want: Verdict{Sent: 3, Consumed: 2, Lost: 1}},
		{name: "the last lost", sent: [2]int64{3, 1}, came: []come{{0, 0, 0}, {1, 0, 1}, {2, 1, 0}}, want: Verdict{Sent: 4, Consumed: 3, Lost: 1}},
		{name: "twice", sent: [2]int64{2, 0}, came: []come{{0, 0, 0}, {1, 0, 0}, {2, 0, 1}}, want: Verdict{Sent: 2, Consumed: 2, Duplicated: 1}},
		{name: "an offset twice", sent: [2]int64{2, 0}, came: []come{{0, 0, 0}, {0, 0, 0}, {1, 0, 1}}, want: Verdict{Sent: 2, Consumed: 2, Duplicated: 1}},
		{name: "swapped", sent: [2]int64{3, 0}, came: []come{{0, 0, 1}, {1, 0, 0}, {2, 0, 2}}, want: Verdict{Sent: 3, Consumed: 3, Reordered: 1}},
		{name: "a new record at an old offset", sent: [2]int64{2, 0}, came: []come{{5, 0, 0}, {5, 0, 1}}, want: Verdict{Sent: 2, Consumed: 2, Reordered: 1}},
		{name: "corrupted", sent: [2]int64{3, 0}, came: []come{{0, 0, 0}, corrupt, {2, 0, 2}}, want: Verdict{Sent: 3, Consumed: 2, Corrupted: 1}},
		{name: "failed and not there", sent: [2]int64{3, 0}, failed: interval64{1, 2}, came: []come{{0, 0, 0}, {1, 0, 2}}, want: Verdict{Sent: 2, Consumed: 2}},
		{name: "failed and there", sent: [2]int64{3, 0}, failed: interval64{1, 2}, came: []come{{0, 0, 0}, {1, 0, 1}, {2, 0, 2}}, want: Verdict{Sent: 2, Consumed: 2}},
		{name: "failed, and another lost", sent: [2]int64{4, 0}, failed: interval64{1, 2}, came: []come{{0, 0, 0}, {1, 0, 1}, {2, 0, 3}}, want: Verdict{Sent: 3, Consumed: 2, Lost: 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			tr := newTracker(0, 0, 7, 2, 0)
			books := newBooks(2, 1)
			for i, n := range c.sent {
				books[i].sent(0, int(n))
			}
			books[0].failed(0, c.failed[0], int(c.failed[1]-c.failed[0]))
			for _, r := range c.came {
				key := []byte("k")
				value := sent(max(r.producer, 0), r.sequence, key)
				if r.producer < 0 {
					value[len(value)-1]++
				}
				if due, ok := tr.came(r.offset, key, value); ok && due != time.Duration(r.sequence) {
					t.Errorf("number %d was due at %d", r.sequence, due)
				}
			}
			got := tr.verdict(books)
			if got.Intact() != (len(got.Examples) == 0) {
				t.Errorf("intact %v, examples %q", got.Intact(), got.Examples)
			}
			got.Examples = nil
			if got.String() != c.want.String() {
				t.Errorf("%v\nwant %v", got, c.want)
			}
		})
	}
}

type interval64 [2]int64

// What is wrong with a payload is found whichever byte it is in, and a record of another run is none of ours.
func TestPayload(t *testing.T) {
	key := []byte("key")
	value := sent(3, 4, key)
	var s sealer
	if st, ok := s.open(key, value); !ok || st != (stamp{run: 7, producer: 3, sequence: 4, due: 4}) {
		t.Errorf("%+v, %v", st, ok)
	}
	for i := range value {
		value[i] ^= 0x10
		if _, ok := s.open(key, value); ok {
			t.Errorf("byte %d was changed and nobody saw it", i)
		}
		value[i] ^= 0x10
	}
	for _, c := range []struct {
		key   string
		value []byte
	}{{"kex", value}, {"", value}, {"key", value[:len(value)-1]}, {"key", value[:MinSize-1]}, {"key", nil}} {
		if _, ok := s.open([]byte(c.key), c.value); ok {
			t.Errorf("key %q, %d bytes of value: opened", c.key, len(c.value))
		}
	}
	if _, ok := newTracker(0, 0, 8, 9, 0).came(0, key, value); ok {
		t.Error("a record of another run was taken")
	}
	tr := newTracker(0, 0, 7, 9, 0)
	tr.unreadable(0, 5, errors.New("broken"))
	if v := tr.verdict(newBooks(9, 1)); v.Corrupted != 5 || v.Intact() || len(v.Examples) != 1 {
		t.Errorf("%+v", v)
	}
}

func TestRanges(t *testing.T) {
	var r ranges
	r.add(5, 7)
	r.add(1, 3)
	r.add(7, 9)
	r.add(3, 5)
	r.add(20, 20)
	if len(r.list) != 1 || r.list[0] != (stretch{1, 9}) || r.count() != 8 {
		t.Errorf("%+v", r)
	}
	if !r.take(4) || r.take(4) || !r.take(1) || !r.take(8) || r.take(9) || r.take(0) {
		t.Errorf("%+v", r)
	}
	if len(r.list) != 2 || r.count() != 5 {
		t.Errorf("%+v", r)
	}
	o := ranges{list: []stretch{{0, 3}, {6, 100}}}
	if n := r.common(&o); n != 1+2 {
		t.Errorf("%d in common of %+v and %+v", n, r, o)
	}
	for want, outside := range map[int64]ranges{2: {list: []stretch{{0, 2}}}, 3: {list: []stretch{{0, 3}, {5, 9}}}, -1: {list: []stretch{{0, 3}, {3, 8}}}, 5: {list: []stretch{{2, 4}}}} {
		if got := r.firstOutside(&outside); got != want {
			t.Errorf("the first of %+v that is not in %+v is %d, want %d", r, outside, got, want)
		}
	}
	for i := range int64(maxRanges + 10) {
		o.add(1000+2*i, 1001+2*i)
	}
	if len(o.list) != maxRanges || o.count() != 3+94+maxRanges+10 {
		t.Errorf("%d ranges, %d numbers: the rest is counted and not kept", len(o.list), o.count())
	}
}
