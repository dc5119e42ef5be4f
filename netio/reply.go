package netio

import "github.com/millrace/millrace/internal/vfs"

// Reply is a request and the place of its reply in the order of its connection. It is pooled: nothing of it may be touched after Send, Discard or Abort.
type Reply struct {
	Frame   []byte // the request's payload; valid during Handler.Frame, and until the reply is finished after Keep
	Buf     []byte // the reply: arrives with 4 bytes, room for the size; append header and body
	Context any    // the handler's
}

// Conn is the connection the request came on.
func (r *Reply) Conn() *Conn { return nil }

// Keep makes Frame live until the reply is finished. Loop only, during Handler.Frame.
func (r *Reply) Keep() {}

// Insert puts file bytes between Buf[:at] and Buf[at:]. Positions must ascend. The reply owns s from now on and releases it once.
func (r *Reply) Insert(at int, s vfs.Slice) {}

// Send finishes the reply: it leaves when all replies of earlier requests have left. Any goroutine, once.
func (r *Reply) Send() {}

// Discard finishes the reply: nothing is sent for this request. Any goroutine, once.
func (r *Reply) Discard() {}

// Abort finishes the reply by closing its connection. Any goroutine, once.
func (r *Reply) Abort(err error) {}
