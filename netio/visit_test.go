package netio

import (
	"testing"
)

// sleeper is the waker of a loop without a goroutine.
type sleeper struct{ woken int }

func (s *sleeper) wake() { s.woken++ }

func twoLoops() (s *Server, busy, idle *loop, alarm *sleeper) {
	s = &Server{options: Options{}.withDefaults()}
	busy, idle = newLoop(s, 0), newLoop(s, 1)
	s.loops = []*loop{busy, idle}
	alarm = &sleeper{}
	busy.waker, idle.waker = &sleeper{}, alarm
	busy.transport, idle.transport = nowhere{}, nowhere{}
	return s, busy, idle, alarm
}

// What another loop leads to while it works is done at the end of its pass, in the sleeper's place and without waking it.
func TestALoopAtWorkVisitsASleeper(t *testing.T) {
	_, busy, idle, alarm := twoLoops()
	var done []string
	busy.begin()
	idle.post(func() {
		done = append(done, "first")
		if !idle.away {
			t.Error("the visitor does not know that it is one")
		}
		idle.post(func() { done = append(done, "more of it") })
		busy.post(func() { done = append(done, "back") })
	})
	idle.post(func() { done = append(done, "second") })
	if len(done) != 0 {
		t.Error("done in the middle of the other's pass")
	}
	busy.end()
	if len(done) != 4 || done[0] != "first" || done[1] != "second" || alarm.woken != 0 {
		t.Errorf("done %q, woken %d times", done, alarm.woken)
	}
	if idle.away || idle.inbox.awake || busy.inbox.awake {
		t.Error("somebody is still at work")
	}
	idle.post(func() {})
	if alarm.woken != 1 {
		t.Errorf("nobody was at work, and it was woken %d times", alarm.woken)
	}
}

// Much to do is worth a wake-up: then two loops work at the same time.
func TestMuchIsNotDoneOnAVisit(t *testing.T) {
	_, busy, idle, alarm := twoLoops()
	done := 0
	busy.begin()
	for range maxVisited + 1 {
		idle.post(func() { done++ })
	}
	busy.end()
	if done != 0 || alarm.woken != 1 {
		t.Errorf("%d done, woken %d times", done, alarm.woken)
	}
	idle.pass()
	if done != maxVisited+1 {
		t.Errorf("%d done in its own pass", done)
	}
}

// A loop that has got up by itself meanwhile is not visited, and nothing is lost.
func TestAVisitThatFindsNobodyAsleep(t *testing.T) {
	_, busy, idle, alarm := twoLoops()
	done := 0
	busy.begin()
	idle.post(func() { done++ })
	idle.pass() // an event of its own came first
	busy.end()
	if done != 1 || alarm.woken != 0 {
		t.Errorf("%d done, woken %d times", done, alarm.woken)
	}

	busy.begin()
	idle.post(func() { done++ })
	idle.turn.Lock() // it is at work now, and may have looked into its inbox already
	busy.end()
	idle.turn.Unlock()
	if alarm.woken != 1 {
		t.Errorf("woken %d times, want once: its pass may not see the item", alarm.woken)
	}
}

// gnet closes a socket on its loop's goroutine only.
func TestAVisitorClosesNothing(t *testing.T) {
	s, busy, idle, alarm := twoLoops()
	s.drain.done = make(chan struct{})
	closed := 0
	s.handler = funcs{closed: func(*Conn, error) { closed++ }}
	c := &Conn{id: 1<<loopBits | 1, loop: idle, listener: &listener{name: "visit"}, fd: -1}
	s.open.Add(1)
	idle.begin()
	c.opened(-1, nowhere{})
	idle.end()
	busy.begin()
	idle.post(func() { c.Close(ErrIdle) })
	busy.end()
	if closed != 0 || alarm.woken != 1 {
		t.Errorf("closed %d, woken %d times", closed, alarm.woken)
	}
	idle.pass()
	if closed != 1 {
		t.Errorf("closed %d times in its own pass", closed)
	}
}

// A goroutine that is no loop's pays visits, too, as long as it says that it is there.
func TestAVisitorIsNoLoop(t *testing.T) {
	s, _, idle, alarm := twoLoops()
	var v Visitor
	s.options.Visitor = &v
	var done []string
	v.Begin()
	idle.post(func() {
		done = append(done, "first")
		idle.post(func() { done = append(done, "more of it") })
	})
	if len(done) != 0 {
		t.Error("done before the visitor came")
	}
	v.End()
	if len(done) != 2 || alarm.woken != 0 {
		t.Errorf("done %q, woken %d times", done, alarm.woken)
	}

	v.Begin()
	v.Begin() // a second goroutine
	idle.post(func() { done = append(done, "of either") })
	v.End()
	if len(done) != 3 {
		t.Error("the first who ends leaves it to the other")
	}
	idle.post(func() { done = append(done, "of the one who is left") })
	v.End()
	if len(done) != 4 || alarm.woken != 0 {
		t.Errorf("done %q, woken %d times", done, alarm.woken)
	}
	idle.post(func() {})
	if alarm.woken != 1 {
		t.Errorf("no visitor is there, and it was woken %d times", alarm.woken)
	}
}

// A visitor does not become everybody's loop: what is asked for without end is left to the loops.
func TestAVisitorLeaves(t *testing.T) {
	s, busy, idle, _ := twoLoops()
	var v Visitor
	s.options.Visitor = &v
	done := 0
	var back, forth func()
	back = func() { done++; busy.post(forth) }
	forth = func() { done++; idle.post(back) }
	v.Begin()
	idle.post(back)
	v.End()
	if done == 0 || done > 2*maxRounds {
		t.Errorf("%d done", done)
	}
}
