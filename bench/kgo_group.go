package bench

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// groupsWithin is how long groups may take until every member has its partitions.
const groupsWithin = 60 * time.Second

func (r *run) groupName(group int) string { return fmt.Sprintf("millrace-bench-%016x-%d", r.id, group) }

// join makes the client a member. Where a partition moves from one member to another, reading goes on where it stood, whatever was
// committed: what is counted twice is the broker's doing then, and not the protocol's.
func (c *kgoConsumer) join(group int) []kgo.Opt {
	change := func(sign int64) func(context.Context, *kgo.Client, map[string][]int32) {
		return func(_ context.Context, _ *kgo.Client, moved map[string][]int32) {
			c.assigned.Add(sign * int64(len(moved[c.place.topic])))
		}
	}
	return []kgo.Opt{
		kgo.ConsumerGroup(c.groupName(group)),
		kgo.BlockRebalanceOnPoll(), // a partition does not go to another member while its records are being verified here
		kgo.ConsumeTopics(c.place.topic),
		kgo.OnPartitionsAssigned(change(1)),
		kgo.OnPartitionsRevoked(change(-1)),
		kgo.OnPartitionsLost(change(-1)),
		kgo.AdjustFetchOffsetsFn(func(_ context.Context, offsets map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
			for partition := range offsets[c.place.topic] {
				offsets[c.place.topic][partition] = kgo.NewOffset().At(c.trackers[partition].position.Load())
			}
			return offsets, nil
		}),
	}
}

// awaitGroups waits until every member has partitions and every partition a member.
func (d *real) awaitGroups(ctx context.Context) error {
	if !d.spec.GroupProtocol {
		return nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, groupsWithin, fmt.Errorf("not every member of every group had partitions within %v", groupsWithin))
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !d.joined() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

func (d *real) joined() bool {
	var partitions int64
	for _, c := range d.consumers {
		n := c.assigned.Load()
		if n == 0 {
			return false
		}
		partitions += n
	}
	return partitions == int64(d.spec.Groups*d.spec.Partitions)
}

// forgetGroups deletes the groups; best effort, since a broker forgets an empty group in time.
func (d *real) forgetGroups() {
	if !d.spec.GroupProtocol {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	var names []string
	for group := range d.spec.Groups {
		names = append(names, d.groupName(group))
	}
	_, _ = d.place.admin.DeleteGroups(ctx, names...)
}
