package replica

import (
	"github.com/millrace/millrace/internal/peer"
)

// diverge cuts the log back to where it is the leader's, as far as this answer tells; the next subscription goes on from there (KIP-279).
func (p *Partition) diverge(f *following, h *peer.Header) {
	p.begin(f, h, func() error {
		p.mu.Lock()
		to, err := p.agreementLocked(f, h)
		p.mu.Unlock()
		if err != nil || to < 0 {
			return err
		}
		return p.log.TruncateTo(to)
	}, asked)
}

// agreementLocked is the offset below which both logs may still be the same; -1: a cut there is not allowed. It is decided by epochs alone (I10): the
// high watermark here may be behind what was acknowledged (KIP-101). It refuses to give up what lies below it: with a leader that was elected
// cleanly that never comes up, with any other silent loss would follow.
func (p *Partition) agreementLocked(f *following, h *peer.Header) (int64, error) {
	_, end, err := p.log.EpochEnd(h.Detail)
	if err != nil {
		return -1, err
	}
	to := h.BaseOffset
	if end >= 0 {
		to = min(to, end)
	}
	if logEnd, highWatermark := p.log.LogEnd(), p.highWatermark.Load(); to < highWatermark || to >= logEnd {
		f.state = halted
		p.table.o.Log.Error("replica halted: its leader lacks records that were acknowledged", "topic", p.Topic.Name, "partition", p.Index,
			"leaderEpoch", f.leaderEpoch, "agreement", to, "highWatermark", highWatermark, "logEnd", logEnd)
		return -1, nil
	}
	return to, nil
}

// restart begins the log anew where the leader's begins, because what would come next is deleted there; the high watermark goes with it (KAFKA-9491).
func (p *Partition) restart(f *following, h *peer.Header) {
	p.begin(f, h, func() error {
		if h.LogStart <= p.log.LogEnd() {
			return nil // said of a log that has changed since
		}
		if err := p.log.ResetTo(h.LogStart); err != nil {
			return err
		}
		p.mu.Lock()
		p.highWatermark.Store(h.LogStart)
		p.log.NoteHighWatermark(h.LogStart)
		p.mu.Unlock()
		return nil
	}, asked, streaming)
}

// begin has a job done that changes the log's past, off the loops. Nothing is appended meanwhile, also when this broker comes to lead in between.
func (p *Partition) begin(f *following, h *peer.Header, change func() error, from ...followState) {
	header := *h
	p.mu.Lock()
	if !p.meantLocked(f, &header, from...) || p.mu.cutting {
		p.mu.Unlock()
		return
	}
	f.state, p.mu.cutting = cutting, true
	f.held, f.heldBytes = nil, 0
	p.mu.Unlock()
	p.table.o.Go(func() {
		p.mu.Lock()
		current := p.mu.following == f && !p.removed()
		p.mu.Unlock()
		var err error
		if current {
			err = change()
		}
		p.ended(f, err)
	})
}

// ended lets the partition go on in whatever role it has by now.
func (p *Partition) ended(f *following, err error) {
	if err != nil {
		p.table.o.Log.Error("cut of a log", "topic", p.Topic.Name, "partition", p.Index, "err", err)
	}
	var wake woken
	p.mu.Lock()
	p.mu.cutting = false
	if f.state == cutting {
		f.state = waiting
	}
	p.enterEpochLocked()
	flush, done := p.settleLocked(&wake)
	now := p.mu.following
	p.mu.Unlock()
	p.flushUnlocked(flush)
	done.finish()
	wake.fire()
	if now != nil && err == nil {
		p.ask(now)
	}
}
