package broker

import (
	"math"
	"testing"
)

func sessionOf(partitions int, created int64) *session {
	parts := make([]fetchPart, partitions)
	for i := range parts {
		parts[i].key = partKey{name: "t", index: int32(i)}
	}
	return newSession(parts, false, created)
}

// 2.4 #18: with every slot taken a new session gets none, unless one of the old ones is stale, or has had its time and is smaller.
func TestSessionSlots(t *testing.T) {
	const old, now = 0, evictAfter + 1
	for _, c := range []struct {
		name    string
		size    int
		used    int64 // of the one session in the cache
		created int64
		fits    bool
	}{
		{"stale", 1, old, old, true},
		{"in use, has had its time, smaller", 10, now, old, true},
		{"in use, has had its time, as large", 5, now, old, false},
		{"in use, young, smaller", 10, now, now, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			cache := newSessions(1)
			first := sessionOf(5, c.created)
			if !cache.add(first, c.created) {
				t.Fatal("no room in an empty cache")
			}
			first.lastUsed = c.used
			second := sessionOf(c.size, now)
			if got := cache.add(second, now); got != c.fits {
				t.Fatalf("add = %v", got)
			}
			if evicted := cache.get(first.id) == nil; evicted != c.fits {
				t.Errorf("evicted = %v", evicted)
			}
			want := 5
			if c.fits {
				want = c.size
			}
			if cache.partitions != want {
				t.Errorf("%d partitions counted, not %d", cache.partitions, want)
			}
		})
	}
}

// What one client can make the cache remember is bounded.
func TestSessionOfTooManyPartitionsIsNotKept(t *testing.T) {
	cache := newSessions(10)
	if cache.add(sessionOf(maxSessionPartitions+1, 0), 0) {
		t.Error("kept")
	}
	if cache.partitions != 0 || len(cache.byID) != 0 {
		t.Error("counted")
	}
}

func TestSessionEpochsWrapToOne(t *testing.T) {
	if got := nextSessionEpoch(math.MaxInt32); got != 1 {
		t.Errorf("after the largest epoch comes %d", got)
	}
	if got := nextSessionEpoch(1); got != 2 {
		t.Errorf("after 1 comes %d", got)
	}
}

// 2.4 #17: what had data goes behind all others.
func TestSessionRotation(t *testing.T) {
	s := sessionOf(3, 0)
	s.rotate(s.parts[partKey{name: "t", index: 0}])
	s.rotate(s.parts[partKey{name: "t", index: 2}])
	s.remove(partKey{name: "t", index: 1})
	s.put(partKey{name: "t", index: 7}, fetchWant{})
	var order []int32
	for sp := s.first; sp != nil; sp = sp.next {
		order = append(order, sp.index)
	}
	if len(order) != 3 || order[0] != 0 || order[1] != 2 || order[2] != 7 {
		t.Errorf("order is %v", order)
	}
}
