package group

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/millrace/millrace/wire"
)

// Records are Kafka's, so that tools which read __consumer_offsets work. The first two bytes of a key are the record type, those of a value
// its version; numbers are big-endian:
//
//	key 0, 1   | type 2 | group: length 2, bytes | topic: length 2, bytes | partition 4 |     a committed offset
//	key 2      | type 2 | group: length 2, bytes |                                            a group
//
// Values of a committed offset:
//
//	0, 2       | version 2 | offset 8 | metadata: length 2, bytes | commit time 8 |
//	1          | version 2 | offset 8 | metadata: length 2, bytes | commit time 8 | expire time 8 |
//	3          | version 2 | offset 8 | leader epoch 4 | metadata: length 2, bytes | commit time 8 |
//	4          | version 2 | offset 8 | leader epoch 4 | metadata: length varint, bytes | commit time 8 | tags: 0 is the topic id 16 |
//
// Values of a group, where a string is a length 2 (-1: null) and bytes, from version 4 on a varint (0: null) of one more than the length:
//
//	0-4        | version 2 | protocol type | generation 4 | protocol | leader | state since 8, 2+ | members: count 4 | member ... | tags, 4+ |
//	member     | id | instance, 3+ | client id | client host | rebalance time-out 4, 1+ | session time-out 4 |
//	           | subscription: length 4, bytes | assignment: length 4, bytes | tags, 4+ |
//
// Like Kafka 4.4, it writes version 4 of offsets (1, where the client chose a retention) and version 3 of groups.
const (
	legacyOffsetKey = 0
	offsetKey       = 1
	groupKey        = 2

	offsetVersion         = 4
	offsetExpiringVersion = 1
	maxOffsetVersion      = 4
	groupVersion          = 3
	maxGroupVersion       = 4
)

// Record is one record for the offsets partition. A nil Value is a tombstone.
type Record struct{ Key, Value []byte }

// recordKey is the key of a record this package knows.
type recordKey struct {
	group     string
	topic     string
	partition int32
	offset    bool // of a committed offset; else of a group
}

// committed is a committed offset.
type committed struct {
	offset      int64
	leaderEpoch int32 // -1: unknown
	metadata    string
	topicID     wire.UUID // zero: unknown
	committedAt int64
	expiresAt   int64 // -1: by the broker's retention
}

// groupValue is the durable part of a group.
type groupValue struct {
	protocolType string
	generation   int32
	protocol     wire.NullString
	leader       wire.NullString
	stateSince   int64 // -1: unknown
	members      []memberValue
}

type memberValue struct {
	id                 string
	instance           wire.NullString
	clientID           string
	clientHost         string
	rebalanceTimeoutMs int32
	sessionTimeoutMs   int32
	subscription       []byte
	assignment         []byte
}

func appendString(dst []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint16(dst, uint16(len(s))), s...)
}

func appendNullString(dst []byte, s wire.NullString) []byte {
	if !s.Valid {
		return append(dst, 0xff, 0xff)
	}
	return appendString(dst, s.Value)
}

func appendBytes(dst, b []byte) []byte {
	return append(binary.BigEndian.AppendUint32(dst, uint32(len(b))), b...)
}

func appendGroupKey(dst []byte, group string) []byte {
	return appendString(binary.BigEndian.AppendUint16(dst, groupKey), group)
}

func appendOffsetKey(dst []byte, group, topic string, partition int32) []byte {
	dst = binary.BigEndian.AppendUint16(dst, offsetKey)
	dst = appendString(dst, group)
	dst = appendString(dst, topic)
	return binary.BigEndian.AppendUint32(dst, uint32(partition))
}

// offsetRecordSize bounds the bytes of an offset's key and value.
func offsetRecordSize(group, topic, metadata string) int {
	return len(group) + len(topic) + len(metadata) + 64
}

func appendOffsetValue(dst []byte, c *committed) []byte {
	if c.expiresAt != -1 {
		dst = binary.BigEndian.AppendUint16(dst, offsetExpiringVersion)
		dst = binary.BigEndian.AppendUint64(dst, uint64(c.offset))
		dst = appendString(dst, c.metadata)
		dst = binary.BigEndian.AppendUint64(dst, uint64(c.committedAt))
		return binary.BigEndian.AppendUint64(dst, uint64(c.expiresAt))
	}
	dst = binary.BigEndian.AppendUint16(dst, offsetVersion)
	dst = binary.BigEndian.AppendUint64(dst, uint64(c.offset))
	dst = binary.BigEndian.AppendUint32(dst, uint32(c.leaderEpoch))
	dst = binary.AppendUvarint(dst, uint64(len(c.metadata))+1)
	dst = append(dst, c.metadata...)
	dst = binary.BigEndian.AppendUint64(dst, uint64(c.committedAt))
	if c.topicID.IsZero() {
		return append(dst, 0)
	}
	dst = append(dst, 1, 0, byte(len(c.topicID))) // one tag, its number, its size
	return append(dst, c.topicID[:]...)
}

func appendGroupValue(dst []byte, v *groupValue) []byte {
	dst = binary.BigEndian.AppendUint16(dst, groupVersion)
	dst = appendString(dst, v.protocolType)
	dst = binary.BigEndian.AppendUint32(dst, uint32(v.generation))
	dst = appendNullString(dst, v.protocol)
	dst = appendNullString(dst, v.leader)
	dst = binary.BigEndian.AppendUint64(dst, uint64(v.stateSince))
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(v.members)))
	for i := range v.members {
		m := &v.members[i]
		dst = appendString(dst, m.id)
		dst = appendNullString(dst, m.instance)
		dst = appendString(dst, m.clientID)
		dst = appendString(dst, m.clientHost)
		dst = binary.BigEndian.AppendUint32(dst, uint32(m.rebalanceTimeoutMs))
		dst = binary.BigEndian.AppendUint32(dst, uint32(m.sessionTimeoutMs))
		dst = appendBytes(dst, m.subscription)
		dst = appendBytes(dst, m.assignment)
	}
	return dst
}

// size is the length of the value's encoding.
func (v *groupValue) size() int {
	n := 2 + 2 + len(v.protocolType) + 4 + 2 + len(v.protocol.Value) + 2 + len(v.leader.Value) + 8 + 4
	for i := range v.members {
		m := &v.members[i]
		n += 2 + len(m.id) + 2 + len(m.instance.Value) + 2 + len(m.clientID) + 2 + len(m.clientHost) + 4 + 4 + 4 + len(m.subscription) + 4 + len(m.assignment)
	}
	return n
}

// decodeKey reads a key; ok is false when the record is of a type that other kinds of groups use.
func decodeKey(b []byte) (k recordKey, ok bool, err error) {
	d := recordDecoder{b: b}
	switch t := d.int16(); {
	case d.err != nil || t < 0:
		return k, false, errors.New("group: a record's key has no type")
	case t == legacyOffsetKey, t == offsetKey:
		k = recordKey{group: d.string(), topic: d.string(), partition: d.int32(), offset: true}
	case t == groupKey:
		k = recordKey{group: d.string()}
	default:
		return k, false, nil
	}
	if d.err != nil {
		return k, false, fmt.Errorf("group: a record's key: %w", d.err)
	}
	return k, true, nil
}

func decodeOffset(b []byte) (c committed, err error) {
	d := recordDecoder{b: b}
	version := d.int16()
	if d.err == nil && (version < 0 || version > maxOffsetVersion) {
		return c, fmt.Errorf("group: a committed offset has version %d; this build knows 0 to %d", version, maxOffsetVersion)
	}
	d.flexible = version >= 4
	c = committed{offset: d.int64(), leaderEpoch: -1, expiresAt: -1}
	if version >= 3 {
		c.leaderEpoch = d.int32()
	}
	c.metadata = d.string()
	c.committedAt = d.int64()
	if version == 1 {
		c.expiresAt = d.int64()
	}
	d.tags(func(tag uint64, value []byte) {
		if tag == 0 && copy(c.topicID[:], value) < len(c.topicID) {
			d.fail()
		}
	})
	if d.err != nil {
		return c, fmt.Errorf("group: a committed offset: %w", d.err)
	}
	return c, nil
}

// decodeGroup reads a group; its bytes are views of b.
func decodeGroup(b []byte) (v groupValue, err error) {
	d := recordDecoder{b: b}
	version := d.int16()
	if d.err == nil && (version < 0 || version > maxGroupVersion) {
		return v, fmt.Errorf("group: a group's record has version %d; this build knows 0 to %d", version, maxGroupVersion)
	}
	d.flexible = version >= 4
	v = groupValue{protocolType: d.string(), generation: d.int32(), protocol: d.nullString(), leader: d.nullString(), stateSince: -1}
	if version >= 2 {
		v.stateSince = d.int64()
	}
	for n := d.count(); n > 0 && d.err == nil; n-- {
		m := memberValue{id: d.string(), rebalanceTimeoutMs: -1}
		if version >= 3 {
			m.instance = d.nullString()
		}
		m.clientID, m.clientHost = d.string(), d.string()
		if version >= 1 {
			m.rebalanceTimeoutMs = d.int32()
		}
		m.sessionTimeoutMs = d.int32()
		m.subscription, m.assignment = d.bytes(), d.bytes()
		d.tags(nil)
		v.members = append(v.members, m)
	}
	d.tags(nil)
	if d.err != nil {
		return v, fmt.Errorf("group: a group's record: %w", d.err)
	}
	return v, nil
}

var errShort = errors.New("the bytes end inside it")

// recordDecoder reads fields and keeps its first error; after one it returns zeros.
type recordDecoder struct {
	b        []byte
	flexible bool // lengths are varints, and structs end with tags
	err      error
}

func (d *recordDecoder) fail() {
	if d.err == nil {
		d.err = errShort
	}
	d.b = nil
}

func (d *recordDecoder) take(n int) []byte {
	if n < 0 || n > len(d.b) {
		d.fail()
		return nil
	}
	p := d.b[:n:n]
	d.b = d.b[n:]
	return p
}

func (d *recordDecoder) int16() int16 {
	if p := d.take(2); p != nil {
		return int16(binary.BigEndian.Uint16(p))
	}
	return 0
}

func (d *recordDecoder) int32() int32 {
	if p := d.take(4); p != nil {
		return int32(binary.BigEndian.Uint32(p))
	}
	return 0
}

func (d *recordDecoder) int64() int64 {
	if p := d.take(8); p != nil {
		return int64(binary.BigEndian.Uint64(p))
	}
	return 0
}

// uvarint reads an unsigned varint of at most 32 bits.
func (d *recordDecoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 || n > 5 || v > 1<<32-1 {
		d.fail()
		return 0
	}
	d.b = d.b[n:]
	return v
}

// length reads the length of a string (wide is false) or of bytes or an array; null is -1.
func (d *recordDecoder) length(wide bool) int {
	switch {
	case d.flexible:
		v := d.uvarint()
		if v > uint64(len(d.b))+1 {
			d.fail()
		}
		return int(min(v, 1<<31-1)) - 1
	case wide:
		return int(d.int32())
	}
	return int(d.int16())
}

func (d *recordDecoder) string() string {
	n := d.length(false)
	return string(d.take(n))
}

func (d *recordDecoder) nullString() wire.NullString {
	n := d.length(false)
	if n == -1 {
		return wire.NullString{}
	}
	return wire.NullString{Value: string(d.take(n)), Valid: d.err == nil}
}

func (d *recordDecoder) bytes() []byte {
	n := d.length(true)
	return d.take(n)
}

// count reads the length of an array, no longer than the bytes behind it.
func (d *recordDecoder) count() int {
	n := d.length(true)
	if n < 0 || n > len(d.b) {
		d.fail()
		return 0
	}
	return n
}

// tags reads the tagged fields that end a struct of a flexible version.
func (d *recordDecoder) tags(field func(tag uint64, value []byte)) {
	if !d.flexible {
		return
	}
	for n := d.uvarint(); n > 0 && d.err == nil; n-- {
		tag, size := d.uvarint(), d.uvarint()
		if size > uint64(len(d.b)) {
			d.fail()
			return
		}
		if value := d.take(int(size)); field != nil && d.err == nil {
			field(tag, value)
		}
	}
}

// String shows the record's fields.
func (r Record) String() string {
	k, ok, err := decodeKey(r.Key)
	switch {
	case err != nil:
		return err.Error()
	case !ok:
		return fmt.Sprintf("a record of type %d", binary.BigEndian.Uint16(r.Key))
	case k.offset && r.Value == nil:
		return fmt.Sprintf("offset %s %s-%d: tombstone", k.group, k.topic, k.partition)
	case r.Value == nil:
		return fmt.Sprintf("group %s: tombstone", k.group)
	case k.offset:
		c, err := decodeOffset(r.Value)
		if err != nil {
			return err.Error()
		}
		return fmt.Sprintf("offset %s %s-%d: %s", k.group, k.topic, k.partition, &c)
	}
	v, err := decodeGroup(r.Value)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("group %s: %s", k.group, &v)
}

func (c *committed) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d at=%d", c.offset, c.committedAt)
	if c.leaderEpoch != -1 {
		fmt.Fprintf(&b, " epoch=%d", c.leaderEpoch)
	}
	if c.metadata != "" {
		fmt.Fprintf(&b, " metadata=%q", c.metadata)
	}
	if !c.topicID.IsZero() {
		fmt.Fprintf(&b, " id=%s", c.topicID)
	}
	if c.expiresAt != -1 {
		fmt.Fprintf(&b, " expires=%d", c.expiresAt)
	}
	return b.String()
}

func (v *groupValue) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "generation=%d type=%q protocol=%s leader=%s since=%d", v.generation, v.protocolType, nullText(v.protocol), nullText(v.leader), v.stateSince)
	for i := range v.members {
		m := &v.members[i]
		fmt.Fprintf(&b, "\n\t%s", m.id)
		if m.instance.Valid {
			fmt.Fprintf(&b, " instance=%s", m.instance.Value)
		}
		fmt.Fprintf(&b, " client=%s@%s session=%d rebalance=%d %s assignment=%q", m.clientID, m.clientHost, m.sessionTimeoutMs,
			m.rebalanceTimeoutMs, subscriptionText(v.protocolType, m.subscription), m.assignment)
	}
	return b.String()
}

func nullText(s wire.NullString) string {
	if !s.Valid {
		return "null"
	}
	return s.Value
}
