package engine

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/millrace/millrace/internal/vfs"
	"github.com/millrace/millrace/segment"
	"github.com/millrace/millrace/wire"
	"github.com/millrace/millrace/wire/record"
)

// goroutines runs jobs as the broker does.
type goroutines struct{ wg sync.WaitGroup }

func (g *goroutines) run(job func()) { g.wg.Go(job) }

// waitFor retries f until it does not answer ErrWait, waking up when the log says so.
func waitFor(l *Log, f func() error) error {
	for {
		err := f()
		if !errors.Is(err, ErrWait) {
			return err
		}
		ready := make(chan struct{})
		l.WhenReady(func() { close(ready) })
		<-ready
	}
}

// One appender, readers of both ends, a flusher, and a clock that closes idle files, deletes by size and by request, all at once. Readers see
// every offset in order, nothing twice, nothing torn.
func TestEverythingAtOnce(t *testing.T) {
	for name, c := range map[string]Config{
		"fsync":      {SegmentBytes: 32 << 10, RetentionBytes: 256 << 10, FileDeleteDelayMs: -1, Durable: true},
		"replicated": {SegmentBytes: 32 << 10, RetentionBytes: 256 << 10, FileDeleteDelayMs: -1},
	} {
		t.Run(name, func(t *testing.T) {
			var g goroutines
			d, err := OpenDir(DirOptions{FS: vfs.OS, Path: t.TempDir(), Go: g.run, IdleAfter: 3000})
			if err != nil {
				t.Fatal(err)
			}
			l := d.Log("t", testID, 0, c)
			everythingAtOnce(t, d, l)
			if err := d.Close(true); err != nil {
				t.Fatal(err)
			}
			g.wg.Wait()
		})
	}
}

func everythingAtOnce(t *testing.T, d *Dir, l *Log) {
	const appends = 2500
	var now atomic.Int64
	now.Store(1_000_000)
	var stop atomic.Bool
	var wg sync.WaitGroup
	loop := func(f func() error) {
		wg.Go(func() {
			for !stop.Load() {
				if err := f(); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	loop(func() error {
		to, err := l.Flush()
		if end := l.LogEnd(); err == nil && to > end {
			return errors.New("flushed beyond the end")
		}
		return err
	})
	loop(func() error {
		if err := d.Tick(now.Add(100)); err != nil {
			return err
		}
		l.NoteHighWatermark(l.LogEnd())
		if _, err := l.Retain(now.Load(), l.LogEnd()); err != nil {
			return err
		}
		if now.Load()%5000 == 0 {
			l.Idle(now.Load(), 0)
		}
		if now.Load()%3000 == 0 {
			return l.DeleteBefore(l.LogStart() + (l.LogEnd()-l.LogStart())/2)
		}
		return nil
	})
	for range 3 {
		at := int64(0)
		loop(func() (err error) { at, err = readSome(l, at); return err })
	}
	for i := range appends {
		b := produced(int64(i%3), 0, int32(i/3*2), 2, now.Load())
		err := waitFor(l, func() error { _, err := l.Append(b, int32(i/500), now.Load()); return err })
		if err != nil {
			t.Error(err)
			break
		}
	}
	at := int64(0) // a reader that sees the end
	for at < l.LogEnd() {
		var err error
		if at, err = readSome(l, at); err != nil {
			t.Error(err)
			break
		}
	}
	stop.Store(true)
	wg.Wait()
	if end := l.LogEnd(); end != 2*appends {
		t.Errorf("log end %d", end)
	}
}

// readSome reads from an offset on and returns the next one.
func readSome(l *Log, at int64) (next int64, err error) {
	var s vfs.Slice
	err = waitFor(l, func() (err error) {
		s, err = l.Read(at, l.LogEnd(), 8<<10, true, false)
		if errors.Is(err, segment.ErrCold) {
			s, err = l.Read(at, l.LogEnd(), 8<<10, true, true)
		}
		return err
	})
	if errors.Is(err, wire.OffsetOutOfRange) {
		return max(at, l.LogStart()), nil
	}
	if err != nil {
		return at, err
	}
	defer s.Release()
	p := make([]byte, s.Length)
	if _, err := s.ReadAt(p, 0); err != nil && err != io.EOF {
		return at, err
	}
	for first := true; len(p) > 0; first = false {
		b, rest, err := record.Next(p)
		if errors.Is(err, io.ErrUnexpectedEOF) && !first {
			break
		}
		if err == nil {
			err = b.CheckHeader()
		}
		if err == nil && (b.BaseOffset() > at || b.NextOffset() <= at) {
			err = errors.New("offsets are not in order")
		}
		if err != nil {
			return at, err
		}
		at, p = b.NextOffset(), rest
	}
	return at, nil
}
