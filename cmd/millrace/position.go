package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// position is a place in a partition as people write it.
type position struct {
	kind positionKind
	n    int64 // an offset, a number of records before the end, or milliseconds since 1970
}

type positionKind uint8

const (
	atStart positionKind = iota
	beforeEnd
	atOffset
	atTime
)

// positionHelp explains the language once for all commands that take it.
const positionHelp = `start (earliest), end (latest), an offset, -N for N before the end, or a time: @1767225600000
(milliseconds since 1970), @2026-01-01T00:00:00Z, or @-90m for so long ago`

// parsePosition reads start, end, N, -N and @TIME.
func parsePosition(text string, now time.Time) (position, error) {
	switch text {
	case "start", "beginning", "earliest":
		return position{atStart, 0}, nil
	case "end", "latest":
		return position{beforeEnd, 0}, nil
	}
	if at, ok := strings.CutPrefix(text, "@"); ok {
		ms, err := parseTime(at, now)
		return position{atTime, ms}, err
	}
	n, err := strconv.ParseInt(text, 10, 64)
	switch {
	case err != nil || text[0] == '+':
		if _, err := parseTime(text, now); err == nil {
			return position{}, fmt.Errorf("a time begins with @, as in @%s", text)
		}
		return position{}, errors.New("want start, end, a number, -N or @TIME")
	case text[0] == '-':
		return position{beforeEnd, -max(n, -math.MaxInt64)}, nil
	}
	return position{atOffset, n}, nil
}

func parseTime(text string, now time.Time) (ms int64, err error) {
	if ms, err := strconv.ParseInt(text, 10, 64); err == nil && ms >= 0 {
		return ms, nil
	}
	if ago, err := time.ParseDuration(text); err == nil && ago < 0 {
		return now.Add(ago).UnixMilli(), nil
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02"} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UnixMilli(), nil
		}
	}
	return 0, errors.New("want milliseconds since 1970, a time like 2026-01-02T15:04:05Z (UTC), or how long ago like -1h30m")
}

// offset is what the client calls it.
func (p position) offset() kgo.Offset {
	switch p.kind {
	case beforeEnd:
		return kgo.NewOffset().AtEnd().Relative(-p.n)
	case atOffset:
		return kgo.NewOffset().At(p.n)
	case atTime:
		return kgo.NewOffset().AfterMilli(p.n)
	}
	return kgo.NewOffset().AtStart()
}

// bounds is what a partition has: offsets from start to end.
type bounds struct {
	start, end int64
	err        error
}

// clamp moves an offset that the partition does not have to the nearest it has, and says so.
func (b bounds) clamp(offset int64) (clamped int64, note string) {
	switch {
	case offset < b.start:
		return b.start, fmt.Sprintf("%d is before the start", offset)
	case offset > b.end:
		return b.end, fmt.Sprintf("%d is after the end", offset)
	}
	return offset, ""
}

// partitions are values by topic and partition.
type partitions[T any] map[string]map[int32]T

func (p partitions[T]) set(topic string, partition int32, value T) {
	if p[topic] == nil {
		p[topic] = map[int32]T{}
	}
	p[topic][partition] = value
}

// bounds asks for the bounds of all partitions of the topics. A topic that is not there has none.
func (cl *cluster) bounds(ctx context.Context, topics ...string) (partitions[bounds], error) {
	all := partitions[bounds]{}
	if len(topics) == 0 {
		return all, nil // to the client, no topic would be every topic
	}
	starts, err := cl.ListStartOffsets(ctx, topics...)
	if err != nil && !partial(err) {
		return nil, err
	}
	ends, err := cl.ListEndOffsets(ctx, topics...)
	if err != nil && !partial(err) {
		return nil, err
	}
	ends.Each(func(end kadm.ListedOffset) {
		if end.Partition < 0 {
			return // that is how the client says that there is no such topic
		}
		start, ok := starts.Lookup(end.Topic, end.Partition)
		if !ok {
			start.Err = errors.New("no answer")
		}
		all.set(end.Topic, end.Partition, bounds{start.Offset, end.Offset, errors.Join(start.Err, end.Err)})
	})
	return all, nil
}

// partial reports whether some brokers answered and others did not.
func partial(err error) bool {
	var shards *kadm.ShardErrors
	return errors.As(err, &shards) && !shards.AllFailed
}

// resolve finds the offset of a position in every partition of the bounds; one that was named may lie outside of them.
func (cl *cluster) resolve(ctx context.Context, p position, all partitions[bounds]) (offsets partitions[int64], err error) {
	offsets = partitions[int64]{}
	var after kadm.ListedOffsets
	if p.kind == atTime && len(all) > 0 {
		var topics []string
		for topic := range all {
			topics = append(topics, topic)
		}
		if after, err = cl.ListOffsetsAfterMilli(ctx, p.n, topics...); err != nil {
			return nil, err
		}
	}
	for topic, ofTopic := range all {
		for partition, b := range ofTopic {
			at := b.start
			switch p.kind {
			case beforeEnd:
				at = b.end - min(p.n, b.end)
			case atOffset:
				at = p.n
			case atTime:
				o, ok := after.Lookup(topic, partition)
				if !ok || o.Err != nil {
					return nil, fmt.Errorf("%s partition %d: no offset for that time: %w", topic, partition, errors.Join(o.Err, b.err))
				}
				at = o.Offset
			}
			offsets.set(topic, partition, at)
		}
	}
	return offsets, nil
}
