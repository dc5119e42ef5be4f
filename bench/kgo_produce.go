package bench

import (
	"context"
	"math/rand/v2"
	"runtime"
	"sync"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sys/unix"

	"github.com/millrace/millrace/wire"
)

// kgoProducer is one client with a schedule. Its goroutine hands records to the client when they are due; what became of them comes
// back on the client's. A record that the client has no room for keeps its due time: it waits here, and its wait counts.
type kgoProducer struct {
	*run
	client *kgo.Client
	book   *book
	draw   *workload
	values *values
	seal   sealer
	meter  meter
	window int          // records that the client may hold
	made   int          // parcels, at most that many
	room   chan *parcel // those that are free

	schedule, ahead *schedule     // the same times: of what is sent next, and of what is only counted as due
	turn            int           // of records without a key: a batch's worth of them goes to one partition
	full            bool          // there was no room when it was last asked for
	look            time.Duration // what was due by then found room
	freed           time.Duration // when there was room again
	waited          time.Duration // for the next due time, and for room

	mu  sync.Mutex // the recorder's: two goroutines write it
	rec *recorder
}

// parcel is one record on its way through the client. It is used again when the client is done with it.
type parcel struct {
	record   kgo.Record
	value    []byte
	key      []byte
	due      time.Duration
	sequence int64
	done     func(*kgo.Record, error)
}

func newKgoProducer(ctx context.Context, r *run, id int) (*kgoProducer, error) {
	draw := r.words.numbered(r.spec.Seed, id)
	p := &kgoProducer{run: r, book: r.books[id], turn: id * r.spec.BatchRecords, draw: draw, values: newValues(r.spec.Entropy, draw.source), meter: meter{api: wire.KeyProduce}}
	if r.spec.Rate > 0 {
		schedule := func() *schedule {
			return draw.arrivals.Schedule(r.spec.Rate, id, r.spec.Producers, 1, rand.New(rand.NewPCG(r.spec.Seed, ^uint64(id))))
		}
		p.schedule, p.ahead = schedule(), schedule()
	}
	p.rec = r.collect.recorder(produceKind, serviceKind, slipKind)
	p.meter.answered = func(d time.Duration) {
		p.mu.Lock()
		defer p.mu.Unlock()
		if now := p.clock.now(); p.rec.span.measured(now) {
			p.rec.sheet.latency[serviceKind].Record(d)
		}
	}
	p.window = kgoWindow(r.spec, int(draw.sizes.Mean())+p.recordOverhead())
	p.room = make(chan *parcel, p.window)
	var err error
	if p.client, err = p.connect(); err != nil {
		return nil, err
	}
	if err := p.client.Ping(ctx); err != nil {
		p.client.Close()
		return nil, err
	}
	return p, nil
}

func (p *kgoProducer) newParcel() *parcel {
	c := &parcel{}
	c.done = func(_ *kgo.Record, err error) { p.returned(c, err) }
	return c
}

// work sends until the span ends and everything has come back or is given up.
func (p *kgoProducer) work(ctx context.Context) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()                       // the thread lives on: a child that was started on it with a signal for its parent's death would die with it
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)   // best effort
	defer unix.Prctl(unix.PR_SET_TIMERSLACK, 0, 0, 0, 0) // its default
	p.mu.Lock()
	p.rec.start(p.span, p.clock.now())
	p.mu.Unlock()
	ticking, stop := context.WithCancel(ctx)
	var ticker sync.WaitGroup
	ticker.Go(func() { p.tick(ticking) })
	begun := p.clock.now()
	before, told := ownThread()
	p.send(ctx)
	if length := p.clock.now() - begun; length > 0 {
		occupied := length - p.waited
		if after, ok := ownThread(); ok && told {
			occupied = max(occupied, min(after.since(before), length))
		}
		p.worked(float64(occupied) / float64(length))
	}
	p.settle(ctx)
	stop()
	ticker.Wait()
	p.rec.end()
	return nil
}

func (p *kgoProducer) send(ctx context.Context) {
	for ctx.Err() == nil {
		due := p.next()
		if due >= p.span.to {
			return
		}
		if !p.sleep(ctx, due) {
			return
		}
		c := p.take(ctx, due)
		if c == nil {
			return
		}
		now := p.clock.now()
		if p.schedule == nil {
			if due = now; due >= p.span.to {
				p.room <- c
				return
			}
		} else if now > p.span.to+grace { // what is overdue by now will not be sent any more
			p.room <- c
			for ; due < p.span.to; due = p.next() {
				p.unsent.Add(1)
			}
			return
		}
		p.ship(ctx, c, due, now)
	}
}

// next is when the next record is due. Without a schedule that is as soon as there is room.
func (p *kgoProducer) next() time.Duration {
	if p.schedule == nil {
		return max(p.clock.now(), p.span.begin)
	}
	return p.span.begin + p.schedule.Next()
}

// sleep returns at a moment of the clock, false when the run is over before.
func (p *kgoProducer) sleep(ctx context.Context, until time.Duration) bool {
	for {
		now := p.clock.now()
		left := min(until-now, idle)
		if left <= 0 {
			return true
		}
		ts := unix.NsecToTimespec(int64(left))
		_ = unix.ClockNanosleep(unix.CLOCK_MONOTONIC, 0, &ts, nil) // an interrupted sleep is begun again
		p.waited += p.clock.now() - now
		if ctx.Err() != nil {
			return false
		}
	}
}

// take waits for room. Only that wait is not lateness of the generator.
func (p *kgoProducer) take(ctx context.Context, due time.Duration) *parcel {
	before := p.clock.now()
	if !p.full {
		p.look = before
	}
	select {
	case c := <-p.room:
		p.full = false
		return c
	default:
		if p.full = p.made == p.window; !p.full {
			p.made++
			return p.newParcel()
		}
	}
	defer func() {
		p.freed = p.clock.now()
		p.waited += p.freed - before
	}()
	late := time.NewTimer(p.span.to + grace - before)
	defer late.Stop()
	select {
	case c := <-p.room:
		return c
	case <-late.C: // the broker has not given any room since the end of the schedule
		for ; due < p.span.to && p.schedule != nil; due = p.next() {
			p.unsent.Add(1)
		}
		return nil
	case <-ctx.Done():
		return nil
	}
}

// ship makes a record and hands it to the client.
func (p *kgoProducer) ship(ctx context.Context, c *parcel, due, now time.Duration) {
	c.key = p.draw.keys.Draw(c.key[:0], p.draw.random)
	size := p.draw.sizes.Draw(p.draw.random)
	if cap(c.value) < size {
		c.value = make([]byte, size)
	}
	c.value = c.value[:size]
	p.values.Fill(c.value[MinSize:])
	c.record = kgo.Record{Topic: p.place.topic, Partition: p.choose(c.key), Key: c.key, Value: c.value, Timestamp: p.clock.zero.Add(now)}
	c.due, c.sequence = due, p.book.sent(c.record.Partition, 1)
	p.seal.seal(c.value, stamp{run: p.id, producer: p.book.producer, sequence: c.sequence, due: due}, xxhash.Sum64(c.value[MinSize:]), c.key)
	p.mu.Lock()
	p.rec.turn(now)
	if p.schedule == nil {
		p.rec.due(1)
	} else {
		p.rec.ready(due, lateness(due, p.look, p.freed, now), 1)
	}
	p.mu.Unlock()
	p.client.Produce(ctx, &c.record, c.done)
}

// choose is the partition of a record: its key's, or the one whose turn it is.
func (p *kgoProducer) choose(key []byte) int32 {
	if key != nil {
		return KeyPartition(key, p.spec.Partitions)
	}
	p.turn++
	return int32((p.turn - 1) / p.spec.BatchRecords % p.spec.Partitions)
}

// returned is called when the client is done with a record. The client calls one at a time.
func (p *kgoProducer) returned(c *parcel, err error) {
	p.mu.Lock()
	now := p.clock.now()
	p.rec.turn(now)
	if err != nil {
		p.errors.note("produce to partition %d: %v", c.record.Partition, err)
		p.book.failed(c.record.Partition, c.sequence, 1)
		p.rec.failed(1)
		c = p.newParcel() // a request with the old one may still be on its way out
	} else {
		p.rec.returned(now, c.due, int64(len(c.key)+len(c.value)))
		p.acked.Add(1)
	}
	p.mu.Unlock()
	p.room <- c
}

// returned notes the acknowledgement of one record of a client that makes its own requests.
func (c *recorder) returned(now, due time.Duration, bytes int64) {
	c.done++
	c.sheet.acked++
	c.sheet.bytes += bytes
	if c.span.measured(due) {
		c.sheet.latency[produceKind].Record(now - due)
	}
}

// tick counts what becomes due and hands in the seconds, also while nothing comes and nothing goes.
func (p *kgoProducer) tick(ctx context.Context) {
	ticker := time.NewTicker(idle)
	defer ticker.Stop()
	next := never
	if p.ahead != nil {
		next = p.span.begin + p.ahead.Next()
	}
	for done := false; !done; {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			done = true
		}
		p.mu.Lock()
		now := p.clock.now()
		p.rec.turn(now)
		for ; next <= now && next < p.span.to; next = p.span.begin + p.ahead.Next() {
			p.rec.due(1)
		}
		p.rec.sheet.requests += p.meter.requests.Swap(0)
		p.rec.sheet.raw += p.meter.raw.Swap(0)
		p.rec.sheet.sent += p.meter.sent.Swap(0)
		p.mu.Unlock()
	}
}

// settle waits until the client is done with everything. It gives up a record after answerTimeout.
func (p *kgoProducer) settle(ctx context.Context) {
	if err := p.client.Flush(ctx); err != nil {
		p.client.Close() // ends the wait for what may have been sent and cannot be called back
	}
	for range p.made { // each promise returns its parcel last
		<-p.room
	}
}
