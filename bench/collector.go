package bench

import (
	"math"
	"slices"
)

// collector puts the workers' sheets together, second by second. Its run is one goroutine; what it gathered is read when that has
// ended. Recorders are made before run begins.
type collector struct {
	span    span
	in      chan *sheet
	workers []*recorder
	observe func(*Second) // adds what else is known of a second; may be nil
	publish func(Second)  // may be nil

	reached   []int             // by worker: seconds before this one are handed in
	open      map[int]*tally    // seconds that are not complete
	next      int               // the second that is published next
	series    []Second          // warm-up and window
	intervals []interval        // as above
	total     [kinds]*Latencies // of the window's records
	window    sheet             // sums over the window
	whole     sheet             // sums over the run
	peak      int64             // of the backlog
}

// tally is a second in the making.
type tally struct {
	sum     sheet
	latency [2]*Latencies // produce and end to end
	slip    *Latencies
}

func newTally() *tally {
	return &tally{latency: [2]*Latencies{NewLatencies(), NewLatencies()}, slip: NewLatencies()}
}

func newCollector() *collector {
	c := &collector{in: make(chan *sheet, 16), open: map[int]*tally{}}
	for k := range c.total {
		c.total[k] = NewLatencies()
	}
	return c
}

// recorder makes the recorder of one more worker, which writes down these kinds.
func (c *collector) recorder(records ...kind) *recorder {
	r := newRecorder(len(c.workers), c.in, records)
	c.workers = append(c.workers, r)
	return r
}

// run takes sheets until every worker has ended.
func (c *collector) run(s span) {
	c.span, c.next = s, s.second(s.begin)
	c.reached = make([]int, len(c.workers))
	for i := range c.reached {
		c.reached[i] = math.MaxInt // has not begun: nobody waits for it
	}
	for left := len(c.workers); left > 0; {
		s := <-c.in
		worker := s.worker
		switch {
		case s.last:
			left--
			c.reached[worker] = math.MaxInt
		case s.second == beforehand:
			c.reached[worker] = c.next
		default:
			c.reached[worker] = s.second + 1
		}
		c.add(s)
		s.clear()
		c.workers[worker].spare <- s
		c.advance()
	}
}

func (c *collector) add(s *sheet) {
	c.whole.plus(s)
	if s.second >= 0 && s.second < c.span.seconds() {
		c.window.plus(s)
	}
	for k, l := range s.latency {
		if l != nil {
			c.total[k].Merge(l)
		}
	}
	if s.second == beforehand {
		return
	}
	second := max(s.second, c.next) // the last sheet of a worker may come when its second is out
	t := c.open[second]
	if t == nil {
		t = newTally()
		c.open[second] = t
	}
	t.sum.plus(s)
	for k, l := range t.latency {
		if from := s.latency[k]; from != nil {
			l.Merge(from)
		}
	}
	if from := s.latency[slipKind]; from != nil {
		t.slip.Merge(from)
	}
}

func (s *sheet) plus(o *sheet) {
	s.asked += o.asked
	s.acked += o.acked
	s.failed += o.failed
	s.bytes += o.bytes
	s.requests += o.requests
	s.raw += o.raw
	s.sent += o.sent
	s.consumed += o.consumed
	s.fetchedSize += o.fetchedSize
	s.fetches += o.fetches
	s.backlog += o.backlog
	s.peak += o.peak // of each worker: their sum is no less than the peak of all
}

// advance makes the seconds that every worker has passed.
func (c *collector) advance() {
	passed := slices.Min(c.reached)
	for ; c.next < passed && (len(c.open) > 0 || c.next < c.span.seconds()); c.next++ {
		t := c.open[c.next]
		if t == nil {
			t = newTally()
		}
		delete(c.open, c.next)
		second := t.second(c.next)
		if c.observe != nil {
			c.observe(&second)
		}
		if c.next < c.span.seconds() {
			c.peak = max(c.peak, t.sum.peak)
			c.series = append(c.series, second)
			c.intervals = append(c.intervals, t.interval())
		}
		if c.publish != nil {
			c.publish(second)
		}
	}
}

func (t *tally) second(n int) Second {
	s := Second{
		Second: n, Asked: float64(t.sum.asked), Acked: t.sum.acked, Consumed: t.sum.consumed, Bytes: t.sum.bytes, Backlog: t.sum.backlog,
		Produce: percentiles(t.latency[produceKind]), EndToEnd: percentiles(t.latency[endToEndKind]), Slip: t.slip.Summary().P99,
	}
	switch {
	case s.EndToEnd != nil:
		s.Heat = heat(t.latency[endToEndKind])
	case s.Produce != nil:
		s.Heat = heat(t.latency[produceKind])
	}
	return s
}

func percentiles(l *Latencies) map[string]float64 {
	if l.histogram.TotalCount() == 0 {
		return nil
	}
	s := l.Summary()
	return map[string]float64{"p50": s.P50, "p99": s.P99, "p99.9": s.P999, "max": s.Max}
}
