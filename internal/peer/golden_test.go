package peer

import (
	"encoding/hex"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/millrace/millrace/wire"
)

func bytesOf(t *testing.T, lines string) string {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(lines), ""))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// The bytes of each layout, field by field; the checksums were worked out by the code itself and hold the rest in place.
func TestGoldenBytes(t *testing.T) {
	id := wire.UUID{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}
	data := Header{Kind: Data, Handle: 7, LeaderEpoch: 3, Length: 1000, BaseOffset: 500, HighWatermark: 490, LogStart: 100, Detail: 20}
	refused := Header{Kind: Refused, Code: wire.FencedLeaderEpoch, Handle: 7, LeaderEpoch: 4}
	for _, test := range []struct {
		name string
		got  []byte
		want string
	}{
		{"data", data.Append(nil), `4d 07 0000 00000007 00000003 000003e8 00000000000001f4 00000000000001ea 0000000000000064 00000014 0d9bc0e3`},
		{"refused", refused.Append(nil), `4d 06 004a 00000007 00000004 00000000 0000000000000000 0000000000000000 0000000000000000 00000000 43568f43`},
		{"hello", AppendHello(nil, &Identity{ClusterID: "abc", Follower: 2, BrokerEpoch: 9, Leader: 1}),
			`4d 01 0000 00000000 00000000 00000019 0000000000000000 0000000000000000 0000000000000000 00000000 6c032e99
			 00000002 0000000000000009 00000001 0003 616263 86398a81`},
		{"subscribe", AppendSubscribe(nil, 7, 3, &Position{TopicID: id, Partition: 5, LastFetchedEpoch: -1, LogEnd: 12, FlushedTo: 11}),
			`4d 02 0000 00000007 00000003 0000002c 0000000000000000 0000000000000000 0000000000000000 00000000 3dc55395
			 0102030405060708090a0b0c0d0e0f10 00000005 ffffffff 000000000000000c 000000000000000b ba67afd2`},
		{"ack", AppendEntries(nil, Ack, []Entry{{7, 3, 12, 11}, {8, 1, 1, 0}}),
			`4d 08 0000 00000000 00000000 00000034 0000000000000000 0000000000000000 0000000000000000 00000000 6c5f6d07
			 00000007 00000003 000000000000000c 000000000000000b 00000008 00000001 0000000000000001 0000000000000000 99c116a8`},
	} {
		if got, want := string(test.got), bytesOf(t, test.want); got != want {
			t.Errorf("%s is\n%x, want\n%x", test.name, got, want)
		}
	}
}

func TestHeaderComesBack(t *testing.T) {
	for _, h := range []Header{
		{Kind: Subscribed, Handle: 1 << 31, LeaderEpoch: 2, BaseOffset: 3, HighWatermark: 4, LogStart: 5},
		{Kind: Diverge, Handle: 1, LeaderEpoch: 2, BaseOffset: 3, Detail: 1},
		{Kind: Refused, Handle: 1, Code: wire.UnknownServerError},
		{Kind: Data, Length: MaxData, BaseOffset: 1<<63 - 2, Detail: 1},
		{Kind: Heartbeat},
	} {
		got, err := ParseHeader(h.Append([]byte("before"))[6:])
		if err != nil || got != h {
			t.Errorf("%+v comes back as %+v: %v", h, got, err)
		}
	}
}

// What no sender writes is refused, with a checksum that is right.
func TestBoundsOfHeaders(t *testing.T) {
	for _, h := range []Header{
		{},
		{Kind: lastKind + 1},
		{Kind: Data, Length: 1}, // no offsets
		{Kind: Data, Detail: 1}, // no bytes
		{Kind: Data, Detail: 1, Length: MaxData + 1},              // too many
		{Kind: Data, Detail: 2, Length: 1, BaseOffset: 1<<63 - 2}, // ends beyond all offsets
		{Kind: Heartbeat, Length: 1},
		{Kind: Subscribe, Length: positionSize},
		{Kind: Ack, Length: MaxEntries*entrySize + sumSize + 1},
		{Kind: Diverge, Detail: -1},
		{Kind: Subscribed, LeaderEpoch: -1},
		{Kind: Subscribed, BaseOffset: -1},
		{Kind: Subscribed, HighWatermark: -1},
		{Kind: Subscribed, LogStart: -1},
	} {
		if _, err := ParseHeader(h.Append(nil)); !errors.Is(err, ErrFrame) {
			t.Errorf("%+v is accepted: %v", h, err)
		}
	}
}

// Every bit of a header and of a checked body counts.
func TestFlippedBits(t *testing.T) {
	frame := AppendSubscribe(nil, 7, 3, &Position{Partition: 5, LastFetchedEpoch: 2, LogEnd: 12, FlushedTo: 11})
	for bit := range len(frame) * 8 {
		frame[bit/8] ^= 1 << (bit % 8)
		_, err := ParseHeader(frame)
		if err == nil {
			_, err = ParseSubscribe(frame[HeaderSize:])
		}
		if !errors.Is(err, ErrFrame) {
			t.Errorf("bit %d flipped, and the frame is taken: %v", bit, err)
		}
		frame[bit/8] ^= 1 << (bit % 8)
	}
}

// More entries than a frame takes go in several.
func TestEntriesAreSplit(t *testing.T) {
	want := make([]Entry, MaxEntries+3)
	for i := range want {
		want[i] = Entry{Handle: uint32(i), End: int64(i)}
	}
	var got []Entry
	frames := 0
	for p := AppendEntries(nil, Marks, want); len(p) > 0; frames++ {
		h, err := ParseHeader(p)
		if err != nil {
			t.Fatal(err)
		}
		body := p[HeaderSize:][:h.Length]
		if got, err = ParseEntries(got, h.Kind, body); err != nil {
			t.Fatal(err)
		}
		p = p[HeaderSize+h.Length:]
	}
	if frames != 2 || !reflect.DeepEqual(got, want) {
		t.Errorf("%d entries came back in %d frames", len(got), frames)
	}
}
