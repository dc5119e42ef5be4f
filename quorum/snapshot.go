package quorum

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/millrace/millrace/internal/vfs"
	"github.com/millrace/millrace/meta"
)

// Snapshots lie beside the log's segments, under the names Kafka gives its own: the first offset that is not in it, and the term.
//
//	00000000000000012345-0000000001.checkpoint
//
// One is written under a name with ".part" behind, made durable, read back and compared, and only then gets its name.
const (
	snapshotSuffix = ".checkpoint"
	partSuffix     = ".part"
	snapshotsKept  = 2
)

// snapshots are the snapshot files of one metadata log.
type snapshots struct {
	fs     vfs.FS
	folder string
	log    *slog.Logger
}

func folder(dir string) string { return filepath.Join(dir, Topic+"-0") }

func snapshotName(next int64) string { return fmt.Sprintf("%020d-%010d%s", next, term, snapshotSuffix) }

// parseSnapshotName returns the first offset that is not in the snapshot.
func parseSnapshotName(name string) (next int64, ok bool) {
	var leaderEpoch int32
	if n, err := fmt.Sscanf(name, "%020d-%010d"+snapshotSuffix, &next, &leaderEpoch); n != 2 || err != nil {
		return 0, false
	}
	return next, next > 0 && strings.HasSuffix(name, snapshotSuffix)
}

// list returns the snapshots, newest first, and removes what was left half written.
func (s *snapshots) list() (nexts []int64, names []string, err error) {
	entries, err := s.fs.ReadDir(s.folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), snapshotSuffix+partSuffix) {
			if err := s.fs.Remove(filepath.Join(s.folder, e.Name())); err != nil {
				return nil, nil, err
			}
			continue
		}
		if _, ok := parseSnapshotName(e.Name()); ok {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names) // the offset has a fixed width
	slices.Reverse(names)
	for _, name := range names {
		next, _ := parseSnapshotName(name)
		nexts = append(nexts, next)
	}
	return nexts, names, nil
}

// load returns the newest image that can be read, the empty one when there is none, and what was wrong with the newer ones.
func (s *snapshots) load() (im *meta.Image, size int64, damage []error, err error) {
	nexts, names, err := s.list()
	if err != nil {
		return nil, 0, nil, err
	}
	for i, name := range names {
		b, err := s.read(name)
		if err == nil && kafkas(b) {
			return nil, 0, nil, ErrKafka
		}
		if err == nil {
			im, err = meta.DecodeSnapshot(b)
		}
		if err == nil && im.Index()+1 != nexts[i] {
			err = fmt.Errorf("its name says offset %d, its content %d", nexts[i], im.Index()+1)
		}
		if err != nil {
			damage = append(damage, fmt.Errorf("snapshot %s: %w", filepath.Join(s.folder, name), err))
			continue
		}
		return im, int64(len(b)), damage, nil
	}
	return meta.Empty(), 0, damage, nil
}

func (s *snapshots) read(name string) ([]byte, error) {
	f, err := s.fs.OpenFile(filepath.Join(s.folder, name), os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	b := make([]byte, size)
	if n, err := f.ReadAt(b, 0); int64(n) < size {
		return nil, errors.Join(io.ErrUnexpectedEOF, err)
	}
	return b, nil
}

// write makes a snapshot of the image durable under its name, then removes those that are not kept. It returns the size, and the first
// offset that the oldest snapshot kept does not have: the log below it has served its time.
func (s *snapshots) write(im *meta.Image) (size, oldest int64, err error) {
	b := im.AppendSnapshot(nil)
	name := snapshotName(im.Index() + 1)
	if err := s.writePart(name+partSuffix, b); err != nil {
		return 0, 0, err
	}
	back, err := s.read(name + partSuffix)
	if err != nil {
		return 0, 0, err
	}
	if !bytes.Equal(back, b) {
		return 0, 0, fmt.Errorf("snapshot %s: what is read back is not what was written", name)
	}
	if err := s.fs.Rename(filepath.Join(s.folder, name+partSuffix), filepath.Join(s.folder, name)); err != nil {
		return 0, 0, err
	}
	if err := s.fs.SyncDir(s.folder); err != nil {
		return 0, 0, err
	}
	nexts, names, err := s.list()
	if err != nil {
		return 0, 0, err
	}
	for len(names) > snapshotsKept {
		last := len(names) - 1
		if err := s.fs.Remove(filepath.Join(s.folder, names[last])); err != nil {
			return 0, 0, err
		}
		names, nexts = names[:last], nexts[:last]
	}
	if len(nexts) < snapshotsKept {
		return int64(len(b)), 0, nil
	}
	return int64(len(b)), nexts[len(nexts)-1], nil
}

func (s *snapshots) writePart(name string, b []byte) error {
	f, err := s.fs.OpenFile(filepath.Join(s.folder, name), os.O_CREATE|os.O_TRUNC|os.O_RDWR, 0o644)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(b, 0)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

type snapshotResult struct {
	size, oldest int64
	err          error
}

// maybeSnapshot starts writing a snapshot when enough of the log has come since the last one. An image much larger than the bounds waits
// until as much log has come, so that the writing never exceeds what it saves. It is written on a goroutine of its own: the image is
// immutable, and proposals go on meanwhile.
func (q *Quorum) maybeSnapshot() {
	due := q.since.bytes >= max(q.options.SnapshotBytes, q.snapshotBytes) || q.since.records >= q.options.SnapshotRecords && q.since.bytes >= q.snapshotBytes
	if !due || q.snapshotDone != nil || q.dead != nil {
		return
	}
	q.since.bytes, q.since.records = 0, 0
	im, done := q.Image(), make(chan snapshotResult, 1)
	q.snapshotDone = done
	go func() {
		var r snapshotResult
		r.size, r.oldest, r.err = q.store.write(im)
		done <- r
	}()
}

// snapshotFinished cuts the log's beginning, once two snapshots stand for it. A snapshot that failed costs nothing but a longer replay.
func (q *Quorum) snapshotFinished(r snapshotResult) {
	q.snapshotDone = nil
	if r.err != nil {
		q.options.Log.Error("no snapshot of the metadata could be written; the log is kept instead", "err", r.err)
		return
	}
	q.snapshotBytes = r.size
	if r.oldest <= q.log.LogStart() || q.dead != nil {
		return
	}
	if err := q.wait(func() error { return q.log.DeleteBefore(r.oldest) }); err != nil {
		q.options.Log.Error("the metadata log's beginning could not be deleted", "err", err)
		return
	}
	if _, err := q.log.Retain(q.options.Now(), q.Image().Index()+1); err != nil {
		q.options.Log.Error("the metadata log's old segments could not be deleted", "err", err)
	}
}
