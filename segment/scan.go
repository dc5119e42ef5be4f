package segment

import (
	"errors"
	"fmt"
	"io"

	"github.com/millrace/millrace/internal/vfs"
	"github.com/millrace/millrace/wire/record"
)

// errInvalid: bytes that are no batch.
var errInvalid = errors.New("not a valid batch")

// scanner reads whole batches one after the other.
type scanner struct {
	log      vfs.File
	position int64 // of the next batch
	size     int64 // where reading ends
	buf      []byte
	from     int // the next batch in buf
	chunk    int // bytes of one read; 0: scanBuffer
}

const scanBuffer = 256 << 10

// Scanner scans segments with a buffer that it keeps. The zero value is ready.
type Scanner struct {
	Chunk int // bytes of one read; 0: 256 KiB. A larger batch is read whole all the same.
	buf   []byte
}

// next returns the next batch, valid until the call after it. io.EOF at the end; an error in which errors.Is finds errInvalid where no
// whole batch lies. Only its size and format are checked.
func (sc *scanner) next() (record.Batch, error) {
	if sc.position == sc.size {
		return nil, io.EOF
	}
	if err := sc.fill(record.HeaderSize); err != nil {
		return nil, err
	}
	header := record.Batch(sc.buf[sc.from:])
	if header.Magic() != 2 {
		return nil, fmt.Errorf("%w: format %d", errInvalid, header.Magic())
	}
	size := header.Size()
	if size < record.HeaderSize {
		return nil, fmt.Errorf("%w: length %d", errInvalid, size)
	}
	if err := sc.fill(size); err != nil {
		return nil, err
	}
	b := record.Batch(sc.buf[sc.from : sc.from+size : sc.from+size])
	sc.from += size
	sc.position += int64(size)
	return b, nil
}

// fill sees to it that n bytes from position on are in buf. A length that promises more than the file has allocates nothing.
func (sc *scanner) fill(n int) error {
	if len(sc.buf)-sc.from >= n {
		return nil
	}
	if int64(n) > sc.size-sc.position {
		return fmt.Errorf("%w: cut short, %d bytes of %d", errInvalid, sc.size-sc.position, n)
	}
	have := len(sc.buf) - sc.from
	chunk := sc.chunk
	if chunk <= 0 {
		chunk = scanBuffer
	}
	want := int(min(int64(max(n, chunk)), sc.size-sc.position))
	if cap(sc.buf) < want {
		grown := make([]byte, want)
		copy(grown, sc.buf[sc.from:])
		sc.buf = grown
	} else {
		b := sc.buf[:want]
		copy(b, sc.buf[sc.from:])
		sc.buf = b
	}
	sc.from = 0
	_, err := sc.log.ReadAt(sc.buf[have:], sc.position+int64(have))
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// Scan calls fn for each batch from the one that holds offset on, up to what is published when it begins. b is valid during the call. It
// reads by pread and blocks.
func (s *Segment) Scan(offset int64, fn func(b record.Batch, position int64) error) error {
	return new(Scanner).Scan(s, offset, fn)
}

// Scan is Segment.Scan with the scanner's buffer.
func (sn *Scanner) Scan(s *Segment, offset int64, fn func(b record.Batch, position int64) error) error {
	f, err := s.acquire(true)
	if err != nil {
		return err
	}
	defer f.pin.Release()
	size := s.size.Load()
	if offset >= s.next.Load() || size == 0 {
		return nil
	}
	r := reader{s: s, f: f, limit: size, block: true}
	position, _, err := r.find(offset)
	r.done()
	if err != nil {
		return err
	}
	sc := scanner{log: f.log, position: position, size: size, buf: sn.buf[:0], chunk: sn.Chunk}
	defer func() {
		if sn.buf = sc.buf[:0]; cap(sn.buf) > max(sn.Chunk, scanBuffer) {
			sn.buf = nil
		}
	}()
	for {
		at := sc.position
		b, err := sc.next()
		if err == io.EOF {
			return nil
		}
		if errors.Is(err, errInvalid) {
			return &CorruptError{s.name(), at, err}
		}
		if err != nil {
			return err
		}
		if err := fn(b, at); err != nil {
			return err
		}
	}
}
