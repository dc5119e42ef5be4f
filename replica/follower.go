package replica

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/millrace/millrace/internal/peer"
	"github.com/millrace/millrace/wire/record"
)

// following is what a follower knows of its place behind one leader, in one leader epoch. Guarded by Partition.mu, where nothing else is said.
type following struct {
	p           *Partition
	receiver    *Receiver
	leaderEpoch int32
	state       followState
	handle      uint32 // of the subscription; written under Receiver.mu too
	held        []held // Data that waits for the log's background work
	heldBytes   int
	told        int64 // the leader's high watermark: the log here may not have come as far yet

	// Guarded by Receiver.mu.
	ackQueued         bool
	logEnd, flushedTo int64 // to be acknowledged
}

type followState uint8

const (
	waiting   followState = iota // for a stream, for a time to ask again, or for the log
	asked                        // Subscribe is sent
	streaming                    // the log is a prefix of the leader's, Data comes
	cutting                      // the log is being cut, or begun anew
	halted                       // it would have to give up what was acknowledged: a human has to look
)

func (s followState) String() string {
	return [...]string{"waiting", "asked", "streaming", "cutting", "halted"}[s]
}

type held struct {
	h    peer.Header
	body []byte
	now  int64
}

// maxHeld bounds what a follower keeps while its log cannot take it; a leader that respects the window never gets there.
const maxHeld = 2*partitionWindow + peer.MaxData

// ask subscribes with the log as it is now. Without a stream nothing happens: its start asks again.
func (p *Partition) ask(f *following) {
	p.mu.Lock()
	if p.mu.following != f || f.state != waiting || p.mu.cutting || p.removed() {
		p.mu.Unlock()
		return
	}
	flush, err := p.openLocked()
	at := peer.Position{TopicID: p.Topic.ID, Partition: p.Index, LastFetchedEpoch: -1}
	if err == nil {
		at.LogEnd, at.FlushedTo = p.log.LogEnd(), min(p.log.FlushedTo(), p.log.LogEnd())
		if p.log.LogStart() < at.LogEnd { // an empty log has no last record, whatever epochs it remembers
			at.LastFetchedEpoch, err = p.log.LatestEpoch()
		}
	}
	if err == nil && f.receiver.subscribe(f, &at) {
		f.state = asked
		f.held, f.heldBytes = nil, 0
	}
	p.mu.Unlock()
	p.flushUnlocked(flush)
	if errors.Is(err, ErrWait) {
		p.log.WhenReady(func() { p.ask(f) })
	}
}

// following is f again when a frame for a handle is still meant for it.
func (p *Partition) meantLocked(f *following, h *peer.Header, states ...followState) bool {
	if p.mu.following != f || f.handle != h.Handle || f.leaderEpoch != h.LeaderEpoch || p.removed() {
		return false
	}
	for _, s := range states {
		if f.state == s {
			return true
		}
	}
	return false
}

// subscribed: the leader has found that the log is a prefix of its own. Only from here on its high watermark means anything here (KAFKA-14704).
func (p *Partition) subscribed(f *following, h *peer.Header) {
	p.mu.Lock()
	if p.meantLocked(f, h, asked) {
		f.state = streaming
		p.followLocked(f, h.HighWatermark)
		f.receiver.ack(f, p.log.LogEnd(), p.log.FlushedTo())
	}
	p.mu.Unlock()
}

// again goes back to where asking begins: with the next Tick, or at once.
func (p *Partition) again(f *following, h *peer.Header, atOnce bool) {
	p.mu.Lock()
	meant := p.meantLocked(f, h, asked, streaming)
	if meant {
		f.state = waiting
		f.held, f.heldBytes = nil, 0
	}
	p.mu.Unlock()
	if meant && atOnce {
		p.ask(f)
	}
}

// checkData verifies what came before a byte of it counts: whole batches with right checksums, epochs that do not go back and end at the leader's,
// offsets as the header says.
func checkData(h *peer.Header, body []byte) error {
	next, epoch := h.BaseOffset, int32(-1)
	for len(body) > 0 {
		b, rest, err := record.Next(body)
		if err == nil {
			err = b.CheckHeader()
		}
		switch {
		case err != nil:
			return err
		case b.BaseOffset() < next:
			return fmt.Errorf("batch at %d, expected %d or more", b.BaseOffset(), next)
		case b.LeaderEpoch() < epoch || b.LeaderEpoch() > h.LeaderEpoch:
			return fmt.Errorf("batch of epoch %d after %d from the leader of epoch %d", b.LeaderEpoch(), epoch, h.LeaderEpoch)
		}
		next, epoch, body = b.NextOffset(), b.LeaderEpoch(), rest
	}
	if next != h.BaseOffset+int64(h.Detail) {
		return fmt.Errorf("batches up to %d, the header says %d", next, h.BaseOffset+int64(h.Detail))
	}
	return nil
}

// receive appends what the leader has sent. body is only looked at until it returns.
func (p *Partition) receive(f *following, h *peer.Header, body []byte, now int64) {
	if err := checkData(h, body); err != nil {
		p.table.o.Log.Error("refused what the leader sent", "topic", p.Topic.Name, "partition", p.Index, "offset", h.BaseOffset, "leaderEpoch", h.LeaderEpoch, "err", err)
		f.receiver.nack(h)
		p.again(f, h, false)
		return
	}
	p.mu.Lock()
	if !p.meantLocked(f, h, streaming) {
		p.mu.Unlock()
		return
	}
	if len(f.held) > 0 {
		f.held = append(f.held, held{*h, bytes.Clone(body), now})
		f.heldBytes += len(body)
		tooMuch := f.heldBytes > maxHeld
		p.mu.Unlock()
		if tooMuch {
			p.again(f, h, false)
		}
		return
	}
	p.takeAndGo(f, *h, body, now)
}

// takeAndGo appends with p.mu held, and does what follows once it has given it back.
func (p *Partition) takeAndGo(f *following, h peer.Header, body []byte, now int64) {
	now1, later, err := p.takeLocked(f, h, body, now)
	p.mu.Unlock()
	p.flushUnlocked(now1)
	if later {
		p.flusher.later(p)
	}
	switch {
	case errors.Is(err, ErrWait):
		p.log.WhenReady(func() { p.resume(f) })
	case err != nil:
		p.again(f, &h, errors.Is(err, errGap))
	}
}

// errGap: something between the log's end and what came was lost on the way.
var errGap = errors.New("replica: a gap")

// takeLocked appends the batches of one Data frame. ErrWait: what is left of them is held.
func (p *Partition) takeLocked(f *following, h peer.Header, body []byte, now int64) (flush, later bool, err error) {
	end := h.BaseOffset + int64(h.Detail)
	switch logEnd := p.log.LogEnd(); {
	case end <= logEnd: // here already
		body = nil
	case h.BaseOffset != logEnd:
		return false, false, errGap
	}
	var bytesIn, records int64
	for len(body) > 0 {
		var b record.Batch
		var rest []byte
		b, rest, err = record.Next(body)
		if err == nil {
			err = p.log.AppendFollower(b, now)
		}
		if err != nil {
			break
		}
		bytesIn += int64(len(b))
		records += int64(b.Count())
		body = rest
	}
	if bytesIn > 0 {
		p.mu.unflushed += bytesIn
		p.countAppendLocked(bytesIn, records)
		flush, later = p.dirtyLocked(p.Topic.Config())
	}
	if errors.Is(err, ErrWait) {
		h.BaseOffset = p.log.LogEnd()
		h.Detail = int32(end - h.BaseOffset)
		f.held = append([]held{{h, bytes.Clone(body), now}}, f.held...)
		f.heldBytes += len(body)
	}
	p.followLocked(f, h.HighWatermark)
	f.receiver.ack(f, p.log.LogEnd(), p.log.FlushedTo())
	return flush, later, err
}

// resume goes on with what was held when the log had work to do first.
func (p *Partition) resume(f *following) {
	for {
		p.mu.Lock()
		if p.mu.following != f || f.state != streaming || len(f.held) == 0 {
			p.mu.Unlock()
			return
		}
		first := f.held[0]
		f.held = f.held[1:]
		f.heldBytes -= len(first.body)
		flush, later, err := p.takeLocked(f, first.h, first.body, first.now)
		p.mu.Unlock()
		p.flushUnlocked(flush)
		if later {
			p.flusher.later(p)
		}
		if errors.Is(err, ErrWait) {
			p.log.WhenReady(func() { p.resume(f) })
			return
		}
		if err != nil {
			p.again(f, &first.h, errors.Is(err, errGap))
			return
		}
	}
}

// marked takes over a high watermark that came by itself.
func (p *Partition) marked(f *following, e *peer.Entry) {
	h := peer.Header{Handle: e.Handle, LeaderEpoch: e.LeaderEpoch}
	p.mu.Lock()
	if p.meantLocked(f, &h, streaming) {
		p.followLocked(f, e.End)
	}
	p.mu.Unlock()
}

// followLocked takes over the leader's high watermark, as far as the log goes.
func (p *Partition) followLocked(f *following, highWatermark int64) {
	f.told = max(f.told, highWatermark)
	p.raiseLocked(min(f.told, p.log.LogEnd()))
}
