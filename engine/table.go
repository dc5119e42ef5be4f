package engine

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"os"
	"sync"
	"sync/atomic"

	"github.com/millrace/millrace/internal/vfs"
	"github.com/millrace/millrace/wire"
	"github.com/millrace/millrace/wire/record"
)

// The table of logs (file millrace-logs) says of every log where its durable and its written part end. It is one file, so that a
// start reads it at once and touches no partition; each log has a slot of fixed size, which is overwritten in place by one small write
// without a sync: after kill -9 the page cache still holds the newest one. The table is synced at most once a second and at a clean
// stop. A slot is two copies written in turn; the newer one whose checksum holds is valid, so a torn write costs one step back. An
// older slot is never wrong, only slow: durable and written are lower bounds, except that whoever lowers them (truncation, removal)
// syncs the table before it acts.
//
//	0            512          1024
//	| header A   | header B   | slot 0: copy A 128, copy B 128 | slot 1 ...
//
//	header: magic 4 | crc32c 4 | sequence 8 | starts 8 | directoryId 16 | version 2 | running 1 | bootId length 1 | bootId
//	copy:   crc32c 4 | sequence 4 | key 8 | topicId 16 | logStart 8 | highWatermark 8 | durable 8 | written 8 | through 8 |
//	        snapshot 8 | activeBase 8 | activeSize 8 | size 8 | oldest 8 | flags 4 | boot 4 | unstable 8
//
// Checksums cover what follows them up to the end of the header or the copy.
const (
	tableMagic      = 0x4d52_6c74 // "MRlt"
	tableVersion    = 1
	tableHeaderSize = 512
	tableHeaderUsed = 128
	tableSlots      = 2 * tableHeaderSize
	slotCopy        = 128
	slotSize        = 2 * slotCopy
	maxBootID       = tableHeaderUsed - 44
)

// flags of a slot.
const (
	slotClean    = 1 << iota // the log is closed: flushed and trimmed, the fields are exact
	slotHoles                // it was compacted: offsets may be missing, whatever the topic's settings are now
	slotBreached             // its start was moved and retention has not looked since: whole segments may lie below it
)

// logRecord is what the table keeps of a log. Offsets are exclusive ends unless they are starts.
type logRecord struct {
	key           uint64 // of the folder's name; 0: the slot is free
	id            wire.UUID
	logStart      int64
	highWatermark int64
	durable       int64  // everything below was fsynced: if it is gone, that is corruption
	written       int64  // everything below lies in the page cache at least, indexes included: good for the same boot
	through       int64  // the state of the producers at through is that of snapshot
	snapshot      int64  // offset in the name of our producers file; -1: no producers
	activeBase    int64  // of the last segment when the slot was written
	activeSize    int64  // its size in bytes, when clean
	size          int64  // of all segments, when clean
	oldest        int64  // largest timestamp of the first segment; -1 unknown
	unstable      int64  // first offset of the oldest transaction that was not over; MaxInt64: none
	boot          uint32 // of the operating system when the slot was written; written counts only during the same. 0: unknown
	clean, holes  bool   // see the flags
	breached      bool
}

// keyOf is FNV-1a of a folder's name, never 0.
func keyOf(folder string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(folder) {
		h = (h ^ uint64(folder[i])) * 1099511628211
	}
	return max(h, 1)
}

// bootTag is what a slot keeps of a boot id: 0 for none, so that an unknown boot is never the same.
func bootTag(id string) uint32 {
	if id == "" {
		return 0
	}
	return max(uint32(keyOf(id)), 1)
}

func (r *logRecord) encode(dst *[slotCopy]byte, sequence uint32) {
	b := dst[:]
	put := func(at int, v int64) { binary.BigEndian.PutUint64(b[at:], uint64(v)) }
	binary.BigEndian.PutUint32(b[4:], sequence)
	binary.BigEndian.PutUint64(b[8:], r.key)
	copy(b[16:], r.id[:])
	put(32, r.logStart)
	put(40, r.highWatermark)
	put(48, r.durable)
	put(56, r.written)
	put(64, r.through)
	put(72, r.snapshot)
	put(80, r.activeBase)
	put(88, r.activeSize)
	put(96, r.size)
	put(104, r.oldest)
	var flags uint32
	if r.clean {
		flags = slotClean
	}
	if r.holes {
		flags |= slotHoles
	}
	if r.breached {
		flags |= slotBreached
	}
	binary.BigEndian.PutUint32(b[112:], flags)
	binary.BigEndian.PutUint32(b[116:], r.boot)
	put(120, r.unstable)
	binary.BigEndian.PutUint32(b, record.CRC32C(b[4:]))
}

// decode reads one copy. ok is false when it was never written, is torn or cannot be.
func (r *logRecord) decode(b []byte) (sequence uint32, ok bool) {
	if binary.BigEndian.Uint32(b) != record.CRC32C(b[4:slotCopy]) {
		return 0, false
	}
	get := func(at int) int64 { return int64(binary.BigEndian.Uint64(b[at:])) }
	r.key = binary.BigEndian.Uint64(b[8:])
	copy(r.id[:], b[16:])
	r.logStart, r.highWatermark, r.durable, r.written = get(32), get(40), get(48), get(56)
	r.through, r.snapshot, r.activeBase, r.activeSize = get(64), get(72), get(80), get(88)
	r.size, r.oldest = get(96), get(104)
	flags := binary.BigEndian.Uint32(b[112:])
	r.clean, r.holes, r.breached = flags&slotClean != 0, flags&slotHoles != 0, flags&slotBreached != 0
	r.boot, r.unstable = binary.BigEndian.Uint32(b[116:]), get(120)
	sane := flags&^(slotClean|slotHoles|slotBreached) == 0 && r.logStart >= 0 && r.durable >= 0 && r.written >= r.durable && r.through <= r.written &&
		r.snapshot >= -1 && r.through >= -1 && r.unstable >= 0 && r.activeBase >= 0 && r.activeSize >= 0 && r.size >= 0
	return binary.BigEndian.Uint32(b[4:]), sane
}

// tableHeader says who used the directory last and how that ended.
type tableHeader struct {
	sequence    uint64
	starts      uint64 // how often the directory was opened
	directoryID wire.UUID
	running     bool // opened and not closed cleanly since
	bootID      string
}

func (h *tableHeader) encode() []byte {
	b := make([]byte, tableHeaderUsed)
	binary.BigEndian.PutUint32(b, tableMagic)
	binary.BigEndian.PutUint64(b[8:], h.sequence)
	binary.BigEndian.PutUint64(b[16:], h.starts)
	copy(b[24:], h.directoryID[:])
	binary.BigEndian.PutUint16(b[40:], tableVersion)
	if h.running {
		b[42] = 1
	}
	boot := h.bootID
	if len(boot) > maxBootID {
		boot = boot[:maxBootID]
	}
	b[43] = byte(len(boot))
	copy(b[44:], boot)
	binary.BigEndian.PutUint32(b[4:], record.CRC32C(b[8:]))
	return b
}

func (h *tableHeader) decode(b []byte) bool {
	if len(b) < tableHeaderUsed || binary.BigEndian.Uint32(b) != tableMagic || binary.BigEndian.Uint32(b[4:]) != record.CRC32C(b[8:tableHeaderUsed]) ||
		binary.BigEndian.Uint16(b[40:]) != tableVersion || b[42] > 1 || b[43] > maxBootID {
		return false
	}
	h.sequence, h.starts = binary.BigEndian.Uint64(b[8:]), binary.BigEndian.Uint64(b[16:])
	copy(h.directoryID[:], b[24:])
	h.running = b[42] == 1
	h.bootID = string(b[44 : 44+int(b[43])])
	return true
}

// found is a log's record as a start found it.
type found struct {
	slot int32
	logRecord
}

// parseTable reads a table. ok is false when there is no valid header: then nothing else is believed either.
func parseTable(b []byte) (h tableHeader, records map[uint64]found, sequences []uint32, ok bool) {
	if len(b) < tableSlots {
		return h, nil, nil, false
	}
	var other tableHeader
	ok = h.decode(b[:tableHeaderSize])
	if other.decode(b[tableHeaderSize:tableSlots]) && (!ok || other.sequence > h.sequence) {
		h, ok = other, true
	}
	if !ok {
		return h, nil, nil, false
	}
	b = b[tableSlots:]
	n := min((len(b)+slotSize-1)/slotSize, math.MaxInt32)
	sequences = make([]uint32, n)
	records = make(map[uint64]found, n)
	for slot := range n {
		var r [2]logRecord
		var sequence [2]uint32
		var valid [2]bool
		for i := range 2 {
			if at := slot*slotSize + i*slotCopy; at+slotCopy <= len(b) {
				sequence[i], valid[i] = r[i].decode(b[at:])
			}
		}
		newer := 0
		if valid[1] && (!valid[0] || int32(sequence[1]-sequence[0]) > 0) {
			newer = 1
		}
		if !valid[newer] {
			continue
		}
		sequences[slot] = sequence[newer]
		if key := r[newer].key; key != 0 {
			if old, twice := records[key]; !twice || old.written < r[newer].written {
				records[key] = found{int32(slot), r[newer]}
			}
		}
	}
	return h, records, sequences, true
}

// table is the open file.
type table struct {
	file   vfs.File
	dirty  atomic.Bool   // something was written since the last sync
	writes atomic.Uint64 // of slots

	syncing sync.Mutex // over the sync
	failed  error      // of a sync: there is no second try; under syncing

	mu struct {
		sync.Mutex
		header    tableHeader
		sequences []uint32 // by slot: of its newest copy
		free      []int32
		scratch   [slotCopy]byte
	}
}

// openTable opens or creates the table and returns what it held; known is false when that cannot be believed.
func openTable(fs vfs.FS, path string) (t *table, h tableHeader, records map[uint64]found, known bool, err error) {
	f, err := fs.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, h, nil, false, err
	}
	size, err := f.Size()
	if err == nil && size > maxSmallFile {
		err = fmt.Errorf("%s: %w", path, errTooLarge)
	}
	if err != nil {
		return nil, h, nil, false, closeAfter(f, err)
	}
	b := make([]byte, size)
	if n, err := f.ReadAt(b, 0); err != nil && err != io.EOF {
		return nil, h, nil, false, closeAfter(f, err)
	} else {
		b = b[:n]
	}
	if size < tableSlots {
		// A header alone must be enough to tell who was here last, also when no slot has reached the disk.
		if err := f.Truncate(tableSlots); err != nil {
			return nil, h, nil, false, closeAfter(f, err)
		}
	}
	t = &table{file: f}
	h, records, sequences, known := parseTable(b)
	t.mu.header, t.mu.sequences = h, sequences
	used := make([]bool, len(sequences))
	for _, r := range records {
		used[r.slot] = true
	}
	for slot := len(used) - 1; slot >= 0; slot-- {
		if !used[slot] {
			t.mu.free = append(t.mu.free, int32(slot))
		}
	}
	return t, h, records, known, nil
}

func closeAfter(f vfs.File, err error) error {
	_ = f.Close() // the first error is the one that tells
	return err
}

// reset forgets all slots.
func (t *table) reset() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.mu.sequences, t.mu.free = nil, nil
	t.dirty.Store(true)
	return t.file.Truncate(tableSlots)
}

// writeHeader writes and syncs the header.
func (t *table) writeHeader(h tableHeader) error {
	t.mu.Lock()
	h.sequence = t.mu.header.sequence + 1
	t.mu.header = h
	t.mu.Unlock()
	if _, err := t.file.WriteAt(h.encode(), int64(h.sequence%2)*tableHeaderSize); err != nil {
		return err
	}
	return t.file.Sync()
}

// allocate returns a slot for a new log.
func (t *table) allocate() int32 {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n := len(t.mu.free); n > 0 {
		slot := t.mu.free[n-1]
		t.mu.free = t.mu.free[:n-1]
		return slot
	}
	t.mu.sequences = append(t.mu.sequences, 0)
	return int32(len(t.mu.sequences) - 1)
}

// write replaces a slot's record, without a sync.
func (t *table) write(slot int32, r *logRecord) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.mu.sequences[slot]++
	sequence := t.mu.sequences[slot]
	r.encode(&t.mu.scratch, sequence)
	t.writes.Add(1)
	_, err := t.file.WriteAt(t.mu.scratch[:], tableSlots+int64(slot)*slotSize+int64(sequence%2)*slotCopy)
	t.dirty.Store(true)
	return err
}

// release frees a slot.
func (t *table) release(slot int32) error {
	err := t.write(slot, &logRecord{snapshot: -1, oldest: -1})
	t.mu.Lock()
	t.mu.free = append(t.mu.free, slot)
	t.mu.Unlock()
	return err
}

// sync makes what was written durable, if anything was. It waits for a sync that is under way: that one may be ours.
func (t *table) sync() error {
	t.syncing.Lock()
	defer t.syncing.Unlock()
	if t.failed == nil && t.dirty.Swap(false) {
		t.failed = t.file.Sync()
	}
	return t.failed
}
