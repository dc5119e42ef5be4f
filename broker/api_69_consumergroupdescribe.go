package broker

import (
	"fmt"

	"github.com/millrace/millrace/group"
	"github.com/millrace/millrace/wire"
)

// ConsumerGroupDescribe, versions 0-1: groups of the new protocol (KIP-848).
//
//   - There are none yet, so every group is GROUP_ID_NOT_FOUND; a classic one with the sentence that says so. Kafka's tools ask this first for
//     every group, and then DescribeGroups.

func (n *Node) handleConsumerGroupDescribe(c *call) {
	req, version := new(wire.ConsumerGroupDescribeRequest), c.header.Version
	if err := req.Decode(version, c.body); err != nil {
		c.fail(err)
		return
	}
	if len(req.GroupIDs) > maxGroupsNamed {
		c.fail(errTooManyGroups)
		return
	}
	ids := distinct(req.GroupIDs)
	classic := make([]bool, len(ids))
	n.askGroups(ids, len(c.body), func(s *group.Shard, _ int64, i int) { classic[i] = s.Describe(ids[i]).Code == wire.None }, func(codes []wire.Code) {
		resp := new(wire.ConsumerGroupDescribeResponse)
		resp.Default()
		for i, id := range ids {
			g := resp.AddGroup()
			g.GroupID, g.ErrorCode = id, codes[i]
			switch {
			case codes[i] != wire.None:
			case id == "":
				g.ErrorCode = wire.InvalidGroupID
			case classic[i]:
				g.ErrorCode, g.ErrorMessage = wire.GroupIDNotFound, wire.Str(fmt.Sprintf("Group %s is not a consumer group.", id))
			default:
				g.ErrorCode, g.ErrorMessage = wire.GroupIDNotFound, wire.Str(groupNotFound(id))
			}
		}
		c.respond(func(dst []byte) []byte { return resp.Append(version, dst) })
	})
}
