package quorum

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/vfs"
	"github.com/millrace/millrace/meta"
	"github.com/millrace/millrace/wire"
	"go.etcd.io/raft/v3/raftpb"
)

// until runs a quorum without faults until something is true.
func (s *sim) until(what string, f func() bool) {
	s.t.Helper()
	for end := s.now + 20_000; !f(); s.run(1) {
		if s.now > end || s.failed {
			s.violation("still not: %s", what)
			s.t.FailNow()
		}
	}
}

func (s *sim) leader() *simNode {
	var found *simNode
	for _, n := range s.nodes {
		if n.v != nil && n.v.leads && (found == nil || n.v.term > found.v.term) {
			found = n
		}
	}
	return found
}

// decided proposes on the leader and waits for the answer.
func (s *sim) decided() {
	s.t.Helper()
	answered := false
	s.until("a decision is answered", func() bool {
		n := s.leader()
		if len(s.nodes) == 1 {
			n = s.nodes[0] // who leads when there is something to decide
		}
		if n != nil && n.v != nil && !answered && len(n.inbox) == 0 && len(n.v.waiting) == 0 {
			s.propose(n, func(err error) { answered = answered || err == nil })
		}
		return answered
	})
}

func calm(t testing.TB, voters int) *sim {
	s := newSim(t, uint64(len(t.Name())), voters)
	for _, n := range s.nodes {
		n.start()
	}
	s.decided()
	return s
}

// A follower decides nothing, and says who does.
func TestAFollowerNamesTheLeader(t *testing.T) {
	s := calm(t, 3)
	leader := s.leader()
	for _, n := range s.nodes {
		if n == leader {
			continue
		}
		var got error
		s.propose(n, func(err error) { got = err })
		s.run(10)
		var elsewhere *NotLeaderError
		if !errors.As(got, &elsewhere) || elsewhere.Leader != leader.id || !strings.Contains(got.Error(), "not this one") {
			t.Errorf("node %d answers %v, node %d leads", n.id, got, leader.id)
		}
	}
}

// What a leader had in its log and not committed when it lost the leadership is answered as what it is: unknown.
func TestALostLeadershipIsNoAcknowledgement(t *testing.T) {
	s := calm(t, 3)
	old := s.leader()
	for i := range s.nodes {
		s.cut[[2]int{old.at, i}], s.cut[[2]int{i, old.at}] = true, true
	}
	var got error
	s.propose(old, func(err error) { got = err })
	s.until("another leader", func() bool { n := s.leader(); return n != nil && n != old })
	s.decided()
	clear(s.cut)
	s.until("an answer", func() bool { return got != nil })
	if !errors.Is(got, ErrLeadershipLost) {
		t.Errorf("it was answered %v", got)
	}
	end := s.leader().v.applied
	s.until("the old leader follows", func() bool { return old.v.applied >= end && !old.v.leads })
}

// A leader whose process is known to be dead is followed at once, not after the time that its heartbeats could take.
func TestAVerifiedDeathNeedsNoTimeout(t *testing.T) {
	s := calm(t, 3)
	s.run(500)
	dead, at := s.leader(), s.now
	dead.life++
	dead.v = nil
	for _, n := range s.nodes {
		if n.v != nil {
			n.turn(func() { n.v.died(raftID(dead.id)) })
		}
	}
	s.until("another leader", func() bool { return s.leader() != nil })
	if took := s.now - at; took > 60 {
		t.Errorf("it took %d ms", took)
	}
	s.decided()
}

// A voter whose log is gone, whole or in part, does not start: it would break what it has promised.
func TestALostLogIsRefused(t *testing.T) {
	for _, voters := range []int{1, 3} {
		s := calm(t, voters)
		s.run(2 * rememberAfter)
		s.decided()
		n := s.nodes[0]
		fs := n.fs.CrashClone(rand.New(rand.NewPCG(1, 1)), 100)
		if err := fs.RemoveAll(folder(dataDir)); err != nil {
			t.Fatal(err)
		}
		o := Options{NodeID: n.id, Voters: n.o.Voters, Transport: n}
		if q, err := openOn(t, fs, o); err == nil {
			t.Errorf("%d voters: it starts, at offset %d", voters, q.applied)
		} else if !errors.Is(err, errLost) || !strings.Contains(err.Error(), folder(dataDir)) {
			t.Errorf("%d voters: %v", voters, err)
		}
	}
}

// A voter does not change its quorum by what a file of properties says.
func TestAnotherSetOfVotersIsRefused(t *testing.T) {
	s := calm(t, 3)
	n := s.nodes[0]
	o := Options{NodeID: n.id, Voters: []int32{0, 1}, Transport: n}
	if _, err := openOn(t, n.fs.CrashClone(rand.New(rand.NewPCG(1, 1)), 100), o); err == nil || !strings.Contains(err.Error(), "[0 1 2]") {
		t.Errorf("three voters became two: %v", err)
	}
}

// openOn opens a voter on a file system, as a machine that boots with it.
func openOn(t *testing.T, fs *vfs.Mem, o Options) (*voter, error) {
	t.Helper()
	s := newSim(t, 1, max(1, len(o.Voters)))
	n := s.nodes[0]
	n.fs, n.id = fs, o.NodeID
	dir, err := openDir(n)
	if err != nil {
		return nil, err
	}
	n.dir = dir
	o.Dir, o.FS, o.Path, o.Rand = dir, fs, dataDir, n.rand.Uint64
	o = o.withDefaults()
	return openVoter(&o, environment{await: n.await, send: n.Send, take: n.take, clock: func() int64 { return 0 }})
}

// A voter that comes back with an empty disk is another one: the others do not listen to it, go on without it, and it hears so and ends.
func TestAWipedVoterIsNotHeard(t *testing.T) {
	s := calm(t, 3)
	s.run(1000)
	for _, n := range s.nodes {
		for _, other := range s.nodes {
			if known, _ := n.v.disk.ballot.ballot.directory(other.id); known != other.dir.ID() {
				t.Errorf("node %d knows node %d by directory %s, not %s", n.id, other.id, known, other.dir.ID())
			}
		}
	}
	var n *simNode
	for _, other := range s.nodes {
		if other != s.leader() {
			n = other
		}
	}
	n.life++
	n.v = nil
	n.fs = vfs.NewMem()
	n.start()
	s.until("it ends", func() bool { return n.died != nil })
	if !errors.Is(n.died, errReplaced) || !strings.Contains(n.died.Error(), n.dir.ID().String()) {
		t.Errorf("it ended with: %v", n.died)
	}
	s.decided()
}

// Two voters that made different images of the same log do not go on.
func TestADifferentImageIsFatal(t *testing.T) {
	s := calm(t, 3)
	var n *simNode
	for _, other := range s.nodes {
		if other != s.leader() {
			n = other
		}
	}
	im, err := n.v.image.Apply([]meta.Record{meta.ClusterRecord{ID: "another"}}, n.v.image.Index()+1)
	if err != nil {
		t.Fatal(err)
	}
	var e encoder
	data, err := e.hash(int64(n.v.applied), n.v.image.Hash(), 1)
	if err != nil {
		t.Fatal(err)
	}
	entry := &raftpb.Entry{Index: new(n.v.applied + 1), Term: new(n.v.term), Data: data}
	n.v.mark = marked{n.v.applied, n.v.image}
	if err := n.v.apply(entry); err != nil {
		t.Errorf("the same image: %v", err)
	}
	n.v.mark = marked{n.v.applied - 1, im}
	if err := n.v.apply(entry); err == nil || !strings.Contains(err.Error(), "differ") {
		t.Errorf("another image: %v", err)
	}
}

// A ballot survives a torn write, and is not believed when neither copy is whole.
func TestBallots(t *testing.T) {
	fs := vfs.NewMem()
	if err := errors.Join(fs.MkdirAll(dataDir, 0o755), fs.SyncDir(".")); err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(5, 5))
	reopen := func(fs *vfs.Mem) (*ballotFile, error) {
		f := &ballotFile{fs: fs, path: dataDir}
		return f, f.open()
	}
	f, err := reopen(fs)
	if err != nil || f.known {
		t.Fatal(err)
	}
	want := ballot{}
	for i := range uint64(50) {
		next := ballot{term: i + 1, vote: i % 3, commit: 7 * i, voters: []voterID{{0, wire.UUID{1}}, {7, wire.UUID{}}}}
		power := errors.New("power")
		tear := i > 0 && i%5 == 4
		fs.SetHook(func(op, name string) error {
			if tear && op == "sync" {
				return power
			}
			return nil
		})
		err := f.save(next)
		fs.SetHook(nil)
		if tear != (err != nil) {
			t.Fatal(err)
		}
		fs = fs.CrashClone(r, []int{0, 50, 100}[i%3])
		back, err := reopen(fs)
		if err != nil {
			t.Fatalf("save %d: %v", i, err)
		}
		is := func(b ballot) bool {
			return back.ballot.term == b.term && back.ballot.vote == b.vote && back.ballot.commit == b.commit && len(back.ballot.voters) == len(b.voters)
		}
		if !is(next) && !(tear && is(want)) {
			t.Fatalf("save %d, torn %t: %+v came back, want %+v", i, tear, back.ballot, next)
		}
		f, want = back, back.ballot
	}
	damaged := fs.CrashClone(r, 100)
	name := filepath.Join(dataDir, ballotName)
	file, err := damaged.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	for slot := range int64(ballotSlots) {
		if _, err := file.WriteAt([]byte{0xff}, slot*ballotPage+20); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := reopen(damaged); !errors.Is(err, errBallot) {
		t.Errorf("damaged twice: %v", err)
	}
}

// What comes from the network is looked at before it can do harm.
func TestMessagesAreChecked(t *testing.T) {
	var e encoder
	data, err := e.decision([]meta.Record{meta.ClusterRecord{ID: "x"}}, 1)
	if err != nil {
		t.Fatal(err)
	}
	encode := func(m *raftpb.Message) []byte {
		b, err := appendMessage(nil, wire.UUID{1}, wire.UUID{2}, m)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	app := func(index uint64, data []byte) *raftpb.Message {
		return &raftpb.Message{Type: raftpb.MsgApp.Enum(), From: new(uint64(1)), To: new(uint64(2)), Index: new(uint64(4)),
			Entries: []*raftpb.Entry{{Index: new(index), Term: new(uint64(1)), Data: data}}}
	}
	good := encode(app(5, data))
	if r, err := parseMessage(good); err != nil || r.from != (wire.UUID{1}) || r.to != (wire.UUID{2}) || string(r.message.GetEntries()[0].GetData()) != string(data) {
		t.Errorf("a good one: %v", err)
	}
	for i := range good {
		bad := append([]byte(nil), good...)
		bad[i] ^= 1
		if _, err := parseMessage(bad); err == nil {
			t.Errorf("byte %d was changed, and nobody minds", i)
		}
		if _, err := parseMessage(good[:i]); err == nil {
			t.Errorf("%d bytes are no message", i)
		}
	}
	for name, m := range map[string]*raftpb.Message{
		"a gap":      app(6, data),
		"no batch":   app(5, data[1:]),
		"two":        app(5, append(append([]byte(nil), data...), data...)),
		"a proposal": {Type: raftpb.MsgProp.Enum(), From: new(uint64(1)), To: new(uint64(2))},
		"a snapshot": {Type: raftpb.MsgSnap.Enum(), From: new(uint64(1)), To: new(uint64(2)), Snapshot: &raftpb.Snapshot{Data: []byte("x")}},
	} {
		if _, err := parseMessage(encode(m)); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}
