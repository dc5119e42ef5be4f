package peer

import (
	"encoding/binary"
	"hash/crc32"

	"github.com/millrace/millrace/wire"
)

// Identity is the body of a Hello: who dials, in which life, and whom it wants to reach.
//
//	0          4             12        16            18
//	| follower | brokerEpoch | leader  | length of … | clusterID | CRC32C |
type Identity struct {
	ClusterID   string
	Follower    int32
	BrokerEpoch int64 // of the follower
	Leader      int32
}

const (
	helloSize    = 18
	maxClusterID = 255
)

// AppendHello appends a Hello frame.
func AppendHello(dst []byte, i *Identity) []byte {
	id := i.ClusterID[:min(len(i.ClusterID), maxClusterID)]
	h := Header{Kind: Hello, Length: helloSize + len(id) + sumSize}
	dst = h.Append(dst)
	at := len(dst)
	dst = binary.BigEndian.AppendUint32(dst, uint32(i.Follower))
	dst = binary.BigEndian.AppendUint64(dst, uint64(i.BrokerEpoch))
	dst = binary.BigEndian.AppendUint32(dst, uint32(i.Leader))
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(id)))
	dst = append(dst, id...)
	return appendSum(dst, at)
}

// ParseHello decodes the body of a Hello.
func ParseHello(body []byte) (i Identity, err error) {
	if body, err = checked(Hello, body); err != nil {
		return i, err
	}
	if len(body) < helloSize {
		return i, bad("hello of %d bytes", len(body))
	}
	i.Follower = int32(binary.BigEndian.Uint32(body))
	i.BrokerEpoch = int64(binary.BigEndian.Uint64(body[4:]))
	i.Leader = int32(binary.BigEndian.Uint32(body[12:]))
	if n := int(binary.BigEndian.Uint16(body[16:])); n > maxClusterID || helloSize+n != len(body) {
		return i, bad("hello with a cluster id of %d bytes in %d", n, len(body)-helloSize)
	}
	i.ClusterID = string(body[helloSize:])
	return i, nil
}

// Position is the body of a Subscribe: which partition, and how far the follower's log goes. The follower's leader epoch is the header's.
//
//	0         16          20                 24       32
//	| topicID | partition | lastFetchedEpoch | logEnd | flushedTo | CRC32C |
type Position struct {
	TopicID          wire.UUID
	Partition        int32
	LastFetchedEpoch int32 // of the last record; -1: the log is empty
	LogEnd           int64
	FlushedTo        int64 // at most LogEnd
}

const positionSize = 40

// AppendSubscribe appends a Subscribe frame.
func AppendSubscribe(dst []byte, handle uint32, leaderEpoch int32, p *Position) []byte {
	h := Header{Kind: Subscribe, Handle: handle, LeaderEpoch: leaderEpoch, Length: positionSize + sumSize}
	dst = h.Append(dst)
	at := len(dst)
	dst = append(dst, p.TopicID[:]...)
	dst = binary.BigEndian.AppendUint32(dst, uint32(p.Partition))
	dst = binary.BigEndian.AppendUint32(dst, uint32(p.LastFetchedEpoch))
	dst = binary.BigEndian.AppendUint64(dst, uint64(p.LogEnd))
	dst = binary.BigEndian.AppendUint64(dst, uint64(p.FlushedTo))
	return appendSum(dst, at)
}

// ParseSubscribe decodes the body of a Subscribe.
func ParseSubscribe(body []byte) (p Position, err error) {
	if body, err = checked(Subscribe, body); err != nil {
		return p, err
	}
	if len(body) != positionSize {
		return p, bad("subscribe of %d bytes", len(body))
	}
	copy(p.TopicID[:], body)
	p.Partition = int32(binary.BigEndian.Uint32(body[16:]))
	p.LastFetchedEpoch = int32(binary.BigEndian.Uint32(body[20:]))
	p.LogEnd = int64(binary.BigEndian.Uint64(body[24:]))
	p.FlushedTo = int64(binary.BigEndian.Uint64(body[32:]))
	if p.Partition < 0 || p.LastFetchedEpoch < -1 || p.FlushedTo < 0 || p.FlushedTo > p.LogEnd {
		return Position{}, bad("subscribe to partition %d after epoch %d, end %d, flushed %d", p.Partition, p.LastFetchedEpoch, p.LogEnd, p.FlushedTo)
	}
	return p, nil
}

func appendSum(dst []byte, from int) []byte {
	return binary.BigEndian.AppendUint32(dst, crc32.Checksum(dst[from:], castagnoli))
}

// checked returns a body without its checksum, which it compares.
func checked(k Kind, body []byte) ([]byte, error) {
	n := len(body) - sumSize
	if n < 0 {
		return nil, bad("%s with a body of %d bytes", k, len(body))
	}
	if sum, says := crc32.Checksum(body[:n], castagnoli), binary.BigEndian.Uint32(body[n:]); sum != says {
		return nil, bad("checksum of the body of %s is %08x, it says %08x", k, sum, says)
	}
	return body[:n:n], nil
}
