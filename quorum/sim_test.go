package quorum

import (
	"container/heap"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"hash"
	"hash/fnv"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/engine"
	"github.com/millrace/millrace/internal/vfs"
	"github.com/millrace/millrace/meta"
	"github.com/millrace/millrace/wire/record"
	"go.etcd.io/raft/v3/raftpb"
)

// sim is a quorum whose voters, network, disks and clock all come out of one seed. Time is in ms, and nothing takes any but what the seed
// says.
type sim struct {
	t      testing.TB
	seed   uint64
	rand   *rand.Rand
	now    int64
	order  uint64
	events simEvents
	nodes  []*simNode
	trace  hash.Hash64
	story  []string // the last events
	failed bool

	drop, duplicate, late int // of 1000 messages
	cut                   map[[2]int]bool
	faults                bool

	// What must never change.
	leaders   map[uint64]int32     // by term
	votes     map[[2]uint64]uint64 // by voter and term
	committed map[uint64]uint64    // index -> hash of the entry
	hashes    map[uint64]uint64    // index -> hash of the image
	proposed  int
	acked     map[string]bool // proposals
	present   map[string]bool // those that are in committed entries
	unknown   int
	refused   int
	snapshots int // that were installed
	deaths    int
}

type simNode struct {
	s      *sim
	at     int // in nodes
	id     int32
	o      Options
	fs     *vfs.Mem
	boot   int
	rand   *rand.Rand
	jobs   []func()
	dir    *engine.Dir
	v      *voter // nil while it is down
	life   int    // of the process: what was meant for an earlier one is dropped
	inbox  []proposal
	busy   int64 // until then it does nothing: a sync takes its time, or the process is stopped
	ops    int   // file operations until the power goes; 0: it stays
	off    bool
	synced bool
	ticks  int64 // when a tick is due that is under way already
	seen   uint64
	died   error
}

type simEvent struct {
	at    int64
	order uint64
	do    func()
}

type simEvents []simEvent

func (e simEvents) Len() int { return len(e) }
func (e simEvents) Less(i, j int) bool {
	return e[i].at < e[j].at || e[i].at == e[j].at && e[i].order < e[j].order
}
func (e simEvents) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *simEvents) Push(x any)   { *e = append(*e, x.(simEvent)) }
func (e *simEvents) Pop() any {
	last := (*e)[len(*e)-1]
	*e = (*e)[:len(*e)-1]
	return last
}

var errPower = errors.New("the power is gone")

func newSim(t testing.TB, seed uint64, voters int) *sim {
	s := &sim{
		t: t, seed: seed, rand: rand.New(rand.NewPCG(seed, 1)), trace: fnv.New64a(), cut: map[[2]int]bool{},
		leaders: map[uint64]int32{}, votes: map[[2]uint64]uint64{}, committed: map[uint64]uint64{}, hashes: map[uint64]uint64{}, acked: map[string]bool{},
		present: map[string]bool{},
	}
	var ids []int32
	for i := range voters {
		ids = append(ids, int32(i)) // 0 is an id as good as any
	}
	for i := range voters {
		n := &simNode{s: s, at: i, id: ids[i], fs: vfs.NewMem(), rand: rand.New(rand.NewPCG(seed, 100+uint64(i)))}
		n.o = Options{
			FS: n.fs, Path: dataDir, NodeID: n.id, Voters: ids, Transport: n, Rand: n.rand.Uint64,
			Now:             func() int64 { return 1_700_000_000_000 + s.now },
			OnImage:         func(_, _ *meta.Image) {},
			Fatal:           func(err error) { n.s.note("node %d ends: %v", n.id, err) },
			SnapshotRecords: 60, SnapshotBytes: 1 << 30,
		}
		s.nodes = append(s.nodes, n)
	}
	return s
}

func (s *sim) after(ms int64, do func()) {
	s.order++
	heap.Push(&s.events, simEvent{s.now + ms, s.order, do})
}

// note writes the trace.
func (s *sim) note(format string, a ...any) {
	line := fmt.Sprintf("%7d ", s.now) + fmt.Sprintf(format, a...)
	s.trace.Write([]byte(line))
	if len(s.story) > 400 {
		s.story = slices.Clone(s.story[200:])
	}
	s.story = append(s.story, line)
}

func (s *sim) violation(format string, a ...any) {
	if !s.failed {
		s.failed = true
		s.t.Errorf("seed %d, at %d ms: %s\n%s", s.seed, s.now, fmt.Sprintf(format, a...), strings.Join(s.story[max(0, len(s.story)-60):], "\n"))
	}
}

// run lets time pass.
func (s *sim) run(ms int64) {
	end := s.now + ms
	for len(s.events) > 0 && s.events[0].at <= end && !s.failed {
		e := heap.Pop(&s.events).(simEvent)
		s.now = e.at
		e.do()
	}
	s.now = end
}

// Send is the network.
func (n *simNode) Send(to int32, message []byte) {
	s, r := n.s, n.s.rand
	sent, err := parseMessage(message)
	if err != nil {
		s.violation("node %d sends what is no message: %v", n.id, err)
		return
	}
	s.checkVote(n, sent.message)
	if s.cut[[2]int{n.at, int(to)}] || r.IntN(1000) < s.drop {
		return
	}
	copies := 1
	if r.IntN(1000) < s.duplicate {
		copies = 2
	}
	for range copies {
		delay := max(n.busy-s.now, 0) + 1 + r.Int64N(3)
		if r.IntN(1000) < s.late {
			delay += r.Int64N(400)
		}
		target := s.nodes[to]
		s.after(delay, func() { target.receive(message) })
	}
}

// checkVote: nobody votes twice in a term, whatever he has forgotten in between (T1).
func (s *sim) checkVote(n *simNode, m *raftpb.Message) {
	var vote uint64
	switch {
	case m.GetType() == raftpb.MsgVote:
		vote = m.GetFrom()
	case m.GetType() == raftpb.MsgVoteResp && !m.GetReject():
		vote = m.GetTo()
	default:
		return
	}
	key := [2]uint64{m.GetFrom(), m.GetTerm()}
	if before, ok := s.votes[key]; ok && before != vote {
		s.violation("node %d votes for %d in term %d, and has voted for %d", n.id, nodeID(vote), m.GetTerm(), nodeID(before))
	}
	s.votes[key] = vote
}

// start boots the node's machine, whose disk is as the last one left it.
func (n *simNode) start() {
	n.boot++
	n.life++
	n.jobs, n.inbox, n.busy, n.off, n.ops, n.ticks = nil, nil, 0, false, 0, 0
	n.fs.SetHook(n.operation)
	dir, err := openDir(n)
	if err != nil {
		n.s.violation("node %d: %v", n.id, err)
		return
	}
	n.dir = dir
	n.o.Dir, n.o.FS = dir, n.fs
	o := n.o.withDefaults()
	if n.s.faults && n.s.rand.IntN(5) == 0 {
		n.ops = 1 + n.s.rand.IntN(40)
	}
	v, err := openVoter(&o, environment{await: n.await, send: n.Send, take: n.take, clock: func() int64 { return n.s.now }})
	if n.off {
		n.crash("while it starts")
		return
	}
	if err != nil {
		n.s.violation("node %d does not start: %v", n.id, err)
		return
	}
	n.v = v
	n.s.note("node %d starts: term %d applied %d", n.id, v.term, v.applied)
	n.v.now, n.v.startedAt = n.s.now, n.s.now
	n.v.contact()
	n.turn(func() {})
}

// openDir opens the log directory of a node. Its background work waits until the node does it.
func openDir(n *simNode) (*engine.Dir, error) {
	return engine.OpenDir(engine.DirOptions{
		FS: n.fs, Path: dataDir, Go: func(job func()) { n.jobs = append(n.jobs, job) }, NodeID: n.id, ClusterID: "sim",
		BootID: fmt.Sprint("boot-", n.id, "-", n.boot), Rand: n.rand.Uint64,
	})
}

// operation counts down to a crash in the middle of what the node does.
func (n *simNode) operation(op, name string) error {
	if n.off {
		return errPower
	}
	if op == "sync" || op == "syncdir" {
		n.synced = true
	}
	if n.ops > 0 {
		if n.ops--; n.ops == 0 {
			n.off = true
			return errPower
		}
	}
	return nil
}

func (n *simNode) await(l *engine.Log) {
	ready := false
	l.WhenReady(func() { ready = true })
	for !ready {
		n.job()
	}
}

func (n *simNode) job() {
	job := n.jobs[0]
	n.jobs = n.jobs[1:]
	job()
}

func (n *simNode) take() []proposal {
	inbox := n.inbox
	n.inbox = nil
	return inbox
}

// turn lets the node do something, as soon as it can.
func (n *simNode) turn(do func()) {
	if n.v == nil {
		return
	}
	if n.busy > n.s.now {
		life := n.life
		n.s.after(n.busy-n.s.now, func() {
			if n.life == life {
				n.turn(do)
			}
		})
		return
	}
	n.synced = false
	n.v.tick(n.s.now)
	do()
	n.v.settle()
	for len(n.jobs) > 0 && !n.off {
		n.job()
	}
	if n.synced { // a sync takes its time, and now and then very much of it
		n.busy = n.s.now + 1
		if n.s.faults && n.s.rand.IntN(500) == 0 {
			n.busy += n.s.rand.Int64N(600)
		}
	}
	if n.off {
		n.crash("in the middle of its work")
		return
	}
	if n.v.dead != nil {
		if n.died = n.v.dead; !errors.Is(n.died, errReplaced) {
			n.s.violation("node %d died: %v", n.id, n.v.dead)
		}
		n.life++
		n.v = nil
		return
	}
	n.check()
	n.schedule()
	if s, due := n.v.snapshotDue(); due {
		life := n.life
		n.s.after(n.s.rand.Int64N(20), func() {
			if n.life != life {
				return
			}
			r := n.v.disk.writeSnapshot(s)
			n.turn(func() { n.v.snapshotWritten(r) })
		})
	}
}

// schedule sees to the next tick.
func (n *simNode) schedule() {
	if n.v.sole {
		return
	}
	due := max(n.v.next(), n.s.now)
	if n.ticks > n.s.now && n.ticks <= due {
		return
	}
	n.ticks = due
	life := n.life
	n.s.after(due-n.s.now, func() {
		if n.life == life && n.ticks == due {
			n.ticks = 0
			n.turn(func() {})
		}
	})
}

func (n *simNode) receive(message []byte) {
	if n.v == nil {
		return
	}
	r, err := parseMessage(message)
	if err != nil {
		n.s.violation("node %d: %v", n.id, err)
		return
	}
	n.turn(func() { n.v.receive(r) })
}

// crash cuts the power: of what was not synced anything may be left.
func (n *simNode) crash(why string) {
	n.s.note("node %d crashes %s", n.id, why)
	n.s.deaths++
	n.life++
	n.v = nil
	n.fs.SetHook(nil)
	n.fs = n.fs.CrashClone(n.s.rand, []int{0, 50, 100}[n.s.rand.IntN(3)])
	n.fs.SetCapacity(0)
	for _, other := range n.s.nodes {
		if other != n && other.v != nil && n.s.rand.IntN(2) == 0 {
			n.s.after(1+n.s.rand.Int64N(10), func() {
				other.turn(func() { other.v.died(raftID(n.id)) })
			})
		}
	}
	n.s.after(10+n.s.rand.Int64N(800), n.start)
}

// check looks at what must be true after every step.
func (n *simNode) check() {
	s, v, ops := n.s, n.v, n.ops
	n.ops = 0 // what is looked at here, no crash comes of
	defer func() { n.ops = ops }()
	s.note("node %d term %d leader %d applied %d last %d", n.id, v.term, nodeID(v.leader), v.applied, v.disk.last())
	if v.leads {
		if before, ok := s.leaders[v.term]; ok && before != n.id {
			s.violation("nodes %d and %d both lead in term %d", before, n.id, v.term)
		}
		s.leaders[v.term] = n.id
	}
	for index := max(n.seen, v.disk.first) + 1; index <= v.applied; index++ {
		list, err := v.disk.Entries(index, index+1, 1)
		if err != nil {
			s.violation("node %d cannot read entry %d, which it has applied: %v", n.id, index, err)
			return
		}
		h := fnv.New64a()
		h.Write(binary.BigEndian.AppendUint64(nil, list[0].GetTerm()))
		if data := list[0].GetData(); len(data) > 0 {
			h.Write(record.Batch(data).Records())
			s.saw(data)
		}
		if before, ok := s.committed[index]; ok && before != h.Sum64() {
			s.violation("node %d has another committed entry at index %d", n.id, index)
		}
		s.committed[index] = h.Sum64()
	}
	if n.seen != v.applied {
		if v.disk.first > n.seen && n.seen > 0 {
			s.snapshots++
		}
		n.seen = v.applied
		hash := v.image.Hash()
		if before, ok := s.hashes[v.applied]; ok && before != hash {
			s.violation("node %d has another image at index %d", n.id, v.applied)
		}
		s.hashes[v.applied] = hash
	}
}

// saw takes note of what a committed entry decides.
func (s *sim) saw(data []byte) {
	kind, value, err := kindOf(data)
	if err != nil || kind != decisionEntry {
		return
	}
	records, err := decodeDecision(nil, value)
	if err != nil {
		s.violation("a committed entry: %v", err)
	}
	for _, r := range records {
		s.present[r.(meta.ConfigRecord).Value] = true
	}
}

// propose asks a node to decide something.
func (s *sim) propose(n *simNode, done func(err error)) {
	if n.v == nil {
		done(&NotLeaderError{NoLeader})
		return
	}
	s.proposed++
	name, value, life := fmt.Sprintf("key-%d", s.proposed%97), fmt.Sprint(s.proposed), n.life
	n.inbox = append(n.inbox, proposal{
		decide: func(im *meta.Image, now int64) ([]meta.Record, error) {
			return []meta.Record{meta.ConfigRecord{Resource: meta.Resource{Type: meta.BrokerResource}, Name: name, Value: value}}, nil
		},
		done: func(im *meta.Image, err error) {
			var elsewhere *NotLeaderError
			switch {
			case n.life != life || n.off:
				return // nobody hears it
			case err == nil:
				if im.Config(meta.Resource{Type: meta.BrokerResource})[name] == "" {
					s.violation("node %d acknowledges %s, which its image does not have", n.id, name)
				}
				s.acked[value] = true
			case errors.As(err, &elsewhere):
				s.refused++
			default:
				s.unknown++
			}
			s.note("proposal %s: %v", value, err)
			done(err)
		},
	})
	n.turn(func() {})
}

// client proposes for ever, where it last found a leader.
func (s *sim) client(every int64) {
	at := s.nodes[s.rand.IntN(len(s.nodes))]
	if s.rand.IntN(10) > 0 {
		for _, n := range s.nodes {
			if n.v != nil && n.v.leads {
				at = n
			}
		}
	}
	s.propose(at, func(error) {})
	s.after(1+s.rand.Int64N(2*every), func() { s.client(every) })
}

// fault does something bad, and soon again.
func (s *sim) fault() {
	if !s.faults {
		return
	}
	r := s.rand
	n := s.nodes[r.IntN(len(s.nodes))]
	switch kind := r.IntN(13); {
	case kind == 12 && n.v != nil:
		s.note("the disk of node %d is full", n.id)
		n.fs.SetCapacity(1)
		s.after(r.Int64N(1500), func() { n.fs.SetCapacity(0) })
	case kind < 2 && n.v != nil:
		n.crash("")
	case kind < 4 && n.v != nil:
		n.ops = 1 + r.IntN(40)
	case kind < 5:
		s.note("node %d is stopped", n.id)
		n.busy = max(n.busy, s.now) + r.Int64N(1500)
	case kind < 8:
		other := r.IntN(len(s.nodes))
		s.cut[[2]int{n.at, other}] = true // one way
		if r.IntN(2) == 0 {
			s.cut[[2]int{other, n.at}] = true
		}
		s.note("cut %d-%d", n.at, other)
	case kind < 9:
		for i := range s.nodes {
			s.cut[[2]int{i, n.at}], s.cut[[2]int{n.at, i}] = true, true
		}
		s.note("cut off %d", n.at)
	default:
		clear(s.cut)
		s.drop, s.duplicate, s.late = r.IntN(100), r.IntN(100), r.IntN(60)
		s.note("healed; %d %d %d", s.drop, s.duplicate, s.late)
	}
	s.after(r.Int64N(1200), s.fault)
}

// heal ends all faults.
func (s *sim) heal() {
	s.faults = false
	clear(s.cut)
	s.drop, s.duplicate, s.late = 0, 0, 0
	for _, n := range s.nodes {
		n.ops = 0
		n.fs.SetCapacity(0)
	}
}

// simulate runs a quorum through faults, lets it recover, and looks whether all that was acknowledged is there on everybody.
func simulate(t testing.TB, seed uint64, voters int, ms int64) *sim {
	s := newSim(t, seed, voters)
	for _, n := range s.nodes {
		s.after(s.rand.Int64N(50), n.start)
	}
	s.faults = true
	s.after(1000, s.fault)
	s.after(100, func() { s.client(8) })
	s.run(ms)
	s.heal()
	s.run(5000)
	s.settleDown()
	return s
}

func (s *sim) settleDown() {
	if s.failed {
		return
	}
	leaders := 0
	for _, n := range s.nodes {
		if n.v == nil {
			s.violation("node %d is down 5 s after the last fault", n.id)
			return
		}
		if n.v.leads {
			leaders++
		}
	}
	if leaders != 1 {
		s.violation("%d leaders 5 s after the last fault", leaders)
		return
	}
	// The clients have not stopped: everybody must come to where the first one is now.
	var last uint64
	for _, n := range s.nodes {
		last = max(last, n.v.applied)
	}
	s.run(2000)
	for _, n := range s.nodes {
		if n.v == nil || n.v.applied < last {
			s.violation("node %d has not come to index %d", n.id, last)
			return
		}
	}
	// Entries of one index are the same everywhere, and so are the images: what is in one committed entry is in all images.
	for _, value := range slices.Sorted(maps.Keys(s.acked)) {
		if !s.present[value] {
			s.violation("proposal %s was acknowledged and is in no committed entry", value)
			return
		}
	}
}

var simSeeds = flag.Int("seeds", 12, "how many quorums are simulated")

// TestSimulatedQuorums runs quorums of three and five on many seeds: messages lost, repeated, late and out of order, links cut in one
// direction or both, power cuts at any moment with whatever is left of what was not synced, stopped processes, slow disks. Nobody votes
// twice in a term, no term has two leaders, what is committed never changes, equal indexes have equal images, and what was acknowledged is
// there in the end (I18, T1).
func TestSimulatedQuorums(t *testing.T) {
	seeds, ms := uint64(*simSeeds), int64(20_000)
	began := time.Now()
	var acked, deaths, snapshots, terms int
	for seed := uint64(1); seed <= seeds && !t.Failed(); seed++ {
		s := simulate(t, seed, 3+2*int(seed%2), ms)
		acked, deaths, snapshots, terms = acked+len(s.acked), deaths+s.deaths, snapshots+s.snapshots, terms+len(s.leaders)
	}
	t.Logf("%d quorums, %d s of theirs each, in %s: %d acknowledged, %d crashes, %d leaders, %d snapshots installed",
		seeds, ms/1000, time.Since(began).Round(time.Millisecond), acked, deaths, terms, snapshots)
	if !t.Failed() && (acked < 100*int(seeds) || deaths < int(seeds) || snapshots == 0) {
		t.Error("that was no test: too little was acknowledged, or too little went wrong")
	}
}

// The same seed tells the same story, to the last byte.
func TestSimulationRepeatsItself(t *testing.T) {
	a, b := simulate(t, 77, 3, 5_000), simulate(t, 77, 3, 5_000)
	if a.trace.Sum64() != b.trace.Sum64() {
		t.Errorf("traces %016x and %016x of one seed", a.trace.Sum64(), b.trace.Sum64())
	}
	if c := simulate(t, 78, 3, 5_000); c.trace.Sum64() == a.trace.Sum64() {
		t.Error("another seed tells the same story")
	}
}
