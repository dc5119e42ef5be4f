package engine

import (
	"testing"

	"github.com/millrace/millrace/internal/vfs"
)

// The thin path on both file systems: create, append, roll, read, flush, close, reopen, kill, recover.
func TestAppendReadReopen(t *testing.T) {
	for name, w := range map[string]*world{"mem": memWorld(t), "os": newWorld(t, vfs.OS, t.TempDir())} {
		t.Run(name, func(t *testing.T) {
			w.t = t
			w.open()
			l := w.d.Log("orders", testID, 0, Config{SegmentBytes: 4096})
			for i := range 30 {
				a := w.mustAppend(l, batch(3, 100, int64(1000+i)), 5)
				if a.BaseOffset != int64(3*i) || a.LastOffset != int64(3*i+2) || a.LogAppendTime != -1 {
					t.Fatalf("append %d: %+v", i, a)
				}
			}
			if got := w.flush(l); got != 90 {
				t.Fatalf("flushed to %d", got)
			}
			want := w.dump(l)
			if l.LogEnd() != 90 {
				t.Fatal(l.LogEnd(), want)
			}
			if n := len(l.view.Load().segments); n < 3 {
				t.Fatalf("%d segments", n)
			}
			w.close()

			w.open()
			l = w.d.Log("orders", testID, 0, Config{SegmentBytes: 4096})
			if l.LogEnd() != 90 || l.LogStart() != 0 || l.Ready() != nil {
				t.Fatalf("after a clean stop: [%d, %d) %v", l.LogStart(), l.LogEnd(), l.Ready())
			}
			if got := w.dump(l); got != want {
				t.Fatalf("after a clean stop:\n got %s\nwant %s", got, want)
			}
			w.mustAppend(l, batch(1, 100, 2000), 6)
			want = w.dump(l)
			w.kill()

			w.open()
			l = w.d.Log("orders", testID, 0, Config{SegmentBytes: 4096})
			if err := w.ready(l); err != nil {
				t.Fatal(err)
			}
			if got := w.dump(l); got != want || l.LogEnd() != 91 {
				t.Fatalf("after a kill: end %d\n got %s\nwant %s", l.LogEnd(), got, want)
			}
			w.close()
		})
	}
}
