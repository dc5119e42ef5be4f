package record

import (
	"bytes"
	"errors"
	"io"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

const (
	// windowSize is how much decompressed output is held at a time. Output is looked at and forgotten: a batch that
	// inflates to 64 MiB passes through these bytes.
	windowSize = 256 << 10

	// defaultMaxRaw bounds the decompressed size of a batch when the caller sets none.
	defaultMaxRaw = 64 << 20

	// keptOutput is the largest buffer a pooled inflater keeps for codecs that cannot stream.
	keptOutput = 1<<20 + 64<<10
)

var (
	errRawTooLarge = errors.New("decompressed records exceed the limit")
	errBadBlock    = errors.New("corrupt compressed records")
)

// inflater decompresses the records of one batch, a window at a time. Inflaters are pooled, with the decoders they have needed.
type inflater struct {
	codec  Codec
	src    []byte // compressed bytes not consumed yet
	raw    int64  // output so far
	maxRaw int64
	begun  bool
	err    error // sticky; io.EOF after the last window

	buf  []byte // windowSize, allocated at first use
	held []byte // output of a block that has to be decoded whole and does not fit buf

	in      bytes.Reader // src for the stream decoders
	gzip    *gzip.Reader
	zstd    *zstd.Decoder
	stream  bool // zstd: a stream decoder is under way
	lz4     lz4Frame
	framed  bool // snappy: chunks of the xerial framing
	oneShot bool // nothing follows the next window
}

var inflaters = sync.Pool{New: func() any { return new(inflater) }}

// openInflater returns an inflater for the records of b. Close gives it back.
func openInflater(b Batch, maxRaw int64) *inflater {
	d := inflaters.Get().(*inflater)
	d.codec, d.src, d.raw, d.maxRaw = b.Codec(), b.Records(), 0, maxRaw
	if d.maxRaw <= 0 {
		d.maxRaw = defaultMaxRaw
	}
	d.begun, d.stream, d.oneShot, d.framed, d.err = false, false, false, false, nil
	if d.buf == nil {
		d.buf = make([]byte, windowSize)
	}
	return d
}

func (d *inflater) close() {
	d.src = nil
	d.in.Reset(nil)
	if d.stream {
		_ = d.zstd.Reset(nil) // drops its reference to the batch; the decoder is usable whatever it returns
	}
	if cap(d.held) > keptOutput {
		d.held = nil
	}
	inflaters.Put(d)
}

// next returns the following window of output, never empty, valid until the next call; or nil, and then d.err is io.EOF at the
// end of the records.
func (d *inflater) next() []byte {
	for d.err == nil {
		if d.oneShot {
			d.err = io.EOF
			break
		}
		var p []byte
		switch d.codec {
		case Gzip:
			p = d.nextGzip()
		case Snappy:
			p = d.nextSnappy()
		case LZ4:
			p = d.nextLZ4()
		case Zstd:
			p = d.nextZstd()
		default:
			d.err = errBadBlock
		}
		d.begun = true
		if len(p) == 0 {
			continue
		}
		d.raw += int64(len(p))
		if d.raw > d.maxRaw {
			d.err = errRawTooLarge
			break
		}
		return p
	}
	return nil
}

func (d *inflater) nextGzip() []byte {
	if !d.begun {
		d.in.Reset(d.src)
		if d.gzip == nil {
			d.gzip = new(gzip.Reader)
		}
		if d.err = d.gzip.Reset(&d.in); d.err != nil {
			return nil
		}
	}
	return d.read(d.gzip)
}

// read fills the window from a stream.
func (d *inflater) read(r io.Reader) []byte {
	n := 0
	for n < len(d.buf) && d.err == nil {
		var m int
		m, d.err = r.Read(d.buf[n:])
		n += m
	}
	if n > 0 && d.err == io.EOF {
		d.err, d.oneShot = nil, true
	}
	if d.err != nil {
		return nil
	}
	return d.buf[:n]
}

// hold returns room for n bytes: the window, or a buffer kept for that.
func (d *inflater) hold(n int) []byte {
	if n <= len(d.buf) {
		return d.buf[:n]
	}
	if n > cap(d.held) {
		d.held = make([]byte, n)
	}
	return d.held[:n]
}
