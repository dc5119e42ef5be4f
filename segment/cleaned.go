package segment

import (
	"errors"
	"fmt"
	"os"

	"github.com/millrace/millrace/internal/vfs"
	"github.com/millrace/millrace/wire/record"
)

// Suffixes of the files of a segment that compaction makes, as in Kafka. A start clears CleanedSuffix away; a log file with SwapSuffix is whole and
// durable, and a start puts it in place of the segments it stands for.
const (
	CleanedSuffix = ".cleaned"
	SwapSuffix    = ".swap"
)

// Cleaned is a segment that compaction writes beside those it will replace.
//
// Its way into their place is such that a crash between any two steps leaves all of the old ones or all of the new one: Finish makes its files
// durable; Commit gives the log file its SwapSuffix, from where on the new segment counts; the owner retires the old ones; Install gives the files
// their names. Each step is durable before the next begins.
type Cleaned struct {
	s       *Segment
	h       vfs.File
	w       *builder
	buf     []byte
	written int64 // bytes in the file
	started int64 // of them, whose writeback was begun
	last    int64 // offset of the last batch
}

// CreateCleaned begins a segment. buffer is how many bytes are gathered for a write. It blocks, as all of it does.
func CreateCleaned(dir string, base int64, o Options, buffer int) (*Cleaned, error) {
	s := newSegment(dir, base, o)
	s.files.suffix = CleanedSuffix
	if err := s.unlinkLocked(); err != nil {
		return nil, fmt.Errorf("create cleaned segment: %w", err)
	}
	h, err := s.o.FS.OpenFile(s.path(logSuffix), os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return nil, fmt.Errorf("create cleaned segment: %w", err)
	}
	w, err := s.newBuilder(0, 0, 0, -1, base)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("create cleaned segment: %w", err), h.Close(), s.unlinkLocked())
	}
	return &Cleaned{s: s, h: h, w: w, last: base - 1, buf: make([]byte, 0, max(buffer, record.HeaderSize))}, nil
}

// Size is the bytes appended.
func (c *Cleaned) Size() int64 { return c.written + int64(len(c.buf)) }

// TxnPath is where the segment's transaction index is written, before Finish. A segment whose first predecessor has one needs one.
func (c *Cleaned) TxnPath() string { return c.s.path(txnSuffix) }

// Append adds a batch. Its bytes are the caller's again on return.
func (c *Cleaned) Append(b record.Batch) error {
	if b.BaseOffset() <= c.last {
		return fmt.Errorf("segment %s: offset %d after %d", c.s.name(), b.BaseOffset(), c.last)
	}
	if err := c.w.add(b, c.Size()); err != nil {
		return err
	}
	c.last = b.LastOffset()
	if len(c.buf)+len(b) > cap(c.buf) {
		if err := c.write(c.buf); err != nil {
			return err
		}
		c.buf = c.buf[:0]
	}
	if len(b) > cap(c.buf) {
		return c.write(b)
	}
	c.buf = append(c.buf, b...)
	return nil
}

// cleanedWriteback is after how many bytes their writeback begins: the sync of somebody else's records must not meet hundreds of megabytes of ours.
const cleanedWriteback = 1 << 20

func (c *Cleaned) write(p []byte) error {
	if len(p) == 0 {
		return nil
	}
	if _, err := c.h.WriteAt(p, c.written); err != nil {
		return err
	}
	c.written += int64(len(p))
	if c.written-c.started >= cleanedWriteback {
		c.h.StartWriteback(c.started, c.written-c.started)
		c.started = c.written
	}
	return nil
}

// Finish makes the files durable, under names that a start clears away.
func (c *Cleaned) Finish() error {
	err := c.write(c.buf)
	c.buf = nil
	if err == nil {
		err = c.h.Sync()
	}
	err = errors.Join(err, c.h.Close(), c.w.end(true))
	for _, suffix := range []string{indexSuffix, timeSuffix} {
		if err == nil {
			err = syncFile(c.s.o.FS, c.s.path(suffix))
		}
	}
	if err == nil {
		err = c.s.o.FS.SyncDir(c.s.dir)
	}
	if err != nil {
		return fmt.Errorf("segment %s%s: %w", c.s.name(), CleanedSuffix, err)
	}
	return nil
}

func syncFile(fs vfs.FS, path string) error {
	h, err := fs.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(h.Sync(), h.Close())
}

// Abandon removes the files of a segment that was not committed.
func (c *Cleaned) Abandon() error {
	if c.buf != nil {
		c.buf = nil
		_ = errors.Join(c.h.Close(), c.w.end(false)) // the files go
	}
	return c.s.unlinkLocked()
}

// Commit makes the segment the one that counts after a crash.
func (c *Cleaned) Commit() error {
	from, to := Path(c.s.dir, c.s.base, logSuffix)+CleanedSuffix, Path(c.s.dir, c.s.base, logSuffix)+SwapSuffix
	if err := c.s.o.FS.Rename(from, to); err != nil {
		return fmt.Errorf("commit cleaned segment: %w", err)
	}
	if err := c.s.o.FS.SyncDir(c.s.dir); err != nil {
		return fmt.Errorf("commit cleaned segment: %w", err)
	}
	return renameSide(c.s.o.FS, c.s.dir, c.s.base, CleanedSuffix, SwapSuffix)
}

// Install gives the files of a committed segment their names, over those of the first segment it stands for; the others are out of the way. It
// finishes, too, what a crash has left half done.
func Install(dir string, base int64, fs vfs.FS) error {
	// A crash right after the commit has left them as they were.
	if err := renameSide(fs, dir, base, CleanedSuffix, SwapSuffix); err != nil {
		return err
	}
	path := Path(dir, base, logSuffix)
	if err := fs.Rename(path+SwapSuffix, path); err != nil {
		return fmt.Errorf("install cleaned segment: %w", err)
	}
	return renameSide(fs, dir, base, SwapSuffix, "")
}

// renameSide renames what lies beside a segment's log, as far as it is there, durably.
func renameSide(fs vfs.FS, dir string, base int64, from, to string) error {
	for _, suffix := range []string{indexSuffix, timeSuffix, txnSuffix} {
		path := Path(dir, base, suffix)
		if err := fs.Rename(path+from, path+to); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("install cleaned segment: %w", err)
		}
	}
	if err := fs.SyncDir(dir); err != nil {
		return fmt.Errorf("install cleaned segment: %w", err)
	}
	return nil
}

// SwapEnd reads where a committed segment ends that a crash has kept from its place: it stands for all segments that begin below.
func SwapEnd(dir string, base int64, o Options) (next int64, err error) {
	s := newSegment(dir, base, o)
	s.files.suffix = SwapSuffix
	size, err := s.sizeOnDisk()
	if err != nil {
		return 0, err
	}
	s.size.Store(size)
	next = base
	err = s.withLog(func(r *reader) error {
		for at := int64(0); at < r.limit; {
			b, err := r.header(at)
			if err != nil {
				return err
			}
			next = b.NextOffset()
			at += int64(b.Size())
		}
		return nil
	})
	return next, err
}

// IndexSizes are the sizes in bytes of a sealed segment's index files; of one that is missing, 0.
func (s *Segment) IndexSizes() (offsets, times int64, err error) {
	s.files.Lock()
	defer s.files.Unlock()
	for _, f := range []struct {
		suffix string
		size   *int64
	}{{indexSuffix, &offsets}, {timeSuffix, &times}} {
		info, err := s.o.FS.Stat(s.path(f.suffix))
		switch {
		case err == nil:
			*f.size = info.Size()
		case !errors.Is(err, os.ErrNotExist):
			return 0, 0, err
		}
	}
	return offsets, times, nil
}
