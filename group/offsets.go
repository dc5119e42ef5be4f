package group

import (
	"maps"
	"math"
	"slices"
	"strings"
	"unicode/utf16"

	"github.com/millrace/millrace/wire"
)

// Commit stores offsets. It writes a code for every partition of the request, and returns what every one of them has when the request as a
// whole is refused, or None.
func (s *Shard) Commit(now int64, r *CommitRequest) wire.Code {
	g := s.groups[r.Group]
	if code := g.checkCommit(r); code != wire.None {
		for i := range r.Topics {
			for j := range r.Topics[i].Partitions {
				r.Topics[i].Partitions[j].Code = code
			}
		}
		return code
	}
	if g != nil && g.state != Empty {
		s.prolong(now, g.byID[r.Member])
	}
	expiresAt := int64(-1)
	if r.RetentionMs != -1 {
		expiresAt = now + min(r.RetentionMs, math.MaxInt64-now)
	}
	size := 0
	for i := range r.Topics {
		t := &r.Topics[i]
		for j := range t.Partitions {
			p := &t.Partitions[j]
			if p.Code = wire.None; s.tooLong(p.Metadata.Value) {
				p.Code = wire.OffsetMetadataTooLarge
				continue
			}
			size += offsetRecordSize(r.Group, t.Name, p.Metadata.Value)
		}
	}
	if size == 0 {
		return wire.None
	}
	isNew := g == nil
	if isNew {
		if !s.members.room(groupBytes(r.Group)) {
			for i := range r.Topics {
				for j := range r.Topics[i].Partitions {
					r.Topics[i].Partitions[j].Code = wire.CoordinatorNotAvailable // clients try again
				}
			}
			return wire.CoordinatorNotAvailable
		}
		g = s.create(now, r.Group)
	}
	buf := make([]byte, 0, size) // the records of a request share their bytes
	for i := range r.Topics {
		t := &r.Topics[i]
		offsets := g.topicOffsets(t.Name)
		for j := range t.Partitions {
			p := &t.Partitions[j]
			if p.Code != wire.None {
				continue
			}
			c := offsets[p.Partition]
			if c == nil {
				if !s.offsets.room(offsetOverhead + len(p.Metadata.Value)) {
					p.Code = wire.CoordinatorNotAvailable // as above
					continue
				}
				c = &committed{}
				offsets[p.Partition] = c
				s.offsets.charge(offsetOverhead)
			}
			metadata := c.metadata
			if metadata != p.Metadata.Value {
				s.offsets.charge(len(p.Metadata.Value) - len(metadata))
				metadata = strings.Clone(p.Metadata.Value)
			}
			*c = committed{offset: p.Offset, leaderEpoch: p.LeaderEpoch, metadata: metadata, topicID: t.ID, committedAt: now, expiresAt: expiresAt}
			if expiresAt != -1 { // its record has no place for them
				c.leaderEpoch, c.topicID = -1, wire.UUID{}
			}
			from := len(buf)
			buf = appendOffsetKey(buf, g.id, t.Name, p.Partition)
			middle := len(buf)
			buf = appendOffsetValue(buf, c)
			s.emit(buf[from:middle:middle], buf[middle:len(buf):len(buf)])
		}
		g.tidy(t.Name)
	}
	if isNew && len(g.offsets) == 0 {
		s.drop(g) // there was no room for any
	}
	return wire.None
}

// checkCommit tells whether a commit comes from a member of this generation, or from a consumer outside of any group. A nil group is not there.
func (g *group) checkCommit(r *CommitRequest) wire.Code {
	switch {
	case g == nil && r.Generation < 0:
		return wire.None
	case g == nil && r.KnowsGroupIDs:
		return wire.GroupIDNotFound
	case g == nil:
		return wire.IllegalGeneration
	case r.Generation < 0 && g.state == Empty:
		return wire.None
	case r.Generation < 0 && r.Member == "" && !r.Instance.Valid:
		return wire.UnknownMemberID // the partitions are the members'
	}
	if code := g.check(r.Member, r.Instance); code != wire.None {
		return code
	}
	if r.Generation != g.generation {
		return wire.IllegalGeneration
	}
	if g.state == CompletingRebalance { // its partitions may be another member's by now
		return wire.RebalanceInProgress
	}
	return wire.None
}

// tooLong counts as Kafka does, in the characters of Java.
func (s *Shard) tooLong(metadata string) bool {
	if len(metadata) <= s.options.MaxMetadataBytes {
		return false
	}
	n := 0
	for _, r := range metadata {
		n += utf16.RuneLen(r)
	}
	return n > s.options.MaxMetadataBytes
}

// topicOffsets returns the offsets of a topic to store into.
func (g *group) topicOffsets(topic string) map[int32]*committed {
	offsets := g.offsets[topic]
	if offsets == nil {
		if g.offsets == nil {
			g.offsets = map[string]map[int32]*committed{}
		}
		offsets = map[int32]*committed{}
		g.offsets[strings.Clone(topic)] = offsets
		g.shard.offsets.charge(topicOverhead + len(topic))
	}
	return offsets
}

// removeOffset takes an offset out, when there is one.
func (g *group) removeOffset(topic string, partition int32) {
	if c := g.offsets[topic][partition]; c != nil {
		g.shard.offsets.charge(-offsetOverhead - len(c.metadata))
		delete(g.offsets[topic], partition)
	}
}

// tidy forgets a topic without offsets.
func (g *group) tidy(topic string) {
	if offsets := g.offsets[topic]; offsets != nil && len(offsets) == 0 {
		g.shard.offsets.charge(-topicOverhead - len(topic))
		delete(g.offsets, topic)
	}
}

// FetchOffsets returns committed offsets of one group. A group that is not there has none.
func (s *Shard) FetchOffsets(now int64, r *FetchRequest) *FetchResponse {
	var offsets map[string]map[int32]*committed
	if g := s.groups[r.Group]; g != nil {
		offsets = g.offsets
	}
	if r.All {
		answer := &FetchResponse{}
		for _, topic := range slices.Sorted(maps.Keys(offsets)) {
			t := FetchedTopic{Name: topic}
			for _, p := range slices.Sorted(maps.Keys(offsets[topic])) {
				t.Partitions = append(t.Partitions, offsets[topic][p].fetched(p, wire.UUID{}))
			}
			answer.Topics = append(answer.Topics, t)
		}
		return answer
	}
	answer := &FetchResponse{Topics: make([]FetchedTopic, len(r.Topics))}
	for i := range r.Topics {
		t := &r.Topics[i]
		partitions := make([]FetchedPartition, len(t.Partitions))
		for j, p := range t.Partitions {
			partitions[j] = offsets[t.Name][p].fetched(p, t.ID)
		}
		answer.Topics[i] = FetchedTopic{t.Name, t.ID, partitions}
	}
	return answer
}

// fetched shows the offset to one who knows the topic by an id; a topic of the same name that was there before had other records.
func (c *committed) fetched(partition int32, id wire.UUID) FetchedPartition {
	if c == nil || !c.topicID.IsZero() && !id.IsZero() && c.topicID != id {
		return FetchedPartition{Partition: partition, LeaderEpoch: -1, Offset: -1}
	}
	return FetchedPartition{Partition: partition, LeaderEpoch: c.leaderEpoch, Offset: c.offset, Metadata: c.metadata}
}

// Delete removes a group without members, and its offsets.
func (s *Shard) Delete(now int64, groupID string) wire.Code {
	g := s.groups[groupID]
	switch {
	case g == nil:
		return wire.GroupIDNotFound
	case g.state != Empty:
		return wire.NonEmptyGroup
	}
	for _, topic := range slices.Sorted(maps.Keys(g.offsets)) {
		s.forget(g, topic, func(*committed) bool { return true })
	}
	s.bury(g)
	return wire.None
}

// bury removes a group for good.
func (s *Shard) bury(g *group) {
	s.emit(appendGroupKey(nil, g.id), nil)
	s.drop(g)
}

// forget removes the offsets of a topic that are which, and tells whether some are left.
func (s *Shard) forget(g *group, topic string, which func(*committed) bool) (left bool) {
	offsets := g.offsets[topic]
	for _, p := range slices.Sorted(maps.Keys(offsets)) {
		if !which(offsets[p]) {
			left = true
			continue
		}
		g.removeOffset(topic, p)
		s.emit(appendOffsetKey(nil, g.id, topic, p), nil)
	}
	g.tidy(topic)
	return left
}

// DeleteOffsets removes offsets of topics that no member is subscribed to.
func (s *Shard) DeleteOffsets(now int64, r *DeleteOffsetsRequest) *DeleteOffsetsResponse {
	g := s.groups[r.Group]
	switch {
	case r.Group == "":
		return &DeleteOffsetsResponse{Code: wire.InvalidGroupID}
	case g == nil:
		return &DeleteOffsetsResponse{Code: wire.GroupIDNotFound}
	case g.state != Empty && g.protocolType.Value != consumerProtocol:
		return &DeleteOffsetsResponse{Code: wire.NonEmptyGroup} // who knows what its members want
	}
	answer := &DeleteOffsetsResponse{Topics: make([]wire.Code, len(r.Topics))}
	for i, t := range r.Topics {
		if g.wants(t.Name) {
			answer.Topics[i] = wire.GroupSubscribedToTopic
			continue
		}
		offsets := g.offsets[t.Name]
		for _, p := range t.Partitions {
			if offsets[p] != nil {
				g.removeOffset(t.Name, p)
				s.emit(appendOffsetKey(nil, g.id, t.Name, p), nil)
			}
		}
		g.tidy(t.Name)
	}
	return answer
}

// TopicRemoved removes every group's offsets of a topic that is gone: those committed under its id or under none.
func (s *Shard) TopicRemoved(now int64, topic string, id wire.UUID) {
	for _, groupID := range slices.Sorted(maps.Keys(s.groups)) {
		s.forget(s.groups[groupID], topic, func(c *committed) bool { return c.topicID.IsZero() || c.topicID == id })
	}
}

// RemoveGoneTopics removes every group's offsets of topics that do not exist.
func (s *Shard) RemoveGoneTopics(exists func(topic string, id wire.UUID) bool) {
	for _, groupID := range slices.Sorted(maps.Keys(s.groups)) {
		g := s.groups[groupID]
		for _, topic := range slices.Sorted(maps.Keys(g.offsets)) {
			s.forget(g, topic, func(c *committed) bool { return !exists(topic, c.topicID) })
		}
	}
}

// Expire removes offsets past their retention, and groups without members that have none left (KIP-211). It is called every
// offsets.retention.check.interval.ms.
func (s *Shard) Expire(now int64) {
	for _, groupID := range slices.Sorted(maps.Keys(s.groups)) {
		g := s.groups[groupID]
		left := len(g.offsets) > 0 && !g.expires()
		if !left {
			for _, topic := range slices.Sorted(maps.Keys(g.offsets)) {
				if g.wants(topic) || s.forget(g, topic, func(c *committed) bool { return s.expired(now, g, c) }) {
					left = true
				}
			}
		}
		if !left && g.state == Empty {
			s.bury(g)
		}
	}
}

// expires tells whether offsets of the group expire at all: not while it rebalances, and not while it has members of which nobody knows what they want.
func (g *group) expires() bool {
	return !g.protocolType.Valid || g.state == Empty || g.state == Stable && g.protocolType.Value == consumerProtocol && g.subscribed != nil
}

// expired counts the retention from when the group lost its last member; with members, or without ever having had one, from the commit.
func (s *Shard) expired(now int64, g *group, c *committed) bool {
	if c.expiresAt != -1 {
		return now >= c.expiresAt
	}
	since := c.committedAt
	if g.protocolType.Valid && g.state == Empty && g.stateSince != -1 {
		since = g.stateSince
	}
	return now-since >= s.options.OffsetsRetentionMs
}
