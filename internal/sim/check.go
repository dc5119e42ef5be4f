package sim

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/millrace/millrace/engine"
	"github.com/millrace/millrace/wire/record"
)

// place is one batch as it lies in a log.
type place struct {
	base, next int64
	epoch      int32
	sum        uint32
}

// seen is what a broker's log was at the last look.
type seen struct {
	batches       []place
	end, flushed  int64
	highWatermark int64
	leaderEpoch   int32
	known         bool // the log has been read in this life
}

// checker knows what was ever committed, and looks at every broker after each event. The names are those of reliability.md 2.3.
type checker struct {
	w         *world
	committed []place
	logs      [nodes + 1]seen
	bytes     map[[2]int64]place // by leader epoch and base offset
	leaders   map[int32]int32    // by leader epoch
	cuts      int
	looks     int
}

func (c *checker) init(w *world) {
	c.w, c.bytes, c.leaders = w, map[[2]int64]place{}, map[int32]int32{}
}

func end(batches []place) int64 {
	if len(batches) == 0 {
		return 0
	}
	return batches[len(batches)-1].next
}

func (c *checker) committedEnd() int64 { return end(c.committed) }

// remember keeps what a crash cannot take: what was flushed. What else is left shows when the log is read again.
func (c *checker) remember(n *node) {
	c.look(n)
	s := &c.logs[n.id]
	s.batches = slices.Clone(below(s.batches, s.flushed))
	s.end, s.highWatermark, s.leaderEpoch, s.known = end(s.batches), 0, 0, false
}

// below are the batches that end at or below an offset.
func below(batches []place, offset int64) []place {
	i := len(batches)
	for i > 0 && batches[i-1].next > offset {
		i--
	}
	return batches[:i]
}

func (c *checker) all() {
	if c.w.failure != nil {
		return
	}
	c.looks++
	for _, n := range c.w.nodes {
		if n.up {
			c.look(n)
		}
	}
	for _, n := range c.w.nodes {
		if n.up {
			c.advance(n)
		}
	}
	for _, n := range c.w.nodes {
		if n.up {
			c.visible(n)
		}
	}
	c.complete()
}

// look reads what is new in a broker's log.
func (c *checker) look(n *node) {
	p, s := n.partition(), &c.logs[n.id]
	log := p.Log()
	if epoch, leads := p.Leads(); true {
		if epoch < s.leaderEpoch {
			c.w.fail("I12: broker %d went from leader epoch %d to %d", n.id, s.leaderEpoch, epoch)
		}
		s.leaderEpoch = epoch
		if leads {
			if other, ok := c.leaders[epoch]; ok && other != n.id {
				c.w.fail("I12: brokers %d and %d lead in epoch %d", other, n.id, epoch)
			}
			c.leaders[epoch] = n.id
		}
	}
	logEnd := log.LogEnd()
	if s.known && logEnd == s.end && c.looks%64 != 0 {
		s.flushed = log.FlushedTo()
		return
	}
	from := s.end
	if !s.known || logEnd < s.end || c.looks%64 == 0 {
		from = 0
	}
	if log.Ready() != nil {
		return // not recovered yet: what it was before the crash counts
	}
	fresh, err := read(log, from, logEnd)
	if errors.Is(err, engine.ErrWait) {
		return
	}
	if err != nil {
		c.w.fail("broker %d: read of its log: %v", n.id, err)
		return
	}
	if from > 0 {
		fresh = append(s.batches, fresh...)
	}
	if end(fresh) != logEnd {
		c.w.fail("broker %d: its log ends at %d, its batches at %d", n.id, logEnd, end(fresh))
		return
	}
	c.compare(n, s, fresh)
	s.batches, s.end, s.flushed, s.known = fresh, logEnd, log.FlushedTo(), true
}

// compare checks a log against what it was, and its batches against the same ones elsewhere.
func (c *checker) compare(n *node, s *seen, fresh []place) {
	epoch := int32(0)
	for i, b := range fresh {
		if b.epoch < epoch {
			c.w.fail("I12: broker %d has epoch %d at %d after epoch %d", n.id, b.epoch, b.base, epoch)
		}
		epoch = b.epoch
		if i < len(s.batches) && s.batches[i] == b {
			continue
		}
		key := [2]int64{int64(b.epoch), b.base}
		if other, ok := c.bytes[key]; ok && other != b {
			c.w.fail("I5: broker %d has %+v where another has %+v", n.id, b, other)
		}
		c.bytes[key] = b
	}
	if keep := below(s.batches, s.highWatermark); len(fresh) < len(keep) || !slices.Equal(fresh[:len(keep)], keep) {
		c.w.fail("I10: broker %d has cut its log below its high watermark %d, to %d", n.id, s.highWatermark, end(fresh))
	}
	if s.known && end(fresh) < s.end {
		c.cuts++
		c.w.tell("broker %d has cut its log from %d to %d", n.id, s.end, end(fresh))
	}
	if !s.known && len(fresh) < len(s.batches) {
		c.w.fail("I6: broker %d has lost what it had flushed: its log ends at %d, not %d", n.id, end(fresh), s.end)
	}
}

func read(log *engine.Log, from, to int64) (list []place, err error) {
	for from < to {
		s, err := log.Read(from, to, 1<<20, true, true)
		if err != nil {
			return nil, err
		}
		b := make([]byte, s.Length)
		_, err = s.ReadAt(b, 0)
		s.Release()
		if err != nil && err != io.EOF {
			return nil, err
		}
		if len(b) == 0 {
			return nil, fmt.Errorf("nothing at %d, below the end %d", from, to)
		}
		for len(b) > 0 {
			x, rest, err := record.Next(b)
			if err != nil {
				return nil, err
			}
			if err := x.CheckHeader(); err != nil {
				return nil, err
			}
			list = append(list, place{x.BaseOffset(), x.NextOffset(), x.LeaderEpoch(), x.CRC()})
			from, b = x.NextOffset(), rest
		}
	}
	return list, nil
}

// advance: a leader's high watermark commits what lies below it, and may do so only when every member of the ISR has it on disk.
func (c *checker) advance(n *node) {
	p, s := n.partition(), &c.logs[n.id]
	highWatermark := p.HighWatermark()
	if _, leads := p.Leads(); !leads || highWatermark <= c.committedEnd() {
		return
	}
	if isr := n.view().ISR; len(isr) < 2 {
		c.w.fail("I4: leader %d has raised the high watermark to %d with the ISR %v", n.id, highWatermark, isr)
	}
	if s.end < highWatermark {
		return // not read yet
	}
	news := below(s.batches, highWatermark)
	for _, id := range c.w.controller.partition().ISR {
		other := &c.logs[id]
		if had := below(other.batches, min(other.flushed, highWatermark)); !slices.Equal(had, news) {
			c.w.fail("I3: leader %d has raised the high watermark to %d, member %d of the ISR has flushed %d", n.id, highWatermark, id, other.flushed)
		}
	}
	if len(news) < len(c.committed) || !slices.Equal(news[:len(c.committed)], c.committed) {
		c.w.fail("I1: leader %d commits [0,%d), which is not what was committed before", n.id, highWatermark)
	}
	c.committed = slices.Clone(news)
}

// visible: what a broker may show is committed, and never becomes less.
func (c *checker) visible(n *node) {
	s := &c.logs[n.id]
	highWatermark := n.partition().HighWatermark()
	switch {
	case highWatermark < s.highWatermark:
		c.w.fail("I13: the high watermark of broker %d went from %d to %d", n.id, s.highWatermark, highWatermark)
	case highWatermark > c.committedEnd():
		c.w.fail("I8: broker %d shows offsets below %d, committed are those below %d", n.id, highWatermark, c.committedEnd())
	case s.known && highWatermark <= s.end && !slices.Equal(below(s.batches, highWatermark), below(c.committed, highWatermark)):
		c.w.fail("I5: broker %d shows below %d something else than was committed", n.id, highWatermark)
	}
	s.highWatermark = highWatermark
}

// complete: whoever may be elected has all that was committed (I2), and so has the leader (I1).
func (c *checker) complete() {
	for _, id := range c.w.controller.partition().ISR {
		s := &c.logs[id]
		if had := below(s.batches, s.flushed); len(had) < len(c.committed) || !slices.Equal(had[:len(c.committed)], c.committed) {
			c.w.fail("I2: member %d of the ISR has flushed %d, committed is %d", id, s.flushed, c.committedEnd())
		}
	}
}

// acked: a producer was told that its batch is safe.
func (c *checker) acked(n *node, next int64) {
	c.look(n)
	c.advance(n)
	if next > c.committedEnd() {
		c.w.fail("I4: broker %d acknowledges up to %d, committed is %d", n.id, next, c.committedEnd())
	}
}
