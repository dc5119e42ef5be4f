// Package segment is one segment of a partition's log: a log file, mapped, with its offset, time and transaction index.
package segment

import (
	"errors"
	"fmt"
	"log/slog"

	"github.com/millrace/millrace/internal/vfs"
	"github.com/millrace/millrace/wire/record"
)

var (
	// ErrWait: background work is needed first (open, allocate). The segment has asked Options.Go for it; see WhenReady.
	ErrWait = errors.New("segment: waits for background work")
	// ErrFull: the batch does not fit, roll. Nothing was changed.
	ErrFull = errors.New("segment: full")
	// ErrCold: the answer needs pages that are not in the page cache. Ask again with block=true, off the loop.
	ErrCold = errors.New("segment: cold")
	// ErrClosed: the segment was closed, sealed (Append) or deleted.
	ErrClosed = errors.New("segment: closed")
)

// CorruptError: bytes on disk that are not what was written there.
type CorruptError struct {
	Path     string
	Position int64
	Err      error
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("%s: corrupt at position %d: %v", e.Path, e.Position, e.Err)
}
func (e *CorruptError) Unwrap() error { return e.Err }

// Options of a segment; the zero value of each field but FS and Go is ready.
type Options struct {
	FS            vfs.FS
	Go            func(job func()) // runs a job off the loop, at any time, in any order; the owner waits for all of them after Close
	IndexInterval int              // bytes between two index entries; default 4096
	MaxBytes      int              // default 1 GiB
	MaxIndexBytes int              // default 10 MiB
	Budget        *Budget          // shared by allocation steps and spares; nil: no limit
	Durable       bool             // fdatasync follows soon after each append (fsync mode)
	Log           *slog.Logger
	OnError       func(error) // a background error that takes the log directory offline (failed sync, SIGBUS, EIO); called once
}

// Budget bounds the disk space that is allocated ahead of the tails of all segments together.
type Budget struct{}

// NewBudget returns a budget of so many bytes.
func NewBudget(bytes int64) *Budget { return nil }

// Segment: one appender at a time (the caller's lock), any number of readers without a lock.
type Segment struct{}

// Create makes the files of an empty segment in an existing folder and opens it for appending. It blocks.
func Create(dir string, base int64, o Options) (*Segment, error) { return nil, errors.ErrUnsupported }

// Open opens the last segment after a clean stop, for appending. It trusts the indexes, checks the last batches and reads no more than
// a few pages. A *CorruptError or a surprise means: Recover. It blocks.
func Open(dir string, base int64, o Options) (*Segment, error) { return nil, errors.ErrUnsupported }

// OpenSealed describes a segment that will not be appended to. It opens nothing (one stat); next is the base of the following segment.
func OpenSealed(dir string, base, next int64, o Options) (*Segment, error) {
	return nil, errors.ErrUnsupported
}

// RecoverOptions say what a recovery may trust and accept.
type RecoverOptions struct {
	From     int64 // offset from which everything is verified; below it only what is needed to find it. <= base: everything
	MinEpoch int32 // leader epoch at From; epochs never go down
	Holes    bool  // offsets may be missing (compacted)
	Replay   int64 // the callback also gets (unverified) batches from here on, if smaller than From
}

// Recovered tells how a recovery ended.
type Recovered struct {
	NextOffset int64
	Position   int64  // of the first byte that is not part of a valid batch = new size
	Cut        int64  // bytes cut there; zeros that were allocated ahead do not count
	Reason     string // why the scan stopped; empty at the end of the file or of what was written
	CutPath    string // where up to 1 MiB of what was cut is kept
	Scanned    int64  // bytes verified
}

// Recover opens a segment after a crash: verifies from o.From on, cuts what follows the last valid batch (keeping it aside),
// rebuilds the indexes, syncs what it changed. fn gets each batch in order and may stop the recovery with an error. It blocks.
func Recover(dir string, base int64, o Options, ro RecoverOptions, fn func(b record.Batch, position int64) error) (*Segment, Recovered, error) {
	return nil, Recovered{}, errors.ErrUnsupported
}

// Spare is a prepared file for the next segment, whose base is not known yet.
type Spare struct{}

// Prepare creates, allocates and maps a spare. It blocks. At most one per folder.
func Prepare(dir string, o Options) (*Spare, error) { return nil, errors.ErrUnsupported }

// Take turns the spare into the segment at base. It blocks shortly (renames).
func (sp *Spare) Take(base int64) (*Segment, error) { return nil, errors.ErrUnsupported }

// Discard removes a spare that is not needed. It blocks.
func (sp *Spare) Discard() error { return errors.ErrUnsupported }

// Append copies a stamped batch to the end. The bytes are the caller's again on return.
// ErrWait and ErrFull change nothing. Any other error than disk full means the log is offline. Caller holds the appender's lock.
func (s *Segment) Append(b record.Batch) error { return errors.ErrUnsupported }

// WhenReady runs f once, when the background work asked for has ended, whatever its result: on a background goroutine, or at once
// in the caller when there is none.
func (s *Segment) WhenReady(f func()) {}

func (s *Segment) Base() int64       { return 0 }
func (s *Segment) NextOffset() int64 { return 0 }
func (s *Segment) Size() int64       { return 0 }

// FlushedTo is the offset below which everything is durable.
func (s *Segment) FlushedTo() int64 { return 0 }

// Room is the number of bytes that fit until the segment is full: time to Prepare a spare when it gets small.
func (s *Segment) Room() int { return 0 }

// MaxTimestamp is the largest timestamp and the offset it is at; -1, -1 when empty. For a segment of OpenSealed the first call
// reads the last time index entry and blocks.
func (s *Segment) MaxTimestamp() (timestamp, offset int64, err error) {
	return -1, -1, errors.ErrUnsupported
}

// FirstTimestamp is that of the first batch (Kafka rolls by it), -1 when empty. Blocks for a segment that is not open.
func (s *Segment) FirstTimestamp() (int64, error) { return -1, errors.ErrUnsupported }

// Slice returns the bytes from the batch that holds offset (or the first after it) up to maxBytes, ending at the latest where the
// batch that holds bound begins (bound is exclusive, so whole batches below bound). The last batch may be cut short by maxBytes; with
// minOne the first batch is always whole. Empty at the end or when nothing is below bound. No lock, no allocation.
// block=false: ErrCold when it would wait for the disk to find the place, ErrWait when the files are closed. block=true: only off the loop.
func (s *Segment) Slice(offset, bound int64, maxBytes int, minOne, block bool) (vfs.Slice, error) {
	return vfs.Slice{}, errors.ErrUnsupported
}

// Found is a record found by time.
type Found struct {
	Offset, Timestamp int64
	LeaderEpoch       int32
}

// OffsetForTime finds the first record with a timestamp >= timestamp and an offset >= from. ok is false when there is none here.
func (s *Segment) OffsetForTime(timestamp, from int64, block bool) (f Found, ok bool, err error) {
	return Found{}, false, errors.ErrUnsupported
}

// Scan calls fn for each batch from the one that holds offset on, below the published size, headers and bodies, by pread. It blocks.
func (s *Segment) Scan(offset int64, fn func(b record.Batch, position int64) error) error {
	return errors.ErrUnsupported
}

// Flush makes everything appended when it starts durable and returns the offset up to which that is. Off the loop, concurrent with Append.
// The first error poisons the segment: every later Append and Flush returns it.
func (s *Segment) Flush() (int64, error) { return 0, errors.ErrUnsupported }

// Seal ends appending: caller holds the appender's lock. Trimming, the last time index entry and the index files' trimming happen through Go.
func (s *Segment) Seal() {}

// Idle closes the files (trimmed when active) through Go, if they are open. Caller holds the appender's lock. The next Append or Slice reopens.
func (s *Segment) Idle() {}

// TruncateTo returns a new segment with the same base that ends at offset (exclusive, a batch boundary): a copy of the prefix that has
// replaced this one's files, durable. This one is closed; slices of it stay valid. It blocks.
func (s *Segment) TruncateTo(offset int64) (*Segment, error) { return nil, errors.ErrUnsupported }

// Close waits for the segment's background work and closes. clean: trims, writes all indexes and syncs. It blocks.
func (s *Segment) Close(clean bool) error { return errors.ErrUnsupported }

// Delete closes and unlinks the files; slices stay valid until released. It blocks.
func (s *Segment) Delete() error { return errors.ErrUnsupported }
