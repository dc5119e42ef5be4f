package broker

import (
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// Each timer fires once, in its millisecond or the next, and those taken off never.
func TestTimersFireWhenDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(1, 2))
		ts := newTimers()
		type shot struct {
			due, fired time.Duration
			cancelled  bool
			timer      timer
		}
		start := time.Now()
		shots := make([]*shot, 500)
		for i := range shots {
			s := &shot{fired: -1}
			ms := r.Int64N(2000)
			s.due = time.Duration(ms) * time.Millisecond
			s.timer.fire = func() {
				if s.fired >= 0 {
					t.Error("fired twice")
				}
				s.fired = time.Since(start)
			}
			shots[i] = s
			ts.add(&s.timer, ms)
			if i%7 == 3 {
				victim := shots[r.IntN(i+1)]
				victim.cancelled = ts.cancel(&victim.timer) || victim.cancelled
			}
		}
		time.Sleep(3 * time.Second)
		synctest.Wait()
		for i, s := range shots {
			switch {
			case s.cancelled && s.fired >= 0:
				t.Errorf("timer %d was cancelled and fired", i)
			case !s.cancelled && (s.fired < s.due || s.fired > s.due+3*time.Millisecond):
				t.Errorf("timer %d due after %v fired after %v", i, s.due, s.fired)
			}
		}
		ts.stop()
	})
}

// Deadlines of one millisecond fire together.
func TestTimersOfOneMillisecondFireTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ts := newTimers()
		var fired atomic.Int32
		for range 100 {
			x := &timer{fire: func() { fired.Add(1) }}
			ts.add(x, 500)
		}
		time.Sleep(400 * time.Millisecond)
		synctest.Wait()
		if fired.Load() != 0 {
			t.Fatalf("%d fired before the first deadline", fired.Load())
		}
		time.Sleep(200 * time.Millisecond)
		synctest.Wait()
		if fired.Load() != 100 {
			t.Fatalf("%d of 100 fired", fired.Load())
		}
		ts.stop()
	})
}

func TestTimersFireAllAtShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ts := newTimers()
		var fired atomic.Int32
		a, b := &timer{fire: func() { fired.Add(1) }}, &timer{fire: func() { fired.Add(1) }}
		ts.add(a, 30_000)
		ts.fireAll()
		ts.add(b, 30_000) // set by a fetch that parked at that moment
		time.Sleep(10 * time.Millisecond)
		synctest.Wait()
		if fired.Load() != 2 {
			t.Fatalf("%d of 2 fired", fired.Load())
		}
		ts.stop()
	})
}

// Setting and cancelling a deadline allocates nothing.
func TestTimersAllocateNothing(t *testing.T) {
	ts := newTimers()
	defer ts.stop()
	x := &timer{fire: func() {}}
	if n := testing.AllocsPerRun(1000, func() {
		ts.add(x, 30_000)
		ts.cancel(x)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
