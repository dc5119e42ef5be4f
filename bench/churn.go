package bench

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// churners is how many connections of the churn are under way at most. A broker that answers none of them makes the rest late,
// and late ones are not left out.
const churners = 256

// churn opens connections on a schedule, asks on each for ApiVersions, and closes it.
type churn struct {
	brokers []string
	rate    float64 // connections a second

	opened atomic.Int64 // and answered
	failed atomic.Int64
	first  atomic.Pointer[error] // of the failures
}

// run keeps to the schedule from begin for a time, and returns when the last one has ended. What the end of ctx cuts short is not
// a failure.
func (c *churn) run(ctx context.Context, begin time.Time, length time.Duration) {
	var under sync.WaitGroup
	defer under.Wait()
	slots := make(chan struct{}, churners)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for i := 0; ; i++ {
		due := time.Duration(float64(i) / c.rate * float64(time.Second))
		if due >= length {
			return
		}
		timer.Reset(time.Until(begin.Add(due)))
		select {
		case <-timer.C:
		case <-ctx.Done():
			return
		}
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return
		}
		under.Go(func() {
			c.once(ctx, c.brokers[i%len(c.brokers)])
			<-slots
		})
	}
}

func (c *churn) once(ctx context.Context, broker string) {
	conn, err := greet(broker)
	switch {
	case err == nil:
		conn.Close()
		c.opened.Add(1)
	case ctx.Err() == nil:
		c.failed.Add(1)
		err = advise(err)
		c.first.CompareAndSwap(nil, &err)
	}
}
