package coord

import (
	"slices"
	"sync"
)

// maxFlights is how many shards have a batch under way at a time. A disk that is asked for more flushes at once does not do more; a shard that
// waits for its turn goes on gathering, so that its batch carries more. Without this, many groups on many partitions would pay a flush a commit.
const maxFlights = 4

// turns hands out the right to have a batch under way, first come, first served.
type turns struct {
	mu      sync.Mutex
	taken   int
	waiting []*shard
}

// turn is what a shard has of it. Guarded by turns.mu.
type turn uint8

const (
	noTurn turn = iota
	waitsForTurn
	hasTurn
)

// take is whether the shard has a turn. If not, it is woken when it has.
func (t *turns) take(s *shard) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s.turn == noTurn && t.taken < maxFlights {
		t.taken++
		s.turn = hasTurn
	} else if s.turn == noTurn {
		s.turn = waitsForTurn
		t.waiting = append(t.waiting, s)
	}
	return s.turn == hasTurn
}

// end gives the shard's turn to the next, or takes the shard out of those who wait for one.
func (t *turns) end(s *shard) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch s.turn {
	case waitsForTurn:
		t.waiting = slices.DeleteFunc(t.waiting, func(x *shard) bool { return x == s })
	case hasTurn:
		if len(t.waiting) == 0 {
			t.taken--
			break
		}
		next := t.waiting[0]
		t.waiting = slices.Delete(t.waiting, 0, 1)
		next.turn = hasTurn
		next.signal()
	}
	s.turn = noTurn
}
