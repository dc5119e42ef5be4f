package replica

import (
	"fmt"
	"sync"

	"github.com/millrace/millrace/internal/peer"
	"github.com/millrace/millrace/wire"
)

// Receiver is the follower's end of the stream to one leader, for all partitions that this broker follows there. It lives on when the stream breaks:
// Connected and Disconnected tell. Like a Sender it knows neither sockets nor clocks.
type Receiver struct {
	Leader  int32
	entries []peer.Entry // of Receive

	mu struct {
		sync.Mutex
		following []*following // in the order in which they came
		handles   map[uint32]*following
		last      uint32 // handle; never used again, whatever the stream
		out       []byte
		acks      []*following
		wake      func() // of the stream; nil: there is none
		idle      bool
	}
}

func newReceiver(leader int32) *Receiver {
	r := &Receiver{Leader: leader}
	r.mu.handles = map[uint32]*following{}
	return r
}

// Connected begins a stream: Next has the frame that says who we are. wake as in SenderOptions.
func (r *Receiver) Connected(id *peer.Identity, wake func()) {
	r.mu.Lock()
	r.mu.out = peer.AppendHello(r.mu.out[:0], id)
	r.mu.wake, r.mu.idle = wake, false
	all := append([]*following(nil), r.mu.following...)
	r.mu.Unlock()
	for _, f := range all {
		f.p.ask(f)
	}
	wake()
}

// Disconnected ends it.
func (r *Receiver) Disconnected() {
	r.mu.Lock()
	r.mu.wake, r.mu.out = nil, nil
	for _, f := range r.mu.acks {
		f.ackQueued = false
	}
	r.mu.acks = nil
	clear(r.mu.handles)
	all := append([]*following(nil), r.mu.following...)
	r.mu.Unlock()
	for _, f := range all {
		f.p.lost(f)
	}
}

// lost: the stream is gone, the next one begins with a new subscription.
func (p *Partition) lost(f *following) {
	p.mu.Lock()
	if f.state == asked || f.state == streaming {
		f.state = waiting
		f.held, f.heldBytes = nil, 0
	}
	p.mu.Unlock()
}

// Tick asks again for what has been refused, or has failed. A stream's owner calls it every 100 ms or so.
func (r *Receiver) Tick() {
	r.mu.Lock()
	all := append([]*following(nil), r.mu.following...)
	r.mu.Unlock()
	for _, f := range all {
		f.p.ask(f)
	}
}

// take adds a partition and asks for it.
func (r *Receiver) take(f *following) {
	r.mu.Lock()
	r.mu.following = append(r.mu.following, f)
	r.mu.Unlock()
	f.p.ask(f)
}

// drop takes a partition out.
func (r *Receiver) drop(f *following) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, x := range r.mu.following {
		if x == f {
			r.mu.following = append(r.mu.following[:i:i], r.mu.following[i+1:]...)
			break
		}
	}
	if r.mu.handles[f.handle] == f {
		delete(r.mu.handles, f.handle)
	}
}

// subscribe sends a Subscribe with a new handle; false without a stream. Holds Partition.mu.
func (r *Receiver) subscribe(f *following, at *peer.Position) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.mu.wake == nil {
		return false
	}
	if r.mu.handles[f.handle] == f {
		delete(r.mu.handles, f.handle)
	}
	r.mu.last++
	f.handle = r.mu.last
	r.mu.handles[f.handle] = f
	r.mu.out = peer.AppendSubscribe(r.mu.out, f.handle, f.leaderEpoch, at)
	r.stirLocked()
	return true
}

// ack notes how far a partition has come: everything that comes before the next pass of Next goes in one frame. Holds Partition.mu.
func (r *Receiver) ack(f *following, logEnd, flushedTo int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.mu.handles[f.handle] != f {
		return
	}
	f.logEnd, f.flushedTo = logEnd, min(flushedTo, logEnd)
	if !f.ackQueued {
		f.ackQueued = true
		r.mu.acks = append(r.mu.acks, f)
	}
	r.stirLocked()
}

func (r *Receiver) nack(h *peer.Header) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.mu.wake != nil {
		n := peer.Header{Kind: peer.Nack, Code: wire.CorruptMessage, Handle: h.Handle, LeaderEpoch: h.LeaderEpoch, BaseOffset: h.BaseOffset}
		r.mu.out = n.Append(r.mu.out)
		r.stirLocked()
	}
}

func (r *Receiver) stirLocked() {
	if r.mu.idle && r.mu.wake != nil {
		r.mu.idle = false
		r.mu.wake()
	}
}

// Next appends what goes out next; nothing: wake will tell.
func (r *Receiver) Next(dst []byte) []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	dst = append(dst, r.mu.out...)
	r.mu.out = r.mu.out[:0]
	entries := make([]peer.Entry, 0, len(r.mu.acks))
	for _, f := range r.mu.acks {
		f.ackQueued = false
		entries = append(entries, peer.Entry{Handle: f.handle, LeaderEpoch: f.leaderEpoch, End: f.logEnd, Other: f.flushedTo})
	}
	r.mu.acks = r.mu.acks[:0]
	dst = peer.AppendEntries(dst, peer.Ack, entries)
	r.mu.idle = len(dst) == 0
	return dst
}

// Receive takes in one frame of the leader; body is only looked at until it returns. An error ends the stream.
func (r *Receiver) Receive(h *peer.Header, body []byte, now int64) error {
	switch h.Kind {
	case peer.Heartbeat:
		return nil
	case peer.Marks:
		var err error
		if r.entries, err = peer.ParseEntries(r.entries[:0], h.Kind, body); err != nil {
			return err
		}
		for i := range r.entries {
			if f := r.find(r.entries[i].Handle); f != nil {
				f.p.marked(f, &r.entries[i])
			}
		}
		return nil
	case peer.Refused:
		if h.Handle == 0 {
			return fmt.Errorf("broker %d refuses this broker: %w", r.Leader, h.Code)
		}
	case peer.Subscribed, peer.Diverge, peer.OutOfRange, peer.Data:
	default:
		return fmt.Errorf("%w: %s from a leader", peer.ErrFrame, h.Kind)
	}
	f := r.find(h.Handle)
	if f == nil {
		return nil // of a subscription that is over
	}
	switch h.Kind {
	case peer.Refused:
		f.p.refused(f, h)
	case peer.Subscribed:
		f.p.subscribed(f, h)
	case peer.Diverge:
		f.p.diverge(f, h)
	case peer.OutOfRange:
		f.p.restart(f, h)
	case peer.Data:
		f.p.receive(f, h, body, now)
	}
	return nil
}

// refused: an image that one of the two does not have yet will settle it. The header has the leader's epoch, not the subscription's.
func (p *Partition) refused(f *following, h *peer.Header) {
	mine := *h
	mine.LeaderEpoch = f.leaderEpoch
	p.again(f, &mine, false)
}

func (r *Receiver) find(handle uint32) *following {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.mu.handles[handle]
}
