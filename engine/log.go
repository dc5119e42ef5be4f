package engine

import (
	"errors"

	"github.com/millrace/millrace/internal/vfs"
	"github.com/millrace/millrace/wire/record"
)

var errNotYet = errors.New("engine: not yet")

// Log is the log of one partition.
type Log struct{}

// SetConfig applies changed topic settings.
func (l *Log) SetConfig(c Config) {}

// Ready says whether LogStart, LogEnd and the epochs are known: nil, ErrWait (recovery is under way: WhenReady), or why the log is offline.
func (l *Log) Ready() error { return errNotYet }

// WhenReady runs f once when the work that made a call return ErrWait has ended, whatever its result: on a background goroutine,
// or at once when nothing is under way. f tries again and may meet ErrWait again.
func (l *Log) WhenReady(f func()) { f() }

// Append checks the producer's sequence, stamps base offset and leader epoch into b and appends it. One appender at a time.
// now is the broker's clock in ms. Errors: ErrWait, wire.Code, ErrOffline, ErrDiskFull, *segment.CorruptError.
func (l *Log) Append(b record.Batch, leaderEpoch int32, now int64) (Appended, error) {
	return Appended{}, errNotYet
}

// AppendFollower appends one batch as the leader wrote it: its base offset must be LogEnd. Nothing is checked against the producers' windows.
func (l *Log) AppendFollower(b record.Batch, now int64) error { return errNotYet }

// Read returns whole batches from the one that holds offset, up to but not including the batch that holds bound (exclusive).
// Takes no lock. Errors: wire.OffsetOutOfRange, ErrWait, segment.ErrCold (block=false only). An empty slice at bound.
func (l *Log) Read(offset, bound int64, maxBytes int, minOne, block bool) (vfs.Slice, error) {
	return vfs.Slice{}, errNotYet
}

// LogStart is the first readable offset.
func (l *Log) LogStart() int64 { return 0 }

// LogEnd is the next offset to be written.
func (l *Log) LogEnd() int64 { return 0 }

// FlushedTo is the first offset not yet known to be durable.
func (l *Log) FlushedTo() int64 { return 0 }

// Size is the bytes of all segments.
func (l *Log) Size() int64 { return 0 }

// HighWatermark is the last one noted, before this start included; LogStart when there is none.
func (l *Log) HighWatermark() int64 { return 0 }

// NoteHighWatermark remembers the high watermark for the next start. One atomic store.
func (l *Log) NoteHighWatermark(offset int64) {}

// LastStable is the first offset a read-committed reader must not see, given the high watermark.
func (l *Log) LastStable(highWatermark int64) int64 { return highWatermark }

// Aborted appends to dst the aborted transactions that overlap [from, to).
func (l *Log) Aborted(dst []AbortedTxn, from, to int64) ([]AbortedTxn, error) { return dst, errNotYet }

// Flush makes durable all that was appended before it began, and returns FlushedTo. It blocks: off the loops, concurrent with Append.
func (l *Log) Flush() (flushedTo int64, err error) { return 0, errNotYet }

// OffsetForTime finds the first record at or after LogStart with a timestamp >= ts; offset -1 when there is none.
// With block=false it returns segment.ErrCold rather than read cold pages or decompress.
func (l *Log) OffsetForTime(ts int64, block bool) (offset, timestamp int64, leaderEpoch int32, err error) {
	return -1, -1, -1, errNotYet
}

// MaxTimestamp finds the first record that has the log's largest timestamp; offset -1 in an empty log.
func (l *Log) MaxTimestamp(block bool) (offset, timestamp int64, leaderEpoch int32, err error) {
	return -1, -1, -1, errNotYet
}

// EpochAt is the leader epoch of the record at offset, or that would be were it written now at LogEnd; -1 when unknown (empty log).
func (l *Log) EpochAt(offset int64) (int32, error) { return -1, errNotYet }

// EpochEnd answers OffsetForLeaderEpoch: the largest epoch <= the one asked for, and its end; (-1, -1) when unknown.
func (l *Log) EpochEnd(epoch int32) (foundEpoch int32, endOffset int64, err error) {
	return -1, -1, errNotYet
}

// LatestEpoch is the leader epoch of the last batch, -1 in an empty log.
func (l *Log) LatestEpoch() (int32, error) { return -1, errNotYet }

// Retain deletes the segments that topic settings or LogStart no longer keep and that lie below the high watermark. Off the loops.
func (l *Log) Retain(now, highWatermark int64) (deleted int, err error) { return 0, errNotYet }

// DeleteBefore moves LogStart up to offset (at most LogEnd). Off the loops.
func (l *Log) DeleteBefore(offset int64) error { return errNotYet }

// TruncateTo cuts the log so that LogEnd is offset (a batch boundary at or below it). No appender may run. Off the loops.
func (l *Log) TruncateTo(offset int64) error { return errNotYet }

// Roll begins a new segment, unless the active one is empty. Off the loops.
func (l *Log) Roll(now int64) error { return errNotYet }

// Idle closes the files of a log that was not used since idleAfter ms before now. Off the loops; Dir.Tick calls it.
func (l *Log) Idle(now, idleAfter int64) {}

// Remove makes the log unusable, renames its folder away and unlinks it later. Off the loops.
func (l *Log) Remove() error { return errNotYet }
