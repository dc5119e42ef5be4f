package broker

import (
	"sync"
	"sync/atomic"
	"testing"
)

func TestPoolRunsEveryJobAndNeverMoreThanItsBound(t *testing.T) {
	p := pool{max: 3}
	var running, most, done atomic.Int32
	var all sync.WaitGroup
	for range 1000 {
		all.Add(1)
		p.Go(func() {
			defer all.Done()
			now := running.Add(1)
			for {
				m := most.Load()
				if now <= m || most.CompareAndSwap(m, now) {
					break
				}
			}
			done.Add(1)
			running.Add(-1)
		})
	}
	all.Wait()
	p.stop()
	if done.Load() != 1000 || most.Load() > 3 {
		t.Fatalf("%d of 1000 jobs done, %d at once", done.Load(), most.Load())
	}
}

// Jobs may give jobs, also while the pool stops: none is lost.
func TestPoolStopsAfterTheJobsOfItsJobs(t *testing.T) {
	p := pool{max: 2}
	var done atomic.Int32
	var job func(depth int) func()
	job = func(depth int) func() {
		return func() {
			done.Add(1)
			if depth > 0 {
				p.Go(job(depth - 1))
				p.Go(job(depth - 1))
			}
		}
	}
	p.Go(job(7))
	p.stop()
	if done.Load() != 1<<8-1 {
		t.Fatalf("%d jobs ran, not %d", done.Load(), 1<<8-1)
	}
	ran := false
	p.Go(func() { ran = true })
	if !ran {
		t.Error("a job given to a stopped pool did not run")
	}
}

func TestPoolGoAllocatesNothing(t *testing.T) {
	p := pool{max: 1}
	done := make(chan struct{}, 1)
	job := func() { done <- struct{}{} }
	if n := testing.AllocsPerRun(100, func() {
		p.Go(job)
		<-done
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	p.stop()
}
