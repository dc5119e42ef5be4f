package group

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// String shows every group, with what it waits for, and every offset.
func (s *Shard) String() string {
	var b strings.Builder
	for _, groupID := range slices.Sorted(maps.Keys(s.groups)) {
		s.groups[groupID].print(&b)
	}
	return b.String()
}

func (g *group) print(b *strings.Builder) {
	fmt.Fprintf(b, "%s: %s since=%d generation=%d type=%s protocol=%s", g.id, g.state, g.stateSince, g.generation, nullText(g.protocolType), nullText(g.protocol))
	if g.leader != "" {
		fmt.Fprintf(b, " leader=%s", g.leader)
	}
	if g.rebalance.index != 0 {
		fmt.Fprintf(b, " until=%d", g.rebalance.due)
	}
	if g.subscribed != nil {
		fmt.Fprintf(b, " topics=%s", strings.Join(slices.Sorted(maps.Keys(g.subscribed)), ","))
	}
	b.WriteByte('\n')
	for _, m := range g.members {
		m.print(b)
	}
	for _, id := range slices.Sorted(maps.Keys(g.pending)) {
		fmt.Fprintf(b, "  pending %s until=%d\n", id, g.pending[id].session.due)
	}
	for _, topic := range slices.Sorted(maps.Keys(g.offsets)) {
		for _, p := range slices.Sorted(maps.Keys(g.offsets[topic])) {
			fmt.Fprintf(b, "  offset %s-%d %s\n", topic, p, g.offsets[topic][p])
		}
	}
}

func (m *member) print(b *strings.Builder) {
	fmt.Fprintf(b, "  %s", m.id)
	if m.instance.Valid {
		fmt.Fprintf(b, " instance=%s", m.instance.Value)
	}
	for i, p := range m.protocols {
		fmt.Fprintf(b, "%s%s", []string{" ", ","}[min(i, 1)], p.Name)
	}
	if m.session.index != 0 {
		fmt.Fprintf(b, " until=%d", m.session.due)
	}
	if m.isNew {
		b.WriteString(" new")
	}
	if m.join != nil {
		b.WriteString(" joining")
	}
	if m.sync != nil {
		b.WriteString(" syncing")
	}
	if m.unsynced {
		b.WriteString(" unsynced")
	}
	if len(m.assignment) > 0 {
		fmt.Fprintf(b, " assignment=%q", m.assignment)
	}
	b.WriteByte('\n')
}
