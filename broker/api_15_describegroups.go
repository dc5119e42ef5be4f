package broker

import (
	"fmt"

	"github.com/millrace/millrace/group"
	"github.com/millrace/millrace/wire"
)

// DescribeGroups, versions 0-6: classic groups with their members.
//
//   - A group that is not there is GROUP_ID_NOT_FOUND with a sentence from version 6 on, and a dead group without an error before.
//   - No authorizer exists yet: who asks for the operations he may do, may do all.
//   - A group that the request names twice is answered once: the answer may be long.

func (n *Node) handleDescribeGroups(c *call) {
	req, version := new(wire.DescribeGroupsRequest), c.header.Version
	if err := req.Decode(version, c.body); err != nil {
		c.fail(err)
		return
	}
	if len(req.Groups) > maxGroupsNamed {
		c.fail(errTooManyGroups)
		return
	}
	ids := distinct(req.Groups)
	got := make([]*group.Description, len(ids))
	n.askGroups(ids, len(c.body), func(s *group.Shard, _ int64, i int) { got[i] = s.Describe(ids[i]) }, func(codes []wire.Code) {
		resp := new(wire.DescribeGroupsResponse)
		resp.Default()
		size := 0
		for i, id := range ids {
			g := resp.AddGroup()
			g.GroupID = id
			if g.ErrorCode = codes[i]; codes[i] != wire.None {
				continue
			}
			if size += describeGroup(g, got[i], version); size > maxGroupAnswer {
				c.fail(errAnswerTooLarge)
				return
			}
			if req.IncludeAuthorizedOperations && g.ErrorCode == wire.None {
				g.AuthorizedOperations = groupOperations
			}
		}
		c.respond(func(dst []byte) []byte { return resp.Append(version, dst) })
	})
}

// describeGroup fills in a group, and returns about how many bytes it takes.
func describeGroup(g *wire.DescribeGroupsResponseGroup, d *group.Description, version int16) (size int) {
	g.GroupState, g.ProtocolType, g.ProtocolData = d.State.String(), d.ProtocolType, d.Protocol
	if d.Code != wire.None && version >= 6 {
		g.ErrorCode, g.ErrorMessage = d.Code, wire.Str(groupNotFound(d.Group))
	}
	for i := range d.Members {
		m, gm := &d.Members[i], g.AddMember()
		gm.MemberID, gm.GroupInstanceID, gm.ClientID, gm.ClientHost = m.Member, m.Instance, m.ClientID, m.ClientHost
		gm.MemberMetadata, gm.MemberAssignment = emptyNotNull(m.Metadata), emptyNotNull(m.Assignment)
		size += len(m.Member) + len(m.ClientID) + len(m.ClientHost) + len(m.Metadata) + len(m.Assignment) + 32
	}
	return size + len(d.Group) + 32
}

// groupNotFound is Kafka's sentence about a group that is not there.
func groupNotFound(groupID string) string { return fmt.Sprintf("Group %s not found.", groupID) }

func emptyNotNull(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}
