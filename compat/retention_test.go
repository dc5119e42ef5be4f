//go:build compat

package compat

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestPictureRetention: retention removes what is due, and nothing that is not.
func TestPictureRetention(t *testing.T) {
	addr := bootstrap
	if bootstrap == "" {
		addr = startMillrace(t, t.TempDir(), "log.retention.check.interval.ms=200").addr
	} else if os.Getenv("MILLRACE_COMPAT_RETENTION") == "" {
		t.Skip("the broker is not ours; if it has log.retention.check.interval.ms=200, set MILLRACE_COMPAT_RETENTION")
	}
	t.Parallel() // it waits half a minute for the first look of retention
	budget(t, "picture: retention", 50*time.Second)
	admin := kadm.NewClient(connect(t, addr))
	old, fresh := time.Now().Add(-2*time.Hour), time.Now()
	hour := "3600000"
	for _, c := range []struct {
		topic  string
		config map[string]string
		due    int64 // the first record that has to stay lies in the segment that begins at or before this offset
	}{
		{"receipts-by-time", map[string]string{"retention.ms": hour, "segment.bytes": "1048576"}, 3_000},
		{"receipts-by-size", map[string]string{"retention.ms": "-1", "retention.bytes": "2097152", "segment.bytes": "1048576"}, 0},
		{"receipts-for-ever", map[string]string{"retention.ms": "-1", "retention.bytes": "-1", "segment.bytes": "1048576"}, 0},
	} {
		topic := c.topic + time.Now().Format("-150405.000")
		create(t, addr, topic, c.config)
		p := connect(t, addr, kgo.DefaultProduceTopic(topic), kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.ProducerBatchMaxBytes(50_000),
			kgo.MaxBufferedRecords(100))
		var failed kgo.FirstErrPromise
		for i := range 6_000 { // 1,000 bytes each: the first half from two hours ago, the rest of now
			at := old
			if i >= 3_000 {
				at = fresh
			}
			p.Produce(t.Context(), &kgo.Record{Timestamp: at, Value: fmt.Appendf(nil, "%08d%s", i, strings.Repeat("r", 992))}, failed.Promise())
		}
		if err := failed.Err(); err != nil {
			t.Fatal(err)
		}
		first := func() int64 {
			starts, err := admin.ListStartOffsets(t.Context(), topic)
			if err != nil {
				t.Fatal(err)
			}
			o, _ := starts.Lookup(topic, 0)
			return o.Offset
		}
		var from, atMost int64
		switch c.topic {
		case "receipts-by-time": // all segments of old records only: at least two, each of which lacks less than a batch of 50,000 bytes to its MiB
			eventually(t, 90*time.Second, topic+" is cut", func() bool { from = first(); return from >= 2*(1_048_576-50_000)/1_020 })
			atMost = 3_000
		case "receipts-by-size": // what is above 2 MiB in whole segments: 3 of them are enough
			eventually(t, 90*time.Second, topic+" is cut", func() bool { from = first(); return from > 2_500 })
			atMost = 6_000 - 2*1_048_576/1_100
		}
		if from > atMost {
			t.Errorf("%s begins at %d: records that were not due are gone; at most %d were", topic, from, atMost)
		}
		n := int(6_000 - from)
		next := from
		each(t, addr, topic, n, func(r *kgo.Record) {
			if want := fmt.Sprintf("%08d", next); r.Offset != next || string(r.Value[:8]) != want {
				t.Errorf("%s has %d, %s where %d is due", topic, r.Offset, r.Value[:8], next)
			}
			next++
		})
	}
}
