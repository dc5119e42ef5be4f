package segment

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/millrace/millrace/index"
	"github.com/millrace/millrace/wire/record"
)

// Open opens the last segment of a log after a clean stop, for appending. It trusts the indexes as far as their last entries, reads the
// headers from there on and checks the last batch: a few pages. A *CorruptError means: Recover. It blocks.
func Open(dir string, base int64, o Options) (*Segment, error) {
	s := newSegment(dir, base, o)
	s.files.Lock()
	defer s.files.Unlock()
	size, err := s.sizeOnDisk()
	if err != nil {
		return nil, err
	}
	s.size.Store(size)
	last, err := s.readEnd()
	var bad *index.CheckError
	if errors.As(err, &bad) {
		s.o.Log.Warn("rebuilding the indexes", "path", s.name(), "err", err)
		if err = s.rebuild(); err == nil {
			last, err = s.readEnd()
		}
		if errors.As(err, &bad) {
			err = &CorruptError{s.name(), 0, err}
		}
	}
	if err != nil {
		return nil, err
	}
	s.next.Store(last)
	s.flushedTo.Store(last)
	if _, err := s.openLocked(); err != nil {
		return nil, err
	}
	return s, nil
}

// OpenSealed describes a segment that will not be appended to. It opens nothing (one stat); next is the base of the following segment.
func OpenSealed(dir string, base, next int64, o Options) (*Segment, error) {
	s := newSegment(dir, base, o)
	size, err := s.sizeOnDisk()
	if err != nil {
		return nil, err
	}
	s.size.Store(size)
	s.next.Store(next)
	s.flushedTo.Store(next)
	s.sealed.Store(true)
	s.files.trimmed, s.files.synced, s.files.dirSynced = true, true, true
	return s, nil
}

func (s *Segment) sizeOnDisk() (int64, error) {
	info, err := s.o.FS.Stat(s.path(logSuffix))
	if err != nil {
		return 0, fmt.Errorf("open segment: %w", err)
	}
	return info.Size(), nil
}

// withLog runs do with a reader that walks over the log file by pread.
func (s *Segment) withLog(do func(r *reader) error) error {
	h, err := s.o.FS.OpenFile(s.path(logSuffix), os.O_RDONLY, 0)
	if err != nil {
		return fmt.Errorf("open segment: %w", err)
	}
	defer h.Close()
	r := &reader{s: s, f: &files{log: h}, limit: s.size.Load(), block: true}
	defer r.done()
	return do(r)
}

const checkedLast = 32 << 10 // a last batch up to this size is checked whole at a clean start

// readEnd learns from the ends of the files what an appender has to know, and returns the next offset.
func (s *Segment) readEnd() (next int64, err error) {
	offsets, timestamp, offset, position, err := s.lastEntries()
	if err != nil {
		return 0, err
	}
	times, _, _, err := index.LastTime(s.o.FS, s.path(timeSuffix), s.base)
	if err != nil {
		return 0, err
	}
	s.idleOffsets.Store(int32(offsets))
	s.idleTimes.Store(int32(times))
	s.lastIndexed = position
	s.stamps.known, s.stamps.max, s.stamps.offset = true, timestamp, offset
	next = s.base
	err = s.withLog(func(r *reader) error {
		for at := position; at < r.limit; {
			b, err := r.header(at)
			if err != nil {
				return err
			}
			if b.BaseOffset() < next {
				return r.corrupt(at, fmt.Errorf("offset %d where %d was expected", b.BaseOffset(), next))
			}
			next = b.NextOffset()
			if t := stampOf(b); t > s.stamps.max {
				s.stamps.max, s.stamps.offset = t, b.LastOffset()
			}
			size := b.Size()
			if at+int64(size) == r.limit && size <= checkedLast {
				if err := r.checkWhole(at, size); err != nil {
					return err
				}
			}
			at += int64(size)
		}
		return nil
	})
	return next, err
}

func (r *reader) checkWhole(position int64, size int) error {
	b := make(record.Batch, size)
	if _, err := r.f.log.ReadAt(b, position); err != nil && err != io.EOF {
		return err
	}
	if err := checkSum(b); err != nil {
		return r.corrupt(position, err)
	}
	return nil
}

// lastEntries reads the last entries of trimmed index files and checks them against the log. It returns the number of entries of the
// offset index, the largest timestamp and its offset, and the position of the last batch that has an offset entry. An *index.CheckError
// means that the indexes have to be rebuilt.
func (s *Segment) lastEntries() (n int, timestamp, offset, position int64, err error) {
	for _, suffix := range []string{indexSuffix, timeSuffix} {
		if _, err := s.o.FS.Stat(s.path(suffix)); errors.Is(err, os.ErrNotExist) {
			return 0, 0, 0, 0, &index.CheckError{Reason: s.path(suffix) + " is missing"}
		} else if err != nil {
			return 0, 0, 0, 0, err
		}
	}
	n, last, position, err := index.LastOffset(s.o.FS, s.path(indexSuffix), s.base)
	if err != nil {
		return 0, 0, 0, 0, err
	}
	size := s.size.Load()
	if n == 0 && size > int64(s.o.IndexInterval) && s.wantsEntry() {
		return 0, 0, 0, 0, &index.CheckError{Reason: "no entries"}
	}
	if n > 0 {
		err := s.withLog(func(r *reader) error {
			if b, err := r.header(position); err != nil || b.LastOffset() > last {
				return &index.CheckError{Entry: n - 1, Reason: fmt.Sprintf("no batch at position %d ends with offset %d or before", position, last)}
			}
			return nil
		})
		if err != nil {
			return 0, 0, 0, 0, err
		}
	}
	times, timestamp, offset, err := index.LastTime(s.o.FS, s.path(timeSuffix), s.base)
	switch {
	case err != nil:
		return 0, 0, 0, 0, err
	case times == 0:
		timestamp, offset = -1, s.base
	case timestamp < 0, times > 1 && timestamp == 0, s.sealed.Load() && offset >= s.next.Load():
		return 0, 0, 0, 0, &index.CheckError{Entry: times - 1, Reason: fmt.Sprintf("timestamp %d at offset %d", timestamp, offset)}
	}
	return n, timestamp, offset, position, nil
}

// wantsEntry says whether a batch begins so far into the log that it should be in the index.
func (s *Segment) wantsEntry() bool {
	wants := false
	_ = s.withLog(func(r *reader) error {
		for at := int64(0); at < r.limit && !wants; {
			b, err := r.header(at)
			if err != nil {
				return err
			}
			wants = at > int64(s.o.IndexInterval)
			at += int64(b.Size())
		}
		return nil
	})
	return wants
}

// checkIndexes sees to it that the index files of a sealed segment are what they should be: it looks at their last entries and
// rebuilds them from the log on any doubt. It also learns the segment's largest timestamp. The caller holds s.files.
func (s *Segment) checkIndexes() error {
	_, timestamp, offset, _, err := s.lastEntries()
	var bad *index.CheckError
	if errors.As(err, &bad) {
		s.o.Log.Warn("rebuilding the indexes", "path", s.name(), "err", err)
		if err = s.rebuild(); err == nil {
			_, timestamp, offset, _, err = s.lastEntries()
		}
	}
	if err == nil && timestamp < 0 {
		timestamp, offset, err = s.hollow()
	}
	if err != nil {
		return fmt.Errorf("segment %s: %w", s.name(), err)
	}
	s.stamps.Lock()
	defer s.stamps.Unlock()
	if !s.stamps.known {
		s.stamps.known, s.stamps.max, s.stamps.offset = true, timestamp, offset
	}
	return nil
}

// hollow is the largest timestamp of a segment of which no record has one. Compaction may leave nothing but empty batches: no index entry can speak
// of them, but their time tells how old the segment is.
func (s *Segment) hollow() (timestamp, offset int64, err error) {
	timestamp, offset = -1, s.base
	err = s.withLog(func(r *reader) error {
		for at := int64(0); at < r.limit; {
			b, err := r.header(at)
			if err != nil {
				return err
			}
			if t := b.MaxTimestamp(); t > timestamp {
				timestamp, offset = t, b.LastOffset()
			}
			at += int64(b.Size())
		}
		return nil
	})
	return timestamp, offset, err
}

// builder writes index files anew, or from an entry on.
type builder struct {
	s *Segment // scratch: only what note uses
	f *files
}

// newBuilder begins with the given entries kept, the last of them for the batch at position, and the largest timestamp up to there.
func (s *Segment) newBuilder(offsets, times int, position, timestamp, at int64) (*builder, error) {
	scratch := newSegment(s.dir, s.base, s.o)
	scratch.o.IndexInterval = s.o.IndexInterval // 0 is not the default here
	scratch.lastIndexed = position
	scratch.stamps.max, scratch.stamps.offset = timestamp, at
	limit := s.indexEntries(int64(s.o.MaxBytes))
	x, err := index.OpenOffsets(s.o.FS, s.path(indexSuffix), s.base, offsets, offsets+limit)
	if err != nil {
		return nil, err
	}
	t, err := index.OpenTimes(s.o.FS, s.path(timeSuffix), s.base, times, times+limit)
	if err != nil {
		return nil, errors.Join(err, x.Close())
	}
	return &builder{scratch, &files{offsets: x, times: t}}, nil
}

func (w *builder) add(b record.Batch, position int64) error {
	if err := reserve(w.f.offsets); err != nil {
		return err
	}
	if err := reserve(w.f.times); err != nil {
		return err
	}
	w.s.note(w.f, b, position, b.LastOffset())
	return nil
}

// reserve sees to it that an index has room for another entry. For how many it was mapped follows from the topic's settings, which may have changed
// since the segment was written.
func reserve(x interface {
	Len() int
	Room() int
	Grow(entries int) error
	Widen(entries int) error
}) error {
	const more = 4096
	if x.Room() > 0 {
		return nil
	}
	if err := x.Grow(x.Len() + more); err != nil || x.Room() > 0 {
		return err
	}
	return x.Widen(x.Len() + more)
}

// end trims and closes; final adds the entry of a sealed segment.
func (w *builder) end(final bool) error {
	var err error
	if final {
		if err = reserve(w.f.times); err == nil {
			w.f.times.MaybeAppend(w.s.stamps.max, w.s.stamps.offset)
		}
	}
	return errors.Join(err, w.f.offsets.Trim(), w.f.times.Trim(), w.f.offsets.Close(), w.f.times.Close())
}

// rebuild writes both indexes from the headers of the log.
func (s *Segment) rebuild() error {
	w, err := s.newBuilder(0, 0, 0, -1, s.base)
	if err != nil {
		return err
	}
	err = s.withLog(func(r *reader) error {
		for at := int64(0); at < r.limit; {
			b, err := r.header(at)
			if err != nil {
				return err
			}
			if err := w.add(b, at); err != nil {
				return err
			}
			at += int64(b.Size())
		}
		return nil
	})
	return errors.Join(err, w.end(true))
}

var errSum = errors.New("checksum does not match")

func checkSum(b record.Batch) error {
	if record.CRC32C(b[21:]) != b.CRC() {
		return errSum
	}
	return nil
}
