package quorum

import (
	"fmt"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
)

// snapshot is the image as it stands.
func (v *voter) snapshot() (snapshot, error) {
	term, err := v.disk.Term(v.applied)
	return snapshot{next: int64(v.applied), term: term, image: v.image}, err
}

// sendSnapshot is what a voter gets for whom the log begins too late.
func (v *voter) sendSnapshot() (*raftpb.Snapshot, error) {
	s, err := v.snapshot()
	if err != nil {
		return nil, err
	}
	return &raftpb.Snapshot{Data: s.append(nil), Metadata: &raftpb.SnapshotMetadata{
		ConfState: &raftpb.ConfState{Voters: v.disk.voters, AutoLeave: new(false)}, Index: new(v.applied), Term: new(s.term),
	}}, nil
}

// snapshotDue returns the snapshot to be written when enough has come since the last one. An image much larger than the bounds waits until
// as much log has come, so that the writing never exceeds what it saves. Whoever is asked writes it wherever he likes and tells
// snapshotWritten.
func (v *voter) snapshotDue() (s snapshot, due bool) {
	due = v.since.bytes >= max(v.o.SnapshotBytes, v.snapshotBytes) || v.since.records >= v.o.SnapshotRecords && v.since.bytes >= v.snapshotBytes
	if !due || v.snapshotting || v.dead != nil {
		return s, false
	}
	s, err := v.snapshot()
	if err != nil {
		v.die(err)
		return s, false
	}
	v.since.bytes, v.since.records, v.snapshotting = 0, 0, true
	return s, true
}

// snapshotResult is what has become of one.
type snapshotResult struct {
	size   int64
	oldest snapshotName
	err    error
}

// snapshotWritten cuts the log's beginning, once two snapshots stand for it. One that failed costs nothing but a longer replay.
func (v *voter) snapshotWritten(r snapshotResult) {
	v.snapshotting = false
	if r.err != nil {
		v.o.Log.Error("no snapshot of the metadata could be written; the log is kept instead", "err", r.err)
		return
	}
	v.snapshotBytes = r.size
	if v.dead != nil {
		return
	}
	if err := v.disk.cut(r.oldest, v.o.Now()); err != nil {
		v.o.Log.Error("the beginning of the metadata log could not be deleted", "err", err)
	}
}

// install puts a snapshot from the leader in the place of everything.
func (v *voter) install(rd *raft.Ready) error {
	if raft.IsEmptySnap(rd.Snapshot) {
		return nil
	}
	s, err := decodeSnapshot(rd.Snapshot.GetData())
	if err == nil && (uint64(s.next) != rd.Snapshot.GetMetadata().GetIndex() || s.term != rd.Snapshot.GetMetadata().GetTerm()) {
		err = fmt.Errorf("the leader's snapshot at index %d is that of index %d", rd.Snapshot.GetMetadata().GetIndex(), s.next)
	}
	if err != nil {
		return err
	}
	size, err := v.disk.install(s)
	if err != nil {
		return err
	}
	rd.Snapshot = nil // once is enough
	old := v.image
	v.image, v.applied, v.snapshotBytes = s.image, uint64(s.next), size
	v.since.bytes, v.since.records, v.mark = 0, 0, marked{}
	v.publish(old)
	return nil
}
