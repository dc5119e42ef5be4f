package quorum

import (
	"errors"
	"fmt"

	"github.com/millrace/millrace/engine"
	"github.com/millrace/millrace/internal/metric"
	"github.com/millrace/millrace/internal/vfs"
	"github.com/millrace/millrace/meta"
	"github.com/millrace/millrace/wire"
	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
)

// voter is one voter: Raft, the log it keeps, the image that the committed part of the log makes, and, on the leader, the decisions that
// are under way. It has no goroutine and no clock. Whoever drives it (Quorum, a simulator) tells it the time and what has come, and then
// lets it settle: all that follows is durable, sent and answered when that returns.
//
//	tick, step, propose ──> Raft ──Ready──> persist ──> send ──> apply ──> publish, answer
//	                          ↑ append, Propose │
//	                          └──── decide <────┘   what has queued meanwhile shares the flush
//
// An index that Raft uses is one more than the offset at which the entry lies, and so the same as the offset that comes next.
type voter struct {
	o      *Options
	id     uint64 // raft's: the node's and one
	sole   bool   // there is no other voter: what is durable here is committed
	disk   *disk
	raft   *raft.RawNode
	status status
	took   metric.Histogram // of groups of decisions, from the first one until all were durable
	environment

	dead    error       // why the log takes no more
	ready   *raft.Ready // taken and not finished: the disk is full, if there is one between two calls
	image   *meta.Image // what the entries up to applied make
	applied uint64
	mark    marked // the last image that the leader states the hash of

	strangers map[int32]wire.UUID // whom this voter has told of, and does not listen to

	role
	timers
	since         struct{ bytes, records int64 } // applied since the last snapshot
	snapshotBytes int64                          // size of the last one
	snapshotting  bool                           // one is being written
	startedAt     int64                          // see remember
}

// environment is what a voter asks of who drives it.
type environment struct {
	await func(*engine.Log)              // returns when a log's background work may have ended
	send  func(to int32, message []byte) // to another voter; it may be lost
	take  func() []proposal              // what was proposed since the last time
	clock func() int64                   // nanoseconds since anything: figures only, nothing is decided by it
}

// openVoter opens what a voter left behind.
func openVoter(o *Options, env environment) (*voter, error) {
	v := &voter{
		o:           o,
		id:          raftID(o.NodeID),
		sole:        len(o.Voters) == 1,
		environment: env,
		strangers:   map[int32]wire.UUID{},
		timers:      timers{heartbeat: o.Heartbeat.Milliseconds(), random: o.Rand, sentAt: map[uint64]int64{}},
	}
	v.disk = &disk{
		log:    o.Dir.Log(Topic, TopicID, 0, engine.Config{SegmentBytes: segmentBytes, RetentionMs: -1, RetentionBytes: -1, Durable: true}),
		store:  snapshots{fs: o.FS, folder: folder(o.Path)},
		ballot: ballotFile{fs: o.FS, path: o.Path},
		await:  env.await,
		sent:   v.sendSnapshot,
	}
	for _, id := range o.Voters {
		v.disk.voters = append(v.disk.voters, raftID(id))
	}
	err := v.start(o.Voters)
	if err == nil {
		if id, known := o.Dir.ClusterID(), v.image.ClusterID(); id != "" && known != "" && known != id {
			err = fmt.Errorf("it belongs to the cluster %s, the directory to %s: one of the two was copied from elsewhere", known, id)
		}
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("metadata log: %w", err), v.disk.ballot.close())
	}
	return v, nil
}

// settle does all there is to do, and with it what is proposed while the first flush has not begun.
func (v *voter) settle() {
	defer v.caught()
	v.takes = 2
	for v.dead == nil {
		if v.ready == nil && v.raft.HasReady() {
			v.accept()
		}
		switch {
		case v.ready != nil:
			if v.persist() {
				v.finish()
			} else if v.dead == nil {
				return
			}
		case v.decide():
		case v.sole && !v.leads && len(v.inbox) > 0:
			v.campaign()
		default:
			if v.now-v.startedAt >= rememberAfter {
				v.remember()
			}
			return
		}
	}
	v.fail(v.dead)
}

// accept takes what Raft wants done. What does not depend on this voter's disk leaves at once: followers write while the leader does.
func (v *voter) accept() {
	rd := v.raft.Ready()
	v.ready = &rd
	if rd.HardState != nil {
		v.term = rd.HardState.GetTerm()
	}
	if rd.SoftState != nil {
		v.changeRole(&rd)
	}
	for _, m := range rd.Messages {
		if v.leads && early(m) {
			v.post(m)
		}
	}
}

// early tells whether a message says nothing about what its sender has on disk.
func early(m *raftpb.Message) bool {
	switch m.GetType() {
	case raftpb.MsgApp, raftpb.MsgHeartbeat, raftpb.MsgSnap:
		return true
	}
	return false
}

// persist makes durable what Raft has handed out, and then sends what depends on it (T1). It reports whether that succeeded: not on a full
// disk, where the next call tries again, and not when the voter has died.
func (v *voter) persist() bool {
	rd := v.ready
	err := v.install(rd)
	for _, e := range rd.Entries {
		if err == nil {
			err = v.disk.append(e.GetIndex(), e.GetTerm(), e.GetData(), v.o.Now())
		}
	}
	if err == nil {
		if n := len(rd.Entries); n > 0 {
			v.disk.known = rd.Entries[n-1].GetIndex()
		}
		v.decide()
		if v.dead != nil {
			return false
		}
		// Who votes alone promises nobody anything: his term is that of his log.
		if h := rd.HardState; h != nil && !v.sole && (h.GetTerm() != v.disk.ballot.ballot.term || h.GetVote() != v.disk.ballot.ballot.vote) {
			err = v.disk.vote(h.GetTerm(), h.GetVote(), h.GetCommit())
		}
	}
	switch {
	case err == nil:
	case errors.Is(err, engine.ErrDiskFull), errors.Is(err, vfs.ErrNoSpace):
		v.refuse(engine.ErrDiskFull)
		return false
	default:
		v.die(fmt.Errorf("append: %w", err))
		return false
	}
	if err := v.disk.flush(); err != nil {
		v.die(fmt.Errorf("flush: %w", err))
		return false
	}
	for _, m := range rd.Messages {
		if !v.leads || !early(m) {
			v.post(m)
		}
	}
	return true
}

// finish applies what is committed, tells Raft that all is done, and answers.
func (v *voter) finish() {
	rd, old := v.ready, v.image
	for _, e := range rd.CommittedEntries {
		if err := v.apply(e); err != nil {
			v.die(fmt.Errorf("entry %d of term %d: %w", e.GetIndex(), e.GetTerm(), err))
			return
		}
	}
	v.ready = nil
	v.raft.Advance(*rd)
	v.publish(old)
	v.answer()
	if !v.leads {
		v.lose()
	}
}

// die stops the voter: an append or a flush has failed, and what of it reached the disk is unknown (the next fdatasync would report
// success), or what it holds cannot be.
func (v *voter) die(err error) {
	if v.dead != nil {
		return
	}
	v.dead = fmt.Errorf("metadata log: %w", err)
	v.o.Fatal(v.dead)
}

// caught turns what Raft says by a panic, that this log cannot be or cannot be read, into the voter's end.
func (v *voter) caught() {
	switch p := recover().(type) {
	case nil:
	case raftPanic:
		v.die(p)
		v.fail(v.dead)
	case *storageError:
		v.die(p)
		v.fail(v.dead)
	default:
		panic(p)
	}
}
