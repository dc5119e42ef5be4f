package segment

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"unsafe"

	"github.com/millrace/millrace/internal/invariant"
	"github.com/millrace/millrace/internal/vfs"
	"github.com/millrace/millrace/wire/record"
)

// Readers see every published byte, whole batches, and none that is not published; with rolls of the open files in between.
func TestReadersBesideTheAppender(t *testing.T) {
	everywhere(t, func(t *testing.T, w world) {
		var jobs threads
		o := w.options()
		o.Go, o.MaxBytes, o.IndexInterval = jobs.Go, 1<<22, 4096
		s, err := Create(w.dir, 0, o)
		if err != nil {
			t.Fatal(err)
		}
		const size, count = 500, 6000 // a batch's bytes follow from its offset
		var done atomic.Bool
		for i := range 3 {
			jobs.wg.Go(func() {
				r := rand.New(rand.NewPCG(uint64(i), 23))
				for !done.Load() {
					end := s.NextOffset()
					if end == 0 {
						runtime.Gosched()
						continue
					}
					offset := r.Int64N(end)
					if r.IntN(2) == 0 {
						offset = max(0, end-1-r.Int64N(20))
					}
					bound := end - r.Int64N(3)
					sl, err := s.Slice(offset, bound, r.IntN(20_000), r.IntN(2) == 0, r.IntN(4) == 0)
					if errors.Is(err, ErrWait) || errors.Is(err, ErrCold) {
						runtime.Gosched()
						continue
					}
					if err != nil {
						t.Error(err)
						return
					}
					b := make([]byte, sl.Length)
					if len(b) > 0 {
						if n, err := sl.ReadAt(b, 0); n != len(b) {
							t.Errorf("read %d of %d: %v", n, len(b), err)
						}
					}
					sl.Release()
					for len(b) > 0 {
						got, rest, err := record.Next(b)
						if err != nil {
							break // cut short
						}
						if got.BaseOffset() != offset || offset >= bound || !bytes.Equal(got, batch(offset, 0, size, offset)) {
							t.Errorf("offset %d (bound %d): another batch, of %d", offset, bound, got.BaseOffset())
							return
						}
						b = rest
						offset++
					}
				}
			})
		}
		jobs.wg.Go(func() {
			for !done.Load() {
				if _, err := s.Flush(); err != nil {
					t.Error(err)
					return
				}
				runtime.Gosched()
			}
		})
		for offset := range int64(count) {
			mustAppend(t, s, batch(offset, 0, size, offset))
			if offset%1500 == 1499 {
				s.Idle()
			}
		}
		s.Seal()
		if next, err := s.Flush(); err != nil || next != count {
			t.Error(next, err)
		}
		done.Store(true)
		jobs.wg.Wait()
		if err := s.Close(true); err != nil {
			t.Fatal(err)
		}
	})
}

func TestAppendAndSliceAllocateNothing(t *testing.T) {
	everywhere(t, func(t *testing.T, w world) {
		o := w.options()
		o.MaxBytes, o.IndexInterval = 64<<20, 4096
		s, err := Create(w.dir, 0, o)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close(false)
		b := batch(0, 0, 1000, 1)
		mustAppend(t, s, b)
		var jobs manual // from here on background work is put off
		s.o.Go = jobs.Go
		for range 4 { // room for all of the appends below
			s.files.Lock()
			err := s.step(s.open.Load(), 8<<20, minStep)
			s.files.Unlock()
			if err != nil {
				t.Fatal(err)
			}
		}
		f := s.open.Load()
		f.stepAt.Store(never)
		f.writebackAt.Store(never)
		if got := testing.AllocsPerRun(1000, func() {
			b.Stamp(s.NextOffset(), 0)
			if err := s.Append(b); err != nil {
				t.Fatal(err)
			}
		}); got != 0 {
			t.Errorf("Append allocates %v times", got)
		}
		for _, c := range []struct {
			name          string
			offset, bound int64
		}{
			{"at the tail", 999, math.MaxInt64},
			{"at the beginning", 3, math.MaxInt64},
			{"with a bound", 500, 700},
			{"at the end", 1002, math.MaxInt64},
		} {
			if got := testing.AllocsPerRun(1000, func() {
				sl, err := s.Slice(c.offset, c.bound, 1<<20, true, false)
				if err != nil {
					t.Fatal(err)
				}
				sl.Release()
			}); got != 0 {
				t.Errorf("Slice %s allocates %v times", c.name, got)
			}
		}
	})
}

const straceDir = "MILLRACE_SEGMENT_STRACE_DIR"

// TestAppendIsOnePwrite runs itself under strace: between two marks in the trace thousands of batches are appended.
func TestAppendIsOnePwrite(t *testing.T) {
	if dir := os.Getenv(straceDir); dir != "" {
		appendUnderStrace(t, dir)
		return
	}
	if invariant.Enabled {
		t.Skip("the race detector makes system calls of its own")
	}
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("strace is not installed: system calls of an append were not counted")
	}
	// The runtime may interrupt the appender in the middle when the machine is busy; a call of Append's own is in every run.
	var writes int
	var others []string
	for range 5 {
		if writes, others = callsUnderStrace(t, strace); writes == straceAppends && len(others) == 0 {
			return
		}
	}
	t.Errorf("%d writes and %d other system calls during %d appends:\n%s", writes, len(others), straceAppends, strings.Join(others, "\n"))
}

// callsUnderStrace returns the system calls between the marks, of the thread that appends.
func callsUnderStrace(t *testing.T, strace string) (writes int, others []string) {
	trace := t.TempDir() + "/trace"
	cmd := exec.Command(strace, "-f", "-o", trace, os.Args[0], "-test.run=^TestAppendIsOnePwrite$", "-test.count=1")
	cmd.Env = append(os.Environ(), straceDir+"="+t.TempDir(), "GOGC=off", "GODEBUG=asyncpreemptoff=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		if strings.Contains(string(out), "ptrace") || strings.Contains(string(out), "Operation not permitted") {
			t.Skipf("strace may not trace here: %s", out)
		}
		t.Fatalf("%v\n%s", err, out)
	}
	b, err := os.ReadFile(trace)
	if err != nil {
		t.Fatal(err)
	}
	var appender string
	marks := 0
	for line := range strings.Lines(string(b)) {
		pid, call, _ := strings.Cut(line, " ")
		switch {
		case strings.Contains(call, mark):
			marks++
			appender = pid
		case marks != 1 || pid != appender || strings.Contains(call, "resumed") || strings.Contains(call, "futex"):
			// futex is the runtime's scheduler: an append has nobody to wait for
		case strings.HasPrefix(strings.TrimSpace(call), "pwrite64("):
			writes++
		default:
			others = append(others, strings.TrimSpace(call))
		}
	}
	if marks != 2 {
		t.Fatalf("%d marks in the trace, want 2", marks)
	}
	return writes, others
}

const (
	mark          = "millrace-mark"
	straceAppends = 4000
)

func appendUnderStrace(t *testing.T, dir string) {
	var jobs manual
	s, err := Create(dir, 0, Options{Go: jobs.Go})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(false)
	b := batch(0, 0, 1000, 1)
	for s.open.Load().room.Load() < 5<<20 { // as a broker's tail is after a while: room ahead
		b.Stamp(s.NextOffset(), 0)
		if err := s.Append(b); err != nil && err != ErrWait {
			t.Fatal(err)
		}
		jobs.run()
	}
	runtime.LockOSThread()
	writeMark()
	for range straceAppends {
		b.Stamp(s.NextOffset(), 0)
		if err := s.Append(b); err != nil {
			panic(err)
		}
	}
	writeMark()
}

// writeMark leaves a line in the trace.
func writeMark() {
	name := append([]byte("/nonexistent/"+mark), 0)
	// Raw: an ordinary system call may wake threads of the runtime, and those calls would be counted.
	_, _, _ = syscall.RawSyscall(syscall.SYS_ACCESS, uintptr(unsafe.Pointer(&name[0])), 0, 0)
}

// timed is a segment whose timestamps and the model to compare with are known.
func TestOffsetForTime(t *testing.T) {
	everywhere(t, func(t *testing.T, w world) {
		r := rand.New(rand.NewPCG(25, 26))
		s, err := Create(w.dir, 100, w.options())
		if err != nil {
			t.Fatal(err)
		}
		type rec struct{ offset, timestamp int64 }
		var recs []rec
		now := int64(1000)
		check := func() {
			t.Helper()
			for range 400 {
				ts, from := 900+r.Int64N(now-850), 100+r.Int64N(s.NextOffset()-99)
				if r.IntN(2) == 0 {
					from = 100
				}
				found, ok, err := s.OffsetForTime(ts, from, true)
				if err != nil {
					t.Fatal(err)
				}
				var want Found
				wantOK := false
				for _, rec := range recs {
					if rec.timestamp >= ts && rec.offset >= from {
						want, wantOK = Found{rec.offset, rec.timestamp, 3}, true
						break
					}
				}
				if ok != wantOK || found != want {
					t.Fatalf("OffsetForTime(%d, %d) = %+v, %v; want %+v, %v", ts, from, found, ok, want, wantOK)
				}
			}
		}
		for round := range 4 {
			for range 300 {
				n := 1 + r.IntN(4)
				timestamps := make([]int64, n)
				for i := range timestamps {
					if r.IntN(4) == 0 && round != 2 { // in round 2 time stands still
						now += r.Int64N(8)
					}
					timestamps[i] = now - r.Int64N(30)*r.Int64N(2)
					recs = append(recs, rec{s.NextOffset() + int64(i), timestamps[i]})
				}
				mustAppend(t, s, batch(s.NextOffset(), 3, 100+r.IntN(300), timestamps...))
			}
			check()
		}
		s.Seal()
		s.Idle()
		check()
		if err := s.Close(true); err != nil {
			t.Fatal(err)
		}
		o := w.options()
		sealed, err := OpenSealed(w.dir, 100, s.NextOffset(), o)
		if err != nil {
			t.Fatal(err)
		}
		s = sealed
		check()
	})
}

// A look-up by timestamp reads at most 64 KiB of log, in a segment of 1 GiB too, and however long the clock stood still.
func TestOffsetForTimeReadsLittle(t *testing.T) {
	for _, bursts := range []int{1, 3000} { // batches that share a millisecond
		t.Run(fmt.Sprint(bursts, " batches a millisecond"), func(t *testing.T) {
			m := vfs.NewMem()
			if err := m.MkdirAll("/d", 0o755); err != nil {
				t.Fatal(err)
			}
			o := Options{FS: m, MaxBytes: 64 << 20}
			s, err := Create("/d", 0, o)
			if err != nil {
				t.Fatal(err)
			}
			b := batch(0, 0, 1000, 1)
			for i := range 30_000 {
				b.Stamp(int64(i), 0)
				b.SetMaxTimestamp(int64(1000+i/bursts), true)
				mustAppend(t, s, b)
			}
			if err := s.Close(true); err != nil {
				t.Fatal(err)
			}
			reads := &countingFS{FS: m, suffix: logSuffix}
			o.FS = reads
			if s, err = OpenSealed("/d", 0, s.NextOffset(), o); err != nil {
				t.Fatal(err)
			}
			for _, i := range []int{0, 1, 2999, 3000, 15_000, 29_999} {
				reads.bytes = 0
				found, ok, err := s.OffsetForTime(int64(1000+i/bursts), 0, true)
				if err != nil || !ok || found.Offset != int64(i/bursts*bursts) {
					t.Errorf("record %d: %+v, %v, %v", i, found, ok, err)
				}
				if reads.bytes > 64<<10 {
					t.Errorf("record %d: %d bytes of the log were read", i, reads.bytes)
				}
			}
		})
	}
}

func BenchmarkAppend(b *testing.B) {
	for _, size := range []int{1 << 10, 16 << 10, 64 << 10} {
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			dir := b.TempDir()
			o := Options{MaxBytes: 256 << 20, Go: func(job func()) { go job() }}
			p := batch(0, 0, size, 1)
			b.SetBytes(int64(len(p)))
			s, err := Create(dir, 0, o)
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				p.Stamp(s.NextOffset(), 0)
				switch err := appendWaiting(s, p); err {
				case nil:
				case ErrFull:
					b.StopTimer()
					next := s.NextOffset()
					if err := s.Delete(); err != nil {
						b.Fatal(err)
					}
					if s, err = Create(dir, next, o); err != nil {
						b.Fatal(err)
					}
					b.StartTimer()
				default:
					b.Fatal(err)
				}
			}
			b.StopTimer()
			if err := s.Delete(); err != nil {
				b.Fatal(err)
			}
		})
	}
}

func BenchmarkSlice(b *testing.B) {
	dir := b.TempDir()
	s, err := Create(dir, 0, Options{MaxBytes: 128 << 20, Go: func(job func()) { go job() }})
	if err != nil {
		b.Fatal(err)
	}
	p := batch(0, 0, 1000, 1)
	for s.Size() < 64<<20 {
		p.Stamp(s.NextOffset(), 0)
		if err := appendWaiting(s, p); err != nil {
			b.Fatal(err)
		}
	}
	for _, c := range []struct {
		name         string
		offset, size int64
	}{{"tail", s.NextOffset() - 10, 1 << 20}, {"middle-64KiB", s.NextOffset() / 2, 64 << 10}, {"middle-1MiB", s.NextOffset() / 2, 1 << 20}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				sl, err := s.Slice(c.offset, math.MaxInt64, int(c.size), true, false)
				if err != nil {
					b.Fatal(err)
				}
				sl.Release()
			}
		})
	}
	if err := s.Delete(); err != nil {
		b.Fatal(err)
	}
}
