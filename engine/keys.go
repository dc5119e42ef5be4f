package engine

import (
	"crypto/sha256"
	"encoding/binary"
	"math/bits"
)

// keyTable maps the keys of a log's dirty part to the last offset each has there. It keeps 16 bytes of the key's hash, not the key: two keys that a
// client has made to collide would delete each other, so the hash is one for which nobody can. Memory is bounded: when it is used up, put refuses.
//
// Slots are ordered by hash: the home of a hash is its share of the table, and whoever finds a larger one at its place moves that one on. So a
// look-up of a key that is not there, which is most of them in the clean part of a log, ends after a few slots even in a full table.
type keyTable struct {
	slots  []keySlot // used capacity and a tail for those that are pushed over its end
	homes  uint64    // number of slots that are somebody's home
	used   int
	full   int // entries at which the table is full, or has to grow
	most   int // slots there may be, an old table that is copied included
	load   float64
	seed   uint64
	latest int64 // offset up to which the table knows everything; -1: nothing
}

// keySlot is an entry: 24 bytes, as in Kafka.
type keySlot struct {
	high, low uint64 // of the hash
	next      int64  // offset + 1; 0: the slot is free
}

const (
	keySlotSize = 24
	firstSlots  = 4 << 10
)

// reset empties the table and sets its bounds: bytes of memory, and the share of slots that are filled.
func (t *keyTable) reset(memory int64, load float64) {
	t.most = int(max(memory/keySlotSize, 2))
	t.load = min(max(load, 0.01), 0.95)
	t.latest, t.used = -1, 0
	t.seed |= 1
	t.slots = nil
	t.allocate(min(firstSlots, t.most))
}

func (t *keyTable) allocate(slots int) {
	homes := max(slots-slots/64-32, slots/2, 1) // the rest is a tail for those that are pushed over the end
	t.slots, t.homes = make([]keySlot, max(slots, homes+1)), uint64(homes)
	t.full = max(int(float64(homes)*t.load), 1)
}

// hash multiplies one half by a number that clients do not know: they cannot crowd one part of the table.
func (t *keyTable) hash(key []byte) (high, low uint64) {
	h := sha256.Sum256(key)
	return binary.BigEndian.Uint64(h[:]) * t.seed, binary.BigEndian.Uint64(h[8:])
}

// find returns the slot of a hash, or where it would have to be.
func (t *keyTable) find(high, low uint64) (at int, found bool) {
	home, _ := bits.Mul64(high, t.homes)
	for at = int(home); at < len(t.slots); at++ {
		s := &t.slots[at]
		switch {
		case s.next == 0 || s.high > high || s.high == high && s.low > low:
			return at, false
		case s.high == high && s.low == low:
			return at, true
		}
	}
	return at, false
}

// get returns the last offset of a key, -1 when the table does not know it.
func (t *keyTable) get(key []byte) int64 {
	high, low := t.hash(key)
	if at, found := t.find(high, low); found {
		return t.slots[at].next - 1
	}
	return -1
}

// put takes note of a key. Offsets come in order. False: there is no room, and nothing has changed.
func (t *keyTable) put(key []byte, offset int64) bool {
	high, low := t.hash(key)
	for {
		at, found := t.find(high, low)
		if found {
			t.slots[at].next = offset + 1
			t.latest = max(t.latest, offset)
			return true
		}
		if t.used < t.full && t.insert(at, keySlot{high, low, offset + 1}) {
			t.latest = max(t.latest, offset)
			return true
		}
		if !t.grow() {
			return false
		}
	}
}

// insert moves what is in the way. False: the end of the table is.
func (t *keyTable) insert(at int, s keySlot) bool {
	free := at
	for free < len(t.slots) && t.slots[free].next != 0 {
		free++
	}
	if free == len(t.slots) {
		return false
	}
	copy(t.slots[at+1:free+1], t.slots[at:free])
	t.slots[at] = s
	t.used++
	return true
}

// grow makes a table of four times the size, as far as old and new together stay within the bound. The order of the entries stays, so they are
// copied from front to back.
func (t *keyTable) grow() bool {
	slots := min(4*len(t.slots), t.most-len(t.slots))
	if slots < len(t.slots)*3/2 {
		return false
	}
	old := *t
	t.allocate(slots)
	at := 0
	for _, s := range old.slots {
		if s.next == 0 {
			continue
		}
		home, _ := bits.Mul64(s.high, t.homes)
		if at = max(at, int(home)); at == len(t.slots) {
			*t = old
			return false
		}
		t.slots[at] = s
		at++
	}
	return true
}

// release gives the memory back.
func (t *keyTable) release() { *t = keyTable{} }
