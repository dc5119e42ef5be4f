package group

import (
	"bytes"

	"github.com/millrace/millrace/wire"
)

// Sync asks for the member's assignment. done is called once, now or later from inside another method.
func (s *Shard) Sync(now int64, r *SyncRequest, done func(*SyncResponse)) {
	if code := s.checkSync(r); code != wire.None {
		done(&SyncResponse{Code: code})
		return
	}
	g := s.groups[r.Group]
	m := g.byID[r.Member]
	s.synced(m)
	if g.state == Stable {
		done(g.assigned(m))
		return
	}
	m.answerSync(&SyncResponse{Code: wire.RebalanceInProgress}) // an earlier one, whose connection is given up
	m.sync = done
	if m.id == g.leader {
		s.assign(now, g, r.Assignments)
	}
}

// checkSync tells whether the group waits for a sync, or has its answer.
func (s *Shard) checkSync(r *SyncRequest) wire.Code {
	if r.Group == "" {
		return wire.InvalidGroupID
	}
	g := s.groups[r.Group]
	if g == nil || g.state == Empty {
		return wire.UnknownMemberID
	}
	if code := g.check(r.Member, r.Instance); code != wire.None {
		return code
	}
	switch {
	case r.Generation != g.generation:
		return wire.IllegalGeneration
	case differ(r.ProtocolType, g.protocolType) || differ(r.ProtocolName, g.protocol):
		return wire.InconsistentGroupProtocol
	case g.state == PreparingRebalance:
		return wire.RebalanceInProgress
	}
	return wire.None
}

func differ(a, b wire.NullString) bool { return a.Valid && b.Valid && a.Value != b.Value }

func (g *group) assigned(m *member) *SyncResponse {
	return &SyncResponse{ProtocolType: g.protocolType, ProtocolName: g.protocol, Assignment: m.assignment}
}

// assign takes over what the leader decided, and ends the rebalance. Members it has left out get nothing, and ids it has made up are nobody's.
func (s *Shard) assign(now int64, g *group, assignments []Assignment) {
	for _, m := range g.members {
		m.assign(nil)
	}
	for _, a := range assignments {
		if m := g.byID[a.Member]; m != nil {
			m.assign(a.Data) // a view, until it is known to be kept
		}
	}
	if !s.fits(g) || !s.members.reserve(1) {
		s.refuseSyncs(now, g, wire.UnknownServerError)
		s.prepare(now, g)
		return
	}
	for _, m := range g.members {
		m.assignment = bytes.Clone(m.assignment)
	}
	s.emitGroup(g.id, g.value()) // with the time at which the generation began, as Kafka has it
	g.turn(now, Stable)
	for _, m := range g.members {
		if m.sync != nil {
			m.answerSync(g.assigned(m))
			s.timers.plan(&m.session, now+int64(m.sessionTimeoutMs))
		}
	}
}

// refuseSyncs answers all syncs that wait. Their members' sessions go on from now: they were not looked at while the syncs waited.
func (s *Shard) refuseSyncs(now int64, g *group, code wire.Code) {
	for _, m := range g.members {
		m.assign(nil)
		if m.answerSync(&SyncResponse{Code: code}) {
			s.timers.plan(&m.session, now+int64(m.sessionTimeoutMs))
		}
	}
}

// expireSyncs takes out the members that were told of the generation but have not synced; the others rebalance.
func (s *Shard) expireSyncs(now int64, g *group) {
	if g.unsynced == 0 {
		return
	}
	for _, m := range append([]*member(nil), g.members...) {
		if m.unsynced {
			s.remove(g, m)
		}
	}
	s.prepare(now, g)
}
