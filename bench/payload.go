package bench

import (
	"encoding/binary"
	"time"

	"github.com/cespare/xxhash/v2"
)

// MinSize is the smallest value a record may have: what it carries to be verified and timed.
//
//	0        8          12         20    28    36
//	| run id | producer | sequence | due | sum | body      sum = xxhash64(the 28 bytes before it, xxhash64(body), key)
//
// sequence counts the records of a producer in a partition, from 0. due is in nanoseconds since the run's zero. All integers are
// big-endian. The body is hashed by itself, so that a pre-encoded one is hashed once however often it is sent.
const MinSize = 36

const (
	atRunID    = 0
	atProducer = 8
	atSequence = 12
	atDue      = 20
	atSum      = 28
)

// stamp is what a record carries.
type stamp struct {
	run      uint64
	producer int32
	sequence int64
	due      time.Duration
}

// sealer writes stamps. It keeps its scratch; one goroutine uses it.
type sealer struct{ scratch []byte }

func (s *sealer) sum(head []byte, body uint64, key []byte) uint64 {
	p := append(s.scratch[:0], head...)
	p = binary.BigEndian.AppendUint64(p, body)
	p = append(p, key...)
	s.scratch = p
	return xxhash.Sum64(p)
}

// seal writes the first MinSize bytes of value; body is the hash of what follows them.
func (s *sealer) seal(value []byte, st stamp, body uint64, key []byte) {
	binary.BigEndian.PutUint64(value[atRunID:], st.run)
	binary.BigEndian.PutUint32(value[atProducer:], uint32(st.producer))
	binary.BigEndian.PutUint64(value[atSequence:], uint64(st.sequence))
	binary.BigEndian.PutUint64(value[atDue:], uint64(st.due))
	binary.BigEndian.PutUint64(value[atSum:], s.sum(value[:atSum], body, key))
}

// open reads a stamp; ok is false when key or value are not what somebody sealed.
func (s *sealer) open(key, value []byte) (st stamp, ok bool) {
	if len(value) < MinSize {
		return st, false
	}
	st = stamp{
		run:      binary.BigEndian.Uint64(value[atRunID:]),
		producer: int32(binary.BigEndian.Uint32(value[atProducer:])),
		sequence: int64(binary.BigEndian.Uint64(value[atSequence:])),
		due:      time.Duration(binary.BigEndian.Uint64(value[atDue:])),
	}
	return st, binary.BigEndian.Uint64(value[atSum:]) == s.sum(value[:atSum], xxhash.Sum64(value[MinSize:]), key)
}
