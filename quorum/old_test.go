package quorum

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/millrace/millrace/engine"
	"github.com/millrace/millrace/internal/vfs"
	"github.com/millrace/millrace/meta"
	"github.com/millrace/millrace/wire"
	"github.com/millrace/millrace/wire/record"
)

// writeOld writes a metadata log as the versions before the cluster did: each record of a decision is one of the batch, without a key, at an
// offset of its own; all in leader epoch 1. With a snapshot after so many decisions, if that is not 0.
func writeOld(t *testing.T, fs *vfs.Mem, decisions, snapshotAfter int, roll bool) *meta.Image {
	t.Helper()
	n := newSim(t, 3, 1).nodes[0]
	n.fs, n.id = fs, 1
	dir, err := engine.OpenDir(engine.DirOptions{FS: fs, Path: dataDir, Go: func(job func()) { n.jobs = append(n.jobs, job) }, NodeID: 1, BootID: "old", Rand: n.rand.Uint64})
	if err != nil {
		t.Fatal(err)
	}
	l := dir.Log(Topic, TopicID, 0, engine.Config{SegmentBytes: segmentBytes, RetentionMs: -1, RetentionBytes: -1, Durable: true})
	d := &disk{log: l, await: n.await}
	im := meta.Empty()
	for i := range decisions {
		var records []meta.Record
		if i == 0 {
			rs, err := meta.RegisterBroker(im, meta.Broker{ID: 1})
			if err != nil {
				t.Fatal(err)
			}
			records = append(meta.Bootstrap(dir.ClusterID()), rs...)
		} else {
			rs, results := meta.CreateTopics(im, []meta.NewTopic{{Name: fmt.Sprint("old-", i), Partitions: 3, ReplicationFactor: 1}}, &meta.Rules{}, n.rand.Uint64)
			if results[0].Code != wire.None {
				t.Fatal(results[0])
			}
			records = rs
		}
		var w record.Builder
		for _, r := range records {
			w.Add(1, nil, meta.AppendRecord(nil, r))
		}
		_, batch, err := w.Build(nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := d.retry(func() error { _, err := l.Append(batch, 1, 1); return err }); err != nil {
			t.Fatal(err)
		}
		if im, err = im.Apply(records, im.Index()+1); err != nil {
			t.Fatal(err)
		}
		if i+1 == snapshotAfter {
			f, err := fs.OpenFile(filepath.Join(folder(dataDir), fmt.Sprintf("%020d-%010d.checkpoint", im.Index()+1, 1)), os.O_CREATE|os.O_RDWR, 0o644)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := f.WriteAt(im.AppendSnapshot(nil), 0); err != nil {
				t.Fatal(err)
			}
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
			if roll {
				if err := l.Roll(); err != nil {
					t.Fatal(err)
				}
				if err := d.retry(func() error { return l.DeleteBefore(im.Index() + 1) }); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	if _, err := l.Flush(); err != nil {
		t.Fatal(err)
	}
	for len(n.jobs) > 0 {
		n.job()
	}
	if err := dir.Close(true); err != nil {
		t.Fatal(err)
	}
	return im
}

// A directory of the versions before the cluster starts, goes on, and starts again, whatever of it is covered by which snapshot.
func TestLogsFromBeforeTheCluster(t *testing.T) {
	for _, c := range []struct {
		decisions, snapshotAfter int
		cut                      bool
	}{{1, 0, false}, {30, 0, false}, {30, 10, false}, {30, 10, true}, {30, 30, true}} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			fs := vfs.NewMem()
			want := writeOld(t, fs, c.decisions, c.snapshotAfter, c.cut)
			o := Options{SnapshotRecords: 25, SnapshotBytes: 1 << 30}
			n := mustStart(t, fs, o)
			if n.q.Image().Hash() != want.Hash() {
				t.Fatalf("another image:\n%s\n%s", n.q.Image(), want)
			}
			for life := range 4 {
				n.found()
				for i := range 12 {
					if _, err := n.propose(n.createTopic(fmt.Sprintf("new-%d-%d", life, i), 1)); err != nil {
						t.Fatal(err)
					}
				}
				if epoch := n.q.Status().Epoch; epoch != 1 {
					t.Errorf("term %d in life %d", epoch, life)
				}
				im, clean := n.q.Image(), life%2 == 0
				n.stop(clean)
				if !clean {
					fs = clone(fs)
				}
				n = mustStart(t, fs, o)
				if n.q.Image().Hash() != im.Hash() {
					t.Fatalf("life %d: another image came back", life)
				}
			}
			n.stop(true)
		})
	}
}
