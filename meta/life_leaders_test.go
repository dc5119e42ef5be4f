package meta

import (
	"maps"
	"slices"

	"github.com/millrace/millrace/wire"
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
	if !lead.enough(traceRules(n.image(l), t)) {
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
