package fuzz

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"testing"

	"github.com/millrace/millrace/internal/peer"
	"github.com/millrace/millrace/wire"
)

// FuzzPeerFrame: a frame that decodes is the frame that its encoding decodes to, and nothing panics. The fuzzer's header and body are sealed with
// the right checksums, or it would never get past them.
func FuzzPeerFrame(f *testing.F) {
	data := peer.Header{Kind: peer.Data, Handle: 7, LeaderEpoch: 3, Length: 61, BaseOffset: 5, Detail: 2}
	refused := peer.Header{Kind: peer.Refused, Code: wire.FencedLeaderEpoch, Handle: 1}
	for _, seed := range [][]byte{
		append(data.Append(nil), make([]byte, 61)...),
		refused.Append(nil),
		peer.AppendHello(nil, &peer.Identity{ClusterID: "cluster", Follower: 2, BrokerEpoch: 9, Leader: 1}),
		peer.AppendSubscribe(nil, 7, 3, &peer.Position{Partition: 5, LastFetchedEpoch: -1, LogEnd: 12, FlushedTo: 11}),
		peer.AppendEntries(nil, peer.Ack, []peer.Entry{{Handle: 7, LeaderEpoch: 3, End: 12, Other: 11}, {Handle: 8}}),
		peer.AppendEntries(nil, peer.Marks, []peer.Entry{{Handle: 7, LeaderEpoch: 3, End: 12}}),
	} {
		f.Add(seed)
	}
	table := crc32.MakeTable(crc32.Castagnoli)
	f.Fuzz(func(t *testing.T, p []byte) {
		if len(p) < peer.HeaderSize {
			if _, err := peer.ParseHeader(p); err == nil {
				t.Fatalf("%d bytes are a header", len(p))
			}
			return
		}
		p = bytes.Clone(p)
		binary.BigEndian.PutUint32(p[44:], crc32.Checksum(p[:44], table))
		h, err := peer.ParseHeader(p)
		if err != nil {
			return
		}
		if again := h.Append(nil); !bytes.Equal(again, p[:peer.HeaderSize]) {
			t.Fatalf("%+v is written as %x, it was %x", h, again, p[:peer.HeaderSize])
		}
		body := p[peer.HeaderSize:]
		if len(body) != h.Length || h.Kind == peer.Data || h.Length == 0 {
			return
		}
		n := len(body) - 4
		binary.BigEndian.PutUint32(body[n:], crc32.Checksum(body[:n], table))
		var again []byte
		switch h.Kind {
		case peer.Hello:
			id, err := peer.ParseHello(body)
			if err != nil {
				return
			}
			again = peer.AppendHello(nil, &id)
		case peer.Subscribe:
			at, err := peer.ParseSubscribe(body)
			if err != nil {
				return
			}
			again = peer.AppendSubscribe(nil, h.Handle, h.LeaderEpoch, &at)
		case peer.Ack, peer.Marks:
			entries, err := peer.ParseEntries(nil, h.Kind, body)
			if err != nil {
				return
			}
			again = peer.AppendEntries(nil, h.Kind, entries)
		}
		if !bytes.Equal(again[peer.HeaderSize:], body) {
			t.Fatalf("%s decodes to what is written as %x, it was %x", h.Kind, again[peer.HeaderSize:], body)
		}
	})
}
