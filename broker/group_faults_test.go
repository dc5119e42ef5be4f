package broker

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/internal/vfs"
	"github.com/millrace/millrace/wire"
)

// A disk without room: commits are refused with a code that clients retry, members keep their group, and all goes on when there is room.
func TestDiskFullDuringCommits(t *testing.T) {
	fs := &faultyFS{FS: vfs.OS, word: "/__consumer_offsets-"}
	dir := t.TempDir()
	n := tryStart(t, Options{DataDir: dir, FS: fs}, "offsets.topic.num.partitions=1")
	createTopic(t, n, "orders", 3)
	c := coordinated(t, n)
	member, generation := becomeMember(t, c, "g")
	commit := func(offset int64) wire.Code {
		r := commitRequest(8, "g", "orders", 0)
		r.MemberID, r.Generation, r.Topics[0].Partitions[0].Offset = member, generation, offset
		return wire.Code(ask[*kmsg.OffsetCommitResponse](c, r).Topics[0].Partitions[0].ErrorCode)
	}
	committed := func() (offset int64) {
		await(t, "an answer", func() bool {
			got := ask[*kmsg.OffsetFetchResponse](c, fetchOffsets(8, "g", "orders", [16]byte{}, 0))
			if wire.Code(got.Groups[0].ErrorCode) != wire.None {
				return false
			}
			offset = got.Groups[0].Topics[0].Partitions[0].Offset
			return true
		})
		return offset
	}
	fs.noSpace.Store(true)
	stored := int64(-1)
	for offset := int64(1); ; offset++ {
		code := commit(offset)
		if code == wire.CoordinatorNotAvailable {
			break
		}
		if wantCode(t, int16(code), wire.None); t.Failed() || offset > 1_000_000 {
			t.FailNow()
		}
		stored = offset
	}
	if got := committed(); got != stored {
		t.Errorf("%d is stored, %d was the last that was", got, stored)
	}
	fs.noSpace.Store(false)
	await(t, "a commit by the same member of the same generation", func() bool { return commit(2_000_000) == wire.None })
	n.Kill()
	n = startNodeIn(t, dir)
	c = dial(t, n)
	if got := committed(); got != 2_000_000 {
		t.Errorf("%d is stored after a restart", got)
	}
	await(t, "the member to be known", func() bool {
		return wire.Code(ask[*kmsg.HeartbeatResponse](c, heartbeatRequest("g", member, generation)).ErrorCode) == wire.None
	})
	if code := commit(2_000_001); code != wire.None {
		t.Errorf("a commit after the restart: %v", code)
	}
}

// A topic that is deleted takes the groups' offsets with it.
func TestDeletedTopicLosesItsOffsets(t *testing.T) {
	dir := t.TempDir()
	n := startNodeIn(t, dir)
	createTopic(t, n, "orders", 3)
	createTopic(t, n, "kept", 1)
	c := coordinated(t, n)
	for _, group := range []string{"a", "b"} {
		for _, topic := range []string{"orders", "kept"} {
			wantCode(t, ask[*kmsg.OffsetCommitResponse](c, commitRequest(8, group, topic, 0)).Topics[0].Partitions[0].ErrorCode, wire.None)
		}
	}
	deleteTopic(t, n, "orders")
	for restart := range 2 {
		for _, group := range []string{"a", "b"} {
			await(t, "the offsets to go", func() bool {
				topics := ask[*kmsg.OffsetFetchResponse](c, fetchOffsets(8, group, "", [16]byte{})).Groups[0].Topics
				return len(topics) == 1 && topics[0].Topic == "kept"
			})
		}
		if restart == 0 {
			n.Kill()
			n = startNodeIn(t, dir)
			c = dial(t, n)
		}
	}
}

// The offsets topic itself may be deleted; its groups go, and new ones begin.
func TestDeletedOffsetsTopic(t *testing.T) {
	n := startNode(t)
	createTopic(t, n, "orders", 3)
	c := coordinated(t, n)
	ask[*kmsg.OffsetCommitResponse](c, commitRequest(8, "g", "orders", 0))
	deleteTopic(t, n, "__consumer_offsets")
	wantCode(t, ask[*kmsg.HeartbeatResponse](c, heartbeatRequest("g", "m", 1)).ErrorCode, wire.NotCoordinator)
	c = coordinated(t, n)
	got := ask[*kmsg.OffsetFetchResponse](c, fetchOffsets(8, "g", "orders", [16]byte{}, 0)).Groups[0]
	if wantCode(t, got.ErrorCode, wire.None); got.Topics[0].Partitions[0].Offset != -1 {
		t.Errorf("%+v", got)
	}
	wantCode(t, ask[*kmsg.OffsetCommitResponse](c, commitRequest(8, "g", "orders", 0)).Topics[0].Partitions[0].ErrorCode, wire.None)
}
