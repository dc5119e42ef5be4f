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

// Nor can it grow beyond that, with one session or many: the one that would is forgotten, and its share with it.
func TestSessionsThatGrowTooLargeAreForgotten(t *testing.T) {
	cache := newSessions(10)
	first, second := sessionOf(10, 0), sessionOf(10, 0)
	if !cache.add(first, 0) || !cache.add(second, 0) {
		t.Fatal("no room in an empty cache")
	}
	if !cache.count(first, maxCachedPartitions-20) {
		t.Error("what fits was refused")
	}
	if cache.count(second, 1) || cache.get(second.id) != nil {
		t.Error("grown beyond all bounds")
	}
	if cache.get(first.id) == nil || cache.partitions != maxCachedPartitions-10 {
		t.Errorf("%d partitions are counted for the other session", cache.partitions)
	}
	// The end of a session takes back what was counted, whatever it has become meanwhile.
	clear(first.parts)
	cache.end(first.id)
	if !cache.count(first, -5) || cache.partitions != 0 {
		t.Errorf("%d partitions are counted for nobody", cache.partitions)
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
