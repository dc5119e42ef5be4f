package group

import "container/heap"

// timer is one planned thing of a shard. Sessions are prolonged all the time and expire hardly ever, so a timer that moves back only notes
// when it is really due; it is put in its new place when its old one comes up.
type timer struct {
	owner interface{ expire(s *Shard, now int64) }
	at    int64  // place in the heap; never after due
	due   int64  // when to call the owner
	order uint64 // among those of one time, the first one put there comes first
	index int    // in the heap, plus 1; 0: not planned
}

// timers is a heap by time and order.
type timers struct {
	heap []*timer
	last uint64 // order given out
}

func (t *timers) Len() int { return len(t.heap) }

func (t *timers) Less(i, j int) bool {
	a, b := t.heap[i], t.heap[j]
	return a.at < b.at || a.at == b.at && a.order < b.order
}

func (t *timers) Swap(i, j int) {
	t.heap[i], t.heap[j] = t.heap[j], t.heap[i]
	t.heap[i].index, t.heap[j].index = i+1, j+1
}

func (t *timers) Push(x any) {
	t.heap = append(t.heap, x.(*timer))
	t.heap[len(t.heap)-1].index = len(t.heap)
}

func (t *timers) Pop() any {
	last := t.heap[len(t.heap)-1]
	t.heap[len(t.heap)-1] = nil
	t.heap = t.heap[:len(t.heap)-1]
	last.index = 0
	return last
}

// plan makes x due at a time, instead of when it was due before.
func (t *timers) plan(x *timer, due int64) {
	x.due = due
	if x.index != 0 && due >= x.at {
		return
	}
	x.at = due
	t.last++
	x.order = t.last
	if x.index != 0 {
		heap.Fix(t, x.index-1)
	} else {
		heap.Push(t, x)
	}
}

func (t *timers) cancel(x *timer) {
	if x.index != 0 {
		heap.Remove(t, x.index-1)
	}
}

// next takes out the first timer that is due.
func (t *timers) next(now int64) *timer {
	for len(t.heap) > 0 && t.heap[0].at <= now {
		x := t.heap[0]
		if x.due > x.at {
			x.at = x.due
			heap.Fix(t, 0)
			continue
		}
		heap.Pop(t)
		return x
	}
	return nil
}

// Deadline is when Advance may have something to do at the earliest, -1 when nothing is planned.
func (s *Shard) Deadline() int64 {
	if len(s.timers.heap) == 0 {
		return -1
	}
	return s.timers.heap[0].at
}

// Advance does what is due: sessions and rebalances time out, delays end.
func (s *Shard) Advance(now int64) {
	for x := s.timers.next(now); x != nil; x = s.timers.next(now) {
		x.owner.expire(s, now)
	}
}
