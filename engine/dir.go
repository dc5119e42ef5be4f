package engine

import (
	"errors"
	"log/slog"

	"github.com/millrace/millrace/internal/vfs"
	"github.com/millrace/millrace/wire"
)

// DirOptions configure a log directory.
type DirOptions struct {
	FS            vfs.FS           // nil: the operating system's
	Path          string           // created when missing
	Go            func(job func()) // runs a job on another goroutine; its owner waits for all jobs after Close. nil: at once, on the caller's
	Log           *slog.Logger     // nil: silent
	NodeID        int32
	ClusterID     string        // "": whatever meta.properties says; of a new directory one is made up
	BootID        string        // identifies the running operating system; "": unknown, the page cache is not trusted across restarts
	Rand          func() uint64 // ids of directories and removed folders; nil: math/rand/v2
	MaxProducers  int           // producer ids remembered per log; 0: 20,000
	Version       string        // of Millrace, for people who read the files
	BudgetPercent int           // of free disk for allocation ahead and spares; 0: 5
}

// Dir is a log directory.
type Dir struct{}

// OpenDir locks a directory, formats it when empty, refuses a foreign one and reads what all logs need. It scans no partition.
func OpenDir(o DirOptions) (*Dir, error) { return nil, errors.New("engine: not yet") }

// Close stops all logs. A clean close flushes and trims them and leaves a directory whose next start scans nothing.
// All jobs given to Go must have ended, and no other method of the Dir or its logs may be running, before it returns and after.
func (d *Dir) Close(clean bool) error { return nil }

// ClusterID is what meta.properties says.
func (d *Dir) ClusterID() string { return "" }

// ID is the directory's own id.
func (d *Dir) ID() wire.UUID { return wire.UUID{} }

// Partitions lists what lies on disk, in order of folder names.
func (d *Dir) Partitions() []PartitionDir { return nil }

// Log returns the log of a partition. It is cheap: nothing is opened or created. Asked twice, it returns the same log.
func (d *Dir) Log(topic string, id wire.UUID, partition int32, c Config) *Log { return &Log{} }

// Tick does what is due by the clock: recovery points, checkpoints, unlinking, closing of idle logs. Call it about once a second,
// off the loops. It returns the first I/O error, which has taken the directory offline.
func (d *Dir) Tick(now int64) error { return nil }

// Err is why the directory is offline, or nil.
func (d *Dir) Err() error { return nil }
