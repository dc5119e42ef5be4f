package meta

import (
	"fmt"
	"slices"

	"github.com/millrace/millrace/wire"
)

// lists shares equal lists of broker and directory ids, of which an image has few different ones in very many partitions.
type lists struct {
	last     []int32 // most lists are like the one before
	all      map[string][]int32
	lastDirs []wire.UUID
	allDirs  map[string][]wire.UUID
	key      []byte
}

// share returns a list equal to l that others may hold too. Empty lists become nil: no image tells the two apart.
func (s *lists) share(l []int32) []int32 {
	if len(l) == 0 {
		return nil
	}
	if slices.Equal(s.last, l) {
		return s.last
	}
	s.key = appendIDs(s.key[:0], l)
	known, ok := s.all[string(s.key)]
	if !ok {
		if s.all == nil {
			s.all = map[string][]int32{}
		}
		known = slices.Clone(l)
		s.all[string(s.key)] = known
	}
	s.last = known
	return known
}

// shareDirs is share for directories. Directories of which none is known are no list.
func (s *lists) shareDirs(l []wire.UUID) []wire.UUID {
	if !slices.ContainsFunc(l, func(id wire.UUID) bool { return !id.IsZero() }) {
		return nil
	}
	if slices.Equal(s.lastDirs, l) {
		return s.lastDirs
	}
	s.key = appendUUIDs(s.key[:0], l)
	known, ok := s.allDirs[string(s.key)]
	if !ok {
		if s.allDirs == nil {
			s.allDirs = map[string][]wire.UUID{}
		}
		known = slices.Clone(l)
		s.allDirs[string(s.key)] = known
	}
	s.lastDirs = known
	return known
}

// shared is the partition with lists that others may hold too.
func (s *lists) shared(p Partition) Partition {
	p.Replicas, p.ISR, p.ELR, p.LastKnownELR = s.share(p.Replicas), s.share(p.ISR), s.share(p.ELR), s.share(p.LastKnownELR)
	p.Dirs = s.shareDirs(p.Dirs)
	if p.Reassignment != nil {
		p.Reassignment = reassignment(s.share(p.Reassignment.Adding), s.share(p.Reassignment.Removing))
	}
	return p
}

// after is the partition after the change, which is about it.
func (s *lists) after(p Partition, r *PartitionChangeRecord) Partition {
	if r.Leader != LeaderUnchanged {
		p.Leader = r.Leader
		p.LeaderEpoch++
	}
	for _, field := range []struct {
		to   *[]int32
		from []int32
	}{{&p.Replicas, r.Replicas}, {&p.ISR, r.ISR}, {&p.ELR, r.ELR}, {&p.LastKnownELR, r.LastKnownELR}} {
		if field.from != nil {
			*field.to = s.share(field.from)
		}
	}
	if r.Adding != nil || r.Removing != nil {
		var moving Reassignment
		if p.Reassignment != nil {
			moving = *p.Reassignment
		}
		if r.Adding != nil {
			moving.Adding = s.share(r.Adding)
		}
		if r.Removing != nil {
			moving.Removing = s.share(r.Removing)
		}
		p.Reassignment = reassignment(moving.Adding, moving.Removing)
	}
	if r.Dirs != nil {
		p.Dirs = s.shareDirs(r.Dirs)
	}
	if r.Recovered {
		p.Recovering = false
	}
	if r.Unclean {
		p.Recovering, p.LastUncleanEpoch = true, p.LeaderEpoch
	}
	p.PartitionEpoch++
	return p
}

// reassignment is nil when nothing is added and nothing removed.
func reassignment(adding, removing []int32) *Reassignment {
	if len(adding) == 0 && len(removing) == 0 {
		return nil
	}
	return &Reassignment{adding, removing}
}

// check tells what makes it no partition: decisions read Dirs and Replicas side by side.
func (p *Partition) check() error {
	if len(p.Dirs) != 0 && len(p.Dirs) != len(p.Replicas) {
		return fmt.Errorf("%d replicas have %d directories", len(p.Replicas), len(p.Dirs))
	}
	return nil
}
