package segment

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"

	"github.com/millrace/millrace/index"
	"github.com/millrace/millrace/internal/vfs"
	"github.com/millrace/millrace/wire/record"
)

// RecoverOptions say what a recovery may trust and accept.
type RecoverOptions struct {
	From     int64 // everything from this offset on is verified; all below is surely in the file. <= base: everything is verified
	Durable  int64 // everything below this offset was synced: FlushedTo afterwards, at most From
	MinEpoch int32 // no leader epoch from From on is smaller; epochs never go down
	Holes    bool  // offsets may be missing (compacted)
	// Replay, if smaller than From, is where the callback begins. The batches that end below From are not verified, and have only their
	// header (b's length is record.HeaderSize) unless they are control batches.
	Replay        int64
	DistrustIndex bool // rebuild the indexes from the first batch on: the page cache did not survive
}

// Recovered tells how a recovery ended.
type Recovered struct {
	NextOffset int64
	Position   int64  // where the last valid batch ends: the new size
	Cut        int64  // bytes cut there; zeros that were allocated ahead do not count
	Reason     string // why bytes were cut
	CutPath    string // where up to 1 MiB of them is kept
	Scanned    int64  // bytes verified
}

const keptTorn = 1 << 20

// Recover opens a segment after a crash, for appending: it verifies what lies at and above o.From, cuts what follows the last valid batch
// (and keeps it aside) and completes the indexes. fn, which may be nil, gets the batches in order; b is valid during the call; an error of
// fn ends the recovery. Damage below From is a *CorruptError, and nothing is cut then: that was durable, so it is no torn tail. It blocks.
//
// What was not durable before is not after: FlushedTo is o.Durable until the next Flush, unless bytes were cut.
func Recover(dir string, base int64, o Options, ro RecoverOptions, fn func(b record.Batch, position int64) error) (*Segment, Recovered, error) {
	s := newSegment(dir, base, o)
	s.files.Lock()
	defer s.files.Unlock()
	h, err := s.o.FS.OpenFile(s.path(logSuffix), os.O_RDWR, 0)
	if err != nil {
		return nil, Recovered{}, fmt.Errorf("recover segment: %w", err)
	}
	defer h.Close()
	size, err := h.Size()
	if err != nil {
		return nil, Recovered{}, fmt.Errorf("recover segment: %w", err)
	}
	c := &recovery{s: s, ro: ro, fn: fn, log: h, size: size}
	if err := c.run(); err != nil {
		return nil, c.out, fmt.Errorf("recover segment: %w", err)
	}
	s.size.Store(c.out.Position)
	s.next.Store(c.out.NextOffset)
	flushed := min(max(ro.Durable, base), max(ro.From, base), c.out.NextOffset)
	if c.out.Cut > 0 {
		flushed = c.out.NextOffset
	}
	s.flushedTo.Store(flushed)
	if _, err := s.openLocked(); err != nil {
		return nil, c.out, err
	}
	return s, c.out, nil
}

// recovery is the state of one Recover.
type recovery struct {
	s    *Segment
	ro   RecoverOptions
	fn   func(b record.Batch, position int64) error
	log  vfs.File
	size int64 // of the file
	w    *builder
	out  Recovered
}

// errIndex: the index led to a place where no batch is.
var errIndex = errors.New("index does not fit the log")

func (c *recovery) run() error {
	err := c.scan(c.ro.DistrustIndex)
	if errors.Is(err, errIndex) {
		c.s.o.Log.Warn("rebuilding the indexes", "path", c.s.name(), "err", err)
		err = c.scan(true)
	}
	return err
}

// scan walks to From, verifies from there, cuts, and leaves index files that are trimmed.
func (c *recovery) scan(distrust bool) (err error) {
	offsets, position, err := c.begin(distrust)
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, c.w.end(false))
		c.s.idleOffsets.Store(int32(c.w.f.offsets.Len()))
		c.s.idleTimes.Store(int32(c.w.f.times.Len()))
		c.s.lastIndexed = c.w.s.lastIndexed
		c.s.stamps.known = true
		c.s.stamps.max, c.s.stamps.offset = c.w.s.stamps.max, c.w.s.stamps.offset
	}()
	next := c.s.base
	if offsets.Len() > 0 {
		next = -1 // whatever the first header says
	}
	if position, next, err = c.walk(position, next); err != nil {
		return err
	}
	reason, err := c.verify(position, next)
	if err != nil {
		return err
	}
	if c.out.NextOffset < c.ro.From && !c.ro.Holes {
		return c.lost(c.out.Position, c.out.NextOffset)
	}
	return c.cut(reason)
}

// begin decides which index entries stay and where the walk begins.
func (c *recovery) begin(distrust bool) (offsets index.Offsets, position int64, err error) {
	s := c.s
	offsets, times := index.Offsets{Base: s.base}, index.Times{Base: s.base}
	start := min(c.ro.From, c.ro.Replay)
	timestamp, at := int64(-1), s.base
	if !distrust && start > s.base {
		if offsets, err = index.ReadOffsets(s.o.FS, s.path(indexSuffix), s.base); err != nil {
			return offsets, 0, err
		}
		if times, err = index.ReadTimes(s.o.FS, s.path(timeSuffix), s.base); err != nil {
			return offsets, 0, err
		}
		// Entries up to the last one below start, and the time entries that came with them.
		offsets.Entries = offsets.Entries[:(offsets.Slot(start-1, 0)+1)*index.OffsetEntrySize]
		if offsets.Check(start, c.size) != nil {
			offsets.Entries = nil
		}
		keep := 0
		if n := offsets.Len(); n > 0 {
			var last int64
			last, position = offsets.At(n - 1)
			for keep < times.Len() {
				if _, at := times.At(keep); at > last {
					break
				}
				keep++
			}
		}
		times.Entries = times.Entries[:keep*index.TimeEntrySize]
		if times.Check(start) != nil {
			offsets.Entries, times.Entries, position = nil, nil, 0
		}
		if n := times.Len(); n > 0 {
			timestamp, at = times.At(n - 1)
		}
	}
	c.w, err = s.newBuilder(offsets.Len(), times.Len(), position, timestamp, at)
	return offsets, position, err
}

// walk goes from an indexed batch, or the first one, to the batch that holds From, without verifying more than the headers. What it cannot walk
// over was durable: that is damage, unless the index sent it to the wrong place.
func (c *recovery) walk(position, next int64) (int64, int64, error) {
	indexed := position > 0
	r := &reader{s: c.s, f: &files{log: c.log}, limit: c.size, block: true}
	defer r.done()
	first := true
	for next < c.ro.From && position < c.size {
		b, err := r.header(position)
		if err == nil && !c.follows(b, next) {
			err = r.corrupt(position, fmt.Errorf("offset %d where %d was expected", b.BaseOffset(), max(next, c.s.base)))
		}
		if err == nil && indexed && first {
			if last, _ := c.w.f.offsets.View().At(c.w.f.offsets.Len() - 1); b.LastOffset() > last {
				err = errIndex
			}
		}
		if err != nil {
			if indexed {
				return 0, 0, fmt.Errorf("%w: %w", errIndex, err)
			}
			return 0, 0, fmt.Errorf("below offset %d, up to which the file held everything: %w", c.ro.From, err)
		}
		if b.LastOffset() >= c.ro.From {
			break
		}
		size := int64(b.Size())
		if !(indexed && first) { // that one has its entry
			if err := c.w.add(b, position); err != nil {
				return 0, 0, err
			}
		} else if t := stampOf(b); t > c.w.s.stamps.max {
			c.w.s.stamps.max, c.w.s.stamps.offset = t, b.LastOffset()
		}
		first = false
		next = b.NextOffset()
		if c.fn != nil && next > c.ro.Replay {
			if b.Control() {
				whole := make(record.Batch, size)
				if _, err := c.log.ReadAt(whole, position); err != nil && err != io.EOF {
					return 0, 0, err
				}
				b = whole
			}
			if err := c.fn(b, position); err != nil {
				return 0, 0, err
			}
		}
		position += size
	}
	if next < c.ro.From && position >= c.size && !c.ro.Holes {
		err := c.lost(position, next)
		if indexed {
			return 0, 0, fmt.Errorf("%w: %w", errIndex, err)
		}
		return 0, 0, err
	}
	return position, max(next, c.s.base), nil
}

// lost is what is wrong with a log that ends below From.
func (c *recovery) lost(position, next int64) error {
	return &CorruptError{c.s.name(), position, fmt.Errorf("ends at offset %d, but held everything up to %d", next, c.ro.From)}
}

// verify checks every batch from position on and returns why it stopped; "" at the end of the file.
func (c *recovery) verify(position, next int64) (reason string, err error) {
	c.out.Position, c.out.NextOffset = position, next
	sc := scanner{log: c.log, position: position, size: c.size}
	epoch := c.ro.MinEpoch
	for {
		b, err := sc.next()
		switch {
		case err == io.EOF:
			return "", nil
		case errors.Is(err, errInvalid):
			return err.Error(), nil
		case err != nil:
			return "", err
		}
		if reason := c.wrong(b, epoch); reason != "" {
			return reason, nil
		}
		if err := c.w.add(b, c.out.Position); err != nil {
			return "", err
		}
		if c.fn != nil {
			if err := c.fn(b, c.out.Position); err != nil {
				return "", err
			}
		}
		epoch = b.LeaderEpoch()
		c.out.Position += int64(len(b))
		c.out.Scanned += int64(len(b))
		c.out.NextOffset = b.NextOffset()
	}
}

// follows says whether a batch may come where next is expected; -1 is anything in the segment.
func (c *recovery) follows(b record.Batch, next int64) bool {
	at := b.BaseOffset()
	return at == next || at >= c.s.base && (next < 0 || at > next && c.ro.Holes)
}

// wrong says what is wrong with a batch that follows c.out.NextOffset, or "".
func (c *recovery) wrong(b record.Batch, epoch int32) string {
	expected := c.out.NextOffset
	switch {
	case checkSum(b) != nil:
		return errSum.Error()
	case b.LastOffsetDelta() < 0:
		return "negative number of offsets"
	case !c.follows(b, expected):
		return fmt.Sprintf("offset %d where %d was expected", b.BaseOffset(), expected)
	case b.LastOffset()-c.s.base > math.MaxInt32:
		return fmt.Sprintf("offset %d is too far from base %d", b.LastOffset(), c.s.base)
	case b.LeaderEpoch() < epoch:
		return fmt.Sprintf("leader epoch %d after %d", b.LeaderEpoch(), epoch)
	}
	return ""
}

// cut ends the file behind the last valid batch. What is cut off is kept aside, unless it is the zeros of the space allocated ahead.
func (c *recovery) cut(reason string) error {
	rest := c.size - c.out.Position
	if rest == 0 {
		return nil
	}
	tail := make([]byte, min(rest, keptTorn))
	if _, err := c.log.ReadAt(tail, c.out.Position); err != nil && err != io.EOF {
		return err
	}
	end := len(tail)
	for end > 0 && tail[end-1] == 0 {
		end--
	}
	if end == 0 {
		return c.log.Truncate(c.out.Position) // need not be durable: zeros are no batches
	}
	c.out.Cut, c.out.Reason = int64(end), reason
	if end == len(tail) {
		c.out.Cut = rest
	}
	c.out.CutPath = Path(c.s.dir, c.s.base, fmt.Sprintf(".%d.torn", c.out.Position))
	c.s.o.Log.Warn("cutting a torn tail", "path", c.s.name(), "position", c.out.Position, "offset", c.out.NextOffset,
		"bytes", c.out.Cut, "reason", reason, "kept", c.out.CutPath)
	if err := writeAside(c.s.o.FS, c.out.CutPath, tail[:end]); err != nil && !errors.Is(err, vfs.ErrNoSpace) {
		return err
	}
	if err := c.log.Truncate(c.out.Position); err != nil {
		return err
	}
	// A batch that comes back after the next crash would be a ghost among those appended since: the cut must be durable first.
	if err := c.log.Sync(); err != nil {
		return err
	}
	return c.s.o.FS.SyncDir(c.s.dir)
}

func writeAside(fs vfs.FS, path string, b []byte) error {
	h, err := fs.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	_, err = h.WriteAt(b, 0)
	if err == nil {
		err = h.Sync()
	}
	return errors.Join(err, h.Close())
}
