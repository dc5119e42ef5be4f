// Package engine keeps partitions' logs on one disk: segments in order, recovery, retention, producers, epochs, transactions.
package engine

import (
	"errors"

	"github.com/millrace/millrace/wire"
)

// ErrWait means that the log needs background work first (open, recover, create, allocate, a spare for a roll). The log has
// already asked Options.Go for it; Log.WhenReady tells when to try again.
var ErrWait = errors.New("engine: background work first")

// ErrOffline means that the log directory had a failed sync or an I/O error of its own: nothing more is promised until restart.
var ErrOffline = errors.New("engine: log directory is offline")

// ErrDiskFull refuses an append; nothing is lost and the next append tries again.
var ErrDiskFull = errors.New("engine: disk full")

// ErrClosed is what a removed or closed log answers.
var ErrClosed = errors.New("engine: log is closed")

// Config is what a log needs of its topic's settings. Times are milliseconds, sizes bytes. The zero value is Kafka's default.
type Config struct {
	SegmentBytes      int32
	SegmentMs         int64
	SegmentIndexBytes int32
	IndexInterval     int32
	RetentionMs       int64 // -1: no limit; 0: the default, 7 days
	RetentionBytes    int64 // -1 or 0: no limit
	FileDeleteDelayMs int64 // 0: the default, 60 s
	CleanupDelete     bool  // retention by time and size applies; logStart applies always
	Durable           bool  // millrace.durability=fsync
}

// Appended is the outcome of an append.
type Appended struct {
	BaseOffset, LastOffset int64
	LogAppendTime          int64 // -1 under CreateTime; of a duplicate: the original's timestamp
	LogStart               int64
	Duplicate              bool // BaseOffset and LastOffset are the original's; nothing was appended
}

// AbortedTxn is one aborted transaction: its producer and where it began.
type AbortedTxn struct {
	ProducerID, FirstOffset int64
}

// PartitionDir is a partition's folder as it lies on disk.
type PartitionDir struct {
	Topic     string
	Partition int32
	ID        wire.UUID // zero when the folder has no readable partition.metadata, or was not asked
}
