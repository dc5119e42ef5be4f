package quorum

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/millrace/millrace/internal/vfs"
	"github.com/millrace/millrace/wire"
	"github.com/millrace/millrace/wire/record"
)

// ballotName is the file that holds what a voter has promised. It lies beside the metadata log's folder, not in it: who loses the folder
// still knows that he had one.
const ballotName = "millrace-quorum"

// A ballot file has two slots of a page each, written in turn, so that a torn write leaves the other:
//
//	0        8        12       16         24     32     40       48       52
//	| magic  | crc32c | length | sequence | term | vote | commit | voters | { id 4, directory 16 } ... |
//
// The checksum covers the length bytes from the sequence on; the rest of the page is zero. The slot with the higher sequence counts.
// Numbers are big-endian; vote is an id plus one, or 0; a directory is zero when the voter has not been heard of.
const (
	ballotMagic   = "MRQUORM\x01" // the last byte is the version
	ballotPage    = 4096
	ballotHeader  = 16
	ballotFixed   = 36 // of what is covered, without the voters
	ballotVoter   = 20
	ballotSlots   = 2
	maxVoters     = (ballotPage - ballotHeader - ballotFixed) / ballotVoter
	ballotTmpName = ballotName + ".tmp"
)

// ballot is what a voter must not forget: the newest term it knows, whom it voted for in it, that so much was committed, and who the
// voters are, with the directories they were known by (a voter that comes back with another one has lost its promises).
type ballot struct {
	term, vote, commit uint64
	voters             []voterID // ascending
}

type voterID struct {
	id        int32
	directory wire.UUID
}

// ids are the voters' ids.
func (b *ballot) ids() []int32 {
	ids := make([]int32, len(b.voters))
	for i, v := range b.voters {
		ids[i] = v.id
	}
	return ids
}

// ballotFile keeps a ballot.
type ballotFile struct {
	fs       vfs.FS
	path     string // of the log directory
	file     vfs.File
	sequence uint64
	ballot   ballot
	known    bool // there is a file: something was promised
}

var errBallot = errors.New("both copies of what this voter has promised are damaged: it may have voted, and must not vote again")

// open reads the ballot, if there is one.
func (f *ballotFile) open() error {
	if err := f.fs.Remove(filepath.Join(f.path, ballotTmpName)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	file, err := f.fs.OpenFile(filepath.Join(f.path, ballotName), os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	page := make([]byte, ballotSlots*ballotPage)
	n, err := file.ReadAt(page, 0)
	if n < len(page) {
		err = fmt.Errorf("%w (%d bytes, %v)", errBallot, n, err)
		return errors.Join(fmt.Errorf("%s: %w", file.Name(), err), file.Close())
	}
	for slot := range ballotSlots {
		sequence, b, ok := parseBallot(page[slot*ballotPage : (slot+1)*ballotPage])
		if ok && sequence > f.sequence {
			f.sequence, f.ballot, f.known = sequence, b, true
		}
	}
	if !f.known {
		return errors.Join(fmt.Errorf("%s: %w", file.Name(), errBallot), file.Close())
	}
	f.file = file
	return nil
}

// save makes a ballot durable. The first one makes the file.
func (f *ballotFile) save(b ballot) error {
	sequence := f.sequence + 1
	page := b.append(nil, sequence)
	if f.file == nil {
		return f.create(b, sequence, page)
	}
	if _, err := f.file.WriteAt(page, int64(sequence%ballotSlots)*ballotPage); err != nil {
		return err
	}
	if err := f.file.Sync(); err != nil {
		return err
	}
	f.sequence, f.ballot = sequence, b
	return nil
}

// create writes the file under another name first: one that has this name has a good slot.
func (f *ballotFile) create(b ballot, sequence uint64, page []byte) error {
	tmp, name := filepath.Join(f.path, ballotTmpName), filepath.Join(f.path, ballotName)
	file, err := f.fs.OpenFile(tmp, os.O_CREATE|os.O_TRUNC|os.O_RDWR, 0o644)
	if err != nil {
		return err
	}
	whole := make([]byte, ballotSlots*ballotPage)
	copy(whole[int(sequence%ballotSlots)*ballotPage:], page)
	if _, err = file.WriteAt(whole, 0); err == nil {
		err = file.Sync()
	}
	if err == nil {
		err = f.fs.Rename(tmp, name)
	}
	if err == nil {
		err = f.fs.SyncDir(f.path)
	}
	if err != nil {
		return errors.Join(err, file.Close())
	}
	f.file, f.sequence, f.ballot, f.known = file, sequence, b, true
	return nil
}

func (f *ballotFile) close() error {
	if f.file == nil {
		return nil
	}
	err := f.file.Close()
	f.file = nil
	return err
}

// append appends a page.
func (b *ballot) append(dst []byte, sequence uint64) []byte {
	at := len(dst)
	dst = append(dst, ballotMagic...)
	dst = append(dst, make([]byte, 8)...)
	for _, n := range []uint64{sequence, b.term, b.vote, b.commit} {
		dst = binary.BigEndian.AppendUint64(dst, n)
	}
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(b.voters)))
	for _, v := range b.voters {
		dst = binary.BigEndian.AppendUint32(dst, uint32(v.id))
		dst = append(dst, v.directory[:]...)
	}
	covered := dst[at+ballotHeader:]
	binary.BigEndian.PutUint32(dst[at+8:], record.CRC32C(covered))
	binary.BigEndian.PutUint32(dst[at+12:], uint32(len(covered)))
	return append(dst, make([]byte, at+ballotPage-len(dst))...)
}

func parseBallot(page []byte) (sequence uint64, b ballot, ok bool) {
	if !bytes.HasPrefix(page, []byte(ballotMagic)) {
		return 0, b, false
	}
	length := binary.BigEndian.Uint32(page[12:])
	if length < ballotFixed || length > ballotPage-ballotHeader {
		return 0, b, false
	}
	covered := page[ballotHeader : ballotHeader+length]
	if record.CRC32C(covered) != binary.BigEndian.Uint32(page[8:]) {
		return 0, b, false
	}
	sequence = binary.BigEndian.Uint64(covered)
	b.term, b.vote, b.commit = binary.BigEndian.Uint64(covered[8:]), binary.BigEndian.Uint64(covered[16:]), binary.BigEndian.Uint64(covered[24:])
	list := covered[ballotFixed:]
	if count := binary.BigEndian.Uint32(covered[32:]); int(count)*ballotVoter != len(list) {
		return 0, b, false
	}
	for ; len(list) > 0; list = list[ballotVoter:] {
		b.voters = append(b.voters, voterID{int32(binary.BigEndian.Uint32(list)), wire.UUID(list[4:ballotVoter])})
	}
	return sequence, b, sequence > 0
}

// withDirectory is the ballot with a voter's directory known.
func (b *ballot) withDirectory(id int32, directory wire.UUID) ballot {
	c := *b
	c.voters = slices.Clone(b.voters)
	for i := range c.voters {
		if c.voters[i].id == id {
			c.voters[i].directory = directory
		}
	}
	return c
}

// directory is what a voter is known by; ok says that it is a voter.
func (b *ballot) directory(id int32) (directory wire.UUID, ok bool) {
	for _, v := range b.voters {
		if v.id == id {
			return v.directory, true
		}
	}
	return directory, false
}
