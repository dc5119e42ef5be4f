package quorum

import (
	"fmt"
	"slices"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"go.etcd.io/raft/v3/tracker"
)

// Times of a quorum whose voters are near each other, in ms: a heartbeat, and the least silence after which a leader counts as lost; a
// voter waits for up to twice as long, by chance, before it calls an election.
const (
	defaultHeartbeat = 30
	electionBeats    = 5 // heartbeats
	snapshotBeats    = 50
	successionDelay  = 15 // ms between those who may follow a leader that has died
)

// timers are a voter's. Raft has some of its own, whose chance comes from the operating system, where no seed can repeat it; so only a
// leader's Raft is told of the time, whose tick draws nothing. A follower counts here, and tells Raft by the calls that are meant for it
// to forget its leader and to campaign.
type timers struct {
	heartbeat int64 // ms
	random    func() uint64
	now       int64
	ticked    int64            // of a leader: when Raft was last told
	heard     int64            // when the leader was last heard of
	due       int64            // when this voter calls an election
	sentAt    map[uint64]int64 // snapshots under way to other voters
	greetAt   int64            // when this voter makes itself known to those it does not know
}

func (t *timers) election() int64 { return t.heartbeat * electionBeats }

// contact begins a new wait for the leader.
func (t *timers) contact() {
	t.heard = t.now
	t.due = t.now + t.election() + int64(t.random()%uint64(t.election()))
}

// tick tells the time, in ms of a clock that never goes back. Beats that were missed (a process that was stopped, a disk that kept a sync
// waiting) are made up: nobody has answered in them, so a leader who was away for too long steps down before it does anything else (T7).
func (v *voter) tick(now int64) {
	defer v.caught()
	v.now = max(v.now, now)
	switch {
	case v.sole || v.dead != nil || v.ready != nil: // on a full disk a voter is as good as away
		return
	case v.leads:
		v.beat()
	default:
		if v.leader != raft.None && v.now-v.heard >= v.election() {
			v.forgetLeader()
		}
		if v.now >= v.due {
			v.campaign()
		}
	}
	v.greet()
}

// greet makes all voters known to each other: who is not known could come back as another, and nobody would notice.
func (v *voter) greet() {
	if v.now < v.greetAt {
		return
	}
	v.greetAt = v.now + v.election()
	for _, other := range v.disk.ballot.ballot.voters {
		if other.directory.IsZero() {
			v.hello(other.id)
		}
	}
}

// next is when tick has to be called at the latest.
func (v *voter) next() int64 {
	switch {
	case v.ready != nil:
		return v.now + v.election()
	case v.leads:
		return v.ticked + v.heartbeat
	case v.leader != raft.None:
		return min(v.due, v.heard+v.election())
	}
	return v.due
}

func (v *voter) beat() {
	v.ticked = max(v.ticked, v.now-3*v.election())
	for v.ticked+v.heartbeat <= v.now && v.raft.BasicStatus().RaftState == raft.StateLeader {
		v.ticked += v.heartbeat
		v.raft.Tick()
	}
	if v.raft.BasicStatus().RaftState != raft.StateLeader {
		v.contact()
		return
	}
	v.checkSnapshots()
}

// checkSnapshots gives up those that were sent long ago: nobody tells of one that was lost, and until somebody does nothing else is sent.
func (v *voter) checkSnapshots() {
	var lost []uint64
	v.raft.WithProgress(func(id uint64, _ raft.ProgressType, pr tracker.Progress) {
		at, sent := v.sentAt[id]
		switch {
		case pr.State != tracker.StateSnapshot:
			delete(v.sentAt, id)
		case !sent:
			v.sentAt[id] = v.now
		case v.now-at >= snapshotBeats*v.heartbeat:
			delete(v.sentAt, id)
			lost = append(lost, id)
		}
	})
	for _, id := range lost {
		v.raft.ReportSnapshot(id, raft.SnapshotFailure)
	}
}

func (v *voter) campaign() {
	v.contact()
	if err := v.raft.Campaign(); err != nil {
		v.die(fmt.Errorf("election: %w", err))
	}
}

// forgetLeader lets this voter vote for another.
func (v *voter) forgetLeader() {
	if err := v.raft.ForgetLeader(); err != nil {
		v.die(fmt.Errorf("election: %w", err))
	}
}

// step takes a message from another voter.
func (v *voter) step(m *raftpb.Message) {
	defer v.caught()
	if v.dead != nil || v.sole || v.ready != nil {
		return
	}
	before := v.raft.BasicStatus()
	if err := v.raft.Step(m); err != nil {
		v.o.Log.Warn("a message of the metadata quorum was refused", "type", m.GetType().String(), "voter", nodeID(m.GetFrom()), "err", err)
		return
	}
	after := v.raft.BasicStatus()
	switch {
	case after.GetTerm() != before.GetTerm():
		v.contact()
	case m.GetType() == raftpb.MsgVote && after.GetVote() == m.GetFrom() && before.GetVote() != m.GetFrom():
		v.contact()
	case after.Lead == m.GetFrom() && m.GetTerm() == after.GetTerm():
		switch m.GetType() {
		case raftpb.MsgApp, raftpb.MsgHeartbeat, raftpb.MsgSnap:
			v.contact()
		}
	}
}

// died takes note that the process of a voter is known to be dead: its host refuses connections. If it led, there is nothing to wait for;
// those who are left come one after the other, so that they do not split their votes. Who is wrong costs an election, no more: a majority
// has to agree.
func (v *voter) died(id uint64) {
	defer v.caught()
	if v.dead != nil || v.sole || v.ready != nil {
		return
	}
	if v.leads {
		v.raft.ReportUnreachable(id)
		return
	}
	if v.leader != id {
		return
	}
	v.forgetLeader()
	left := slices.DeleteFunc(slices.Clone(v.disk.voters), func(other uint64) bool { return other == id })
	v.due = min(v.due, v.now+successionDelay*int64(slices.Index(left, v.id)))
}
