package segment

import "sync/atomic"

// Budget bounds what all segments together hold ahead of their tails: disk space that is allocated but not written, and page cache that
// is touched but not written. Over it allocation steps shrink to what the append at hand needs, and nothing is touched ahead.
// A nil *Budget has no limit.
type Budget struct {
	disk, memory           int64
	diskInUse, memoryInUse atomic.Int64
}

// NewBudget returns a budget of so many bytes of disk, and a fourth of that, but at most 256 MiB, of page cache.
func NewBudget(bytes int64) *Budget {
	return &Budget{disk: bytes, memory: min(bytes/4, 256<<20)}
}

// InUse is the disk space held ahead of all tails.
func (b *Budget) InUse() int64 { return b.diskInUse.Load() }

func take(used *atomic.Int64, limit, want, least int64) int64 {
	for {
		n := used.Load()
		grant := max(least, min(want, limit-n))
		if grant <= 0 {
			return 0
		}
		if used.CompareAndSwap(n, n+grant) {
			return grant
		}
	}
}

// takeDisk grants between least and want bytes.
func (b *Budget) takeDisk(want, least int64) int64 {
	if b == nil {
		return want
	}
	return take(&b.diskInUse, b.disk, want, least)
}

func (b *Budget) giveDisk(n int64) {
	if b != nil {
		b.diskInUse.Add(-n)
	}
}

func (b *Budget) takeMemory(want int64) int64 {
	if b == nil {
		return want
	}
	return take(&b.memoryInUse, b.memory, want, 0)
}

func (b *Budget) giveMemory(n int64) {
	if b != nil {
		b.memoryInUse.Add(-n)
	}
}
