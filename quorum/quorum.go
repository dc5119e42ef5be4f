// Package quorum makes the controller's decisions durable. It keeps the metadata log, in which every decision is one record batch, applies it, and
// publishes the image that results.
//
// One goroutine owns the log. It takes all the proposals that have queued while it was busy, decides them one after the other, each against the
// image that the one before has made, appends a batch for each, and makes all of them durable with one fdatasync; then it publishes the last image
// and answers. What nobody has been told of may be lost; what anybody has seen is durable.
//
// Snapshots of the image bound what a start must replay. The two newest are kept, and the log from the older one on, so that one damaged
// snapshot costs time, not data.
package quorum

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millrace/millrace/engine"
	"github.com/millrace/millrace/internal/metric"
	"github.com/millrace/millrace/internal/vfs"
	"github.com/millrace/millrace/meta"
	"github.com/millrace/millrace/wire"
	"github.com/millrace/millrace/wire/record"
)

// Topic is the topic whose partition 0 is the metadata log.
const Topic = "__cluster_metadata"

// TopicID is that topic's id, the same in every cluster, as in Kafka.
var TopicID = wire.UUID{15: 1}

// term is the leader epoch of the log's batches: with one voter there is one term.
const term = 1

// Bounds of one proposal and of one group: a batch must fit into a segment, and an answer must not wait for ever longer groups.
const (
	maxProposalBytes = 16 << 20
	maxGroupBytes    = 8 << 20
	segmentBytes     = 32 << 20
	keptBytes        = 64 << 10 // of buffers between proposals: large ones are rare
)

// Options say where the metadata log lies and who hears of its changes.
type Options struct {
	Dir     *engine.Dir
	FS      vfs.FS // of the snapshots; nil: the operating system's
	Path    string // of the log directory: snapshots lie in its folder of the metadata log
	NodeID  int32
	Log     *slog.Logger               // nil: silent
	Now     func() int64               // milliseconds since 1970; nil: the clock
	OnImage func(old, new *meta.Image) // runs on the quorum's goroutine before the done funcs of the proposals it contains, first in Open; must not block
	Fatal   func(error)                // the metadata log cannot go on, the process must end; nil: panic

	SnapshotBytes   int64 // a snapshot is due after so many bytes of records; 0: 4 MiB
	SnapshotRecords int64 // or so many records; 0: 100,000
}

func (o Options) withDefaults() Options {
	if o.FS == nil {
		o.FS = vfs.OS
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = func() int64 { return time.Now().UnixMilli() }
	}
	if o.OnImage == nil {
		o.OnImage = func(old, new *meta.Image) {}
	}
	if o.Fatal == nil {
		o.Fatal = func(err error) { panic(err) }
	}
	if o.SnapshotBytes == 0 {
		o.SnapshotBytes = 4 << 20
	}
	if o.SnapshotRecords == 0 {
		o.SnapshotRecords = 100_000
	}
	return o
}

// Quorum is the metadata log of this node.
type Quorum struct {
	options Options
	log     *engine.Log
	store   snapshots
	image   atomic.Pointer[meta.Image]
	took    metric.Histogram // of the groups of decisions that were made durable

	wake    chan struct{} // holds one when there is something to do
	stopped chan struct{} // closed when the goroutine has ended

	mu struct {
		sync.Mutex
		inbox  []proposal
		closed bool
	}

	// owned by the goroutine
	dead          error // why the log takes no more
	builder       record.Builder
	scratch       []byte
	since         struct{ bytes, records int64 } // of the log, since the last snapshot
	snapshotBytes int64                          // size of the last snapshot
	snapshotDone  chan snapshotResult            // of the snapshot being written; nil: none is
}

type proposal struct {
	decide func(im *meta.Image, now int64) ([]meta.Record, error)
	done   func(im *meta.Image, err error)
	err    error
}

// ErrClosed is what proposals are told after Close.
var ErrClosed = errors.New("quorum: closed")

// ErrTooLarge is what a proposal is told whose records do not fit into one batch.
var ErrTooLarge = fmt.Errorf("quorum: the records of one decision take more than %d bytes", maxProposalBytes)

// ErrKafka is told of a directory whose metadata log Kafka has written: its records are others, and it is not ours to change.
var ErrKafka = errors.New("the directory is Apache Kafka's own, with Kafka's metadata: start in an empty one")

// kafkas tells whether p begins with a control batch. Kafka's metadata logs and snapshots do; ours have none.
func kafkas(p []byte) bool {
	b, _, err := record.Next(p)
	return err == nil && b.CheckHeader() == nil && b.Control()
}

// Open replays the metadata log. The image is complete when it returns, and OnImage has had it, on the caller's goroutine. That of a new directory
// is empty: the first proposal founds the cluster.
func Open(o Options) (*Quorum, error) {
	o = o.withDefaults()
	q := &Quorum{
		options: o,
		log:     o.Dir.Log(Topic, TopicID, 0, engine.Config{SegmentBytes: segmentBytes, RetentionMs: -1, RetentionBytes: -1, Durable: true}),
		store:   snapshots{fs: o.FS, folder: folder(o.Path), log: o.Log},
		wake:    make(chan struct{}, 1),
		stopped: make(chan struct{}),
	}
	im, err := q.replay()
	if err != nil {
		return nil, fmt.Errorf("metadata log: %w", err)
	}
	if id := o.Dir.ClusterID(); id != "" && im.ClusterID() != "" && im.ClusterID() != id {
		return nil, fmt.Errorf("metadata log: it belongs to the cluster %s, the directory to %s: one of the two was copied from elsewhere", im.ClusterID(), id)
	}
	q.image.Store(im)
	if im.Index() >= 0 {
		o.OnImage(meta.Empty(), im)
	}
	go q.run()
	return q, nil
}

// Image is the newest image, durable and applied. Never nil.
func (q *Quorum) Image() *meta.Image { return q.image.Load() }

// Propose queues a decision; any goroutine, never blocks. decide runs on the quorum's goroutine, against the newest image and with the time in
// milliseconds; its records are made durable and applied, then done runs there with an image that has them (and maybe later ones). When decide
// returns no records done runs all the same; when it returns an error done gets it and nothing changes. After Close done runs at once, on the
// caller's goroutine, with ErrClosed.
func (q *Quorum) Propose(decide func(im *meta.Image, now int64) ([]meta.Record, error), done func(im *meta.Image, err error)) {
	q.mu.Lock()
	closed := q.mu.closed
	if !closed {
		q.mu.inbox = append(q.mu.inbox, proposal{decide: decide, done: done})
	}
	q.mu.Unlock()
	if closed {
		done(q.Image(), ErrClosed)
		return
	}
	q.signal()
}

func (q *Quorum) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// Close ends the goroutine; proposals that are queued still get their answers, and a snapshot that is being written is finished.
func (q *Quorum) Close() error {
	q.mu.Lock()
	q.mu.closed = true
	q.mu.Unlock()
	q.signal()
	<-q.stopped
	return nil
}

func (q *Quorum) run() {
	defer close(q.stopped)
	for {
		select {
		case <-q.wake:
		case r := <-q.snapshotDone:
			q.snapshotFinished(r)
		}
		group, closed := q.take()
		q.commit(group)
		if closed {
			if q.snapshotDone != nil {
				q.snapshotFinished(<-q.snapshotDone)
			}
			return
		}
		q.maybeSnapshot()
	}
}

// take empties the inbox. After Close nothing enters it any more, so what is taken with closed is the last.
func (q *Quorum) take() (group []proposal, closed bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	group, q.mu.inbox = q.mu.inbox, nil
	return group, q.mu.closed
}

// commit decides the proposals in their order and answers them, in groups that share a flush.
func (q *Quorum) commit(proposals []proposal) {
	for len(proposals) > 0 {
		n := q.commitGroup(proposals)
		proposals = proposals[n:]
	}
}

// commitGroup takes as many proposals as one group may hold and returns how many.
func (q *Quorum) commitGroup(proposals []proposal) (n int) {
	old, began := q.Image(), time.Now()
	im, now, bytes := old, q.options.Now(), q.since.bytes
	for n < len(proposals) && q.since.bytes-bytes < maxGroupBytes {
		p := &proposals[n]
		n++
		if q.dead != nil {
			p.err = q.dead
			continue
		}
		records, err := p.decide(im, now)
		if err != nil || len(records) == 0 {
			p.err = err
			continue
		}
		next, err := q.append(im, records, now)
		if err != nil {
			p.err = err
			continue
		}
		im = next
	}
	if im != old && q.dead == nil {
		if flushed, err := q.log.Flush(); err != nil {
			q.die(fmt.Errorf("flush: %w", err))
		} else if flushed <= im.Index() {
			q.die(fmt.Errorf("flushed to %d only, offset %d was appended", flushed, im.Index()))
		}
	}
	if q.dead == nil && im != old {
		q.took.Observe(int64(time.Since(began)))
		q.image.Store(im)
		q.options.OnImage(old, im)
	}
	im = q.Image()
	for i := range proposals[:n] {
		p := &proposals[i]
		if p.err == nil {
			p.err = q.dead // what was appended may not be there after a restart
		}
		p.done(im, p.err)
	}
	return n
}

// append applies the records and appends them as one batch. When it fails nothing has changed: either the records were refused, or the log is dead.
func (q *Quorum) append(im *meta.Image, records []meta.Record, now int64) (*meta.Image, error) {
	index := im.Index() + 1
	next, err := im.Apply(records, index)
	if err != nil {
		return nil, err
	}
	q.builder.Reset(record.BuildOptions{})
	size := 0
	for _, r := range records {
		q.scratch = meta.AppendRecord(q.scratch[:0], r)
		if size += len(q.scratch); size > maxProposalBytes {
			return nil, ErrTooLarge
		}
		q.builder.Add(now, nil, q.scratch)
	}
	_, batch, err := q.builder.Build(nil)
	if err != nil {
		return nil, err
	}
	if size > keptBytes {
		q.builder, q.scratch = record.Builder{}, nil
	}
	var appended engine.Appended
	err = q.wait(func() error {
		appended, err = q.log.Append(batch, term, now)
		return err
	})
	if errors.Is(err, engine.ErrDiskFull) {
		return nil, err
	}
	if err == nil && appended.BaseOffset != index {
		err = fmt.Errorf("appended at offset %d, not at %d", appended.BaseOffset, index)
	}
	if err != nil {
		q.die(fmt.Errorf("append: %w", err))
		return nil, q.dead
	}
	q.since.bytes += int64(len(batch))
	q.since.records += int64(len(records))
	return next, nil
}

// wait calls f until the log needs no more background work for it. Only the quorum's own goroutine, or Open, waits here.
func (q *Quorum) wait(f func() error) error {
	for {
		err := f()
		if !errors.Is(err, engine.ErrWait) {
			return err
		}
		ready := make(chan struct{})
		q.log.WhenReady(func() { close(ready) })
		<-ready
	}
}

// die stops the log: an append or a flush has failed, and what of it reached the disk is unknown. There is no second try (the next fdatasync would report success).
func (q *Quorum) die(err error) {
	if q.dead != nil {
		return
	}
	q.dead = fmt.Errorf("metadata log: %w", err)
	q.options.Fatal(q.dead)
}

// replay makes the image from the newest good snapshot and the log behind it.
func (q *Quorum) replay() (*meta.Image, error) {
	if err := q.wait(q.log.Ready); err != nil {
		return nil, err
	}
	im, size, damage, err := q.store.load()
	if err != nil {
		return nil, err
	}
	q.snapshotBytes = size
	begin, end := q.log.LogStart(), q.log.LogEnd()
	if next := im.Index() + 1; begin > next || end < next {
		err := fmt.Errorf("the snapshot ends at offset %d, but the log has offsets %d to %d", next, begin, end)
		if next == 0 {
			err = fmt.Errorf("the log begins at offset %d and there is no snapshot of what came before", begin)
		}
		return nil, errors.Join(append([]error{err}, damage...)...)
	}
	for _, d := range damage {
		q.options.Log.Warn("a snapshot of the metadata is damaged; an older one and the log replace it", "err", d)
	}
	if q.log.FlushedTo() < end {
		// What is replayed is acted upon: it must not be lost in the next crash.
		if _, err := q.log.Flush(); err != nil {
			return nil, err
		}
	}
	return q.replayFrom(im, end)
}

// replayStep bounds the bytes of log read at once; a larger batch is read whole.
const replayStep = 4 << 20

func (q *Quorum) replayFrom(im *meta.Image, end int64) (*meta.Image, error) {
	var buf []byte
	for next := im.Index() + 1; next < end; {
		var slice vfs.Slice
		err := q.wait(func() (err error) {
			slice, err = q.log.Read(next, end, replayStep, true, true)
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("read at offset %d: %w", next, err)
		}
		buf = grow(buf, slice.Length)
		_, err = slice.ReadAt(buf, 0)
		slice.Release()
		if err != nil && err != io.EOF {
			return nil, fmt.Errorf("read at offset %d: %w", next, err)
		}
		applied, err := q.applyBatches(im, buf)
		if err != nil {
			return nil, err
		}
		if applied.Index() < next {
			return nil, fmt.Errorf("nothing is left to read at offset %d, but the log ends at %d", next, end)
		}
		im, next = applied, applied.Index()+1
	}
	return im, nil
}

func grow(buf []byte, n int) []byte {
	if cap(buf) < n {
		return make([]byte, n)
	}
	return buf[:n]
}

// applyBatches applies all records of p behind the image's index, together: a topic with many partitions would be copied by each batch otherwise.
func (q *Quorum) applyBatches(im *meta.Image, p []byte) (*meta.Image, error) {
	first := im.Index() + 1
	next := first
	var records []meta.Record
	if kafkas(p) {
		return nil, ErrKafka
	}
	for len(p) > 0 {
		b, rest, err := record.Next(p)
		if err != nil {
			return nil, fmt.Errorf("batch at offset %d: %w", next, err)
		}
		p = rest
		if err := b.CheckHeader(); err != nil {
			return nil, fmt.Errorf("batch at offset %d: %w", b.BaseOffset(), err)
		}
		err = b.Iterate(record.Limits{}, func(r record.Record) error {
			if r.Offset < first {
				return nil
			}
			if r.Offset != next {
				return fmt.Errorf("offset %d follows offset %d", r.Offset, next-1)
			}
			m, err := meta.DecodeRecord(r.Value)
			if err != nil {
				return fmt.Errorf("offset %d: %w", r.Offset, err)
			}
			records = append(records, m)
			next++
			return nil
		})
		if err != nil {
			return nil, err
		}
		q.since.bytes += int64(len(b))
	}
	if len(records) == 0 {
		return im, nil
	}
	q.since.records += int64(len(records))
	return im.Apply(records, first)
}
