// Package quorum makes the controller's decisions durable: it keeps the metadata log, applies it, and publishes the image.
package quorum

import (
	"errors"
	"log/slog"

	"github.com/millrace/millrace/engine"
	"github.com/millrace/millrace/internal/vfs"
	"github.com/millrace/millrace/meta"
)

// Topic is the topic whose partition 0 is the metadata log.
const Topic = "__cluster_metadata"

// Options say where the metadata log lies and who hears of its changes.
type Options struct {
	Dir     *engine.Dir
	FS      vfs.FS // of the snapshots; nil: the operating system's
	Path    string // of the log directory: snapshots lie in its folder of the metadata log
	NodeID  int32
	Log     *slog.Logger               // nil: silent
	Now     func() int64               // milliseconds since 1970; nil: the clock
	OnImage func(old, new *meta.Image) // runs on the quorum's goroutine before the done funcs of the proposals it contains; must not block
	Fatal   func(error)                // the metadata log cannot go on: the process must end; nil: panic

	SnapshotBytes   int64 // a snapshot is due after so many bytes of log; 0: 4 MiB
	SnapshotRecords int64 // or so many records; 0: 100,000
}

// Quorum is the metadata log of this node.
type Quorum struct{}

// ErrClosed is what proposals are told after Close.
var ErrClosed = errors.New("quorum: closed")

// Open replays the metadata log. The image is complete when it returns.
func Open(o Options) (*Quorum, error) { return nil, errors.New("quorum: not yet") }

// Image is the newest image, durable and applied. Never nil.
func (q *Quorum) Image() *meta.Image { return meta.Empty() }

// Propose queues a decision; any goroutine, never blocks. decide runs on the quorum's goroutine, against the newest image and with
// the time in milliseconds; its records are made durable and applied, then done runs there with the image that has them. When decide
// returns no records done runs all the same; when it returns an error done gets it and nothing changes.
func (q *Quorum) Propose(decide func(im *meta.Image, now int64) ([]meta.Record, error), done func(im *meta.Image, err error)) {
}

// Close ends the goroutine; proposals that are queued still get their answers.
func (q *Quorum) Close() error { return nil }
