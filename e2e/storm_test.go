package e2e

import (
	"encoding/binary"
	"flag"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var stormRounds = flag.Int("storm-rounds", 20, "how many times TestRebalanceStorm kills members and has others come")

const (
	stormMembers    = 100
	stormPartitions = 200
	stormKilled     = 10 // of the members, in each round
)

// storm is one group whose members come and go.
type storm struct {
	t    *testing.T
	addr string
	stop atomic.Bool

	mu         sync.Mutex
	owners     map[int32]map[int32]string // by generation and partition
	generation int32                      // the newest that anybody was in
	acked      [stormPartitions]int64     // the largest offset whose commit was acknowledged
	commits    int
}

// 100 members share 200 partitions. Again and again 10 of them die and 10 others come: in no generation is a partition owned twice or by nobody, what a
// member reads as committed is never older than what was acknowledged, and no commit of a former owner is taken once the next one has begun.
func TestRebalanceStorm(t *testing.T) {
	rounds := *stormRounds
	if testing.Short() {
		rounds = min(rounds, 3)
	}
	raiseFiles(t)
	b := start(t, t.TempDir(), 0)
	create(t, b, "storm", stormPartitions, nil)
	s := &storm{t: t, addr: b.addr, owners: map[int32]map[int32]string{}}
	var all sync.WaitGroup
	var members []*stormMember
	enter := func() {
		m := &stormMember{s: s}
		members = append(members, m)
		all.Go(m.live)
	}
	for range stormMembers {
		enter()
	}
	random := rand.New(rand.NewPCG(1, uint64(time.Now().UnixNano())))
	last := s.whole(0)
	for range rounds {
		for range stormKilled {
			i := random.IntN(len(members))
			members[i].kill()
			members = append(members[:i], members[i+1:]...)
			enter()
		}
		if last = s.whole(last); t.Failed() {
			break
		}
	}
	s.stop.Store(true)
	for _, m := range members {
		m.kill()
	}
	all.Wait()
	t.Logf("%d rounds, generation %d, %d commits", rounds, last, s.commits)
}

// whole waits for a generation after the last one that has all members, each partition owned once, and commits in it.
func (s *storm) whole(last int32) (generation int32) {
	s.t.Helper()
	distinct := 0
	if !poll(60*time.Second, func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		generation = s.generation
		names := map[string]bool{}
		for _, owner := range s.owners[generation] {
			names[owner] = true
		}
		distinct = len(names)
		return s.t.Failed() || generation > last && len(s.owners[generation]) == stormPartitions && distinct == stormMembers
	}) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.t.Fatalf("after generation %d: in generation %d, %d of %d partitions have an owner, %d members one of them", last, generation,
			len(s.owners[generation]), stormPartitions, distinct)
	}
	return generation
}

// stormMember is one member, over a connection of its own.
type stormMember struct {
	s    *storm
	mu   sync.Mutex
	conn net.Conn
	dead bool
	next int32
	id   string
}

// kill ends the member as a crash does: it does not leave.
func (m *stormMember) kill() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.dead = true
	if m.conn != nil {
		m.conn.Close()
	}
}

func (m *stormMember) connect() bool {
	conn, err := net.Dial("tcp", m.s.addr)
	if err != nil {
		m.s.t.Error(err)
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.conn = conn; m.dead {
		conn.Close()
	}
	return !m.dead
}

// ask sends a request and reads its answer into resp. False: the member was killed.
func (m *stormMember) ask(req kmsg.Request, resp kmsg.Response) bool {
	m.next++
	m.conn.SetDeadline(time.Now().Add(60 * time.Second))
	_, err := m.conn.Write(frame(m.next, req))
	var body []byte
	if err == nil {
		body, err = readFrame(m.conn, nil)
	}
	m.mu.Lock()
	dead := m.dead
	m.mu.Unlock()
	if dead {
		return false
	}
	if err == nil {
		resp.SetVersion(req.GetVersion())
		if body = body[4:]; resp.IsFlexible() {
			body = body[1:]
		}
		err = resp.ReadFrom(body)
	}
	if err != nil {
		m.s.t.Errorf("%T: %v", req, err)
	}
	return err == nil
}

// live joins, and does a member's work in one generation after the other.
func (m *stormMember) live() {
	if !m.connect() {
		return
	}
	defer m.conn.Close()
	find := kmsg.NewPtrFindCoordinatorRequest()
	find.Version, find.CoordinatorKey = 3, "storm"
	if !m.ask(find, new(kmsg.FindCoordinatorResponse)) {
		return
	}
	for !m.s.stop.Load() && !m.s.t.Failed() {
		join := kmsg.NewPtrJoinGroupRequest()
		join.Version, join.Group, join.MemberID, join.SessionTimeoutMillis, join.RebalanceTimeoutMillis, join.ProtocolType = 5, "storm", m.id, 10_000, 400, "consumer"
		protocol := kmsg.NewJoinGroupRequestProtocol()
		subscription := kmsg.NewConsumerMemberMetadata()
		subscription.Topics = []string{"storm"}
		protocol.Name, protocol.Metadata = "range", subscription.AppendTo(nil)
		join.Protocols = append(join.Protocols, protocol)
		joined := new(kmsg.JoinGroupResponse)
		if !m.ask(join, joined) {
			return
		}
		switch err := kerr.ErrorForCode(joined.ErrorCode); err {
		case nil:
		case kerr.MemberIDRequired:
			m.id = joined.MemberID
			continue
		case kerr.UnknownMemberID: // it was too slow once: the others did not wait
			m.id = ""
			continue
		default:
			m.s.t.Errorf("join: %v", err)
			return
		}
		m.id = joined.MemberID
		if !m.generation(joined) {
			return
		}
	}
}

// generation does a member's work in one generation. False: it was killed.
func (m *stormMember) generation(joined *kmsg.JoinGroupResponse) bool {
	sync := kmsg.NewPtrSyncGroupRequest()
	sync.Version, sync.Group, sync.Generation, sync.MemberID = 3, "storm", joined.Generation, m.id
	for i, other := range joined.Members { // of the leader only
		a := kmsg.NewSyncGroupRequestGroupAssignment()
		a.MemberID = other.MemberID
		for p := i; p < stormPartitions; p += len(joined.Members) {
			a.MemberAssignment = binary.BigEndian.AppendUint32(a.MemberAssignment, uint32(p))
		}
		sync.GroupAssignment = append(sync.GroupAssignment, a)
	}
	synced := new(kmsg.SyncGroupResponse)
	if !m.ask(sync, synced) {
		return false
	}
	if m.over("sync", synced.ErrorCode) || m.s.t.Failed() {
		return true
	}
	var mine []int32
	for a := synced.MemberAssignment; len(a) > 0; a = a[4:] {
		mine = append(mine, int32(binary.BigEndian.Uint32(a)))
	}
	m.own(joined.Generation, mine)
	offsets, ok := m.committed(mine)
	if !ok {
		return false
	}
	for !m.s.stop.Load() && !m.s.t.Failed() {
		commit := kmsg.NewPtrOffsetCommitRequest()
		commit.Version, commit.Group, commit.Generation, commit.MemberID = 8, "storm", joined.Generation, m.id
		topic := kmsg.NewOffsetCommitRequestTopic()
		topic.Topic = "storm"
		for i, p := range mine {
			offsets[i]++
			partition := kmsg.NewOffsetCommitRequestTopicPartition()
			partition.Partition, partition.Offset = p, offsets[i]
			topic.Partitions = append(topic.Partitions, partition)
		}
		commit.Topics = append(commit.Topics, topic)
		before := m.s.snapshot()
		stored := new(kmsg.OffsetCommitResponse)
		if !m.ask(commit, stored) {
			return false
		}
		if code := stored.Topics[0].Partitions[0].ErrorCode; code != 0 {
			if m.over("commit", code) {
				return true
			}
			continue
		}
		m.acknowledged(mine, offsets, &before)
		heartbeat := kmsg.NewPtrHeartbeatRequest()
		heartbeat.Version, heartbeat.Group, heartbeat.Generation, heartbeat.MemberID = 4, "storm", joined.Generation, m.id
		beat := new(kmsg.HeartbeatResponse)
		if !m.ask(heartbeat, beat) {
			return false
		}
		if m.over("heartbeat", beat.ErrorCode) {
			return true
		}
		<-time.After(20 * time.Millisecond) // the pace of a member
	}
	return true
}

// over tells whether the generation has ended, as members are told of it.
func (m *stormMember) over(what string, code int16) bool {
	switch err := kerr.ErrorForCode(code); err {
	case nil:
		return false
	case kerr.RebalanceInProgress, kerr.IllegalGeneration:
	case kerr.UnknownMemberID:
		m.id = ""
	default:
		m.s.t.Errorf("%s: %v", what, err)
	}
	return true
}

// own notes what the member has, and that nobody else has it.
func (m *stormMember) own(generation int32, partitions []int32) {
	s := m.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.generation = max(s.generation, generation); s.owners[generation] == nil {
		s.owners[generation] = map[int32]string{}
		delete(s.owners, generation-10)
	}
	for _, p := range partitions {
		if other := s.owners[generation][p]; other != "" && other != m.id {
			s.t.Errorf("generation %d: partition %d is owned by %s and %s", generation, p, other, m.id)
		}
		s.owners[generation][p] = m.id
	}
}

// committed is where the member begins.
func (m *stormMember) committed(partitions []int32) (offsets []int64, ok bool) {
	acked := m.s.snapshot()
	fetch := kmsg.NewPtrOffsetFetchRequest()
	fetch.Version, fetch.Group = 7, "storm"
	topic := kmsg.NewOffsetFetchRequestTopic()
	topic.Topic, topic.Partitions = "storm", partitions
	fetch.Topics = append(fetch.Topics, topic)
	got := new(kmsg.OffsetFetchResponse)
	if !m.ask(fetch, got) {
		return nil, false
	}
	for i, p := range got.Topics[0].Partitions {
		if p.ErrorCode != 0 || p.Partition != partitions[i] || acked[p.Partition] > 0 && p.Offset < acked[p.Partition] {
			m.s.t.Errorf("partition %d: %d is committed, %d was acknowledged (error %d)", p.Partition, p.Offset, acked[p.Partition], p.ErrorCode)
		}
		offsets = append(offsets, max(p.Offset, 0))
	}
	return offsets, true
}

// acknowledged notes offsets whose commit was acknowledged: each is larger than all that were before it was sent, whoever had sent those.
func (m *stormMember) acknowledged(partitions []int32, offsets []int64, before *[stormPartitions]int64) {
	s := m.s
	s.mu.Lock()
	defer s.mu.Unlock()
	s.commits++
	for i, p := range partitions {
		if offsets[i] <= before[p] {
			s.t.Errorf("partition %d: %d was acknowledged after %d: it has two owners", p, offsets[i], before[p])
		}
		s.acked[p] = max(s.acked[p], offsets[i])
	}
}

func (s *storm) snapshot() [stormPartitions]int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.acked
}
