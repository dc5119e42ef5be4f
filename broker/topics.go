package broker

import (
	"github.com/millrace/millrace/netio"
	"github.com/millrace/millrace/replica"
	"github.com/millrace/millrace/wire"
)

// topic finds a topic by name, or by id. The error says why there is none.
func (n *Node) topic(name string, id wire.UUID, byID bool) (*replica.Topic, error) {
	if byID {
		if t := n.table.TopicByID(id); t != nil {
			return t, nil
		}
		return nil, wire.UnknownTopicID
	}
	if t := n.table.Topic(name); t != nil {
		return t, nil
	}
	return nil, wire.UnknownTopicOrPartition
}

// partitionOf finds this broker's replica of a partition.
func partitionOf(t *replica.Topic, index int32) (*replica.Partition, error) {
	p, exists := t.Partition(index)
	switch {
	case !exists:
		return nil, wire.UnknownTopicOrPartition
	case p == nil:
		return nil, wire.NotLeaderOrFollower
	}
	return p, nil
}

// hint tells a client where a partition's leader is (KIP-951).
type hint struct {
	id, epoch, port int32
	host, rack      string // host is "" when the leader's address is not known
}

// leaderOf is the leader of a partition as the newest image has it, with the address that clients of this connection's listener use.
func (n *Node) leaderOf(t *replica.Topic, index int32, conn *netio.Conn) (h hint, ok bool) {
	im := n.image()
	mt := im.TopicByID(t.ID)
	if mt == nil {
		return h, false
	}
	p := mt.Partition(index)
	if p == nil {
		return h, false
	}
	h.id, h.epoch = p.Leader, p.LeaderEpoch
	if b := im.Broker(p.Leader); b != nil {
		h.rack = b.Rack
		h.host, h.port, _ = n.advertised(b, conn)
	}
	return h, true
}
