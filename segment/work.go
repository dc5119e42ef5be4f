package segment

import (
	"errors"
	"fmt"
	"runtime/debug"
	"sync"

	"github.com/millrace/millrace/internal/vfs"
)

const (
	minStep       = 64 << 10
	maxStep       = 64 << 20
	writebackStep = 2 << 20
)

// Kinds of background work that others wait for.
const (
	wantOpen = 1 << iota
	wantStep
	wantSeal
)

// background is the work of a segment that waits for the disk, done by one job at a time.
type background struct {
	s   *Segment
	run func() // loop, bound once

	mu      sync.Mutex
	running bool // a job was given to Go and has not ended
	wants   int
	need    int64    // the size an append waits for
	closing []*files // closed by Idle, still to be trimmed and released
	openErr error    // of the last attempt: for the next call that meets it
	stepErr error
	waiters []func()
}

// want asks for work, unless it is under way already.
func (w *background) want(kind int) {
	w.mu.Lock()
	w.wants |= kind
	w.start()
}

// close asks for the end of files that nobody finds any more.
func (w *background) close(f *files) {
	w.mu.Lock()
	w.closing = append(w.closing, f)
	w.start()
}

// start begins a job if none is under way, and gives mu back.
func (w *background) start() {
	begin := !w.running
	w.running = true
	w.mu.Unlock()
	if begin {
		w.s.o.Go(w.run)
	}
}

// wait returns what became of the work, if it failed since the last time somebody asked; otherwise it asks for it and returns ErrWait.
func (w *background) wait(kind int, need int64) error {
	w.mu.Lock()
	failed := &w.openErr
	if kind == wantStep {
		failed = &w.stepErr
	}
	if err := *failed; err != nil {
		*failed = nil
		w.mu.Unlock()
		return err
	}
	w.need = max(w.need, need)
	w.wants |= kind
	w.start()
	return ErrWait
}

func (w *background) whenReady(f func()) {
	w.mu.Lock()
	if w.running {
		w.waiters = append(w.waiters, f)
		w.mu.Unlock()
		return
	}
	w.mu.Unlock()
	f()
}

// loop is the job: it does what is wanted until nothing is, then tells who waited.
func (w *background) loop() {
	for {
		w.mu.Lock()
		wants, closing, need := w.wants, w.closing, w.need
		w.wants, w.closing, w.need = 0, nil, 0
		if wants == 0 && len(closing) == 0 {
			w.running = false
			waiters := w.waiters
			w.waiters = nil
			w.mu.Unlock()
			for _, f := range waiters {
				f()
			}
			return
		}
		w.mu.Unlock()
		openErr, stepErr := w.s.do(wants, closing, need)
		w.mu.Lock()
		if wants&wantOpen != 0 {
			w.openErr = openErr
		}
		if wants&wantStep != 0 {
			w.stepErr = stepErr
		}
		w.mu.Unlock()
	}
}

// do does the wanted work.
func (s *Segment) do(wants int, closing []*files, need int64) (openErr, stepErr error) {
	s.files.Lock()
	defer s.files.Unlock()
	for _, f := range closing {
		s.endIdle(f)
	}
	if s.files.closed {
		return ErrClosed, ErrClosed
	}
	if wants&wantOpen != 0 {
		_, openErr = s.openLocked()
	}
	if f := s.open.Load(); f != nil && wants&wantStep != 0 && !s.sealed.Load() {
		if err := s.step(f, need, minStep); err != nil {
			s.o.Log.Warn("allocating ahead failed", "path", s.name(), "room", f.room.Load(), "need", need, "err", err)
			if need > f.room.Load() || f.offsets.Room() < 1 || f.times.Room() < 1 {
				stepErr = fmt.Errorf("segment %s: %w", s.name(), err)
			}
			if !errors.Is(err, vfs.ErrNoSpace) {
				_ = s.fail(err)
			}
		}
	}
	if wants&wantSeal != 0 && !s.files.trimmed {
		f, err := s.openLocked()
		if err == nil {
			err = s.trimLocked(f, true)
		}
		if err != nil {
			_ = s.fail(err)
		}
	}
	return openErr, stepErr
}

// endIdle trims files that Idle took away, unless somebody has opened the segment again meanwhile, and lets them go.
func (s *Segment) endIdle(f *files) {
	defer f.release(&s.o)
	if s.files.closed || s.files.trimmed || s.open.Load() != nil {
		return
	}
	if err := s.trimLocked(f, true); err != nil {
		_ = s.fail(err)
		return
	}
	s.files.complete = true
}

// openLocked returns the open files; it opens them if need be: for appending while the segment is not sealed and trimmed.
func (s *Segment) openLocked() (*files, error) {
	if f := s.open.Load(); f != nil {
		return f, nil
	}
	if s.files.closed {
		return nil, ErrClosed
	}
	if s.files.trimmed {
		if err := s.checkIndexes(); err != nil {
			return nil, err
		}
	}
	f, err := s.openFiles(!s.files.trimmed, false, int(s.idleOffsets.Load()), int(s.idleTimes.Load()))
	if err != nil {
		return nil, fmt.Errorf("open segment: %w", err)
	}
	s.files.complete = false
	s.open.Store(f)
	return f, nil
}

// step gives the log file more disk space: at least up to need, if possible as much again and no less than smallest. The indexes get what
// can come of it. The caller holds s.files.
func (s *Segment) step(f *files, need, smallest int64) error {
	size, room := s.size.Load(), f.room.Load()
	if used := f.held - max(0, room-size); used > 0 {
		s.o.Budget.give(used) // the tail has moved into it
		f.held -= used
	}
	least := max(0, need-room)
	want := min(max(room, smallest), maxStep) // doubles the file
	want = min(max(want, least), int64(s.o.MaxBytes)-room)
	var grant int64
	if f.allocates && want > 0 {
		var err error
		grant, err = s.allocate(f, room, want, max(least, min(minStep, want)))
		if err != nil && least < want && errors.Is(err, vfs.ErrNoSpace) && least > 0 {
			grant, err = s.allocate(f, room, least, least)
		}
		switch {
		case err == nil:
			room += grant
		case errors.Is(err, vfs.ErrNotSupported) && room == 0:
			s.withoutFallocate(f)
			room = f.room.Load()
		default:
			return err
		}
	}
	ahead := room - size
	if !f.allocates {
		ahead = min(ahead, maxStep)
	}
	entries := s.indexEntries(ahead)
	if err := f.offsets.Grow(f.offsets.Len() + entries); err != nil {
		return err
	}
	if err := f.times.Grow(f.times.Len() + entries); err != nil {
		return err
	}
	f.room.Store(room)
	if f.allocates && room < int64(s.o.MaxBytes) {
		f.stepAt.Store(room - min(grant/2, maxStep/2))
	}
	return nil
}

func (s *Segment) allocate(f *files, room, want, least int64) (int64, error) {
	grant := s.o.Budget.take(want, least)
	if err := f.log.Allocate(room, grant); err != nil {
		s.o.Budget.give(grant)
		return 0, err
	}
	f.held += grant
	return grant, nil
}

// wantWriteback has it done off the loop. The caller is the appender, who knows the files open.
func (s *Segment) wantWriteback(f *files) {
	f.writebackAt.Store(never)
	if !f.pin.TryRetain() {
		return
	}
	s.o.Rest(func() {
		defer f.pin.Release()
		s.writeback(f)
	})
}

// writeback starts the writing of what was appended, long before a sync or the kernel's limits force it.
func (s *Segment) writeback(f *files) {
	boundary := s.size.Load() / writebackStep * writebackStep
	if boundary > f.wrote {
		f.log.StartWriteback(f.wrote, boundary-f.wrote)
		f.wrote = boundary
	}
	f.writebackAt.Store(boundary + writebackStep)
}

// trimLocked cuts log and indexes behind their last entry; final adds the time index entry that a closed segment ends with, from which
// retention and look-ups learn its largest timestamp. Nobody appends. The caller holds s.files.
func (s *Segment) trimLocked(f *files, final bool) (err error) {
	defer catchFault(debug.SetPanicOnFault(true), &err)
	size := s.size.Load()
	if final {
		s.stamps.Lock()
		timestamp, at := s.stamps.max, s.stamps.offset
		s.stamps.Unlock()
		if err := f.times.Grow(f.times.Len() + 1); err != nil {
			return err
		}
		f.times.MaybeAppend(timestamp, at)
	}
	f.stepAt.Store(never)
	f.room.Store(size)
	if err := f.log.Truncate(size); err != nil {
		return err
	}
	s.o.Budget.give(f.held)
	f.held = 0
	if err := errors.Join(f.offsets.Trim(), f.times.Trim()); err != nil {
		return err
	}
	if final {
		s.idleTimes.Store(int32(f.times.Len()))
		s.files.trimmed = s.sealed.Load()
	}
	return nil
}
