package bench

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
)

// The two requests raw mode speaks, in the newest version whose layout is fixed: every integer of theirs lies at a known place
// and is patched there.
const (
	apiProduce     = 0
	produceVersion = 7 // v8 adds messages for refused records, v9 counts with varints
	apiFetch       = 1
	fetchVersion   = 11 // v12 counts with varints, v13 names topics by id
	clientID       = "millrace-bench"
)

// atCorrelation is where a frame carries its correlation id: after size, API key and version.
const atCorrelation = 8

var be = binary.BigEndian

// appendHeader begins a frame; putSize ends it.
func appendHeader(p []byte, api, version int16) []byte {
	p = be.AppendUint32(p, 0)
	p = be.AppendUint16(p, uint16(api))
	p = be.AppendUint16(p, uint16(version))
	p = be.AppendUint32(p, 0)
	return appendString(p, clientID)
}

func putSize(frame []byte) { be.PutUint32(frame, uint32(len(frame)-4)) }

func appendString(p []byte, s string) []byte {
	return append(be.AppendUint16(p, uint16(len(s))), s...)
}

// appendProduce begins a produce request for one batch, up to the batch's length and bytes, which the caller appends.
func appendProduce(p []byte, topic string, acks int16, timeoutMs int32) (frame []byte, atPartition int) {
	p = appendHeader(p, apiProduce, produceVersion)
	p = be.AppendUint16(p, 0xffff) // no transaction
	p = be.AppendUint16(p, uint16(acks))
	p = be.AppendUint32(p, uint32(timeoutMs))
	p = be.AppendUint32(p, 1)
	p = appendString(p, topic)
	p = be.AppendUint32(p, 1)
	atPartition = len(p)
	return be.AppendUint32(p, 0), atPartition
}

// produced reads the answer to a request of one batch: its error, if any.
func produced(answer []byte) (correlation int32, err error) {
	r := fields{p: answer}
	correlation = r.int32()
	if r.int32() != 1 {
		return correlation, errAnswer
	}
	r.string()
	if r.int32() != 1 {
		return correlation, errAnswer
	}
	r.int32()
	code := r.int16()
	r.skip(8 + 8 + 8) // base offset, time of append, log start
	r.skip(4)         // throttle
	if r.bad {
		return correlation, errAnswer
	}
	return correlation, kerr.ErrorForCode(code)
}

var errAnswer = errors.New("an answer that cannot be read")

// fetchSession is what broker and consumer remember between fetches (KIP-227): only what has changed is said again.
type fetchSession struct {
	id    int32 // 0: none
	epoch int32 // of the next fetch; 0 begins a session, with all partitions
}

// appendFetch begins a fetch request up to the partitions, which appendFetchPartition adds; appendFetchEnd ends it.
func appendFetch(p []byte, topic string, maxWaitMs, minBytes, maxBytes int32, s fetchSession, partitions int) []byte {
	p = appendHeader(p, apiFetch, fetchVersion)
	p = be.AppendUint32(p, 0xffffffff) // a consumer, no replica
	p = be.AppendUint32(p, uint32(maxWaitMs))
	p = be.AppendUint32(p, uint32(minBytes))
	p = be.AppendUint32(p, uint32(maxBytes))
	p = append(p, 0) // read uncommitted
	p = be.AppendUint32(p, uint32(s.id))
	p = be.AppendUint32(p, uint32(s.epoch))
	if partitions == 0 {
		return be.AppendUint32(p, 0)
	}
	p = be.AppendUint32(p, 1)
	p = appendString(p, topic)
	return be.AppendUint32(p, uint32(partitions))
}

func appendFetchPartition(p []byte, partition int32, offset int64, maxBytes int32) []byte {
	p = be.AppendUint32(p, uint32(partition))
	p = be.AppendUint32(p, 0xffffffff) // any leader epoch
	p = be.AppendUint64(p, uint64(offset))
	p = be.AppendUint64(p, 0xffffffffffffffff) // log start: a replica's
	return be.AppendUint32(p, uint32(maxBytes))
}

func appendFetchEnd(p []byte) []byte {
	p = be.AppendUint32(p, 0)    // nothing to forget
	return be.AppendUint16(p, 0) // no rack
}

// portion is what a fetch brought of one partition.
type portion struct {
	partition     int32
	err           error
	highWatermark int64
	records       []byte // batches; the last one may be cut
}

// fetched calls each for every partition of an answer to a fetch of one topic.
func fetched(answer []byte, each func(portion)) (correlation, session int32, err error) {
	r := fields{p: answer}
	correlation = r.int32()
	r.int32() // throttle
	code := r.int16()
	session = r.int32()
	if !r.bad && code != 0 {
		return correlation, session, kerr.ErrorForCode(code)
	}
	for topics := r.int32(); topics > 0 && !r.bad; topics-- {
		r.string()
		for partitions := r.int32(); partitions > 0 && !r.bad; partitions-- {
			s := portion{partition: r.int32()}
			s.err = kerr.ErrorForCode(r.int16())
			s.highWatermark = r.int64()
			r.skip(8 + 8) // last stable offset, log start
			if aborted := r.int32(); aborted > 0 {
				r.skip(16 * int(aborted))
			}
			r.int32() // preferred replica
			s.records = r.bytes()
			if !r.bad {
				each(s)
			}
		}
	}
	if r.bad {
		return correlation, session, fmt.Errorf("fetch: %w", errAnswer)
	}
	return correlation, session, nil
}

// fields reads an answer's fields in order. It remembers that something was not there, and reads zeros from then on.
type fields struct {
	p   []byte
	bad bool
}

func (r *fields) take(n int) []byte {
	if n < 0 || n > len(r.p) {
		r.bad, r.p = true, nil
		return nil
	}
	p := r.p[:n:n]
	r.p = r.p[n:]
	return p
}

func (r *fields) skip(n int) { r.take(n) }

func (r *fields) int16() int16 {
	if p := r.take(2); p != nil {
		return int16(be.Uint16(p))
	}
	return 0
}

func (r *fields) int32() int32 {
	if p := r.take(4); p != nil {
		return int32(be.Uint32(p))
	}
	return 0
}

func (r *fields) int64() int64 {
	if p := r.take(8); p != nil {
		return int64(be.Uint64(p))
	}
	return 0
}

func (r *fields) string() { r.skip(max(0, int(r.int16()))) }

func (r *fields) bytes() []byte { return r.take(max(0, int(r.int32()))) }
