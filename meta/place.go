package meta

import (
	"slices"

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

// placeSpread places partitions with factor replicas each on the brokers there are. Those that are about to stop get none.
func placeSpread(im *Image, partitions, factor int, share *lists, rand Rand) ([]Partition, TopicResult) {
	s := newStripes(im)
	if s.active == 0 {
		return nil, refuse(wire.InvalidReplicationFactor, "Unable to replicate the partition %d time(s): All brokers are currently fenced.", factor)
	}
	if factor > s.usable {
		return nil, refuse(wire.InvalidReplicationFactor, "Unable to replicate the partition %d time(s): The target replication factor of %d "+
			"cannot be reached because only %d broker(s) are registered or some brokers have all their log directories cordoned.", factor, factor, s.usable)
	}
	s.begin(rand())
	placed := make([]Partition, partitions)
	for i := range placed {
		placed[i] = newPartition(im, share.share(s.place(factor)), share)
	}
	return placed, TopicResult{}
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

// newPartition is a partition that nobody has written to yet: every replica whose broker is active is in sync, the first of them leads.
func newPartition(im *Image, replicas []int32, share *lists) Partition {
	isr := share.share(pick(replicas, im.active))
	dirs := make([]wire.UUID, len(replicas))
	for i, id := range replicas {
		dirs[i] = im.directory(id)
	}
	p := Partition{Replicas: replicas, ISR: isr, Dirs: share.shareDirs(dirs), Leader: NoLeader}
	if len(isr) > 0 {
		p.Leader = isr[0]
	}
	return p
}
