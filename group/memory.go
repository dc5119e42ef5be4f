package group

import "sync/atomic"

// Memory is how much something may take in all shards that share it. It counts about: what a map and a struct take is a guess.
type Memory struct {
	Max  int
	used atomic.Int64
}

// Used is how much is taken.
func (m *Memory) Used() int { return int(m.used.Load()) }

// account is one shard's part of a Memory.
type account struct {
	memory *Memory
	bytes  int
}

// charge counts bytes that are taken, or given back.
func (a *account) charge(bytes int) {
	a.bytes += bytes
	a.memory.used.Add(int64(bytes))
}

// room tells whether there are bytes left for somebody new.
func (a *account) room(bytes int) bool { return a.memory.Used()+bytes <= a.memory.Max }

// reserve tells whether there are bytes left for somebody who is there already: a quarter more, so that groups go on when others have filled the memory.
func (a *account) reserve(bytes int) bool {
	return bytes <= 0 || a.memory.Used()+bytes <= a.memory.Max+a.memory.Max/4
}

// Release gives back what the shard takes of the memory that it shares. It must not be used afterwards.
func (s *Shard) Release() {
	s.members.charge(-s.members.bytes)
	s.offsets.charge(-s.offsets.bytes)
}

// What groups, members, ids, protocols and offsets take in memory besides their bytes, about.
const (
	groupOverhead    = 512
	memberOverhead   = 512
	pendingOverhead  = 256
	protocolOverhead = 64
	topicOverhead    = 128
	offsetOverhead   = 128
)

func groupBytes(id string) int { return groupOverhead + len(id) }
