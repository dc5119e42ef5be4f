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
}

const scanBuffer = 256 << 10

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
	want := int(min(int64(max(n, scanBuffer)), sc.size-sc.position))
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
	sc := scanner{log: f.log, position: position, size: size}
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
