package peer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/millrace/millrace/wire"
)

// HeaderSize is the size of every frame's header:
//
//	0       1      2      4        8             12            16           24              32         40       44
//	| magic | kind | code | handle | leaderEpoch | body length | baseOffset | highWatermark | logStart | detail | CRC32C |
//
// Big-endian; the checksum is over the 44 bytes before it, so over the handle too: a batch's own checksum does not say whose it is. The body of a
// Data frame is batches, with checksums of their own; any other body ends with the CRC32C of the rest of it.
const HeaderSize = 48

const (
	magic   = 0x4d
	sumSize = 4
	atSum   = HeaderSize - sumSize
)

const _ = uint(atSum-44) + uint(44-atSum) // does not compile unless the fields fill the header

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Header is the header of a frame, decoded. Fields that a kind does not use are zero.
type Header struct {
	Kind          Kind
	Code          wire.Code
	Handle        uint32
	LeaderEpoch   int32 // of the partition, as the sender of the frame knows it
	Length        int   // of the body, in bytes
	BaseOffset    int64
	HighWatermark int64
	LogStart      int64
	Detail        int32
}

// ErrFrame is what all errors of this package are: the stream cannot be trusted any more and has to be closed.
var ErrFrame = errors.New("peer: bad frame")

func bad(format string, a ...any) error {
	return fmt.Errorf("%w: %s", ErrFrame, fmt.Sprintf(format, a...))
}

// Append appends the header.
func (h *Header) Append(dst []byte) []byte {
	at := len(dst)
	dst = append(dst, magic, byte(h.Kind))
	dst = binary.BigEndian.AppendUint16(dst, uint16(h.Code))
	dst = binary.BigEndian.AppendUint32(dst, h.Handle)
	dst = binary.BigEndian.AppendUint32(dst, uint32(h.LeaderEpoch))
	dst = binary.BigEndian.AppendUint32(dst, uint32(h.Length))
	dst = binary.BigEndian.AppendUint64(dst, uint64(h.BaseOffset))
	dst = binary.BigEndian.AppendUint64(dst, uint64(h.HighWatermark))
	dst = binary.BigEndian.AppendUint64(dst, uint64(h.LogStart))
	dst = binary.BigEndian.AppendUint32(dst, uint32(h.Detail))
	return binary.BigEndian.AppendUint32(dst, crc32.Checksum(dst[at:], castagnoli))
}

// ParseHeader decodes the first HeaderSize bytes of p. What it returns is within the bounds of its kind.
func ParseHeader(p []byte) (h Header, err error) {
	if len(p) < HeaderSize {
		return h, bad("a header of %d bytes, not %d", len(p), HeaderSize)
	}
	if p[0] != magic {
		return h, bad("it begins with %#02x, not %#02x", p[0], magic)
	}
	if sum, says := crc32.Checksum(p[:atSum], castagnoli), binary.BigEndian.Uint32(p[atSum:]); sum != says {
		return h, bad("checksum of the header is %08x, it says %08x", sum, says)
	}
	length := binary.BigEndian.Uint32(p[12:])
	h = Header{
		Kind:          Kind(p[1]),
		Code:          wire.Code(binary.BigEndian.Uint16(p[2:])),
		Handle:        binary.BigEndian.Uint32(p[4:]),
		LeaderEpoch:   int32(binary.BigEndian.Uint32(p[8:])),
		Length:        int(min(length, MaxData+1)),
		BaseOffset:    int64(binary.BigEndian.Uint64(p[16:])),
		HighWatermark: int64(binary.BigEndian.Uint64(p[24:])),
		LogStart:      int64(binary.BigEndian.Uint64(p[32:])),
		Detail:        int32(binary.BigEndian.Uint32(p[40:])),
	}
	return h, h.check(int64(length))
}

// check refuses what no sender writes.
func (h *Header) check(length int64) error {
	if h.Kind < Hello || h.Kind > lastKind {
		return bad("unknown kind %d", h.Kind)
	}
	least, most := h.bodySize()
	switch {
	case length < int64(least) || length > int64(most):
		return bad("%s with a body of %d bytes, allowed are %d to %d", h.Kind, length, least, most)
	case h.BaseOffset < 0 || h.HighWatermark < 0 || h.LogStart < 0:
		return bad("%s with the offsets %d, %d, %d", h.Kind, h.BaseOffset, h.HighWatermark, h.LogStart)
	case h.Detail < 0 || h.LeaderEpoch < 0:
		return bad("%s with leader epoch %d and detail %d", h.Kind, h.LeaderEpoch, h.Detail)
	case h.Kind == Data && (h.Detail == 0 || h.BaseOffset+int64(h.Detail) < 0):
		return bad("data of %d offsets from %d", h.Detail, h.BaseOffset)
	}
	return nil
}

// bodySize is how small and how large a body of this kind may be.
func (h *Header) bodySize() (least, most int) {
	switch h.Kind {
	case Hello:
		return helloSize + sumSize, helloSize + maxClusterID + sumSize
	case Subscribe:
		return positionSize + sumSize, positionSize + sumSize
	case Data:
		return 1, MaxData
	case Ack, Marks:
		return entrySize + sumSize, MaxEntries*entrySize + sumSize
	}
	return 0, 0
}
