package netio

// A storm is many connections that come or go in one stretch. It leaves a heap that has grown around what opening and closing threw away, and
// the collector sees no reason to run again when silence follows: it waits until as much again is allocated, and up to there the runtime keeps
// what is free. So when a storm is over that memory is given back to the system, once, with one collection. Connections that come and
// go at a steady pace are no storm that ends: they cost nothing here.
type storm struct {
	last  int64 // connections that had come or gone at the last tick
	moved int64 // in this storm
	calm  int   // ticks since
}

const (
	stormSize = 1000 // fewer are not worth a collection
	stormCalm = 3    // ticks without more than a hundredth of a storm: it is over
)

// over takes a tick's count of connections that have come or gone since the start, and says whether a storm of at least size has just ended.
func (s *storm) over(count int64, size int64) bool {
	moved := count - s.last
	s.last = count
	if moved > size/100 {
		s.moved += moved
		s.calm = 0
		return false
	}
	if s.calm++; s.calm != stormCalm {
		return false
	}
	moved, s.moved = s.moved, 0
	return moved >= size
}

// afterStorm is called at each tick.
func (s *Server) afterStorm() {
	accepted := int64(s.lastID.Load())
	if s.storm.over(2*accepted-s.open.Load(), s.options.stormSize) {
		s.options.giveBack()
	}
}
