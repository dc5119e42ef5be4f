package quorum

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/millrace/millrace/internal/vfs"
	"github.com/millrace/millrace/meta"
	"github.com/millrace/millrace/wire/record"
)

// Snapshots lie beside the log's segments, under the names Kafka gives its own: the first offset that is not in it, and the term of the
// entry before.
//
//	00000000000000012345-0000000007.checkpoint
//
// One is written under a name with ".part" behind, made durable, read back and compared, and only then gets its name. It holds
//
//	| magic 8 | next 8 | term 8 | CRC-32C 4 of what lies before | the image's own snapshot, which has its own checksum |
//
// which is also what a voter sends to one that is too far behind. Older ones are the image's snapshot alone, of the one term there was.
const (
	snapshotSuffix = ".checkpoint"
	partSuffix     = ".part"
	snapshotMagic  = "MRQSNAP\x01" // the last byte is the version
	snapshotHeader = 28
	snapshotsKept  = 2
)

// firstTerm is the term of what was written before there were several voters.
const firstTerm = 1

// snapshot is an image and where in the log it stands: it is what the entries below next make of nothing.
type snapshot struct {
	next  int64 // the first offset it does not have; 0: of nothing
	term  uint64
	image *meta.Image
}

func (s snapshot) append(dst []byte) []byte {
	at := len(dst)
	dst = append(dst, snapshotMagic...)
	dst = binary.BigEndian.AppendUint64(dst, uint64(s.next))
	dst = binary.BigEndian.AppendUint64(dst, s.term)
	dst = binary.BigEndian.AppendUint32(dst, record.CRC32C(dst[at:]))
	return s.image.AppendSnapshot(dst)
}

func decodeSnapshot(b []byte) (s snapshot, err error) {
	if !bytes.HasPrefix(b, []byte(snapshotMagic)) {
		s.image, err = meta.DecodeSnapshot(b)
		if err == nil {
			s.next, s.term = s.image.Index()+1, firstTerm
		}
		return s, err
	}
	if len(b) < snapshotHeader || record.CRC32C(b[:snapshotHeader-4]) != binary.BigEndian.Uint32(b[snapshotHeader-4:]) {
		return s, errors.New("its header's checksum does not match")
	}
	s.next, s.term = int64(binary.BigEndian.Uint64(b[8:])), binary.BigEndian.Uint64(b[16:])
	s.image, err = meta.DecodeSnapshot(b[snapshotHeader:])
	return s, err
}

// snapshots are the snapshot files of one metadata log.
type snapshots struct {
	fs     vfs.FS
	folder string
}

func folder(dir string) string { return filepath.Join(dir, Topic+"-0") }

// snapshotName is what a snapshot file's name says.
type snapshotName struct {
	next int64
	term uint64
}

func (n snapshotName) String() string {
	return fmt.Sprintf("%020d-%010d%s", n.next, n.term, snapshotSuffix)
}

func parseSnapshotName(name string) (n snapshotName, ok bool) {
	if c, err := fmt.Sscanf(name, "%020d-%010d"+snapshotSuffix, &n.next, &n.term); c != 2 || err != nil {
		return snapshotName{}, false
	}
	return n, n.next > 0 && strings.HasSuffix(name, snapshotSuffix)
}

// list returns the snapshots, newest first.
func (s *snapshots) list() ([]snapshotName, error) {
	entries, err := s.fs.ReadDir(s.folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var names []snapshotName
	for _, e := range entries { // in the order of their names, so of their offsets: these have a fixed width
		if n, ok := parseSnapshotName(e.Name()); ok {
			names = append(names, n)
		}
	}
	slices.Reverse(names)
	return names, nil
}

// makeFolder makes the folder, durably, of a log that has none yet.
func (s *snapshots) makeFolder() error {
	if err := s.fs.MkdirAll(s.folder, 0o755); err != nil {
		return err
	}
	return s.fs.SyncDir(filepath.Dir(s.folder))
}

// clear removes what was left half written.
func (s *snapshots) clear() error {
	entries, err := s.fs.ReadDir(s.folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), snapshotSuffix+partSuffix) {
			err = errors.Join(err, s.fs.Remove(filepath.Join(s.folder, e.Name())))
		}
	}
	return err
}

// load returns the newest snapshot that can be read, that of nothing when there is none, and what was wrong with the newer ones.
func (s *snapshots) load() (newest snapshot, size int64, damage []error, err error) {
	newest = snapshot{image: meta.Empty()}
	if err := s.clear(); err != nil {
		return newest, 0, nil, err
	}
	names, err := s.list()
	if err != nil {
		return newest, 0, nil, err
	}
	for _, name := range names {
		b, err := s.read(name.String())
		if err == nil && kafkas(b) {
			return newest, 0, nil, ErrKafka
		}
		var found snapshot
		if err == nil {
			found, err = decodeSnapshot(b)
		}
		if err == nil && (found.next != name.next || found.term != name.term) {
			err = fmt.Errorf("its content is that of %s", snapshotName{found.next, found.term})
		}
		if err != nil {
			damage = append(damage, fmt.Errorf("snapshot %s: %w", filepath.Join(s.folder, name.String()), err))
			continue
		}
		return found, int64(len(b)), damage, nil
	}
	return newest, 0, damage, nil
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

// write makes a snapshot durable under its name, then removes those that are not kept. It returns the size, and the oldest one that is
// kept: the log below it has served its time; none while there is no other to fall back to.
func (s *snapshots) write(of snapshot) (size int64, oldest snapshotName, err error) {
	b := of.append(nil)
	name := snapshotName{of.next, of.term}.String()
	if err := s.writePart(name+partSuffix, b); err != nil {
		return 0, oldest, err
	}
	back, err := s.read(name + partSuffix)
	if err != nil {
		return 0, oldest, err
	}
	if !bytes.Equal(back, b) {
		return 0, oldest, fmt.Errorf("snapshot %s: what is read back is not what was written", name)
	}
	if err := s.fs.Rename(filepath.Join(s.folder, name+partSuffix), filepath.Join(s.folder, name)); err != nil {
		return 0, oldest, err
	}
	if err := s.fs.SyncDir(s.folder); err != nil {
		return 0, oldest, err
	}
	names, err := s.list()
	if err != nil {
		return 0, oldest, err
	}
	for len(names) > snapshotsKept {
		last := len(names) - 1
		if err := s.fs.Remove(filepath.Join(s.folder, names[last].String())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return 0, oldest, err
		}
		names = names[:last]
	}
	if len(names) == snapshotsKept {
		oldest = names[snapshotsKept-1]
	}
	return int64(len(b)), oldest, nil
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
