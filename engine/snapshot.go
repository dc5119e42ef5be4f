package engine

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/millrace/millrace/wire/record"
)

// Kafka's producer snapshot, %020d.snapshot, named for the first offset it knows nothing of. Big-endian:
//
//	0         2        6       10
//	| version | crc32c | count | entries ...          version 1; the checksum covers 6 to the end
//
//	0            8       10         14           22            26          34            38
//	| producerId | epoch | lastSeq  | lastOffset | offsetDelta | timestamp | coordinator | txnFirst  |
//
// It keeps one batch per producer. Ours, %020d.producers, keeps all five, and is used when both are there:
//
//	0       4         6          8        12       20      24
//	| magic | version | reserved | crc32c | offset | count | entries ...    the checksum covers 12 to the end
//
//	0            8       10        11      12            16              24         32
//	| producerId | epoch | batches | zero | coordinator | lastTimestamp | txnFirst | batches x
//	                                                    { lastSeq 4 | offsetDelta 4 | lastOffset 8 | timestamp 8 }
const (
	snapshotVersion = 1
	snapshotHeader  = 10
	snapshotEntry   = 46

	producersMagic   = 0x4d52_7072 // "MRpr"
	producersVersion = 1
	producersHeader  = 24
	producersEntry   = 32
	producersBatch   = 24
)

var errSnapshot = errors.New("not a producer snapshot")

// appendSnapshot writes Kafka's snapshot of producers, which are sorted by id.
func appendSnapshot(dst []byte, list []producer) []byte {
	start := len(dst)
	dst = binary.BigEndian.AppendUint16(dst, snapshotVersion)
	dst = binary.BigEndian.AppendUint32(dst, 0)
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(list)))
	for i := range list {
		p := &list[i]
		last, ok := p.last()
		if !ok {
			last = pastBatch{lastSequence: record.NoSequence, lastOffset: -1}
		}
		dst = binary.BigEndian.AppendUint64(dst, uint64(p.id))
		dst = binary.BigEndian.AppendUint16(dst, uint16(p.epoch))
		dst = binary.BigEndian.AppendUint32(dst, uint32(last.lastSequence))
		dst = binary.BigEndian.AppendUint64(dst, uint64(last.lastOffset))
		dst = binary.BigEndian.AppendUint32(dst, uint32(last.offsetDelta))
		dst = binary.BigEndian.AppendUint64(dst, uint64(p.lastTimestamp))
		dst = binary.BigEndian.AppendUint32(dst, uint32(p.coordinatorEpoch))
		dst = binary.BigEndian.AppendUint64(dst, uint64(p.txnFirst))
	}
	binary.BigEndian.PutUint32(dst[start+2:], record.CRC32C(dst[start+6:]))
	return dst
}

// parseSnapshot reads Kafka's snapshot.
func parseSnapshot(b []byte) ([]producer, error) {
	if len(b) < snapshotHeader || binary.BigEndian.Uint16(b) != snapshotVersion {
		return nil, errSnapshot
	}
	if binary.BigEndian.Uint32(b[2:]) != record.CRC32C(b[6:]) {
		return nil, fmt.Errorf("%w: wrong checksum", errSnapshot)
	}
	n := binary.BigEndian.Uint32(b[6:])
	b = b[snapshotHeader:]
	if uint64(n)*snapshotEntry != uint64(len(b)) {
		return nil, fmt.Errorf("%w: %d entries in %d bytes", errSnapshot, n, len(b))
	}
	list := make([]producer, n)
	for i := range list {
		p := &list[i]
		p.id = int64(binary.BigEndian.Uint64(b))
		p.epoch = int16(binary.BigEndian.Uint16(b[8:]))
		last := pastBatch{
			lastSequence: int32(binary.BigEndian.Uint32(b[10:])),
			lastOffset:   int64(binary.BigEndian.Uint64(b[14:])),
			offsetDelta:  int32(binary.BigEndian.Uint32(b[22:])),
		}
		p.lastTimestamp = int64(binary.BigEndian.Uint64(b[26:]))
		p.coordinatorEpoch = int32(binary.BigEndian.Uint32(b[34:]))
		p.txnFirst = max(-1, int64(binary.BigEndian.Uint64(b[38:])))
		last.timestamp = p.lastTimestamp
		if last.lastOffset >= 0 && last.lastSequence >= 0 && last.offsetDelta >= 0 {
			p.push(last)
		}
		b = b[snapshotEntry:]
	}
	return list, nil
}

// appendProducers writes our own file: the state of all producers, sorted by id, before the batch at offset.
func appendProducers(dst []byte, offset int64, list []producer) []byte {
	start := len(dst)
	dst = binary.BigEndian.AppendUint32(dst, producersMagic)
	dst = binary.BigEndian.AppendUint16(dst, producersVersion)
	dst = binary.BigEndian.AppendUint16(dst, 0)
	dst = binary.BigEndian.AppendUint32(dst, 0)
	dst = binary.BigEndian.AppendUint64(dst, uint64(offset))
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(list)))
	for i := range list {
		p := &list[i]
		dst = binary.BigEndian.AppendUint64(dst, uint64(p.id))
		dst = binary.BigEndian.AppendUint16(dst, uint16(p.epoch))
		dst = append(dst, p.batches, 0)
		dst = binary.BigEndian.AppendUint32(dst, uint32(p.coordinatorEpoch))
		dst = binary.BigEndian.AppendUint64(dst, uint64(p.lastTimestamp))
		dst = binary.BigEndian.AppendUint64(dst, uint64(p.txnFirst))
		for _, w := range p.window[:p.batches] {
			dst = binary.BigEndian.AppendUint32(dst, uint32(w.lastSequence))
			dst = binary.BigEndian.AppendUint32(dst, uint32(w.offsetDelta))
			dst = binary.BigEndian.AppendUint64(dst, uint64(w.lastOffset))
			dst = binary.BigEndian.AppendUint64(dst, uint64(w.timestamp))
		}
	}
	binary.BigEndian.PutUint32(dst[start+8:], record.CRC32C(dst[start+12:]))
	return dst
}

// parseProducers reads our own file.
func parseProducers(b []byte) (offset int64, list []producer, err error) {
	if len(b) < producersHeader || binary.BigEndian.Uint32(b) != producersMagic || binary.BigEndian.Uint16(b[4:]) != producersVersion {
		return 0, nil, errSnapshot
	}
	if binary.BigEndian.Uint32(b[8:]) != record.CRC32C(b[12:]) {
		return 0, nil, fmt.Errorf("%w: wrong checksum", errSnapshot)
	}
	offset = int64(binary.BigEndian.Uint64(b[12:]))
	n := binary.BigEndian.Uint32(b[20:])
	b = b[producersHeader:]
	if uint64(n)*producersEntry > uint64(len(b)) {
		return 0, nil, fmt.Errorf("%w: %d entries in %d bytes", errSnapshot, n, len(b))
	}
	list = make([]producer, n)
	for i := range list {
		if len(b) < producersEntry {
			return 0, nil, fmt.Errorf("%w: cut short", errSnapshot)
		}
		p := &list[i]
		p.id = int64(binary.BigEndian.Uint64(b))
		p.epoch = int16(binary.BigEndian.Uint16(b[8:]))
		p.batches = b[10]
		p.coordinatorEpoch = int32(binary.BigEndian.Uint32(b[12:]))
		p.lastTimestamp = int64(binary.BigEndian.Uint64(b[16:]))
		p.txnFirst = int64(binary.BigEndian.Uint64(b[24:]))
		reserved := b[11]
		b = b[producersEntry:]
		if p.batches > windowSize || reserved != 0 || len(b) < int(p.batches)*producersBatch {
			return 0, nil, fmt.Errorf("%w: producer %d", errSnapshot, p.id)
		}
		for j := range p.window[:p.batches] {
			w := &p.window[j]
			w.lastSequence = int32(binary.BigEndian.Uint32(b))
			w.offsetDelta = int32(binary.BigEndian.Uint32(b[4:]))
			w.lastOffset = int64(binary.BigEndian.Uint64(b[8:]))
			w.timestamp = int64(binary.BigEndian.Uint64(b[16:]))
			b = b[producersBatch:]
		}
	}
	if len(b) != 0 || offset < 0 {
		return 0, nil, fmt.Errorf("%w: %d bytes too many", errSnapshot, len(b))
	}
	return offset, list, nil
}
