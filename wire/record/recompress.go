package record

import (
	"encoding/binary"
	"errors"
)

// RecompressOptions say how the records of a batch are to be compressed.
type RecompressOptions struct {
	Codec    Codec
	Level    int   // Kafka's number for the codec; DefaultLevel: its default
	MaxBytes int   // of the batch that results; 0 is no limit
	MaxRaw   int64 // of the decompressed records; 0 is 64 MiB

	// A producer that claimed LogAppendTime has given all its records one time, which Check takes out of the header.
	OneTime bool
	Time    int64 // of all records, with OneTime
}

// Recompress returns the batch that Kafka stores of b on a topic with another compression.type: the same records, offsets, sequences and
// times, compressed with another codec, in memory of its own. b has passed Check, as a client's. In memory it holds a window of the records
// and the output. The error is a *CheckError.
//
// As Kafka it makes the first record's time the base of the others', and sets attribute bits and attributes of records that have no meaning to 0.
func (b Batch) Recompress(o RecompressOptions) (Batch, error) {
	limit := o.MaxBytes
	if limit <= 0 {
		limit = 1<<31 - 1
	}
	d, err := newDeflater(o.Codec, o.Level, HeaderSize, limit)
	if err != nil {
		return nil, refuse(codeInvalidRecord, "%s: %v", o.Codec, err)
	}
	defer d.close()
	base, err := b.copyRecords(d, &o)
	if err != nil {
		return nil, err
	}
	p, err := d.finish()
	switch {
	case errors.Is(err, errOutputTooLarge):
		return nil, b.tooLarge(o)
	case err != nil:
		return nil, refuse(codeInvalidRecord, "%s: %v", o.Codec, err)
	}
	out := Batch(p[:len(p):len(p)])
	copy(out, b[:HeaderSize])
	binary.BigEndian.PutUint32(out[atLength:], uint32(len(out)-lengthOverhead))
	binary.BigEndian.PutUint16(out[atAttributes:], uint16(b.Attributes()&(attrLogAppendTime|attrTransactional)|int16(o.Codec)))
	binary.BigEndian.PutUint64(out[atBaseTimestamp:], uint64(base))
	out.sum()
	return out, nil
}

func (b Batch) tooLarge(o RecompressOptions) error {
	stored := o.Codec.String()
	if o.Codec == None {
		stored = "uncompressed"
	}
	return refuse(codeMessageTooLarge, "record batch of %d bytes would be larger than max.message.bytes=%d: the topic's compression.type is %s", len(b), o.MaxBytes, stored)
}

// copyRecords passes every record to d and returns the time of the first, which the others' are relative to.
func (b Batch) copyRecords(d *deflater, o *RecompressOptions) (base int64, err error) {
	c := cursor{win: b.Records()}
	if b.Codec() != None {
		c = cursor{in: openInflater(b, o.MaxRaw)}
		defer c.in.close()
	}
	count := b.Count()
	for i := range count {
		if len(c.win) == 0 && !c.refill() {
			return 0, b.unreadable(&c, i, reasonDeclaredTooMany)
		}
		s := stepper{c: &c, left: maxVarint}
		length := s.varint()
		s.left = int64(max(length, 0))
		s.byte() // attributes
		time := b.BaseTimestamp() + s.varlong()
		if o.OneTime {
			time = o.Time
		}
		if i == 0 {
			base = time
		}
		var head [1 + 3*maxVarint]byte
		delta := time - base
		p := appendVarint(head[:0], 1+int64(varintSize(delta))+s.left)
		p = appendVarint(append(p, 0), delta)
		d.put(p)
		for s.left > 0 && !s.failed {
			if len(c.win) == 0 && !c.refill() {
				s.failed = true
				break
			}
			n := min(s.left, int64(len(c.win)))
			d.put(c.win[:n])
			c.win = c.win[n:]
			s.left -= n
		}
		switch {
		case errors.Is(d.err, errOutputTooLarge):
			return 0, b.tooLarge(*o)
		case s.failed || length < 1:
			return 0, b.unreadable(&c, i, "record longer than the batch")
		}
	}
	if !c.end() {
		return 0, b.unreadable(&c, count, reasonDeclaredTooFew)
	}
	return base, nil
}
