package meta

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
)

func contents(s sorted[string, int]) (keys []string, values map[string]int) {
	values = map[string]int{}
	s.each(func(k string, v int) bool {
		keys = append(keys, k)
		values[k] = v
		return true
	})
	return keys, values
}

// A sorted map does what a map does, in the order of its keys, and no change of one reaches another.
func TestSortedIsAMapInOrder(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	type version struct {
		s     sorted[string, int]
		model map[string]int
	}
	now := version{model: map[string]int{}}
	var history []version
	for i := range 20_000 {
		k := fmt.Sprintf("k%d", r.IntN(700))
		if i > 15_000 && i%3 != 0 || i%7 == 0 {
			now.s = now.s.remove(k)
			delete(now.model, k)
		} else {
			now.s = now.s.put(k, i)
			now.model[k] = i
		}
		if v, ok := now.s.get(k); ok != now.s.has(k) || v != now.model[k] {
			t.Fatalf("step %d: get %s: %d %t, want %d", i, k, v, ok, now.model[k])
		}
		if i%1999 == 0 {
			history = append(history, version{now.s, maps.Clone(now.model)})
		}
	}
	for i, v := range append(history, now) {
		keys, values := contents(v.s)
		if !maps.Equal(values, v.model) || v.s.count != len(v.model) {
			t.Errorf("version %d has changed", i)
		}
		if !slices.IsSorted(keys) {
			t.Errorf("version %d: keys out of order", i)
		}
		for _, c := range v.s.chunks {
			if len(c) == 0 || len(c) > maxChunk {
				t.Errorf("version %d: a chunk of %d", i, len(c))
			}
		}
	}
}

func TestSortedStopsWhenToldTo(t *testing.T) {
	var s sorted[int32, string]
	for i := range int32(200) {
		s = s.put(i, "")
	}
	seen := 0
	s.each(func(k int32, _ string) bool { seen++; return k < 99 })
	if seen != 100 {
		t.Errorf("saw %d entries, want 100", seen)
	}
}

// Keys that arrive in order leave full chunks behind them.
func TestSortedPacksAscendingKeys(t *testing.T) {
	var s sorted[int32, int]
	for i := range int32(maxChunk * 10) {
		s = s.put(i, 0)
	}
	if len(s.chunks) > 11 {
		t.Errorf("%d chunks for %d entries", len(s.chunks), s.count)
	}
}
