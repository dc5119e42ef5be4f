package quorum

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/millrace/millrace/meta"
	"github.com/millrace/millrace/wire/record"
	"go.etcd.io/raft/v3/raftpb"
)

// One Raft entry is one batch of the metadata log, and takes one offset: the entry with index i lies at offset i-1, and its term is the
// batch's leader epoch. So a snapshot's name, which says the first offset it does not have and the term of the one before, says all that Raft
// wants to know. The batch has one record; the record's key is one byte and tells what the value is:
//
//	decision  | length, record of meta | ...     the records of one decision, in order; lengths are unsigned varints
//	term      null                               what a leader begins its term with
//	hash      | index 8 | hash 8 |               of the image whose last record has that index, for everyone to compare; big-endian
//
// Batches without a key are of the time before the cluster: each of their records is one of meta's, with an offset of its own. They lie
// below all others, are replayed, and are none of Raft's entries.
type entryKind byte

const (
	noKey         entryKind = 0
	decisionEntry entryKind = 1
	termEntry     entryKind = 2
	hashEntry     entryKind = 3
)

// ErrTooLarge is what a proposal is told whose records do not fit into one batch.
var ErrTooLarge = fmt.Errorf("quorum: the records of one decision take more than %d bytes", maxProposalBytes)

// encoder makes entries. It keeps its buffers as long as they are small: large decisions are rare.
type encoder struct {
	builder record.Builder
	value   []byte
	scratch []byte
}

// decision returns the batch of a decision. Whoever appends it stamps offset and term into it.
func (e *encoder) decision(records []meta.Record, now int64) ([]byte, error) {
	e.value = e.value[:0]
	size := 0
	for _, r := range records {
		e.scratch = meta.AppendRecord(e.scratch[:0], r)
		if size += len(e.scratch); size > maxProposalBytes {
			*e = encoder{}
			return nil, ErrTooLarge
		}
		e.value = binary.AppendUvarint(e.value, uint64(len(e.scratch)))
		e.value = append(e.value, e.scratch...)
	}
	return e.batch(decisionEntry, e.value, now)
}

// hash returns the batch that states the hash of an image.
func (e *encoder) hash(index int64, hash uint64, now int64) ([]byte, error) {
	e.value = binary.BigEndian.AppendUint64(e.value[:0], uint64(index))
	e.value = binary.BigEndian.AppendUint64(e.value, hash)
	return e.batch(hashEntry, e.value, now)
}

// term returns the batch that stands for Raft's empty entry. It is the same on every voter, so it carries no time.
func (e *encoder) term() ([]byte, error) { return e.batch(termEntry, nil, record.NoTimestamp) }

func (e *encoder) batch(kind entryKind, value []byte, now int64) ([]byte, error) {
	e.builder.Reset(record.BuildOptions{})
	e.builder.Add(now, []byte{byte(kind)}, value)
	_, batch, err := e.builder.Build(nil)
	if len(value) > keptBytes {
		*e = encoder{}
	}
	return batch, err
}

// kindOf tells what a batch is, and its value, a view of it.
func kindOf(b record.Batch) (kind entryKind, value []byte, err error) {
	it := record.NewIterator(b, record.Limits{})
	defer it.Close()
	if !it.Next() {
		return 0, nil, errors.Join(it.Err(), errors.New("a batch without records"))
	}
	r := it.Record()
	if len(r.Key) == 0 {
		return noKey, nil, nil
	}
	kind = entryKind(r.Key[0])
	if len(r.Key) > 1 || kind == noKey || kind > hashEntry {
		return 0, nil, fmt.Errorf("an entry of kind %x, which this version does not know", r.Key)
	}
	if b.Count() != 1 || b.LastOffsetDelta() != 0 {
		return 0, nil, fmt.Errorf("an entry of %d records", b.Count())
	}
	return kind, r.Value, nil
}

// entryOf is the batch as Raft's entry; an entry shares the batch's bytes.
func entryOf(b record.Batch) (*raftpb.Entry, error) {
	kind, _, err := kindOf(b)
	if err != nil {
		return nil, err
	}
	e := &raftpb.Entry{Index: new(uint64(b.BaseOffset()) + 1), Term: new(uint64(b.LeaderEpoch()))}
	switch kind {
	case noKey:
		return nil, errors.New("a batch from before the cluster, which is no entry")
	case termEntry: // Raft's own, without data
	default:
		e.Data = b
	}
	return e, nil
}

// decodeDecision appends the records of a decision to dst.
func decodeDecision(dst []meta.Record, value []byte) ([]meta.Record, error) {
	for len(value) > 0 {
		size, n := binary.Uvarint(value)
		if n <= 0 || size > uint64(len(value)-n) {
			return dst, errors.New("a decision whose lengths are not those of its records")
		}
		r, err := meta.DecodeRecord(value[n : n+int(size)])
		if err != nil {
			return dst, err
		}
		dst, value = append(dst, r), value[n+int(size):]
	}
	return dst, nil
}

// decodeHash reads what hash has written.
func decodeHash(value []byte) (index int64, hash uint64, err error) {
	if len(value) != 16 {
		return 0, 0, fmt.Errorf("a hash of %d bytes", len(value))
	}
	return int64(binary.BigEndian.Uint64(value)), binary.BigEndian.Uint64(value[8:]), nil
}
