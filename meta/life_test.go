package meta

import (
	"fmt"
	"maps"
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

// leadership is what a leader knows of a partition in one leader epoch.
type leadership struct {
	part     Partition       // the newest state it has heard of, from the image or in answers
	floor    int             // how many in sync the controller counts as enough, by its last answer
	start    int             // end of its log when the epoch began
	acked    map[int32]int   // by followers, in this epoch
	life     map[int32]int64 // the broker epochs of these
	proposed []int32         // members of ISRs that were asked for since the partition epoch last changed
	high     int             // what it has counted as committed
}

// request is an AlterPartition that is under way.
type request struct {
	from   int32
	epoch  int64
	change ISRChange
}

func newLife(t *testing.T, seed uint64) *life {
	r := rand.New(rand.NewPCG(seed, 966))
	l := &life{t: t, r: r, seed: seed, now: 1_000_000, im: Empty(), replayed: Empty(), sessions: NewSessions(1500, 1_000_000),
		rules: &Rules{Partitions: 1, ReplicationFactor: 3, Topic: traceTopicRules}, committed: map[partitionID][]int{}, minISR: map[partitionID]int{}, reached: map[partitionID]bool{},
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
		if n := l.pick(func(n *node) bool { return !n.up && l.im.Broker(n.id) != nil }); n != nil && l.r.IntN(4) == 0 {
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

// see shows a node newer images, and lets it follow and lead by them.
func (l *life) see(n *node) {
	n.seen += l.r.IntN(len(l.versions) - n.seen)
	if l.r.IntN(3) == 0 {
		n.seen = len(l.versions) - 1
	}
	im := n.image(l)
	mine := im.Broker(n.id) != nil && im.Broker(n.id).Epoch == n.epoch
	for id, lead := range n.leads {
		if t := im.TopicByID(id.topic); t == nil || !mine || t.Partitions[id.number].Leader != n.id || t.Partitions[id.number].LeaderEpoch > lead.part.LeaderEpoch {
			delete(n.leads, id)
		}
	}
	if !mine {
		return
	}
	im.EachTopic(func(t *Topic) bool {
		for i := range t.Partitions {
			p, id := &t.Partitions[i], partitionID{t.ID, int32(i)}
			if p.Leader != n.id {
				continue
			}
			lead := n.leads[id]
			switch {
			case lead == nil:
				n.leads[id] = &leadership{part: *p, start: len(n.logs[id]), acked: map[int32]int{}, life: map[int32]int64{}}
				l.checkLeads(n, id)
			case p.PartitionEpoch > lead.part.PartitionEpoch:
				lead.part, lead.proposed = *p, nil
				lead.floor = 0
			case p.PartitionEpoch == lead.part.PartitionEpoch:
				lead.part, lead.floor = *p, 0
			}
		}
		return true
	})
}

func (l *life) heartbeat(n *node) {
	h := &Heartbeat{Broker: n.id, Epoch: n.epoch, Offset: n.image(l).Index(), WantShutdown: n.stopping, WantFence: !n.stopping && l.r.IntN(100) == 0}
	l.sessions.Touch(l.im, h, l.now)
	rs, a, err := BrokerHeartbeat(l.im, l.sessions, h, l.rules)
	if err == wire.StaleBrokerEpoch { // it was unregistered: it starts anew
		n.up, n.intact = false, true
		return
	}
	l.must(err)
	l.decide("heartbeat", rs)
	if a.ShutDown {
		n.up, n.stopping, n.intact = false, false, true
		l.happened["shutdown"]++
	}
}

// leading returns a node and one of the partitions it takes itself for the leader of.
func (l *life) leading() (n *node, id partitionID, lead *leadership) {
	if n = l.pick(func(n *node) bool { return n.up && len(n.leads) > 0 }); n == nil {
		return nil, id, nil
	}
	ids := inOrder(n.leads)
	id = ids[l.r.IntN(len(ids))]
	return n, id, n.leads[id]
}

func inOrder[V any](m map[partitionID]V) []partitionID {
	return slices.SortedFunc(maps.Keys(m), func(a, b partitionID) int {
		if c := compare(a.topic, b.topic); c != 0 {
			return c
		}
		return int(a.number - b.number)
	})
}

func (l *life) append() {
	if n, id, lead := l.leading(); n != nil {
		for range 1 + l.r.IntN(3) {
			l.records++
			n.logs[id] = append(slices.Clip(n.logs[id]), l.records)
		}
		l.advance(n, id, lead)
	}
}

// fetch lets a follower copy from its leader, provided that both speak of the same epoch.
func (l *life) fetch() {
	n, id, lead := l.leading()
	if n == nil {
		return
	}
	f := l.pick(func(f *node) bool {
		t := f.image(l).TopicByID(id.topic)
		if !f.up || f.epoch < 0 || f == n || t == nil || t.Partition(id.number) == nil {
			return false
		}
		b, p := f.image(l).Broker(f.id), t.Partition(id.number)
		return b != nil && b.Epoch == f.epoch && p.Leader == n.id && p.LeaderEpoch == lead.part.LeaderEpoch && contains(p.Replicas, f.id)
	})
	if f == nil {
		return
	}
	log := n.logs[id]
	same := common(f.logs[id], log)
	if same < len(f.logs[id]) {
		l.happened["truncated"]++
		f.synced[id] = min(f.synced[id], same)
	}
	f.logs[id] = slices.Clip(log[:same+l.r.IntN(len(log)-same+1)])
	f.synced[id] = max(f.synced[id], len(f.logs[id]))
	lead.acked[f.id], lead.life[f.id] = len(f.logs[id]), f.epoch
	l.advance(n, id, lead)
}

func common(a, b []int) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

// maximal is the largest ISR that there may be.
func (lead *leadership) maximal() []int32 {
	all := slices.Clone(lead.part.ISR)
	for _, id := range lead.proposed {
		if !contains(all, id) {
			all = append(all, id)
		}
	}
	return all
}

// enough tells whether the leader may count anything as committed.
func (lead *leadership) enough(of TopicRules) bool {
	return len(lead.part.ISR) >= max(lead.part.MinISR(of.MinISR), lead.floor)
}

func (l *life) advance(n *node, id partitionID, lead *leadership) {
	t := n.image(l).TopicByID(id.topic)
	if !lead.enough(l.rules.topic(n.image(l), t)) {
		return
	}
	n.synced[id] = len(n.logs[id])
	end := len(n.logs[id])
	for _, m := range lead.maximal() {
		if m != n.id {
			end = min(end, lead.acked[m])
		}
	}
	lead.high = max(lead.high, end)
	if p := l.im.TopicByID(id.topic); p != nil && lead.part.LeaderEpoch < p.Partitions[id.number].LastUncleanEpoch {
		return // what it acknowledges is what the unclean election loses
	}
	if old := l.committed[id]; end > len(old) && l.im.TopicByID(id.topic) != nil {
		if common(old, n.logs[id]) < len(old) {
			l.fail("%d commits %v as leader of %v, where %v is committed", n.id, n.logs[id][:end], id, old)
		}
		l.committed[id] = slices.Clone(n.logs[id][:end])
		l.happened["committed"]++
		l.check()
	}
}

// propose lets a leader ask for another ISR: with a follower that has caught up, or without one.
func (l *life) propose() {
	n, id, lead := l.leading()
	if n == nil {
		return
	}
	c := ISRChange{TopicID: id.topic, Partition: id.number, LeaderEpoch: lead.part.LeaderEpoch, PartitionEpoch: lead.part.PartitionEpoch}
	isr := slices.Clone(lead.part.ISR)
	for _, f := range lead.part.Replicas {
		acked, ok := lead.acked[f]
		if ok && !contains(isr, f) && acked >= lead.start && acked >= lead.high && l.r.IntN(3) > 0 {
			isr = append(isr, f)
		}
	}
	if len(isr) == len(lead.part.ISR) && l.r.IntN(4) == 0 {
		isr = pick(isr, func(m int32) bool { return m == n.id || l.r.IntN(2) == 0 })
	}
	if lead.part.Recovering && l.r.IntN(3) == 0 {
		isr, c.Recovering = []int32{n.id}, true
	}
	for _, m := range isr {
		epoch := n.epoch
		if m != n.id {
			var ok bool
			if epoch, ok = lead.life[m]; !ok { // it was in sync before this epoch: the leader takes the life that the image names
				b := n.image(l).Broker(m)
				if b == nil {
					return
				}
				epoch = b.Epoch
			}
		}
		c.ISR = append(c.ISR, Member{m, epoch})
	}
	for _, m := range isr {
		if !contains(lead.proposed, m) {
			lead.proposed = append(lead.proposed, m)
		}
	}
	l.requests = append(l.requests, request{n.id, n.epoch, c})
}

// deliver brings a request to the controller, or loses it, or its answer.
func (l *life) deliver() {
	if len(l.requests) == 0 {
		return
	}
	i := l.r.IntN(len(l.requests))
	q := l.requests[i]
	l.requests = slices.Delete(l.requests, i, i+1)
	if l.r.IntN(10) == 0 {
		return
	}
	rs, results, err := AlterPartition(l.im, q.from, q.epoch, []ISRChange{q.change}, l.rules)
	if err != nil {
		return
	}
	l.decide("isr", rs)
	l.happened["isr "+results[0].Code.String()]++
	n := l.nodes[q.from-1]
	lead := n.leads[partitionID{q.change.TopicID, q.change.Partition}]
	r := &results[0]
	if l.r.IntN(10) == 0 || !n.up || n.epoch != q.epoch || lead == nil || r.Code != wire.None || r.LeaderEpoch != lead.part.LeaderEpoch {
		return
	}
	if r.PartitionEpoch > lead.part.PartitionEpoch {
		lead.part.ISR, lead.part.PartitionEpoch, lead.part.Recovering = r.ISR, r.PartitionEpoch, r.Recovering
		lead.floor, lead.proposed = r.MinISR, nil
	}
}

// crash takes a node down without notice.
func (l *life) crash() {
	n := l.pick(func(n *node) bool { return n.up })
	if n == nil {
		return
	}
	n.up, n.stopping, n.intact = false, false, true
	switch l.r.IntN(6) {
	case 0, 1:
		l.happened["power cut"]++
		n.intact, n.damage = false, max(n.damage, tail)
		for _, id := range inOrder(n.logs) {
			log, kept := n.logs[id], 0
			if t := l.im.TopicByID(id.topic); t != nil && l.rules.topic(l.im, t).Fsync {
				kept = n.synced[id]
			}
			n.logs[id] = slices.Clip(log[:kept+l.r.IntN(len(log)-kept+1)])
			n.synced[id] = min(n.synced[id], len(n.logs[id]))
		}
	case 2:
		if l.r.IntN(2) == 0 {
			l.happened["disk lost"]++
			n.damage = noDisk
			n.format(l)
		} else if n.copy != nil {
			l.happened["disk restored"]++
			n.damage = noDisk
			n.logs, n.synced, n.disk, n.dir = maps.Clone(n.copy.logs), maps.Clone(n.copy.synced), n.copy.disk, n.copy.dir
		}
	case 3:
		n.copy = &node{logs: maps.Clone(n.logs), synced: maps.Clone(n.synced), disk: n.disk, dir: n.dir}
	}
	if l.r.IntN(2) == 0 { // somebody has noticed
		l.sessions.Forget(n.id)
		if b := l.im.Broker(n.id); b != nil {
			rs, err := FenceBroker(l.im, n.id, b.Epoch, l.rules)
			l.must(err)
			l.decide("dead", rs)
		}
	}
}

// start begins the next life of a node.
func (l *life) start(n *node) {
	n.lives++
	n.life = wire.UUID{byte(n.id), byte(n.lives), byte(n.lives >> 8), 9}
	reg := &Registration{ClusterID: "life", PreviousEpoch: n.disk, Intact: n.intact,
		Broker: Broker{ID: n.id, Incarnation: n.life, Rack: fmt.Sprint(n.id % 3), Directories: []wire.UUID{n.dir}}}
	rs, err := BrokerRegistration(l.im, l.sessions, reg, l.now, l.rules)
	if err != nil {
		l.happened["refused"]++
		return
	}
	if n.damage != whole {
		l.forgive(n.id)
		n.damage = whole
	}
	l.forgiveUnproven(n, reg)
	l.decide("join", rs)
	n.up, n.epoch, n.leads, n.seen = true, l.im.Broker(n.id).Epoch, map[partitionID]*leadership{}, len(l.versions)-1
	if l.r.IntN(20) == 0 { // before it has written down its epoch
		n.up = false
		return
	}
	n.disk = n.epoch
}

func (l *life) reassign() {
	t, number, ok := l.partition()
	if !ok {
		return
	}
	ask := PartitionReassignment{Topic: t.Name, Partition: number, Cancel: l.r.IntN(3) == 0}
	for _, i := range l.r.Perm(len(l.nodes))[:1+l.r.IntN(3)] {
		ask.Replicas = append(ask.Replicas, int32(i+1))
	}
	rs, results := AlterPartitionReassignments(l.im, []PartitionReassignment{ask}, l.r.IntN(4) == 0, l.rules)
	l.happened["reassign "+results[0].Code.String()]++
	l.decide("reassign", rs)
}

func (l *life) elect() {
	t, number, ok := l.partition()
	if !ok {
		return
	}
	switch l.r.IntN(8) {
	case 0:
		rs, _, err := ElectLeaders(l.im, UncleanElection, []TopicPartitions{{t.Name, []int32{number}}}, l.rules)
		l.must(err)
		l.decide("elect unclean", rs)
	case 1:
		rs, _ := ElectUncleanLeaders(l.im, l.rules)
		l.decide("recover", rs)
	case 2, 3:
		rs, _ := BalanceLeaders(l.im, l.rules)
		l.decide("balance", rs)
	default:
		rs, _, err := ElectLeaders(l.im, PreferredElection, []TopicPartitions{{t.Name, []int32{number}}}, l.rules)
		l.must(err)
		l.decide("elect", rs)
	}
}

// admin creates, grows and deletes topics, and changes their min.insync.replicas.
func (l *life) admin() {
	name := fmt.Sprintf("t%d", l.r.IntN(6))
	set := func(n int) []ConfigValue { return []ConfigValue{{Name: minISRSetting, Value: fmt.Sprint(n)}} }
	switch t := l.im.TopicByName(name); {
	case t == nil:
		configs := set(1 + l.r.IntN(3))
		if l.r.IntN(2) == 0 {
			configs = append(configs, ConfigValue{Name: "millrace.durability", Value: "replicated"})
		}
		if l.r.IntN(4) == 0 {
			configs = append(configs, ConfigValue{Name: "unclean.leader.election.enable", Value: "true"})
		}
		rs, _ := CreateTopics(l.im, []NewTopic{{Name: name, Partitions: 1 + l.r.Int32N(2), ReplicationFactor: 1 + int16(l.r.IntN(3)), Configs: configs}}, l.rules, l.r.Uint64)
		l.decide("create", rs)
	case l.r.IntN(8) == 0:
		rs, _ := DeleteTopics(l.im, []TopicRef{{Name: name, Named: true}})
		l.decide("delete", rs)
	case l.r.IntN(2) == 0 && len(t.Partitions) < 3:
		rs, _ := CreatePartitions(l.im, []MorePartitions{{Name: name, Count: int32(len(t.Partitions)) + 1}}, l.r.Uint64)
		l.decide("more", rs)
	default:
		rs, _ := AlterConfigs(l.im, []ResourceChange{{Resource: Resource{TopicResource, name},
			Changes: []ConfigChange{{Name: minISRSetting, Value: fmt.Sprint(1 + l.r.IntN(3))}}}}, 1, l.rules)
		l.decide("min isr", rs)
	}
}
