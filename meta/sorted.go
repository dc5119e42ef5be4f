package meta

import (
	"bytes"
	"cmp"
	"slices"
	"sort"
	"strings"

	"github.com/millrace/millrace/wire"
)

// sorted is an immutable map in the order of its keys. The entries lie in chunks of at most maxChunk, so a change copies
// one chunk and the list of chunks, not the whole map: 10,000 topics created one by one stay cheap, and there is no
// order but the keys' own for anything to depend on. The zero value is an empty map.
type sorted[K key, V any] struct {
	chunks [][]entry[K, V] // none is empty; keys ascend within and across chunks
	count  int
}

type key interface {
	string | int32 | wire.UUID | Resource
}

type entry[K key, V any] struct {
	key   K
	value V
}

// maxChunk balances what one change copies: a chunk of 64 entries is about as large as the list of chunks of a map
// with a few thousand entries.
const maxChunk = 64

func compare[K key](a, b K) int {
	switch a := any(a).(type) {
	case string:
		return strings.Compare(a, any(b).(string))
	case int32:
		return cmp.Compare(a, any(b).(int32))
	case wire.UUID:
		b := any(b).(wire.UUID)
		return bytes.Compare(a[:], b[:])
	case Resource:
		b := any(b).(Resource)
		if c := cmp.Compare(a.Type, b.Type); c != 0 {
			return c
		}
		return strings.Compare(a.Name, b.Name)
	}
	panic("meta: a key without an order")
}

// place returns the chunk that holds k or would hold it, and k's place in it.
func (s sorted[K, V]) place(k K) (chunk, at int, found bool) {
	if len(s.chunks) == 0 {
		return 0, 0, false
	}
	// The last chunk whose first key is not above k; the first chunk when all are.
	chunk = max(0, sort.Search(len(s.chunks), func(i int) bool { return compare(s.chunks[i][0].key, k) > 0 })-1)
	at, found = slices.BinarySearchFunc(s.chunks[chunk], k, func(e entry[K, V], k K) int { return compare(e.key, k) })
	return chunk, at, found
}

func (s sorted[K, V]) get(k K) (V, bool) {
	if chunk, at, found := s.place(k); found {
		return s.chunks[chunk][at].value, true
	}
	var none V
	return none, false
}

func (s sorted[K, V]) has(k K) bool {
	_, _, found := s.place(k)
	return found
}

// put returns a map in which k has the value v.
func (s sorted[K, V]) put(k K, v V) sorted[K, V] {
	if len(s.chunks) == 0 {
		return sorted[K, V]{chunks: [][]entry[K, V]{{{k, v}}}, count: 1}
	}
	chunk, at, found := s.place(k)
	old := s.chunks[chunk]
	if found {
		changed := slices.Clone(old)
		changed[at].value = v
		chunks := slices.Clone(s.chunks)
		chunks[chunk] = changed
		return sorted[K, V]{chunks: chunks, count: s.count}
	}
	grown := make([]entry[K, V], 0, len(old)+1)
	grown = append(grown, old[:at]...)
	grown = append(grown, entry[K, V]{k, v})
	grown = append(grown, old[at:]...)
	if len(grown) <= maxChunk {
		chunks := slices.Clone(s.chunks)
		chunks[chunk] = grown
		return sorted[K, V]{chunks: chunks, count: s.count + 1}
	}
	// Keys that arrive in order fill the last chunk: leave it full behind them instead of half empty.
	cut := len(grown) / 2
	if chunk == len(s.chunks)-1 && at == len(old) {
		cut = len(grown) - 1
	}
	chunks := make([][]entry[K, V], 0, len(s.chunks)+1)
	chunks = append(chunks, s.chunks[:chunk]...)
	chunks = append(chunks, slices.Clone(grown[:cut]), slices.Clone(grown[cut:]))
	chunks = append(chunks, s.chunks[chunk+1:]...)
	return sorted[K, V]{chunks: chunks, count: s.count + 1}
}

// remove returns a map without k.
func (s sorted[K, V]) remove(k K) sorted[K, V] {
	chunk, at, found := s.place(k)
	if !found {
		return s
	}
	old := s.chunks[chunk]
	if len(old) == 1 {
		chunks := make([][]entry[K, V], 0, len(s.chunks)-1)
		chunks = append(append(chunks, s.chunks[:chunk]...), s.chunks[chunk+1:]...)
		return sorted[K, V]{chunks: chunks, count: s.count - 1}
	}
	less := make([]entry[K, V], 0, len(old)-1)
	less = append(append(less, old[:at]...), old[at+1:]...)
	chunks := slices.Clone(s.chunks)
	chunks[chunk] = less
	return sorted[K, V]{chunks: chunks, count: s.count - 1}
}

// mapped returns a map with f's result in the place of every value.
func (s sorted[K, V]) mapped(f func(V) V) sorted[K, V] {
	chunks := make([][]entry[K, V], len(s.chunks))
	for i, old := range s.chunks {
		chunks[i] = slices.Clone(old)
		for j := range chunks[i] {
			chunks[i][j].value = f(old[j].value)
		}
	}
	return sorted[K, V]{chunks: chunks, count: s.count}
}

// each calls f for every entry in the order of the keys, until f returns false.
func (s sorted[K, V]) each(f func(K, V) bool) {
	for _, chunk := range s.chunks {
		for i := range chunk {
			if !f(chunk[i].key, chunk[i].value) {
				return
			}
		}
	}
}
