package sim

import (
	"io"
	"slices"

	"github.com/millrace/millrace/internal/peer"
	"github.com/millrace/millrace/internal/vfs"
	"github.com/millrace/millrace/replica"
)

// conn is one stream between two brokers. Frames keep their order; how long one is on its way is left to chance.
type conn struct {
	w                *world
	follower, leader *node
	receiver         *replica.Receiver
	sender           *replica.Sender // once the Hello has come
	up, down         [][]byte        // frames to the leader, to the follower
	upAwake          bool            // the receiver has said that it has something to send
	downAwake        bool            // the sender has
}

// dial opens a stream that a broker wants and does not have.
func (w *world) dial() {
	n := w.nodes[w.r.IntN(nodes)]
	if !n.up || len(n.receivers) == 0 {
		return
	}
	r := n.receivers[w.r.IntN(len(n.receivers))]
	leader := w.node(r.Leader)
	if !leader.up || w.cut[n.id][leader.id] || w.cut[leader.id][n.id] || slices.ContainsFunc(w.conns, func(c *conn) bool { return c.receiver == r }) {
		return
	}
	c := &conn{w: w, follower: n, leader: leader, receiver: r}
	w.conns = append(w.conns, c)
	w.tell("stream from %d to leader %d", n.id, leader.id)
	r.Connected(&peer.Identity{ClusterID: "sim", Follower: n.id, BrokerEpoch: n.epoch, Leader: leader.id}, func() { c.upAwake = true })
}

// break_ ends a stream at both ends; what was on its way is lost.
func (c *conn) break_(why string) {
	i := slices.Index(c.w.conns, c)
	if i < 0 {
		return
	}
	c.w.conns = slices.Delete(c.w.conns, i, i+1)
	c.w.tell("stream from %d to leader %d ends: %s", c.follower.id, c.leader.id, why)
	if c.follower.up {
		c.receiver.Disconnected()
	}
	if c.leader.up && c.sender != nil {
		c.sender.Close()
	}
}

// pump moves what one end of a stream has to send onto the wire.
func (w *world) pump() {
	if len(w.conns) == 0 {
		return
	}
	c := w.conns[w.r.IntN(len(w.conns))]
	if w.r.IntN(2) == 0 {
		if c.upAwake {
			frames := c.receiver.Next(nil)
			c.upAwake = len(frames) > 0
			c.up = c.put(c.up, frames, nil)
		}
		return
	}
	if !c.downAwake || c.sender == nil {
		return
	}
	frames, slice := c.sender.Next(nil)
	c.downAwake = len(frames) > 0
	c.down = c.put(c.down, frames, c.bytes(slice))
	slice.Release()
}

// bytes copies a slice as sendfile would at this moment.
func (c *conn) bytes(s vfs.Slice) []byte {
	if s.Length == 0 {
		return nil
	}
	b := make([]byte, s.Length)
	if _, err := s.ReadAt(b, 0); err != nil && err != io.EOF {
		c.w.fail("read of what is sent: %v", err)
	}
	return b
}

// put splits what an end has written into frames; body belongs to the last one.
func (c *conn) put(queue [][]byte, frames, body []byte) [][]byte {
	frames = append(frames, body...)
	for len(frames) > 0 {
		h, err := peer.ParseHeader(frames)
		if err != nil {
			c.w.fail("a frame that was sent: %v", err)
			return queue
		}
		n := peer.HeaderSize + h.Length
		queue = append(queue, slices.Clone(frames[:n]))
		frames = frames[n:]
	}
	return queue
}

// deliver lets one frame arrive.
func (w *world) deliver() {
	if len(w.conns) == 0 {
		return
	}
	c := w.conns[w.r.IntN(len(w.conns))]
	queue, from, to := &c.up, c.follower, c.leader
	if w.r.IntN(2) == 0 {
		queue, from, to = &c.down, c.leader, c.follower
	}
	if len(*queue) == 0 || w.cut[from.id][to.id] {
		return
	}
	frame := (*queue)[0]
	*queue = (*queue)[1:]
	hello := peer.Kind(frame[1]) == peer.Hello
	if w.hostile && !hello {
		switch w.r.IntN(40) {
		case 0:
			w.tell("a frame from %d to %d is lost", from.id, to.id)
			return
		case 1:
			*queue = append([][]byte{slices.Clone(frame)}, *queue...)
		case 2:
			if len(*queue) > 0 {
				frame, (*queue)[0] = (*queue)[0], frame
			}
		}
	}
	h, err := peer.ParseHeader(frame)
	if err != nil {
		w.fail("a frame on its way: %v", err)
		return
	}
	w.tell("%d -> %d %s handle %d epoch %d at %d, high watermark %d, detail %d", from.id, to.id, h.Kind, h.Handle, h.LeaderEpoch, h.BaseOffset, h.HighWatermark, h.Detail)
	body := frame[peer.HeaderSize:]
	switch {
	case to == c.follower:
		err = c.receiver.Receive(&h, body, w.now)
	case hello:
		var id peer.Identity
		if id, err = peer.ParseHello(body); err == nil {
			c.sender = c.leader.table.NewSender(replica.SenderOptions{Follower: id.Follower, BrokerEpoch: id.BrokerEpoch, Wake: func() { c.downAwake = true }})
		}
	default:
		err = c.sender.Receive(&h, body, w.now)
	}
	if err != nil {
		c.break_(err.Error())
	}
}
