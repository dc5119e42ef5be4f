package broker

import (
	"errors"
	"runtime"
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

// pacer is what one cleaning does between two batches: it yields, keeps to the rate of all, and rests when it is in the way.
type pacer struct {
	throttle *throttle
	rate     func() float64
	bytes    int       // since the last yield
	last     time.Time // of the last yield
}

const (
	// yieldBytes is after how many bytes the cleaner lets others run: it never has a processor for longer than it takes to go through so many.
	yieldBytes = 16 << 10
	// A chunk of so many bytes takes some ten microseconds. When it took congested, something else wants the processors or the disk: the cleaner rests
	// as long as it was kept waiting, up to longestRest, and has neither meanwhile.
	congested   = 2 * time.Millisecond
	longestRest = 20 * time.Millisecond
	// throttleWindow is for how long a rate may be made up for.
	throttleWindow = time.Second
	// shortestWait is what a throttled cleaner does not begin to sleep for.
	shortestWait = 5 * time.Millisecond
)

// pace is called for every batch that is read or written.
func (p *pacer) pace(bytes int) error {
	if p.bytes += bytes; p.bytes < yieldBytes {
		return nil
	}
	now := time.Now()
	var rest time.Duration
	if took := now.Sub(p.last); took > congested && !p.last.IsZero() {
		rest = min(took, longestRest)
	}
	wait := p.throttle.take(p.bytes, p.rate(), now)
	if wait < shortestWait {
		wait = 0
	}
	p.bytes = 0
	err := p.throttle.sleep(max(wait, rest))
	runtime.Gosched()
	p.last = time.Now()
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
