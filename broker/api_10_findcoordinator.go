package broker

import (
	"github.com/millrace/millrace/internal/coord"
	"github.com/millrace/millrace/meta"
	"github.com/millrace/millrace/wire"
)

// FindCoordinator, versions 0-6: which broker looks after a group. protocol.md 2.4, 42.
//
//   - It leads the partition of __consumer_offsets that the group falls into. The first question creates that topic; Kafka answers
//     COORDINATOR_NOT_AVAILABLE meanwhile and lets the client ask again, here the answer waits until it is there.
//   - Any string is a group, the empty one too, as in Kafka.
//   - Versions 1-3 carry Kafka's sentence about the code, "NONE" for none; later ones the empty string, or why not.
//
// Gaps: transactions and share groups are refused for good, until they are built (DESIGN D1). Versions up to 2 are those of librdkafka, which takes
// one code only as the end of its search for a transaction coordinator and tries again after any other, without a word: it gets that one.

// Kinds of coordinators.
const (
	groupCoordinator       = 0
	transactionCoordinator = 1
	shareCoordinator       = 2
)

var (
	errTransactionalForGood error = &refusal{wire.TransactionalIDAuthorizationFailed, messageOf(errTransactional)}

	errNoShareGroups error = &refusal{wire.InvalidRequest, "This broker does not support share groups yet."}
	errNoCoordinator error = &refusal{wire.InvalidRequest, wire.InvalidRequest.Message()}
)

func (n *Node) handleFindCoordinator(c *call) {
	req := new(wire.FindCoordinatorRequest)
	if err := req.Decode(c.header.Version, c.body); err != nil {
		c.fail(err)
		return
	}
	if len(req.CoordinatorKeys) > maxGroupsNamed {
		c.fail(errTooManyGroups)
		return
	}
	switch req.KeyType {
	case groupCoordinator:
		if n.offsetsTopic() != nil {
			n.answerFindCoordinator(c, req, nil)
			return
		}
		n.createOffsetsTopic(func(error) { n.answerFindCoordinator(c, req, nil) })
	case transactionCoordinator:
		if c.header.Version <= 2 {
			n.answerFindCoordinator(c, req, errTransactionalForGood)
			return
		}
		n.answerFindCoordinator(c, req, errTransactional)
	case shareCoordinator:
		n.answerFindCoordinator(c, req, errNoShareGroups)
	default:
		n.answerFindCoordinator(c, req, errNoCoordinator)
	}
}

func (n *Node) answerFindCoordinator(c *call, req *wire.FindCoordinatorRequest, err error) {
	resp := new(wire.FindCoordinatorResponse)
	resp.Default()
	if c.header.Version < 4 {
		f := n.findCoordinator(c, req.Key, err)
		resp.NodeID, resp.Host, resp.Port, resp.ErrorCode = f.NodeID, f.Host, f.Port, f.ErrorCode
		resp.ErrorMessage = f.ErrorMessage
		switch {
		case f.ErrorCode == wire.None:
			resp.ErrorMessage = wire.Str("NONE")
		case err == nil:
			resp.ErrorMessage = wire.Str(f.ErrorCode.Message())
		}
	} else {
		resp.Coordinators = make([]wire.FindCoordinatorResponseCoordinator, len(req.CoordinatorKeys))
		for i, key := range req.CoordinatorKeys {
			resp.Coordinators[i] = n.findCoordinator(c, key, err)
			resp.Coordinators[i].Key = key
		}
	}
	c.respond(func(dst []byte) []byte { return resp.Append(c.header.Version, dst) })
}

// findCoordinator finds one group's, as the newest image has it.
func (n *Node) findCoordinator(c *call, key string, err error) wire.FindCoordinatorResponseCoordinator {
	f := wire.FindCoordinatorResponseCoordinator{NodeID: -1, Port: -1, ErrorMessage: wire.Str(messageOf(err))}
	if err != nil {
		f.ErrorCode = codeOf(err)
		return f
	}
	f.ErrorCode = wire.CoordinatorNotAvailable
	im := n.image()
	t := im.TopicByName(coord.Topic)
	if t == nil {
		return f
	}
	leader := t.Partition(coord.Partition(key, int32(len(t.Partitions)))).Leader
	if leader == meta.NoLeader {
		return f
	}
	if b := im.Broker(leader); b != nil && !b.Fenced {
		if host, port, ok := n.advertised(b, c.conn); ok {
			f.NodeID, f.Host, f.Port, f.ErrorCode = leader, host, port, wire.None
		}
	}
	return f
}
