package broker

import (
	"slices"
	"strings"
	"sync/atomic"

	"github.com/millrace/millrace/group"
	"github.com/millrace/millrace/wire"
)

// ListGroups, versions 0-5: the groups that this broker coordinates, by state from version 4 on and by type from version 5 on.
//
//   - All shards that hold groups are asked; after a start they have to be found first. While one is loading the answer is COORDINATOR_LOAD_IN_PROGRESS, as in Kafka.

func (n *Node) handleListGroups(c *call) {
	req, version := new(wire.ListGroupsRequest), c.header.Version
	if err := req.Decode(version, c.body); err != nil {
		c.fail(err)
		return
	}
	if n.groupsFound.Load() {
		n.listGroups(c, req)
		return
	}
	n.workers.cold.Go(func() {
		n.loadGroups()
		n.listGroups(c, req)
	})
}

func (n *Node) listGroups(c *call, req *wire.ListGroupsRequest) {
	partitions := n.groups.Running()
	slices.Sort(partitions)
	if len(partitions) == 0 {
		answerListGroups(c, nil, nil)
		return
	}
	filter := group.NewFilter(req.StatesFilter, req.TypesFilter) // once: it may name very many
	lists, codes := make([][]group.Listing, len(partitions)), make([]wire.Code, len(partitions))
	var left atomic.Int32
	left.Store(int32(len(partitions)))
	for i, p := range partitions {
		n.groups.SubmitTo(p, groupTask(0, func(s *group.Shard, _ int64) { lists[i] = s.List(filter) }, func(code wire.Code) {
			if codes[i] = code; left.Add(-1) == 0 {
				n.workers.check.Go(func() { answerListGroups(c, lists, codes) }) // may be thousands: not on a shard's goroutine
			}
		}))
	}
}

func answerListGroups(c *call, lists [][]group.Listing, codes []wire.Code) {
	resp := new(wire.ListGroupsResponse)
	resp.Default()
	for i := range lists {
		switch codes[i] {
		case wire.None:
		case wire.NotCoordinator: // another broker lists them
			continue
		default:
			resp.ErrorCode = codes[i]
		}
		for _, l := range lists[i] {
			g := resp.AddGroup()
			g.GroupID, g.ProtocolType, g.GroupState, g.GroupType = l.Group, l.ProtocolType, l.State.String(), "classic"
		}
	}
	if resp.ErrorCode != wire.None {
		resp.Groups = nil
	}
	slices.SortFunc(resp.Groups, func(a, b wire.ListGroupsResponseGroup) int { return strings.Compare(a.GroupID, b.GroupID) })
	c.respond(func(dst []byte) []byte { return resp.Append(c.header.Version, dst) })
}
