package segment

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/millrace/millrace/index"
)

const cutSuffix = ".cut" // of the copy that a truncation makes; a start ignores it

// IsLeftover says whether a file of a partition's folder is a spare or an unfinished truncation that a crash has left behind.
func IsLeftover(name string) bool {
	return hasSuffix(name, spareSuffix) || hasSuffix(name, logSuffix+cutSuffix)
}

func hasSuffix(name, suffix string) bool {
	return len(name) > len(suffix) && name[len(name)-len(suffix):] == suffix
}

// TruncateTo returns a segment with the same base that ends at offset, a batch boundary: a durable copy of the prefix that has replaced
// this one's files. This one is closed; its slices stay valid, because its bytes stay what they are until the last of them is released
// (I11). Nothing to cut: the segment itself comes back. No appender may be active. It blocks.
func (s *Segment) TruncateTo(offset int64) (*Segment, error) {
	if offset >= s.next.Load() {
		return s, nil
	}
	f, err := s.acquire(true)
	if err != nil {
		return nil, err
	}
	defer f.pin.Release()
	position, err := s.boundary(f, offset)
	if err != nil {
		return nil, err
	}
	if err := s.copyPrefix(f, position); err != nil {
		return nil, fmt.Errorf("truncate segment: %w", err)
	}
	offsets, times := f.offsets.View(), f.times.View()
	if err := s.Close(false); err != nil {
		return nil, err
	}
	s.files.Lock()
	defer s.files.Unlock()
	if err := s.replace(offsets, times, position, offset); err != nil {
		return nil, s.fail(fmt.Errorf("truncate: %w", err))
	}
	return Open(s.dir, s.base, s.o.again())
}

// again returns options that withDefaults leaves as they are.
func (o Options) again() Options {
	if o.IndexInterval == 0 {
		o.IndexInterval = -1
	}
	return o
}

// boundary returns the position at which a batch at or above offset begins.
func (s *Segment) boundary(f *files, offset int64) (int64, error) {
	r := reader{s: s, f: f, limit: s.size.Load(), block: true}
	defer r.done()
	position, b, err := r.find(offset)
	if err == nil && b != nil && b.BaseOffset() < offset {
		err = fmt.Errorf("segment: cannot truncate to offset %d inside the batch %d-%d", offset, b.BaseOffset(), b.LastOffset())
	}
	return position, err
}

func (s *Segment) copyPrefix(f *files, size int64) (err error) {
	s.files.Lock()
	path := s.path(logSuffix) + cutSuffix
	s.files.Unlock()
	h, err := s.o.FS.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.Close()) }()
	buf := make([]byte, min(size, 1<<20))
	for at := int64(0); at < size; at += int64(len(buf)) {
		buf = buf[:min(int64(len(buf)), size-at)]
		if _, err := f.log.ReadAt(buf, at); err != nil && err != io.EOF {
			return err
		}
		if _, err := h.WriteAt(buf, at); err != nil {
			return err
		}
	}
	return h.Sync()
}

// replace puts the copy in the place of the log. The old indexes go first: a log without indexes is whole, one with those of a longer
// log looks damaged.
func (s *Segment) replace(offsets index.Offsets, times index.Times, size, next int64) error {
	for _, suffix := range []string{indexSuffix, timeSuffix} {
		if err := s.o.FS.Remove(s.path(suffix)); err != nil {
			return err
		}
	}
	if err := s.o.FS.Rename(s.path(logSuffix)+cutSuffix, s.path(logSuffix)); err != nil {
		return err
	}
	w, err := s.newBuilder(0, 0, 0, -1, s.base)
	if err != nil {
		return err
	}
	err = w.copy(offsets, times, size, next)
	return errors.Join(err, w.end(false), s.o.FS.SyncDir(s.dir))
}

// copy takes over the entries that lie below the new end.
func (w *builder) copy(offsets index.Offsets, times index.Times, size, next int64) error {
	if err := errors.Join(w.f.offsets.Widen(offsets.Len()), w.f.times.Widen(times.Len()+1)); err != nil {
		return err
	}
	last := w.s.base - 1
	for i := range offsets.Len() {
		offset, position := offsets.At(i)
		if position >= size {
			break
		}
		w.f.offsets.Append(offset, position)
		last = offset
	}
	for i := range times.Len() {
		timestamp, offset := times.At(i)
		if offset > last || offset >= next {
			break
		}
		w.f.times.MaybeAppend(timestamp, offset)
	}
	return nil
}
