package record

import (
	"encoding/binary"
	"errors"
)

// Marker ends a transaction in a partition. It is the one record of a control batch:
//
//	key   | version int16 0 | type int16: 0 abort, 1 commit |
//	value | version int16 0 | coordinatorEpoch int32 |
type Marker struct {
	Commit           bool // or abort
	ProducerID       int64
	ProducerEpoch    int16
	CoordinatorEpoch int32
	Timestamp        int64
}

// AppendControl appends the control batch of a marker to dst. It returns the longer dst and the batch, a view of its end.
func AppendControl(dst []byte, m Marker) (out []byte, b Batch) {
	var key [4]byte
	var value [6]byte
	if m.Commit {
		key[3] = 1
	}
	binary.BigEndian.PutUint32(value[2:], uint32(m.CoordinatorEpoch))
	var w Builder
	w.Reset(BuildOptions{})
	w.Add(m.Timestamp, key[:], value[:])
	at := len(dst)
	dst = append(dst, make([]byte, HeaderSize)...)
	dst = append(dst, w.records...)
	b = Batch(dst[at:len(dst):len(dst)])
	b.putHeader(header{
		leaderEpoch: NoLeaderEpoch, attributes: attrTransactional | attrControl, baseTimestamp: m.Timestamp, maxTimestamp: m.Timestamp,
		producerID: m.ProducerID, producerEpoch: m.ProducerEpoch, baseSequence: NoSequence, count: 1,
	})
	b.sum()
	return dst, b
}

var errNoMarker = errors.New("record: control batch without a transaction marker")

// ParseControl reads the marker of a control batch. Control batches of other kinds, and newer versions of a marker's key, are
// an error; a newer value is read as far as it is known.
func ParseControl(b Batch) (Marker, error) {
	m := Marker{ProducerID: b.ProducerID(), ProducerEpoch: b.ProducerEpoch()}
	if !b.Control() || b.Count() != 1 {
		return m, errNoMarker
	}
	err := b.Iterate(Limits{}, func(r Record) error {
		if len(r.Key) < 4 || len(r.Value) < 6 || binary.BigEndian.Uint16(r.Key) != 0 || binary.BigEndian.Uint16(r.Key[2:]) > 1 {
			return errNoMarker
		}
		m.Commit = r.Key[3] == 1
		m.CoordinatorEpoch = int32(binary.BigEndian.Uint32(r.Value[2:]))
		m.Timestamp = r.Timestamp
		return nil
	})
	return m, err
}
