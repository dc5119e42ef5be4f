package quorum

import (
	"errors"
	"fmt"

	"github.com/millrace/millrace/engine"
	"github.com/millrace/millrace/meta"
	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
)

// Bounds of one proposal, of one group, and of what a leader has under way that is not committed: a batch must fit into a segment, and an
// answer must not wait for ever longer groups.
const (
	maxProposalBytes   = 16 << 20
	maxGroupBytes      = 8 << 20
	maxUncommitted     = 16 << 20
	raftMaxUncommitted = 4 * maxUncommitted // never reached: what Raft refused would have been appended already
)

// proposal is a decision to be made.
type proposal struct {
	decide func(im *meta.Image, now int64) ([]meta.Record, error)
	done   func(im *meta.Image, err error)
}

// NotLeaderError is what a proposal is told where no decisions are made.
type NotLeaderError struct {
	Leader int32 // the voter that makes them, as far as this one knows; NoLeader
}

// NoLeader stands for a leader that is not known.
const NoLeader int32 = -1

func (e *NotLeaderError) Error() string {
	if e.Leader == NoLeader {
		return "quorum: no voter leads the metadata quorum that this one knows of"
	}
	return fmt.Sprintf("quorum: node %d leads the metadata quorum, not this one", e.Leader)
}

// ErrLeadershipLost is what a proposal is told whose fate nobody here can tell: it was in the log, and another leader decides what becomes
// of that.
var ErrLeadershipLost = errors.New("quorum: the metadata leader changed before the decision was committed; it may or may not stand")

// role is what a voter is in its term, and what a leader has under way.
type role struct {
	term      uint64
	leads     bool
	leader    uint64 // 0: not known
	termStart uint64 // of a leader: the index of the entry it began with
	last      uint64 // and of its last entry

	inbox       []proposal  // not decided yet
	takes       int         // how often settle may still ask for more: messages, time and snapshots have their turn, too
	tail        *meta.Image // what the whole log makes, committed or not; nil until all before this term is applied
	decided     []decision  // in the log, not applied
	waiting     []waiting   // proposals in their order, for what they have seen to be applied
	uncommitted int         // bytes of the decided
	hashDue     bool
}

// decision is an entry of this leader's own.
type decision struct {
	index, term uint64
	image       *meta.Image // with it
	records     int
	bytes       int
	began       int64 // clock, of the first one of a group; 0 otherwise
}

// waiting is a proposal that has been decided, one way or another, on what the log up to index makes.
type waiting struct {
	index uint64
	done  func(im *meta.Image, err error)
	err   error
}

// changeRole takes note that Raft has changed this voter's role or its leader.
func (v *voter) changeRole(rd *raft.Ready) {
	led := v.leads
	v.leads, v.leader = rd.RaftState == raft.StateLeader, rd.Lead
	if v.leads && !led {
		// Raft has appended the entry that begins the term, and nothing since: only decide appends.
		v.last = rd.Entries[len(rd.Entries)-1].GetIndex()
		v.termStart, v.tail = v.last, nil
		v.ticked = v.now
	}
	if v.sole {
		return
	}
	v.o.Log.Info("metadata quorum", "leader", nodeID(v.leader), "term", v.term, "leads", v.leads)
}

// decide makes the decisions that have queued, one after the other, each on the image that the one before has made, and appends them to the
// log; nothing of it is durable yet. It reports whether there was anything that could be done.
func (v *voter) decide() bool {
	if v.takes > 0 {
		v.takes--
		v.inbox = append(v.inbox, v.take()...)
	}
	switch {
	case !v.leads && !v.sole && len(v.inbox) > 0:
		v.refuse(&NotLeaderError{nodeID(v.leader)})
		return true
	case !v.leads || v.applied+1 < v.termStart || len(v.inbox) == 0 && !v.hashDue:
		return false // or what came before this term is not applied yet
	}
	if v.tail == nil {
		v.tail = v.image
	}
	now, began, bytes := v.o.Now(), v.clock(), v.uncommitted
	n, stated := 0, v.hashDue
	if stated {
		v.stateHash(now)
	}
	for v.dead == nil && n < len(v.inbox) && v.uncommitted-bytes < maxGroupBytes && v.uncommitted < maxUncommitted {
		p := v.inbox[n]
		n++
		records, err := p.decide(v.tail, now)
		if err == nil && len(records) > 0 {
			if err = v.append(records, now, began); err == nil {
				began = 0
			}
		}
		v.waiting = append(v.waiting, waiting{v.last, p.done, err})
	}
	v.inbox = append(v.inbox[:0:0], v.inbox[n:]...)
	v.answer() // those that have changed nothing
	return n > 0 || stated
}

// append applies the records to the tail and appends them as one entry. When it fails nothing has changed: the records were refused, the
// disk is full, or the voter is dead.
func (v *voter) append(records []meta.Record, now, began int64) error {
	next, err := v.tail.Apply(records, v.tail.Index()+1)
	if err != nil {
		return err
	}
	data, err := v.disk.encoder.decision(records, now)
	if err != nil {
		return err
	}
	if err := v.propose(data, now); err != nil {
		return err
	}
	v.tail = next
	v.uncommitted += len(data)
	v.decided = append(v.decided, decision{v.last, v.term, next, len(records), len(data), began})
	return nil
}

// propose appends an entry to the log and then to Raft's: a full disk has its say before anything is promised.
func (v *voter) propose(data []byte, now int64) error {
	err := v.disk.append(v.last+1, v.term, data, now)
	if errors.Is(err, engine.ErrDiskFull) {
		return err
	}
	if err != nil {
		v.die(fmt.Errorf("append: %w", err))
		return v.dead
	}
	if err := v.raft.Propose(data); err != nil {
		v.die(fmt.Errorf("entry %d was appended, and then: %w", v.last+1, err))
		return v.dead
	}
	v.last++
	return nil
}

// stateHash appends the hash of the marked image. On a full disk nobody misses it.
func (v *voter) stateHash(now int64) {
	v.hashDue = false
	data, err := v.disk.encoder.hash(int64(v.mark.index), v.mark.image.Hash(), now)
	if err == nil {
		err = v.propose(data, now)
	}
	if err != nil && !errors.Is(err, engine.ErrDiskFull) {
		v.die(err)
	}
}

// ours returns the decision that a committed entry is, if it was made here: its image need not be made again. Another entry in the place of
// ours ends all that we had under way.
func (v *voter) ours(e *raftpb.Entry) (d decision, ok bool) {
	if len(v.decided) == 0 || v.decided[0].index != e.GetIndex() {
		return d, false
	}
	if d = v.decided[0]; d.term != e.GetTerm() {
		v.lose()
		return d, false
	}
	v.decided = v.decided[1:]
	v.uncommitted -= d.bytes
	if d.began != 0 {
		v.took.Observe(v.clock() - d.began)
	}
	return d, true
}

// answer answers the proposals whose turn has come, in their order.
func (v *voter) answer() {
	n := 0
	for n < len(v.waiting) && v.waiting[n].index <= v.applied {
		n++
	}
	turn := v.waiting[:n:n]
	if v.waiting = v.waiting[n:]; len(v.waiting) == 0 {
		v.waiting = nil
	}
	for _, w := range turn {
		err := w.err
		if err == nil {
			err = v.dead
		}
		w.done(v.image, err)
	}
}

// lose answers all that this voter had under way as leader, when it is none any more.
func (v *voter) lose() {
	list := v.waiting
	v.decided, v.waiting, v.tail, v.uncommitted, v.hashDue = nil, nil, nil, 0, false
	for _, w := range list {
		w.done(v.image, ErrLeadershipLost)
	}
}

// refuse answers what has not been decided yet.
func (v *voter) refuse(err error) {
	list := append(v.inbox, v.take()...)
	v.inbox = nil
	for _, p := range list {
		p.done(v.image, err)
	}
}

// fail answers everything, for good.
func (v *voter) fail(err error) {
	list := v.waiting
	v.waiting = nil
	for _, w := range list {
		if w.err == nil {
			w.err = err // what was appended may not be there after a restart
		}
		w.done(v.image, w.err)
	}
	v.refuse(err)
}

// nodeID is the id of the node that Raft knows by another: Raft's ids begin at 1.
func nodeID(id uint64) int32 { return int32(int64(id) - 1) }

func raftID(node int32) uint64 { return uint64(node) + 1 }
