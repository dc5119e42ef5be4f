package floor

import (
	"fmt"
	"path/filepath"
	"sort"
	"sync/atomic"

	"github.com/millrace/millrace/wire"
	"github.com/millrace/millrace/wire/record"
	"golang.org/x/sys/unix"
)

const (
	maxPartitions = 1024
	entryBytes    = 64 << 10
)

// topic is a name and its partitions.
type topic struct {
	name       string
	id         wire.UUID
	partitions []*partition
}

// partition is a log: batches in files, in the order in which they came.
//
// A batch that is read straight into the file has its place before it has its offset, which it gets when it is there and whole. So the
// order of offsets is not always that of places, and the index says which run of batches lies where.
type partition struct {
	how     how
	path    string // and a number: its files
	size    int    // of a segment
	ahead   int    // how many bytes before the tail pages are touched
	toucher *toucher

	segments []*segment // the last one is being filled
	position int        // where its free space begins
	index    []entry
	next     int64 // offset of the next batch

	spare    atomic.Pointer[segment]
	awaited  bool // the spare is being made
	deserted atomic.Bool
}

// entry is a run of batches that lie one behind the other.
type entry struct {
	first    int64 // offset
	segment  int32
	position int32
	length   int32
}

// newPartition makes the first file. The more partitions there are, the smaller their files, so that those of 1,024 fit into 8 GiB.
func newPartition(dir, name string, index, of int, h how, t *toucher) (*partition, error) {
	p := &partition{
		how: h, toucher: t,
		path:  filepath.Join(dir, fmt.Sprintf("%s-%d-", name, index)),
		size:  min(max(1<<30/of, 4<<20), 64<<20),
		ahead: min(max(64<<20/of, 64<<10), 16<<20),
	}
	if h.files > 0 {
		p.size, p.ahead = h.files, min(p.ahead, h.files)
	}
	return p, p.roll()
}

// roll begins the next file: the spare when it is there.
func (p *partition) roll() error {
	s := p.spare.Swap(nil)
	p.awaited = s == nil && p.awaited
	if s == nil {
		var err error
		if s, err = newSegment(fmt.Sprintf("%s%d.log", p.path, 2*len(p.segments)), p.size, p.how.mapped); err != nil {
			return err
		}
	}
	p.segments, p.position = append(p.segments, s), 0
	p.touch()
	return nil
}

// touch keeps the pages before the tail ready, in steps of half of what lies ahead.
func (p *partition) touch() {
	s := p.segments[len(p.segments)-1]
	if !p.how.mapped || s.asked-p.position > p.ahead/2 {
		return
	}
	if from, to := max(s.asked, p.position&^4095), min(p.position+p.ahead, p.size); from < to {
		s.asked = to
		p.toucher.touch(s, from, to)
	}
	if p.position > p.size/2 && !p.awaited {
		path := fmt.Sprintf("%s%d.log", p.path, 2*len(p.segments)+1)
		p.awaited = p.toucher.prepare(func() { p.makeSpare(path) })
	}
}

// makeSpare is the toucher's. A spare that cannot be made is missed by roll, which then says why.
func (p *partition) makeSpare(path string) {
	s, err := newSegment(path, p.size, p.how.mapped)
	if err != nil {
		return
	}
	_ = unix.Madvise(s.bytes[:p.ahead], unix.MADV_POPULATE_WRITE)
	s.asked = p.ahead
	p.spare.Store(s)
	if p.deserted.Load() {
		p.dropSpare()
	}
}

func (p *partition) dropSpare() {
	if s := p.spare.Swap(nil); s != nil {
		s.release()
	}
}

// reserve finds room for n bytes.
func (p *partition) reserve(n int) (s *segment, position int, err error) {
	if p.position+n > p.size {
		if err := p.roll(); err != nil {
			return nil, 0, err
		}
	}
	position = p.position
	p.position += n
	p.touch()
	return p.segments[len(p.segments)-1], position, nil
}

// append takes a batch that has been checked.
func (p *partition) append(b record.Batch) (base int64, code wire.Code) {
	if len(b) > p.size {
		return 0, wire.MessageTooLarge
	}
	s, position, err := p.reserve(len(b))
	if err != nil {
		return 0, wire.KafkaStorageError
	}
	b.Stamp(p.next, 0)
	if p.how.mapped {
		copy(s.bytes[position:], b)
	} else if n, err := try(func() (int, error) { return unix.Pwrite(s.fd, b, int64(position)) }); err != nil || n < len(b) {
		return 0, wire.KafkaStorageError
	}
	return p.publish(s, position, b), wire.None
}

// publish makes a batch that is in its place readable. Its offset has been stamped.
func (p *partition) publish(s *segment, position int, b record.Batch) (base int64) {
	number := len(p.segments) - 1
	for p.segments[number] != s {
		number-- // it was reserved before the last roll
	}
	base = p.next
	p.next = b.NextOffset()
	if n := len(p.index); n > 0 {
		if e := &p.index[n-1]; int(e.segment) == number && e.position+e.length == int32(position) && e.length < entryBytes {
			e.length += int32(len(b))
			return base
		}
	}
	p.index = append(p.index, entry{base, int32(number), int32(position), int32(len(b))})
	return base
}

// extent is a part of a file.
type extent struct {
	segment  *segment
	position int
	length   int
}

// read finds the batches from an offset on, up to so many bytes, but one at least when there is one.
func (p *partition) read(to []extent, offset int64, most int) (found []extent, bytes int) {
	if offset >= p.next {
		return to, 0
	}
	from := len(to)
	for i := sort.Search(len(p.index), func(i int) bool { return p.index[i].first > offset }) - 1; i < len(p.index); i++ {
		e := &p.index[i]
		s := p.segments[e.segment]
		at, end := int(e.position), int(e.position+e.length)
		if bytes == 0 {
			for record.Batch(s.bytes[at:end]).NextOffset() <= offset {
				at += record.Batch(s.bytes[at:end]).Size()
			}
		}
		stop := end
		if bytes+end-at > most {
			for stop = at; stop < end; { // to the end of a batch
				size := record.Batch(s.bytes[stop:end]).Size()
				if bytes+stop-at+size > most && bytes+stop-at > 0 {
					break
				}
				stop += size
			}
		}
		if last := len(to) - 1; last >= from && to[last].segment == s && to[last].position+to[last].length == at {
			to[last].length += stop - at
		} else if stop > at {
			to = append(to, extent{s, at, stop - at})
		}
		bytes += stop - at
		if stop < end {
			break
		}
	}
	return to, bytes
}

// desert gives back the files. A spare that is being made is given back by whoever makes it.
func (p *partition) desert() {
	for _, s := range p.segments {
		s.release()
	}
	p.segments = nil
	p.deserted.Store(true)
	p.dropSpare()
}
