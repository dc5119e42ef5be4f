package fuzz

import (
	"fmt"
	"testing"

	"github.com/millrace/millrace/group"
	"github.com/millrace/millrace/wire"
)

// groupWorld is a coordinator that does what bytes tell, and one that follows its log.
type groupWorld struct {
	t        *testing.T
	in       []byte
	s        *group.Shard
	follower *group.Shard
	now      int64
	ids      int
	members  []string // ids that were given out
	open     map[int]string
	asked    int
}

func (w *groupWorld) byte() int {
	if len(w.in) == 0 {
		return 0
	}
	b := w.in[0]
	w.in = w.in[1:]
	return int(b)
}

func (w *groupWorld) group() string { return []string{"g", "h", ""}[w.byte()%3] }

func (w *groupWorld) member() string {
	n := w.byte()
	if n >= len(w.members) {
		return []string{"", "nobody"}[n%2]
	}
	return w.members[len(w.members)-1-n]
}

func (w *groupWorld) instance() wire.NullString {
	return []wire.NullString{{}, {}, wire.Str("i"), wire.Str("j"), wire.Str("")}[w.byte()%5]
}

func (w *groupWorld) text(n int) []byte {
	b := make([]byte, 0, n)
	for range n {
		b = append(b, byte(w.byte()))
	}
	return b
}

func (w *groupWorld) ask(what string) (answered func()) {
	n := w.asked
	w.asked++
	w.open[n] = what
	return func() {
		if _, ok := w.open[n]; !ok {
			w.t.Fatalf("%s is answered twice", what)
		}
		delete(w.open, n)
	}
}

func (w *groupWorld) join() {
	r := &group.JoinRequest{Group: w.group(), Member: w.member(), Instance: w.instance(), ClientID: "c", ClientHost: "/h",
		SessionTimeoutMs: int32(w.byte()) * 100, RebalanceTimeoutMs: int32(w.byte()-10) * 100, ProtocolType: []string{"consumer", "consumer", "x", ""}[w.byte()%4]}
	flags := w.byte()
	r.RequireKnownMemberID, r.CanSkipAssignment = flags&1 != 0, flags&2 != 0
	for range w.byte() % 4 {
		p := group.Protocol{Name: []string{"range", "sticky", "x"}[w.byte()%3], Metadata: []byte{0, 0, 0, 0, 0, 1, 0, 1, 't', 0xff, 0xff, 0xff, 0xff}}
		if w.byte()%4 == 0 {
			p.Metadata = w.text(w.byte() % 20)
		}
		r.Protocols = append(r.Protocols, p)
	}
	answered := w.ask("join")
	w.s.Join(w.now, r, func(a *group.JoinResponse) {
		answered()
		if a.Member != "" && (a.Code == wire.None || a.Code == wire.MemberIDRequired) {
			w.members = append(w.members, a.Member)
		}
	})
}

func (w *groupWorld) generation(id string) int32 {
	d := w.s.Describe(id)
	if d.State != group.Dead {
		// A member of the newest generation asks, mostly: it is the one after the last that was written, or that.
		return int32(w.byte()%8) + 1
	}
	return int32(w.byte()%8) - 1
}

func (w *groupWorld) step() {
	switch w.byte() % 12 {
	case 0, 1, 2:
		w.join()
	case 3, 4:
		r := &group.SyncRequest{Group: w.group(), Member: w.member(), Instance: w.instance()}
		r.Generation = w.generation(r.Group)
		for range w.byte() % 4 {
			r.Assignments = append(r.Assignments, group.Assignment{Member: w.member(), Data: w.text(w.byte() % 30)})
		}
		answered := w.ask("sync")
		w.s.Sync(w.now, r, func(*group.SyncResponse) { answered() })
	case 5:
		r := &group.HeartbeatRequest{Group: w.group(), Member: w.member(), Instance: w.instance()}
		r.Generation = w.generation(r.Group)
		w.s.Heartbeat(w.now, r)
	case 6:
		r := &group.LeaveRequest{Group: w.group()}
		for range w.byte() % 3 {
			r.Members = append(r.Members, group.LeavingMember{Member: w.member(), Instance: w.instance()})
		}
		w.s.Leave(w.now, r)
	case 7:
		r := &group.CommitRequest{Group: w.group(), Member: w.member(), Instance: w.instance(), RetentionMs: int64(w.byte()) - 1, KnowsGroupIDs: w.byte()%2 == 0}
		r.Generation = w.generation(r.Group) - int32(w.byte()%2)*10
		for range w.byte() % 3 {
			r.Topics = append(r.Topics, group.CommitTopic{Name: []string{"t", "u", ""}[w.byte()%3], ID: wire.UUID{byte(w.byte() % 3)},
				Partitions: []group.CommitPartition{{Partition: int32(w.byte()%4) - 1, Offset: int64(w.byte()) - 1, Metadata: wire.Str(string(w.text(w.byte() % 20)))}}})
		}
		w.s.Commit(w.now, r)
	case 8:
		w.now += int64(w.byte()) * 200
		w.s.Advance(w.now)
	case 9:
		w.s.Expire(w.now)
	case 10:
		switch id := w.group(); w.byte() % 3 {
		case 0:
			w.s.Delete(w.now, id)
		case 1:
			w.s.DeleteOffsets(w.now, &group.DeleteOffsetsRequest{Group: id, Topics: []group.DeleteOffsetsTopic{{Name: "t", Partitions: []int32{0, 1, 1}}}})
		case 2:
			w.s.TopicRemoved(w.now, "u", wire.UUID{byte(w.byte() % 3)})
		}
	case 11:
		w.s.List(group.NewFilter([]string{"stable", "x"}, nil))
	}
}

// follow applies the records to the follower, and compares what the two have.
func (w *groupWorld) follow() {
	for _, r := range w.s.TakeRecords() {
		if err := w.follower.Replay(r.Key, r.Value); err != nil {
			w.t.Fatalf("%s: %v", r, err)
		}
	}
	for _, id := range []string{"g", "h", ""} {
		a, b := w.s.Describe(id), w.follower.Describe(id)
		if (a.State == group.Stable || a.State == group.Empty || a.State == group.Dead) && fmt.Sprint(*a) != fmt.Sprint(*b) {
			w.t.Fatalf("a follower has\n%snot\n%s", w.follower, w.s)
		}
		all := &group.FetchRequest{Group: id, All: true}
		if fmt.Sprint(*w.s.FetchOffsets(w.now, all)) != fmt.Sprint(*w.follower.FetchOffsets(w.now, all)) {
			w.t.Fatalf("a follower has offsets\n%snot\n%s", w.follower, w.s)
		}
	}
}

// FuzzGroupRequests: whatever is asked in whatever order, on top of whatever was in the log, nothing panics, a follower has what the coordinator has, and
// whoever waits is answered once in the end.
func FuzzGroupRequests(f *testing.F) {
	for seed := range byte(8) {
		var b []byte
		for i := range 150 {
			b = append(b, byte(i)*(seed*2+1)^byte(i>>2))
		}
		f.Add([]byte{}, []byte{}, b)
	}
	for _, r := range groupSeeds() {
		f.Add(r.Key, r.Value, []byte{5, 0, 0, 0, 5, 0, 255, 3, 0, 0, 0, 5})
	}
	f.Fuzz(func(t *testing.T, key, value, in []byte) {
		w := &groupWorld{t: t, in: in, open: map[int]string{}, members: []string{"m", "n"}, now: 1_000_000}
		o := group.Options{MinSessionMs: 100, InitialRebalanceDelayMs: int64(w.byte()) * 10, MaxSize: w.byte() % 8, MaxRecordBytes: w.byte() * 20, MaxMetadataBytes: 10,
			MaxGroupBytes: w.byte() * 10, OffsetsRetentionMs: 20_000, NewID: func() string { w.ids++; return fmt.Sprint(w.ids) }}
		w.s, w.follower = group.New(o), group.New(o)
		if len(key) > 0 {
			w.s.Replay(key, value)
			w.follower.Replay(key, value)
		}
		w.s.Loaded(w.now)
		for steps := 0; len(w.in) > 0 && steps < 300; steps++ {
			w.step()
			if steps%4 == 3 {
				w.follow()
			}
		}
		for range 5 { // time-outs are at most 1<<31 ms, and a rebalance has no more waits than that in a row
			w.now += 1 << 31
			w.s.Advance(w.now)
		}
		w.follow()
		if len(w.open) > 0 {
			t.Fatalf("never answered: %v\n%s", w.open, w.s)
		}
	})
}
