package record

import (
	"errors"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// deflateBlock is how much is gathered before it is compressed: a block of snappy and lz4.
const deflateBlock = 64 << 10

// zstdWindow is how far back a match of a recompressed batch can reach. Batches are hardly ever larger, and it bounds what an encoder holds.
const zstdWindow = 1 << 20

var errOutputTooLarge = errors.New("the output exceeds the limit")

// deflater compresses a stream of records behind the header of a batch. It holds one block, what its encoder needs, and the output, which
// it gives away.
type deflater struct {
	codec Codec
	block []byte // not compressed yet
	out   output
	err   error // sticky

	gzip   *gzip.Writer
	zstd   *zstd.Encoder
	lz4    lz4.Compressor
	lz4HC  *lz4.CompressorHC // nil: lz4
	pooled *sync.Pool
}

// output is what an encoder writes to. It takes no more than max bytes.
type output struct {
	b   []byte
	max int
}

func (o *output) Write(p []byte) (int, error) {
	if len(p) > o.max-len(o.b) {
		return 0, errOutputTooLarge
	}
	o.b = append(o.b, p...)
	return len(p), nil
}

type codecLevel struct {
	codec Codec
	level int
}

// deflaters has a pool for each codec and level in use: encoders are large, and topics have few levels.
var deflaters sync.Map // codecLevel -> *sync.Pool

// DefaultLevel asks for the level that Kafka takes for the codec when nobody sets one.
const DefaultLevel = 0

// normalized is what a level comes down to: those that encoders here do not tell apart share a pool.
func normalized(codec Codec, level int) int {
	switch codec {
	case Gzip:
		if level < 1 || level > 9 {
			return gzip.DefaultCompression
		}
		return level
	case LZ4:
		if level == 9 || level == DefaultLevel { // Kafka's default of 9 is its fast compressor
			return DefaultLevel
		}
		return min(max(level, 1), 9)
	case Zstd:
		if level == DefaultLevel {
			level = 3
		}
		return int(zstd.EncoderLevelFromZstd(level))
	}
	return DefaultLevel
}

// newDeflater returns a deflater whose output begins with room bytes and takes at most max in all. Close gives it back.
func newDeflater(codec Codec, level, room, max int) (*deflater, error) {
	key := codecLevel{codec, normalized(codec, level)}
	pool, ok := deflaters.Load(key)
	if !ok {
		pool, _ = deflaters.LoadOrStore(key, new(sync.Pool))
	}
	d, ok := pool.(*sync.Pool).Get().(*deflater)
	if !ok {
		d = &deflater{codec: codec, pooled: pool.(*sync.Pool), block: make([]byte, 0, deflateBlock)}
		if err := d.encoder(key.level); err != nil {
			return nil, err
		}
	}
	d.err, d.block = nil, d.block[:0]
	d.out = output{b: make([]byte, room, room+deflateBlock/4), max: max}
	switch codec {
	case Gzip:
		d.gzip.Reset(&d.out)
	case Zstd:
		d.zstd.Reset(&d.out)
	case Snappy:
		d.out.b = appendSnappyHeader(d.out.b)
	case LZ4:
		d.out.b = appendLZ4Header(d.out.b)
	}
	return d, nil
}

// encoder makes what the codec needs.
func (d *deflater) encoder(level int) (err error) {
	switch d.codec {
	case None, Snappy:
	case Gzip:
		d.gzip, err = gzip.NewWriterLevel(nil, level)
	case LZ4:
		if level != DefaultLevel {
			d.lz4HC = &lz4.CompressorHC{Level: lz4.Level1 << (level - 1)}
		}
	case Zstd:
		// One block at a time on the caller's goroutine: no goroutines hide behind it, and dropping it is enough.
		d.zstd, err = zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true), zstd.WithWindowSize(zstdWindow),
			zstd.WithEncoderLevel(zstd.EncoderLevel(level)))
	default:
		err = errors.New("unknown codec")
	}
	return err
}

// put compresses p, which is the caller's again when it returns.
func (d *deflater) put(p []byte) {
	for len(p) > 0 && d.err == nil {
		n := min(len(p), deflateBlock-len(d.block))
		d.block, p = append(d.block, p[:n]...), p[n:]
		if len(d.block) == deflateBlock {
			d.flush()
		}
	}
}

// flush compresses the block.
func (d *deflater) flush() {
	if d.err != nil || len(d.block) == 0 {
		return
	}
	switch d.codec {
	case Gzip:
		_, d.err = d.gzip.Write(d.block)
	case Zstd:
		_, d.err = d.zstd.Write(d.block)
	case Snappy:
		d.out.b = appendSnappyBlock(d.out.b, d.block)
	case LZ4:
		compress := d.lz4.CompressBlock
		if d.lz4HC != nil {
			compress = d.lz4HC.CompressBlock
		}
		d.out.b = appendLZ4Block(d.out.b, d.block, compress)
	default:
		_, d.err = d.out.Write(d.block)
	}
	d.block = d.block[:0]
	if len(d.out.b) > d.out.max && d.err == nil {
		d.err = errOutputTooLarge
	}
}

// finish ends the stream and gives the output away.
func (d *deflater) finish() ([]byte, error) {
	d.flush()
	if d.err != nil {
		return nil, d.err
	}
	switch d.codec {
	case Gzip:
		d.err = d.gzip.Close()
	case Zstd:
		d.err = d.zstd.Close()
	case LZ4:
		d.out.b = appendLZ4End(d.out.b)
	}
	if len(d.out.b) > d.out.max && d.err == nil {
		d.err = errOutputTooLarge
	}
	return d.out.b, d.err
}

// close gives the deflater back to its pool.
func (d *deflater) close() {
	d.out.b = nil
	if d.zstd != nil {
		d.zstd.Reset(nil)
	}
	d.pooled.Put(d)
}
