package segment

import "sync/atomic"

// Budget bounds the disk space that all segments together hold ahead of their tails: allocated, but not written. Over it allocation steps
// shrink to what the append at hand needs. A nil *Budget has no limit.
type Budget struct {
	bytes int64
	inUse atomic.Int64
}

// NewBudget returns a budget of so many bytes.
func NewBudget(bytes int64) *Budget { return &Budget{bytes: bytes} }

// InUse is the disk space held ahead of all tails.
func (b *Budget) InUse() int64 { return b.inUse.Load() }

// take grants between least and want bytes.
func (b *Budget) take(want, least int64) int64 {
	if b == nil {
		return want
	}
	for {
		n := b.inUse.Load()
		grant := max(least, min(want, b.bytes-n))
		if grant <= 0 {
			return 0
		}
		if b.inUse.CompareAndSwap(n, n+grant) {
			return grant
		}
	}
}

func (b *Budget) give(n int64) {
	if b != nil {
		b.inUse.Add(-n)
	}
}
