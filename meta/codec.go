package meta

import (
	"encoding/binary"
	"fmt"

	"github.com/millrace/millrace/wire"
)

// A record is
//
//	| kind 1 byte | version 1 byte | fields |
//
// and its fields follow one another in the order of the struct. Numbers are zigzag varints; strings are a length, an
// unsigned varint, and bytes; lists are a count and items, where the count is one more than it says and 0 is nil; flags are a byte.
// A decoder takes what the record's version knows, all of it and nothing more: a record of a later version is an error, never a guess. Version 1
// adds fields behind those of version 0.
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
	kindBrokerShutdown     kind = 12
	kindUnregisterBroker   kind = 13
)

// newest is the latest version of a kind that this build knows.
func (k kind) newest() byte {
	switch k {
	case kindPartition, kindPartitionChange, kindBrokerRegistration:
		return 1
	}
	return 0
}

// versionOf is the oldest version that can say what the record says, so that the log of a broker that is alone stays readable by builds that know
// no cluster.
func versionOf(r Record) byte {
	newer := false
	switch r := r.(type) {
	case PartitionRecord:
		p := &r.Partition
		newer = p.Dirs != nil || p.Reassignment != nil || p.LastUncleanEpoch != 0 || p.Recovering
	case PartitionChangeRecord:
		newer = r.Adding != nil || r.Removing != nil || r.Dirs != nil || r.Unclean || r.Recovered
	case BrokerRegistrationRecord:
		newer = r.Broker.ShutdownOffset != 0 || r.Broker.Directories != nil
	}
	if newer {
		return 1
	}
	return 0
}

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
func (BrokerShutdownRecord) kind() kind     { return kindBrokerShutdown }
func (UnregisterBrokerRecord) kind() kind   { return kindUnregisterBroker }

// AppendRecord appends the record's bytes to dst.
func AppendRecord(dst []byte, r Record) []byte {
	version := versionOf(r)
	dst = append(dst, byte(r.kind()), version)
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
		if version >= 1 {
			var moving Reassignment
			if p.Reassignment != nil {
				moving = *p.Reassignment
			}
			dst = appendIDs(dst, moving.Adding)
			dst = appendIDs(dst, moving.Removing)
			dst = appendUUIDs(dst, p.Dirs)
			dst = binary.AppendVarint(dst, int64(p.LastUncleanEpoch))
			dst = appendFlag(dst, p.Recovering)
		}
	case PartitionChangeRecord:
		dst = append(dst, r.TopicID[:]...)
		dst = binary.AppendVarint(dst, int64(r.Number))
		dst = binary.AppendVarint(dst, int64(r.Leader))
		dst = appendIDs(dst, r.Replicas)
		dst = appendIDs(dst, r.ISR)
		dst = appendIDs(dst, r.ELR)
		dst = appendIDs(dst, r.LastKnownELR)
		if version >= 1 {
			dst = appendIDs(dst, r.Adding)
			dst = appendIDs(dst, r.Removing)
			dst = appendUUIDs(dst, r.Dirs)
			dst = appendFlag(dst, r.Unclean)
			dst = appendFlag(dst, r.Recovered)
		}
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
		if version >= 1 {
			dst = binary.AppendVarint(dst, b.ShutdownOffset)
			dst = appendUUIDs(dst, b.Directories)
		}
	case BrokerFenceRecord:
		dst = binary.AppendVarint(dst, int64(r.ID))
		dst = binary.AppendVarint(dst, r.Epoch)
		dst = appendFlag(dst, r.Fenced)
	case BrokerShutdownRecord:
		dst = binary.AppendVarint(dst, int64(r.ID))
		dst = binary.AppendVarint(dst, r.Epoch)
	case UnregisterBrokerRecord:
		dst = binary.AppendVarint(dst, int64(r.ID))
		dst = binary.AppendVarint(dst, r.Epoch)
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

func appendUUIDs(dst []byte, ids []wire.UUID) []byte {
	if ids == nil {
		return append(dst, 0)
	}
	dst = binary.AppendUvarint(dst, uint64(len(ids))+1)
	for i := range ids {
		dst = append(dst, ids[i][:]...)
	}
	return dst
}
