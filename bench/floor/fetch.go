package floor

import (
	"strings"
	"time"

	"github.com/millrace/millrace/wire"
)

// parkedFetch is a fetch: what it asks for, kept beyond its frame.
type parkedFetch struct {
	header   wire.Header
	deadline time.Time
	min, max int
	wants    []want
}

// want is a partition of a fetch. Those of one topic follow each other.
type want struct {
	name   string
	id     wire.UUID
	index  int32
	offset int64
	most   int
	first  bool // of its topic
}

// takeFetch answers a fetch, or parks it. There are no sessions: every fetch names all it wants, as one does that was not offered any.
func (l *loop) takeFetch(c *conn, h wire.Header, body []byte) error {
	req := &l.fetchRequest
	if err := req.Decode(h.Version, body); err != nil {
		return err
	}
	now := time.Now()
	f := &c.fetch
	f.header = wire.Header{Key: h.Key, Version: h.Version, CorrelationID: h.CorrelationID}
	f.deadline = now.Add(time.Duration(req.MaxWaitMs) * time.Millisecond)
	f.min, f.max = int(req.MinBytes), int(req.MaxBytes)
	f.wants = f.wants[:0]
	for i := range req.Topics {
		t := &req.Topics[i]
		name := ""
		if known := l.topics[t.Name]; known != nil {
			name = known.name
		} else if t.Name != "" {
			name = strings.Clone(t.Name)
		}
		for j := range t.Partitions {
			p := &t.Partitions[j]
			f.wants = append(f.wants, want{name, t.TopicID, p.Index, p.FetchOffset, int(p.PartitionMaxBytes), j == 0})
		}
	}
	if !l.answerFetch(c, now) {
		c.parked = true
		l.parked = append(l.parked, c)
	}
	return nil
}

// answerFetch answers when there is enough, or an error to tell, or no more time to wait.
func (l *loop) answerFetch(c *conn, now time.Time) bool {
	f, resp := &c.fetch, &l.fetchAnswer
	resp.Default()
	l.extents = l.extents[:0]
	var ends [16]int // of each partition's extents
	parts := ends[:0]
	total, wrong := 0, false
	var rt *wire.FetchResponseTopic
	for i := range f.wants {
		w := &f.wants[i]
		if w.first {
			rt = resp.AddTopic()
			rt.Name, rt.TopicID = w.name, w.id
		}
		rp := rt.AddPartition()
		rp.Index = w.index
		p := l.partition(w.name, w.id, f.header.Version >= 13, w.index)
		switch {
		case p == nil:
			rp.ErrorCode, wrong = wire.UnknownTopicOrPartition, true
		case w.offset < 0 || w.offset > p.next:
			rp.ErrorCode, wrong = wire.OffsetOutOfRange, true
			fallthrough
		default:
			rp.HighWatermark, rp.LastStableOffset, rp.LogStartOffset = p.next, p.next, 0
			if rp.ErrorCode == wire.None && total < f.max {
				n := 0
				l.extents, n = p.read(l.extents, w.offset, min(w.most, f.max-total))
				rp.RecordsSize = int32(n)
				total += n
				if n > 0 {
					parts = append(parts, len(l.extents))
				}
			}
		}
	}
	if total < f.min && !wrong && now.Before(f.deadline) {
		return false
	}
	c.out.answerWith(f.header, resp, &l.holes, l.extents, parts, total)
	return true
}
