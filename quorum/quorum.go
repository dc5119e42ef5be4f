// Package quorum makes the controller's decisions durable, on a majority of the voters. It keeps the metadata log, in which every decision
// is one record batch and one entry of Raft's, applies what is committed, and publishes the image that results.
//
// The leader takes all the proposals that have queued while it was busy, decides them one after the other, each against the image that the
// one before has made, appends a batch for each, and makes all of them durable with one fdatasync, while the followers do the same; then it
// publishes the last image and answers. What nobody has been told of may be lost; what anybody has seen is committed.
//
// Snapshots of the image bound what a start must replay. The two newest are kept, and the log from the older one on, so that one damaged
// snapshot costs time, not data. Beside the log lies the ballot: what a voter has promised, which it must not forget.
package quorum

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/millrace/millrace/engine"
	"github.com/millrace/millrace/internal/vfs"
	"github.com/millrace/millrace/meta"
	"github.com/millrace/millrace/wire"
)

// Topic is the topic whose partition 0 is the metadata log.
const Topic = "__cluster_metadata"

// TopicID is that topic's id, the same in every cluster, as in Kafka.
var TopicID = wire.UUID{15: 1}

const (
	segmentBytes = 32 << 20
	keptBytes    = 64 << 10 // of buffers between proposals: large ones are rare
	maxReceived  = 4096     // messages that wait for the quorum's goroutine; more are lost, as on any network
)

// Options say where the metadata log lies, who votes, and who hears of its changes.
type Options struct {
	Dir       *engine.Dir
	FS        vfs.FS // of the snapshots and the ballot; nil: the operating system's
	Path      string // of the log directory: snapshots lie in its folder of the metadata log
	NodeID    int32
	Voters    []int32                    // node ids, this one's among them; nil: this node alone
	Transport Transport                  // to the other voters
	Log       *slog.Logger               // nil: silent
	Now       func() int64               // milliseconds since 1970; nil: the clock
	Rand      func() uint64              // nil: math/rand/v2
	OnImage   func(old, new *meta.Image) // runs on the quorum's goroutine before the done funcs of the proposals it contains, first in Open; must not block
	Fatal     func(error)                // the metadata log cannot go on, the process must end; nil: panic

	Heartbeat       time.Duration // of the leader; an election follows 5 to 10 of them that were missed. 0: 30 ms
	SnapshotBytes   int64         // a snapshot is due after so many bytes of records; 0: 4 MiB
	SnapshotRecords int64         // or so many records; 0: 100,000
}

func (o Options) withDefaults() Options {
	if o.FS == nil {
		o.FS = vfs.OS
	}
	if o.Voters == nil {
		o.Voters = []int32{o.NodeID}
	}
	o.Voters = slices.Sorted(slices.Values(o.Voters))
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = func() int64 { return time.Now().UnixMilli() }
	}
	if o.Rand == nil {
		o.Rand = rand.Uint64
	}
	if o.OnImage == nil {
		o.OnImage = func(old, new *meta.Image) {}
	}
	if o.Fatal == nil {
		o.Fatal = func(err error) { panic(err) }
	}
	if o.Heartbeat == 0 {
		o.Heartbeat = defaultHeartbeat * time.Millisecond
	}
	if o.SnapshotBytes == 0 {
		o.SnapshotBytes = 4 << 20
	}
	if o.SnapshotRecords == 0 {
		o.SnapshotRecords = 100_000
	}
	return o
}

func (o *Options) validate() error {
	switch {
	case !slices.Contains(o.Voters, o.NodeID):
		return fmt.Errorf("quorum: node %d is none of the voters %v", o.NodeID, o.Voters)
	case o.Voters[0] < 0 || len(slices.Compact(slices.Clone(o.Voters))) != len(o.Voters):
		return fmt.Errorf("quorum: %v are no voters: an id is negative or stands there twice", o.Voters)
	case len(o.Voters) > maxVoters:
		return fmt.Errorf("quorum: %d voters, at most %d are possible", len(o.Voters), maxVoters)
	case len(o.Voters) > 1 && o.Transport == nil:
		return errors.New("quorum: several voters need a Transport")
	case o.Heartbeat < time.Millisecond:
		return fmt.Errorf("quorum: Heartbeat is %s, at least 1ms is needed", o.Heartbeat)
	}
	return nil
}

// send is how messages leave; a voter that is alone has nobody to send them to.
func (o *Options) send() func(to int32, message []byte) {
	if o.Transport == nil {
		return nil
	}
	return o.Transport.Send
}

// Quorum is the metadata log of this node.
type Quorum struct {
	options Options
	voter   *voter
	began   time.Time

	wake         chan struct{}       // holds one when there is something to do
	stopped      chan struct{}       // closed when the goroutine has ended
	snapshotDone chan snapshotResult // of the snapshot being written; nil: none is. The goroutine's

	mu struct {
		sync.Mutex
		inbox    []proposal
		received []received
		died     []int32
		closed   bool
	}
}

// ErrClosed is what proposals are told after Close.
var ErrClosed = errors.New("quorum: closed")

// Open replays the metadata log. OnImage has had the image when it returns, on the caller's goroutine; with one voter it is complete, with
// several it is what is known to be committed. That of a new directory is empty: the first proposal founds the cluster.
func Open(o Options) (*Quorum, error) {
	o = o.withDefaults()
	if err := o.validate(); err != nil {
		return nil, err
	}
	q := &Quorum{
		options: o,
		began:   time.Now(),
		wake:    make(chan struct{}, 1),
		stopped: make(chan struct{}),
	}
	var beside sync.WaitGroup
	beside.Go(prepareMessages)
	v, err := openVoter(&q.options, environment{await: await, send: o.send(), take: q.take, clock: q.clock})
	beside.Wait()
	if err != nil {
		return nil, err
	}
	q.voter = v
	if im := q.Image(); im.Index() >= 0 {
		o.OnImage(meta.Empty(), im)
	}
	go q.run()
	return q, nil
}

// Image is the newest image, committed and applied. Never nil.
func (q *Quorum) Image() *meta.Image { return q.voter.status.image.Load() }

// Propose queues a decision; any goroutine, never blocks. decide runs on the quorum's goroutine, against the newest image and with the time in
// milliseconds; its records are committed and applied, then done runs there with an image that has them (and maybe later ones). When decide
// returns no records done runs all the same; when it returns an error done gets it and nothing changes. Where no decisions are made done gets a
// *NotLeaderError. After Close done runs at once, on the caller's goroutine, with ErrClosed.
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

// Receive takes a message that the Transport of another voter has carried here; any goroutine, never blocks. It keeps the message. An error
// says that it is none.
func (q *Quorum) Receive(message []byte) error {
	r, err := parseMessage(message)
	if err != nil {
		return err
	}
	q.mu.Lock()
	if len(q.mu.received) < maxReceived {
		q.mu.received = append(q.mu.received, r)
	}
	q.mu.Unlock()
	q.signal()
	return nil
}

// Died tells that the process of a voter has ended: its host refuses the connection. Any goroutine.
func (q *Quorum) Died(node int32) {
	q.mu.Lock()
	if !slices.Contains(q.mu.died, node) {
		q.mu.died = append(q.mu.died, node)
	}
	q.mu.Unlock()
	q.signal()
}

func (q *Quorum) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// Close ends the goroutine. With one voter the proposals that are queued still get their answers; with several, those that are committed. A
// snapshot that is being written is finished.
func (q *Quorum) Close() error {
	q.mu.Lock()
	q.mu.closed = true
	q.mu.Unlock()
	q.signal()
	<-q.stopped
	return q.voter.disk.ballot.close()
}

// now is the time by which heartbeats are sent and missed.
func (q *Quorum) now() int64   { return time.Since(q.began).Milliseconds() }
func (q *Quorum) clock() int64 { return int64(time.Since(q.began)) }

// await returns when the log's background work may have ended. Only the quorum's own goroutine, or Open, waits here.
func await(l *engine.Log) {
	ready := make(chan struct{})
	l.WhenReady(func() { close(ready) })
	<-ready
}

// take empties the inbox. After Close nothing enters it any more.
func (q *Quorum) take() []proposal {
	q.mu.Lock()
	defer q.mu.Unlock()
	inbox := q.mu.inbox
	q.mu.inbox = nil
	return inbox
}

func (q *Quorum) run() {
	defer close(q.stopped)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		if q.voter.sole {
			timer.Stop() // nobody is sent a heartbeat
		} else {
			timer.Reset(time.Duration(max(0, q.voter.next()-q.now())) * time.Millisecond)
		}
		select {
		case <-q.wake:
		case <-timer.C:
		case r := <-q.snapshotDone:
			q.snapshotDone = nil
			q.voter.snapshotWritten(r)
		}
		if q.round() {
			break
		}
	}
	if q.snapshotDone != nil {
		q.voter.snapshotWritten(<-q.snapshotDone)
	}
}

// round does what has come up. It reports whether that was the last.
func (q *Quorum) round() (closed bool) {
	q.mu.Lock()
	closed = q.mu.closed
	messages, died := q.mu.received, q.mu.died
	q.mu.received, q.mu.died = nil, nil
	q.mu.Unlock()
	v := q.voter
	if !v.sole {
		// While a sync waits for the disk there are no heartbeats, and the others find another leader; that it waits shall be known before it ends.
		slow := time.AfterFunc(time.Duration(v.election())*time.Millisecond, func() {
			q.options.Log.Warn("the disk keeps the metadata log waiting for longer than an election takes", "dir", q.options.Path)
		})
		defer slow.Stop()
	}
	v.tick(q.now())
	for _, node := range died {
		v.died(raftID(node))
	}
	for _, m := range messages {
		v.receive(m)
	}
	v.settle()
	if closed {
		v.fail(ErrClosed)
		v.remember()
		return true
	}
	if s, due := v.snapshotDue(); due {
		done := make(chan snapshotResult, 1)
		q.snapshotDone = done
		go func() { done <- v.disk.writeSnapshot(s) }()
	}
	return false
}
