package quorum

import (
	"errors"
	"fmt"
	"slices"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
)

// errLost is told of a directory that has lost its log. A voter that went on with an empty one would break what it has promised, and so
// could undo what was committed (T5).
var errLost = errors.New("the metadata log of this node is lost")

// start brings the voter to where it was: the ballot, the newest good snapshot, and the log behind it, as far as that is known to be
// committed. On a sole voter that is all of it.
func (v *voter) start(voters []int32) error {
	d := v.disk
	if err := d.ballot.open(); err != nil {
		return err
	}
	if err := v.identify(voters); err != nil {
		return err
	}
	if err := d.retry(d.log.Ready); err != nil {
		return err
	}
	newest, size, damage, err := d.store.load()
	if err != nil {
		return err
	}
	for _, err := range damage {
		v.o.Log.Warn("a snapshot of the metadata is damaged; an older one and the log replace it", "err", err)
	}
	if err := v.join(newest, damage); err != nil {
		return err
	}
	v.image, v.applied, v.snapshotBytes = newest.image, uint64(newest.next), size
	if d.log.FlushedTo() < d.log.LogEnd() {
		// What is replayed is acted upon: it must not be lost in the next crash.
		if _, err := d.log.Flush(); err != nil {
			return err
		}
	}
	old, err := v.findFirst(newest)
	if err != nil {
		return err
	}
	committed := min(max(d.ballot.ballot.commit, uint64(newest.next), old), d.last())
	if v.sole {
		committed = d.last()
	}
	if err := v.replay(committed); err != nil {
		return err
	}
	return v.startRaft(committed)
}

// identify compares whom the ballot was made by and for with who we are.
func (v *voter) identify(voters []int32) error {
	b := &v.disk.ballot
	if !b.known {
		for _, id := range voters {
			b.ballot.voters = append(b.ballot.voters, voterID{id: id})
		}
		b.ballot = b.ballot.withDirectory(v.o.NodeID, v.o.Dir.ID())
		return nil
	}
	if ids := b.ballot.ids(); !slices.Equal(ids, voters) {
		return fmt.Errorf("the voters are %v, the configuration says %v: a file of properties cannot change them, since those that are not asked would go on without", ids, voters)
	}
	if id, _ := b.ballot.directory(v.o.NodeID); id != v.o.Dir.ID() {
		return fmt.Errorf("%s belongs to the directory with the id %s, this is %s: one of the two was copied from elsewhere", ballotName, id, v.o.Dir.ID())
	}
	return nil
}

// join sees to it that the log continues the snapshot.
func (v *voter) join(newest snapshot, damage []error) error {
	d := v.disk
	begin, end, next := d.log.LogStart(), d.log.LogEnd(), newest.next
	if begin > next {
		err := fmt.Errorf("the snapshot ends at offset %d, but the log has offsets %d to %d", next, begin, end)
		if next == 0 {
			err = fmt.Errorf("the log begins at offset %d and there is no snapshot of what came before", begin)
		}
		return errors.Join(append([]error{err}, damage...)...)
	}
	if known := d.ballot.ballot.commit; known > uint64(max(end, next)) {
		return fmt.Errorf("%w: it ends at offset %d, and all below offset %d was committed. Put the folder %s back; without it this node must not vote, "+
			"and what only it knew is gone. To begin anew, start in an empty directory", errLost, max(end, next), known, d.store.folder)
	}
	switch {
	case end >= next:
		return nil
	case v.sole:
		return errors.Join(append([]error{fmt.Errorf("the snapshot ends at offset %d, but the log has offsets %d to %d", next, begin, end)}, damage...)...)
	}
	return d.log.ResetTo(next) // it came from the leader, and a crash was faster than the log
}

// startRaft starts Raft on what is there.
func (v *voter) startRaft(committed uint64) error {
	d := v.disk
	d.known = d.last()
	lastTerm, err := d.Term(d.known)
	if err != nil {
		return err
	}
	b := d.ballot.ballot
	switch {
	case v.sole:
		// Nobody else has a say in the term, so this voter is elected into that of its log's end once more: a new one would be one more
		// file that the start waits for.
		b.term, b.vote = max(b.term, max(lastTerm, 1)-1), 0
	case b.term >= lastTerm:
	case !d.ballot.known && d.first == d.last():
		b.term, b.vote = lastTerm, 0 // there was no other voter yet
	default:
		return fmt.Errorf("the log has term %d, but %s knows of none above %d: this voter has lost what it promised", lastTerm, ballotName, b.term)
	}
	v.term = b.term
	d.hard = &raftpb.HardState{Term: new(b.term), Vote: new(b.vote), Commit: new(committed)}
	v.raft, err = raft.NewRawNode(&raft.Config{
		ID:                        v.id,
		ElectionTick:              electionBeats,
		HeartbeatTick:             1,
		Storage:                   d,
		Applied:                   committed,
		MaxSizePerMsg:             1 << 20,
		MaxCommittedSizePerReady:  maxGroupBytes,
		MaxUncommittedEntriesSize: raftMaxUncommitted,
		MaxInflightMsgs:           256,
		MaxInflightBytes:          2 * maxProposalBytes,
		CheckQuorum:               true,
		PreVote:                   true,
		ReadOnlyOption:            raft.ReadOnlySafe, // never by lease: clocks lie (T2)
		DisableProposalForwarding: true,              // a decision is made where its image is
		Logger:                    raftLogger{v.o.Log},
	})
	if err != nil {
		return err
	}
	v.contact()
	v.status.set(v)
	return nil
}
