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
	"slices"
	"strings"

	"github.com/millrace/millrace/wire"
)

// Options are the settings of a shard. The zero value is Kafka's defaults.
type Options struct {
	InitialRebalanceDelayMs int64 // how long a new group waits for more members; 0 is 3,000, negative is no delay
	MinSessionMs            int64 // shortest session time-out that is accepted; 0 is 6,000, negative is none
	MaxSessionMs            int64 // longest session time-out that is accepted; 0 is 1,800,000, negative is none
	MaxSize                 int   // members of a group; 0 is 2,147,483,647
	MaxMetadataBytes        int   // characters of a committed offset's metadata, in UTF-16 as Kafka counts; 0 is 4,096, negative is none
	MaxRecordBytes          int   // key and value of a group's record; 0 is 1,048,460, which fits a batch of max.message.bytes' default
	MaxGroupBytes           int   // memory that the members of a group may take; 0 is 16 MiB
	OffsetsRetentionMs      int64 // of offsets that no member needs; 0 is 7 days

	// Members is the memory of all groups and their members, Offsets that of all committed offsets. Shards may share them; nil is 256 MiB and 1 GiB.
	// When it is used up there are no new groups, members and offsets; what is there stays, and goes on: members may grow by a quarter of it.
	Members, Offsets *Memory

	// NewID returns a fresh random uuid as text, 36 characters. Member ids are made of it. It has no default.
	NewID func() string
}

const (
	// newMemberJoinMs is how long a member waits in its first join. It cannot heartbeat yet, and nothing else tells that its client is gone.
	newMemberJoinMs = 5 * 60 * 1000
	// maxPending bounds the ids given to clients of one group that have not come back with them.
	maxPending = 4096
	// maxMemberID is what the length of a member id in an answer can say.
	maxMemberID = 1<<15 - 1
	// minRetryMs is between two tries of a rebalance that nobody has joined, whatever the members' rebalance time-out.
	minRetryMs = 1000
)

func (o Options) withDefaults() Options {
	if o.InitialRebalanceDelayMs == 0 {
		o.InitialRebalanceDelayMs = 3000
	}
	o.InitialRebalanceDelayMs = max(o.InitialRebalanceDelayMs, 0)
	if o.MinSessionMs == 0 {
		o.MinSessionMs = 6000
	}
	o.MinSessionMs = max(o.MinSessionMs, 0)
	if o.MaxSessionMs == 0 {
		o.MaxSessionMs = 1800000
	}
	if o.MaxSize == 0 {
		o.MaxSize = 1<<31 - 1
	}
	if o.MaxMetadataBytes == 0 {
		o.MaxMetadataBytes = 4096
	}
	o.MaxMetadataBytes = max(o.MaxMetadataBytes, 0)
	if o.MaxRecordBytes == 0 {
		o.MaxRecordBytes = 1048460
	}
	if o.MaxGroupBytes == 0 {
		o.MaxGroupBytes = 16 << 20
	}
	if o.Members == nil {
		o.Members = &Memory{Max: 256 << 20}
	}
	if o.Offsets == nil {
		o.Offsets = &Memory{Max: 1 << 30}
	}
	if o.OffsetsRetentionMs == 0 {
		o.OffsetsRetentionMs = 7 * 24 * 60 * 60 * 1000
	}
	return o
}

// Shard is every group and every committed offset of one partition of __consumer_offsets. One goroutine at a time calls it, and the funcs it calls
// do not call it back. Now is in milliseconds since the epoch and does not go back.
type Shard struct {
	options Options
	groups  map[string]*group
	timers  timers
	records []Record
	members account // groups and members
	offsets account
}

// New returns an empty shard. Records of its partition go through Replay, and Loaded begins its life.
func New(o Options) *Shard {
	o = o.withDefaults()
	return &Shard{options: o, groups: map[string]*group{}, members: account{memory: o.Members}, offsets: account{memory: o.Offsets}}
}

// TakeRecords returns the records that the calls since the last TakeRecords emitted, in order. They belong to the caller.
func (s *Shard) TakeRecords() []Record {
	rs := s.records
	s.records = nil
	return rs
}

// group is one group, with its offsets. A group that has only offsets has no protocol type: its consumers assign partitions by themselves.
type group struct {
	shard      *Shard
	id         string
	state      State
	previous   State
	stateSince int64 // -1: unknown
	generation int32

	protocolType wire.NullString // of the members; kept when they are gone
	protocol     wire.NullString // of this generation
	leader       string          // member id; empty: none
	members      []*member       // in the order they came
	byID         map[string]*member
	byInstance   map[string]*member
	pending      map[string]*pendingMember
	votes        map[string]int // how many members support a protocol
	joining      int            // members whose join waits
	unsynced     int            // members that have not synced in this generation
	bytes        int            // memory of members and pending members, about

	// subscribed are the topics of this generation's consumers; nil when they are not known.
	subscribed map[string]struct{}

	offsets map[string]map[int32]*committed // by topic and partition

	// rebalance is due when the wait for joins ends, in PreparingRebalance, or that for syncs, in CompletingRebalance and Stable.
	rebalance timer
	initial   bool  // the wait for joins is that of a group that was empty
	delay     int64 // the last part of an initial wait
	remaining int64 // by how much it may still be extended
	grown     bool  // a member came during an initial wait
}

func (s *Shard) create(now int64, id string) *group {
	g := &group{shard: s, id: strings.Clone(id), previous: Dead, stateSince: now}
	g.rebalance.owner = g
	s.groups[g.id] = g
	s.members.charge(groupBytes(g.id))
	return g
}

// drop takes the group out of the shard. Nobody waits for it.
func (s *Shard) drop(g *group) {
	s.timers.cancel(&g.rebalance)
	for _, m := range g.members {
		s.timers.cancel(&m.session)
	}
	for _, p := range g.pending {
		s.timers.cancel(&p.session)
	}
	g.charge(-g.bytes)
	s.members.charge(-groupBytes(g.id))
	for topic, offsets := range g.offsets {
		for p := range offsets {
			g.removeOffset(topic, p)
		}
		g.tidy(topic)
	}
	delete(s.groups, g.id)
}

// charge counts memory that members take, or give back.
func (g *group) charge(bytes int) {
	g.bytes += bytes
	g.shard.members.charge(bytes)
}

func (s *Shard) emit(key, value []byte) { s.records = append(s.records, Record{key, value}) }

func (s *Shard) emitGroup(id string, v *groupValue) {
	key := appendGroupKey(make([]byte, 0, 4+len(id)), id)
	s.emit(key, appendGroupValue(make([]byte, 0, v.size()), v))
}

// value is the group as a record keeps it.
func (g *group) value() *groupValue {
	v := &groupValue{protocolType: g.protocolType.Value, generation: g.generation, protocol: g.protocol,
		leader: wire.NullString{Value: g.leader, Valid: g.leader != ""}, stateSince: g.stateSince}
	for _, m := range g.members {
		v.members = append(v.members, memberValue{id: m.id, instance: m.instance, clientID: m.clientID, clientHost: m.clientHost,
			rebalanceTimeoutMs: m.rebalanceTimeoutMs, sessionTimeoutMs: m.sessionTimeoutMs,
			subscription: m.metadata(g.protocol.Value), assignment: m.assignment})
	}
	return v
}

func (g *group) turn(now int64, to State) {
	g.previous, g.state, g.stateSince = g.state, to, now
}

// add takes a member in.
func (g *group) add(m *member) {
	m.group = g
	if g.byID == nil {
		g.byID, g.byInstance, g.votes = map[string]*member{}, map[string]*member{}, map[string]int{}
	}
	if len(g.members) == 0 {
		g.protocolType.Valid = true
	}
	if g.leader == "" {
		g.leader = m.id
	}
	g.members = append(g.members, m)
	g.byID[m.id] = m
	if m.instance.Valid {
		g.byInstance[m.instance.Value] = m
	}
	g.vote(m.protocols, 1)
	g.charge(m.size())
}

// vote counts the protocols of a member in (by is 1) or out (by is -1).
func (g *group) vote(protocols []Protocol, by int) {
	for i := range protocols {
		name := protocols[i].Name
		if g.votes[name] += by; g.votes[name] == 0 {
			delete(g.votes, name)
		}
	}
}

// remove takes a member out, answering what waits: it has no place any more.
func (s *Shard) remove(g *group, m *member) {
	m.answerJoin(refusedJoin("", wire.UnknownMemberID))
	m.answerSync(&SyncResponse{Code: wire.UnknownMemberID})
	s.synced(m)
	s.timers.cancel(&m.session)
	g.charge(-m.size())
	g.vote(m.protocols, -1)
	at := slices.Index(g.members, m)
	g.members = slices.Delete(g.members, at, at+1)
	delete(g.byID, m.id)
	if m.instance.Valid {
		delete(g.byInstance, m.instance.Value)
	}
	if g.leader == m.id {
		g.leader = ""
		if len(g.members) > 0 {
			g.leader = g.members[0].id
		}
	}
}

func (s *Shard) removePending(g *group, p *pendingMember) {
	s.timers.cancel(&p.session)
	g.charge(-p.size())
	delete(g.pending, p.id)
}

// check tells whether a request comes from a member, and from the one that the instance is now (KIP-345).
func (g *group) check(id string, instance wire.NullString) wire.Code {
	if instance.Valid {
		m := g.byInstance[instance.Value]
		if m == nil {
			return wire.UnknownMemberID
		}
		if m.id != id {
			return wire.FencedInstanceID
		}
	}
	if g.byID[id] == nil {
		return wire.UnknownMemberID
	}
	return wire.None
}

// supports tells whether members of this kind can be in the group: at least one of the protocols is everyone's.
func (g *group) supports(protocolType string, protocols []Protocol) bool {
	if g.state == Empty {
		return protocolType != "" && len(protocols) > 0
	}
	if !g.protocolType.Valid || g.protocolType.Value != protocolType {
		return false
	}
	return slices.ContainsFunc(protocols, func(p Protocol) bool { return g.votes[p.Name] == len(g.members) })
}

// selectProtocol lets every member vote for the first of its protocols that is everyone's. The most votes win, and among equals the first vote.
func (g *group) selectProtocol() string {
	votes := map[string]int{}
	var order []string
	for _, m := range g.members {
		for i := range m.protocols {
			if name := m.protocols[i].Name; g.votes[name] == len(g.members) {
				if votes[name]++; votes[name] == 1 {
					order = append(order, name)
				}
				break
			}
		}
	}
	best := ""
	for _, name := range order {
		if votes[name] > votes[best] {
			best = name
		}
	}
	return best
}

// subscribe reads which topics the generation's consumers want. Of other groups, and of consumers that say it in another way, nothing is known.
func (g *group) subscribe() {
	g.subscribed = nil
	if g.protocolType.Value != consumerProtocol || len(g.members) > 0 && !g.protocol.Valid {
		return
	}
	topics := map[string]struct{}{}
	for _, m := range g.members {
		if !addSubscription(topics, m.metadata(g.protocol.Value)) {
			return
		}
	}
	g.subscribed = topics
}

// wants tells whether offsets of a topic are in use. What consumers want is everything as long as it is not known.
func (g *group) wants(topic string) bool {
	if g.subscribed == nil {
		return g.protocolType.Value == consumerProtocol
	}
	_, ok := g.subscribed[topic]
	return ok
}

// rebalanceTimeoutMs is that of the member with most patience.
func (g *group) rebalanceTimeoutMs() int64 {
	longest := int32(0)
	for _, m := range g.members {
		longest = max(longest, m.rebalanceTimeoutMs)
	}
	return int64(longest)
}

func (g *group) allJoined() bool { return g.joining == len(g.members) && len(g.pending) == 0 }
