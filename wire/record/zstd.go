package record

import (
	"errors"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// Zstd batches are frames, of which klauspost's decoder reads the inside. What is looked at here is their outside, little-endian:
//
//	magic 0xFD2FB528 | descriptor | window, dictionary, content size, as far as the descriptor names them |
//	{ bit 0: last, bits 1-2: kind, 21 bits length | block of at most 128 KiB raw } ... | xxh64 of the content, if the descriptor says so

// maxZstdWindow is what a streaming decoder keeps for back references: the format asks decoders to support 8 MiB. Only
// encoders at their highest levels declare more; those batches are held whole, one at a time, see inflateWhole.
const maxZstdWindow = 8 << 20

// zstdCheap tells whether the records are one frame of one block, which inflates to limit bytes at most if the frame declares its size, as the
// decoder holds it to that, and to 128 KiB otherwise: who compresses a stream, as Java's client does, declares none.
func zstdCheap(p []byte, limit int) bool {
	var h zstd.Header
	if h.Decode(p) != nil {
		return true // refused at once
	}
	size := h.HeaderSize + zstdBlockHeader + h.FirstBlock.CompressedSize
	if h.HasCheckSum {
		size += zstdChecksum
	}
	return h.FirstBlock.OK && h.FirstBlock.Last && size >= len(p) && h.WindowSize <= maxZstdWindow && (!h.HasFCS || h.FrameContentSize <= uint64(limit))
}

const (
	zstdBlockHeader = 3
	zstdChecksum    = 4
)

// nextZstd decodes what fits into the window at once, which is faster than a stream and needs no memory for back references;
// what does not fit is begun again as a stream.
func (d *inflater) nextZstd() []byte {
	if d.stream {
		return d.read(d.zstd)
	}
	var h zstd.Header
	if d.err = h.Decode(d.src); d.err != nil {
		return nil
	}
	if d.zstd == nil {
		// One block at a time on the caller's goroutine: no goroutines hide behind it, and dropping it is enough.
		d.zstd, d.err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxMemory(maxZstdWindow), zstd.WithDecoderMaxWindow(maxZstdWindow), zstd.WithDecodeAllCapLimit(true))
		if d.err != nil {
			return nil
		}
	}
	if h.WindowSize > maxZstdWindow {
		return d.inflateWhole()
	}
	if !h.HasFCS || h.FrameContentSize <= windowSize {
		p, err := d.zstd.DecodeAll(d.src, d.buf[:0:windowSize])
		if err == nil {
			d.oneShot = true
			return p
		}
		if !errors.Is(err, zstd.ErrDecoderSizeExceeded) {
			d.err = err
			return nil
		}
	}
	d.stream = true
	d.in.Reset(d.src)
	if d.err = d.zstd.Reset(&d.in); d.err != nil {
		return nil
	}
	return d.read(d.zstd)
}

// wholeZstd serves batches whose window is beyond maxZstdWindow. It has one decoder, so that one batch at a time may hold as
// much memory as its limit allows.
var wholeZstd = sync.OnceValues(func() (*zstd.Decoder, error) {
	return zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxWindow(1<<31), zstd.WithDecodeAllCapLimit(true))
})

var wholeZstdTurn sync.Mutex

func (d *inflater) inflateWhole() []byte {
	whole, err := wholeZstd()
	if err != nil {
		d.err = err
		return nil
	}
	wholeZstdTurn.Lock()
	defer wholeZstdTurn.Unlock()
	// The capacity is the limit. It grows with the output, not with what the frame says of itself.
	for size := int64(4 << 20); ; size *= 4 {
		size = min(size, d.maxRaw)
		p, err := whole.DecodeAll(d.src, make([]byte, 0, size))
		if err == nil {
			d.oneShot = true
			return p
		}
		if !errors.Is(err, zstd.ErrDecoderSizeExceeded) {
			d.err = err
			return nil
		}
		if size == d.maxRaw {
			d.err = errRawTooLarge
			return nil
		}
	}
}
