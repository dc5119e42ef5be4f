package segment

import (
	"errors"
	"fmt"
	"log/slog"
	"math"

	"github.com/millrace/millrace/internal/vfs"
)

var (
	// ErrWait: background work is needed first (open, allocate). The segment has asked Options.Go for it; see WhenReady.
	ErrWait = errors.New("segment: waits for background work")
	// ErrFull: the batch does not fit, roll. Nothing was changed.
	ErrFull = errors.New("segment: full")
	// ErrTooLarge: the batch is larger than a whole segment may be.
	ErrTooLarge = errors.New("segment: batch larger than a segment")
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

// Options of a segment. Every field has a usable zero value.
type Options struct {
	FS            vfs.FS           // nil: the operating system's
	Go            func(job func()) // runs a job off the loop, at any time, in any order; the owner waits for all of them after Close. nil: at once
	Rest          func(job func()) // runs a job that nobody waits for, one after the other; nil: Go
	IndexInterval int              // bytes between two index entries; 0: 4096, < 0: an entry for every batch but the first
	MaxBytes      int              // of the log file; 0: 1 GiB
	MaxIndexBytes int              // of each index file; 0: 10 MiB
	Budget        *Budget          // shared by allocation steps and spares; nil: no limit
	Durable       bool             // a sync follows soon after each append (fsync mode)
	Log           *slog.Logger     // nil: silent
	OnError       func(error)      // an error that takes the log directory offline (failed sync, SIGBUS, EIO); once per segment
}

func (o Options) withDefaults() Options {
	if o.FS == nil {
		o.FS = vfs.OS
	}
	if o.Go == nil {
		o.Go = func(job func()) { job() }
	}
	if o.Rest == nil {
		o.Rest = o.Go
	}
	switch {
	case o.IndexInterval == 0:
		o.IndexInterval = 4096
	case o.IndexInterval < 0:
		o.IndexInterval = 0
	}
	if o.MaxBytes <= 0 {
		o.MaxBytes = 1 << 30
	}
	o.MaxBytes = min(o.MaxBytes, math.MaxInt32) // positions are int32 in the index
	if o.MaxIndexBytes <= 0 {
		o.MaxIndexBytes = 10 << 20
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}
