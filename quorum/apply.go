package quorum

import (
	"errors"
	"fmt"

	"github.com/millrace/millrace/internal/vfs"
	"github.com/millrace/millrace/meta"
	"github.com/millrace/millrace/wire/record"
	"go.etcd.io/raft/v3/raftpb"
)

// marked is an image at an index that everybody compares.
type marked struct {
	index uint64
	image *meta.Image
}

// hashEvery is after how many entries the leader states the hash of its image.
const hashEvery = 1024

// publish tells everybody of the image, unless it is the one they know.
func (v *voter) publish(old *meta.Image) {
	v.status.set(v)
	if v.image != old {
		v.o.OnImage(old, v.image)
	}
}

// apply applies one committed entry.
func (v *voter) apply(e *raftpb.Entry) error {
	v.applied = e.GetIndex()
	bytes, records := len(e.GetData()), 1
	if d, ok := v.ours(e); ok {
		v.image, records = d.image, d.records
	} else if bytes > 0 {
		kind, value, err := kindOf(record.Batch(e.GetData()))
		if err != nil {
			return err
		}
		switch kind {
		case decisionEntry:
			rs, err := decodeDecision(nil, value)
			if err != nil {
				return err
			}
			if v.image, err = v.image.Apply(rs, v.image.Index()+1); err != nil {
				return err
			}
			records = len(rs)
		case hashEntry:
			if err := v.compare(value); err != nil {
				return err
			}
		default:
			return errors.New("a batch that is no entry")
		}
	}
	v.since.bytes += int64(bytes)
	v.since.records += int64(records)
	if v.applied%hashEvery == 0 && !v.sole {
		v.mark = marked{v.applied, v.image}
		v.hashDue = v.leads
	}
	return nil
}

// compare holds the hash that the leader has stated against the own image. A voter that differs stops: which of the two is right, a human
// must find out (a bug, or memory that forgets).
func (v *voter) compare(value []byte) error {
	index, hash, err := decodeHash(value)
	if err != nil || v.mark.index != uint64(index) {
		return err // the image of that index is gone: this voter started since
	}
	if mine := v.mark.image.Hash(); mine != hash {
		return fmt.Errorf("the image after entry %d has the hash %016x here and %016x on the leader: voters that applied the same log differ", index, mine, hash)
	}
	return nil
}

// rememberAfter is when a voter has time for its notes, in ms: at its start everybody waits for it.
const rememberAfter = 1000

// remember notes on disk, once, that something was committed: who has lost his log shall know that he had one.
func (v *voter) remember() {
	b := v.disk.ballot.ballot
	if v.applied == 0 || v.dead != nil || b.commit > 0 {
		return
	}
	if err := v.disk.vote(b.term, b.vote, v.applied); err != nil && !errors.Is(err, vfs.ErrNoSpace) {
		v.die(fmt.Errorf("ballot: %w", err))
		v.fail(v.dead)
	}
}
