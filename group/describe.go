package group

import (
	"maps"
	"slices"
	"strings"

	"github.com/millrace/millrace/wire"
)

// Describe shows a group.
func (s *Shard) Describe(groupID string) *Description {
	g := s.groups[groupID]
	if g == nil {
		return &Description{Code: wire.GroupIDNotFound, Group: groupID, State: Dead}
	}
	d := &Description{Group: g.id, State: g.state, ProtocolType: g.protocolType.Value}
	if g.state == Stable {
		d.Protocol = g.protocol.Value
	}
	for _, m := range g.members {
		md := MemberDescription{Member: m.id, Instance: m.instance, ClientID: m.clientID, ClientHost: m.clientHost, Assignment: m.assignment}
		if g.state == Stable {
			md.Metadata = m.metadata(g.protocol.Value)
		}
		d.Members = append(d.Members, md)
	}
	return d
}

// Members is how many members a group has.
func (s *Shard) Members(groupID string) int {
	if g := s.groups[groupID]; g != nil {
		return len(g.members)
	}
	return 0
}

// EachOffset calls f for every committed offset of a group, in no order, until f returns false.
func (s *Shard) EachOffset(groupID string, f func(topic string, partition int32, offset int64) bool) {
	g := s.groups[groupID]
	if g == nil {
		return
	}
	for topic, offsets := range g.offsets {
		for partition, c := range offsets {
			if !f(topic, partition, c.offset) {
				return
			}
		}
	}
}

// Filter says which groups a list is of. The zero value is none.
type Filter struct {
	states [Dead + 1]bool
}

// NewFilter is of the groups whose state is one of states and whose type is one of types; no states or types at all are all of them. Case does
// not matter. A name that no state or no type has matches nothing.
func NewFilter(states, types []string) *Filter {
	f := &Filter{}
	if len(types) > 0 && !slices.ContainsFunc(types, func(t string) bool { return strings.EqualFold(t, "classic") }) {
		return f
	}
	for state := range f.states {
		f.states[state] = len(states) == 0 || slices.ContainsFunc(states, func(name string) bool {
			return strings.EqualFold(strings.TrimSpace(name), State(state).String())
		})
	}
	return f
}

// List returns the groups that a filter is of, in order of their ids.
func (s *Shard) List(f *Filter) []Listing {
	var out []Listing
	for _, groupID := range slices.Sorted(maps.Keys(s.groups)) {
		if g := s.groups[groupID]; f.states[g.state] {
			out = append(out, Listing{g.id, g.protocolType.Value, g.state})
		}
	}
	return out
}
