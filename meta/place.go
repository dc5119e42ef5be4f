package meta

import (
	"slices"
	"strings"

	"github.com/millrace/millrace/wire"
)

// place decides where the partitions of a new topic lie: by hand as the request says, or spread.
func place(im *Image, t *NewTopic, rules *Rules, rand Rand) ([]Partition, TopicResult) {
	if len(t.Assignments) > 0 {
		return placeByHand(im, t)
	}
	if t.ReplicationFactor < -1 || t.ReplicationFactor == 0 {
		return nil, refuse(wire.InvalidReplicationFactor, "Replication factor must be larger than 0, or -1 to use the default value.")
	}
	if t.Partitions < -1 || t.Partitions == 0 {
		return nil, refuse(wire.InvalidPartitions, "Number of partitions was set to an invalid non-positive value.")
	}
	partitions, factor := int(t.Partitions), int(t.ReplicationFactor)
	if partitions == -1 {
		partitions = max(1, int(rules.Partitions))
	}
	if factor == -1 {
		factor = max(1, min(int(rules.ReplicationFactor), im.BrokerCount()))
	}
	var share lists
	return placeSpread(im, partitions, factor, &share, rand)
}

// placeSpread places partitions with factor replicas each on the brokers there are.
func placeSpread(im *Image, partitions, factor int, share *lists, rand Rand) ([]Partition, TopicResult) {
	var active, fenced []*Broker
	im.EachBroker(func(b *Broker) bool {
		if b.Fenced {
			fenced = append(fenced, b)
		} else {
			active = append(active, b)
		}
		return true
	})
	if len(active) == 0 {
		return nil, refuse(wire.InvalidReplicationFactor, "Unable to replicate the partition %d time(s): All brokers are currently fenced.", factor)
	}
	if registered := len(active) + len(fenced); factor > registered {
		return nil, refuse(wire.InvalidReplicationFactor, "Unable to replicate the partition %d time(s): The target replication factor of %d "+
			"cannot be reached because only %d broker(s) are registered or some brokers have all their log directories cordoned.", factor, factor, registered)
	}
	order, start := ring(active), rand()
	placed := make([]Partition, partitions)
	for i := range placed {
		placed[i] = newPartition(im, share.share(spread(order, fenced, start+uint64(i), factor)), share)
	}
	return placed, TopicResult{}
}

// ring puts brokers in an order in which neighbours lie in different racks, as far as the racks allow it.
func ring(brokers []*Broker) []*Broker {
	racks := map[string]int{}
	depth := make(map[*Broker]int, len(brokers)) // how many of its rack come before it
	for _, b := range brokers {
		depth[b] = racks[b.Rack]
		racks[b.Rack]++
	}
	if len(racks) < 2 {
		return brokers
	}
	r := slices.Clone(brokers)
	slices.SortStableFunc(r, func(a, b *Broker) int {
		if d := depth[a] - depth[b]; d != 0 {
			return d
		}
		return strings.Compare(a.Rack, b.Rack)
	})
	return r
}

// spread places the replicas of the nth partition: leaders go round the ring, and from round to round their followers begin one
// broker further, so that no broker's partitions all have the same followers. Of the brokers left, one in the rack that has the
// fewest replicas yet comes first. Fenced brokers serve only when there are not enough others.
func spread(ring, fenced []*Broker, n uint64, factor int) []int32 {
	count := uint64(len(ring))
	first := n % count
	replicas := make([]int32, 1, factor)
	replicas[0] = ring[first].ID
	if factor == 1 {
		return replicas
	}
	used := map[string]int{ring[first].Rack: 1}
	left := make([]*Broker, 0, count-1)
	for k := range count - 1 {
		left = append(left, ring[(first+1+(n/count+k)%(count-1))%count])
	}
	for len(replicas) < factor && len(left) > 0 {
		best := 0
		for i, b := range left {
			if used[b.Rack] < used[left[best].Rack] {
				best = i
			}
		}
		replicas = append(replicas, left[best].ID)
		used[left[best].Rack]++
		left = slices.Delete(left, best, best+1)
	}
	for i := 0; len(replicas) < factor; i++ {
		replicas = append(replicas, fenced[(n+uint64(i))%uint64(len(fenced))].ID)
	}
	return replicas
}

func placeByHand(im *Image, t *NewTopic) ([]Partition, TopicResult) {
	if t.ReplicationFactor != -1 {
		return nil, refuse(wire.InvalidRequest, "A manual partition assignment was specified, but replication factor was not set to -1.")
	}
	if t.Partitions != -1 {
		return nil, refuse(wire.InvalidRequest, "A manual partition assignment was specified, but numPartitions was not set to -1.")
	}
	var share lists
	placed := make([]Partition, len(t.Assignments))
	done := make([]bool, len(placed))
	seen := make(map[int32]bool, len(placed))
	for i, a := range t.Assignments {
		if seen[a.Partition] {
			return nil, refuse(wire.InvalidReplicaAssignment, "Found multiple manual partition assignments for partition %d", a.Partition)
		}
		seen[a.Partition] = true
		if result := checkReplicas(im, a.Replicas); result.Code != wire.None {
			return nil, result
		}
		if factor := len(t.Assignments[0].Replicas); i > 0 && len(a.Replicas) != factor {
			return nil, refuse(wire.InvalidReplicaAssignment, "The manual partition assignment includes a partition with %d replica(s), but this is not "+
				"consistent with previous partitions, which have %d replica(s).", len(a.Replicas), factor)
		}
		p := newPartition(im, share.share(a.Replicas), &share)
		if p.Leader == NoLeader {
			return nil, refuse(wire.InvalidReplicaAssignment, "All brokers specified in the manual partition assignment for partition %d are fenced or in controlled shutdown.", a.Partition)
		}
		if a.Partition >= 0 && int(a.Partition) < len(placed) {
			placed[a.Partition], done[a.Partition] = p, true
		}
	}
	if slices.Contains(done, false) {
		return nil, refuse(wire.InvalidReplicaAssignment, "partitions should be a consecutive 0-based integer sequence")
	}
	return placed, TopicResult{}
}

func checkReplicas(im *Image, replicas []int32) TopicResult {
	if len(replicas) == 0 {
		return refuse(wire.InvalidReplicaAssignment, "The manual partition assignment includes an empty replica list.")
	}
	sorted := slices.Sorted(slices.Values(replicas))
	for i, id := range sorted {
		if im.Broker(id) == nil {
			return refuse(wire.InvalidReplicaAssignment, "The manual partition assignment includes broker %d, but no such broker is registered.", id)
		}
		if i > 0 && id == sorted[i-1] {
			return refuse(wire.InvalidReplicaAssignment, "The manual partition assignment includes the broker %d more than once.", id)
		}
	}
	return TopicResult{}
}

// newPartition is a partition that nobody has written to yet: every replica that is not fenced is in sync, the first of them leads.
func newPartition(im *Image, replicas []int32, share *lists) Partition {
	fenced := func(id int32) bool { return im.Broker(id).Fenced }
	isr := replicas
	if slices.ContainsFunc(replicas, fenced) {
		isr = share.share(slices.DeleteFunc(slices.Clone(replicas), fenced))
	}
	p := Partition{Replicas: replicas, ISR: isr, Leader: NoLeader}
	if len(isr) > 0 {
		p.Leader = isr[0]
	}
	return p
}
