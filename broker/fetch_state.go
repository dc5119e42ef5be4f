package broker

import (
	"math"
	"math/rand/v2"
	"strings"
	"sync"

	"github.com/millrace/millrace/wire"
)

// Incremental fetch sessions (KIP-227): the broker remembers which partitions a client fetches, the client sends what changes, the broker
// answers what changed. A session has an id and an epoch that each of its fetches raises by one.
//
//	request id, epoch    meaning
//	0 or any, -1         no session; one that exists under the id ends
//	0 or any, 0          make a session; one that exists under the id ends
//	id, n > 0            go on with the session

const (
	noSession    = 0
	finalEpoch   = -1
	initialEpoch = 0

	evictAfter = 120_000 // ms: a session unused for so long gives way to a new one; one that exists so long gives way to a larger one

	// One session may begin with maxSessionPartitions and grow to twice that, all together remember maxCachedPartitions, with names that
	// topics can have: what is larger is served without a session.
	maxSessionPartitions = 50_000
	maxCachedPartitions  = 500_000
	maxTopicName         = 249
)

func nextSessionEpoch(epoch int32) int32 {
	if epoch == math.MaxInt32 {
		return 1
	}
	return epoch + 1
}

// sessions is the cache of all sessions of a node.
type sessions struct {
	slots int

	mu         sync.Mutex
	byID       map[int32]*session
	partitions int // in all sessions together
}

// session is what one client fetches. Its lock is taken inside of the cache's, never outside.
type session struct {
	id      int32
	byID    bool // topics are named by id
	created int64
	counted int // partitions that the cache counts for it; guarded by the cache's lock

	mu       sync.Mutex
	epoch    int32 // that the next fetch must have
	lastUsed int64
	parts    map[partKey]*sessionPart
	first    *sessionPart // in the order in which partitions are read
	last     *sessionPart
}

// partKey names a partition as the client does.
type partKey struct {
	name  string // "" when by id
	id    wire.UUID
	index int32
}

// sessionPart is one partition of a session: what the client wants of it, and what it was told last.
type sessionPart struct {
	partKey
	want       fetchWant
	told       told
	next, prev *sessionPart
	gone       bool
}

// fetchWant is the client's side.
type fetchWant struct {
	offset           int64
	leaderEpoch      int32
	lastFetchedEpoch int32
	maxBytes         int32
}

// told is what decides whether a partition without data has news for the client.
type told struct{ highWatermark, logStart int64 }

func newSessions(slots int) *sessions {
	return &sessions{slots: slots, byID: map[int32]*session{}}
}

// get finds a session, or nil.
func (c *sessions) get(id int32) *session {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.byID[id]
}

// end forgets a session.
func (c *sessions) end(id int32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.endLocked(id)
}

func (c *sessions) endLocked(id int32) {
	if s := c.byID[id]; s != nil {
		delete(c.byID, id)
		c.partitions -= s.counted
		s.counted = 0
	}
}

// count keeps the sum when a session's size changes. False: it has grown beyond what is remembered, and is forgotten.
func (c *sessions) count(s *session, change int) bool {
	if change == 0 {
		return true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byID[s.id] != s {
		return true // it has ended meanwhile: for the client, with its next fetch
	}
	c.partitions += change
	s.counted += change
	if change > 0 && c.partitions > maxCachedPartitions {
		c.endLocked(s.id)
		return false
	}
	return true
}

// add gives a new session an id and a slot. False: there is none to be had.
func (c *sessions) add(s *session, now int64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	size := len(s.parts)
	if c.slots <= 0 || size > maxSessionPartitions || c.partitions+size > maxCachedPartitions {
		return false
	}
	if len(c.byID) >= c.slots && !c.evictLocked(size, now) {
		return false
	}
	for s.id == noSession || c.byID[s.id] != nil {
		s.id = rand.Int32()
	}
	c.byID[s.id] = s
	c.partitions += size
	s.counted = size
	return true
}

// evictLocked makes room: the session that is unused longest, if that is long; else the smallest of those that have had their time, if it
// is smaller than the new one.
func (c *sessions) evictLocked(size int, now int64) bool {
	var stale, small *session
	var staleUsed int64
	smallSize := size
	for _, s := range c.byID {
		s.mu.Lock()
		used, n := s.lastUsed, len(s.parts)
		s.mu.Unlock()
		if now-used > evictAfter && (stale == nil || used < staleUsed) {
			stale, staleUsed = s, used
		}
		if now-s.created > evictAfter && n < smallSize {
			small, smallSize = s, n
		}
	}
	switch {
	case stale != nil:
		c.endLocked(stale.id)
	case small != nil:
		c.endLocked(small.id)
	default:
		return false
	}
	return true
}

// newSession makes a session of the partitions of a full fetch. The names are copied: the frame goes away.
func newSession(parts []fetchPart, byID bool, now int64) *session {
	s := &session{byID: byID, epoch: 1, created: now, lastUsed: now, parts: make(map[partKey]*sessionPart, len(parts))}
	for i := range parts {
		sp := s.put(parts[i].key, parts[i].want)
		parts[i].session = sp
	}
	return s
}

// put adds a partition or changes what the client wants of it.
func (s *session) put(key partKey, want fetchWant) *sessionPart {
	if sp := s.parts[key]; sp != nil {
		sp.want = want
		return sp
	}
	if s.last != nil && s.last.name == key.name {
		key.name = s.last.name // of the same topic: one copy
	} else {
		key.name = strings.Clone(key.name)
	}
	sp := &sessionPart{partKey: key, want: want, told: told{-1, -1}}
	s.parts[key] = sp
	s.append(sp)
	return sp
}

func (s *session) remove(key partKey) {
	sp := s.parts[key]
	if sp == nil {
		return
	}
	delete(s.parts, key)
	s.unlink(sp)
	sp.gone = true
}

func (s *session) append(sp *sessionPart) {
	sp.prev, sp.next = s.last, nil
	if s.last == nil {
		s.first = sp
	} else {
		s.last.next = sp
	}
	s.last = sp
}

func (s *session) unlink(sp *sessionPart) {
	if sp.prev == nil {
		s.first = sp.next
	} else {
		sp.prev.next = sp.next
	}
	if sp.next == nil {
		s.last = sp.prev
	} else {
		sp.next.prev = sp.prev
	}
	sp.next, sp.prev = nil, nil
}

// rotate moves a partition that had data to the end, so that one busy partition does not starve those behind it.
func (s *session) rotate(sp *sessionPart) {
	if !sp.gone && s.last != sp {
		s.unlink(sp)
		s.append(sp)
	}
}
