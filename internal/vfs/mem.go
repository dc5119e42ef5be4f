package vfs

import (
	"encoding/binary"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Mem is a file system in memory that remembers what of it is durable. File content becomes durable by Sync of the file, names by
// SyncDir of their folder; nothing else does. Names created, renamed and removed in one folder become durable in the order they were
// made; sectors of a file in any order. What was written through a mapping is in the same position as what WriteAt wrote.
type Mem struct {
	mu       sync.Mutex
	root     *memNode
	capacity int64 // 0: no limit
	hook     func(op, name string) error
	locks    map[string]bool
}

const memSector = 512

type memNode struct {
	dir bool

	// of a file
	data    []byte // len is the file's size; fixed in place while mapped
	durable []byte
	mapped  int

	// of a folder
	live    map[string]*memNode
	synced  map[string]*memNode
	pending []memOp // made since the last SyncDir
}

// memOp is one change of a folder: node appears under name, or (nil) the name goes; old is the name it had before, if any.
type memOp struct {
	name, old string
	node      *memNode
}

func (op memOp) apply(entries map[string]*memNode) {
	if op.old != "" {
		delete(entries, op.old)
	}
	if op.node == nil {
		delete(entries, op.name)
	} else {
		entries[op.name] = op.node
	}
}

func newMemDir() *memNode {
	return &memNode{dir: true, live: map[string]*memNode{}, synced: map[string]*memNode{}}
}

// NewMem returns an empty file system.
func NewMem() *Mem { return &Mem{root: newMemDir(), locks: map[string]bool{}} }

// SetCapacity bounds the bytes of all files together; growing a file beyond it fails with ErrNoSpace. 0 is no limit.
func (m *Mem) SetCapacity(bytes int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.capacity = bytes
}

// SetHook installs a func that is asked before each operation and can make it fail. op is one of open, mkdir, remove, rename, readdir,
// stat, syncdir, syncfs, read, write, truncate, sync, allocate, map. It must not call back into the Mem.
func (m *Mem) SetHook(hook func(op, name string) error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.hook = hook
}

// CrashClone returns what a power cut would leave at this moment: all that is durable and, of the rest, each sector, file size and
// run of names with the given probability. 0 keeps nothing that is not durable, 100 keeps everything (a killed process).
func (m *Mem) CrashClone(r *rand.Rand, unsyncedPercent int) *Mem {
	m.mu.Lock()
	defer m.mu.Unlock()
	keep := func() bool { return r.IntN(100) < unsyncedPercent }
	clones := map[*memNode]*memNode{}
	c := NewMem()
	c.capacity = m.capacity
	c.root = m.root.crash(keep, clones)
	return c
}

func (n *memNode) crash(keep func() bool, clones map[*memNode]*memNode) *memNode {
	if c := clones[n]; c != nil {
		return c
	}
	if !n.dir {
		c := &memNode{data: crashData(n.data, n.durable, keep)}
		c.durable = slices.Clone(c.data)
		clones[n] = c
		return c
	}
	c := newMemDir()
	clones[n] = c
	entries := maps.Clone(n.synced)
	for _, op := range n.pending {
		if !keep() {
			break
		}
		op.apply(entries)
	}
	for _, name := range slices.Sorted(maps.Keys(entries)) {
		c.live[name] = entries[name].crash(keep, clones)
	}
	c.synced = maps.Clone(c.live)
	return c
}

// crashData reads live bytes that an appender may be writing through a mapping at this moment, as a disk controller would.
//
//go:norace
func crashData(live, durable []byte, keep func() bool) []byte {
	size := len(durable)
	if len(live) != len(durable) && keep() {
		size = len(live)
	}
	out := make([]byte, size)
	copyUnseen(out, durable)
	for at := 0; at < size && at < len(live); at += memSector {
		end := min(at+memSector, size, len(live))
		same := true
		for i := at; i < end && same; i++ {
			same = out[i] == live[i]
		}
		if !same && keep() {
			copyUnseen(out[at:end], live[at:end])
		}
	}
	return out
}

// copyUnseen is copy without the race detector's eyes, which the runtime's own copy keeps open in a norace function too.
//
//go:norace
func copyUnseen(dst, src []byte) {
	n := min(len(dst), len(src))
	i := 0
	for ; i+8 <= n; i += 8 {
		binary.NativeEndian.PutUint64(dst[i:i+8], binary.NativeEndian.Uint64(src[i:i+8]))
	}
	for ; i < n; i++ {
		dst[i] = src[i]
	}
}

//go:norace
func syncData(durable, live []byte) []byte {
	if cap(durable) < len(live) {
		durable = make([]byte, len(live), max(len(live), 2*cap(durable)))
	}
	durable = durable[:len(live)]
	copyUnseen(durable, live)
	return durable
}

func split(name string) []string {
	name = strings.Trim(filepath.ToSlash(filepath.Clean(name)), "/")
	if name == "." || name == "" {
		return nil
	}
	return strings.Split(name, "/")
}

func (m *Mem) ask(op, name string) error {
	if m.hook != nil {
		if err := m.hook(op, name); err != nil {
			return &os.PathError{Op: op, Path: name, Err: err}
		}
	}
	return nil
}

// find returns the node of a name or nil, and its folder (nil when that is missing) and last element.
func (m *Mem) find(name string) (n, parent *memNode, last string) {
	n = m.root
	for _, elem := range split(name) {
		if n == nil || !n.dir {
			return nil, nil, ""
		}
		parent, last = n, elem
		n = n.live[elem]
	}
	return n, parent, last
}

func (n *memNode) change(op memOp) {
	op.apply(n.live)
	n.pending = append(n.pending, op)
}

func (m *Mem) used() int64 {
	var sum func(n *memNode) int64
	sum = func(n *memNode) int64 {
		total := int64(len(n.data))
		for _, c := range n.live {
			total += sum(c)
		}
		return total
	}
	return sum(m.root)
}

func (m *Mem) OpenFile(name string, flag int, perm os.FileMode) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.ask("open", name); err != nil {
		return nil, err
	}
	n, parent, last := m.find(name)
	switch {
	case n == nil && (flag&os.O_CREATE == 0 || parent == nil):
		return nil, &os.PathError{Op: "open", Path: name, Err: os.ErrNotExist}
	case n != nil && n.dir:
		return nil, &os.PathError{Op: "open", Path: name, Err: syscall.EISDIR}
	case n != nil && flag&(os.O_CREATE|os.O_EXCL) == os.O_CREATE|os.O_EXCL:
		return nil, &os.PathError{Op: "open", Path: name, Err: os.ErrExist}
	case n == nil:
		n = &memNode{}
		parent.change(memOp{name: last, node: n})
	case flag&os.O_TRUNC != 0:
		if err := m.resize(n, name, 0); err != nil {
			return nil, err
		}
	}
	return &memFile{m: m, n: n, name: name, write: flag&(os.O_RDWR|os.O_WRONLY) != 0}, nil
}

func (m *Mem) MkdirAll(name string, perm os.FileMode) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.ask("mkdir", name); err != nil {
		return err
	}
	n := m.root
	for _, elem := range split(name) {
		c := n.live[elem]
		if c == nil {
			c = newMemDir()
			n.change(memOp{name: elem, node: c})
		}
		if !c.dir {
			return &os.PathError{Op: "mkdir", Path: name, Err: syscall.ENOTDIR}
		}
		n = c
	}
	return nil
}

func (m *Mem) Remove(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.ask("remove", name); err != nil {
		return err
	}
	n, parent, last := m.find(name)
	if n == nil || parent == nil {
		return &os.PathError{Op: "remove", Path: name, Err: os.ErrNotExist}
	}
	if n.dir && len(n.live) > 0 {
		return &os.PathError{Op: "remove", Path: name, Err: syscall.ENOTEMPTY}
	}
	parent.change(memOp{name: last})
	return nil
}

func (m *Mem) RemoveAll(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.ask("remove", name); err != nil {
		return err
	}
	n, parent, last := m.find(name)
	if n == nil || parent == nil {
		return nil
	}
	parent.change(memOp{name: last})
	return nil
}

func (m *Mem) Rename(oldName, newName string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.ask("rename", oldName); err != nil {
		return err
	}
	n, parent, last := m.find(oldName)
	old, newParent, newLast := m.find(newName)
	switch {
	case n == nil || parent == nil || newParent == nil:
		return &os.LinkError{Op: "rename", Old: oldName, New: newName, Err: os.ErrNotExist}
	case old != nil && old.dir && len(old.live) > 0:
		return &os.LinkError{Op: "rename", Old: oldName, New: newName, Err: syscall.ENOTEMPTY}
	case parent == newParent && last == newLast:
	case parent == newParent:
		parent.change(memOp{name: newLast, old: last, node: n})
	default:
		newParent.change(memOp{name: newLast, node: n})
		parent.change(memOp{name: last})
	}
	return nil
}

func (m *Mem) ReadDir(name string) ([]os.DirEntry, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.ask("readdir", name); err != nil {
		return nil, err
	}
	n, _, _ := m.find(name)
	if n == nil || !n.dir {
		return nil, &os.PathError{Op: "readdir", Path: name, Err: os.ErrNotExist}
	}
	var out []os.DirEntry
	for _, elem := range slices.Sorted(maps.Keys(n.live)) {
		out = append(out, fs.FileInfoToDirEntry(n.live[elem].info(elem)))
	}
	return out, nil
}

func (m *Mem) Stat(name string) (os.FileInfo, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.ask("stat", name); err != nil {
		return nil, err
	}
	n, _, last := m.find(name)
	if n == nil {
		return nil, &os.PathError{Op: "stat", Path: name, Err: os.ErrNotExist}
	}
	return n.info(last), nil
}

func (m *Mem) SyncDir(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.ask("syncdir", name); err != nil {
		return syncError(err)
	}
	n, _, _ := m.find(name)
	if n == nil || !n.dir {
		return &os.PathError{Op: "syncdir", Path: name, Err: os.ErrNotExist}
	}
	n.syncNames()
	return nil
}

func (n *memNode) syncNames() {
	for _, op := range n.pending {
		op.apply(n.synced)
	}
	n.pending = nil
}

// SyncFS asks the hook for op syncfs.
func (m *Mem) SyncFS(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.ask("syncfs", name); err != nil {
		return syncError(err)
	}
	m.root.syncAll()
	return nil
}

func (n *memNode) syncAll() {
	if !n.dir {
		n.durable = syncData(n.durable, n.data)
		return
	}
	n.syncNames()
	for _, c := range n.live {
		c.syncAll()
	}
}

func (m *Mem) TotalBytes(string) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.capacity == 0 {
		return 1 << 40, nil
	}
	return m.capacity, nil
}

func (m *Mem) FreeBytes(string) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.capacity == 0 {
		return 1 << 40, nil
	}
	return max(0, m.capacity-m.used()), nil
}

// Lock is held within this Mem only: a crash clone knows no locks, as a machine that starts again.
func (m *Mem) Lock(name string) (io.Closer, error) {
	f, err := m.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	_ = f.Close()
	m.mu.Lock()
	defer m.mu.Unlock()
	key := strings.Join(split(name), "/")
	if m.locks[key] {
		return nil, &os.PathError{Op: "lock", Path: name, Err: ErrLocked}
	}
	m.locks[key] = true
	return memLock(func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.locks, key)
	}), nil
}

type memLock func()

func (l memLock) Close() error { l(); return nil }

// resize is called with mu held.
func (m *Mem) resize(n *memNode, name string, size int64) error {
	old := int64(len(n.data))
	switch {
	case size <= old:
		clear(n.data[size:])
		n.data = n.data[:size]
		return nil
	case m.capacity > 0 && m.used()+size-old > m.capacity:
		return &os.PathError{Op: "grow", Path: name, Err: ErrNoSpace}
	case size <= int64(cap(n.data)):
		n.data = n.data[:size]
		return nil
	case n.mapped > 0:
		return &os.PathError{Op: "grow", Path: name, Err: fmt.Errorf("vfs: to %d bytes while %d are mapped", size, cap(n.data))}
	}
	grown := make([]byte, size, max(size, 2*old, 4096))
	copy(grown, n.data)
	n.data = grown
	return nil
}

func (n *memNode) info(name string) os.FileInfo {
	return memInfo{name: name, size: int64(len(n.data)), dir: n.dir}
}

type memInfo struct {
	name string
	size int64
	dir  bool
}

func (i memInfo) Name() string       { return i.name }
func (i memInfo) Size() int64        { return i.size }
func (i memInfo) ModTime() time.Time { return time.UnixMilli(0) }
func (i memInfo) IsDir() bool        { return i.dir }
func (i memInfo) Sys() any           { return nil }
func (i memInfo) Mode() os.FileMode {
	if i.dir {
		return os.ModeDir | 0o755
	}
	return 0o644
}
