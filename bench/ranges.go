package bench

import "slices"

// ranges is a set of sequence numbers, kept as ascending half-open intervals that do not touch. It holds maxRanges of them: a
// run with more holes than that has failed whatever they are, and further ones are only counted.
type ranges struct {
	list []stretch
	more int64 // numbers that found no room
}

type stretch struct{ from, next int64 }

const maxRanges = 1 << 12

// add puts [from, next) in; nothing of it may be in already.
func (r *ranges) add(from, next int64) {
	if from >= next {
		return
	}
	i, _ := slices.BinarySearchFunc(r.list, from, func(v stretch, from int64) int { return int(min(max(v.from-from, -1), 1)) })
	left, right := i > 0 && r.list[i-1].next == from, i < len(r.list) && r.list[i].from == next
	switch {
	case left && right:
		r.list[i-1].next = r.list[i].next
		r.list = slices.Delete(r.list, i, i+1)
	case left:
		r.list[i-1].next = next
	case right:
		r.list[i].from = from
	case len(r.list) == maxRanges:
		r.more += next - from
	default:
		r.list = slices.Insert(r.list, i, stretch{from, next})
	}
}

// take removes n, if it is in.
func (r *ranges) take(n int64) bool {
	for i, v := range r.list {
		if n < v.from {
			return false
		}
		if n >= v.next {
			continue
		}
		r.list = slices.Delete(r.list, i, i+1)
		r.add(v.from, n)
		r.add(n+1, v.next)
		return true
	}
	return false
}

// count is how many numbers are in.
func (r *ranges) count() int64 {
	n := r.more
	for _, v := range r.list {
		n += v.next - v.from
	}
	return n
}

// common is how many numbers are in both.
func (r *ranges) common(o *ranges) int64 {
	var n int64
	for i, j := 0, 0; i < len(r.list) && j < len(o.list); {
		a, b := r.list[i], o.list[j]
		n += max(0, min(a.next, b.next)-max(a.from, b.from))
		if a.next < b.next {
			i++
		} else {
			j++
		}
	}
	return n
}

// firstOutside is the smallest number that is in and not in o; -1: there is none.
func (r *ranges) firstOutside(o *ranges) int64 {
	j := 0
	for _, v := range r.list {
		for n := v.from; n < v.next; n = o.list[j].next {
			for j < len(o.list) && o.list[j].next <= n {
				j++
			}
			if j == len(o.list) || n < o.list[j].from {
				return n
			}
		}
	}
	return -1
}
