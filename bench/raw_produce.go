package bench

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"golang.org/x/sys/unix"
)

// sendLoop is a thread with its producers.
type sendLoop struct {
	*run
	loop     *loop
	rec      *recorder
	workload *workload
	keys     *keyStock
	stock    *templates
	seal     sealer
	senders  []*sender
	links    []*sendLink // by the loop's numbers
}

// sender is one producer of raw mode: a schedule, and a connection to every leader.
type sender struct {
	*sendLoop
	book          *book
	links         []*sendLink // by partition
	own           []*sendLink
	producerID    int64
	producerEpoch int16
	base          []int64 // by partition: the record with which this producer id's sequence begins, 0 unless there is a backlog

	schedule, ahead *schedule     // the same times: of what is sent next, and of what is only counted as due
	due, nextDue    time.Duration // their next times
	deal            *dealer
	partition       int32         // of the next batch, whose keys are in shipment
	full            bool          // the window was, when it was last looked at
	look            time.Duration // what was due by then found room
	freed           time.Duration // when the last batch that found the window full had room: what goes to other leaders waited behind it
	done            bool
	left            int64 // bytes of a backlog to produce, when that is what is done
	shipment        shipment
}

// sendLink is a producer's connection to a leader.
type sendLink struct {
	*link
	sender      *sender
	flights     []flight // a ring of the requests without an answer
	first, n    int
	correlation int32
	freed       time.Duration // when the window had room again
	pushed      int64         // bytes given to the link in all
	told        bool          // that it is broken
}

// flight is a request on its way.
type flight struct {
	correlation int32
	partition   int32
	records     int
	first       int64
	due, sent   time.Duration
	bytes       int64
	end         int64 // of its frame in what was pushed
}

func newSendLoop(r *run, c *collector, number int) (*sendLoop, error) {
	w := r.words.numbered(r.spec.Seed, number)
	s := &sendLoop{run: r, rec: c.recorder(produceKind, serviceKind, slipKind), workload: w}
	s.keys = newKeyStock(r.spec, w)
	var err error
	if s.stock, err = newTemplates(r.spec, r.place.topic, r.id, w); err != nil {
		return nil, err
	}
	s.loop, err = newLoop(r.clock)
	return s, err
}

func newSender(r *run, id int32, s *sendLoop) *sender {
	p := &sender{sendLoop: s, book: r.books[id], producerID: -1, deal: newDealer(r.spec, s.workload, s.keys, int(id))}
	if r.spec.Rate > 0 {
		schedule := func() *schedule {
			source := rand.New(rand.NewPCG(^r.spec.Seed, uint64(id)))
			return s.workload.arrivals.Schedule(r.spec.Rate, int(id), r.spec.Producers, r.spec.BatchRecords, source)
		}
		p.schedule, p.ahead = schedule(), schedule()
	}
	p.partition, p.shipment.keys = p.deal.batch(nil)
	return p
}

// grace is how long after its end a schedule's overdue records are still sent.
const grace = 5 * time.Second

// work sends until the span ends and everything is answered, or given up.
func (s *sendLoop) work(ctx context.Context, sp span) error {
	s.loop.own()
	defer s.loop.disown()
	s.loop.span = sp
	now := s.clock.now()
	if sp.from != never {
		s.rec.start(sp, now)
		defer func() { s.worked(s.loop.busy()) }()
	}
	defer s.rec.end()
	for _, p := range s.senders {
		p.start(sp)
	}
	for {
		wake, alive := never, false
		for _, p := range s.senders {
			if !p.finished() {
				alive = true
				wake = min(wake, p.step(now))
			}
		}
		if !alive || ctx.Err() != nil {
			break
		}
		ready, woken, err := s.loop.wait(min(wake, s.rec.until))
		if err != nil {
			return err
		}
		now = woken
		s.rec.turn(now)
		for _, e := range ready {
			if e.Fd >= 0 {
				s.links[e.Fd].woken(e.Events)
			}
		}
	}
	return nil
}

func (p *sender) start(sp span) {
	p.due, p.nextDue = sp.begin, sp.begin
	for i := range p.book.partitions {
		p.base = append(p.base, p.book.partitions[i].next)
	}
	if p.schedule != nil {
		p.due, p.nextDue = sp.begin+p.schedule.Next(), sp.begin+p.ahead.Next()
	}
}

// finished reports whether nothing is left to send or to be answered.
func (p *sender) finished() bool {
	if !p.done {
		return false
	}
	for _, k := range p.own {
		if k.n > 0 {
			return false
		}
	}
	return true
}

// step sends what is due and has room, and returns when to come again; an answer may make it earlier.
func (p *sender) step(now time.Duration) time.Duration {
	sp, n := p.loop.span, p.spec.BatchRecords
	if !p.full {
		p.look = now
	}
	if p.ahead != nil {
		for p.nextDue <= now && p.nextDue < sp.to {
			p.rec.due(n)
			p.nextDue = sp.begin + p.ahead.Next()
		}
	}
	wake := p.sendDue(now)
	for _, k := range p.own {
		k.flush()
		k.settle()
		if k.broken != nil {
			k.giveUp()
		} else if k.n > 0 && now-k.flights[k.first].sent > answerTimeout {
			k.fail(fmt.Errorf("no answer within %v", answerTimeout))
			k.giveUp()
		}
	}
	return wake
}

// burst is how many batches a producer sends before others have their turn.
const burst = 64

func (p *sender) sendDue(now time.Duration) time.Duration {
	sp := p.loop.span
	for range burst {
		if p.done {
			return never
		}
		if p.schedule == nil {
			p.due = max(now, sp.begin)
		}
		switch {
		case p.due >= sp.to:
			p.done = true
			return never
		case p.due > now:
			return p.due
		case p.schedule != nil && now > sp.to+grace: // what is overdue by now will not be sent any more
			for ; p.due < sp.to; p.due = sp.begin + p.schedule.Next() {
				p.unsent.Add(int64(p.spec.BatchRecords))
			}
			continue
		}
		k := p.links[p.partition]
		if k.broken != nil {
			if p.lost(k) {
				continue
			}
			return never
		}
		waited := p.full
		if p.full = !k.room(); p.full {
			return never
		}
		if waited {
			p.freed = k.freed
		}
		if p.schedule != nil {
			p.rec.ready(p.due, p.slip(k, now), p.spec.BatchRecords)
		}
		size := k.ship(p.partition, p.due, now)
		if p.left > 0 {
			p.left -= size
			p.done = p.left <= 0
		}
		p.next()
		now = p.clock.now()
	}
	return now
}

// slip is by how much the generator itself is late with the batch that is due.
func (p *sender) slip(k *sendLink, now time.Duration) time.Duration {
	return lateness(p.due, p.look, max(k.freed, p.freed), now)
}

// lateness is by how much the generator itself is late with what is due, sent now: it had room and looked too late, or it was too
// slow since it looked or was given room. What was due while the window was full waits for the broker.
func lateness(due, look, freed, now time.Duration) time.Duration {
	if due > look {
		return now - max(due, freed)
	}
	return look - due + now - max(look, freed)
}

// next is called when a batch is away.
func (p *sender) next() {
	p.partition, p.shipment.keys = p.deal.batch(p.shipment.keys[:0])
	if p.schedule != nil {
		p.due = p.loop.span.begin + p.schedule.Next()
	} else {
		p.rec.due(p.spec.BatchRecords)
	}
}

// lost fails the batch that is due, whose connection is broken, and reports whether there is anything to go on with: without a
// schedule there would be no end of it.
func (p *sender) lost(k *sendLink) bool {
	k.giveUp()
	if p.schedule == nil {
		p.done = true
		return false
	}
	n := p.spec.BatchRecords
	first := p.book.sent(p.partition, n)
	p.book.failed(p.partition, first, n)
	p.next()
	p.rec.failed(n)
	return true
}

// room reports whether one more request may go out.
func (k *sendLink) room() bool {
	if k.n < len(k.flights) {
		return true
	}
	if k.sender.spec.Acks == "0" {
		k.flush()
		k.settle()
	}
	return k.n < len(k.flights)
}

// ship sends a batch, and returns how many bytes of keys and values are in it.
func (k *sendLink) ship(partition int32, due, now time.Duration) int64 {
	p := k.sender
	n := p.spec.BatchRecords
	k.correlation++
	first := p.book.sent(partition, n)
	t := p.stock.take(first)
	s := &p.shipment
	*s = shipment{
		correlation: k.correlation, partition: partition, now: p.clock.unixMs(now), keys: s.keys,
		stamp:      stamp{run: p.id, producer: p.book.producer, sequence: first, due: due},
		producerID: p.producerID, producerEpoch: p.producerEpoch, sequence: int32((first - p.base[partition]) & 0x7fffffff),
	}
	if t.packed {
		s.producerEpoch, s.sequence = int16(p.book.producer), int32(first)
	}
	frame, err := t.ready(s, &p.seal)
	if err != nil {
		k.fail(err)
		p.book.failed(partition, first, n)
		p.rec.failed(n)
		return t.payload
	}
	p.rec.sheet.raw += t.payload
	p.rec.sheet.sent += int64(len(frame))
	k.pushed += int64(len(frame))
	k.flights[(k.first+k.n)%len(k.flights)] = flight{
		correlation: k.correlation, partition: partition, records: n, first: first, due: due, sent: now, bytes: t.payload, end: k.pushed,
	}
	k.n++
	k.send(frame)
	return t.payload
}

// woken reads answers and writes what waited for room.
func (k *sendLink) woken(events uint32) {
	if k.broken != nil {
		return
	}
	if events&unix.EPOLLOUT != 0 {
		k.writable()
		k.settle()
	}
	if events&^unix.EPOLLOUT == 0 {
		return
	}
	k.read()
	now := k.sender.clock.now() // not when the loop woke: other links may have been read before this one, while its answer came
	for k.broken == nil {
		answer, ok := k.next()
		if !ok {
			return
		}
		k.answered(answer, now)
	}
	k.giveUp()
}

func (k *sendLink) answered(answer []byte, now time.Duration) {
	correlation, err := produced(answer)
	if k.n == 0 || correlation != k.flights[k.first].correlation || err == errAnswer {
		k.fail(fmt.Errorf("produce: %w", errAnswer))
		return
	}
	f := k.pop(now)
	if err != nil {
		k.lose(f, err)
		return
	}
	k.acknowledge(f, now)
}

func (k *sendLink) pop(now time.Duration) flight {
	if k.n == len(k.flights) {
		k.freed = now
	}
	f := k.flights[k.first]
	k.first = (k.first + 1) % len(k.flights)
	k.n--
	return f
}

func (k *sendLink) acknowledge(f flight, now time.Duration) {
	k.sender.rec.acked(now, f.due, f.sent, f.records, f.bytes)
	k.sender.acked.Add(int64(f.records))
}

func (k *sendLink) lose(f flight, err error) {
	p := k.sender
	p.errors.note("producer %d, partition %d: records %d to %d were not acknowledged: %v", p.book.producer, f.partition, f.first, f.first+int64(f.records)-1, err)
	p.book.failed(f.partition, f.first, f.records)
	p.rec.failed(f.records)
}

// settle acknowledges, without acks, what is written.
func (k *sendLink) settle() {
	if k.n == 0 || k.sender.spec.Acks != "0" || k.broken != nil {
		return
	}
	now := k.sender.clock.now()
	for written := k.pushed - int64(k.queued()); k.n > 0 && k.flights[k.first].end <= written; {
		k.acknowledge(k.pop(now), now)
	}
}

// giveUp loses everything that is on its way on a broken link.
func (k *sendLink) giveUp() {
	if k.broken == nil {
		return
	}
	if !k.told {
		k.told = true
		k.sender.errors.note("producer %d: %v", k.sender.book.producer, k.broken)
	}
	for k.n > 0 {
		k.lose(k.pop(0), k.broken)
	}
}
