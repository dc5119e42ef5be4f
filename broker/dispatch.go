package broker

import (
	"errors"
	"fmt"
	"sync"

	"github.com/millrace/millrace/netio"
	"github.com/millrace/millrace/wire"
)

// A call is one request on its way through a handler. It is pooled: whoever answers it (respond, fail, drop, or a hot handler through finish)
// gives it back, and must not touch it afterwards. Exactly one of these is called for each call, on any goroutine, now or later.
type call struct {
	node   *Node
	conn   *netio.Conn
	client *client // what the node knows about the connection
	reply  *netio.Reply
	header wire.Header // ClientID is a view of the frame: valid after Frame returns only if keep was called
	body   []byte      // a view of the frame, as above
	kept   bool
}

var calls = sync.Pool{New: func() any { return new(call) }}

// client is the node's state of one connection, owned by the connection's loop.
type client struct {
	parked  fetchList    // fetches that wait for bytes; taken out when the connection closes
	metrics *loopMetrics // of the connection's loop
}

var errUnsupported = errors.New("the broker does not serve this API key or version")

// Opened gives the connection its state.
func (n *Node) Opened(c *netio.Conn) { c.Context = &client{metrics: n.metrics.of(c.Loop())} }

// Frame decodes the header of one request and jumps through the table of APIs. Kafka closes the connection on a key or version it does not
// serve; only ApiVersions, which a client sends to learn the versions, is answered in every version.
func (n *Node) Frame(conn *netio.Conn, reply *netio.Reply) {
	header, body, err := wire.DecodeHeader(reply.Frame)
	if err != nil {
		n.metrics.unknown.Add(1)
		reply.Abort(err)
		return
	}
	a := apiFor(header.Key)
	if a == nil || (a.key != apiVersionsKey && (header.Version < a.min || header.Version > a.max)) {
		n.metrics.unknown.Add(1)
		reply.Abort(fmt.Errorf("%w: key %d version %d", errUnsupported, header.Key, header.Version))
		return
	}
	if a.maxBody > 0 && len(body) > a.maxBody {
		n.metrics.closed[a.row].Add(1)
		reply.Abort(fmt.Errorf("%s request of %d bytes: the limit of this API is %d", a.name, len(body), a.maxBody))
		return
	}
	c := calls.Get().(*call)
	c.node, c.conn, c.reply, c.header, c.body = n, conn, reply, header, body
	c.client, _ = conn.Context.(*client)
	reply.Took = &c.client.metrics.took[a.row]
	a.handle(n, c)
}

// Closed lets go of what waits on the connection's behalf.
func (n *Node) Closed(conn *netio.Conn, err error) {
	if cl, ok := conn.Context.(*client); ok {
		n.dropParked(cl)
	}
}

// keep makes the frame (header.ClientID, body and every view of it) live until the call is answered. Loop only, before the handler returns;
// once is enough.
func (c *call) keep() {
	if c.kept {
		return
	}
	c.kept = true
	before := c.reply.Frame
	c.reply.Keep()
	after := c.reply.Frame
	if len(before) == 0 || &before[0] == &after[0] {
		return
	}
	// The frame has moved: move the views with it. The header has been decoded once already, so it decodes again.
	if header, body, err := wire.DecodeHeader(after); err == nil {
		c.header, c.body = header, body
	}
}

// respond answers with the response header and what body appends to it.
func (c *call) respond(body func(dst []byte) []byte) {
	r := c.reply
	r.Buf = wire.AppendResponseHeader(r.Buf, c.header.Key, c.header.Version, c.header.CorrelationID)
	r.Buf = body(r.Buf)
	c.finish()
	r.Send()
}

// fail closes the connection without an answer, as Kafka does with a request it cannot parse.
func (c *call) fail(err error) {
	r := c.reply
	c.node.metrics.closed[apiByKey[c.header.Key].row].Add(1)
	c.finish()
	r.Abort(err)
}

// drop frees the reply's slot without an answer: produce with acks=0.
func (c *call) drop() {
	r := c.reply
	c.finish()
	r.Discard()
}

// finish gives the call back to the pool. The reply is not the call's any more.
func (c *call) finish() {
	*c = call{}
	calls.Put(c)
}
