package broker

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/millrace/millrace/group"
	"github.com/millrace/millrace/wire"
)

// OffsetStats is a committed offset of a group, or the sum of several.
type OffsetStats struct {
	Partition int32
	Offset    int64
	Lag       int64 // records from it to what consumers may see; never negative. -1: this broker does not lead the partition
}

// GroupTopicStats is what a group has committed of one topic.
type GroupTopicStats struct {
	Topic      string
	Sum        OffsetStats
	Partitions []OffsetStats // nil when they were not asked for
}

// GroupStats is one group that this broker coordinates.
type GroupStats struct {
	Name    string
	State   string
	Members int
	Topics  []GroupTopicStats
}

// Bounds of a look at groups.
const (
	groupPatience  = 3 * time.Second // for all shards together: one that is loading, or waits for the disk, is left out
	groupsAtOnce   = 64              // that a shard is asked about before others have their turn with it
	offsetsOfGroup = 1 << 16         // committed offsets of one group
	longestGroup   = 255             // bytes of a name that is shown
)

// Groups returns the groups that this broker coordinates, with at most so many topics and partitions; whole is whether all are there. Groups that
// cannot be shown, because of their names or of how much they have committed, are left out of it and counted.
func (v View) Groups(partitions bool, most int) (groups []GroupStats, leftOut int, whole bool) {
	n := v.n
	ctx, done := context.WithTimeout(context.Background(), groupPatience)
	defer done()
	running := n.groups.Running()
	slices.Sort(running)
	whole = true
	all := group.NewFilter(nil, nil)
	for _, shard := range running {
		var list []group.Listing
		if !n.look(ctx, shard, func(s *group.Shard) { list = s.List(all) }) {
			continue
		}
		for len(list) > 0 {
			some := list[:min(groupsAtOnce, len(list))]
			list = list[len(some):]
			got := groupLook{most: most}
			if !n.look(ctx, shard, func(s *group.Shard) { got.take(n, s, some, partitions) }) {
				break
			}
			groups, leftOut, most = append(groups, got.groups...), leftOut+got.leftOut, got.most
			if most < 0 {
				return groups, leftOut, false
			}
		}
	}
	slices.SortFunc(groups, func(a, b GroupStats) int { return strings.Compare(a.Name, b.Name) })
	return groups, leftOut, whole
}

// look has a shard call f, and waits for it. False: it has not, and what f has written may not be read.
func (n *Node) look(ctx context.Context, shard int32, f func(s *group.Shard)) bool {
	answer := make(chan wire.Code, 1)
	n.groups.SubmitTo(shard, groupTask(0, func(s *group.Shard, _ int64) { f(s) }, func(code wire.Code) { answer <- code }))
	select {
	case code := <-answer:
		return code == wire.None
	case <-ctx.Done():
		return false
	}
}

// groupLook is what one look at a shard finds.
type groupLook struct {
	groups  []GroupStats
	leftOut int
	most    int // topics and partitions that may still be found
}

// take runs on whatever goroutine runs the shard.
func (l *groupLook) take(n *Node, s *group.Shard, list []group.Listing, partitions bool) {
	for _, is := range list {
		if is.Group == "" || len(is.Group) > longestGroup {
			l.leftOut++
			continue
		}
		g := GroupStats{Name: is.Group, State: is.State.String(), Members: s.Members(is.Group)}
		places, seen := map[string]int{}, 0
		s.EachOffset(is.Group, func(topic string, partition int32, offset int64) bool {
			seen++
			place, ok := places[topic]
			if !ok {
				place = len(g.Topics)
				places[topic] = place
				g.Topics = append(g.Topics, GroupTopicStats{Topic: topic, Sum: OffsetStats{Partition: -1, Lag: -1}})
				l.most--
			}
			g.Topics[place].add(OffsetStats{partition, offset, n.lag(topic, partition, offset)}, partitions)
			if partitions {
				l.most--
			}
			return l.most >= 0 && seen <= offsetsOfGroup
		})
		switch {
		case l.most < 0:
			return
		case seen > offsetsOfGroup:
			l.leftOut++
		default:
			l.groups = append(l.groups, g)
		}
	}
}

func (t *GroupTopicStats) add(o OffsetStats, partitions bool) {
	if partitions {
		t.Partitions = append(t.Partitions, o)
	}
	if o.Lag >= 0 {
		t.Sum.Lag = max(t.Sum.Lag, 0) + o.Lag
	}
	t.Sum.Offset += o.Offset
}

// lag is how many offsets lie between a committed one and what consumers may see, -1 when another broker knows. Clients may commit what they like,
// beyond the end too: then there is none.
func (n *Node) lag(topic string, partition int32, offset int64) int64 {
	p := n.table.Lookup(topic, partition)
	if p == nil {
		return -1
	}
	if _, leads := p.Leads(); !leads {
		return -1
	}
	return max(p.Visible()-offset, 0)
}
