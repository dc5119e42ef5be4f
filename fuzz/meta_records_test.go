package fuzz

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"reflect"
	"testing"

	"github.com/millrace/millrace/meta"
	"github.com/millrace/millrace/wire"
)

// metaSeeds are real records of every kind.
func metaSeeds() []meta.Record {
	id := wire.UUID{1, 2, 3}
	return append(meta.Bootstrap("fuzz"),
		meta.BrokerRegistrationRecord{Broker: meta.Broker{ID: 1, Rack: "a", Endpoints: []meta.Endpoint{{Name: "PLAINTEXT", Host: "h", Port: 9092}}}},
		meta.BrokerFenceRecord{ID: 1, Epoch: 2, Fenced: true},
		meta.TopicRecord{Name: "orders", ID: id},
		meta.ConfigRecord{Resource: meta.Resource{Type: meta.TopicResource, Name: "orders"}, Name: "retention.ms", Value: "1"},
		meta.PartitionRecord{TopicID: id, Partition: meta.Partition{Replicas: []int32{1}, ISR: []int32{1}, Leader: 1}},
		meta.PartitionChangeRecord{TopicID: id, Leader: meta.NoLeader, ISR: []int32{}, ELR: []int32{1}},
		meta.PartitionRecord{TopicID: id, Number: 1, Partition: meta.Partition{Replicas: []int32{1, 2, 3}, ISR: []int32{1}, Leader: 1, LeaderEpoch: 2, LastUncleanEpoch: 2,
			Recovering: true, Dirs: []wire.UUID{{1}, {}, {3}}, Reassignment: &meta.Reassignment{Adding: []int32{3}, Removing: []int32{2}}}},
		meta.PartitionChangeRecord{TopicID: id, Number: 1, Leader: 2, Replicas: []int32{1, 3}, ISR: []int32{3}, Adding: []int32{}, Removing: []int32{},
			Dirs: []wire.UUID{{1}, {3}}, Unclean: true},
		meta.BrokerRegistrationRecord{Broker: meta.Broker{ID: 2, Epoch: 7, Incarnation: id, ShutdownOffset: 6, Directories: []wire.UUID{{2}}}},
		meta.BrokerShutdownRecord{ID: 2, Epoch: 7},
		meta.UnregisterBrokerRecord{ID: 2, Epoch: 7},
		meta.ProducerIDsRecord{Broker: 1, BrokerEpoch: 2, Next: 1000},
		meta.ConfigRecord{Resource: meta.Resource{Type: meta.BrokerResource}, Name: "a", Value: "b"},
		meta.RemoveTopicRecord{ID: id})
}

// FuzzMetaRecord: a record that decodes is the record that its encoding decodes to, and applying it to a cluster panics never and, when refused,
// changes nothing.
func FuzzMetaRecord(f *testing.F) {
	seeds := metaSeeds()
	for _, r := range seeds {
		f.Add(meta.AppendRecord(nil, r))
	}
	base, err := meta.Empty().Apply(seeds[:len(seeds)-1], 0)
	if err != nil {
		f.Fatal(err)
	}
	before := base.String()
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := meta.DecodeRecord(b)
		if err != nil {
			return
		}
		again, err := meta.DecodeRecord(meta.AppendRecord(nil, r))
		if err != nil || !reflect.DeepEqual(r, again) {
			t.Fatalf("%s decodes to %s after encoding: %v", meta.Describe(r), meta.Describe(again), err)
		}
		next, err := base.Apply([]meta.Record{r}, base.Index()+1)
		if base.String() != before {
			t.Fatalf("%s changed the image it was applied to", meta.Describe(r))
		}
		if err == nil {
			reload(t, next)
		}
	})
}

// FuzzMetaSnapshot: what decodes is an image whose own snapshot decodes to the same image. The fuzzer's bytes are sealed with the right checksum,
// or it would never get past it.
func FuzzMetaSnapshot(f *testing.F) {
	seeds := metaSeeds()
	for n := range seeds {
		im, err := meta.Empty().Apply(seeds[:n], 0)
		if err != nil {
			f.Fatal(err)
		}
		b := im.AppendSnapshot(nil)
		f.Add(b[:len(b)-4])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := meta.DecodeSnapshot(b); err == nil && len(b) < 24 {
			t.Fatalf("%d bytes are a snapshot", len(b))
		}
		sealed := binary.BigEndian.AppendUint32(bytes.Clone(b), crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
		if im, err := meta.DecodeSnapshot(sealed); err == nil {
			reload(t, im)
		}
	})
}

func reload(t *testing.T, im *meta.Image) {
	t.Helper()
	b := im.AppendSnapshot(nil)
	back, err := meta.DecodeSnapshot(b)
	if err != nil {
		t.Fatalf("the snapshot of an image does not decode: %v\n%s", err, im)
	}
	if back.String() != im.String() || !bytes.Equal(back.AppendSnapshot(nil), b) {
		t.Fatalf("the snapshot makes another image:\n%s\n%s", im, back)
	}
}
