package meta

import (
	"fmt"
	"maps"
	"slices"

	"github.com/millrace/millrace/wire"
)

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
			if t := l.im.TopicByID(id.topic); t != nil && traceRules(l.im, t).Fsync {
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
