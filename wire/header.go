package wire

import "math"

// Header is what every request begins with.
type Header struct {
	Key, Version  int16
	CorrelationID int32
	ClientID      string // a view of the frame; any bytes at all: quote it in logs
	HasClientID   bool   // not null
}

// DecodeHeader splits a frame (without its size) into header and body. The body is a view of the frame.
//
// The header ends in tagged fields in the flexible versions of an API, and Kafka never defined any, so they are skipped. The
// client id before them is not compact in any version. Of an API or a version this package does not know, only the part that is
// the same in all of them is read, and body is what follows it: a client that is newer than us gets its answer to ApiVersions
// without anything of its request being interpreted.
func DecodeHeader(frame []byte) (h Header, body []byte, err error) {
	d := newDecoder(frame)
	h.Key = d.int16()
	h.Version = d.int16()
	h.CorrelationID = d.int32()
	n := int(d.int16())
	if d.err == nil && n >= 0 {
		h.ClientID, h.HasClientID = view(d.take(n)), true
	} else if n < -1 {
		d.fail("string of length %d", n)
	}
	if h.Version >= flexibleFrom(h.Key) && h.Version <= latest(h.Key) {
		d.skipTags()
	}
	if d.err != nil {
		return Header{}, nil, d.finish("header", h.Version)
	}
	return h, frame[d.off:], nil
}

// AppendResponseHeader appends what every response begins with after its size.
func AppendResponseHeader(dst []byte, key, version int16, correlationID int32) []byte {
	dst = appendInt32(dst, correlationID)
	// A client reads the answer to ApiVersions before it knows what the broker speaks, so that one header never changes.
	if version >= flexibleFrom(key) && key != KeyApiVersions {
		dst = append(dst, 0)
	}
	return dst
}

// versionsByKey is APIs by key, for the two lookups of every request.
var versionsByKey = func() (t [128]struct{ flexible, latest int16 }) {
	for i := range t {
		t[i].flexible, t[i].latest = never, -1
	}
	for _, a := range APIs {
		t[a.Key].flexible, t[a.Key].latest = a.Flexible, a.Max
	}
	return t
}()

func flexibleFrom(key int16) int16 {
	if key < 0 || int(key) >= len(versionsByKey) {
		return math.MaxInt16
	}
	return versionsByKey[key].flexible
}

func latest(key int16) int16 {
	if key < 0 || int(key) >= len(versionsByKey) {
		return -1
	}
	return versionsByKey[key].latest
}
