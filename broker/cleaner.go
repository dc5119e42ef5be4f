package broker

import (
	"errors"
	"sync"
	"time"

	"github.com/millrace/millrace/engine"
	"github.com/millrace/millrace/replica"
)

// cleaner compacts the logs of compacted topics, the dirtiest first. Its one goroutine looks for work and starts up to log.cleaner.threads cleanings;
// it sleeps log.cleaner.backoff.ms when there is none. All that it needs of memory it takes for a cleaning, so an idle one costs a look at the table
// of partitions.
type cleaner struct {
	n     *Node
	stop  chan struct{}
	done  chan struct{}
	ended chan cleaning // cleanings that have

	busy        map[folder]bool
	uncleanable map[*replica.Partition]bool // an error that will not go away: not tried again before a restart
	throttle    throttle
}

type cleaning struct {
	p   *replica.Partition
	err error
}

// folder is where a partition's files are. A cleaning of a topic that was deleted ends soon, but until then another one of that name must not be
// cleaned beside it: their new files would have the same names.
type folder struct {
	topic string
	index int32
}

func folderOf(p *replica.Partition) folder { return folder{p.Topic.Name, p.Index} }

var errStopping = errors.New("the node stops")

func newCleaner(n *Node) *cleaner {
	c := &cleaner{n: n, stop: make(chan struct{}), done: make(chan struct{}), ended: make(chan cleaning)}
	c.busy, c.uncleanable = map[folder]bool{}, map[*replica.Partition]bool{}
	c.throttle.stop = c.stop
	return c
}

// end stops the cleaner and waits until no cleaning is under way.
func (c *cleaner) end() {
	close(c.stop)
	<-c.done
}

func (c *cleaner) run() {
	defer close(c.done)
	if !c.n.config.Bool("log.cleaner.enable") {
		<-c.stop
		return
	}
	pause := time.NewTimer(c.backoff())
	defer pause.Stop()
	for {
		select {
		case <-c.stop:
			for len(c.busy) > 0 {
				c.over(<-c.ended)
			}
			return
		case e := <-c.ended:
			if c.over(e); e.err != nil {
				continue // not again before the pause is over
			}
		case <-pause.C:
		}
		for len(c.busy) < c.n.config.Int("log.cleaner.threads") && c.next() {
		}
		pause.Reset(c.backoff())
	}
}

func (c *cleaner) backoff() time.Duration {
	return max(c.n.config.Duration("log.cleaner.backoff.ms"), time.Millisecond)
}

// next begins a cleaning of the dirtiest log that is due.
func (c *cleaner) next() bool {
	var filthiest *replica.Partition
	var most float64
	for p := range c.uncleanable {
		if p.Removed() {
			delete(c.uncleanable, p)
		}
	}
	c.n.table.Each(func(p *replica.Partition) bool {
		select {
		case <-c.stop:
			return false
		default:
		}
		if !p.Topic.Config().CleanupCompact || c.busy[folderOf(p)] || c.uncleanable[p] {
			return true
		}
		dirt, err := p.Cleanable(c.n.now())
		if err != nil {
			c.failed(p, err)
		} else if dirt.Due && dirt.Ratio() > most {
			filthiest, most = p, dirt.Ratio()
		}
		return true
	})
	if filthiest == nil {
		return false
	}
	c.busy[folderOf(filthiest)] = true
	threads := max(c.n.config.Int64("log.cleaner.threads"), 1)
	p := &pacer{throttle: &c.throttle, rate: func() float64 { return c.n.config.Float("log.cleaner.io.max.bytes.per.second") }}
	engineCleaner := engine.NewCleaner(engine.CleanerOptions{
		KeyBytes:   max(c.n.config.Int64("log.cleaner.dedupe.buffer.size")/threads, 1),
		LoadFactor: c.n.config.Float("log.cleaner.io.buffer.load.factor"),
		IOBytes:    max(int(c.n.config.Int64("log.cleaner.io.buffer.size")/threads/2), 1),
		Pace:       p.pace,
	})
	go func() {
		_, err := filthiest.Clean(engineCleaner, c.n.now())
		c.ended <- cleaning{filthiest, err}
	}()
	return true
}

// over takes note of a cleaning that has ended.
func (c *cleaner) over(e cleaning) {
	delete(c.busy, folderOf(e.p))
	if e.err != nil {
		c.failed(e.p, e.err)
	}
}

func (c *cleaner) failed(p *replica.Partition, err error) {
	switch {
	case errors.Is(err, errStopping) || errors.Is(err, engine.ErrOffline) || isWait(err) || p.Removed():
	case engine.IsCleanerPaused(err):
		c.n.log.Info("a compaction is tried again later", "topic", p.Topic.Name, "partition", p.Index, "err", err)
	default:
		c.uncleanable[p] = true
		c.n.log.Error("a partition is not compacted any more before a restart", "topic", p.Topic.Name, "partition", p.Index, "err", err)
	}
}

// pacer is what one cleaning does between two batches: it keeps to the rate of all, and rests.
type pacer struct {
	throttle *throttle
	rate     func() float64
	bytes    int       // since it last looked
	began    time.Time // when the last rest ended
}

const (
	// lookBytes is after how many bytes the cleaner looks at the clock.
	lookBytes = 16 << 10
	// A cleaning works for about workFor and then rests restShare times as long as that took: it has at most a quarter of a processor, and of the disk's
	// time. What kept it waiting meanwhile, a processor or a disk that others want, makes the rest longer, up to longestRest.
	workFor     = 500 * time.Microsecond
	restShare   = 3
	longestRest = 50 * time.Millisecond
	// throttleWindow is for how long a rate may be made up for.
	throttleWindow = time.Second
	// shortestWait is what a throttled cleaner does not begin to sleep for.
	shortestWait = 5 * time.Millisecond
)

// pace is called for every batch that is read or written.
func (p *pacer) pace(bytes int) error {
	if p.bytes += bytes; p.bytes < lookBytes {
		return nil
	}
	now := time.Now()
	wait := p.throttle.take(p.bytes, p.rate(), now)
	p.bytes = 0
	if wait < shortestWait {
		wait = 0
	}
	if p.began.IsZero() {
		p.began = now
	}
	if took := now.Sub(p.began); took >= workFor {
		wait = max(wait, min(restShare*took, longestRest))
	}
	err := p.throttle.sleep(wait)
	if wait > 0 {
		p.began = time.Now()
	}
	return err
}

// throttle holds all cleanings together to log.cleaner.io.max.bytes.per.second.
type throttle struct {
	stop <-chan struct{}

	mu      sync.Mutex
	counted int // bytes since began
	began   time.Time
}

// take counts bytes and returns how long to wait after them.
func (t *throttle) take(bytes int, rate float64, now time.Time) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	due := func() time.Duration { return time.Duration(min(float64(t.counted)/rate, 3600) * float64(time.Second)) }
	passed := now.Sub(t.began)
	if passed > max(due(), throttleWindow) {
		t.began, t.counted, passed = now, 0, 0
	}
	t.counted += bytes
	return due() - passed
}

// sleep ends early, with an error, when the node stops.
func (t *throttle) sleep(wait time.Duration) error {
	if wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-t.stop:
		case <-timer.C:
		}
	}
	select {
	case <-t.stop:
		return errStopping
	default:
		return nil
	}
}
