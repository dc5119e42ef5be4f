// Package sim runs the real replication of a few brokers on one seed: partitions, streams and logs are the code that runs in production, over disks in
// memory that lose what was not synced. Network, time, failures and the controller are the seed's. After every event the invariants of
// reliability.md 2.3 are checked; a seed that fails fails again, with the same story.
package sim

import (
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"

	"github.com/millrace/millrace/meta"
	"github.com/millrace/millrace/wire"
)

// Options of a run.
type Options struct {
	Seed   uint64
	Events int       // with faults, before everything is healed
	Trace  io.Writer // what happens, a line for each event; nil: nowhere
}

// Result of a run without violation.
type Result struct {
	Hash      uint64 // of the whole story: the same seed has the same
	Committed int64  // offsets
	Epochs    int32  // of leaders
	Crashes   int
	Cuts      int // logs that have lost a tail that was not acknowledged
}

const (
	nodes     = 3
	topicName = "t"
)

var topicID = wire.UUID{1, 2, 3, 4, 5, 6, 0x47, 8, 0x89, 10, 11, 12, 13, 14, 15, 16}

// world is the cluster and everything that may happen to it.
type world struct {
	o    Options
	r    *rand.Rand
	now  int64 // ms
	hash interface {
		io.Writer
		Sum64() uint64
	}
	nodes      []*node
	conns      []*conn
	cut        [nodes + 1][nodes + 1]bool // no new connection and no frame from one to the other
	controller controller
	check      checker
	healing    bool
	hostile    bool // frames are lost, repeated and overtaken within a stream, which TCP does not do
	produced   int
	crashes    int
	failure    error
}

// Run plays a seed. The error names the invariant that was broken, and when.
func Run(o Options) (Result, error) {
	w := &world{o: o, r: rand.New(rand.NewPCG(o.Seed, 1)), now: 1_000_000, hash: fnv.New64a()}
	w.hostile = w.r.IntN(4) == 0
	w.check.init(w)
	w.controller.init(w)
	for id := int32(1); id <= nodes; id++ {
		w.nodes = append(w.nodes, newNode(w, id))
	}
	for _, n := range w.nodes {
		n.start()
		n.epoch = w.controller.newest().Broker(n.id).Epoch
		n.apply(w.controller.image())
	}
	event := 0
	for ; event < o.Events && w.failure == nil; event++ {
		w.step()
		w.check.all()
	}
	if w.failure == nil {
		w.heal()
		for limit := event + 20_000; w.failure == nil && !w.settled(); event++ {
			if event == limit {
				w.fail("liveness: healed for 20,000 events, and the replicas are not all in sync: %s", w.state())
				break
			}
			w.step()
			w.check.all()
		}
	}
	if w.failure != nil {
		return Result{}, fmt.Errorf("seed %d, event %d: %w", o.Seed, event, w.failure)
	}
	return Result{w.hash.Sum64(), w.check.committedEnd(), w.controller.partition().LeaderEpoch, w.crashes, w.check.cuts}, nil
}

func (w *world) fail(format string, a ...any) {
	if w.failure == nil {
		w.failure = fmt.Errorf(format, a...)
		w.tell("VIOLATION %s", w.failure)
	}
}

// tell writes a line of the story.
func (w *world) tell(format string, a ...any) {
	fmt.Fprintf(w.hash, format+"\n", a...)
	if w.o.Trace != nil {
		fmt.Fprintf(w.o.Trace, format+"\n", a...)
	}
}

func (w *world) node(id int32) *node { return w.nodes[id-1] }

// step lets one thing happen. What cannot happen now is passed over.
func (w *world) step() {
	switch x := w.r.IntN(1000); {
	case x < 300:
		w.deliver()
	case x < 520:
		w.pump()
	case x < 740:
		w.nodes[w.r.IntN(nodes)].work()
	case x < 800:
		w.produce()
	case x < 840:
		w.learn()
	case x < 870:
		w.dial()
	case x < 900:
		w.controller.serve()
	case x < 930:
		w.answer()
	case x < 960:
		w.tick()
	case x < 975:
		w.controller.notice()
	default:
		w.fault()
	}
}

// fault does something bad; while the world heals, nothing.
func (w *world) fault() {
	if w.healing {
		w.restart()
		return
	}
	switch x := w.r.IntN(20); {
	case x < 4:
		w.crash(w.nodes[w.r.IntN(nodes)])
	case x < 9:
		w.restart()
	case x < 12:
		if len(w.conns) > 0 {
			w.conns[w.r.IntN(len(w.conns))].break_("cut")
		}
	case x < 15:
		from, to := w.r.IntN(nodes)+1, w.r.IntN(nodes)+1
		w.cut[from][to] = !w.cut[from][to]
		w.tell("network from %d to %d cut: %v", from, to, w.cut[from][to])
	case x < 18:
		w.controller.move()
	default:
		w.now += int64(w.r.IntN(3 * lagMax))
	}
}

func (w *world) crash(n *node) {
	if !n.up {
		return
	}
	w.crashes++
	n.crash()
	for _, c := range append([]*conn(nil), w.conns...) {
		if c.follower == n || c.leader == n {
			c.break_("crash")
		}
	}
}

func (w *world) restart() {
	for _, n := range w.nodes {
		if !n.up && w.r.IntN(2) == 0 {
			n.start()
			w.controller.register(n)
			n.apply(w.controller.image())
			return
		}
	}
}

// heal ends all that is bad, and breaks the streams that frames were lost on.
func (w *world) heal() {
	w.tell("healing")
	w.healing, w.hostile = true, false
	w.cut = [nodes + 1][nodes + 1]bool{}
	for _, c := range append([]*conn(nil), w.conns...) {
		c.break_("healed")
	}
}

// settled is whether every replica is up, in sync, and knows that all is committed.
func (w *world) settled() bool {
	p := w.controller.partition()
	if len(p.ISR) != nodes || p.Leader == meta.NoLeader {
		return false
	}
	for _, n := range w.nodes {
		if q := n.partition(); !n.up || q.HighWatermark() != q.Log().LogEnd() || q.Log().LogEnd() != w.check.committedEnd() {
			return false
		}
	}
	return true
}

func (w *world) state() string {
	s := fmt.Sprintf("partition %+v;", *w.controller.partition())
	for _, n := range w.nodes {
		p := n.partition()
		epoch, leads := p.Leads()
		s += fmt.Sprintf(" broker %d up %v, epoch %d, leads %v, high watermark %d, end %d;", n.id, n.up, epoch, leads, p.HighWatermark(), p.Log().LogEnd())
	}
	return s
}

// learn gives a broker an image of the cluster that is newer than its own, not always the newest.
func (w *world) learn() {
	n := w.nodes[w.r.IntN(nodes)]
	if newest := len(w.controller.images) - 1; n.up && n.at < newest {
		n.apply(n.at + 1 + w.r.IntN(newest-n.at))
	}
}

func (w *world) tick() {
	n := w.nodes[w.r.IntN(nodes)]
	w.now += int64(w.r.IntN(100))
	if !n.up {
		return
	}
	w.tell("tick of %d at %d", n.id, w.now)
	n.table.Tick(w.now)
	for _, r := range n.receivers {
		r.Tick()
	}
}
