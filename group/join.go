package group

import (
	"strings"

	"github.com/millrace/millrace/wire"
)

// refusedJoin is an answer without a generation.
func refusedJoin(member string, code wire.Code) *JoinResponse {
	return &JoinResponse{Code: code, Generation: -1, Member: member}
}

// joined tells a member of the generation.
func (g *group) joined(m *member) *JoinResponse {
	r := &JoinResponse{Generation: g.generation, ProtocolType: g.protocolType, ProtocolName: g.protocol, Leader: g.leader, Member: m.id}
	if m.id == g.leader {
		r.Members = make([]JoinedMember, len(g.members))
		for i, o := range g.members {
			r.Members[i] = JoinedMember{o.id, o.instance, o.metadata(g.protocol.Value)}
		}
	}
	return r
}

// Join asks for membership. done is called once, now or later from inside another method.
func (s *Shard) Join(now int64, r *JoinRequest, done func(*JoinResponse)) {
	if r.Group == "" {
		done(refusedJoin(r.Member, wire.InvalidGroupID))
		return
	}
	if session := int64(r.SessionTimeoutMs); session < s.options.MinSessionMs || session > s.options.MaxSessionMs {
		done(refusedJoin(r.Member, wire.InvalidSessionTimeout))
		return
	}
	g := s.groups[r.Group]
	protocols := distinct(r.Protocols)
	if g == nil {
		switch {
		case r.Member != "":
			done(refusedJoin(r.Member, wire.UnknownMemberID))
			return
		case !s.members.room(groupBytes(r.Group) + r.size(protocols)):
			done(refusedJoin("", wire.CoordinatorNotAvailable)) // as below
			return
		}
		g = s.create(now, r.Group)
		s.emitGroup(g.id, g.value())
	}
	more := r.size(protocols)
	room := s.members.room
	if m := g.byID[r.Member]; m != nil {
		more, room = protocolBytes(protocols)-protocolBytes(m.protocols), s.members.reserve
	}
	switch {
	case !room(more):
		done(refusedJoin(r.Member, wire.CoordinatorNotAvailable)) // clients try again
	case !s.accepts(g, r.Member, more):
		if m := g.byID[r.Member]; m != nil {
			s.remove(g, m)
			if g.state != PreparingRebalance {
				s.prepare(now, g)
			}
		} else if p := g.pending[r.Member]; p != nil {
			s.removePending(g, p)
		}
		done(refusedJoin("", wire.GroupMaxSizeReached))
	case r.Member == "":
		s.joinNew(now, g, r, protocols, done)
	default:
		s.joinKnown(now, g, r, protocols, done)
	}
}

// accepts tells whether the group has room for the member. While a group prepares, the members that wait for the next generation are what counts: when the
// limit was lowered, the last to come are left out.
func (s *Shard) accepts(g *group, id string, more int) bool {
	if more > 0 && g.bytes+more > s.options.MaxGroupBytes {
		return false
	}
	m := g.byID[id]
	switch g.state {
	case PreparingRebalance:
		return m != nil && m.join != nil || g.joining < s.options.MaxSize
	case CompletingRebalance, Stable:
		return m != nil || len(g.members) < s.options.MaxSize
	}
	return true
}

// joinNew is the first join of a client, or of the next life of an instance.
func (s *Shard) joinNew(now int64, g *group, r *JoinRequest, protocols []Protocol, done func(*JoinResponse)) {
	if !g.supports(r.ProtocolType, protocols) {
		done(refusedJoin("", wire.InconsistentGroupProtocol))
		return
	}
	name := r.ClientID
	if r.Instance.Valid {
		name = r.Instance.Value
	}
	id := name + "-" + s.options.NewID()
	if len(id) > maxMemberID {
		done(refusedJoin("", wire.UnknownServerError))
		return
	}
	if r.Instance.Valid {
		if old := g.byInstance[r.Instance.Value]; old != nil {
			s.replace(now, g, old, id, r, protocols, done)
		} else {
			s.addMember(now, g, id, r, protocols, done)
		}
		return
	}
	if !r.RequireKnownMemberID {
		s.addMember(now, g, id, r, protocols, done)
		return
	}
	if len(g.pending) >= maxPending {
		done(refusedJoin("", wire.CoordinatorNotAvailable)) // as above
		return
	}
	p := &pendingMember{group: g, id: id}
	p.session.owner = p
	if g.pending == nil {
		g.pending = map[string]*pendingMember{}
	}
	g.pending[id] = p
	g.charge(p.size())
	s.timers.plan(&p.session, now+int64(r.SessionTimeoutMs))
	done(refusedJoin(id, wire.MemberIDRequired))
}

// joinKnown is a join of a client that has an id.
func (s *Shard) joinKnown(now int64, g *group, r *JoinRequest, protocols []Protocol, done func(*JoinResponse)) {
	if !g.supports(r.ProtocolType, protocols) {
		done(refusedJoin(r.Member, wire.InconsistentGroupProtocol))
		return
	}
	if p := g.pending[r.Member]; p != nil {
		if r.Instance.Valid { // ids are pending only without an instance
			done(refusedJoin("", wire.UnknownServerError))
			return
		}
		s.removePending(g, p)
		s.addMember(now, g, p.id, r, protocols, done)
		return
	}
	if code := g.check(r.Member, r.Instance); code != wire.None {
		done(refusedJoin(r.Member, code))
		return
	}
	m := g.byID[r.Member]
	switch g.state {
	case CompletingRebalance:
		// The same again: the answer may have got lost.
		if m.matches(protocols) {
			done(g.joined(m))
			return
		}
	case Stable:
		// A leader comes again when what it assigns has changed, say a topic's partitions, though no member has.
		if m.id != g.leader && m.matches(protocols) {
			done(g.joined(m))
			return
		}
	}
	s.update(g, m, r, protocols)
	m.waitToJoin(done)
	s.prepareOrComplete(now, g)
}

func (s *Shard) addMember(now int64, g *group, id string, r *JoinRequest, protocols []Protocol, done func(*JoinResponse)) {
	m := &member{id: id, instance: cloneNull(r.Instance), clientID: strings.Clone(r.ClientID), clientHost: strings.Clone(r.ClientHost),
		sessionTimeoutMs: r.SessionTimeoutMs, rebalanceTimeoutMs: r.RebalanceTimeoutMs, protocols: copyProtocols(protocols), isNew: true}
	m.session.owner = m
	if g.state == PreparingRebalance && g.previous == Empty {
		g.grown = true
	}
	if len(g.members) == 0 {
		g.protocolType.Value = strings.Clone(r.ProtocolType)
	}
	g.add(m)
	m.waitToJoin(done)
	s.timers.plan(&m.session, now+newMemberJoinMs)
	s.prepareOrComplete(now, g)
}

func cloneNull(n wire.NullString) wire.NullString {
	return wire.NullString{Value: strings.Clone(n.Value), Valid: n.Valid}
}

// update takes over what a member says in a join.
func (s *Shard) update(g *group, m *member, r *JoinRequest, protocols []Protocol) {
	if !m.matches(protocols) {
		g.charge(-m.size())
		g.vote(m.protocols, -1)
		m.protocols = copyProtocols(protocols)
		g.vote(m.protocols, 1)
		g.charge(m.size())
	}
	m.sessionTimeoutMs, m.rebalanceTimeoutMs = r.SessionTimeoutMs, r.RebalanceTimeoutMs
}

// replace gives a static member the id of its next life. Nothing else of the group changes if the protocol does not: its assignment waits for it.
func (s *Shard) replace(now int64, g *group, m *member, id string, r *JoinRequest, protocols []Protocol, done func(*JoinResponse)) {
	leader := g.leader
	m.answerJoin(refusedJoin(m.id, wire.FencedInstanceID))
	m.answerSync(&SyncResponse{Code: wire.FencedInstanceID})
	delete(g.byID, m.id)
	if g.leader == m.id {
		g.leader = id
	}
	g.charge(len(id) - len(m.id))
	m.id = id
	m.isNew = false
	s.synced(m)
	g.byID[id] = m
	s.update(g, m, r, protocols)
	s.timers.plan(&m.session, now+int64(m.sessionTimeoutMs))

	switch g.state {
	case Stable:
		if g.selectProtocol() != g.protocol.Value || !s.fits(g) {
			break
		}
		g.subscribe()
		s.emitGroup(g.id, g.value())
		answer := g.joined(m)
		if r.CanSkipAssignment {
			answer.SkipAssignment = m.id == g.leader
		} else {
			// A client that does not know how to skip would assign anew. It does not, as it learns that somebody else leads.
			answer.Leader, answer.Members = leader, nil
		}
		done(answer)
		return
	case CompletingRebalance:
		// The leader may have been told of the old id, and would assign to that.
		m.waitToJoin(done)
		s.prepare(now, g)
		return
	}
	m.waitToJoin(done)
	s.prepareOrComplete(now, g)
}

// fits tells whether the partition takes a record of the group.
func (s *Shard) fits(g *group) bool { return 4+len(g.id)+g.value().size() <= s.options.MaxRecordBytes }

// prepareOrComplete begins a rebalance; in one that is under way, it looks whether all have come.
func (s *Shard) prepareOrComplete(now int64, g *group) {
	if g.state == PreparingRebalance {
		s.maybeComplete(now, g)
	} else {
		s.prepare(now, g)
	}
}

// prepare begins a rebalance: whoever waits for an assignment is told to join again, and everyone else will hear of it by a heartbeat.
func (s *Shard) prepare(now int64, g *group) {
	if g.state == CompletingRebalance {
		s.refuseSyncs(now, g, wire.RebalanceInProgress)
	}
	for _, m := range g.members {
		s.synced(m)
	}
	g.initial = g.state == Empty
	g.turn(now, PreparingRebalance)
	if g.initial {
		g.grown = false
		g.delay = s.options.InitialRebalanceDelayMs
		g.remaining = max(g.rebalanceTimeoutMs()-g.delay, 0)
		s.timers.plan(&g.rebalance, now+g.delay)
	} else if g.allJoined() {
		s.complete(now, g)
	} else {
		s.timers.plan(&g.rebalance, now+g.rebalanceTimeoutMs())
	}
}

// maybeComplete ends the wait for joins when all have come. A group that was empty waits for more, whatever has come.
func (s *Shard) maybeComplete(now int64, g *group) {
	if g.state == PreparingRebalance && g.previous != Empty && g.allJoined() {
		s.complete(now, g)
	}
}

// expire ends a wait of the rebalance.
func (g *group) expire(s *Shard, now int64) {
	switch {
	case g.state == CompletingRebalance || g.state == Stable:
		s.expireSyncs(now, g)
	case g.initial && g.grown && g.remaining != 0:
		g.grown = false
		delay := min(s.options.InitialRebalanceDelayMs, g.remaining)
		g.remaining = max(g.remaining-g.delay, 0)
		g.delay = delay
		s.timers.plan(&g.rebalance, now+delay)
	default:
		s.complete(now, g)
	}
}

// complete ends the wait for joins: dynamic members that have not come are out, and the next generation begins with the others. A static member
// stays until its session ends.
func (s *Shard) complete(now int64, g *group) {
	s.timers.cancel(&g.rebalance)
	g.initial = false
	for _, m := range append([]*member(nil), g.members...) {
		if m.join == nil && !m.instance.Valid {
			s.remove(g, m)
		}
	}
	if !g.electLeader() && len(g.members) > 0 {
		s.timers.plan(&g.rebalance, now+max(g.rebalanceTimeoutMs(), minRetryMs))
		return
	}
	g.generation++
	if len(g.members) == 0 {
		g.protocol = wire.NullString{}
		g.subscribe()
		g.turn(now, Empty)
		s.emitGroup(g.id, g.value())
		return
	}
	g.protocol = wire.NullString{Value: g.selectProtocol(), Valid: true}
	g.subscribe()
	g.turn(now, CompletingRebalance)
	for _, m := range g.members {
		m.isNew = false
		m.mustSync()
		s.timers.plan(&m.session, now+int64(m.sessionTimeoutMs))
		if m.join != nil {
			m.answerJoin(g.joined(m))
		}
	}
	s.timers.plan(&g.rebalance, now+g.rebalanceTimeoutMs())
}

// electLeader keeps the leader if it has come, or takes the first member that has. It tells whether there is one.
func (g *group) electLeader() bool {
	if m := g.byID[g.leader]; m != nil && m.join != nil {
		return true
	}
	for _, m := range g.members {
		if m.join != nil {
			g.leader = m.id
			return true
		}
	}
	return false
}
