package bench

import (
	"math"
	"time"
)

// sheet is one second as one goroutine of the generator saw it.
type sheet struct {
	worker, second int
	last           bool // the worker has ended

	asked, acked, failed  int64
	bytes, requests       int64
	raw, sent             int64 // bytes of batches before and after compression
	consumed, fetchedSize int64
	fetches               int64
	backlog, peak         int64 // due and not yet acknowledged: at the end, at most

	latency [kinds]*Latencies // nil: never recorded by this worker
}

// kind numbers the distributions of a result.
type kind int

const (
	produceKind kind = iota
	endToEndKind
	serviceKind
	slipKind
	catchUpKind
	kinds
)

var kindNames = [kinds]string{LatencyProduce, LatencyEndToEnd, LatencyService, LatencySlip, LatencyCatchUp}

func (s *sheet) clear() {
	latency := s.latency
	for _, l := range latency {
		if l != nil {
			l.Reset()
		}
	}
	*s = sheet{worker: s.worker, latency: latency}
}

// recorder is where one goroutine writes down what it does, without locks: a full sheet goes to the collector and an empty one
// takes its place. Its owner calls turn at least a few times a second.
type recorder struct {
	worker, made int
	kinds        []kind
	span         span
	out          chan<- *sheet
	spare        chan *sheet
	sheet        *sheet
	until        time.Duration // the sheet is full

	asked, done int64 // of the whole run: their difference is the backlog
}

// sheetsOfWorker is how many sheets a worker has at most: one it writes, the others on their way through the collector.
const sheetsOfWorker = 4

func newRecorder(worker int, out chan<- *sheet, records []kind) *recorder {
	c := &recorder{worker: worker, kinds: records, out: out, spare: make(chan *sheet, sheetsOfWorker)}
	c.sheet = c.empty()
	c.sheet.second, c.until, c.span = beforehand, never, span{never, never, never}
	return c
}

// empty returns a sheet to write on: a new one, when none has come back and there are not too many.
func (c *recorder) empty() *sheet {
	if c.made == sheetsOfWorker {
		return <-c.spare
	}
	select {
	case s := <-c.spare:
		return s
	default:
	}
	c.made++
	s := &sheet{worker: c.worker}
	for _, k := range c.kinds {
		s.latency[k] = NewLatencies()
	}
	return s
}

// beforehand is the second of all that happens before the schedule begins: a backlog produced in advance. It is counted, not
// measured.
const beforehand = math.MinInt

// start begins the first second.
func (c *recorder) start(s span, now time.Duration) {
	c.out <- c.sheet
	c.span = s
	c.open(now)
}

func (c *recorder) open(now time.Duration) {
	c.sheet = c.empty()
	c.sheet.second = c.span.second(now)
	c.until = c.span.end(c.sheet.second)
}

// turn hands in the sheet of a second that is over.
func (c *recorder) turn(now time.Duration) {
	if backlog := c.asked - c.done; backlog > c.sheet.peak {
		c.sheet.peak = backlog
	}
	if now < c.until {
		return
	}
	c.sheet.backlog = c.asked - c.done
	c.out <- c.sheet
	c.open(now)
}

// end hands in the last sheet.
func (c *recorder) end() {
	c.sheet.backlog, c.sheet.last = c.asked-c.done, true
	c.out <- c.sheet
}

// due notes that n records became due.
func (c *recorder) due(n int) {
	c.sheet.asked += int64(n)
	c.asked += int64(n)
}

// ready notes that the generator was ready to send n records late by so much, the wait for the in-flight window not counted.
func (c *recorder) ready(due, late time.Duration, n int) {
	if c.span.measured(due) {
		c.sheet.latency[slipKind].RecordN(late, int64(n))
	}
}

// acked notes the acknowledgement of a request with n records.
func (c *recorder) acked(now, due, sent time.Duration, n int, bytes int64) {
	c.done += int64(n)
	s := c.sheet
	s.requests++
	s.acked += int64(n)
	s.bytes += bytes
	if c.span.measured(due) {
		s.latency[produceKind].RecordN(now-due, int64(n))
		s.latency[serviceKind].RecordN(now-sent, int64(n))
	}
}

// failed notes n records that will not be acknowledged.
func (c *recorder) failed(n int) {
	c.done += int64(n)
	c.sheet.failed += int64(n)
}

// consumed notes n records of the same due time.
func (c *recorder) consumed(now, due time.Duration, n int) {
	if c.span.measured(due) {
		c.sheet.latency[endToEndKind].RecordN(now-due, int64(n))
	}
}

// catchingUp notes the same of a consumer that still read the backlog.
func (c *recorder) catchingUp(now, due time.Duration, n int) {
	if c.span.measured(due) {
		c.sheet.latency[catchUpKind].RecordN(now-due, int64(n))
	}
}

// fetched notes a fetch that brought so much.
func (c *recorder) fetched(records int, bytes int64) {
	c.sheet.fetches++
	c.sheet.consumed += int64(records)
	c.sheet.fetchedSize += bytes
}
