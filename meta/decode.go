package meta

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/millrace/millrace/wire"
)

// DecodeRecord reads one record, which is all of b. Nothing of the record is a view of b.
func DecodeRecord(b []byte) (Record, error) {
	if len(b) < 2 {
		return nil, errShort
	}
	k, version := kind(b[0]), b[1]
	if version > k.newest() {
		return nil, fmt.Errorf("meta: a record of kind %d has version %d; this build knows %d", k, version, k.newest())
	}
	d := &decoder{b: b[2:]}
	r, err := d.record(k, version)
	if err != nil {
		return nil, err
	}
	if d.err == nil && len(d.b) > 0 {
		d.err = fmt.Errorf("meta: %d bytes are left behind a record of kind %d", len(d.b), k)
	}
	if d.err != nil {
		return nil, d.err
	}
	return r, nil
}

func (d *decoder) record(k kind, version byte) (Record, error) {
	switch k {
	case kindTopic:
		return TopicRecord{Name: d.string(), ID: d.uuid()}, nil
	case kindPartition:
		r := PartitionRecord{TopicID: d.uuid(), Number: d.int32(), Partition: Partition{
			Replicas: d.ids(), ISR: d.ids(), ELR: d.ids(), LastKnownELR: d.ids(),
			Leader: d.int32(), LeaderEpoch: d.int32(), PartitionEpoch: d.int32()}}
		if version >= 1 {
			p := &r.Partition
			p.Reassignment = reassignment(d.ids(), d.ids())
			p.Dirs, p.LastUncleanEpoch, p.Recovering = d.uuids(), d.int32(), d.flag()
		}
		return r, nil
	case kindPartitionChange:
		r := PartitionChangeRecord{TopicID: d.uuid(), Number: d.int32(), Leader: d.int32(),
			Replicas: d.ids(), ISR: d.ids(), ELR: d.ids(), LastKnownELR: d.ids()}
		if version >= 1 {
			r.Adding, r.Removing, r.Dirs, r.Unclean, r.Recovered = d.ids(), d.ids(), d.uuids(), d.flag(), d.flag()
		}
		return r, nil
	case kindRemoveTopic:
		return RemoveTopicRecord{ID: d.uuid()}, nil
	case kindConfig:
		return ConfigRecord{Resource: Resource{Type: ResourceType(d.byte()), Name: d.string()},
			Name: d.string(), Value: d.string(), Remove: d.flag()}, nil
	case kindBrokerRegistration:
		b := Broker{ID: d.int32(), Epoch: d.int64(), Incarnation: d.uuid()}
		for n := d.length(4); n > 0 && d.err == nil; n-- { // at least two empty strings and two numbers each
			b.Endpoints = append(b.Endpoints, Endpoint{Name: d.string(), Host: d.string(), Port: int(d.int32()), Protocol: d.int16()})
		}
		b.Rack, b.Fenced = d.string(), d.flag()
		if version >= 1 {
			b.ShutdownOffset, b.Directories = d.int64(), d.uuids()
		}
		return BrokerRegistrationRecord{b}, nil
	case kindBrokerFence:
		return BrokerFenceRecord{ID: d.int32(), Epoch: d.int64(), Fenced: d.flag()}, nil
	case kindProducerIDs:
		return ProducerIDsRecord{Broker: d.int32(), BrokerEpoch: d.int64(), Next: d.int64()}, nil
	case kindFeatureLevel:
		return FeatureLevelRecord{Name: d.string(), Level: d.int16()}, nil
	case kindCluster:
		return ClusterRecord{ID: d.string()}, nil
	case kindTailLost:
		return TailLostRecord{Broker: d.int32()}, nil
	case kindBrokerShutdown:
		return BrokerShutdownRecord{ID: d.int32(), Epoch: d.int64()}, nil
	case kindUnregisterBroker:
		return UnregisterBrokerRecord{ID: d.int32(), Epoch: d.int64()}, nil
	}
	return nil, fmt.Errorf("meta: this build does not know records of kind %d", k)
}

var (
	errShort = errors.New("meta: the bytes end inside a record")
	errRange = errors.New("meta: a number of a record is out of its range")
)

// decoder reads fields from b and keeps its first error; after one it returns zeros.
type decoder struct {
	b   []byte
	err error
}

func (d *decoder) fail(err error) {
	if d.err == nil {
		d.err = err
	}
	d.b = nil
}

func (d *decoder) take(n int) []byte {
	if n > len(d.b) {
		d.fail(errShort)
		return nil
	}
	p := d.b[:n]
	d.b = d.b[n:]
	return p
}

func (d *decoder) byte() byte {
	if p := d.take(1); p != nil {
		return p[0]
	}
	return 0
}

func (d *decoder) flag() bool {
	b := d.byte()
	if b > 1 {
		d.fail(errRange)
	}
	return b == 1
}

func (d *decoder) uuid() (id wire.UUID) {
	copy(id[:], d.take(len(id)))
	return id
}

func (d *decoder) int64() int64 {
	v, n := binary.Varint(d.b)
	if n <= 0 {
		d.fail(errShort)
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) int32() int32 {
	v := d.int64()
	if v != int64(int32(v)) {
		d.fail(errRange)
		return 0
	}
	return int32(v)
}

func (d *decoder) int16() int16 {
	v := d.int64()
	if v != int64(int16(v)) {
		d.fail(errRange)
		return 0
	}
	return int16(v)
}

// length reads an unsigned number that the bytes left could hold size bytes each of.
func (d *decoder) length(size int) int {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.fail(errShort)
		return 0
	}
	d.b = d.b[n:]
	if v > math.MaxInt32 || int(v)*size > len(d.b) {
		d.fail(errShort)
		return 0
	}
	return int(v)
}

func (d *decoder) string() string { return string(d.take(d.length(1))) }

// count reads the length of a list of items that take at least size bytes each; ok is false when there is no list.
func (d *decoder) count(size int) (n int, ok bool) {
	v, read := binary.Uvarint(d.b)
	if read <= 0 {
		d.fail(errShort)
		return 0, false
	}
	d.b = d.b[read:]
	if v == 0 {
		return 0, false
	}
	if v-1 > uint64(len(d.b)/size) {
		d.fail(errShort)
		return 0, false
	}
	return int(v - 1), true
}

func (d *decoder) ids() []int32 {
	n, ok := d.count(1)
	if !ok {
		return nil
	}
	ids := make([]int32, n)
	for i := range ids {
		ids[i] = d.int32()
	}
	return ids
}

func (d *decoder) uuids() []wire.UUID {
	n, ok := d.count(len(wire.UUID{}))
	if !ok {
		return nil
	}
	ids := make([]wire.UUID, n)
	for i := range ids {
		ids[i] = d.uuid()
	}
	return ids
}
