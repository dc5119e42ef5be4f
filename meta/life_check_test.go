package meta

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// Long random histories. After every step: what an image must be, what its epochs may do, and the invariants of replication that the controller
// answers for, by their names in KIP-966's specification:
//
//	I1   LeaderCompleteness: who is elected, other than unclean, has every committed record
//	I2   LeaderCandidateCompleteness: so has everybody in the ISR and the ELR
//	I3   ReplicationQuorumSuperset: whom a leader waits for, while it may commit, contains the controller's ISR and ELR
//	I12  epochs only grow, and an epoch has one leader
//
// The records, as bytes, make the same image, with snapshots in between too.
func TestRandomHistoriesLoseNothing(t *testing.T) {
	happened := map[string]int{}
	for seed := range uint64(60) {
		l := newLife(t, seed)
		for range 5000 {
			l.step()
		}
		l.replay()
		for what, n := range l.happened {
			happened[what] += n
		}
	}
	for _, what := range []string{"isr NONE", "isr NEW_LEADER_ELECTED", "isr FENCED_LEADER_EPOCH", "isr INVALID_UPDATE_VERSION", "isr INELIGIBLE_REPLICA",
		"reassign NONE", "committed", "truncated", "power cut", "disk lost", "disk restored", "shutdown", "refused", "elected from the ELR", "unclean",
		"leaderless", "expire", "unregister", "balance", "min isr"} {
		if happened[what] < 10 {
			t.Errorf("%q happened %d times: too few to show anything", what, happened[what])
		}
	}
	t.Log(happened)
}

func (l *life) fail(format string, args ...any) {
	l.t.Helper()
	l.t.Fatalf("seed %d, offset %d: %s\n%s\n%s", l.seed, l.im.Index(), fmt.Sprintf(format, args...), strings.Join(l.history, "\n"), l.im)
}

// decide makes the records of a decision part of the log, and checks what has become of the cluster.
func (l *life) decide(what string, rs []Record) {
	if len(rs) == 0 {
		return
	}
	l.happened[what]++
	if l.history = append(l.history, fmt.Sprintf("%d %s", l.im.Index()+1, what)); len(l.history) > 60 {
		l.history = l.history[1:]
	}
	decoded := make([]Record, len(rs))
	for i, r := range rs {
		l.history[len(l.history)-1] += "; " + Describe(r)
		var err error
		decoded[i], err = DecodeRecord(AppendRecord(nil, r))
		l.must(err)
	}
	index := l.im.Index() + 1
	old := l.im
	im, err := old.Apply(rs, index)
	l.must(err)
	l.im = im
	l.versions = append(l.versions, im)
	l.replayed, err = l.replayed.Apply(decoded, index)
	l.must(err)
	if l.r.IntN(40) == 0 {
		l.replay()
	}
	for _, r := range rs {
		if c, ok := r.(PartitionChangeRecord); ok {
			l.changed(what, old, c)
		}
	}
	EachTopicChange(old, im, l.checkEpochs)
	l.check()
}

// replay compares the image with the one made of bytes, and goes on from that one's snapshot.
func (l *life) replay() {
	back, err := DecodeSnapshot(l.replayed.AppendSnapshot(nil))
	l.must(err)
	if is := l.im.String(); l.replayed.String() != is || back.String() != is || back.Hash() != l.im.Hash() {
		l.fail("the records make another image:\n%s\nand the snapshot:\n%s", l.replayed, back)
	}
	l.replayed = back
}

// changed takes note of what a change means for the records: an unclean election loses some.
func (l *life) changed(what string, old *Image, r PartitionChangeRecord) {
	id := partitionID{r.TopicID, r.Number}
	was := &old.TopicByID(r.TopicID).Partitions[r.Number]
	is := &l.im.TopicByID(r.TopicID).Partitions[r.Number]
	switch {
	case r.Unclean:
		l.happened["unclean"]++
		log := l.nodes[is.Leader-1].logs[id]
		l.committed[id] = slices.Clone(l.committed[id][:common(l.committed[id], log)])
		l.reached[id] = false
		if is.LastUncleanEpoch != is.LeaderEpoch || !is.Recovering {
			l.fail("%v is led unclean, and does not say so", id)
		}
		if t := l.im.TopicByID(r.TopicID); !traceRules(l.im, t).Unclean && what != "elect unclean" && len(is.Replicas) > 1 {
			l.fail("%v is led unclean, and nobody allowed that", id)
		}
	case r.Leader == NoLeader:
		l.happened["leaderless"]++
	case r.Leader >= 0 && contains(was.ELR, r.Leader):
		l.happened["elected from the ELR"]++
	}
	if is.LastUncleanEpoch != was.LastUncleanEpoch && !r.Unclean {
		l.fail("the last unclean epoch of %v changes", id)
	}
}

// forgive lets partitions have fewer candidates than min.insync.replicas, because one of them has lost what it had.
func (l *life) forgive(broker int32) {
	l.im.EachTopic(func(t *Topic) bool {
		for i := range t.Partitions {
			if p := &t.Partitions[i]; contains(p.ISR, broker) || contains(p.ELR, broker) {
				l.reached[partitionID{t.ID, int32(i)}] = false
			}
		}
		return true
	})
}

// forgiveUnproven forgives a node that has lost nothing but cannot prove it, because it died before it could write down its epoch.
func (l *life) forgiveUnproven(n *node, r *Registration) {
	if b := l.im.Broker(n.id); b != nil && (b.Epoch != r.PreviousEpoch || !r.Intact) {
		l.forgive(n.id)
	}
}

// checkLeads is I1, when a node begins to lead.
func (l *life) checkLeads(n *node, id partitionID) {
	t := l.im.TopicByID(id.topic)
	if t == nil || t.Partitions[id.number].LeaderEpoch != n.leads[id].part.LeaderEpoch {
		return // it is late: somebody else leads by now, and this one can commit nothing
	}
	if have := common(n.logs[id], l.committed[id]); have < len(l.committed[id]) {
		l.fail("I1: %d leads %v with %d of %d committed records", n.id, id, have, len(l.committed[id]))
	}
}

// checkEpochs is I12.
func (l *life) checkEpochs(was, is *Topic) {
	if is == nil {
		return
	}
	for i := range is.Partitions {
		p, id := &is.Partitions[i], partitionID{is.ID, int32(i)}
		if p.Leader != NoLeader {
			of := leadershipID{id, p.LeaderEpoch}
			if leader, ok := l.leaders[of]; ok && leader != p.Leader {
				l.fail("I12: %d and %d lead %v in epoch %d", leader, p.Leader, id, p.LeaderEpoch)
			}
			l.leaders[of] = p.Leader
		}
		if was == nil || i >= len(was.Partitions) {
			continue
		}
		old := &was.Partitions[i]
		same := old.String() == p.String()
		if p.LeaderEpoch < old.LeaderEpoch || p.PartitionEpoch < old.PartitionEpoch || p.LastUncleanEpoch < old.LastUncleanEpoch ||
			!same && p.PartitionEpoch == old.PartitionEpoch || p.Leader != old.Leader && p.LeaderEpoch == old.LeaderEpoch {
			l.fail("I12: the epochs of %v: %s, then %s", id, old, p)
		}
	}
}

// check is everything else.
func (l *life) check() {
	l.im.EachTopic(func(t *Topic) bool {
		of := traceRules(l.im, t)
		for i := range t.Partitions {
			id := partitionID{t.ID, int32(i)}
			l.checkPartition(id, &t.Partitions[i], of)
			l.checkRecords(id, &t.Partitions[i], of)
		}
		return true
	})
}

func (l *life) checkPartition(id partitionID, p *Partition, of TopicRules) {
	bad := ""
	inactive := func(broker int32) bool { return !l.im.active(broker) }
	minISR := p.MinISR(of.MinISR)
	switch {
	case p.Leader != NoLeader && !contains(p.ISR, p.Leader):
		bad = "the leader is not in sync"
	case p.Leader == NoLeader && len(p.ISR) > 0:
		bad = "nobody leads, although somebody is in sync"
	case len(minus(p.ISR, p.Replicas...)) > 0 || len(minus(p.ELR, p.Replicas...)) > 0 || len(minus(p.LastKnownELR, p.Replicas...)) > 0:
		bad = "who is no replica is in sync or eligible"
	case slices.ContainsFunc(p.ISR, inactive):
		bad = "who is fenced or shuts down is in sync"
	case len(minus(p.ELR, p.ISR...)) < len(p.ELR):
		bad = "who is in sync is eligible besides"
	case len(p.ELR) > 0 && len(p.ISR) >= minISR:
		bad = "enough are in sync, and somebody else is eligible"
	case p.Leader == NoLeader && len(p.ISR) == 0 && slices.ContainsFunc(p.ELR, l.im.active):
		bad = "nobody leads, although an eligible one could"
	case p.Leader != NoLeader && len(p.LastKnownELR) > 0 || len(p.LastKnownELR) > 1:
		bad = "who led last is remembered without need"
	case p.Reassignment != nil && len(minus(slices.Concat(p.Reassignment.Adding, p.Reassignment.Removing), p.Replicas...)) > 0:
		bad = "who is no replica is added or removed"
	case len(p.Dirs) != len(p.Replicas):
		bad = "a replica without a directory"
	}
	for j, replica := range p.Replicas {
		if contains(p.Replicas[:j], replica) {
			bad = "a replica twice"
		}
	}
	if l.minISR[id] != minISR { // the setting has changed, or the number of replicas
		l.minISR[id], l.reached[id] = minISR, false
	}
	candidates := len(p.ISR) + len(p.ELR)
	if !of.Unclean && l.reached[id] && candidates < minISR {
		bad = fmt.Sprintf("%d are in sync or eligible, of %d", candidates, minISR)
	}
	if bad != "" {
		l.fail("%v: %s: %s", id, bad, p)
	}
	l.reached[id] = candidates >= minISR
}

// checkRecords is I2 and I3.
func (l *life) checkRecords(id partitionID, p *Partition, of TopicRules) {
	committed := l.committed[id]
	for _, m := range slices.Concat(p.ISR, p.ELR) {
		n := l.nodes[m-1]
		if n.damage == noDisk || n.damage == tail && !of.Fsync {
			continue // the controller will hear of it before that node may lead
		}
		if have := common(n.logs[id], committed); have < len(committed) {
			l.fail("I2: %d has %d of the %d committed records of %v: %s", m, have, len(committed), id, p)
		}
	}
	if p.Leader == NoLeader {
		return
	}
	n := l.nodes[p.Leader-1]
	lead := n.leads[id]
	if !n.up || lead == nil || lead.part.LeaderEpoch != p.LeaderEpoch {
		return
	}
	t := n.image(l).TopicByID(id.topic)
	if waits := lead.maximal(); lead.enough(traceRules(n.image(l), t)) && len(minus(slices.Concat(p.ISR, p.ELR), waits...)) > 0 {
		l.fail("I3: the leader of %v waits for %v: %s", id, waits, p)
	}
}

// One seed, one history: no decision depends on the order of a map.
func TestRandomHistoriesAreTheSameTwice(t *testing.T) {
	story := func() string {
		l := newLife(t, 7)
		for range 1500 {
			l.step()
		}
		return l.im.String() + fmt.Sprint(l.im.Hash())
	}
	if a, b := story(), story(); a != b {
		t.Errorf("one seed, two histories:\n%s\n%s", a, b)
	}
}
