package peer

import "encoding/binary"

// Entry is one partition of an Ack or of Marks.
//
//	0        4             8      16
//	| handle | leaderEpoch | end  | flushedTo or logStart |
type Entry struct {
	Handle      uint32
	LeaderEpoch int32
	End         int64 // Ack: the follower's logEnd; Marks: the high watermark
	Other       int64 // Ack: its flushedTo; Marks: the leader's logStart
}

const entrySize = 24

// AppendEntries appends frames of kind Ack or Marks with all of the entries, as many frames as that takes.
func AppendEntries(dst []byte, kind Kind, entries []Entry) []byte {
	for len(entries) > 0 {
		n := min(len(entries), MaxEntries)
		h := Header{Kind: kind, Length: n*entrySize + sumSize}
		dst = h.Append(dst)
		at := len(dst)
		for _, e := range entries[:n] {
			dst = binary.BigEndian.AppendUint32(dst, e.Handle)
			dst = binary.BigEndian.AppendUint32(dst, uint32(e.LeaderEpoch))
			dst = binary.BigEndian.AppendUint64(dst, uint64(e.End))
			dst = binary.BigEndian.AppendUint64(dst, uint64(e.Other))
		}
		dst = appendSum(dst, at)
		entries = entries[n:]
	}
	return dst
}

// ParseEntries decodes the body of an Ack or of Marks, and appends what is in it to dst.
func ParseEntries(dst []Entry, kind Kind, body []byte) ([]Entry, error) {
	body, err := checked(kind, body)
	if err != nil {
		return dst, err
	}
	if len(body)%entrySize != 0 || len(body) > MaxEntries*entrySize {
		return dst, bad("%s with entries of %d bytes", kind, len(body))
	}
	for ; len(body) > 0; body = body[entrySize:] {
		e := Entry{
			Handle:      binary.BigEndian.Uint32(body),
			LeaderEpoch: int32(binary.BigEndian.Uint32(body[4:])),
			End:         int64(binary.BigEndian.Uint64(body[8:])),
			Other:       int64(binary.BigEndian.Uint64(body[16:])),
		}
		if e.LeaderEpoch < 0 || e.Other < 0 || e.Other > e.End {
			return dst, bad("%s of handle %d: epoch %d, %d, %d", kind, e.Handle, e.LeaderEpoch, e.End, e.Other)
		}
		dst = append(dst, e)
	}
	return dst, nil
}
