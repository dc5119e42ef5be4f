package engine

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/vfs"
	"github.com/millrace/millrace/wire"
	"github.com/millrace/millrace/wire/record"
)

// testdata/kafka is what Apache Kafka 4.4.0 left behind a clean stop: 12 idempotent batches of 5, four transactions of two records each (commit,
// abort, commit, abort), six more batches of the first producer, in segments of 3,000 bytes.
var kafkaID = func() wire.UUID {
	b, err := os.ReadFile("testdata/kafka/orders-0/partition.metadata")
	if err != nil {
		panic(err)
	}
	id, err := parsePartitionMetadata(b)
	if err != nil {
		panic(err)
	}
	return id
}()

// kafkaWorld copies Kafka's directory; clean says whether Kafka's marker is there.
func kafkaWorld(t *testing.T, clean bool) *world {
	w := newWorld(t, vfs.OS, t.TempDir())
	if err := os.CopyFS(w.path, os.DirFS("testdata/kafka")); err != nil {
		t.Fatal(err)
	}
	marker := filepath.Join(w.path, "kafka_cleanshutdown")
	var err error
	if clean {
		err = os.Rename(marker, filepath.Join(w.path, cleanName))
	} else {
		err = os.Remove(marker)
	}
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// A folder that Kafka left opens here and is served with the same bytes, offsets, epochs, timestamps, producers and transactions: after a
// clean stop it is believed, otherwise it is verified.
func TestKafkaFolderOpens(t *testing.T) {
	var bytesOnDisk []byte
	for _, base := range []string{"00000000000000000000", "00000000000000000035", "00000000000000000062"} {
		b, err := os.ReadFile("testdata/kafka/orders-0/" + base + logSuffix)
		if err != nil {
			t.Fatal(err)
		}
		bytesOnDisk = append(bytesOnDisk, b...)
	}
	for name, clean := range map[string]bool{"after a clean stop": true, "after a crash": false} {
		t.Run(name, func(t *testing.T) {
			w := kafkaWorld(t, clean).open()
			if got := w.d.Partitions(); len(got) != 1 || got[0] != (PartitionDir{"orders", 0, kafkaID}) {
				t.Fatalf("partitions %+v", got)
			}
			if w.d.Clean() != clean {
				t.Fatal(w.d.how)
			}
			l := w.d.Log("orders", kafkaID, 0, Config{SegmentBytes: 3000, IndexInterval: 300, RetentionMs: -1})
			if err := w.ready(l); err != nil {
				t.Fatal(err)
			}
			if l.LogStart() != 0 || l.LogEnd() != 78 || l.HighWatermark() != 78 || l.FlushedTo() != 78 {
				t.Fatalf("[%d, %d), high watermark %d, flushed to %d", l.LogStart(), l.LogEnd(), l.HighWatermark(), l.FlushedTo())
			}
			checkKafkaLog(t, w, l, bytesOnDisk)
			// It goes on: the first producer's next batch is in sequence, its last one a duplicate.
			list, err := w.read(l, 77, 78)
			if err != nil {
				t.Fatal(err)
			}
			last := list[0]
			if a, err := w.append(l, bytes.Clone(last), 0); err != nil || !a.Duplicate || a.BaseOffset != 77 {
				t.Fatalf("%+v %v", a, err)
			}
			next := produced(last.ProducerID(), last.ProducerEpoch(), last.LastSequence()+1, 1, 1790000040000)
			if a, err := w.append(l, next, 0); err != nil || a.BaseOffset != 78 {
				t.Fatalf("%+v %v", a, err)
			}
			w.close()

			// And a second start of ours believes our own table.
			w.open()
			if w.d.how != stopClean {
				t.Fatal(w.d.how)
			}
			l = w.d.Log("orders", kafkaID, 0, Config{SegmentBytes: 3000, IndexInterval: 300, RetentionMs: -1})
			if l.Ready() != nil || l.LogEnd() != 79 {
				t.Fatal(l.Ready(), l.LogEnd())
			}
			checkKafkaLog(t, w, l, bytesOnDisk)
			w.close()
		})
	}
}

func checkKafkaLog(t *testing.T, w *world, l *Log, want []byte) {
	t.Helper()
	list, err := w.read(l, 0, 78)
	if err != nil {
		t.Fatal(err)
	}
	var got []byte
	for _, b := range list {
		got = append(got, b...)
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("%d bytes served, %d in Kafka's files, different", len(got), len(want))
	}
	var marker record.Batch
	for _, b := range list {
		if b.Control() && marker == nil {
			marker = b
		}
	}
	for _, c := range []struct{ ts, offset, found int64 }{
		{0, 0, 1790000000000}, {1790000001001, 6, 1790000001001}, {1790000011005, 60, 1790000020000},
		{1790000030004, marker.BaseOffset(), marker.MaxTimestamp()}, // a marker has a timestamp too: of the coordinator's clock, months later
	} {
		var offset, ts int64
		err := w.eventually(func() (err error) {
			offset, ts, _, err = l.OffsetForTime(c.ts, true)
			return err
		})
		if err != nil || offset != c.offset || ts != c.found {
			t.Errorf("offset for %d: %d at %d, %v; want %d at %d", c.ts, offset, ts, err, c.offset, c.found)
		}
	}
	aborted, err := l.Aborted(nil, 0, 78)
	if err != nil {
		t.Fatal(err)
	}
	var txns []AbortedTxn
	first := map[int64]int64{}
	for _, b := range list {
		if b.Control() {
			if m, err := record.ParseControl(b); err == nil && !m.Commit {
				txns = append(txns, AbortedTxn{b.ProducerID(), first[b.ProducerID()]})
			}
			delete(first, b.ProducerID())
		} else if _, open := first[b.ProducerID()]; b.Transactional() && !open {
			first[b.ProducerID()] = b.BaseOffset()
		}
	}
	if diff := cmp.Diff(txns, aborted); diff != "" || len(txns) != 2 {
		t.Errorf("aborted transactions, -want +got\n%s", diff)
	}
	if got := l.LastStable(78); got != 78 {
		t.Errorf("last stable %d", got)
	}
	if epoch, end, err := l.EpochEnd(0); epoch != 0 || end != l.LogEnd() || err != nil {
		t.Errorf("epoch %d ends at %d, %v", epoch, end, err)
	}
}

// What we write beside the log for Kafka is what Kafka wrote, byte for byte.
func TestKafkaFilesAreByteExact(t *testing.T) {
	read := func(name string) []byte {
		b, err := os.ReadFile("testdata/kafka/" + name)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for _, name := range []string{"orders-0/00000000000000000035.snapshot", "orders-0/00000000000000000062.snapshot", "orders-0/00000000000000000078.snapshot"} {
		b := read(name)
		list, err := parseSnapshot(b)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got := appendSnapshot(nil, list); !bytes.Equal(got, b) {
			// Kafka's order is that of its hash map.
			if len(got) != len(b) {
				t.Errorf("%s:\n got %x\nwant %x", name, got, b)
			}
			again, err := parseSnapshot(got)
			if err != nil || len(again) != len(list) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	e, err := parseEpochs(read("orders-0/leader-epoch-checkpoint"))
	if err != nil || !bytes.Equal(e.append(nil), read("orders-0/leader-epoch-checkpoint")) {
		t.Errorf("epochs %v: %q, %v", &e, e.append(nil), err)
	}
	if got := appendPartitionMetadata(nil, kafkaID); !bytes.Equal(got, read("orders-0/partition.metadata")) {
		t.Errorf("partition.metadata %q", got)
	}
	c, err := parseOffsetCheckpoint(read("recovery-point-offset-checkpoint"))
	if err != nil || !bytes.Equal(c.append(nil), read("recovery-point-offset-checkpoint")) {
		t.Errorf("checkpoint %v: %q, %v", c, c.append(nil), err)
	}
	m, err := parseMetaProperties(read("meta.properties"))
	if err != nil || m.nodeID != 1 || m.clusterID == "" || m.directoryID.IsZero() {
		t.Errorf("meta.properties %+v, %v", m, err)
	}
	again, err := parseMetaProperties(m.append(nil))
	if err != nil || again != m {
		t.Errorf("meta.properties %+v, %v", again, err)
	}
	if starts, ours := parseCleanMarker(read("kafka_cleanshutdown")); ours {
		t.Errorf("Kafka's marker taken for ours, %d starts", starts)
	}
}

// The state that replaying Kafka's whole log gives is the one in Kafka's own snapshots, batch for batch.
func TestReplayAgreesWithKafkasSnapshots(t *testing.T) {
	w := kafkaWorld(t, true).open()
	l := w.d.Log("orders", kafkaID, 0, Config{RetentionMs: -1})
	if err := w.ready(l); err != nil {
		t.Fatal(err)
	}
	list, err := w.read(l, 0, 78)
	if err != nil {
		t.Fatal(err)
	}
	var ps producers
	next := 0
	for _, at := range []int64{35, 62, 78} {
		for ; next < len(list) && list[next].BaseOffset() < at; next++ {
			ps.apply(list[next])
		}
		b, err := os.ReadFile("testdata/kafka/orders-0/" + offsetName(at, snapshotSuffix))
		if err != nil {
			t.Fatal(err)
		}
		want, err := parseSnapshot(b)
		if err != nil {
			t.Fatal(err)
		}
		if got := appendSnapshot(nil, ps.sorted()); !bytes.Equal(got, b) {
			reread, _ := parseSnapshot(got)
			t.Errorf("at %d:\n got %+v\nwant %+v", at, reread, want)
		}
	}
	w.close()
}
