package broker

import (
	"github.com/millrace/millrace/group"
	"github.com/millrace/millrace/wire"
)

// DeleteGroups, versions 0-3: groups without members go, with their offsets.
//
//   - Each group stands for itself. A group that the request names twice is answered once, as in Kafka.
//   - The sentence of version 3 is for failures that the code does not say. Kafka leaves it out for all that can happen here.

func (n *Node) handleDeleteGroups(c *call) {
	req, version := new(wire.DeleteGroupsRequest), c.header.Version
	if err := req.Decode(version, c.body); err != nil {
		c.fail(err)
		return
	}
	if len(req.GroupsNames) > maxGroupsNamed {
		c.fail(errTooManyGroups)
		return
	}
	ids := distinct(req.GroupsNames)
	decided := make([]wire.Code, len(ids))
	n.askGroups(ids, len(c.body), func(s *group.Shard, now int64, i int) { decided[i] = s.Delete(now, ids[i]) }, func(codes []wire.Code) {
		resp := new(wire.DeleteGroupsResponse)
		resp.Default()
		for i, id := range ids {
			r := resp.AddResult()
			r.GroupID, r.ErrorCode = id, codes[i]
			if codes[i] == wire.None {
				r.ErrorCode = decided[i]
			}
		}
		c.respond(func(dst []byte) []byte { return resp.Append(version, dst) })
	})
}
