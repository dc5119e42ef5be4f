package meta

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/millrace/millrace/wire"
)

// A record is
//
//	| kind 1 byte | version 1 byte | fields |
//
// and its fields follow one another in the order of the struct. Numbers are zigzag varints; strings are a length, an
// unsigned varint, and bytes; lists are a count and items, where the count is one more than it says and 0 is nil; flags are a byte.
// A decoder takes what its version knows, all of it and nothing more: a record of a later version is an error, never a guess.
type kind byte

const (
	kindTopic              kind = 1
	kindPartition          kind = 2
	kindPartitionChange    kind = 3
	kindRemoveTopic        kind = 4
	kindConfig             kind = 5
	kindBrokerRegistration kind = 6
	kindBrokerFence        kind = 7
	kindProducerIDs        kind = 8
	kindFeatureLevel       kind = 9
	kindCluster            kind = 10
	kindTailLost           kind = 11
)

// recordVersion is the version of every kind so far.
const recordVersion = 0

func (TopicRecord) kind() kind              { return kindTopic }
func (PartitionRecord) kind() kind          { return kindPartition }
func (PartitionChangeRecord) kind() kind    { return kindPartitionChange }
func (RemoveTopicRecord) kind() kind        { return kindRemoveTopic }
func (ConfigRecord) kind() kind             { return kindConfig }
func (BrokerRegistrationRecord) kind() kind { return kindBrokerRegistration }
func (BrokerFenceRecord) kind() kind        { return kindBrokerFence }
func (ProducerIDsRecord) kind() kind        { return kindProducerIDs }
func (FeatureLevelRecord) kind() kind       { return kindFeatureLevel }
func (ClusterRecord) kind() kind            { return kindCluster }
func (TailLostRecord) kind() kind           { return kindTailLost }

// AppendRecord appends the record's bytes to dst.
func AppendRecord(dst []byte, r Record) []byte {
	dst = append(dst, byte(r.kind()), recordVersion)
	switch r := r.(type) {
	case TopicRecord:
		dst = appendString(dst, r.Name)
		dst = append(dst, r.ID[:]...)
	case PartitionRecord:
		p := &r.Partition
		dst = append(dst, r.TopicID[:]...)
		dst = binary.AppendVarint(dst, int64(r.Number))
		dst = appendIDs(dst, p.Replicas)
		dst = appendIDs(dst, p.ISR)
		dst = appendIDs(dst, p.ELR)
		dst = appendIDs(dst, p.LastKnownELR)
		dst = binary.AppendVarint(dst, int64(p.Leader))
		dst = binary.AppendVarint(dst, int64(p.LeaderEpoch))
		dst = binary.AppendVarint(dst, int64(p.PartitionEpoch))
	case PartitionChangeRecord:
		dst = append(dst, r.TopicID[:]...)
		dst = binary.AppendVarint(dst, int64(r.Number))
		dst = binary.AppendVarint(dst, int64(r.Leader))
		dst = appendIDs(dst, r.Replicas)
		dst = appendIDs(dst, r.ISR)
		dst = appendIDs(dst, r.ELR)
		dst = appendIDs(dst, r.LastKnownELR)
	case RemoveTopicRecord:
		dst = append(dst, r.ID[:]...)
	case ConfigRecord:
		dst = append(dst, byte(r.Resource.Type))
		dst = appendString(dst, r.Resource.Name)
		dst = appendString(dst, r.Name)
		dst = appendString(dst, r.Value)
		dst = appendFlag(dst, r.Remove)
	case BrokerRegistrationRecord:
		b := &r.Broker
		dst = binary.AppendVarint(dst, int64(b.ID))
		dst = binary.AppendVarint(dst, b.Epoch)
		dst = append(dst, b.Incarnation[:]...)
		dst = binary.AppendUvarint(dst, uint64(len(b.Endpoints)))
		for _, e := range b.Endpoints {
			dst = appendString(dst, e.Name)
			dst = appendString(dst, e.Host)
			dst = binary.AppendVarint(dst, int64(e.Port))
			dst = binary.AppendVarint(dst, int64(e.Protocol))
		}
		dst = appendString(dst, b.Rack)
		dst = appendFlag(dst, b.Fenced)
	case BrokerFenceRecord:
		dst = binary.AppendVarint(dst, int64(r.ID))
		dst = binary.AppendVarint(dst, r.Epoch)
		dst = appendFlag(dst, r.Fenced)
	case ProducerIDsRecord:
		dst = binary.AppendVarint(dst, int64(r.Broker))
		dst = binary.AppendVarint(dst, r.BrokerEpoch)
		dst = binary.AppendVarint(dst, r.Next)
	case FeatureLevelRecord:
		dst = appendString(dst, r.Name)
		dst = binary.AppendVarint(dst, int64(r.Level))
	case ClusterRecord:
		dst = appendString(dst, r.ID)
	case TailLostRecord:
		dst = binary.AppendVarint(dst, int64(r.Broker))
	default:
		panic(fmt.Sprintf("meta: %T has no encoding", r))
	}
	return dst
}

func appendString(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

func appendFlag(dst []byte, on bool) []byte {
	if on {
		return append(dst, 1)
	}
	return append(dst, 0)
}

func appendIDs(dst []byte, ids []int32) []byte {
	if ids == nil {
		return append(dst, 0)
	}
	dst = binary.AppendUvarint(dst, uint64(len(ids))+1)
	for _, id := range ids {
		dst = binary.AppendVarint(dst, int64(id))
	}
	return dst
}

// DecodeRecord reads one record, which is all of b. Nothing of the record is a view of b.
func DecodeRecord(b []byte) (Record, error) {
	if len(b) < 2 {
		return nil, errShort
	}
	if b[1] != recordVersion {
		return nil, fmt.Errorf("meta: a record of kind %d has version %d; this build knows %d", b[0], b[1], recordVersion)
	}
	d := &decoder{b: b[2:]}
	r, err := d.record(kind(b[0]))
	if err != nil {
		return nil, err
	}
	if d.err == nil && len(d.b) > 0 {
		d.err = fmt.Errorf("meta: %d bytes are left behind a record of kind %d", len(d.b), b[0])
	}
	if d.err != nil {
		return nil, d.err
	}
	return r, nil
}

func (d *decoder) record(k kind) (Record, error) {
	switch k {
	case kindTopic:
		return TopicRecord{Name: d.string(), ID: d.uuid()}, nil
	case kindPartition:
		return PartitionRecord{TopicID: d.uuid(), Number: d.int32(), Partition: Partition{
			Replicas: d.ids(), ISR: d.ids(), ELR: d.ids(), LastKnownELR: d.ids(),
			Leader: d.int32(), LeaderEpoch: d.int32(), PartitionEpoch: d.int32()}}, nil
	case kindPartitionChange:
		return PartitionChangeRecord{TopicID: d.uuid(), Number: d.int32(), Leader: d.int32(),
			Replicas: d.ids(), ISR: d.ids(), ELR: d.ids(), LastKnownELR: d.ids()}, nil
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

func (d *decoder) ids() []int32 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.fail(errShort)
		return nil
	}
	d.b = d.b[n:]
	if v == 0 {
		return nil
	}
	if v-1 > uint64(len(d.b)) {
		d.fail(errShort)
		return nil
	}
	ids := make([]int32, v-1)
	for i := range ids {
		ids[i] = d.int32()
	}
	return ids
}
