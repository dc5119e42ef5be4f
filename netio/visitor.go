package netio

import "sync"

// A Visitor does the passes of sleeping loops on goroutines that are no loop's, when they have just finished replies: after a sync, for example. What
// they have finished leaves at once, instead of after a wake-up and a switch of threads. The zero value is ready; it is for one server.
type Visitor struct {
	mu     sync.Mutex
	inside int     // goroutines between Begin and End: one of them pays every visit that is asked for meanwhile
	visits []*loop // asked for
}

// Begin says that the calling goroutine is about to finish replies, and will not block before End.
func (v *Visitor) Begin() {
	v.mu.Lock()
	v.inside++
	v.mu.Unlock()
}

// End pays the visits that have been asked for since, by whomever.
func (v *Visitor) End() {
	for round := 0; ; round++ {
		v.mu.Lock()
		if len(v.visits) == 0 {
			v.inside--
			v.mu.Unlock()
			return
		}
		last := len(v.visits) - 1
		l := v.visits[last]
		v.visits = v.visits[:last]
		v.mu.Unlock()
		if round < maxRounds {
			l.visited()
		} else {
			l.waker.wake() // who made the sync has others to make
		}
	}
}

// ask asks for a visit.
func (v *Visitor) ask(l *loop) bool {
	if v == nil {
		return false
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.inside == 0 {
		return false
	}
	v.visits = append(v.visits, l)
	return true
}
