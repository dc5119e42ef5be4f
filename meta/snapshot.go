package meta

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"slices"
)

// A snapshot is an image as the records that make it from nothing:
//
//	| magic 8 | index 8 | records 4 | length, record ... | CRC-32C 4 |
//
// The index is that of the image; lengths are unsigned varints; the CRC covers all that lies before it. Fixed-size
// numbers are big-endian. Equal images have equal snapshots.
const snapshotMagic = "MRMETA\x00\x01" // the last byte is the version

const (
	snapshotHeader = 8 + 8 + 4
	snapshotFooter = 4
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var (
	errSnapshotMagic = errors.New("meta: not a snapshot of a metadata image, or of a later version")
	errSnapshotCRC   = errors.New("meta: the snapshot's checksum does not match its bytes")
)

// AppendSnapshot appends the image's snapshot to dst.
func (im *Image) AppendSnapshot(dst []byte) []byte {
	start := len(dst)
	dst = append(dst, snapshotMagic...)
	dst = binary.BigEndian.AppendUint64(dst, uint64(im.index))
	dst = append(dst, 0, 0, 0, 0)
	var records uint32
	var scratch []byte
	im.eachRecord(func(r Record) {
		scratch = AppendRecord(scratch[:0], r)
		dst = binary.AppendUvarint(dst, uint64(len(scratch)))
		dst = append(dst, scratch...)
		records++
	})
	binary.BigEndian.PutUint32(dst[start+16:], records)
	return binary.BigEndian.AppendUint32(dst, crc32.Checksum(dst[start:], castagnoli))
}

// eachRecord calls f with records that make the image from nothing, in one order for equal images.
func (im *Image) eachRecord(f func(Record)) {
	if im.clusterID != "" {
		f(ClusterRecord{im.clusterID})
	}
	im.features.each(func(name string, level int16) bool {
		f(FeatureLevelRecord{name, level})
		return true
	})
	im.EachBroker(func(b *Broker) bool {
		f(BrokerRegistrationRecord{*b})
		return true
	})
	if im.nextProducerID > 0 {
		f(ProducerIDsRecord{Broker: -1, BrokerEpoch: -1, Next: im.nextProducerID})
	}
	im.settings.each(func(r Resource, m map[string]string) bool {
		eachSetting(r, m, f)
		return true
	})
	im.EachTopic(func(t *Topic) bool {
		f(TopicRecord{t.Name, t.ID})
		eachSetting(Resource{TopicResource, t.Name}, t.Config, f)
		for i := range t.Partitions {
			f(PartitionRecord{t.ID, int32(i), t.Partitions[i]})
		}
		return true
	})
}

func eachSetting(r Resource, m map[string]string, f func(Record)) {
	for _, name := range slices.Sorted(maps.Keys(m)) {
		f(ConfigRecord{Resource: r, Name: name, Value: m[name]})
	}
}

// DecodeSnapshot reads a snapshot, which is all of b.
func DecodeSnapshot(b []byte) (*Image, error) {
	if len(b) < snapshotHeader+snapshotFooter || !bytes.HasPrefix(b, []byte(snapshotMagic)) {
		return nil, errSnapshotMagic
	}
	body, footer := b[:len(b)-snapshotFooter], b[len(b)-snapshotFooter:]
	if crc32.Checksum(body, castagnoli) != binary.BigEndian.Uint32(footer) {
		return nil, errSnapshotCRC
	}
	index := int64(binary.BigEndian.Uint64(body[8:]))
	if index < -1 {
		return nil, fmt.Errorf("meta: a snapshot at offset %d", index)
	}
	count := binary.BigEndian.Uint32(body[16:])
	d := decoder{b: body[snapshotHeader:]}
	if uint64(count) > uint64(len(d.b)) {
		return nil, errShort
	}
	records := make([]Record, 0, min(count, maxPreallocated))
	for range count {
		p := d.take(d.length(1))
		if d.err != nil {
			return nil, d.err
		}
		r, err := DecodeRecord(p)
		if err != nil {
			return nil, err
		}
		records = append(records, r)
	}
	if len(d.b) > 0 {
		return nil, fmt.Errorf("meta: %d bytes are left behind the records of a snapshot", len(d.b))
	}
	e := edit{Image: *Empty()}
	for i, r := range records {
		if err := e.apply(r, index, records[i+1:]); err != nil {
			return nil, fmt.Errorf("meta: snapshot: %w", err)
		}
	}
	e.Image.index = index
	return &e.Image, nil
}

// maxPreallocated is how many records a snapshot's header may make room for before any of them has been seen.
const maxPreallocated = 64 << 10

// Hash tells images apart: replicas that have applied the same records have the same hash.
func (im *Image) Hash() uint64 {
	sum := sha256.Sum256(im.AppendSnapshot(nil))
	return binary.BigEndian.Uint64(sum[:])
}
