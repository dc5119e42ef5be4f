package group

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/millrace/millrace/wire"
)

// The model is clients that behave as clients do, mostly, of groups on a shard that is replaced now and then by one that has replayed its log. After every
// step it checks:
//   - a join and a sync are answered once, and with time all of them are;
//   - a group has one generation: what is told of it never goes back, and all who are told of one are told of the same protocol;
//   - commits of members of an older generation are refused; what was acknowledged is there until it is overwritten, deleted or expires;
//   - a follower that replays the records has the same offsets always, and the same group whenever it is stable or empty;
//   - the shard's own counts and timers are in order (see verify): nothing waits without a timer.
func TestModel(t *testing.T) {
	seeds, steps := 30, 1500
	if testing.Short() {
		seeds = 10
	}
	for seed := range seeds {
		first := runModel(t, uint64(seed), steps)
		if seed < 5 { // no map decides anything
			if second := runModel(t, uint64(seed), steps); !slices.Equal(first, second) {
				t.Fatalf("seed %d gives other records the second time", seed)
			}
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

type modelClient struct {
	group    string
	instance wire.NullString
	id       string
	last     string // an id it once had
	version  int
	joined   *JoinResponse
	waiting  bool
}

type told struct {
	generation int32
	protocol   string
}

type modelKey struct {
	group, topic string
	partition    int32
}

type model struct {
	t        *testing.T
	r        *rand.Rand
	options  Options
	shard    *Shard
	follower *Shard
	log      []Record
	printed  []string
	now      int64
	ids      int
	life     int // of the shard; answers of an earlier one are nobody's
	clients  []*modelClient
	open     map[int]string // requests that wait
	requests int
	told     map[string]told
	acked    map[modelKey]int64
	next     int64
}

func runModel(t *testing.T, seed uint64, steps int) []string {
	r := rand.New(rand.NewPCG(seed, 7))
	m := &model{t: t, r: r, now: 1_000_000, open: map[int]string{}, told: map[string]told{}, acked: map[modelKey]int64{}}
	m.options = Options{InitialRebalanceDelayMs: []int64{-1, 100, 3000}[r.IntN(3)], MinSessionMs: 1, OffsetsRetentionMs: 200_000,
		MaxSize: []int{0, 4}[r.IntN(2)], MaxRecordBytes: []int{0, 900}[r.IntN(2)], MaxGroupBytes: []int{0, 3000}[r.IntN(2)], Members: &Memory{Max: []int{256 << 20, 6000}[r.IntN(2)]}, Offsets: &Memory{Max: []int{1 << 30, 1000}[r.IntN(2)]},
		NewID: func() string { m.ids++; return fmt.Sprint(m.ids) }}
	m.shard, m.follower = New(m.options), New(Options{})
	for i := range 8 {
		c := &modelClient{group: []string{"g", "h"}[i%2], version: r.IntN(3)}
		if r.IntN(3) == 0 {
			c.instance = wire.Str([]string{"I", "J"}[r.IntN(2)])
		}
		m.clients = append(m.clients, c)
	}
	for range steps {
		m.step()
		m.check()
		if t.Failed() {
			return nil
		}
	}
	// Whoever waits is answered in the end.
	for range 1000 {
		if len(m.open) == 0 {
			break
		}
		m.advance(10_000)
	}
	if len(m.open) > 0 {
		t.Errorf("never answered: %v\n%s", m.open, m.shard)
	}
	return m.printed
}

func (m *model) advance(ms int64) {
	end := m.now + ms
	for at := m.shard.Deadline(); at != -1 && at <= end; at = m.shard.Deadline() {
		m.now = max(m.now, at)
		m.shard.Advance(m.now)
		m.check()
	}
	m.now = end
}

func (m *model) ask(what string) (answered func() bool) {
	n, life := m.requests, m.life
	m.requests++
	m.open[n] = what
	return func() bool {
		if life != m.life {
			return false
		}
		if _, ok := m.open[n]; !ok {
			m.t.Errorf("%s is answered twice", what)
		}
		delete(m.open, n)
		return true
	}
}

// tell checks that what a member is told of its group is the newest there is.
func (m *model) tell(group string, generation int32, protocol string) {
	before, ok := m.told[group]
	if ok && (generation < before.generation || generation == before.generation && protocol != before.protocol) {
		m.t.Errorf("%s: generation %d with %s is told of after %d with %s", group, generation, protocol, before.generation, before.protocol)
	}
	m.told[group] = told{generation, protocol}
}

func (m *model) step() {
	c := m.clients[m.r.IntN(len(m.clients))]
	switch n := m.r.IntN(100); {
	case n < 30:
		m.join(c)
	case n < 55:
		m.sync(c)
	case n < 65:
		m.heartbeat(c)
	case n < 78:
		m.commit(c)
	case n < 81:
		m.leave(c)
	case n < 93:
		m.advance([]int64{1, 100, 1000, 5000, 30000}[m.r.IntN(5)])
	case n < 94:
		m.advance(100_000)
		m.expire()
	case n < 96:
		m.deleteSome(c)
	case n < 97:
		m.restart()
	default:
		m.nonsense(c)
	}
}

func (m *model) protocols() []Protocol {
	all := []Protocol{{"range", subscription("t")}, {"sticky", subscription("t", "u")}, {"odd", []byte{1}}}
	ps := all[:1+m.r.IntN(3)]
	if m.r.IntN(4) == 0 {
		ps = append([]Protocol{ps[len(ps)-1]}, ps[:len(ps)-1]...)
	}
	return slices.Clone(ps)
}

func (m *model) join(c *modelClient) {
	if c.waiting && m.r.IntN(10) > 0 { // a client asks twice only if its connection breaks
		return
	}
	r := &JoinRequest{Group: c.group, Member: c.id, Instance: c.instance, ClientID: "c", ClientHost: "/h", SessionTimeoutMs: int32(2000 + m.r.IntN(20000)),
		RebalanceTimeoutMs: int32(m.r.IntN(40000)), ProtocolType: "consumer", Protocols: m.protocols(), RequireKnownMemberID: c.version > 0, CanSkipAssignment: c.version > 1}
	if m.r.IntN(20) == 0 {
		r.ProtocolType = "other"
	}
	c.waiting = true
	answered := m.ask("join " + c.group)
	m.shard.Join(m.now, r, func(a *JoinResponse) {
		if !answered() {
			return
		}
		c.waiting = false
		switch a.Code {
		case wire.None:
			m.tell(c.group, a.Generation, a.ProtocolName.Value)
			if a.Member == "" || r.Member != "" && a.Member != r.Member {
				m.t.Errorf("member %q is answered as %q", r.Member, a.Member)
			}
			if len(a.Members) > 0 && (a.Leader != a.Member || !slices.ContainsFunc(a.Members, func(j JoinedMember) bool { return j.Member == a.Member })) {
				m.t.Errorf("%s leads %v, led by %s", a.Member, a.Members, a.Leader)
			}
			c.id, c.joined = a.Member, a
		case wire.MemberIDRequired:
			c.id = a.Member
		case wire.UnknownMemberID, wire.FencedInstanceID, wire.GroupMaxSizeReached:
			c.id, c.joined, c.last = "", nil, c.id
		}
	})
}

func (m *model) sync(c *modelClient) {
	if c.joined == nil {
		return
	}
	r := &SyncRequest{Group: c.group, Member: c.id, Instance: c.instance, Generation: c.joined.Generation, ProtocolType: wire.Str("consumer"), ProtocolName: c.joined.ProtocolName}
	for _, o := range c.joined.Members {
		if m.r.IntN(10) > 0 {
			r.Assignments = append(r.Assignments, Assignment{o.Member, fmt.Appendf(nil, "%s in %d", o.Member, c.joined.Generation)})
		}
	}
	answered := m.ask("sync " + c.group)
	generation, id := r.Generation, c.id
	m.shard.Sync(m.now, r, func(a *SyncResponse) {
		if !answered() {
			return
		}
		switch a.Code {
		case wire.None:
			m.tell(c.group, generation, a.ProtocolName.Value)
			if g := m.shard.groups[c.group]; g.state != Stable || g.generation != generation {
				m.t.Errorf("%s gets its assignment of generation %d from\n%s", id, generation, m.shard)
			}
		case wire.UnknownMemberID, wire.FencedInstanceID:
			if c.id == id {
				c.id, c.joined, c.last = "", nil, id
			}
		}
	})
}

func (m *model) heartbeat(c *modelClient) {
	if c.joined == nil {
		return
	}
	switch m.shard.Heartbeat(m.now, &HeartbeatRequest{c.group, c.id, c.instance, c.joined.Generation}) {
	case wire.None:
		m.tell(c.group, c.joined.Generation, m.told[c.group].protocol)
	case wire.UnknownMemberID, wire.FencedInstanceID:
		c.id, c.joined, c.last = "", nil, c.id
	}
}

func (m *model) commit(c *modelClient) {
	r := &CommitRequest{Group: c.group, Member: c.id, Instance: c.instance, Generation: -1, RetentionMs: -1}
	if c.joined != nil {
		r.Generation = c.joined.Generation
	}
	if m.r.IntN(10) == 0 {
		r.RetentionMs = 150_000
	}
	for range 1 + m.r.IntN(3) {
		m.next++
		r.Topics = append(r.Topics, CommitTopic{Name: []string{"t", "u", "v"}[m.r.IntN(3)],
			Partitions: []CommitPartition{{Partition: m.r.Int32N(3), Offset: m.next, LeaderEpoch: -1, Metadata: wire.Str("md")}}})
	}
	code := m.shard.Commit(m.now, r)
	if g := m.shard.groups[c.group]; code == wire.None && g != nil && g.state != Empty && (r.Generation != g.generation || g.byID[r.Member] == nil) {
		m.t.Errorf("%s of generation %d commits to\n%s", r.Member, r.Generation, m.shard)
	}
	for _, topic := range r.Topics {
		p := topic.Partitions[0]
		if full := p.Code == wire.CoordinatorNotAvailable && m.options.Offsets.Max < 1<<30; full && code == wire.None {
			if _, held := m.acked[modelKey{c.group, topic.Name, p.Partition}]; held {
				m.t.Errorf("there is no room for an offset that is there")
			}
		} else if p.Code != code {
			m.t.Errorf("a commit is answered with %s and %s", code, p.Code)
		} else if code == wire.None {
			m.acked[modelKey{c.group, topic.Name, p.Partition}] = p.Offset
		}
	}
}

func (m *model) leave(c *modelClient) {
	if c.id == "" {
		return
	}
	l := LeavingMember{c.id, c.instance}
	if c.instance.Valid && m.r.IntN(2) == 0 {
		l.Member = ""
	}
	a := m.shard.Leave(m.now, &LeaveRequest{c.group, []LeavingMember{l}})
	if a.Members[0].Code == wire.None && m.shard.groups[c.group].byID[c.id] != nil && l.Member != "" {
		m.t.Errorf("%s has left and is in\n%s", c.id, m.shard)
	}
	c.id, c.joined, c.last = "", nil, c.id
}

// expire lets go of what the shard does, as long as nobody subscribed to it.
func (m *model) expire() {
	wanted := map[modelKey]bool{}
	for k := range m.acked {
		if g := m.shard.groups[k.group]; g.state == Stable && g.wants(k.topic) {
			wanted[k] = true
		}
	}
	m.shard.Expire(m.now)
	for id := range m.told {
		if m.shard.groups[id] == nil { // and begins anew
			delete(m.told, id)
		}
	}
	for k := range m.acked {
		if g := m.shard.groups[k.group]; g == nil || g.offsets[k.topic][k.partition] == nil {
			if wanted[k] {
				m.t.Errorf("%v has expired", k)
			}
			delete(m.acked, k)
		}
	}
}

func (m *model) deleteSome(c *modelClient) {
	switch m.r.IntN(3) {
	case 0:
		if m.shard.Delete(m.now, c.group) == wire.None {
			for k := range m.acked {
				if k.group == c.group {
					delete(m.acked, k)
				}
			}
			delete(m.told, c.group)
		}
	case 1:
		a := m.shard.DeleteOffsets(m.now, &DeleteOffsetsRequest{c.group, []DeleteOffsetsTopic{{"t", []int32{0, 1}}, {"v", []int32{2, 7}}}})
		for i, code := range a.Topics {
			if code == wire.None {
				for p := range int32(3) {
					if i == 0 && p < 2 || i == 1 && p == 2 {
						delete(m.acked, modelKey{c.group, []string{"t", "v"}[i], p})
					}
				}
			}
		}
	case 2:
		m.shard.TopicRemoved(m.now, "v", wire.UUID{1})
		for k := range m.acked {
			if k.topic == "v" {
				delete(m.acked, k)
			}
		}
	}
}

// restart is a coordinator that fails over. What it had not written is gone, and so are the requests that waited; a generation that was being completed
// will be given out again, to others.
func (m *model) restart() {
	m.life++
	clear(m.open)
	clear(m.told)
	m.shard.Release()
	m.shard = New(m.options)
	for _, r := range m.log {
		if err := m.shard.Replay(r.Key, r.Value); err != nil {
			m.t.Errorf("%s: %v", r, err)
		}
	}
	m.shard.Loaded(m.now)
	for id, g := range m.shard.groups {
		m.told[id] = told{g.generation, g.protocol.Value}
	}
	for _, c := range m.clients {
		c.waiting = false
		if c.joined != nil && m.told[c.group].generation < c.joined.Generation {
			c.joined = nil
		}
	}
}

// nonsense is what no client asks, or one that should be dead.
func (m *model) nonsense(c *modelClient) {
	id := []string{"", "nobody", c.last, c.id}[m.r.IntN(4)]
	instance := []wire.NullString{{}, c.instance, wire.Str("I"), wire.Str("nobody")}[m.r.IntN(4)]
	generation := m.told[c.group].generation - 1 + m.r.Int32N(3)
	switch m.r.IntN(5) {
	case 0:
		m.shard.Heartbeat(m.now, &HeartbeatRequest{c.group, id, instance, generation})
	case 1:
		answered := m.ask("stray sync")
		m.shard.Sync(m.now, &SyncRequest{Group: c.group, Member: id, Instance: instance, Generation: generation}, func(*SyncResponse) { answered() })
	case 2:
		answered := m.ask("stray join")
		m.shard.Join(m.now, &JoinRequest{Group: c.group, Member: id, Instance: instance, SessionTimeoutMs: 5000, RebalanceTimeoutMs: 5000, ProtocolType: "consumer",
			Protocols: m.protocols()}, func(*JoinResponse) { answered() })
	case 3:
		m.shard.Leave(m.now, &LeaveRequest{c.group, []LeavingMember{{id, instance}}})
	case 4:
		g := m.shard.groups[c.group]
		r := &CommitRequest{Group: c.group, Member: id, Instance: instance, Generation: generation, RetentionMs: -1,
			Topics: []CommitTopic{{Name: "t", Partitions: []CommitPartition{{Partition: 9, Offset: -7}}}}}
		if m.shard.Commit(m.now, r) == wire.None && r.Topics[0].Partitions[0].Code == wire.None {
			m.acked[modelKey{c.group, "t", 9}] = -7
			if g != nil && generation >= 0 && (g.generation != generation || g.byID[id] == nil) {
				m.t.Errorf("%s of generation %d commits to\n%s", id, generation, m.shard)
			}
		}
	}
}

func (m *model) check() {
	for _, r := range m.shard.TakeRecords() {
		if err := m.follower.Replay(r.Key, r.Value); err != nil {
			m.t.Errorf("%s: %v", r, err)
		}
		m.log = append(m.log, r)
		m.printed = append(m.printed, r.String())
	}
	held, size, stored := 0, 0, 0
	for id, g := range m.shard.groups {
		verify(m.t, m.shard, g)
		size += g.bytes + groupBytes(id)
		f := m.follower.groups[id]
		if f == nil {
			m.t.Errorf("a follower does not know %s", id)
			continue
		}
		if !reflect.DeepEqual(g.offsets, f.offsets) && len(g.offsets)+len(f.offsets) > 0 {
			m.t.Errorf("a follower has other offsets of %s:\n%s\n%s", id, m.shard, m.follower)
		}
		if g.state == Stable || g.state == Empty {
			a, b := g.value(), f.value()
			a.stateSince, b.stateSince = 0, 0
			if !bytes.Equal(appendGroupValue(nil, a), appendGroupValue(nil, b)) || g.state != f.state || !reflect.DeepEqual(g.subscribed, f.subscribed) {
				m.t.Errorf("a follower has another %s:\n%s\n%s", id, m.shard, m.follower)
			}
			if g.state == Empty && g.protocolType.Valid && g.stateSince != f.stateSince {
				m.t.Errorf("a follower has %s empty since %d, not %d", id, f.stateSince, g.stateSince)
			}
		} else if f.generation > g.generation {
			m.t.Errorf("a follower is ahead:\n%s\n%s", m.shard, m.follower)
		}
		for topic, offsets := range g.offsets {
			held += len(offsets)
			stored += topicOverhead + len(topic)
			for p, c := range offsets {
				stored += offsetOverhead + len(c.metadata)
				if want, ok := m.acked[modelKey{id, topic, p}]; !ok || want != c.offset {
					m.t.Errorf("%s %s-%d is %d, acknowledged was %d", id, topic, p, c.offset, want)
				}
			}
		}
	}
	if held != len(m.acked) || len(m.follower.groups) != len(m.shard.groups) {
		m.t.Errorf("%d offsets of %d that were acknowledged; a follower has %d groups of %d", held, len(m.acked), len(m.follower.groups), len(m.shard.groups))
	}
	if n := m.options.Members.Used(); size != n || size != m.shard.members.bytes {
		m.t.Errorf("the groups take %d bytes, counted %d and %d", size, n, m.shard.members.bytes)
	}
	if n := m.options.Offsets.Used(); stored != n || stored != m.shard.offsets.bytes {
		m.t.Errorf("the offsets take %d bytes, counted %d and %d", stored, n, m.shard.offsets.bytes)
	}
	for i, x := range m.shard.timers.heap {
		if x.index != i+1 || x.due < x.at {
			m.t.Errorf("timer %d says it is %d, due %d at %d", i, x.index-1, x.due, x.at)
		}
	}
}

// verify checks what holds between any two calls.
func verify(t *testing.T, s *Shard, g *group) {
	joining, unsynced, size := 0, 0, 0
	votes, instances := map[string]int{}, 0
	for _, m := range g.members {
		waits := m.join != nil || m.sync != nil
		switch {
		case g.byID[m.id] != m || m.instance.Valid && g.byInstance[m.instance.Value] != m:
			t.Errorf("%s is not found", m.id)
		case m.join != nil && g.state != PreparingRebalance:
			t.Errorf("%s waits to join in %s", m.id, g.state)
		case m.sync != nil && g.state != CompletingRebalance:
			t.Errorf("%s waits to sync in %s", m.id, g.state)
		case m.session.index == 0 && (!waits || m.isNew):
			t.Errorf("%s has no session", m.id)
		case m.unsynced && g.state != CompletingRebalance && g.state != Stable:
			t.Errorf("%s must sync in %s", m.id, g.state)
		case m.isNew && m.join == nil:
			t.Errorf("%s is new and does not wait", m.id)
		}
		if m.join != nil {
			joining++
		}
		if m.unsynced {
			unsynced++
		}
		if m.instance.Valid {
			instances++
		}
		for _, p := range m.protocols {
			votes[p.Name]++
		}
		size += m.size()
	}
	for _, p := range g.pending {
		size += p.size()
	}
	if joining != g.joining || unsynced != g.unsynced || size != g.bytes || len(votes)+len(g.votes) > 0 && !reflect.DeepEqual(votes, g.votes) {
		t.Errorf("%d join, counted %d; %d must sync, counted %d; votes %v, counted %v; %d bytes, counted %d", joining, g.joining, unsynced, g.unsynced, votes, g.votes, size, g.bytes)
	}
	if len(g.byID) != len(g.members) || len(g.byInstance) != instances {
		t.Errorf("%d members, %d by id, %d of %d instances", len(g.members), len(g.byID), len(g.byInstance), instances)
	}
	if (g.state == Empty) != (len(g.members) == 0) && !(g.state == PreparingRebalance && len(g.members) == 0) {
		t.Errorf("%d members in %s", len(g.members), g.state)
	}
	if len(g.members) > 0 && g.byID[g.leader] == nil {
		t.Errorf("the leader is %q, nobody", g.leader)
	}
	if waits := g.state == PreparingRebalance || (g.state == CompletingRebalance || g.state == Stable) && g.unsynced > 0; waits != (g.rebalance.index != 0) {
		t.Errorf("%s, %d must sync, planned %t", g.state, g.unsynced, g.rebalance.index != 0)
	}
	if g.state == CompletingRebalance && !g.byID[g.leader].unsynced {
		t.Errorf("the leader has synced in %s", g.state)
	}
	for id, p := range g.pending {
		if p.session.index == 0 || p.id != id || g.byID[id] != nil {
			t.Errorf("pending %s is not in order", id)
		}
	}
	if t.Failed() {
		t.Fatalf("%s", s)
	}
}
