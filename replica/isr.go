package replica

import (
	"slices"

	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/wire"
)

// ISRChange is what a leader asks the controller for: another ISR. Whoever carries it there gives the answer to Partition.ISRAnswered.
type ISRChange struct {
	Partition      *Partition
	LeaderEpoch    int32
	PartitionEpoch int32 // of the partition that is to be changed: with another one the request is void
	ISR            []Member

	waits  bool // under way, or answered by what only a newer image resolves
	unsure bool // sent before, and nobody knows what became of it
}

// Member is a replica in the life that has caught up: another life of it need not have (KIP-903).
type Member struct {
	ID          int32
	BrokerEpoch int64 // -1: any
}

func (c *ISRChange) has(id int32) bool {
	return slices.ContainsFunc(c.ISR, func(m Member) bool { return m.ID == id })
}

// askISRLocked asks for an ISR with those who have caught up. Three things must be so (reliability.md 2.2; KAFKA-7128): the follower has subscribed
// in this leader epoch, it has all that is below the high watermark, and all that there was when the epoch began: the high watermark of a new leader
// may be behind what the old one has acknowledged.
func (p *Partition) askISRLocked(c *config.TopicConfig, wake *woken) {
	l := p.mu.leading
	if l.change != nil || !p.mu.epochStartSet || p.table.o.AlterISR == nil {
		return
	}
	need := max(p.highWatermark.Load(), p.mu.epochStart)
	var add []int32
	for i := range l.followers {
		f := &l.followers[i]
		if f.subscribed && !f.refused && f.sub != nil && f.progress(c) >= need && !slices.Contains(l.isr, f.id) {
			add = append(add, f.id)
		}
	}
	if len(add) > 0 {
		p.proposeLocked(append(slices.Clone(l.isr), add...), wake)
	}
}

// proposeLocked asks for an ISR.
func (p *Partition) proposeLocked(isr []int32, wake *woken) {
	l := p.mu.leading
	change := &ISRChange{Partition: p, LeaderEpoch: p.LeaderEpoch(), PartitionEpoch: p.mu.partitionEpoch, waits: true}
	for _, id := range isr {
		m := Member{ID: id, BrokerEpoch: -1}
		if f := l.follower(id); f != nil && f.subscribed {
			m.BrokerEpoch = f.brokerEpoch
		}
		change.ISR = append(change.ISR, m)
	}
	l.change = change
	wake.change = change
}

// tick looks after the ISR: who has been behind for longer than lagMax leaves it, and what got no answer is asked for again.
func (p *Partition) tick(now, lagMax int64) {
	c := p.Topic.Config()
	var wake woken
	p.mu.Lock()
	l := p.mu.leading
	if l == nil || !p.opened.Load() || !p.mu.epochStartSet {
		p.mu.Unlock()
		return
	}
	end := p.log.LogEnd()
	stay := []int32{p.table.o.NodeID}
	for i := range l.followers {
		f := &l.followers[i]
		f.refused = false
		if f.subscribed && f.progress(c) >= end || f.caughtUp == 0 {
			f.caughtUp = now
		}
		if slices.Contains(l.isr, f.id) && now-f.caughtUp <= lagMax {
			stay = append(stay, f.id)
		}
	}
	switch {
	case l.change != nil && !l.change.waits:
		l.change.waits, l.change.unsure = true, true
		wake.change = l.change
	case l.change == nil && len(stay) < len(l.isr) && p.table.o.AlterISR != nil:
		p.proposeLocked(stay, &wake)
	default:
		p.askISRLocked(c, &wake)
	}
	p.mu.Unlock()
	wake.fire()
}

// ISRAnswered says what came of a change: the controller's code, or with known false that nobody can tell. Only a refusal that is certain for every copy
// that was sent takes it back; in doubt both ISRs count until an image of a later partition epoch is there.
func (p *Partition) ISRAnswered(change *ISRChange, code wire.Code, known bool) {
	var wake woken
	c := p.Topic.Config()
	p.mu.Lock()
	l := p.mu.leading
	if l == nil || l.change != change {
		p.mu.Unlock()
		return
	}
	var done *AckWaiter
	switch {
	case !known:
		change.waits = false // asked for again with the next Tick
	case code == wire.IneligibleReplica && !change.unsure:
		for _, m := range change.ISR {
			if f := l.follower(m.ID); f != nil && !slices.Contains(l.isr, m.ID) {
				f.refused = true
			}
		}
		l.change = nil
		done = p.advanceLocked(c, &wake)
	case code == wire.IneligibleReplica:
		change.waits = false
	} // otherwise an image is on its way that tells
	p.mu.Unlock()
	done.finish()
	wake.fire()
}
