package fuzz

import (
	"bytes"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/group"
)

// groupSeeds are records of every type and version.
func groupSeeds() (rs []group.Record) {
	text := func(s string) *string { return &s }
	add := func(key, value interface{ AppendTo([]byte) []byte }) {
		rs = append(rs, group.Record{Key: key.AppendTo(nil), Value: value.AppendTo(nil)})
	}
	for version := int16(0); version <= 4; version++ {
		add(&kmsg.OffsetCommitKey{Version: min(version, 1), Group: "g", Topic: "t", Partition: 3},
			&kmsg.OffsetCommitValue{Version: version, Offset: 7, LeaderEpoch: 2, Metadata: "md", CommitTimestamp: 1000, ExpireTimestamp: 2000, TopicID: [16]byte{1}})
		add(&kmsg.GroupMetadataKey{Version: 2, Group: "g"},
			&kmsg.GroupMetadataValue{Version: version, ProtocolType: "consumer", Generation: 5, Protocol: text("range"), Leader: text("m"), CurrentStateTimestamp: 1000,
				Members: []kmsg.GroupMetadataValueMember{
					{MemberID: "m", InstanceID: text("i"), ClientID: "c", ClientHost: "/h", RebalanceTimeoutMillis: 1000, SessionTimeoutMillis: 2000,
						Subscription: []byte{0, 0, 0, 0, 0, 1, 0, 1, 't', 0xff, 0xff, 0xff, 0xff}, Assignment: []byte("a")},
					{MemberID: "n"}}})
		add(&kmsg.GroupMetadataKey{Version: 2, Group: "g"}, &kmsg.GroupMetadataValue{Version: version, ProtocolType: "connect"})
	}
	return append(rs, group.Record{Key: []byte{0, 3, 0, 1, 'g'}, Value: []byte{0, 0}})
}

// FuzzGroupRecord: a record that a coordinator takes is one that another codec reads, and means the same after that one has written it. One that it does not
// take changes nothing.
func FuzzGroupRecord(f *testing.F) {
	for _, r := range groupSeeds() {
		f.Add(r.Key, r.Value)
	}
	before := group.Record{Key: []byte{0, 1, 0, 1, 'g', 0, 1, 't', 0, 0, 0, 9}, Value: append([]byte{0, 3}, make([]byte, 22)...)}
	fresh := func(t *testing.T) *group.Shard {
		s := group.New(group.Options{})
		if err := s.Replay(before.Key, before.Value); err != nil {
			t.Fatal(err)
		}
		return s
	}
	f.Fuzz(func(t *testing.T, key, value []byte) {
		_ = group.Record{Key: key, Value: value}.String()
		s := fresh(t)
		untouched := s.String()
		if err := s.Replay(key, value); err != nil {
			if s.String() != untouched {
				t.Fatalf("%x %x is refused (%v) and makes\n%s", key, value, err, s)
			}
			return
		}
		var again []byte
		switch {
		case key[0] == 0 && key[1] <= 1:
			var v kmsg.OffsetCommitValue
			if err := v.ReadFrom(value); err != nil {
				t.Fatalf("%x is an offset here, and not elsewhere: %v", value, err)
			}
			again = v.AppendTo(nil)
		case key[0] == 0 && key[1] == 2:
			var v kmsg.GroupMetadataValue
			if err := v.ReadFrom(value); err != nil {
				t.Fatalf("%x is a group here, and not elsewhere: %v", value, err)
			}
			again = v.AppendTo(nil)
		default:
			if s.String() != untouched {
				t.Fatalf("%x is skipped and makes\n%s", key, s)
			}
			return
		}
		other := fresh(t)
		if err := other.Replay(bytes.Clone(key), again); err != nil || other.String() != s.String() {
			t.Fatalf("%x is\n%safter another codec (%v)\n%s", value, s, err, other)
		}
		s.Loaded(5000)
		s.Advance(1 << 40)
		s.Expire(1 << 40)
		if s.Deadline() != -1 {
			t.Fatalf("something is planned for ever:\n%s", s)
		}
	})
}
