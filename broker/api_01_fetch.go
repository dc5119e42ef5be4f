package broker

import (
	"sync"
	"sync/atomic"

	"github.com/millrace/millrace/engine"
	"github.com/millrace/millrace/internal/vfs"
	"github.com/millrace/millrace/replica"
	"github.com/millrace/millrace/wire"
)

// Fetch, versions 4-18, with and without sessions (fetch_state.go), by topic name and by topic id.
//
// Each partition is read as a slice of a log file; the kernel sends it. With fewer bytes than the client wants the fetch parks (fetch_wait.go).
// What a read must wait for (a log that is not open, pages that are not in memory) is waited for by workers, and the fetch goes on afterwards;
// the connection's other requests do not wait.
//
// Gaps: followers of other brokers do not use this API here (internal replication), so a fetch that names a replica is refused, and
// preferredReadReplica is always -1 until there are racks to prefer.

// fetch is one request in work, owned by its connection's loop, or for a while by the one worker it was given to. It is pooled.
type fetch struct {
	n   *Node
	c   *call
	req wire.FetchRequest

	resp  wire.FetchResponse
	holes []int
	parts []fetchPart

	byID      bool
	committed bool
	minBytes  int
	maxBytes  int
	bytes     int   // read in the last pass
	deadline  int64 // on the timers' clock: when max wait is over

	session *session // nil: none
	create  bool     // make one of the partitions

	parked   replica.Parked
	timer    timer
	timedOut bool
	warm     bool // slices were read off the loop: no further questions about cold pages
	waits    atomic.Int32
	prev     *fetch // on the client's list while parked
	next     *fetch
	onList   bool

	resumeOnLoop func() // s.resume, made once
	warmOffLoop  func()
	oneReady     func()
}

// fetchPart is one partition of the fetch.
type fetchPart struct {
	replica.ReadWaiter
	key     partKey
	want    fetchWant
	session *sessionPart // nil: none
	p       *replica.Partition
	topic   *replica.Topic
	got     replica.ReadResult
	aborted []engine.AbortedTxn
	err     error
}

var fetches sync.Pool

// Not in the declaration: what a fetch does ends in the pool.
func init() {
	fetches.New = func() any {
		s := new(fetch)
		s.resumeOnLoop, s.warmOffLoop, s.oneReady = s.resume, s.readOffLoop, s.countReady
		s.parked.Wake = s.post
		s.timer.fire = s.expire
		return s
	}
}

func (n *Node) handleFetch(c *call) {
	s := fetches.Get().(*fetch)
	s.n, s.c = n, c
	if err := s.req.Decode(c.header.Version, c.body); err != nil {
		s.abort(err)
		return
	}
	s.byID = c.header.Version >= 13
	s.committed = s.req.IsolationLevel == 1
	s.maxBytes = int(min(s.req.MaxBytes, n.limits.fetchMaxBytes))
	s.minBytes = min(int(s.req.MinBytes), s.maxBytes)
	s.deadline = n.fetchTimers.now() + int64(s.req.MaxWaitMs)
	code, err := s.open()
	if err != nil {
		s.abort(err)
		return
	}
	if code != wire.None {
		s.refuse(code)
		return
	}
	s.step()
}

// open finds the request's session and names its partitions.
func (s *fetch) open() (wire.Code, error) {
	count := 0
	for i := range s.req.Topics {
		count += len(s.req.Topics[i].Partitions)
	}
	if count > maxPartitions {
		return 0, errTooManyPartitions
	}
	cache := s.n.sessions
	switch epoch := s.req.SessionEpoch; {
	case s.c.header.Version < 7:
		s.nameRequested()
	case epoch == finalEpoch || epoch == initialEpoch:
		if s.req.SessionID != noSession {
			cache.end(s.req.SessionID)
		}
		s.create = epoch == initialEpoch && !s.longNames()
		s.nameRequested()
	default:
		sn := cache.get(s.req.SessionID)
		if sn == nil {
			return wire.FetchSessionIDNotFound, nil
		}
		return s.goOn(sn), nil
	}
	s.keepNames()
	return wire.None, nil
}

// longNames is whether the request names a topic that cannot exist, at a length that is not worth remembering.
func (s *fetch) longNames() bool {
	for i := range s.req.Topics {
		if len(s.req.Topics[i].Name) > maxTopicName {
			return true
		}
	}
	return false
}

// goOn applies what the request changes to its session, and names the session's partitions.
func (s *fetch) goOn(sn *session) wire.Code {
	if s.longNames() {
		return wire.InvalidRequest
	}
	change, code := s.update(sn)
	if !s.n.sessions.count(sn, change) { // not under the session's lock: the cache's comes first
		return wire.FetchSessionIDNotFound // the client begins again, and is served without one
	}
	if code == wire.None && s.session == nil {
		s.n.sessions.end(sn.id) // a session without partitions ends
	}
	return code
}

// update is goOn under the session's lock. change is by how many partitions it has grown.
func (s *fetch) update(sn *session) (change int, code wire.Code) {
	sn.mu.Lock()
	defer sn.mu.Unlock()
	switch {
	case sn.epoch != s.req.SessionEpoch:
		return 0, wire.InvalidFetchSessionEpoch
	case sn.byID != s.byID:
		return 0, wire.FetchSessionTopicIDError
	}
	before, more := len(sn.parts), 0
	for i := range s.req.Topics {
		more += len(s.req.Topics[i].Partitions)
	}
	if before+more > 2*maxSessionPartitions {
		return 0, wire.InvalidRequest
	}
	for i := range s.req.ForgottenTopics {
		t := &s.req.ForgottenTopics[i]
		for _, index := range t.Partitions {
			sn.remove(partKey{t.Name, t.TopicID, index})
		}
	}
	for i := range s.req.Topics {
		t := &s.req.Topics[i]
		for j := range t.Partitions {
			p := &t.Partitions[j]
			sn.put(partKey{t.Name, t.TopicID, p.Index}, wantOf(p))
		}
	}
	change = len(sn.parts) - before
	if len(sn.parts) == 0 {
		return change, wire.None
	}
	sn.epoch = nextSessionEpoch(sn.epoch)
	sn.lastUsed = s.n.now()
	s.session = sn
	s.reserve(len(sn.parts))
	for sp := sn.first; sp != nil; sp = sp.next {
		s.add(sp.partKey, sp.want).session = sp
	}
	return change, wire.None
}

func wantOf(p *wire.FetchRequestPartition) fetchWant {
	return fetchWant{p.FetchOffset, p.CurrentLeaderEpoch, p.LastFetchedEpoch, p.PartitionMaxBytes}
}

// nameRequested makes a part of each partition of the request.
func (s *fetch) nameRequested() {
	count := 0
	for i := range s.req.Topics {
		count += len(s.req.Topics[i].Partitions)
	}
	s.reserve(count)
	for i := range s.req.Topics {
		t := &s.req.Topics[i]
		for j := range t.Partitions {
			p := &t.Partitions[j]
			s.add(partKey{t.Name, t.TopicID, p.Index}, wantOf(p))
		}
	}
}

// reserve makes room: parts must not move while they wait.
func (s *fetch) reserve(n int) {
	s.parts = s.parts[:0]
	if cap(s.parts) < n {
		s.parts = make([]fetchPart, 0, n)
	}
}

func (s *fetch) add(key partKey, want fetchWant) *fetchPart {
	s.parts = s.parts[:len(s.parts)+1]
	part := &s.parts[len(s.parts)-1]
	part.key, part.want, part.session = key, want, nil
	part.p, part.topic, part.err = nil, nil, nil
	part.aborted = part.aborted[:0]
	s.find(part)
	return part
}

// find looks the partition up. The name is the table's from then on, not the frame's.
func (s *fetch) find(part *fetchPart) {
	part.topic, part.err = s.n.topic(part.key.name, part.key.id, s.byID)
	if part.err != nil {
		return
	}
	if !s.byID {
		part.key.name = part.topic.Name
	}
	if replicaID := s.replicaID(); replicaID >= 0 {
		part.err = wire.NotLeaderOrFollower
		return
	}
	part.p, part.err = partitionOf(part.topic, part.key.index)
}

func (s *fetch) replicaID() int32 {
	if s.c.header.Version >= 15 {
		return s.req.ReplicaState.ReplicaID
	}
	return s.req.ReplicaID
}

// keepNames keeps the frame when a name in it is needed for the answer: that of a topic which does not exist.
func (s *fetch) keepNames() {
	if s.byID {
		return
	}
	for i := range s.parts {
		if s.parts[i].topic == nil {
			s.c.keep()
			if err := s.req.Decode(s.c.header.Version, s.c.body); err != nil {
				panic("broker: a request that was decoded does not decode again: " + err.Error())
			}
			s.nameRequested()
			return
		}
	}
}

// step reads, and answers, parks, or gives the fetch to whoever can wait. On the loop.
func (s *fetch) step() {
	for range 4 {
		wait, cold, ready := s.read(false)
		switch {
		case wait > 0:
			s.awaitLogs(wait)
			return
		case cold:
			s.n.workers.cold.Go(s.warmOffLoop)
			return
		case ready || s.timedOut || s.n.stopping.Load() || s.n.parkedParts.Load()+int64(len(s.parts)) > maxParkedParts:
			s.answer()
			return
		}
		if s.park() {
			return
		}
	}
	s.answer() // the partitions move faster than we can park: there is something to send
}

// resume goes on after a wait of any kind. On the loop.
func (s *fetch) resume() {
	s.unpark()
	if s.c.conn.Closed() {
		s.drop()
		return
	}
	if s.warm {
		s.warm = false
		s.answer()
		return
	}
	s.step()
}

func (s *fetch) post() { s.c.conn.Post(s.resumeOnLoop) }

// read makes one pass over the partitions. wait: so many logs are not open yet; cold: something is not in memory; ready: nothing to wait for.
func (s *fetch) read(block bool) (wait int, cold, ready bool) {
	s.release()
	left, minOne := s.maxBytes, true
	ready = s.req.MaxWaitMs <= 0 || len(s.parts) == 0
	var now int64
	if block { // on a worker
		now = s.n.now()
	} else {
		now = s.n.nowOn(s.c.conn)
	}
	var o replica.ReadOptions
	o.Committed, o.Block, o.Now = s.committed, block, now
	for i := range s.parts {
		part := &s.parts[i]
		if part.p == nil {
			ready = true // an error is told at once
			continue
		}
		o.Offset, o.LeaderEpoch, o.LastFetchedEpoch = part.want.offset, part.want.leaderEpoch, part.want.lastFetchedEpoch
		o.MaxBytes, o.MinOne = min(int(part.want.maxBytes), left), minOne
		part.err = part.p.Read(&o, &part.got)
		part.aborted = part.aborted[:0]
		if part.err == nil && s.committed && part.got.Slice.Length > 0 {
			if part.aborted, part.err = part.p.Aborted(part.aborted, o.Offset, part.got.Bound); part.err != nil {
				part.release() // an answer with an error has no records
			}
		}
		n := part.got.Slice.Length
		switch {
		case part.err == nil:
		case isWait(part.err):
			wait++
			continue
		case isCold(part.err):
			cold = true
			continue
		default:
			ready = true
			continue
		}
		if part.got.DivergingEpoch >= 0 {
			ready = true
		}
		if n == 0 {
			continue
		}
		s.bytes += n
		left = max(left-n, 0)
		minOne = false
		if !block && !part.got.Hot && !part.got.Slice.Asked && !part.got.Slice.Resident() {
			cold = true
		}
		if s.bytes < s.minBytes && part.p.Log().SegmentEnd(o.Offset) < part.got.Bound {
			ready = true // the rest of an older segment: more lies behind it already
		}
	}
	return wait, cold, ready || s.bytes >= s.minBytes
}

// awaitLogs resumes when the n logs that have to be opened are. On the loop.
func (s *fetch) awaitLogs(n int) {
	s.waits.Store(int32(n))
	for i := range s.parts {
		if part := &s.parts[i]; part.p != nil && isWait(part.err) {
			part.p.WhenReady(s.oneReady)
		}
	}
}

func (s *fetch) countReady() {
	if s.waits.Add(-1) == 0 {
		s.post()
	}
}

// readOffLoop reads again with leave to wait for the disk, and brings what was read into memory. On a worker; s is its alone meanwhile.
func (s *fetch) readOffLoop() {
	if wait, _, _ := s.read(true); wait > 0 {
		s.post() // a log has closed its files meanwhile: wait for it as step does
		return
	}
	for i := range s.parts {
		part := &s.parts[i]
		if part.got.Slice.Length == 0 || part.got.Hot || part.got.Slice.Resident() {
			continue
		}
		if err := part.got.Slice.Warm(); err != nil {
			part.release()
			part.err = err
		}
	}
	s.warm = true
	s.post()
}

// release gives back what the last pass read.
func (s *fetch) release() {
	for i := range s.parts {
		s.parts[i].release()
	}
	s.bytes = 0
}

func (part *fetchPart) release() {
	part.got.Slice.Release()
	part.got.Slice = vfs.Slice{}
}

// answer sends what was read. On the loop.
func (s *fetch) answer() {
	s.resp.Default()
	if s.create && len(s.parts) > 0 {
		sn := newSession(s.parts, s.byID, s.n.now())
		if s.n.sessions.add(sn, s.n.now()) {
			s.resp.SessionID = sn.id
		}
	}
	if s.session == nil {
		for i := range s.parts {
			s.tell(&s.parts[i])
		}
	} else if code := s.tellNews(); code != wire.None {
		s.release()
		s.refuse(code)
		return
	}
	s.count()
	c := s.c
	r, h := c.reply, c.header
	r.Buf = wire.AppendResponseHeader(r.Buf, h.Key, h.Version, h.CorrelationID)
	r.Buf, s.holes = s.resp.Append(h.Version, r.Buf, s.holes[:0])
	hole := 0
	for i := range s.parts {
		if got := &s.parts[i].got; got.Slice.Length > 0 {
			r.Insert(s.holes[hole], got.Slice)
			hole++
			got.Slice = vfs.Slice{} // the reply's now
		}
	}
	s.free()
	c.finish()
	r.Send()
}

// tellNews answers the partitions of a session that have news for the client.
func (s *fetch) tellNews() wire.Code {
	sn := s.session
	sn.mu.Lock()
	defer sn.mu.Unlock()
	s.resp.SessionID = sn.id
	if sn.epoch != nextSessionEpoch(s.req.SessionEpoch) {
		return wire.InvalidFetchSessionEpoch // a later fetch has overtaken this one while it was parked
	}
	for i := range s.parts {
		part := &s.parts[i]
		now := told{part.got.HighWatermark, part.got.LogStart}
		if part.err != nil {
			now = told{-1, -1} // so that the partition is told again when the error is gone
		}
		sp := part.session
		if part.err == nil && part.got.Slice.Length == 0 && part.got.DivergingEpoch < 0 && sp.told == now {
			continue
		}
		sp.told = now
		s.tell(part)
		if part.got.Slice.Length > 0 {
			sn.rotate(sp)
		}
	}
	return wire.None
}

// tell adds a partition to the answer. Partitions of one topic that follow each other share its entry.
func (s *fetch) tell(part *fetchPart) {
	var t *wire.FetchResponseTopic
	if n := len(s.resp.Topics); n > 0 {
		if last := &s.resp.Topics[n-1]; last.Name == part.key.name && last.TopicID == part.key.id {
			t = last
		}
	}
	if t == nil {
		t = s.resp.AddTopic()
		t.Name, t.TopicID = part.key.name, part.key.id
	}
	if part.session != nil && s.create {
		part.session.told = told{part.got.HighWatermark, part.got.LogStart}
		if part.err != nil {
			part.session.told = told{-1, -1}
		}
	}
	rp := t.AddPartition()
	rp.Index = part.key.index
	rp.HighWatermark, rp.LastStableOffset, rp.LogStartOffset = -1, -1, -1
	if part.p != nil {
		rp.HighWatermark, rp.LastStableOffset, rp.LogStartOffset = part.got.HighWatermark, part.got.LastStable, part.got.LogStart
	}
	if s.committed || part.p == nil {
		rp.AbortedTransactions = []wire.FetchResponseAbortedTransaction{} // empty, not null
	}
	if part.err != nil {
		rp.ErrorCode = codeOf(part.err)
		s.explain(rp, part)
		return
	}
	if part.got.DivergingEpoch >= 0 {
		rp.DivergingEpoch = &wire.FetchResponseEpochEnd{Epoch: part.got.DivergingEpoch, EndOffset: part.got.DivergingEnd}
	}
	for _, a := range part.aborted {
		rp.AbortedTransactions = append(rp.AbortedTransactions, wire.FetchResponseAbortedTransaction{ProducerID: a.ProducerID, FirstOffset: a.FirstOffset})
	}
	rp.RecordsSize = int32(part.got.Slice.Length)
}

// explain says where the leader is, when it is elsewhere (KIP-951).
func (s *fetch) explain(rp *wire.FetchResponsePartition, part *fetchPart) {
	if part.topic == nil || rp.ErrorCode != wire.NotLeaderOrFollower && rp.ErrorCode != wire.FencedLeaderEpoch {
		return
	}
	h, ok := s.n.leaderOf(part.topic, rp.Index, s.c.conn)
	if !ok {
		return
	}
	rp.CurrentLeader = &wire.FetchResponseLeader{LeaderID: h.id, LeaderEpoch: h.epoch}
	if h.host == "" {
		return
	}
	for i := range s.resp.NodeEndpoints {
		if s.resp.NodeEndpoints[i].NodeID == h.id {
			return
		}
	}
	e := s.resp.AddNodeEndpoint()
	e.NodeID, e.Host, e.Port, e.Rack = h.id, h.host, h.port, wire.StrOrNull(h.rack)
}

// refuse answers the whole fetch with an error.
func (s *fetch) refuse(code wire.Code) {
	s.n.metrics.fetchErrors.add(code)
	sessionID := s.resp.SessionID
	s.resp.Default()
	s.resp.ErrorCode = code
	if code == wire.InvalidFetchSessionEpoch && s.session != nil {
		s.resp.SessionID = sessionID
	}
	c := s.c
	r, h := c.reply, c.header
	r.Buf = wire.AppendResponseHeader(r.Buf, h.Key, h.Version, h.CorrelationID)
	r.Buf, s.holes = s.resp.Append(h.Version, r.Buf, s.holes[:0])
	s.free()
	c.finish()
	r.Send()
}

func (s *fetch) abort(err error) {
	c := s.c
	s.free()
	c.fail(err)
}

// drop ends a fetch whose connection has closed.
func (s *fetch) drop() {
	s.release()
	c := s.c
	s.free()
	c.drop()
}

// free gives the state back to the pool, unless it has grown beyond what requests are like.
func (s *fetch) free() {
	if len(s.parts) > 4096 {
		return
	}
	for i := range s.parts {
		part := &s.parts[i]
		part.key, part.session, part.p, part.topic, part.err = partKey{}, nil, nil, nil, nil
	}
	s.n, s.c, s.parts, s.bytes = nil, nil, s.parts[:0], 0
	s.session, s.create, s.timedOut, s.warm = nil, false, false, false
	fetches.Put(s)
}
