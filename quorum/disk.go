package quorum

import (
	"errors"
	"fmt"
	"io"

	"github.com/millrace/millrace/engine"
	"github.com/millrace/millrace/internal/vfs"
	"github.com/millrace/millrace/wire/record"
	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
)

// readStep bounds the bytes of log read at once; a larger batch is read whole.
const readStep = 4 << 20

// disk is what a voter keeps: the metadata log, the snapshots and the ballot. It is Raft's storage, which reads it while Raft decides; what
// changes it is called by the voter alone.
type disk struct {
	log    *engine.Log
	store  snapshots
	ballot ballotFile
	await  func(*engine.Log)                // returns when the log's background work may have ended
	sent   func() (*raftpb.Snapshot, error) // what a voter is sent for whom the log begins too late
	voters []uint64

	first     uint64 // the index below the first entry that can be read
	firstTerm uint64 // and its term
	known     uint64 // the index of the last entry that Raft has handed out: the leader's log may be ahead by what it is about to propose
	hard      *raftpb.HardState
	encoder   encoder
	scratch   []byte
}

// retry calls f until the log needs no more background work for it.
func (d *disk) retry(f func() error) error {
	for {
		err := f()
		if !errors.Is(err, engine.ErrWait) {
			return err
		}
		d.await(d.log)
	}
}

// InitialState is what was promised before this start.
func (d *disk) InitialState() (*raftpb.HardState, *raftpb.ConfState, error) {
	return d.hard, &raftpb.ConfState{Voters: d.voters, AutoLeave: new(false)}, nil
}

// FirstIndex is the index of the first entry.
func (d *disk) FirstIndex() (uint64, error) { return d.first + 1, nil }

// LastIndex is the index of the last entry that Raft knows to be here: that of offset o is o+1.
func (d *disk) LastIndex() (uint64, error) { return d.known, nil }

// last is the index of the last entry in the log.
func (d *disk) last() uint64 { return uint64(d.log.LogEnd()) }

// flushed is the index of the last entry that a power cut leaves.
func (d *disk) flushed() uint64 { return uint64(d.log.FlushedTo()) }

// Term is the term of an entry, or of the one below the first.
func (d *disk) Term(index uint64) (uint64, error) {
	switch {
	case index < d.first:
		return 0, raft.ErrCompacted
	case index == d.first:
		return d.firstTerm, nil
	case index > d.known:
		return 0, raft.ErrUnavailable
	}
	return d.termAt(int64(index) - 1)
}

// termAt is the term of the batch at an offset.
func (d *disk) termAt(offset int64) (uint64, error) {
	var epoch int32
	err := d.retry(func() (err error) {
		epoch, err = d.log.EpochAt(offset)
		return err
	})
	if err == nil && epoch < 0 {
		err = errors.New("its term is unknown")
	}
	if err != nil {
		return 0, &storageError{fmt.Errorf("offset %d: %w", offset, err)}
	}
	return uint64(epoch), nil
}

// Entries returns those from low to below high, at least one, and no more than about most bytes of them.
func (d *disk) Entries(low, high, most uint64) ([]*raftpb.Entry, error) {
	switch {
	case low <= d.first:
		return nil, raft.ErrCompacted
	case high > d.known+1:
		return nil, raft.ErrUnavailable
	}
	var entries []*raftpb.Entry
	var size uint64
	for next := low; next < high && (size < most || len(entries) == 0); {
		p, err := d.read(int64(next)-1, int64(high)-1, int(min(most-size, readStep)))
		if err != nil {
			return nil, &storageError{err}
		}
		for len(p) > 0 {
			var b record.Batch
			if b, p, err = nextBatch(p, int64(next)-1); err != nil {
				return nil, &storageError{err}
			}
			e, err := entryOf(b)
			if err != nil {
				return nil, &storageError{fmt.Errorf("offset %d: %w", b.BaseOffset(), err)}
			}
			if size += uint64(len(b)); size > most && len(entries) > 0 {
				return entries, nil
			}
			entries = append(entries, e)
			next++
		}
	}
	return entries, nil
}

// Snapshot is what a voter is sent for whom the log begins too late.
func (d *disk) Snapshot() (*raftpb.Snapshot, error) { return d.sent() }

// read returns whole batches from offset on, in bytes that are the caller's.
func (d *disk) read(offset, bound int64, most int) ([]byte, error) {
	var slice vfs.Slice
	err := d.retry(func() (err error) {
		slice, err = d.log.Read(offset, bound, most, true, true)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read at offset %d: %w", offset, err)
	}
	defer slice.Release()
	if slice.Length == 0 {
		return nil, fmt.Errorf("nothing is left to read at offset %d, but the log ends at %d", offset, d.log.LogEnd())
	}
	p := make([]byte, slice.Length)
	if _, err := slice.ReadAt(p, 0); err != nil && err != io.EOF {
		return nil, fmt.Errorf("read at offset %d: %w", offset, err)
	}
	if p = wholeBatches(p); len(p) == 0 {
		return nil, fmt.Errorf("the batch at offset %d is not whole", offset)
	}
	return p, nil
}

// wholeBatches leaves away a last batch that was cut short by the bound of a read.
func wholeBatches(p []byte) []byte {
	rest := p
	for len(rest) > 0 {
		_, next, err := record.Next(rest)
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return p[:len(p)-len(rest)]
		}
		if err != nil {
			return p // whoever looks closer says what is wrong
		}
		rest = next
	}
	return p
}

// nextBatch splits the first batch off p, which holds offset.
func nextBatch(p []byte, offset int64) (b record.Batch, rest []byte, err error) {
	if b, rest, err = record.Next(p); err != nil {
		return nil, nil, fmt.Errorf("batch at offset %d: %w", offset, err)
	}
	if err := b.CheckHeader(); err != nil {
		return nil, nil, fmt.Errorf("batch at offset %d: %w", b.BaseOffset(), err)
	}
	return b, rest, nil
}

// append appends an entry, unless it is there: the leader appends what it proposes. An entry of another term in its place goes, with all
// that follow it. Nothing is durable before flush. Of its errors engine.ErrDiskFull leaves everything as it was.
func (d *disk) append(index, term uint64, data []byte, now int64) (err error) {
	offset := int64(index) - 1
	if len(data) == 0 {
		if data, err = d.encoder.term(); err != nil {
			return err
		}
	}
	d.scratch = append(d.scratch[:0], data...) // Raft goes on to hold data, and nobody may write into it
	b := record.Batch(d.scratch)
	b.Stamp(offset, int32(term))
	if len(d.scratch) > keptBytes {
		d.scratch = nil
	}
	return d.retry(func() error {
		// Each time anew: a truncation that a full disk has stopped leaves a log that is looked at again, and may end elsewhere.
		if err := d.log.Ready(); err != nil {
			return err
		}
		if offset < d.log.LogEnd() {
			if there, err := d.termAt(offset); err != nil || there == term {
				return err
			}
			if err := d.log.TruncateTo(offset); err != nil {
				return err
			}
		}
		return d.log.AppendFollower(b, now)
	})
}

// flush makes durable what was appended. It costs nothing when that is so already.
func (d *disk) flush() error {
	end := d.log.LogEnd()
	if d.log.FlushedTo() >= end {
		return nil
	}
	flushed, err := d.log.Flush()
	if err == nil && flushed < end {
		err = fmt.Errorf("flushed to %d only, the log ends at %d", flushed, end)
	}
	return err
}

// vote makes durable what Raft has promised. The commit index is a hint for the next start, and never one that a power cut could make a lie.
func (d *disk) vote(term, vote, commit uint64) error {
	b := d.ballot.ballot
	b.term, b.vote, b.commit = term, vote, max(b.commit, min(commit, d.flushed()))
	return d.ballot.save(b)
}

// cut gives back the log below a snapshot.
func (d *disk) cut(oldest snapshotName, now int64) error {
	if oldest.next <= d.log.LogStart() {
		return nil
	}
	if err := d.retry(func() error { return d.log.DeleteBefore(oldest.next) }); err != nil {
		return err
	}
	if next := uint64(oldest.next); next > d.first {
		d.first, d.firstTerm = next, oldest.term
	}
	_, err := d.log.Retain(now, int64(d.last()))
	return err
}

// install puts a snapshot of the leader's in the place of all that is here. The snapshot is durable before anything goes.
func (d *disk) install(s snapshot) (size int64, err error) {
	if err = d.store.makeFolder(); err != nil { // nothing may have been appended yet
		return 0, err
	}
	if size, _, err = d.store.write(s); err != nil {
		return 0, err
	}
	if err := d.log.ResetTo(s.next); err != nil {
		return 0, err
	}
	d.first, d.firstTerm, d.known = uint64(s.next), s.term, uint64(s.next)
	return size, nil
}

// writeSnapshot writes one of this voter's own, beside all that goes on: an image is immutable.
func (d *disk) writeSnapshot(s snapshot) (r snapshotResult) {
	r.size, r.oldest, r.err = d.store.write(s)
	return r
}
