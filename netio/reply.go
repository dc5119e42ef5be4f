package netio

import (
	"fmt"
	"sync/atomic"

	"github.com/millrace/millrace/internal/invariant"
	"github.com/millrace/millrace/internal/metric"
	"github.com/millrace/millrace/internal/vfs"
)

// Reply is a request and the place of its reply in the order of its connection. It is pooled: nothing of it may be touched after Send, Discard or Abort.
type Reply struct {
	Frame   []byte            // the request's payload; valid during Handler.Frame, and until the reply is finished after Keep
	Buf     []byte            // the reply: arrives with 4 bytes, room for the size; append header and body
	Context any               // the handler's
	Took    *metric.Histogram // set during Handler.Frame: gets the time from the wake-up that brought the request until its reply has left; nil: nobody asks

	conn    *Conn
	next    *Reply // the connection's next request
	inserts []insert
	arrived int64 // on the loop's clock
	state   atomic.Uint32
	outcome outcome
	err     error

	kept  bool
	token bool   // the frame was allowed to exceed the budget
	frame []byte // the buffer Frame lies in, when it is this reply's own; charged

	// How far it has been sent. Loop only, once it is done.
	done bool
	left int // bytes
	pos  position
}

// insert is a file range within a reply.
type insert struct {
	at    int // Buf[:at] goes before it
	slice vfs.Slice
	copy  bool // the kernel cannot send this file by itself
}

// position is a place in the sequence Buf[:at0], slice0, Buf[at0:at1], slice1, ..., Buf[atN:].
type position struct {
	buf    int // next byte of Buf
	insert int // next slice; those before it have been released
	within int // next byte of that slice
}

type outcome uint8

const (
	sent outcome = iota
	discarded
	aborted
)

const (
	framing  uint32 = iota // Handler.Frame has not returned: the loop will look at the reply after it
	open                   // finishing it must tell the loop
	finished               //
)

const sizeBytes = 4

// Conn is the connection the request came on.
func (r *Reply) Conn() *Conn { return r.conn }

// Keep makes Frame live until the reply is finished. Frame may move. Loop only, during Handler.Frame.
func (r *Reply) Keep() {
	invariant.Check(r.state.Load() == framing, "Keep outside of Frame")
	if r.kept {
		return
	}
	r.kept = true
	if r.frame == nil && len(r.Frame) > 0 {
		r.frame = r.conn.loop.take(len(r.Frame))
		n := copy(r.frame[:cap(r.frame)], r.Frame)
		r.Frame = r.frame[:n:n]
		r.conn.overBudget()
	}
}

// Insert puts file bytes between Buf[:at] and Buf[at:]. Positions must ascend. The reply owns s from now on and releases it once.
func (r *Reply) Insert(at int, s vfs.Slice) {
	if n := len(r.inserts); at < sizeBytes || n > 0 && at < r.inserts[n-1].at || s.Length < 0 {
		panic(fmt.Sprintf("netio: Insert of %d bytes at %d out of order", s.Length, at))
	}
	r.inserts = append(r.inserts, insert{at: at, slice: s})
}

// Send finishes the reply: it leaves when all replies of earlier requests have left. Any goroutine, once.
func (r *Reply) Send() { r.finish(sent, nil) }

// Discard finishes the reply: nothing is sent for this request. Any goroutine, once.
func (r *Reply) Discard() { r.finish(discarded, nil) }

// Abort finishes the reply by closing its connection. Any goroutine, once.
func (r *Reply) Abort(err error) { r.finish(aborted, err) }

func (r *Reply) finish(o outcome, err error) {
	l := r.conn.loop
	r.outcome, r.err = o, err
	switch r.state.Swap(finished) {
	case framing: // the loop, or a goroutine that was faster than the handler: the loop looks when Frame returns
	case open:
		l.push(item{reply: r})
	default:
		panic("netio: a reply was finished twice")
	}
}

// seal writes the size into the reply and makes it ready to be sent.
func (r *Reply) seal() error {
	r.done = true
	if r.outcome != sent {
		r.left = 0
		return nil
	}
	size := len(r.Buf)
	for i := range r.inserts {
		if r.inserts[i].at > len(r.Buf) {
			panic(fmt.Sprintf("netio: Insert at %d into a reply of %d bytes", r.inserts[i].at, len(r.Buf)))
		}
		size += r.inserts[i].slice.Length
	}
	r.left = size
	size -= sizeBytes
	if size < 0 || size > 1<<31-1 {
		return fmt.Errorf("a reply of %d bytes does not fit a frame", size)
	}
	r.Buf[0], r.Buf[1], r.Buf[2], r.Buf[3] = byte(size>>24), byte(size>>16), byte(size>>8), byte(size)
	return nil
}

// releaseSlices releases what has not been sent.
func (r *Reply) releaseSlices() {
	for i := r.pos.insert; i < len(r.inserts); i++ {
		r.inserts[i].slice.Release()
	}
	clear(r.inserts)
	r.inserts = r.inserts[:0]
}
