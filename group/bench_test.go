package group

import (
	"fmt"
	"testing"

	"github.com/millrace/millrace/wire"
)

// stableShard is so many groups of so many members each, in their first generation.
func stableShard(t testing.TB, groups, members int) *Shard {
	ids := 0
	s := New(Options{InitialRebalanceDelayMs: -1, NewID: func() string { ids++; return fmt.Sprintf("%036d", ids) }})
	for g := range groups {
		group := fmt.Sprint("group-", g)
		for range members {
			s.Join(0, &JoinRequest{Group: group, ClientID: "client", ClientHost: "/127.0.0.1", SessionTimeoutMs: 45000, RebalanceTimeoutMs: 300000, ProtocolType: "consumer",
				Protocols: []Protocol{{"range", subscription("orders")}}}, func(*JoinResponse) {})
		}
	}
	s.Advance(0)
	for _, g := range s.groups {
		for _, m := range append([]*member{}, g.members...) {
			s.Sync(0, &SyncRequest{Group: g.id, Member: m.id, Generation: 1}, func(*SyncResponse) {})
		}
		if g.state != Stable || len(g.members) != members {
			t.Fatalf("%d members in %s", len(g.members), g.state)
		}
	}
	s.TakeRecords()
	return s
}

func heartbeats(s *Shard) (rs []*HeartbeatRequest) {
	for _, g := range s.groups {
		for _, m := range g.members {
			rs = append(rs, &HeartbeatRequest{Group: g.id, Member: m.id, Generation: 1})
		}
	}
	return rs
}

func commits(s *Shard, partitions int) (rs []*CommitRequest) {
	for _, g := range s.groups {
		for _, m := range g.members {
			r := &CommitRequest{Group: g.id, Member: m.id, Generation: 1, RetentionMs: -1, Topics: []CommitTopic{{Name: "orders", ID: wire.UUID{1}}}}
			for p := range partitions {
				r.Topics[0].Partitions = append(r.Topics[0].Partitions, CommitPartition{Partition: int32(p), Metadata: wire.Str("")})
			}
			rs = append(rs, r)
		}
	}
	return rs
}

// A heartbeat allocates nothing, and a commit one buffer for all its records (the list of records grows beside).
func TestAllocations(t *testing.T) {
	s := stableShard(t, 10, 10)
	now, n := int64(0), 0
	beats, stores := heartbeats(s), commits(s, 5)
	if a := testing.AllocsPerRun(1000, func() {
		now++
		n++
		if code := s.Heartbeat(now, beats[n%len(beats)]); code != wire.None {
			t.Fatal(code)
		}
		s.Advance(now)
	}); a != 0 {
		t.Errorf("a heartbeat makes %v allocations", a)
	}
	for _, r := range stores {
		s.Commit(now, r)
	}
	if a := testing.AllocsPerRun(1000, func() {
		n++
		s.records = s.records[:0]
		if code := s.Commit(now, stores[n%len(stores)]); code != wire.None {
			t.Fatal(code)
		}
	}); a != 1 {
		t.Errorf("a commit makes %v allocations", a)
	}
}

func BenchmarkHeartbeat(b *testing.B) {
	for _, groups := range []int{1, 100, 10000} {
		b.Run(fmt.Sprintf("groups=%d", groups), func(b *testing.B) {
			s := stableShard(b, groups, 10)
			rs := heartbeats(s)
			b.ReportAllocs()
			for n := 0; b.Loop(); n++ {
				now := int64(n) * 30000 / int64(len(rs)) // each of them every 30 s
				if code := s.Heartbeat(now, rs[n%len(rs)]); code != wire.None {
					b.Fatal(code)
				}
				s.Advance(now)
			}
		})
	}
}

func BenchmarkCommit(b *testing.B) {
	for _, partitions := range []int{1, 10} {
		b.Run(fmt.Sprintf("partitions=%d", partitions), func(b *testing.B) {
			s := stableShard(b, 100, 10)
			rs := commits(s, partitions)
			b.ReportAllocs()
			for n := 0; b.Loop(); n++ {
				r := rs[n%len(rs)]
				for i := range r.Topics[0].Partitions {
					r.Topics[0].Partitions[i].Offset = int64(n)
				}
				if code := s.Commit(int64(n/1000), r); code != wire.None {
					b.Fatal(code)
				}
				if n%100 == 0 { // as one append takes them
					s.TakeRecords()
				}
			}
		})
	}
}

// BenchmarkRebalance is one rebalance of a group: all members join, the leader assigns, all sync.
func BenchmarkRebalance(b *testing.B) {
	for _, members := range []int{10, 100, 1000} {
		b.Run(fmt.Sprintf("members=%d", members), func(b *testing.B) {
			s := stableShard(b, 1, members)
			g := s.groups["group-0"]
			metadata := subscription("orders")
			b.ReportAllocs()
			for b.Loop() {
				for _, m := range append([]*member{}, g.members...) {
					s.Join(0, &JoinRequest{Group: g.id, Member: m.id, SessionTimeoutMs: 45000, RebalanceTimeoutMs: 300000, ProtocolType: "consumer",
						Protocols: []Protocol{{"range", metadata}}}, func(*JoinResponse) {})
				}
				leader := &SyncRequest{Group: g.id, Member: g.leader, Generation: g.generation}
				for _, m := range g.members {
					leader.Assignments = append(leader.Assignments, Assignment{m.id, metadata})
				}
				s.Sync(0, leader, func(*SyncResponse) {})
				for _, m := range append([]*member{}, g.members...) {
					s.Sync(0, &SyncRequest{Group: g.id, Member: m.id, Generation: g.generation}, func(*SyncResponse) {})
				}
				if g.state != Stable {
					b.Fatal(g.state)
				}
				s.TakeRecords()
			}
		})
	}
}

// BenchmarkReplay is one committed offset of a log that is loaded: 100 groups commit 100 partitions over and over.
func BenchmarkReplay(b *testing.B) {
	var log []Record
	for g := range 100 {
		for p := range int32(100) {
			log = append(log, Record{appendOffsetKey(nil, fmt.Sprint("group-", g), "orders", p),
				appendOffsetValue(nil, &committed{offset: 1, leaderEpoch: 3, committedAt: 1000, expiresAt: -1, topicID: wire.UUID{1}})})
		}
	}
	s := New(Options{})
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		if err := s.Replay(log[n%len(log)].Key, log[n%len(log)].Value); err != nil {
			b.Fatal(err)
		}
	}
}
