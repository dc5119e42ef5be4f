package sim

import (
	"fmt"
	"slices"

	"github.com/millrace/millrace/meta"
	"github.com/millrace/millrace/replica"
	"github.com/millrace/millrace/wire"
)

// controller stands in for the quorum: it decides at once and for good, and tells brokers late. It follows the rules that the real one follows:
// a leader is elected from the ISR, the last member never leaves it, whoever comes back does so in a new life and outside of it.
type controller struct {
	w      *world
	images []*meta.Image
	asks   []*request // answers on their way back
}

// request is a leader's change of the ISR, on its way to the controller or back.
type request struct {
	n      *node
	table  *replica.Table // of the life that asks
	change *replica.ISRChange
	code   wire.Code
	known  bool
}

func (c *controller) init(w *world) {
	c.w = w
	c.images = []*meta.Image{meta.Empty()}
	rs := meta.Bootstrap("sim")
	for id := int32(1); id <= nodes; id++ {
		rs = append(rs, meta.BrokerRegistrationRecord{Broker: meta.Broker{ID: id}})
	}
	all := []int32{1, 2, 3}
	rs = append(rs, meta.TopicRecord{Name: topicName, ID: topicID},
		meta.ConfigRecord{Resource: meta.Resource{Type: meta.TopicResource, Name: topicName}, Name: "min.insync.replicas", Value: "2"},
		meta.PartitionRecord{TopicID: topicID, Partition: meta.Partition{Replicas: all, ISR: all, Leader: 1}})
	c.commit("cluster of three", rs...)
}

func (c *controller) image() int { return len(c.images) - 1 }

func (c *controller) newest() *meta.Image { return c.images[len(c.images)-1] }

func (c *controller) partition() *meta.Partition {
	return c.newest().TopicByName(topicName).Partition(0)
}

func (c *controller) commit(what string, rs ...meta.Record) {
	old := c.newest()
	im, err := old.Apply(rs, old.Index()+1)
	if err != nil {
		c.w.fail("controller: %s: %v", what, err)
		return
	}
	c.images = append(c.images, im)
	if p := im.TopicByName(topicName).Partition(0); p != nil {
		c.w.tell("controller: %s: image %d, leader %d, epoch %d/%d, ISR %v", what, c.image(), p.Leader, p.LeaderEpoch, p.PartitionEpoch, p.ISR)
	}
}

// may is whether a broker may lead and be in sync.
func (c *controller) may(id int32) bool { return !c.newest().Broker(id).Fenced }

// elect is what becomes of the partition when a broker cannot be counted on: in an ISR of others it is no member any more.
func (c *controller) without(id int32) meta.PartitionChangeRecord {
	p := c.partition()
	change := meta.PartitionChangeRecord{TopicID: topicID, Leader: meta.LeaderUnchanged}
	isr := slices.DeleteFunc(slices.Clone(p.ISR), func(x int32) bool { return x == id })
	if len(isr) > 0 && len(isr) < len(p.ISR) {
		change.ISR = isr
	}
	if p.Leader == id {
		change.Leader = meta.NoLeader
		for _, x := range isr {
			if c.may(x) {
				change.Leader = x
			}
		}
	}
	return change
}

// notice fences a broker that is down, or whose messages do not arrive.
func (c *controller) notice() {
	for _, n := range c.w.nodes {
		if !n.up && c.may(n.id) && c.w.r.IntN(2) == 0 {
			c.commit(fmt.Sprintf("broker %d is fenced", n.id), meta.BrokerFenceRecord{ID: n.id, Epoch: c.newest().Broker(n.id).Epoch, Fenced: true}, c.without(n.id))
			return
		}
	}
}

// register begins a broker's next life. What its last one was trusted with is over; only the last member of the ISR is still that.
func (c *controller) register(n *node) {
	change := c.without(n.id)
	c.commit(fmt.Sprintf("broker %d registers", n.id), meta.BrokerRegistrationRecord{Broker: meta.Broker{ID: n.id}}, change)
	n.epoch = c.newest().Broker(n.id).Epoch
	if p := c.partition(); p.Leader == meta.NoLeader || !c.may(p.Leader) {
		c.elect()
	}
}

// elect gives a partition without a leader one, if anybody of its ISR is there.
func (c *controller) elect() {
	for _, id := range c.partition().ISR {
		if c.may(id) {
			c.commit("election", meta.PartitionChangeRecord{TopicID: topicID, Leader: id})
			return
		}
	}
}

// move gives the partition another leader although the one it has is well: the old one learns of it late.
func (c *controller) move() {
	p := c.partition()
	id := p.ISR[c.w.r.IntN(len(p.ISR))]
	if c.may(id) {
		c.commit("move", meta.PartitionChangeRecord{TopicID: topicID, Leader: id})
	}
}

// serve decides on a request that has arrived; it may have been sent twice.
func (c *controller) serve() {
	n := c.w.nodes[c.w.r.IntN(nodes)]
	if len(n.requests) == 0 {
		return
	}
	i := c.w.r.IntN(len(n.requests))
	ask := n.requests[i]
	twice := !c.w.healing && c.w.r.IntN(10) == 0
	if !twice {
		n.requests = append(n.requests[:i:i], n.requests[i+1:]...)
	}
	if !c.w.healing && c.w.r.IntN(10) == 0 {
		c.asks = append(c.asks, &request{n: n, table: ask.table, change: ask.change}) // lost on its way, or only its answer will be
		if c.w.r.IntN(2) == 0 {
			return
		}
		c.decide(ask)
		return
	}
	code := c.decide(ask)
	c.asks = append(c.asks, &request{n, ask.table, ask.change, code, true})
}

func (c *controller) decide(ask *request) wire.Code {
	p := c.partition()
	switch {
	case ask.change.LeaderEpoch < p.LeaderEpoch:
		return wire.FencedLeaderEpoch
	case ask.n.id != p.Leader:
		return wire.InvalidRequest
	case ask.change.PartitionEpoch < p.PartitionEpoch:
		return wire.InvalidUpdateVersion
	}
	var isr []int32
	for _, m := range ask.change.ISR {
		if b := c.newest().Broker(m.ID); b.Fenced || m.BrokerEpoch != -1 && m.BrokerEpoch != b.Epoch {
			return wire.IneligibleReplica
		}
		isr = append(isr, m.ID)
	}
	c.commit(fmt.Sprintf("leader %d asks for an ISR", ask.n.id), meta.PartitionChangeRecord{TopicID: topicID, Leader: meta.LeaderUnchanged, ISR: isr})
	return wire.None
}

// answer lets an answer of the controller arrive.
func (w *world) answer() {
	c := &w.controller
	if len(c.asks) == 0 {
		return
	}
	i := w.r.IntN(len(c.asks))
	a := c.asks[i]
	c.asks = append(c.asks[:i:i], c.asks[i+1:]...)
	if a.n.up && a.n.table == a.table {
		w.tell("leader %d has the answer %s, known %v", a.n.id, a.code, a.known)
		a.change.Partition.ISRAnswered(a.change, a.code, a.known)
	}
}
