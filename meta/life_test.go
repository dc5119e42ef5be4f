package meta

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/millrace/millrace/wire"
)

// life is a cluster that lives through a random history on one seed: the controller is the real one, its brokers are models of honest ones, as far as
// replication goes. A broker has logs, whose records are just numbers, and sees the images of the controller late. A leader counts a record as committed
// when all of its maximal ISR have it, as many as min.insync.replicas of them, each in the leader's own epoch. What may happen to a broker happens: it is
// killed, loses what it had not synced, loses its disk, gets an old copy of the disk, is suspended and fenced while it leads.
type life struct {
	t        *testing.T
	r        *rand.Rand
	seed     uint64
	now      int64
	im       *Image
	versions []*Image // all images so far; brokers have seen some of them
	replayed *Image   // made of the records' bytes, now and then by way of a snapshot
	sessions *Sessions
	rules    *Rules
	nodes    []*node // by id, from 1
	requests []request
	history  []string // the end of the story

	committed map[partitionID][]int
	minISR    map[partitionID]int
	reached   map[partitionID]bool // so many have been in sync, and nothing happened that may undo it
	leaders   map[leadershipID]int32
	records   int // numbers given to records so far
	happened  map[string]int
}

type partitionID struct {
	topic  wire.UUID
	number int32
}

func (id partitionID) String() string { return fmt.Sprintf("%s/%d", id.topic, id.number) }

type leadershipID struct {
	partitionID
	epoch int32
}

// node is a broker of the model. It goes by the image it has seen last.
type node struct {
	id       int32
	up       bool
	stopping bool
	lives    int
	life     wire.UUID
	epoch    int64 // of its registration; -1: it has none in this life
	disk     int64 // the epoch that its directory tells of
	dir      wire.UUID
	intact   bool
	damage   damage
	seen     int
	logs     map[partitionID][]int
	synced   map[partitionID]int
	leads    map[partitionID]*leadership
	copy     *node // its disk as it was some time ago
}

// damage is what the controller does not know yet of a broker that is in its image.
type damage int

const (
	whole  damage = iota
	tail          // unsynced records may be gone
	noDisk        // everything may be gone
)

func newLife(t *testing.T, seed uint64) *life {
	r := rand.New(rand.NewPCG(seed, 966))
	l := &life{t: t, r: r, seed: seed, now: 1_000_000, im: Empty(), replayed: Empty(), sessions: NewSessions(1500, 1_000_000),
		rules: &Rules{Partitions: 1, ReplicationFactor: 3, Topics: traceTopicRules}, committed: map[partitionID][]int{}, minISR: map[partitionID]int{}, reached: map[partitionID]bool{},
		leaders: map[leadershipID]int32{}, happened: map[string]int{}}
	l.decide("bootstrap", Bootstrap("life"))
	for id := range int32(3 + r.IntN(5)) {
		n := &node{id: id + 1, disk: -1, intact: true}
		n.format(l)
		l.nodes = append(l.nodes, n)
		l.start(n)
	}
	return l
}

// format gives the node an empty disk.
func (n *node) format(l *life) {
	n.dir = wire.UUID{byte(l.r.Uint64()), byte(l.r.Uint64()), byte(l.r.Uint64()), byte(l.r.Uint64()), byte(l.r.Uint64()), byte(l.r.Uint64()), 7, byte(n.id)}
	n.logs, n.synced, n.disk = map[partitionID][]int{}, map[partitionID]int{}, -1
}

// pick returns one of the nodes for which f holds, or nil.
func (l *life) pick(f func(n *node) bool) *node {
	fit := slices.DeleteFunc(slices.Clone(l.nodes), func(n *node) bool { return !f(n) })
	if len(fit) == 0 {
		return nil
	}
	return fit[l.r.IntN(len(fit))]
}

func (n *node) image(l *life) *Image { return l.versions[n.seen] }

// partition returns one of all partitions.
func (l *life) partition() (t *Topic, number int32, ok bool) {
	i := l.r.IntN(max(1, l.im.PartitionCount()))
	l.im.EachTopic(func(of *Topic) bool {
		if i < len(of.Partitions) {
			t, number, ok = of, int32(i), true
			return false
		}
		i -= len(of.Partitions)
		return true
	})
	return t, number, ok
}

// step lets one thing happen.
func (l *life) step() {
	l.now += l.r.Int64N(40)
	if l.r.IntN(8) == 0 {
		if id, ok := l.sessions.Expired(l.im, l.now); ok {
			rs, err := FenceBroker(l.im, id, l.im.Broker(id).Epoch, l.rules)
			l.must(err)
			l.decide("expire", rs)
		}
	}
	up := func(n *node) bool { return n.up && n.epoch >= 0 }
	switch p := l.r.IntN(1000); {
	case p < 140:
		if n := l.pick(up); n != nil {
			l.see(n)
		}
	case p < 420:
		if n := l.pick(up); n != nil {
			l.heartbeat(n)
		}
	case p < 480:
		l.append()
	case p < 710:
		l.fetch()
	case p < 795:
		l.propose()
	case p < 865:
		l.deliver()
	case p < 870:
		l.crash()
	case p < 895:
		if n := l.pick(func(n *node) bool { return !n.up }); n != nil {
			l.start(n)
		}
	case p < 900:
		if n := l.pick(up); n != nil {
			n.stopping = true
		}
	case p < 920:
		l.reassign()
	case p < 945:
		l.elect()
	case p < 990:
		l.admin()
	default:
		if n := l.pick(func(n *node) bool { return !n.up && l.im.Broker(n.id) != nil && l.im.Broker(n.id).Fenced }); n != nil && l.r.IntN(4) == 0 {
			rs, err := UnregisterBroker(l.im, n.id, l.rules)
			l.must(err)
			l.forgive(n.id)
			l.decide("unregister", rs)
		}
	}
}

func (l *life) must(err error) {
	if err != nil {
		l.fail("%v", err)
	}
}
