package group

import (
	"bytes"
	"encoding/hex"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/wire"
)

// What is written, byte by byte.
func TestGoldenRecords(t *testing.T) {
	group := &groupValue{protocolType: "consumer", generation: 7, protocol: wire.Str("range"), leader: wire.Str("a-1"), stateSince: 0x0102030405060708,
		members: []memberValue{{id: "a-1", instance: wire.Str("i"), clientID: "a", clientHost: "/127.0.0.1", rebalanceTimeoutMs: 60000, sessionTimeoutMs: 10000,
			subscription: []byte{1, 2}, assignment: []byte{3}}}}
	for _, c := range []struct {
		name string
		got  []byte
		want string
	}{
		{"offset key", appendOffsetKey(nil, "g", "top", 258), "0001 0001 67 0003 746f70 00000102"},
		{"offset", appendOffsetValue(nil, &committed{offset: 17, leaderEpoch: -1, committedAt: 1000, expiresAt: -1}),
			"0004 0000000000000011 ffffffff 01 00000000000003e8 00"},
		{"offset of a topic with an id", appendOffsetValue(nil, &committed{offset: 17, leaderEpoch: 5, metadata: "md", committedAt: 1000, expiresAt: -1, topicID: wire.UUID{1, 15: 2}}),
			"0004 0000000000000011 00000005 03 6d64 00000000000003e8 01 00 10 01000000000000000000000000000002"},
		{"offset that the client lets expire", appendOffsetValue(nil, &committed{offset: 17, leaderEpoch: 5, metadata: "md", committedAt: 1000, expiresAt: 2000}),
			"0001 0000000000000011 0002 6d64 00000000000003e8 00000000000007d0"},
		{"group key", appendGroupKey(nil, "g"), "0002 0001 67"},
		{"group", appendGroupValue(nil, group), "0003 0008 636f6e73756d6572 00000007 0005 72616e6765 0003 612d31 0102030405060708 00000001" +
			"0003 612d31 0001 69 0001 61 000a 2f3132372e302e302e31 0000ea60 00002710 00000002 0102 00000001 03"},
		{"new group", appendGroupValue(nil, &groupValue{stateSince: 1000}), "0003 0000 00000000 ffff ffff 00000000000003e8 00000000"},
	} {
		want, err := hex.DecodeString(strings.ReplaceAll(c.want, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(c.got, want) {
			t.Errorf("%s:\n got %x\nwant %x", c.name, c.got, want)
		}
	}
	if n := len(appendGroupValue(nil, group)); n != group.size() {
		t.Errorf("a group of %d bytes says it has %d", n, group.size())
	}
}

// Records that a Kafka 4.4.0 broker wrote: read and written again, they are the same bytes.
func TestRecordsOfKafka(t *testing.T) {
	for _, c := range []struct{ key, value, want string }{
		{"0001000c6f72646572732e313730303100066f726465727300000000",
			"00040000000000000011ffffffff01000001a21e080d93010010e6110b35980847d8811c92d075a56318",
			"offset orders.17001 orders-0: 17 at=1795800173971 id=5hELNZgIR9iBHJLQdaVjGA"},
		{"00010007672e313539303100017400000000",
			"0004000000000000000a00000003056e6f7465000001a21e07f59f010010138a1e7a7c0f43f3994916a3f18ad89b",
			"offset g.15901 t-0: 10 at=1795800167839 epoch=3 metadata=\"note\" id=E4oeenwPQ_OZSRaj8YrYmw"},
		{"0002000c6f72646572732e3137303031", "0003000000000000ffffffff000001a21e08015900000000",
			"group orders.17001: generation=0 type=\"\" protocol=null leader=null since=1795800170841"},
		{"0002000c6f72646572732e3137303031", "00030008636f6e73756d657200000001000572616e67650026612d38326263393631622d653764662d346664382d386433352d6261316430" +
			"65663030306432000001a21e08080f000000020026612d38326263393631622d653764662d346664382d386433352d626131643065663030306432ffff000161000a2f3132372e302e30" +
			"2e3100001770000007d00000001200000000000100066f7264657273ffffffff000000036f6e650026622d64636333356536382d316663342d346361652d393339642d34346661656166" +
			"6663336333ffff000162000a2f3132372e302e302e3100001770000007d00000001200000000000100066f7264657273ffffffff0000000374776f",
			"group orders.17001: generation=1 type=\"consumer\" protocol=range leader=a-82bc961b-e7df-4fd8-8d35-ba1d0ef000d2 since=1795800172559" +
				"\n\ta-82bc961b-e7df-4fd8-8d35-ba1d0ef000d2 client=a@/127.0.0.1 session=2000 rebalance=6000 topics=orders assignment=\"one\"" +
				"\n\tb-dcc35e68-1fc4-4cae-939d-44faeaffc3c3 client=b@/127.0.0.1 session=2000 rebalance=6000 topics=orders assignment=\"two\""},
		{"0002000c6f72646572732e3137303031", "00030008636f6e73756d657200000007ffffffff000001a21e08205700000000",
			"group orders.17001: generation=7 type=\"consumer\" protocol=null leader=null since=1795800178775"},
	} {
		key, _ := hex.DecodeString(c.key)
		value, _ := hex.DecodeString(c.value)
		record := Record{key, value}
		if record.String() != c.want {
			t.Errorf("read as %s\nwant    %s", record, c.want)
		}
		k, ok, err := decodeKey(key)
		if !ok || err != nil {
			t.Fatalf("%s: %t %v", c.key, ok, err)
		}
		var again Record
		if k.offset {
			o, _ := decodeOffset(value)
			again = Record{appendOffsetKey(nil, k.group, k.topic, k.partition), appendOffsetValue(nil, &o)}
		} else {
			v, _ := decodeGroup(value)
			again = Record{appendGroupKey(nil, k.group), appendGroupValue(nil, &v)}
		}
		if !bytes.Equal(again.Key, key) || !bytes.Equal(again.Value, value) {
			t.Errorf("%s is written as %x %x", c.want, again.Key, again.Value)
		}
	}
}

func pick(r *rand.Rand, values ...string) string { return values[r.IntN(len(values))] }

func randomOffset(r *rand.Rand) committed {
	c := committed{offset: r.Int64N(1 << 40), leaderEpoch: int32(r.IntN(9)) - 1, metadata: pick(r, "", "md", strings.Repeat("x", 200)),
		committedAt: r.Int64N(1 << 42), expiresAt: -1}
	if r.IntN(2) == 0 {
		c.topicID = wire.UUID{byte(1 + r.IntN(255))}
	}
	return c
}

func randomGroup(r *rand.Rand) groupValue {
	null := func() wire.NullString {
		return wire.NullString{Value: pick(r, "", "x"), Valid: true}
	}
	v := groupValue{protocolType: pick(r, "", "consumer", "connect"), generation: r.Int32(), stateSince: r.Int64N(1<<42) - 1}
	if r.IntN(2) == 0 {
		v.protocol, v.leader = null(), null()
	}
	for range r.IntN(4) {
		m := memberValue{id: pick(r, "m", "n"), clientID: pick(r, "", "c"), clientHost: "/10.0.0.1", rebalanceTimeoutMs: r.Int32N(9) - 1,
			sessionTimeoutMs: r.Int32(), subscription: []byte(pick(r, "", "s")), assignment: []byte(pick(r, "", "a"))}
		if r.IntN(2) == 0 {
			m.instance = null()
		}
		v.members = append(v.members, m)
	}
	return v
}

// Records of every version, written by another's codec, are read; another's codec reads what is written here.
func TestRecordsAgainstKmsg(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		c := randomOffset(r)
		for version := int16(0); version <= maxOffsetVersion; version++ {
			theirs := kmsg.OffsetCommitValue{Version: version, Offset: c.offset, LeaderEpoch: c.leaderEpoch, Metadata: c.metadata,
				CommitTimestamp: c.committedAt, ExpireTimestamp: 77, TopicID: c.topicID}
			want := c
			if version == 1 {
				want.expiresAt = 77
			}
			if version < 3 {
				want.leaderEpoch = -1
			}
			if version < 4 {
				want.topicID = wire.UUID{}
			}
			got, err := decodeOffset(theirs.AppendTo(nil))
			if err != nil || got != want {
				t.Fatalf("version %d: %+v, %v; want %+v", version, got, err, want)
			}
		}
		var read kmsg.OffsetCommitValue
		if err := read.ReadFrom(appendOffsetValue(nil, &c)); err != nil || read.Version != 4 || read.Offset != c.offset || read.LeaderEpoch != c.leaderEpoch ||
			read.Metadata != c.metadata || read.CommitTimestamp != c.committedAt || wire.UUID(read.TopicID) != c.topicID {
			t.Fatalf("%+v is read as %+v, %v", c, read, err)
		}

		v := randomGroup(r)
		for version := int16(0); version <= maxGroupVersion; version++ {
			theirs, want := kmsg.GroupMetadataValue{Version: version, ProtocolType: v.protocolType, Generation: v.generation, CurrentStateTimestamp: v.stateSince}, v
			if v.protocol.Valid {
				theirs.Protocol, theirs.Leader = &v.protocol.Value, &v.leader.Value
			}
			if version < 2 {
				want.stateSince = -1
			}
			want.members = append([]memberValue(nil), v.members...)
			for i := range v.members {
				m := &v.members[i]
				their := kmsg.GroupMetadataValueMember{MemberID: m.id, ClientID: m.clientID, ClientHost: m.clientHost, RebalanceTimeoutMillis: m.rebalanceTimeoutMs,
					SessionTimeoutMillis: m.sessionTimeoutMs, Subscription: m.subscription, Assignment: m.assignment}
				if m.instance.Valid {
					their.InstanceID = &m.instance.Value
				}
				theirs.Members = append(theirs.Members, their)
				if version < 3 {
					want.members[i].instance = wire.NullString{}
				}
				if version < 1 {
					want.members[i].rebalanceTimeoutMs = -1
				}
			}
			got, err := decodeGroup(theirs.AppendTo(nil))
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Fatalf("version %d: %+v, %v; want %+v", version, got, err, want)
			}
		}
		var group kmsg.GroupMetadataValue
		ours := appendGroupValue(nil, &v)
		if err := group.ReadFrom(ours); err != nil || !bytes.Equal(group.AppendTo(nil), ours) {
			t.Fatalf("%x is read as %+v, %v", ours, group, err)
		}
		if len(ours) != v.size() {
			t.Fatalf("a group of %d bytes says it has %d", len(ours), v.size())
		}
	}
	key := kmsg.OffsetCommitKey{Version: 1, Group: "g", Topic: "t", Partition: 3}
	if got := appendOffsetKey(nil, "g", "t", 3); !bytes.Equal(got, key.AppendTo(nil)) {
		t.Errorf("the key of an offset is %x", got)
	}
	groupKey := kmsg.GroupMetadataKey{Version: 2, Group: "g"}
	if got := appendGroupKey(nil, "g"); !bytes.Equal(got, groupKey.AppendTo(nil)) {
		t.Errorf("the key of a group is %x", got)
	}
}

// A record cut anywhere is an error that names what it is, and replaying it changes nothing.
func TestCutRecords(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	s := New(Options{})
	if err := s.Replay(appendOffsetKey(nil, "g", "t", 0), appendOffsetValue(nil, &committed{offset: 1, expiresAt: -1})); err != nil {
		t.Fatal(err)
	}
	before := s.String()
	refused := func(key, value []byte) {
		t.Helper()
		if err := s.Replay(key, value); err == nil || !strings.HasPrefix(err.Error(), "group: ") {
			t.Fatalf("%x %x: %v", key, value, err)
		}
		if s.String() != before {
			t.Fatalf("%x %x changed\n%sto\n%s", key, value, before, s)
		}
	}
	for range 50 {
		c, v := randomOffset(r), randomGroup(r)
		for _, record := range []Record{{appendOffsetKey(nil, "g", "t", 0), appendOffsetValue(nil, &c)}, {appendGroupKey(nil, "g"), appendGroupValue(nil, &v)}} {
			for n := range record.Value {
				refused(record.Key, record.Value[:n:n])
			}
			for n := range record.Key {
				refused(record.Key[:n], record.Value)
			}
		}
	}
	refused(appendGroupKey(nil, "g"), []byte{0, 5})
	refused(appendOffsetKey(nil, "g", "t", 0), []byte{0xff, 0xff})
	for _, members := range [][]memberValue{{{}}, {{id: "a"}, {id: "a"}}, {{id: "a", instance: wire.Str("")}, {id: "b", instance: wire.Str("")}}} {
		refused(appendGroupKey(nil, "g"), appendGroupValue(nil, &groupValue{members: members}))
	}
}

// Lengths that the bytes do not have cost nothing.
func TestHostileLengths(t *testing.T) {
	for _, b := range [][]byte{
		append(appendGroupValue(nil, &groupValue{})[:2+2+4+2+2+8:2+2+4+2+2+8], 0x7f, 0xff, 0xff, 0xff),
		{0, 4, 0xff, 0xff, 0xff, 0xff, 0x0f},
		{0, 4, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f},
	} {
		if allocated := testing.AllocsPerRun(10, func() {
			if _, err := decodeGroup(b); err == nil {
				t.Fatalf("%x is a group", b)
			}
		}); allocated > 10 {
			t.Errorf("%x: %v allocations", b, allocated)
		}
	}
}
