package replica

import (
	"slices"

	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/peer"
	"github.com/millrace/millrace/meta"
	"github.com/millrace/millrace/wire"
)

// leading is what the leader of a partition with several replicas knows of the others, in one leader epoch. Guarded by Partition.mu.
type leading struct {
	followers []follower // every replica but this broker, in the order of Replicas
	isr       []int32    // as the cluster image has it
	change    *ISRChange // the ISR asked for; nil: none. As long as it may come true, its members count as in sync too
}

// follower is how far one other replica has come, as it has said itself.
type follower struct {
	id          int32
	brokerEpoch int64         // of the life that subscribed last,
	handle      uint32        // and its subscription's: older ones do not count
	sub         *subscription // nil: no stream
	subscribed  bool          // in this leader epoch: its log is a prefix of the leader's
	logEnd      int64
	flushedTo   int64
	caughtUp    int64 // ms: when it last had all that the leader had
	heardAt     int64 // ms: when it last acknowledged,
	endThen     int64 // and the leader's end at that time
	refused     bool  // the controller does not want it in the ISR, as of the last Tick
}

// progress is the offset below which the replica counts as having a record (D8).
func (f *follower) progress(c *config.TopicConfig) int64 {
	if c.Durability == config.Fsync {
		return f.flushedTo
	}
	return f.logEnd
}

// update takes over replicas and ISR of the cluster image. A newer partition epoch tells what came of the change that was asked for: it is in it, or
// can never be.
func (l *leading) update(self int32, m *meta.Partition, wake *woken) {
	old := l.followers
	for i := range old {
		if !slices.Contains(m.Replicas, old[i].id) {
			old[i].end(wake)
		}
	}
	l.followers = make([]follower, 0, len(m.Replicas)-1)
	for _, id := range m.Replicas {
		if id == self {
			continue
		}
		i := slices.IndexFunc(old, func(f follower) bool { return f.id == id })
		if i < 0 {
			l.followers = append(l.followers, follower{id: id})
		} else {
			l.followers = append(l.followers, old[i])
		}
	}
	l.isr = m.ISR
	if l.change != nil && m.PartitionEpoch > l.change.PartitionEpoch {
		l.change = nil
	}
}

// end ends what streams send of the partition.
func (l *leading) end(wake *woken) {
	if l == nil {
		return
	}
	for i := range l.followers {
		l.followers[i].end(wake)
	}
}

// end ends what a stream sends of the partition to the follower.
func (f *follower) end(wake *woken) {
	if sub := f.sub; sub != nil {
		f.sub = nil
		wake.call(func() { sub.sender.drop(sub) })
	}
}

func (l *leading) follower(id int32) *follower {
	for i := range l.followers {
		if l.followers[i].id == id {
			return &l.followers[i]
		}
	}
	return nil
}

// maximal is whether a replica is in the ISR, or would be if the change asked for has come true (KIP-497): those are whom the high watermark waits for.
func (l *leading) maximal(id int32) bool {
	return slices.Contains(l.isr, id) || l.change != nil && l.change.has(id)
}

// bound is the first offset that not every replica of the maximal ISR has, where the leader itself has own; -1: one of them has not yet said in this
// leader epoch how far it is (I4).
func (l *leading) bound(own int64, c *config.TopicConfig) int64 {
	for i := range l.followers {
		f := &l.followers[i]
		if !l.maximal(f.id) {
			continue
		}
		if !f.subscribed {
			return -1
		}
		own = min(own, f.progress(c))
	}
	return own
}

// news has every stream of a follower look at the partition: there are more records, or the high watermark has moved.
func (l *leading) news(wake *woken) {
	for i := range l.followers {
		if sub := l.followers[i].sub; sub != nil {
			sub.sender.notify(sub, wake)
		}
	}
}

// subscribe compares a follower's position with the log, and answers. ok: from now on it gets Data from its end on.
func (p *Partition) subscribe(sub *subscription, at *peer.Position, now int64) (answer peer.Header, ok bool, err error) {
	c := p.Topic.Config()
	var wake woken
	p.mu.Lock()
	flush, err := p.openLocked()
	if err != nil {
		p.mu.Unlock()
		return answer, false, err
	}
	answer, ok, err = p.compareLocked(sub, at, &wake)
	var done *AckWaiter
	if ok {
		f := p.mu.leading.follower(sub.sender.o.Follower)
		f.sub, f.subscribed, f.logEnd, f.flushedTo = sub, true, at.LogEnd, at.FlushedTo
		p.heardLocked(f, c, now)
		p.askISRLocked(c, &wake)
		done = p.advanceLocked(c, &wake)
	}
	p.mu.Unlock()
	p.flushUnlocked(flush)
	done.finish()
	wake.fire()
	return answer, ok, err
}

// compareLocked is the leader's half of the truncation by epochs (KIP-101, KIP-279): nobody's records count before his last epoch ends where it ends here.
func (p *Partition) compareLocked(sub *subscription, at *peer.Position, wake *woken) (answer peer.Header, ok bool, err error) {
	epoch := p.LeaderEpoch()
	answer = peer.Header{Kind: peer.Refused, Handle: sub.handle, LeaderEpoch: epoch}
	switch {
	case p.removed():
		answer.Code = wire.UnknownTopicID
	case sub.leaderEpoch < epoch:
		answer.Code = wire.FencedLeaderEpoch
	case sub.leaderEpoch > epoch:
		answer.Code = wire.UnknownLeaderEpoch
	case !p.leads() || p.mu.leading == nil || !p.mu.epochStartSet:
		answer.Code = wire.NotLeaderOrFollower
	}
	if answer.Code != wire.None {
		return answer, false, nil
	}
	f := p.mu.leading.follower(sub.sender.o.Follower)
	if f == nil {
		answer.Code = wire.UnknownLeaderEpoch // an image that this broker does not have yet may have made it a replica
		return answer, false, nil
	}
	if life := sub.sender.o.BrokerEpoch; life < f.brokerEpoch || life == f.brokerEpoch && sub.handle <= f.handle {
		answer.Code = wire.StaleBrokerEpoch
		return answer, false, nil
	}
	// What it has said before is no longer so: its log may have been cut, or lost.
	f.end(wake)
	f.brokerEpoch, f.handle, f.subscribed = sub.sender.o.BrokerEpoch, sub.handle, false
	answer.LogStart = p.log.LogStart()
	answer.HighWatermark = p.highWatermark.Load()
	if at.LogEnd < answer.LogStart {
		answer.Kind = peer.OutOfRange
		return answer, false, nil
	}
	found, end := at.LastFetchedEpoch, p.log.LogEnd()
	if at.LastFetchedEpoch >= 0 {
		if found, end, err = p.epochEndLocked(at.LastFetchedEpoch); err != nil {
			return answer, false, err
		}
	}
	if found < at.LastFetchedEpoch || end < at.LogEnd {
		answer.Kind, answer.BaseOffset, answer.Detail = peer.Diverge, end, max(found, 0)
		return answer, false, nil
	}
	answer.Kind, answer.BaseOffset = peer.Subscribed, p.mu.epochStart
	return answer, true, nil
}

// epochEndLocked is the largest epoch up to epoch that has records here, and its end. In an empty log every epoch ends where the log does.
func (p *Partition) epochEndLocked(epoch int32) (found int32, end int64, err error) {
	latest, err := p.log.LatestEpoch()
	if err != nil {
		return -1, -1, err
	}
	if latest < 0 {
		return epoch, p.log.LogEnd(), nil
	}
	return p.log.EpochEnd(min(epoch, latest))
}

// acked takes in how far a follower says that it has come. False: it says what cannot be.
func (p *Partition) acked(sub *subscription, logEnd, flushedTo, now int64) bool {
	c := p.Topic.Config()
	var wake woken
	p.mu.Lock()
	l := p.mu.leading
	if l == nil || !p.leads() || p.LeaderEpoch() != sub.leaderEpoch {
		p.mu.Unlock()
		return true // of a leadership that is over
	}
	f := l.follower(sub.sender.o.Follower)
	if f == nil || f.sub != sub {
		p.mu.Unlock()
		return true
	}
	if logEnd > p.log.LogEnd() {
		p.mu.Unlock()
		return false
	}
	f.logEnd, f.flushedTo = max(f.logEnd, logEnd), max(f.flushedTo, flushedTo)
	p.heardLocked(f, c, now)
	p.askISRLocked(c, &wake)
	done := p.advanceLocked(c, &wake)
	p.mu.Unlock()
	done.finish()
	wake.fire()
	return true
}

// heardLocked runs the lag clock as Kafka does: a follower was caught up when it said that it has all there was when it spoke the time before.
func (p *Partition) heardLocked(f *follower, c *config.TopicConfig, now int64) {
	end := p.log.LogEnd()
	switch has := f.progress(c); {
	case has >= end:
		f.caughtUp = now
	case has >= f.endThen && f.heardAt > f.caughtUp:
		f.caughtUp = f.heardAt
	}
	f.heardAt, f.endThen = now, end
}

// leave ends a follower's stream. What it has acknowledged stays true; its lag clock runs on.
func (p *Partition) leave(sub *subscription) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mu.leading == nil {
		return
	}
	if f := p.mu.leading.follower(sub.sender.o.Follower); f != nil && f.sub == sub {
		f.sub = nil
	}
}
