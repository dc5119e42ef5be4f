package group

import "github.com/millrace/millrace/wire"

// Heartbeat prolongs a member's session, and tells it of a rebalance.
func (s *Shard) Heartbeat(now int64, r *HeartbeatRequest) wire.Code {
	if r.Group == "" {
		return wire.InvalidGroupID
	}
	g := s.groups[r.Group]
	if g == nil {
		return wire.UnknownMemberID
	}
	if code := g.check(r.Member, r.Instance); code != wire.None {
		return code
	}
	if r.Generation != g.generation {
		return wire.IllegalGeneration
	}
	s.prolong(now, g.byID[r.Member])
	if g.state == PreparingRebalance {
		return wire.RebalanceInProgress
	}
	return wire.None
}

func (s *Shard) prolong(now int64, m *member) {
	s.timers.plan(&m.session, now+int64(m.sessionTimeoutMs))
}

// expire ends the member's session. One that waits for an answer cannot heartbeat and is left in peace, unless it waits in its first join.
func (m *member) expire(s *Shard, now int64) {
	if !m.isNew && (m.join != nil || m.sync != nil) {
		return
	}
	g := m.group
	s.remove(g, m)
	if g.state == PreparingRebalance {
		s.completeIfJoined(now, g)
	} else {
		s.prepare(now, g)
	}
}

// expire forgets an id that nobody came back with.
func (p *pendingMember) expire(s *Shard, now int64) {
	s.removePending(p.group, p)
	s.completeIfJoined(now, p.group)
}

// completeIfJoined ends the wait for joins, that of a group that was empty, too, when nobody is missing any more.
func (s *Shard) completeIfJoined(now int64, g *group) {
	if g.state == PreparingRebalance && g.allJoined() {
		s.complete(now, g)
	}
}

// Leave takes members out of their group.
func (s *Shard) Leave(now int64, r *LeaveRequest) *LeaveResponse {
	if r.Group == "" {
		return &LeaveResponse{Code: wire.InvalidGroupID}
	}
	g := s.groups[r.Group]
	answer := &LeaveResponse{Members: make([]LeftMember, len(r.Members))}
	left := false
	for i, l := range r.Members {
		code := wire.UnknownMemberID
		if g != nil {
			code = s.leave(g, l)
		}
		answer.Members[i] = LeftMember{l.Member, l.Instance, code}
		left = left || code == wire.None
	}
	if left && g.state != Empty {
		s.prepareOrComplete(now, g)
	}
	return answer
}

func (s *Shard) leave(g *group, l LeavingMember) wire.Code {
	if l.Member == "" { // an operator names the instance
		m := g.byInstance[l.Instance.Value]
		if !l.Instance.Valid || m == nil {
			return wire.UnknownMemberID
		}
		s.remove(g, m)
		return wire.None
	}
	if p := g.pending[l.Member]; p != nil {
		s.removePending(g, p)
		return wire.None
	}
	if code := g.check(l.Member, l.Instance); code != wire.None {
		return code
	}
	s.remove(g, g.byID[l.Member])
	return wire.None
}
