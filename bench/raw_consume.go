package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"golang.org/x/sys/unix"

	"github.com/millrace/millrace/wire/record"
)

// readLoop is a thread with its consumers.
type readLoop struct {
	*run
	loop  *loop
	rec   *recorder
	links []*readLink // by the loop's numbers
	it    record.Iterator
	now   time.Duration // of the answer being worked on
	live  bool          // it reads while records are produced
}

// readLink is a consumer's connection to a leader. One fetch is on its way at a time, for all its partitions; the next one goes
// out as soon as it is known where it begins, and what came is verified while the broker works.
type readLink struct {
	*link
	*readLoop
	assigned []*assignment
	number   map[int32]int // of a partition, in assigned
	session  fetchSession
	moved    []*assignment // since the last fetch

	frame       []byte
	correlation int32
	asked       time.Duration
	waiting     bool
	again       time.Duration // an error: not before
	came        []arrival     // of the answer being worked on
	noted       func(portion) // k.note, bound once
}

// assignment is a partition of a consumer.
type assignment struct {
	*tracker
	next   int64 // the offset to ask for
	moved  bool  // it has changed since the last fetch
	failed bool  // its last answer was an error, which is noted
}

// arrival is what came of a partition.
type arrival struct {
	a       *assignment
	from    int64 // what lies before it in the first batch was not asked for
	behind  bool  // the consumer has not read the backlog yet
	records []byte
}

func newReadLoop(r *run) (*readLoop, error) {
	l := &readLoop{run: r, rec: r.collect.recorder(endToEndKind, catchUpKind), live: r.spec.Consume == "live"}
	var err error
	l.loop, err = newLoop(r.clock)
	return l, err
}

func (k *readLink) assign(t *tracker) {
	if k.number == nil {
		k.number = map[int32]int{}
		k.noted = k.note
	}
	k.number[t.partition] = len(k.assigned)
	k.assigned = append(k.assigned, &assignment{tracker: t, next: t.position.Load()})
}

// work reads until the context ends.
func (l *readLoop) work(ctx context.Context, sp span) error {
	l.loop.own()
	defer l.loop.disown()
	l.loop.span = sp
	now := l.clock.now()
	l.rec.start(sp, now)
	defer l.rec.end()
	defer l.it.Close()
	for _, k := range l.links {
		k.again = l.readFrom()
	}
	for ctx.Err() == nil {
		wake := l.rec.until
		for _, k := range l.links {
			if !k.waiting && k.broken == nil {
				if now >= k.again {
					k.ask(now)
				} else {
					wake = min(wake, k.again)
				}
			}
		}
		ready, woken, err := l.loop.wait(wake)
		if err != nil {
			return err
		}
		now = woken
		l.rec.turn(now)
		for _, e := range ready {
			if e.Fd >= 0 {
				l.links[e.Fd].woken(e.Events)
			}
		}
	}
	if l.live {
		l.worked(l.loop.busy())
	}
	return nil
}

// ask sends a fetch.
func (k *readLink) ask(now time.Duration) {
	s := &k.spec
	say := k.moved
	if k.session.epoch == 0 {
		say = k.assigned
	}
	p := appendFetch(k.frame[:0], k.place.topic, int32(s.FetchMaxWait.Milliseconds()), int32(s.FetchMinBytes), int32(s.FetchMaxBytes), k.session, len(say))
	for _, a := range say {
		p = appendFetchPartition(p, a.partition, a.next, int32(s.FetchMaxBytes))
	}
	for _, a := range k.moved {
		a.moved = false
	}
	k.moved = k.moved[:0]
	p = appendFetchEnd(p)
	putSize(p)
	k.correlation++
	be.PutUint32(p[atCorrelation:], uint32(k.correlation))
	k.frame = p
	k.asked, k.waiting = now, true
	k.send(p)
	k.flush()
}

func (k *readLink) woken(events uint32) {
	if k.broken != nil {
		return
	}
	if events&unix.EPOLLOUT != 0 {
		k.writable()
	}
	if events&^unix.EPOLLOUT != 0 {
		k.read()
		if answer, ok := k.next(); ok {
			k.answered(answer, k.clock.now())
		}
	}
	if k.broken != nil {
		k.errors.note("consumer: %v", k.broken)
	}
}

func (k *readLink) answered(answer []byte, now time.Duration) {
	k.came = k.came[:0]
	k.waiting, k.readLoop.now = false, now
	correlation, session, err := fetched(answer, k.noted)
	switch {
	case errors.Is(err, errAnswer) || correlation != k.correlation:
		k.fail(fmt.Errorf("fetch: %w", errAnswer))
	case errors.Is(err, kerr.FetchSessionIDNotFound) || errors.Is(err, kerr.InvalidFetchSessionEpoch): // given to somebody else
		k.session = fetchSession{}
	case err == nil && session != 0:
		k.session = fetchSession{session, k.session.epoch + 1}
	case err != nil:
		k.errors.note("fetch from %s: %v", k.addr, err)
		k.session, k.again = fetchSession{}, now+errorPause
	}
	if k.broken == nil && now >= k.again {
		k.ask(now)
	}
	for _, c := range k.came {
		k.verify(c, now)
	}
}

// errorPause is how long a consumer waits after an error.
const errorPause = 100 * time.Millisecond

// note takes in what came of a partition, as far as it is needed to ask on.
func (k *readLink) note(p portion) {
	i, ok := k.number[p.partition]
	if !ok {
		return
	}
	a := k.assigned[i]
	if p.err != nil {
		if !a.failed {
			k.errors.note("partition %d, fetch from offset %d: %v", p.partition, a.next, p.err)
		}
		a.failed = true
		k.again = k.now + errorPause
		return
	}
	a.failed = false
	if len(p.records) == 0 {
		a.reached(k.now, a.next, p.highWatermark)
		return
	}
	k.came = append(k.came, arrival{a, a.next, k.spec.Backlog > 0 && a.caughtUp.Load() == 0, p.records})
	for b, rest, err := record.Next(p.records); err == nil; b, rest, err = record.Next(rest) {
		a.next = max(a.next, b.NextOffset())
	}
	a.reached(k.now, a.next, p.highWatermark)
	if !a.moved {
		a.moved = true
		k.moved = append(k.moved, a)
	}
}

// verify reads every record of what came.
func (k *readLink) verify(c arrival, now time.Duration) {
	var (
		t       = c.a.tracker
		records int64
		bytes   int64
		due     time.Duration // of the last records, which are timed together
		n       int
	)
	for rest := c.records; ; {
		b, after, err := record.Next(rest)
		if err != nil {
			if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.unreadable(c.from, 1, err)
			}
			break
		}
		rest = after
		if err := b.CheckHeader(); err != nil {
			t.unreadable(b.BaseOffset(), int(b.Count()), err)
			continue
		}
		if b.Control() {
			continue
		}
		t.batch(b)
		k.it.Reset(b, record.Limits{})
		for k.it.Next() {
			r := k.it.Record()
			if r.Offset < c.from {
				continue
			}
			records++
			bytes += int64(len(r.Key) + len(r.Value))
			d, ok := t.came(r.Offset, r.Key, r.Value)
			if !ok || !k.live {
				continue
			}
			if n > 0 && d != due {
				k.timed(c.behind, now, due, n)
				n = 0
			}
			due = d
			n++
		}
		if err := k.it.Err(); err != nil {
			t.unreadable(b.BaseOffset(), 1, err)
		}
	}
	if n > 0 {
		k.timed(c.behind, now, due, n)
	}
	k.rec.fetched(int(records), bytes)
	t.consumed.Add(records)
	t.position.Store(c.a.next)
}

func (l *readLoop) timed(behind bool, now, due time.Duration, n int) {
	if behind {
		l.rec.catchingUp(now, due, n)
	} else {
		l.rec.consumed(now, due, n)
	}
}
