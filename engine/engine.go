// Package engine keeps the logs of partitions on one disk.
//
// A Dir is a log directory: one folder per partition, in Kafka's names and formats, and a few files that tell how the last stop went.
// A Log is one partition's log: segments in order, the last one active, and what follows from their batches: leader epochs, the
// windows of idempotent producers, transactions. What follows is a cache: any doubt, and it is rebuilt from the batches.
//
// A log is cheap until it is used. It has no folder before its first append, and no open file while nobody uses it:
//
//	none ──append──> open <──use── closed        none: no folder; ends are 0
//	                  │ ↑            ↑           closed: ends known, files trimmed and synced
//	 unknown ──look───┘ └────idle────┘           unknown: after a crash, or left by Kafka; looked at in the background
//
// Three marks ascend in every log: flushedTo (fsynced), written (noted in the table of logs, see table.go) and logEnd. A process that
// is killed leaves the page cache: recovery verifies what lies above written. A machine that is reset leaves what was synced: recovery
// verifies what lies above flushedTo. What is missing below the mark is corruption and is never cut (R7).
//
// Nothing here starts a goroutine, reads a clock or depends on the order of a map: work that blocks goes through DirOptions.Go, and
// time is an argument. Append and Read never wait: when file work has to come first they ask for it and return ErrWait.
//
// Locks, in order: Log.work (file work that changes the list of segments, held over I/O), Log.flushing (one flush at a time, held over
// I/O), Log.noting (small files, held over I/O), Dir.cleaned (the cleaners' checkpoint, held over I/O), Log.mu (memory only), Dir.mu
// (memory only).
package engine

import (
	"errors"
	"math"

	"github.com/millrace/millrace/wire"
)

// ErrWait means that the log needs background work first (open, recover, create, allocate, a spare for a roll). The log has
// already asked DirOptions.Go for it; Log.WhenReady tells when to try again.
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
	SegmentJitterMs   int64 // a segment's age limit is shorter by up to so much, by chance
	SegmentIndexBytes int32
	IndexInterval     int32
	RetentionMs       int64   // -1: no limit; 0: the default, 7 days
	RetentionBytes    int64   // -1 or 0: no limit
	FileDeleteDelayMs int64   // 0: the default, 60 s; -1: none
	KeepAll           bool    // cleanup.policy without delete: only LogStart deletes
	Compacted         bool    // cleanup.policy with compact: offsets may be missing
	DeleteRetentionMs int64   // how long a tombstone stays after it was first cleaned; 0: the default, a day; -1: not at all
	MinCompactionLag  int64   // ms that a record stays as it is at least
	MaxCompactionLag  int64   // ms after which the log is cleaned whatever its ratio; 0: the default, never
	MinCleanableRatio float64 // of dirty bytes to all that can be cleaned; 0: the default, 0.5; -1: any
	Durable           bool    // millrace.durability=fsync: a sync follows soon after each append
	OS                bool    // millrace.durability=os: nobody waits for a sync
}

func (c Config) withDefaults() Config {
	if c.SegmentBytes == 0 {
		c.SegmentBytes = 1 << 30
	}
	if c.SegmentMs == 0 {
		c.SegmentMs = 7 * 24 * 60 * 60 * 1000
	}
	if c.SegmentIndexBytes == 0 {
		c.SegmentIndexBytes = 10 << 20
	}
	if c.IndexInterval == 0 {
		c.IndexInterval = 4096
	}
	if c.RetentionMs == 0 {
		c.RetentionMs = 7 * 24 * 60 * 60 * 1000
	}
	if c.RetentionBytes == 0 {
		c.RetentionBytes = -1
	}
	if c.FileDeleteDelayMs == 0 {
		c.FileDeleteDelayMs = 60_000
	}
	c.FileDeleteDelayMs = max(0, c.FileDeleteDelayMs)
	if c.DeleteRetentionMs == 0 {
		c.DeleteRetentionMs = 24 * 60 * 60 * 1000
	}
	c.DeleteRetentionMs = max(0, c.DeleteRetentionMs)
	if c.MaxCompactionLag == 0 {
		c.MaxCompactionLag = math.MaxInt64
	}
	if c.MinCleanableRatio == 0 {
		c.MinCleanableRatio = 0.5
	}
	c.MinCleanableRatio = max(0, c.MinCleanableRatio)
	return c
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
	ID        wire.UUID // zero when the folder has no readable partition.metadata
}
