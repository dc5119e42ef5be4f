package meta

import (
	"encoding/hex"
	"reflect"
	"strings"
	"testing"

	"github.com/millrace/millrace/wire"
)

var testID = wire.UUID{0xde, 0x9d, 0xaa, 0x75, 0xe6, 0x9e, 0x4d, 0x3a, 0x99, 0xca, 0xca, 0x1b, 0xc2, 0x2c, 0x70, 0x91}

const (
	testIDHex = "de9daa75e69e4d3a99caca1bc22c7091"
	zeroIDHex = "00000000000000000000000000000000"
	oneIDHex  = "00000000000000000000000000000001"
)

// The bytes of every record as they lie in logs: a change here needs a new record version.
var goldenRecords = []struct {
	record Record
	bytes  string
}{
	{TopicRecord{"orders", testID}, "0100 06 6f7264657273 " + testIDHex},
	{PartitionRecord{testID, 3, Partition{Replicas: []int32{1, 2}, ISR: []int32{1, 2}, Leader: 1, LeaderEpoch: 4, PartitionEpoch: 5}},
		"0200 " + testIDHex + " 06 030204 030204 00 00 02 08 0a"},
	{PartitionRecord{testID, 0, Partition{Replicas: []int32{300}, ISR: []int32{}, ELR: []int32{300}, LastKnownELR: []int32{7}, Leader: NoLeader}},
		"0200 " + testIDHex + " 00 02d804 01 02d804 020e 01 00 00"},
	{PartitionChangeRecord{TopicID: testID, Number: 1, Leader: LeaderUnchanged, ISR: []int32{1}}, "0300 " + testIDHex + " 02 03 00 0202 00 00"},
	{RemoveTopicRecord{testID}, "0400 " + testIDHex},
	{ConfigRecord{Resource{TopicResource, "t"}, "retention.ms", "1", false}, "0500 02 0174 0c726574656e74696f6e2e6d73 0131 00"},
	{ConfigRecord{Resource{BrokerResource, ""}, "k", "", true}, "0500 04 00 016b 00 01"},
	{BrokerRegistrationRecord{Broker{ID: 1, Epoch: 0, Incarnation: testID, Rack: "a", Fenced: true,
		Endpoints: []Endpoint{{"PLAINTEXT", "h", 9092, 0}, {"SSL", "", 9093, 1}}}},
		"0600 02 00 " + testIDHex + " 02 09504c41494e54455854 0168 888e01 00 0353534c 00 8a8e01 02 0161 01"},
	{BrokerFenceRecord{1, 77, true}, "0700 02 9a01 01"},
	{ProducerIDsRecord{1, 7, 2000}, "0800 02 0e a01f"},
	{FeatureLevelRecord{"metadata.version", 33}, "0900 106d657461646174612e76657273696f6e 42"},
	{ClusterRecord{"abc"}, "0a00 03616263"},
	{TailLostRecord{300}, "0b00 d804"},
	{PartitionRecord{testID, 3, Partition{Replicas: []int32{1, 2, 3}, ISR: []int32{1}, Reassignment: &Reassignment{Adding: []int32{3}, Removing: []int32{2}},
		Dirs: []wire.UUID{testID, {}, {15: 1}}, Leader: 1, LeaderEpoch: 4, PartitionEpoch: 5, LastUncleanEpoch: 3, Recovering: true}},
		"0201 " + testIDHex + " 06 04020406 0202 00 00 02 08 0a 0206 0204 04" + testIDHex + zeroIDHex + oneIDHex + " 06 01"},
	{PartitionRecord{testID, 0, Partition{Replicas: []int32{1}, ISR: []int32{1}, Leader: 1, LeaderEpoch: 1, LastUncleanEpoch: 1}},
		"0201 " + testIDHex + " 00 0202 0202 00 00 02 02 00 00 00 00 02 00"},
	{PartitionChangeRecord{TopicID: testID, Number: 1, Leader: 2, ISR: []int32{2}, ELR: []int32{}, Unclean: true},
		"0301 " + testIDHex + " 02 04 00 0204 01 00 00 00 00 01 00"},
	{PartitionChangeRecord{TopicID: testID, Number: 1, Leader: LeaderUnchanged, Replicas: []int32{4}, Adding: []int32{}, Removing: []int32{5}, Dirs: []wire.UUID{testID}, Recovered: true},
		"0301 " + testIDHex + " 02 03 0208 00 00 00 01 020a 02" + testIDHex + " 00 01"},
	{BrokerRegistrationRecord{Broker{ID: 1, Epoch: 7, Incarnation: testID, ShutdownOffset: 21, Directories: []wire.UUID{testID}}},
		"0601 02 0e " + testIDHex + " 00 00 00 2a 02" + testIDHex},
	{BrokerShutdownRecord{1, 77}, "0c00 02 9a01"},
	{UnregisterBrokerRecord{1, 77}, "0d00 02 9a01"},
}

func TestRecordBytesAreGolden(t *testing.T) {
	for _, g := range goldenRecords {
		want := strings.ReplaceAll(g.bytes, " ", "")
		b := AppendRecord(nil, g.record)
		if got := hex.EncodeToString(b); got != want {
			t.Errorf("%s\n got %s\nwant %s", Describe(g.record), got, want)
			continue
		}
		back, err := DecodeRecord(b)
		if err != nil || !reflect.DeepEqual(back, g.record) {
			t.Errorf("%s: decoded %#v, %v", Describe(g.record), back, err)
		}
	}
}

func TestGoldenRecordsHaveEveryKind(t *testing.T) {
	seen := map[kind]bool{}
	for _, g := range goldenRecords {
		seen[g.record.kind()] = true
	}
	for k := kindTopic; k <= kindUnregisterBroker; k++ {
		if !seen[k] {
			t.Errorf("no golden bytes of kind %d", k)
		}
	}
}

func TestRecordsCutShortOrLongAreRefused(t *testing.T) {
	for _, g := range goldenRecords {
		b := AppendRecord(nil, g.record)
		for n := range b {
			if r, err := DecodeRecord(b[:n]); err == nil {
				t.Errorf("%s: %d of %d bytes decode to %s", Describe(g.record), n, len(b), Describe(r))
			}
		}
		if _, err := DecodeRecord(append(b, 0)); err == nil {
			t.Errorf("%s: a byte too many is accepted", Describe(g.record))
		}
	}
}

func TestUnknownRecordsAreRefused(t *testing.T) {
	for name, b := range map[string]string{
		"kind":          "fe00",
		"kind zero":     "0000",
		"later version": "0a01 03616263",
		"version 2":     "0302 " + testIDHex + " 02 03 00 0202 00 00 00 00 00 00 00",
		"directories":   "0601 02 00 " + testIDHex + " 00 00 00 00 03" + testIDHex,
		"flag":          "0700 02 9a01 02",
		"int32":         "0700 8080808020 9a01 01",
		"int16":         "0900 00 808008",
		"varint":        "0700 ffffffffffffffffffff01 00 01",
		"count":         "0200 " + testIDHex + " 00 ffffffffffffffff7f",
		"string length": "0100 ffffffffffffffff7f " + testIDHex,
		"endpoints":     "0600 02 00 " + testIDHex + " ff7f 00 00",
	} {
		raw, err := hex.DecodeString(strings.ReplaceAll(b, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		if r, err := DecodeRecord(raw); err == nil {
			t.Errorf("%s: decoded %s", name, Describe(r))
		}
	}
}
