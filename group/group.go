// Package group decides for the coordinator of classic consumer groups: who is a member, which generation it is, what is assigned, and
// which offsets are committed.
//
// It is pure: time and ids are arguments, records of the offsets partition come out of TakeRecords, and answers come out of the methods
// or of the funcs they were given. Whoever runs a Shard holds every answer back until the records that were emitted before it are durable,
// so an answer never tells what a crash may undo, and drops the shard when they cannot become durable. Nothing is ever rolled back here.
//
// Behaviour is that of the group coordinator of Kafka 4.4, code for code and in the same order of checks.
package group

import (
	"github.com/millrace/millrace/wire"
)

// Options are the settings of a shard. The zero value is Kafka's defaults.
type Options struct {
	InitialRebalanceDelayMs int64 // how long a new group waits for more members; 0 is 3,000, negative is no delay
	MinSessionMs            int64 // shortest session time-out that is accepted; 0 is 6,000
	MaxSessionMs            int64 // longest session time-out that is accepted; 0 is 1,800,000
	MaxSize                 int   // members of a group; 0 is as many as memory holds
	MaxMetadataBytes        int   // metadata of a committed offset; 0 is 4,096
	OffsetsRetentionMs      int64 // of offsets that no member needs; 0 is 7 days

	// NewID returns a fresh random uuid as text, 36 characters. Member ids are made of it.
	NewID func() string
}

func (o Options) withDefaults() Options {
	if o.InitialRebalanceDelayMs == 0 {
		o.InitialRebalanceDelayMs = 3000
	}
	o.InitialRebalanceDelayMs = max(o.InitialRebalanceDelayMs, 0)
	if o.MinSessionMs == 0 {
		o.MinSessionMs = 6000
	}
	if o.MaxSessionMs == 0 {
		o.MaxSessionMs = 1800000
	}
	if o.MaxSize == 0 {
		o.MaxSize = 1<<31 - 1
	}
	if o.MaxMetadataBytes == 0 {
		o.MaxMetadataBytes = 4096
	}
	if o.OffsetsRetentionMs == 0 {
		o.OffsetsRetentionMs = 7 * 24 * 60 * 60 * 1000
	}
	return o
}

// Record is one record for the offsets partition. A nil Value is a tombstone.
type Record struct{ Key, Value []byte }

// Shard is every group and every committed offset of one partition of __consumer_offsets. One goroutine at a time calls it.
// Now is in milliseconds since the epoch and never goes back.
type Shard struct {
	options Options
	records []Record
}

// New returns an empty shard. Records of its partition go through Replay, and Loaded begins its life.
func New(o Options) *Shard { return &Shard{options: o.withDefaults()} }

// Join asks for membership. done is called once, now or later from inside another method.
func (s *Shard) Join(now int64, r *JoinRequest, done func(*JoinResponse)) {}

// Sync asks for the member's assignment. done is called once, now or later from inside another method.
func (s *Shard) Sync(now int64, r *SyncRequest, done func(*SyncResponse)) {}

// Heartbeat prolongs a member's session.
func (s *Shard) Heartbeat(now int64, r *HeartbeatRequest) wire.Code { return wire.UnknownMemberID }

// Leave takes members out of their group.
func (s *Shard) Leave(now int64, r *LeaveRequest) *LeaveResponse { return nil }

// Commit stores offsets. It writes a code for every partition of the request, and returns what every one of them has when the request as a
// whole is refused, or None.
func (s *Shard) Commit(now int64, r *CommitRequest) wire.Code { return wire.None }

// FetchOffsets returns committed offsets of one group.
func (s *Shard) FetchOffsets(now int64, r *FetchRequest) *FetchResponse { return nil }

// Describe shows a group.
func (s *Shard) Describe(groupID string) *Description { return nil }

// List returns the groups, in order of their ids, whose state is one of states and whose type is one of types; no states or types at all are all
// of them. Case does not matter. A name that no state or no type has matches nothing.
func (s *Shard) List(states, types []string) []Listing { return nil }

// Delete removes an empty group and its offsets.
func (s *Shard) Delete(now int64, groupID string) wire.Code { return wire.None }

// DeleteOffsets removes offsets of topics that no member is subscribed to.
func (s *Shard) DeleteOffsets(now int64, r *DeleteOffsetsRequest) *DeleteOffsetsResponse { return nil }

// TopicRemoved removes every group's offsets of a topic that is gone: those committed under its id or under none.
func (s *Shard) TopicRemoved(now int64, topic string, id wire.UUID) {}

// Deadline is when Advance has something to do at the earliest, -1 when nothing is planned.
func (s *Shard) Deadline() int64 { return -1 }

// Advance does what is due: sessions and rebalances time out, delays end.
func (s *Shard) Advance(now int64) {}

// Expire removes offsets past their retention, and empty groups that have none left.
func (s *Shard) Expire(now int64) {}

// Replay applies a record of the partition, in the order of the log. Records of kinds that are not classic groups' are skipped.
func (s *Shard) Replay(key, value []byte) error { return nil }

// Loaded begins the sessions of the members that Replay restored.
func (s *Shard) Loaded(now int64) {}

// TakeRecords returns the records that the calls since the last TakeRecords emitted, in order. They belong to the caller.
func (s *Shard) TakeRecords() []Record {
	rs := s.records
	s.records = nil
	return rs
}
