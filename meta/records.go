package meta

import "github.com/millrace/millrace/wire"

// Record is one change of an image: KRaft's set, as far as it is used here. A record is the value of one record of the
// metadata log; the records of one decision lie in one batch, so they are there together or not at all.
type Record interface{ kind() kind }

// TopicRecord creates a topic without partitions.
type TopicRecord struct {
	Name string
	ID   wire.UUID
}

// PartitionRecord creates a partition. A topic's partitions are created in order, from 0.
type PartitionRecord struct {
	TopicID   wire.UUID
	Number    int32
	Partition Partition
}

// PartitionChangeRecord changes what is not nil, or for Leader not LeaderUnchanged. Every change raises the partition
// epoch; stating a leader, even the same again, raises the leader epoch.
type PartitionChangeRecord struct {
	TopicID      wire.UUID
	Number       int32
	Leader       int32
	Replicas     []int32
	ISR          []int32
	ELR          []int32
	LastKnownELR []int32
	Adding       []int32
	Removing     []int32
	Dirs         []wire.UUID
	Unclean      bool // the new leader may lack records that were acknowledged
	Recovered    bool // the leader has done what an unclean election asks of it
}

// LeaderUnchanged in a PartitionChangeRecord leaves the leader and its epoch as they are.
const LeaderUnchanged int32 = -2

// RemoveTopicRecord removes a topic with its partitions and settings.
type RemoveTopicRecord struct {
	ID wire.UUID
}

// ConfigRecord sets one setting of a resource, or removes it.
type ConfigRecord struct {
	Resource Resource
	Name     string
	Value    string
	Remove   bool
}

// BrokerRegistrationRecord adds a broker, or replaces its registration.
type BrokerRegistrationRecord struct {
	Broker Broker // Epoch 0: the offset of this record
}

// BrokerFenceRecord fences a registered broker or lifts the fence.
type BrokerFenceRecord struct {
	ID     int32
	Epoch  int64 // of the registration it is about
	Fenced bool
}

// BrokerShutdownRecord tells that a broker is about to stop. Its offset is what the other brokers must have applied before it may: then nobody
// takes it for a leader any more. Every batch of leaderships that it hands over ends with one.
type BrokerShutdownRecord struct {
	ID    int32
	Epoch int64
}

// UnregisterBrokerRecord removes a broker that will not come back.
type UnregisterBrokerRecord struct {
	ID    int32
	Epoch int64
}

// TailLostRecord tells that a broker came back without the end of its logs: what it had not synced went with the page cache. Every
// partition that it leads begins a new leader epoch, so that no epoch names two records by one offset.
type TailLostRecord struct {
	Broker int32
}

// ProducerIDsRecord grants the ids below Next, as far as they are not granted yet, to a broker.
type ProducerIDsRecord struct {
	Broker      int32
	BrokerEpoch int64
	Next        int64
}

// FeatureLevelRecord finalizes a feature at a level; 0 takes it back.
type FeatureLevelRecord struct {
	Name  string
	Level int16
}

// ClusterRecord states the cluster's id. It is the first record of every metadata log and never changes.
type ClusterRecord struct {
	ID string
}
