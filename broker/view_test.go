package broker

import (
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/internal/vfs"
	"github.com/millrace/millrace/wire"
	"github.com/millrace/millrace/wire/record"
)

// api is what the view says of one API.
func (v View) api(name string) APIStats {
	for _, a := range v.APIs() {
		if a.Name == name {
			return a
		}
	}
	return APIStats{}
}

func (v View) topic(name string) (found TopicStats) {
	v.Topics(true, func(t *TopicStats) {
		if t.Name == name {
			found = *t
			found.Partitions = append([]PartitionStats(nil), t.Partitions...)
		}
	})
	return found
}

// What a request has come to is counted once for it, and once for each partition it names.
func TestViewCountsWhatRequestsComeTo(t *testing.T) {
	n := startNode(t, "millrace.durability=os")
	id := createTopic(t, n, "t", 2)
	c, v := dial(t, n), n.View()
	batch := batchOf(t, record.None, "one", "two", "three")
	for range 2 {
		ask[*kmsg.ProduceResponse](c, produceRequest(9, -1, "t", id, 1, batch))
	}
	corrupt := append([]byte(nil), batch...)
	corrupt[len(corrupt)-1] ^= 1
	ask[*kmsg.ProduceResponse](c, produceRequest(9, -1, "t", id, 1, corrupt))
	ask[*kmsg.ProduceResponse](c, produceRequest(9, -1, "t", id, 7, batch))
	ask[*kmsg.FetchResponse](c, fetchRequest(12, "t", id, 1, 0))
	ask[*kmsg.FetchResponse](c, fetchRequest(12, "t", id, 1, 99))
	ask[*kmsg.FetchResponse](c, fetchRequest(12, "missing", id, 0, 0))
	dial(t, n).write([]byte{0, 0, 0, 4, 0x7f, 0xff, 0, 0})
	bad := dial(t, n)
	bad.write([]byte{0, 0, 0, 11, 0, 1, 0, 12, 0, 0, 0, 1, 0xff, 0xff, 0}) // a fetch that ends in its header
	bad.mustClose()
	last := ask[*kmsg.FetchResponse](c, fetchRequest(12, "t", id, 0, 0)) // what came before on the connection has left, and is counted
	if last.ErrorCode != 0 {
		t.Fatal(last.ErrorCode)
	}

	topic := v.topic("t")
	size := int64(2 * len(batch))
	if got, want := topic.Partitions[1].Counts, (Counts{BytesIn: size, RecordsIn: 6, BytesOut: size, Produces: 3, Fetches: 2}); got != want {
		t.Errorf("partition 1: %+v, want %+v", got, want)
	}
	if topic.Led != 2 || topic.Sum.Visible != 6 || topic.Sum.Size != size || topic.Sum.Replicas != 2 || topic.Sum.AtMinISR != 2 || topic.Sum.UnderMinISR != 0 || topic.Sum.Preferred != 1 {
		t.Errorf("%+v", topic)
	}
	if got, want := v.Beside(), (Counts{Produces: 1, Fetches: 1}); got != want {
		t.Errorf("beside: %+v, want %+v", got, want)
	}
	produce, fetch := v.api("Produce"), v.api("Fetch")
	if got := produce.Errors; produce.Took.Count() != 4 || len(got) != 2 || got["CORRUPT_MESSAGE"] != 1 || got["UNKNOWN_TOPIC_OR_PARTITION"] != 1 {
		t.Errorf("Produce: %d answered, errors %v", produce.Took.Count(), got)
	}
	if got := fetch.Errors; fetch.Took.Count() < 3 || len(got) != 2 || got["OFFSET_OUT_OF_RANGE"] != 1 || got["UNKNOWN_TOPIC_OR_PARTITION"] != 1 || fetch.Closed != 1 {
		t.Errorf("Fetch: %d answered, errors %v, %d closed", fetch.Took.Count(), got, fetch.Closed)
	}
	if got := v.api("").Closed; got != 1 {
		t.Errorf("%d requests of no API", got)
	}

	// A sum over all does not go down when a topic does.
	deleteTopic(t, n, "t")
	if got, want := v.Beside(), (Counts{BytesIn: size, RecordsIn: 6, BytesOut: size, Produces: 4, Fetches: 4}); got != want {
		t.Errorf("beside, with the topic gone: %+v, want %+v", got, want)
	}
}

// A look opens no log: what it says of one that nobody has used since the start is what the last run left.
func TestViewOfALogThatIsClosed(t *testing.T) {
	dir := t.TempDir()
	n := startNodeIn(t, dir)
	id := createTopic(t, n, "t", 1)
	ask[*kmsg.ProduceResponse](dial(t, n), produceRequest(9, -1, "t", id, 0, batchOf(t, record.None, "one", "two")))
	stopNode(t, n)
	n = startNodeIn(t, dir)
	p := n.table.Lookup("t", 0)
	if got := n.View().topic("t").Partitions[0]; got.Visible != 2 || got.LogStart != 0 || got.Size == 0 || got.Counts != (Counts{}) {
		t.Errorf("%+v", got)
	}
	if p.HighWatermark() != 0 {
		t.Error("the look has opened the log")
	}
}

func TestUnreadyWhenOfflineOrStopping(t *testing.T) {
	fs := &faultyFS{FS: vfs.OS, word: "/t-"}
	n := tryStart(t, Options{DataDir: t.TempDir(), FS: fs})
	id := createTopic(t, n, "t", 1)
	c, v := dial(t, n), n.View()
	fill(c, "t", 0, "first")
	if why := v.Unready(); why != "" || v.Node().Offline {
		t.Fatalf("unready: %s", why)
	}
	fs.failSync.Store(true)
	wantCode(t, c.produce(produceRequest(9, -1, "t", id, 0, batchOf(t, record.None, "lost"))).ErrorCode, wire.KafkaStorageError)
	if why := v.Unready(); !strings.Contains(why, "offline") || !strings.Contains(why, "injected: EIO") || !v.Node().Offline {
		t.Errorf("unready: %s", why)
	}
	n.Kill() // a clean stop cannot flush
	if why := v.Unready(); why != "stopping" {
		t.Errorf("unready: %s", why)
	}
}

// The lag of a group is known where the partition is led, and never negative.
func TestLag(t *testing.T) {
	n := startNode(t)
	id := createTopic(t, n, "t", 1)
	ask[*kmsg.ProduceResponse](dial(t, n), produceRequest(9, -1, "t", id, 0, batchOf(t, record.None, "one", "two")))
	for _, c := range []struct {
		topic     string
		partition int32
		offset    int64
		want      int64
	}{{"t", 0, 0, 2}, {"t", 0, 2, 0}, {"t", 0, 9, 0}, {"t", 1, 0, -1}, {"gone", 0, 0, -1}} {
		if got := n.lag(c.topic, c.partition, c.offset); got != c.want {
			t.Errorf("%s-%d at %d: %d, want %d", c.topic, c.partition, c.offset, got, c.want)
		}
	}
}

func TestCodesAreCounted(t *testing.T) {
	var c codeCounts
	for _, code := range []wire.Code{wire.None, wire.UnknownServerError, wire.OffsetOutOfRange, wire.OffsetOutOfRange, 12345} {
		c.add(code)
	}
	got := c.byName()
	if len(got) != 2 || got["OFFSET_OUT_OF_RANGE"] != 2 || got["UNKNOWN_SERVER_ERROR"] != 2 {
		t.Errorf("%v", got)
	}
}
