package meta

import "github.com/millrace/millrace/wire"

// Heartbeat is what a broker tells the controller of itself, again and again.
type Heartbeat struct {
	Broker       int32
	Epoch        int64 // of its registration
	Offset       int64 // of the last metadata record that it has applied
	WantFence    bool  // it is not ready to lead
	WantShutdown bool  // it wants to stop
}

// HeartbeatAnswer is true once the records that come with it are in the log, and only then to be told.
type HeartbeatAnswer struct {
	CaughtUp bool // the broker has applied its own registration
	Fenced   bool
	ShutDown bool // it may stop now
}

// BrokerHeartbeat decides what a heartbeat changes: a fenced broker that has caught up and wants to serve is let in; one that wants to stop hands over
// its leaderships, a batch at every heartbeat, and may stop when it leads nothing and every active broker knows that. Sessions have been told of the
// heartbeat already.
func BrokerHeartbeat(im *Image, s *Sessions, h *Heartbeat, rules *Rules) ([]Record, HeartbeatAnswer, error) {
	b := im.Broker(h.Broker)
	if b == nil || b.Epoch != h.Epoch {
		return nil, HeartbeatAnswer{}, wire.StaleBrokerEpoch
	}
	a := HeartbeatAnswer{CaughtUp: h.Offset >= b.Epoch, Fenced: b.Fenced}
	stopping := b.ShutdownOffset > 0
	switch {
	case b.Fenced && stopping: // there is no way back from a shutdown
		a.ShutDown = true
		return nil, a, nil
	case b.Fenced && h.WantShutdown: // nobody takes it for a leader
		a.ShutDown = true
		return []Record{BrokerShutdownRecord{b.ID, b.Epoch}}, a, nil
	case b.Fenced && (h.WantFence || !a.CaughtUp):
		return nil, a, nil
	case b.Fenced:
		a.Fenced = false
		return unfence(im, b, rules), a, nil
	case !h.WantShutdown && h.WantFence && !stopping:
		a.Fenced = true
		return fence(im, b, rules), a, nil
	case !h.WantShutdown && !stopping:
		return nil, a, nil
	}
	if !h.WantFence || stopping { // else it cannot wait
		if im.leads(b.ID) {
			return handOver(im, b, rules), a, nil
		}
		if stopping && s.applied(im) < b.ShutdownOffset {
			return nil, a, nil
		}
	}
	a.Fenced, a.ShutDown = true, true
	return append([]Record{BrokerShutdownRecord{b.ID, b.Epoch}}, fence(im, b, rules)...), a, nil
}

// FenceBroker takes a broker out of every ISR and gives what it leads to others. It leads nothing more until a heartbeat lifts the fence.
func FenceBroker(im *Image, id int32, epoch int64, rules *Rules) ([]Record, error) {
	b := im.Broker(id)
	if b == nil || b.Epoch != epoch {
		return nil, wire.StaleBrokerEpoch
	}
	if b.Fenced {
		return nil, nil
	}
	return fence(im, b, rules), nil
}

func fence(im *Image, b *Broker, rules *Rules) []Record {
	rs := im.sweep(rules, noLimit, inSync(b.ID), leaves(im, b.ID))
	return append(rs, BrokerFenceRecord{b.ID, b.Epoch, true})
}

// unfence lets a broker lead, first of all the partitions that nobody leads.
func unfence(im *Image, b *Broker, rules *Rules) []Record {
	leaderless := func(p *Partition) bool { return p.Leader == NoLeader && contains(p.Replicas, b.ID) }
	return append([]Record{BrokerFenceRecord{b.ID, b.Epoch, false}}, im.sweep(rules, noLimit, leaderless, func(c *change) {
		c.may = func(id int32) bool { return id == b.ID || im.active(id) }
	})...)
}

// maxMoves is how many leaders one decision moves that could as well be made in several; it is Kafka's number. It bounds what waits behind it.
const maxMoves = 1000

// handOver takes a broker that is about to stop out of ISRs, first of the partitions that it leads.
func handOver(im *Image, b *Broker, rules *Rules) []Record {
	rs := im.sweep(rules, maxMoves, func(p *Partition) bool { return p.Leader == b.ID }, leaves(im, b.ID))
	if more := maxMoves - len(rs); more > 0 {
		follows := func(p *Partition) bool { return p.Leader != b.ID && contains(p.ISR, b.ID) }
		rs = append(rs, im.sweep(rules, more, follows, leaves(im, b.ID))...)
	}
	return append(rs, BrokerShutdownRecord{b.ID, b.Epoch})
}

// leads tells whether a broker leads any partition.
func (im *Image) leads(id int32) (leads bool) {
	im.EachTopic(func(t *Topic) bool {
		for i := range t.Partitions {
			leads = leads || t.Partitions[i].Leader == id
		}
		return !leads
	})
	return leads
}
