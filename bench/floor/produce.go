package floor

import (
	"encoding/binary"

	"github.com/millrace/millrace/wire"
	"github.com/millrace/millrace/wire/record"
	"golang.org/x/sys/unix"
)

// partition finds one by the topic's name or, in later versions, its id.
func (l *loop) partition(name string, id wire.UUID, byID bool, index int32) *partition {
	t := l.topics[name]
	if byID {
		t = l.ids[id]
	}
	if t == nil || index < 0 || int(index) >= len(t.partitions) {
		return nil
	}
	return t.partitions[index]
}

// produce appends the batches of a request that has come whole.
func (l *loop) produce(c *conn, h wire.Header, body []byte) error {
	req, resp := &l.produceRequest, &l.produceAnswer
	if err := req.Decode(h.Version, body); err != nil {
		return err
	}
	resp.Default()
	for i := range req.Topics {
		t := &req.Topics[i]
		rt := resp.AddTopic()
		rt.Name, rt.TopicID = t.Name, t.TopicID
		for j := range t.Partitions {
			rp := rt.AddPartition()
			rp.Index = t.Partitions[j].Index
			rp.BaseOffset = -1
			p := l.partition(t.Name, t.TopicID, h.Version >= 13, rp.Index)
			if p == nil {
				rp.ErrorCode = wire.UnknownTopicOrPartition
				continue
			}
			b, code := checked(t.Partitions[j].Records)
			if code == wire.None {
				rp.BaseOffset, code = p.append(b)
			}
			rp.ErrorCode, rp.LogStartOffset = code, 0
			l.appended = true
		}
	}
	if req.Acks != 0 {
		c.out.answer(h, func(dst []byte) []byte { return resp.Append(h.Version, dst) })
	}
	return nil
}

// checked is the one batch of a partition, whose CRC holds.
func checked(records []byte) (record.Batch, wire.Code) {
	b, err := record.Only(records)
	if err == nil {
		err = b.CheckHeader()
	}
	if err != nil || b.Count() == 0 {
		return nil, wire.CorruptMessage
	}
	return b, wire.None
}

// directAbove is from which size on the records of a request are worth a read of their own.
const directAbove = 8 << 10

// direct is a produce request of one partition whose records are being read into the file.
type direct struct {
	segment   *segment // with a reference; nil: none
	position  int
	length    int
	got       int
	trailer   int // bytes of the frame behind the records: empty tagged fields
	partition *partition
	topic     *topic
	index     int32
	header    wire.Header // without the client's id
	acks      int16
}

func (d *direct) missing() int { return d.length - d.got }

// startDirect looks at the beginning of a frame. When it is a produce request of one partition with enough records, these get their
// place; rest is what has come behind them.
func (l *loop) startDirect(c *conn, data []byte, size int) (rest []byte, ok bool) {
	d, records, ok := l.peek(data, size)
	if !ok || d.length < directAbove || d.length > d.partition.size {
		return nil, false
	}
	s, position, err := d.partition.reserve(d.length)
	if err != nil {
		return nil, false // it is refused when it has come whole
	}
	s.retain()
	d.segment, d.position = s, position
	d.got = copy(s.bytes[position:position+d.length], data[records:])
	c.direct = d
	return data[records+d.got:], true
}

// readDirect reads records to their place, and what comes behind them to a buffer, of which it takes no more than the next request's
// beginning: the records of that one are to be read to their place, too.
func (l *loop) readDirect(c *conn) error {
	d := &c.direct
	at := d.position + d.got
	views := [2][]byte{d.segment.bytes[at : at+d.missing()], l.scratch[:512]}
	n, err := try(func() (int, error) { return unix.Readv(c.fd, views[:]) })
	switch {
	case err == unix.EAGAIN:
		return nil
	case err != nil:
		return err
	case n == 0:
		return errClosed
	}
	took := min(n, d.missing())
	d.got += took
	return l.process(c, l.scratch[:n-took])
}

// finishDirect publishes the batch that is whole, and answers.
func (l *loop) finishDirect(c *conn) {
	d := c.direct
	c.direct = direct{}
	resp := &l.produceAnswer
	resp.Default()
	rt := resp.AddTopic()
	rt.Name, rt.TopicID = d.topic.name, d.topic.id
	rp := rt.AddPartition()
	rp.Index, rp.BaseOffset, rp.LogStartOffset = d.index, -1, 0
	b, code := checked(d.segment.bytes[d.position : d.position+d.length : d.position+d.length])
	if code == wire.None && len(b) < d.length {
		code = wire.CorruptMessage
	}
	if code == wire.None && d.partition.deserted.Load() {
		code = wire.UnknownTopicOrPartition
	}
	if rp.ErrorCode = code; code == wire.None {
		b.Stamp(d.partition.next, 0)
		rp.BaseOffset = d.partition.publish(d.segment, d.position, b)
		l.appended = true
	}
	d.segment.release()
	if d.acks != 0 {
		c.out.answer(d.header, func(dst []byte) []byte { return resp.Append(d.header.Version, dst) })
	}
}

// peek reads a produce request up to its records, when it is of one partition that exists. records is where they begin in data.
func (l *loop) peek(data []byte, size int) (d direct, records int, ok bool) {
	r := reader{data: data[4:]}
	h := wire.Header{Key: r.int16(), Version: r.int16(), CorrelationID: r.int32()}
	if r.short || h.Key != wire.KeyProduce || h.Version < 3 || h.Version > 13 {
		return d, 0, false
	}
	r.flexible = h.Version >= 9
	r.skip(max(0, int(r.int16()))) // the client's id is not compact in any version
	if r.flexible && r.uvarint() != 0 {
		return d, 0, false // tagged fields
	}
	r.string() // transactional id
	d.acks = r.int16()
	r.int32() // time-out
	var name []byte
	var id wire.UUID
	one := r.count() == 1
	if h.Version >= 13 {
		copy(id[:], r.take(len(id)))
	} else {
		name = r.string()
	}
	one = one && r.count() == 1
	d.index = r.int32()
	d.length = r.length()
	if r.short || !one || d.length < record.HeaderSize {
		return d, 0, false
	}
	records = 4 + r.at
	d.trailer = 4 + size - records - d.length
	if empty := 0; d.trailer != empty && !(r.flexible && d.trailer == 3) { // of partition, topic and request
		return d, 0, false
	}
	if d.topic = l.topics[string(name)]; h.Version >= 13 {
		d.topic = l.ids[id]
	}
	if d.topic == nil || d.index < 0 || int(d.index) >= len(d.topic.partitions) {
		return d, 0, false
	}
	d.header, d.partition = h, d.topic.partitions[d.index]
	return d, records, true
}

// reader reads fields of a frame that may end before they do.
type reader struct {
	data     []byte
	at       int
	flexible bool
	short    bool
}

func (r *reader) take(n int) []byte {
	if n < 0 || n > len(r.data)-r.at {
		r.short = true
		return nil
	}
	r.at += n
	return r.data[r.at-n : r.at]
}

func (r *reader) skip(n int) { r.take(n) }

func (r *reader) int16() int16 {
	if b := r.take(2); b != nil {
		return int16(binary.BigEndian.Uint16(b))
	}
	return 0
}

func (r *reader) int32() int32 {
	if b := r.take(4); b != nil {
		return int32(binary.BigEndian.Uint32(b))
	}
	return 0
}

func (r *reader) uvarint() int {
	n, size := binary.Uvarint(r.data[min(r.at, len(r.data)):])
	if size <= 0 || n > maxFrame {
		r.short = true
		return 0
	}
	r.at += size
	return int(n)
}

// length is of an array or of bytes; -1: null.
func (r *reader) length() int {
	if r.flexible {
		return r.uvarint() - 1
	}
	return int(r.int32())
}

func (r *reader) count() int { return r.length() }

func (r *reader) string() []byte {
	if r.flexible {
		return r.take(max(0, r.uvarint()-1))
	}
	return r.take(max(0, int(r.int16())))
}
