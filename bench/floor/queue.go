package floor

import (
	"encoding/binary"

	"github.com/millrace/millrace/wire"
	"golang.org/x/sys/unix"
)

// queue is what a connection has still to be sent: replies, one behind the other in buf, and parts of files between them.
type queue struct {
	buf    []byte
	pieces []piece
	sent   int // pieces that are gone
	mark   int // where the bytes begin that are in no piece yet
	views  [][]byte
}

// piece is bytes of buf, or part of a file.
type piece struct {
	segment  *segment // nil: of buf
	from, to int
}

// maxViews is how many pieces one sendmsg takes, of the 1,024 that the kernel allows.
const maxViews = 64

// close puts the bytes since the last piece into one.
func (q *queue) close() {
	if len(q.buf) > q.mark {
		q.pieces = append(q.pieces, piece{nil, q.mark, len(q.buf)})
		q.mark = len(q.buf)
	}
}

// flush sends as much as the socket takes, and reports whether that was all.
func (q *queue) flush(fd int, sendfile bool) (all bool, err error) {
	q.close()
	for q.sent < len(q.pieces) {
		var n int
		if p := &q.pieces[q.sent]; sendfile && p.segment != nil {
			offset := int64(p.from)
			n, err = try(func() (int, error) { return unix.Sendfile(fd, p.segment.fd, &offset, p.to-p.from) })
		} else {
			n, err = q.send(fd, sendfile)
		}
		if err == unix.EAGAIN {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		q.advance(n)
	}
	q.buf, q.pieces, q.sent, q.mark = q.buf[:0], q.pieces[:0], 0, 0
	return true, nil
}

// send sends pieces in memory with one system call: all there are, or up to the next that goes by sendfile.
func (q *queue) send(fd int, sendfile bool) (int, error) {
	if q.sent == len(q.pieces)-1 && q.pieces[q.sent].segment == nil {
		p := q.pieces[q.sent]
		return try(func() (int, error) { return unix.Write(fd, q.buf[p.from:p.to]) })
	}
	q.views = q.views[:0]
	flags := 0
	for _, p := range q.pieces[q.sent:] {
		if p.segment != nil && sendfile || len(q.views) == maxViews {
			flags = unix.MSG_MORE
			break
		}
		from := q.buf
		if p.segment != nil {
			from = p.segment.bytes
		}
		q.views = append(q.views, from[p.from:p.to])
	}
	return try(func() (int, error) { return unix.SendmsgBuffers(fd, q.views, nil, nil, flags) })
}

// advance takes n bytes off the front.
func (q *queue) advance(n int) {
	for n > 0 {
		p := &q.pieces[q.sent]
		took := min(n, p.to-p.from)
		p.from += took
		n -= took
		if p.from == p.to {
			if p.segment != nil {
				p.segment.release()
				p.segment = nil
			}
			q.sent++
		}
	}
}

// drop lets go of what will not be sent.
func (q *queue) drop() {
	for _, p := range q.pieces[q.sent:] {
		if p.segment != nil {
			p.segment.release()
		}
	}
	q.pieces = nil
}

// answerWith appends a reply with parts of files in it. ends says where in extents each partition's end that has any.
func (q *queue) answerWith(h wire.Header, resp *wire.FetchResponse, holes *[]int, extents []extent, ends []int, total int) {
	q.close()
	at := len(q.buf)
	q.buf = append(q.buf, 0, 0, 0, 0)
	q.buf = wire.AppendResponseHeader(q.buf, h.Key, h.Version, h.CorrelationID)
	q.buf, *holes = resp.Append(h.Version, q.buf, (*holes)[:0])
	binary.BigEndian.PutUint32(q.buf[at:], uint32(len(q.buf)-at-4+total))
	i := 0
	for part, hole := range *holes {
		q.pieces = append(q.pieces, piece{nil, q.mark, hole})
		q.mark = hole
		for ; i < ends[part]; i++ {
			e := extents[i]
			e.segment.retain()
			q.pieces = append(q.pieces, piece{e.segment, e.position, e.position + e.length})
		}
	}
}
