package group

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/millrace/millrace/wire"
)

// stormClient is an eager consumer, as far as its coordinator sees one. It owns partitions from its sync until it joins again.
type stormClient struct {
	name       string
	static     bool
	alive      bool
	id         string
	generation int32
	owns       []int
	waits      bool
	beat       int64 // when it heartbeats next
	life       int   // answers to an earlier life reach nobody
}

type storm struct {
	t         *testing.T
	r         *rand.Rand
	s         *Shard
	now       int64
	clients   []*stormClient
	positions []int64 // committed, acknowledged
	commits   int
}

const stormPartitions = 200

// A hundred consumers share 200 partitions; in every round some are killed or fall asleep, and come back soon or after their sessions are over. Afterwards
// every partition has one owner, only members of the newest generation have committed, and no position has gone back. When those who come back soon
// are all static, nobody else has noticed.
func TestRebalanceStorm(t *testing.T) {
	rounds := 200
	if testing.Short() {
		rounds = 20
	}
	ids := 0
	st := &storm{t: t, r: rand.New(rand.NewPCG(5, 6)), now: 1_000_000, positions: make([]int64, stormPartitions),
		s: New(Options{NewID: func() string { ids++; return fmt.Sprint(ids) }})}
	for i := range 100 {
		st.clients = append(st.clients, &stormClient{name: fmt.Sprint("client-", i), static: i%5 == 0, alive: true})
	}
	st.run(20_000)
	for round := range rounds {
		onlyStatic := round%3 == 2
		before := st.s.groups["storm"].generation
		var away []*stormClient
		for range 10 {
			c := st.clients[st.r.IntN(len(st.clients))]
			if !c.alive || onlyStatic && !c.static {
				continue
			}
			if c.alive = false; onlyStatic || st.r.IntN(2) == 0 { // killed; the others are only asleep, and will not know that time has passed
				*c = stormClient{name: c.name, static: c.static, life: c.life + 1}
			}
			away = append(away, c)
		}
		st.run([]int64{500, 12_000, 500}[round%3]) // their sessions are 10 s
		for _, c := range away {
			c.alive = true
		}
		st.run(25_000)
		st.settled(round)
		if after := st.s.groups["storm"].generation; onlyStatic && after != before {
			t.Errorf("static members that came back have made generation %d of %d", after, before)
		}
		if t.Failed() {
			t.Fatalf("round %d\n%s", round, st.s)
		}
	}
	if st.commits < 100*rounds {
		t.Errorf("only %d commits were acknowledged", st.commits)
	}
}

// run lets time pass: every client looks around four times a second.
func (st *storm) run(ms int64) {
	for end := st.now + ms; st.now < end; st.now += 250 {
		st.s.Advance(st.now)
		for _, c := range st.clients {
			if c.alive && !c.waits && st.now >= c.beat {
				st.beat(c)
			}
		}
		st.s.TakeRecords()
	}
}

func (st *storm) beat(c *stormClient) {
	c.beat = st.now + 1000 + st.r.Int64N(1000)
	if c.generation == 0 {
		st.join(c)
		return
	}
	st.commit(c)
	switch code := st.s.Heartbeat(st.now, &HeartbeatRequest{"storm", c.id, c.instance(), c.generation}); code {
	case wire.None:
	case wire.RebalanceInProgress, wire.IllegalGeneration:
		st.join(c)
	case wire.UnknownMemberID, wire.FencedInstanceID:
		c.id = ""
		st.join(c)
	default:
		st.t.Errorf("%s heartbeats: %s", c.name, code)
	}
}

func (c *stormClient) instance() wire.NullString {
	return wire.NullString{Value: c.name, Valid: c.static}
}

func (st *storm) join(c *stormClient) {
	c.owns, c.generation, c.waits = nil, 0, true
	life := c.life
	st.s.Join(st.now, &JoinRequest{Group: "storm", Member: c.id, Instance: c.instance(), ClientID: c.name, SessionTimeoutMs: 10_000, RebalanceTimeoutMs: 20_000,
		ProtocolType: "consumer", Protocols: []Protocol{{"range", subscription("t")}}, RequireKnownMemberID: true, CanSkipAssignment: true}, func(a *JoinResponse) {
		if c.life != life {
			return
		}
		c.waits = false
		c.beat = st.now // the sync, or another try, goes out in the next round
		switch a.Code {
		case wire.None:
			c.id = a.Member
			st.sync(c, a)
		case wire.MemberIDRequired:
			c.id = a.Member
		case wire.UnknownMemberID, wire.FencedInstanceID:
			c.id = ""
		case wire.RebalanceInProgress:
		default:
			st.t.Errorf("%s joins: %s", c.name, a.Code)
		}
	})
}

// sync is sent once the shard is done with what it answers; a func must not call it.
func (st *storm) sync(c *stormClient, a *JoinResponse) {
	life := c.life
	c.waits = true
	st.later(func() {
		if c.life != life {
			return
		}
		r := &SyncRequest{Group: "storm", Member: c.id, Instance: c.instance(), Generation: a.Generation, ProtocolType: a.ProtocolType, ProtocolName: a.ProtocolName}
		if len(a.Members) > 0 && !a.SkipAssignment {
			given := map[string][]int{}
			for p := range stormPartitions {
				m := a.Members[p%len(a.Members)].Member
				given[m] = append(given[m], p)
			}
			for _, m := range a.Members {
				r.Assignments = append(r.Assignments, Assignment{m.Member, []byte(strings.Trim(fmt.Sprint(given[m.Member]), "[]"))})
			}
		}
		st.s.Sync(st.now, r, func(s *SyncResponse) {
			if c.life != life {
				return
			}
			c.waits = false
			if s.Code == wire.None {
				c.generation, c.owns = a.Generation, parsePartitions(s.Assignment)
			} else if s.Code != wire.RebalanceInProgress {
				c.id = ""
			}
		})
	})
}

// later runs f at the next look around, before anybody else.
func (st *storm) later(f func()) {
	x := &timer{owner: laterFunc(f)}
	st.s.timers.plan(x, st.now)
}

type laterFunc func()

func (f laterFunc) expire(*Shard, int64) { f() }

func parsePartitions(b []byte) (ps []int) {
	for _, w := range strings.Fields(string(b)) {
		var p int
		fmt.Sscan(w, &p)
		ps = append(ps, p)
	}
	return ps
}

func (st *storm) commit(c *stormClient) {
	r := &CommitRequest{Group: "storm", Member: c.id, Instance: c.instance(), Generation: c.generation, RetentionMs: -1, Topics: []CommitTopic{{Name: "t"}}}
	for _, p := range c.owns {
		// It goes on from what was committed last, and so never back.
		r.Topics[0].Partitions = append(r.Topics[0].Partitions, CommitPartition{Partition: int32(p), Offset: st.positions[p] + 1 + st.r.Int64N(5)})
	}
	if len(c.owns) == 0 || st.s.Commit(st.now, r) != wire.None {
		return
	}
	st.commits++
	g := st.s.groups["storm"]
	if c.generation != g.generation {
		st.t.Errorf("%s of generation %d has committed to generation %d", c.name, c.generation, g.generation)
	}
	for i, p := range c.owns {
		st.positions[p] = r.Topics[0].Partitions[i].Offset
	}
}

// settled checks a group that has come to rest.
func (st *storm) settled(round int) {
	g := st.s.groups["storm"]
	if g.state != Stable || len(g.members) != len(st.clients) {
		st.t.Errorf("round %d ends with %d members in %s", round, len(g.members), g.state)
	}
	owners := make([]string, stormPartitions)
	for _, m := range g.members {
		for _, p := range parsePartitions(m.assignment) {
			if owners[p] != "" {
				st.t.Errorf("partition %d is of %s and %s", p, owners[p], m.id)
			}
			owners[p] = m.id
		}
	}
	if p := slices.Index(owners, ""); p >= 0 {
		st.t.Errorf("partition %d is nobody's", p)
	}
	for _, c := range st.clients {
		if c.generation != g.generation || c.waits {
			st.t.Errorf("%s is in generation %d of %d, waits: %t", c.name, c.generation, g.generation, c.waits)
		}
		for _, p := range c.owns {
			if owners[p] != c.id {
				st.t.Errorf("%s believes that it has %d, which is of %s", c.name, p, owners[p])
			}
		}
	}
	for p, want := range st.positions {
		if c := g.offsets["t"][int32(p)]; c == nil && want != 0 || c != nil && c.offset != want {
			st.t.Errorf("partition %d is at %v, acknowledged was %d", p, c, want)
		}
	}
}
