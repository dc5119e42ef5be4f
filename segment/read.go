package segment

import (
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"sync"

	"github.com/millrace/millrace/internal/vfs"
	"github.com/millrace/millrace/wire/record"
)

const (
	hotBytes = 8 << 20  // of the tail, written lately by this process: taken to be in the page cache
	hotSlots = 1024     // and as many index entries
	probe    = 16 << 10 // bytes whose residency one question of the reader covers
	window   = 8 << 10  // bytes one pread of the reader brings

	maxExpect  = 4 << 20 // the most bytes of a slice that are asked for together with the headers
	indexTrust = 32      // look-ups for which an index that was found resident is taken to be so: its pages were just used
)

// acquire returns the open files, retained. block: it opens them if need be.
func (s *Segment) acquire(block bool) (*files, error) {
	for {
		if f := s.open.Load(); f != nil {
			if f.pin.TryRetain() {
				return f, nil
			}
			continue // released after the load: the pointer has changed
		}
		if !block {
			return nil, s.work.wait(wantOpen, 0)
		}
		s.files.Lock()
		_, err := s.openLocked()
		s.files.Unlock()
		if err != nil {
			return nil, err
		}
	}
}

// Slice returns the bytes from the batch that holds offset (or the first after it) up to maxBytes, ending at the latest where the
// batch that holds bound begins: bound is exclusive, batches are whole below it. The last batch may be cut short by maxBytes; the
// first may not: with minOne it comes whole however large, without it the slice is empty if it does not fit. Also empty when
// nothing at or above offset is below bound. The bytes are in the page cache. No lock, no allocation.
//
// block=false: ErrWait when the files are closed, ErrCold when it would have to wait for the disk. block=true: only off the loops.
func (s *Segment) Slice(offset, bound int64, maxBytes int, minOne, block bool) (vfs.Slice, error) {
	if err := s.failure.Load(); err != nil && s.open.Load() == nil {
		return vfs.Slice{}, *err
	}
	f, err := s.acquire(block)
	if err != nil {
		return vfs.Slice{}, err
	}
	size := s.size.Load() // before next: all below size is below next
	next := s.next.Load()
	start, end, warm, err := s.extent(f, offset, bound, size, next, maxBytes, minOne, block)
	if err != nil || start == end {
		f.pin.Release()
		return vfs.Slice{}, s.damage(err)
	}
	slice := vfs.Slice{Pin: f.pin, Position: start, Length: int(end - start), Asked: warm >= end}
	if hot := f.hot(size); start < hot && warm < min(end, hot) {
		cold := slice
		cold.Length = int(min(end, hot) - start)
		if !cold.Resident() {
			err = ErrCold
			if block {
				err = cold.Warm()
			}
			if err != nil {
				slice.Release()
				return vfs.Slice{}, err
			}
		}
	}
	return slice, nil
}

// damage makes a fault a CorruptError: the file no longer has a page that was written.
func (s *Segment) damage(err error) error {
	if err == nil {
		return nil
	}
	var fault errFault
	if errors.As(err, &fault) {
		return &CorruptError{s.name(), s.size.Load(), err}
	}
	return err
}

// hot is the position from which pages are taken to be in the page cache.
func (f *files) hot(size int64) int64 { return max(f.wroteFrom, size-hotBytes) }

// extent finds where the slice begins and ends; all pages from start to warm were found in the page cache.
func (s *Segment) extent(f *files, offset, bound, size, next int64, maxBytes int, minOne, block bool) (start, end, warm int64, err error) {
	defer catchFault(debug.SetPanicOnFault(true), &err)
	if offset >= min(bound, next) || size == 0 {
		return 0, 0, 0, nil
	}
	r := reader{s: s, f: f, limit: size, block: block, expect: min(int64(maxBytes), maxExpect)}
	defer r.done()
	start, first, err := r.find(offset)
	if err != nil || first == nil || first.LastOffset() >= bound {
		return 0, 0, 0, err
	}
	warm = r.resident
	whole := start + int64(first.Size())
	end = start + int64(maxBytes)
	if end < whole {
		if !minOne {
			return 0, 0, 0, nil
		}
		return start, whole, warm, nil
	}
	end = min(end, size)
	if bound < next && end > whole {
		end, err = r.bound(bound, whole, end)
	}
	return start, end, warm, err
}

// reader walks over batch headers without ever touching a page of the mapping that may be cold.
type reader struct {
	s     *Segment
	f     *files
	limit int64 // bytes published
	block bool
	// expect is how many bytes the caller will want from about here: the first probe asks for them too, so that one question does for
	// the headers and the slice.
	expect int64

	resident int64         // pages from the last probe up to here are in the page cache
	buf      *[window]byte // by pread, when not
	from     int64         // position of buf[0]
	n        int
}

var windows = sync.Pool{New: func() any { return new([window]byte) }}

// done gives the buffer back.
func (r *reader) done() {
	if r.buf != nil {
		windows.Put(r.buf)
		r.buf = nil
	}
}

var errEnd = errors.New("batch goes beyond the end of what was written")

// header returns the first record.HeaderSize bytes of the batch at position, valid until the next call. They are checked as far as
// walking on needs.
func (r *reader) header(position int64) (record.Batch, error) {
	if position < 0 || position+record.HeaderSize > r.limit {
		return nil, r.corrupt(position, errEnd)
	}
	p, err := r.bytes(position)
	if err != nil {
		return nil, err
	}
	b := record.Batch(p)
	if b.Magic() != 2 {
		return nil, r.corrupt(position, fmt.Errorf("batch format %d", b.Magic()))
	}
	if b.BaseOffset() < r.s.base {
		return nil, r.corrupt(position, fmt.Errorf("offset %d in a segment that begins at %d", b.BaseOffset(), r.s.base))
	}
	if size := int64(b.Size()); size < record.HeaderSize || position+size > r.limit || b.LastOffsetDelta() < 0 {
		return nil, r.corrupt(position, errEnd)
	}
	return b, nil
}

func (r *reader) corrupt(position int64, err error) error {
	return &CorruptError{r.s.name(), position, err}
}

func (r *reader) bytes(position int64) ([]byte, error) {
	const n = record.HeaderSize
	if m := r.f.mapping; m != nil {
		if position < r.f.hot(r.limit) && position+n > r.resident {
			r.probe(m, position)
		}
		if position >= r.f.hot(r.limit) || position+n <= r.resident {
			return r.f.b[position : position+n : position+n], nil
		}
		if !r.block {
			return nil, ErrCold
		}
	}
	if r.buf == nil || position < r.from || position+n > r.from+int64(r.n) {
		if r.buf == nil {
			r.buf = windows.Get().(*[window]byte)
		}
		r.from = position
		want := min(window, r.limit-position)
		var err error
		if r.n, err = r.f.log.ReadAt(r.buf[:want], position); int64(r.n) < want {
			if err == nil || err == io.EOF {
				err = r.corrupt(position, errEnd)
			}
			r.n = 0
			return nil, err
		}
	}
	at := position - r.from
	return r.buf[at : at+n : at+n], nil
}

func (r *reader) probe(m vfs.Mapping, position int64) {
	if ahead := min(r.expect+probe, r.limit-position); r.expect > 0 && m.Resident(int(position), int(ahead)) {
		r.resident, r.expect = position+ahead, 0
		return
	}
	r.expect = 0
	if ahead := min(probe, r.limit-position); m.Resident(int(position), int(ahead)) {
		r.resident = position + ahead
	}
}

// find returns the position of the first batch whose last offset is at least offset, and its header; nil when there is none.
func (r *reader) find(offset int64) (int64, record.Batch, error) {
	position, err := r.seek(offset)
	if err != nil {
		return 0, nil, err
	}
	return r.walk(position, r.limit, offset)
}

// seek returns the position of a batch that does not lie behind the one that holds offset, as near as the index knows. An entry is not
// believed before the batch it speaks of was looked at: the log alone decides. (Kafka before 4.1 indexed several batches at once, by the
// position of the first and the last offset of the last.)
func (r *reader) seek(offset int64) (int64, error) {
	last, position, err := r.lookup(offset)
	if err != nil || position == 0 {
		return 0, err
	}
	b, err := r.header(position)
	if err != nil && isCorrupt(err) || err == nil && b.LastOffset() > last {
		if !r.s.badIndex.Swap(true) {
			r.s.o.Log.Error("index entry does not fit the log", "path", r.s.name(), "offset", last, "position", position)
		}
		return 0, nil
	}
	return position, err
}

func isCorrupt(err error) bool {
	var corrupt *CorruptError
	return errors.As(err, &corrupt)
}

// walk goes from batch to batch up to the first whose last offset is at least offset, or to the end.
func (r *reader) walk(position, end, offset int64) (int64, record.Batch, error) {
	for position < end {
		b, err := r.header(position)
		if err != nil {
			return 0, nil, err
		}
		if b.LastOffset() >= offset {
			return position, b, nil
		}
		position += int64(b.Size())
	}
	return position, nil, nil
}

// bound returns where the batch that holds the offset begins, if that is between low (the end of a batch) and end; else end.
func (r *reader) bound(offset, low, end int64) (int64, error) {
	position, err := r.seek(offset)
	if err != nil {
		return 0, err
	}
	if position >= end {
		return end, nil
	}
	at, _, err := r.walk(max(position, low), end, offset)
	return min(at, end), err
}

// lookup returns the index entry for offset; position 0 when there is none.
func (r *reader) lookup(offset int64) (last, position int64, err error) {
	x := r.f.offsets.View()
	n := x.Len()
	if n == 0 || r.s.badIndex.Load() {
		return 0, 0, nil
	}
	if low := max(r.f.wroteSlots, n-hotSlots); low < n {
		if at, _ := x.At(low); at <= offset {
			last, position = x.At(x.Slot(offset, low+1))
			return last, position, nil
		}
	}
	if r.f.indexTrust.Add(-1) < 0 {
		if !r.f.offsets.Resident() {
			if !r.block {
				return 0, 0, ErrCold
			}
			if err := r.f.offsets.Warm(); err != nil {
				return 0, 0, err
			}
		}
		r.f.indexTrust.Store(indexTrust)
	}
	if i := x.Slot(offset, 0); i >= 0 {
		last, position = x.At(i)
	}
	return last, position, nil
}
