package index

import (
	"encoding/binary"
	"fmt"
	"os"
	"sync"

	"github.com/millrace/millrace/internal/vfs"
)

// Aborted is one aborted transaction of a segment: entries ascend by LastOffset.
type Aborted struct {
	ProducerID  int64
	FirstOffset int64 // of the transaction in this partition
	LastOffset  int64 // of its abort marker
	LastStable  int64 // the last stable offset when the marker was written
}

// Append writes the entry as it is in the file.
func (a Aborted) Append(dst []byte) []byte {
	dst = append(dst, 0, 0) // version
	for _, v := range [4]int64{a.ProducerID, a.FirstOffset, a.LastOffset, a.LastStable} {
		dst = binary.BigEndian.AppendUint64(dst, uint64(v))
	}
	return dst
}

func parseAborted(e []byte) (Aborted, error) {
	if v := binary.BigEndian.Uint16(e); v != 0 {
		return Aborted{}, fmt.Errorf("version %d", v)
	}
	at := func(i int) int64 { return int64(binary.BigEndian.Uint64(e[2+8*i:])) }
	return Aborted{at(0), at(1), at(2), at(3)}, nil
}

// Txn is the transaction index of a segment, in memory and on disk. It is small: one entry for each aborted transaction. Appends
// stay in memory until Flush; the file appears with the first flushed entry. Methods may be called by any goroutine.
type Txn struct {
	fs   vfs.FS
	path string

	mu struct {
		sync.Mutex
		entries []Aborted
		written int  // entries that are in the file
		rewrite bool // the file holds more than entries[:written]
		synced  int  // entries that are durable
	}
	flushing sync.Mutex // held over the file access, before mu
}

// OpenTxn reads a transaction index. A missing file is an empty index. An entry that cannot be right is an error that says so: the
// owner rebuilds the index from the log (TruncateTo(0), then Append).
func OpenTxn(fs vfs.FS, path string) (*Txn, error) {
	t := &Txn{fs: fs, path: path}
	b, err := readWhole(fs, path)
	if err != nil {
		return t, err
	}
	t.mu.rewrite = len(b)%TxnEntrySize != 0
	for i := 0; len(b) >= TxnEntrySize; i, b = i+1, b[TxnEntrySize:] {
		a, err := parseAborted(b)
		if err == nil && (a.FirstOffset < 0 || a.FirstOffset >= a.LastOffset || i > 0 && a.LastOffset <= t.mu.entries[i-1].LastOffset) {
			err = fmt.Errorf("%+v cannot be", a) // zeros neither: a marker comes after what it ends
		}
		if err != nil {
			t.mu.rewrite = true
			t.mu.written = i
			return t, fmt.Errorf("%s: entry %d: %w", path, i, err)
		}
		t.mu.entries = append(t.mu.entries, a)
	}
	t.mu.written = len(t.mu.entries)
	return t, nil
}

// Append adds an entry in memory.
func (t *Txn) Append(a Aborted) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n := len(t.mu.entries); n > 0 && a.LastOffset <= t.mu.entries[n-1].LastOffset {
		panic(fmt.Sprintf("index: aborted transaction %+v after %+v", a, t.mu.entries[n-1]))
	}
	t.mu.entries = append(t.mu.entries, a)
}

// TruncateTo drops the entries whose marker lies at offset or above; TruncateTo(0) drops all. It waits for a Flush that is under way.
func (t *Txn) TruncateTo(offset int64) {
	t.flushing.Lock()
	defer t.flushing.Unlock()
	t.mu.Lock()
	defer t.mu.Unlock()
	n := len(t.mu.entries)
	for n > 0 && t.mu.entries[n-1].LastOffset >= offset {
		n--
	}
	// The kept part is copied by the next Append: All may have handed the old array out.
	t.mu.entries = t.mu.entries[:n:n]
	if t.mu.written > n {
		t.mu.written, t.mu.synced, t.mu.rewrite = n, min(t.mu.synced, n), true
	}
}

// All returns the entries. The caller must not change them.
func (t *Txn) All() []Aborted {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.mu.entries[:len(t.mu.entries):len(t.mu.entries)]
}

// Flush writes what is only in memory, and with sync makes it durable. It blocks.
func (t *Txn) Flush(sync bool) error {
	t.flushing.Lock()
	defer t.flushing.Unlock()
	t.mu.Lock()
	entries, from, rewrite, synced := t.mu.entries, t.mu.written, t.mu.rewrite, t.mu.synced
	t.mu.Unlock()
	if len(entries) == from && !rewrite && (!sync || synced == len(entries)) {
		return nil
	}
	h, err := t.fs.OpenFile(t.path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	defer h.Close()
	if rewrite {
		if err := h.Truncate(int64(from) * TxnEntrySize); err != nil {
			return err
		}
	}
	var b []byte
	for _, a := range entries[from:] {
		b = a.Append(b)
	}
	if _, err := h.WriteAt(b, int64(from)*TxnEntrySize); err != nil {
		return err
	}
	if sync {
		if err := h.Sync(); err != nil {
			return err
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.mu.written, t.mu.rewrite = len(entries), false
	if sync {
		t.mu.synced = len(entries)
	}
	return nil
}
