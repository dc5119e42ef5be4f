package group

import (
	"fmt"
	"strings"
	"testing"

	"github.com/millrace/millrace/wire"
)

// Ids that are given out and not used cost memory until their sessions end: a group gives out so many at once.
func TestPendingIsBounded(t *testing.T) {
	ids := 0
	s := New(Options{NewID: func() string { ids++; return fmt.Sprint(ids) }})
	r := &JoinRequest{Group: "g", ClientID: "c", SessionTimeoutMs: 10000, ProtocolType: "consumer", Protocols: []Protocol{{"range", nil}}, RequireKnownMemberID: true}
	codes := map[wire.Code]int{}
	for range maxPending + 10 {
		s.Join(0, r, func(a *JoinResponse) { codes[a.Code]++ })
	}
	if codes[wire.MemberIDRequired] != maxPending || codes[wire.CoordinatorNotAvailable] != 10 {
		t.Errorf("ids are given out so: %v", codes)
	}
	s.Advance(10000)
	if n := len(s.groups["g"].pending); n != 0 || len(s.timers.heap) != 0 {
		t.Errorf("%d ids and %d timers are left after their sessions", n, len(s.timers.heap))
	}
	s.Join(10000, r, func(a *JoinResponse) {
		if a.Code != wire.MemberIDRequired {
			t.Errorf("a new member gets %s", a.Code)
		}
	})
}

// A member id is its client's, and some more; an answer cannot carry one of any length.
func TestMemberIDsFitAnAnswer(t *testing.T) {
	s := New(Options{NewID: func() string { return strings.Repeat("u", 36) }})
	for length, want := range map[int]wire.Code{maxMemberID - 37: wire.MemberIDRequired, maxMemberID - 36: wire.UnknownServerError} {
		r := &JoinRequest{Group: "g", ClientID: strings.Repeat("c", length), SessionTimeoutMs: 10000, ProtocolType: "consumer",
			Protocols: []Protocol{{"range", nil}}, RequireKnownMemberID: true}
		s.Join(0, r, func(a *JoinResponse) {
			if a.Code != want {
				t.Errorf("a client id of %d bytes gets %s, want %s", length, a.Code, want)
			}
		})
	}
}

// What a request says is a view of the frame it came in. Whatever the frame is used for next, the shard keeps what it was told.
func TestRequestsAreCopied(t *testing.T) {
	s := New(Options{InitialRebalanceDelayMs: -1, NewID: func() string { return "1" }})
	frame := []byte("metadata assigned")
	metadata, assignment := frame[:8], frame[9:]
	s.Join(0, &JoinRequest{Group: "g", ClientID: "c", SessionTimeoutMs: 10000, RebalanceTimeoutMs: 10000, ProtocolType: "connect",
		Protocols: []Protocol{{"p", metadata}}}, func(*JoinResponse) {})
	s.Advance(0)
	s.Sync(0, &SyncRequest{Group: "g", Member: "c-1", Generation: 1, Assignments: []Assignment{{"c-1", assignment}}}, func(*SyncResponse) {})
	copy(frame, "XXXXXXXXXXXXXXXXX")
	if d := s.Describe("g"); string(d.Members[0].Metadata) != "metadata" || string(d.Members[0].Assignment) != "assigned" {
		t.Errorf("the group is now %q %q", d.Members[0].Metadata, d.Members[0].Assignment)
	}
	for _, r := range s.TakeRecords() {
		if strings.Contains(string(r.Value), "X") {
			t.Errorf("a record is now %s", r)
		}
	}
}
