package meta

import "github.com/millrace/millrace/wire"

// EachTopicChange calls f for every topic in which the images differ, in the order of the topics' ids: was is nil when the topic is new,
// is when it is gone. A topic that was deleted and created again is two topics. old may be nil. What the images share is passed over
// without looking at it, so the cost grows with the change, not with the cluster.
func EachTopicChange(old, new *Image, f func(was, is *Topic)) {
	if old == nil {
		old = Empty()
	}
	diff(old.ids, new.ids, f)
}

// cursor walks a sorted map entry by entry or chunk by chunk.
type cursor struct {
	chunks    [][]entry[wire.UUID, *Topic]
	chunk, at int
}

func (c *cursor) done() bool { return c.chunk == len(c.chunks) }

func (c *cursor) entry() *entry[wire.UUID, *Topic] { return &c.chunks[c.chunk][c.at] }

func (c *cursor) next() {
	if c.at++; c.at == len(c.chunks[c.chunk]) {
		c.chunk, c.at = c.chunk+1, 0
	}
}

// shares tells whether both stand at the same chunk's beginning. Chunks never change, so it holds the same entries.
func (c *cursor) shares(d *cursor) bool {
	if c.at != 0 || d.at != 0 {
		return false
	}
	a, b := c.chunks[c.chunk], d.chunks[d.chunk]
	return &a[0] == &b[0] && len(a) == len(b)
}

func diff(old, new sorted[wire.UUID, *Topic], f func(was, is *Topic)) {
	a, b := cursor{chunks: old.chunks}, cursor{chunks: new.chunks}
	for !a.done() || !b.done() {
		if !a.done() && !b.done() && a.shares(&b) {
			a.chunk, b.chunk = a.chunk+1, b.chunk+1
			continue
		}
		order := 0
		switch {
		case a.done():
			order = 1
		case b.done():
			order = -1
		default:
			order = compare(a.entry().key, b.entry().key)
		}
		switch {
		case order < 0:
			f(a.entry().value, nil)
			a.next()
		case order > 0:
			f(nil, b.entry().value)
			b.next()
		default:
			if was, is := a.entry().value, b.entry().value; was != is {
				f(was, is)
			}
			a.next()
			b.next()
		}
	}
}
