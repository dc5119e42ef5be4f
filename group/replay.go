package group

import (
	"bytes"
	"fmt"
	"maps"
	"slices"

	"github.com/millrace/millrace/wire"
)

// Replay applies a record of the partition, in the order of the log. Records of types that other kinds of groups use are skipped. A record that
// makes no sense is an error and changes nothing.
func (s *Shard) Replay(key, value []byte) error {
	k, ok, err := decodeKey(key)
	if err != nil || !ok {
		return err
	}
	if k.offset {
		return s.replayOffset(&k, value)
	}
	return s.replayGroup(&k, value)
}

func (s *Shard) replayOffset(k *recordKey, value []byte) error {
	g := s.groups[k.group]
	if value == nil {
		if g != nil {
			g.removeOffset(k.topic, k.partition)
			g.tidy(k.topic)
		}
		return nil
	}
	c, err := decodeOffset(value)
	if err != nil {
		return fmt.Errorf("%w (group %s, %s-%d)", err, k.group, k.topic, k.partition)
	}
	if g == nil {
		g = s.create(c.committedAt, k.group)
	}
	g.removeOffset(k.topic, k.partition)
	g.topicOffsets(k.topic)[k.partition] = &c
	s.offsets.charge(offsetOverhead + len(c.metadata))
	return nil
}

func (s *Shard) replayGroup(k *recordKey, value []byte) error {
	g := s.groups[k.group]
	if value == nil {
		if g != nil {
			s.drop(g)
		}
		return nil
	}
	v, err := decodeGroup(value)
	if err == nil {
		err = v.check()
	}
	if err != nil {
		return fmt.Errorf("%w (group %s)", err, k.group)
	}
	var offsets map[string]map[int32]*committed
	if g != nil {
		offsets, g.offsets = g.offsets, nil
		s.drop(g)
	}
	g = s.create(v.stateSince, k.group)
	g.offsets = offsets
	g.generation, g.protocol, g.leader = v.generation, v.protocol, v.leader.Value
	g.protocolType = wire.StrOrNull(v.protocolType)
	for i := range v.members {
		mv := &v.members[i]
		m := &member{id: mv.id, instance: mv.instance, clientID: mv.clientID, clientHost: mv.clientHost,
			sessionTimeoutMs: mv.sessionTimeoutMs, rebalanceTimeoutMs: mv.rebalanceTimeoutMs,
			protocols:  []Protocol{{v.protocol.Value, bytes.Clone(mv.subscription)}},
			assignment: bytes.Clone(mv.assignment)}
		if mv.rebalanceTimeoutMs == -1 { // version 0 has none
			m.rebalanceTimeoutMs = mv.sessionTimeoutMs
		}
		m.session.owner = m
		g.add(m)
	}
	if len(g.members) > 0 {
		g.state = Stable
	}
	g.subscribe()
	return nil
}

// check refuses what no group can be.
func (v *groupValue) check() error {
	ids, instances := map[string]bool{}, map[string]bool{}
	for i := range v.members {
		m := &v.members[i]
		switch {
		case m.id == "":
			return fmt.Errorf("group: member %d of a group's record has no id", i)
		case ids[m.id]:
			return fmt.Errorf("group: a group's record has member %s twice", m.id)
		case m.instance.Valid && instances[m.instance.Value]:
			return fmt.Errorf("group: a group's record has instance %s twice", m.instance.Value)
		}
		ids[m.id] = true
		if m.instance.Valid {
			instances[m.instance.Value] = true
		}
	}
	return nil
}

// Loaded begins the sessions of the members that Replay restored. A group that has become too large rebalances, and has time to commit.
func (s *Shard) Loaded(now int64) {
	for _, groupID := range slices.Sorted(maps.Keys(s.groups)) {
		g := s.groups[groupID]
		for _, m := range g.members {
			s.prolong(now, m)
		}
		if len(g.members) > s.options.MaxSize {
			s.prepare(now, g)
		}
	}
}
