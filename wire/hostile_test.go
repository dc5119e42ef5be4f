package wire_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/internal/invariant"
	"github.com/millrace/millrace/wire"
	"github.com/millrace/millrace/wire/wiretest"
)

// allocated is how many bytes f allocates.
func allocated(f func()) int {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return int(after.TotalAlloc - before.TotalAlloc)
}

// decodeBounded decodes into a fresh struct and fails the test when that takes more memory than a frame may cost.
func decodeBounded(t *testing.T, m wiretest.Message, version int16, body []byte) (r wiretest.Request, err error) {
	t.Helper()
	r = m.Request()
	n := allocated(func() { err = r.Decode(version, body) })
	limit := 8*len(body) + 1<<20 + 16<<10
	if invariant.Enabled { // the race detector's allocator rounds small strings up to twice as much
		limit += 4 * len(body)
	}
	if n > limit {
		t.Fatalf("%s v%d: %d bytes allocated for %d, more than %d: %.100x", m.Name, version, n, len(body), limit, body)
	}
	var decode *wire.DecodeError
	if err != nil && (!errors.As(err, &decode) || decode.API != m.Name || decode.Version != version || decode.Offset > len(body)) {
		t.Fatalf("an error that says too little: %v", err)
	}
	return r, err
}

// fetchOf is a Fetch 12 request.
func fetchOf(t testing.TB, topics, partitions int) []byte {
	t.Helper()
	r := kmsg.NewPtrFetchRequest()
	r.Version = 12
	for i := range topics {
		topic := kmsg.NewFetchRequestTopic()
		topic.Topic = fmt.Sprintf("topic-%d", i)
		for j := range partitions {
			p := kmsg.NewFetchRequestTopicPartition()
			p.Partition = int32(j)
			topic.Partitions = append(topic.Partitions, p)
		}
		r.Topics = append(r.Topics, topic)
	}
	return r.AppendTo(nil)
}

func TestRequestsCutAtEveryByte(t *testing.T) {
	for _, s := range samples(t) {
		if s.direction != "request" {
			continue
		}
		r := s.message.Request()
		for n := range len(s.body) {
			if err := r.Decode(s.version, s.body[:n:n]); err == nil {
				t.Errorf("%v: cut after %d of %d bytes, still decoded", s, n, len(s.body))
			}
		}
		if err := r.Decode(s.version, s.body); err != nil {
			t.Errorf("%v: %v after hostile requests", s, err)
		}
	}
}

// lengths are values that lengths and counts take in hostile frames, in all three ways a length is written.
var lengths = func() (all [][]byte) {
	for _, n := range []int32{-1, 0, 1<<31 - 1, -1 << 31, -2, 1, 1 << 16, 1 << 24} {
		all = append(all, binary.BigEndian.AppendUint32(nil, uint32(n)), binary.BigEndian.AppendUint16(nil, uint16(n)),
			binary.AppendUvarint(nil, uint64(uint32(n))))
	}
	return append(all, []byte{0x7f, 0xff}, []byte{0xff, 0xff, 0xff, 0xff, 0x1f}, []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01})
}()

// Every length, at every place, followed by what stood there, and by enough bytes of one kind for large counts to be believed.
func TestHostileLengthsEverywhere(t *testing.T) {
	flexible := map[int16]int16{}
	for _, a := range wire.APIs {
		flexible[a.Key] = a.Flexible
	}
	fills := [][]byte{make([]byte, 16<<10), []byte(strings.Repeat("\x01", 16<<10))}
	refused, accepted := 0, 0
	count := func(err error) {
		if err != nil {
			refused++
		} else {
			accepted++
		}
	}
	for _, s := range samples(t) {
		if s.direction != "request" || s.kind != "full" || s.version != s.message.Min && s.version != flexible[s.message.Key] && s.version != s.message.Max {
			continue
		}
		r := s.message.Request()
		var body []byte
		for at := range len(s.body) {
			if testing.Short() && at%5 != 0 {
				continue
			}
			for i, length := range lengths {
				body = append(append(body[:0], s.body[:at]...), length...)
				start := len(body)
				body = append(body, s.body[min(at+len(length), len(s.body)):]...)
				count(r.Decode(s.version, body))
				if (at+i)%3 != 0 { // measuring stops the world: a third of the places will do
					continue
				}
				for _, fill := range fills {
					_, err := decodeBounded(t, s.message, s.version, append(body[:start:start], fill...))
					count(err)
				}
			}
		}
	}
	t.Logf("%d hostile requests refused, %d made sense after all", refused, accepted)
	if refused == 0 || accepted == 0 {
		t.Error("these requests test nothing")
	}
}

// A request of nothing but the smallest elements is what costs most memory for its size.
func TestAmplificationIsBounded(t *testing.T) {
	for _, c := range []struct {
		name    string
		key     int16
		version int16
		body    func(n int) []byte
		refused bool
	}{
		{"zeros as Produce 3", wire.KeyProduce, 3, func(n int) []byte { return make([]byte, n) }, false},
		{"Produce 9, topics without a name or partitions", wire.KeyProduce, 9, func(n int) []byte {
			body := append([]byte{0, 0, 1, 0, 0, 0, 1}, binary.AppendUvarint(nil, uint64(n/3))...)
			return append(body, bytesOf("\x01\x01\x00", n)...)
		}, true},
		{"Metadata 9, topics without a name", wire.KeyMetadata, 9, func(n int) []byte {
			return append(binary.AppendUvarint(nil, uint64(n/2)), bytesOf("\x01\x00", n+8)...)
		}, true},
		{"DeleteTopics 4, names of no letters", wire.KeyDeleteTopics, 4, func(n int) []byte {
			return append(binary.AppendUvarint(nil, uint64(n)), bytesOf("\x01", n+8)...)
		}, true},
		{"DeleteTopics 4, names of two letters", wire.KeyDeleteTopics, 4, func(n int) []byte {
			return append(binary.AppendUvarint(nil, uint64(n/3)), bytesOf("\x03ab", n+8)...)
		}, true},
		{"JoinGroup 6, protocols without a name or metadata", wire.KeyJoinGroup, 6, func(n int) []byte {
			body := append([]byte("\x02g\x00\x00\x00\x01\x00\x00\x00\x01\x01\x00\x02c"), binary.AppendUvarint(nil, uint64(n/3))...)
			return append(body, bytesOf("\x01\x01\x00", n+8)...)
		}, true},
		{"JoinGroup 6, a protocol with much metadata", wire.KeyJoinGroup, 6, func(n int) []byte {
			body := append([]byte("\x02g\x00\x00\x00\x01\x00\x00\x00\x01\x01\x00\x02c\x02\x02r"), binary.AppendUvarint(nil, uint64(n+1))...)
			return append(append(body, make([]byte, n)...), 0, 0)
		}, false},
		{"LeaveGroup 5, members without an id", wire.KeyLeaveGroup, 5, func(n int) []byte {
			body := append([]byte("\x02g"), binary.AppendUvarint(nil, uint64(n/4))...)
			return append(body, bytesOf("\x01\x00\x00\x00", n+8)...)
		}, true},
		{"OffsetFetch 9, groups without topics", wire.KeyOffsetFetch, 9, func(n int) []byte {
			return append(binary.AppendUvarint(nil, uint64(n/8)), bytesOf("\x01\x00\x00\x00\x00\x00\x01\x00", n+8)...)
		}, true},
		{"OffsetFetch 9, a group with topics without partitions", wire.KeyOffsetFetch, 9, func(n int) []byte {
			body := append([]byte("\x02\x02g\x00\x00\x00\x00\x00"), binary.AppendUvarint(nil, uint64(n/3))...)
			return append(body, bytesOf("\x01\x01\x00", n+8)...)
		}, true},
		{"DescribeGroups 5, groups of two letters", wire.KeyDescribeGroups, 5, func(n int) []byte {
			return append(binary.AppendUvarint(nil, uint64(n/3)), bytesOf("\x03ab", n+8)...)
		}, true},
		{"IncrementalAlterConfigs 1, settings without a name", wire.KeyIncrementalAlterConfigs, 1, func(n int) []byte {
			body := append([]byte("\x02\x02\x02t"), binary.AppendUvarint(nil, uint64(n/4))...)
			return append(body, bytesOf("\x01\x00\x00\x00", n+8)...)
		}, true},
		{"Metadata 8, ten thousand topics of a length people use", wire.KeyMetadata, 8, func(int) []byte {
			r := kmsg.NewPtrMetadataRequest()
			r.Version = 8
			for i := range 10_000 {
				topic := kmsg.NewMetadataRequestTopic()
				name := fmt.Sprintf("t-%04d", i)
				topic.Topic = &name
				r.Topics = append(r.Topics, topic)
			}
			return r.AppendTo(nil)
		}, false},
		{"Fetch 12, ten thousand partitions", wire.KeyFetch, 12, func(int) []byte { return fetchOf(t, 10, 1000) }, false},
		{"Fetch 12, ten thousand topics of one partition", wire.KeyFetch, 12, func(int) []byte { return fetchOf(t, 10_000, 1) }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, m := range wiretest.Messages {
				if m.Key == c.key {
					if _, err := decodeBounded(t, m, c.version, c.body(1<<20)); (err != nil) != c.refused {
						t.Errorf("refused: %v, want %v", err, c.refused)
					}
				}
			}
		})
	}
}

func bytesOf(pattern string, n int) []byte {
	return []byte(strings.Repeat(pattern, n/len(pattern)+1))
}

func TestTagsAreCounted(t *testing.T) {
	apiVersions := func(tags int) []byte {
		body := append([]byte("\x02a\x02b"), binary.AppendUvarint(nil, uint64(tags))...)
		for i := range min(tags, 1000) {
			body = append(append(body, binary.AppendUvarint(nil, uint64(i))...), 0)
		}
		return body
	}
	for tags, ok := range map[int]bool{0: true, 64: true, 65: false, 1000: false, 1<<32 - 1: false} {
		var r wire.ApiVersionsRequest
		if err := r.Decode(3, apiVersions(tags)); (err == nil) != ok {
			t.Errorf("%d tags: %v", tags, err)
		}
	}
}

func TestKnownTagsOfTheWrongSize(t *testing.T) {
	// Fetch 12, no topics, no forgotten ones, empty rack; then the tags.
	body := "00000001 00000002 00000003 00000004 00 00000005 00000006 01 01 01"
	for _, c := range []struct {
		tags string
		ok   bool
	}{
		{"00", true},
		{"01 00 02 0278", true},          // cluster id "x"
		{"01 00 03 027800", false},       // a byte too many
		{"01 00 01 0278", false},         // a byte too few
		{"01 00 7f 0278", false},         // longer than the frame
		{"02 00 02 0278 00 01 00", true}, // twice: the last one counts, null
		{"01 01 02 ffff", true},          // a tag of version 15, unknown in 12
	} {
		var r wire.FetchRequest
		if err := r.Decode(12, unhex(t, body+c.tags)); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.tags, err)
		}
	}
}

func TestStringsAreUTF8(t *testing.T) {
	var r wire.DeleteTopicsRequest
	if err := r.Decode(1, unhex(t, "00000001 0002 c3a4 00000000")); err != nil || r.TopicNames[0] != "ä" {
		t.Errorf("%q: %v", r.TopicNames, err)
	}
	if err := r.Decode(1, unhex(t, "00000001 0002 c3c3 00000000")); err == nil {
		t.Errorf("%q is not UTF-8", r.TopicNames)
	}
}

func TestVersionsWithoutACodec(t *testing.T) {
	for _, m := range wiretest.Messages {
		for _, version := range []int16{-32768, -1, m.Min - 1, m.Max + 1, 32767} {
			if _, err := decodeBounded(t, m, version, make([]byte, 100)); err == nil {
				t.Errorf("%s has a version %d", m.Name, version)
			}
		}
	}
}

// Strings of ordinary messages are copies: the frame is reused while a handler still works.
func TestOnlyViewsAliasTheFrame(t *testing.T) {
	for _, s := range samples(t) {
		if s.direction != "request" || s.kind != "full" || s.message.Views {
			continue
		}
		body := append([]byte{}, s.body...)
		r := s.message.Request()
		if err := r.Decode(s.version, body); err != nil {
			t.Fatal(err)
		}
		clear(body)
		theirs := s.message.KmsgRequest(s.version)
		if err := theirs.ReadFrom(s.body); err != nil {
			t.Fatal(err)
		}
		wiretest.AsKafka(theirs)
		if err := wiretest.Same(r, theirs); err != nil {
			t.Errorf("%v changed with its frame: %v", s, err)
		}
	}
}

// librdkafka takes null records for an error at every end of a log.
func TestEmptyRecordsAreEmptyNotNull(t *testing.T) {
	for version := int16(4); version <= 18; version++ {
		var r wire.FetchResponse
		r.Default()
		topic := r.AddTopic()
		topic.AddPartition()
		topic.AddPartition().RecordsSize = 10
		topic.AddPartition()
		out, holes := r.Append(version, nil, nil)
		if len(holes) != 1 {
			t.Fatalf("v%d: holes %v", version, holes)
		}
		theirs := kmsg.NewPtrFetchResponse()
		theirs.Version = version
		if err := theirs.ReadFrom(wiretest.Insert(out, holes, [][]byte{[]byte("0123456789")})); err != nil {
			t.Fatal(err)
		}
		for i, want := range []string{"", "0123456789", ""} {
			if got := theirs.Topics[0].Partitions[i].RecordBatches; got == nil || string(got) != want {
				t.Errorf("v%d: records %q, want %q", version, got, want)
			}
		}
	}
}

// Behaviour 29 of the protocol map: Kafka's admin client fails on a null array of configs.
func TestConfigsOfACreatedTopicAreNeverNull(t *testing.T) {
	for version := int16(5); version <= 7; version++ {
		var r wire.CreateTopicsResponse
		r.AddTopic().Name = "t"
		theirs := kmsg.NewPtrCreateTopicsResponse()
		theirs.Version = version
		if err := theirs.ReadFrom(r.Append(version, nil)); err != nil || theirs.Topics[0].Configs == nil {
			t.Errorf("v%d: configs %v, %v", version, theirs.Topics[0].Configs, err)
		}
	}
}

func TestStringsTooLongForTheProtocolAreCut(t *testing.T) {
	long := "x" + strings.Repeat("ä", 40_000)
	for _, version := range []int16{2, 5} {
		var r wire.CreateTopicsResponse
		topic := r.AddTopic()
		topic.Name, topic.ErrorMessage, topic.ErrorCode = "t", wire.Str(long), wire.InvalidConfig
		theirs := kmsg.NewPtrCreateTopicsResponse()
		theirs.Version = version
		if err := theirs.ReadFrom(r.Append(version, nil)); err != nil {
			t.Fatal(err)
		}
		got := *theirs.Topics[0].ErrorMessage
		if len(got) != 32767 || !strings.HasPrefix(long, got) || !utf8.ValidString(got) {
			t.Errorf("v%d: %d bytes of message", version, len(got))
		}
	}
}

// A tagged field's size stands before it and may need one to four bytes.
func TestLargeTaggedFields(t *testing.T) {
	for _, n := range []int{1, 9, 10, 100, 1200, 1300, 200_000} {
		var r wire.FetchResponse
		for i := range n {
			e := r.AddNodeEndpoint()
			e.NodeID, e.Host, e.Port = int32(i), "h", 9092
		}
		out, _ := r.Append(16, []byte("before"), nil)
		theirs := kmsg.NewPtrFetchResponse()
		theirs.Version = 16
		if err := theirs.ReadFrom(out[len("before"):]); err != nil || len(theirs.Brokers) != n || theirs.Brokers[n-1].NodeID != int32(n-1) {
			t.Errorf("%d endpoints: %d read, %v", n, len(theirs.Brokers), err)
		}
	}
}
