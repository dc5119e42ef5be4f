package broker

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// groupMembers makes members of groups of their own, each on a connection of its own.
func groupMembers(b *testing.B, n *Node, count int) (members []*benchMember) {
	createTopic(b, n, "bench", 3)
	for i := range count {
		c := dial(b, n)
		group := fmt.Sprint("bench-", i)
		find := kmsg.NewPtrFindCoordinatorRequest()
		find.Version, find.CoordinatorKey = 3, group
		ask[*kmsg.FindCoordinatorResponse](c, find)
		join := joinRequest(group, "")
		join.SessionTimeoutMillis = 300_000
		join.MemberID = ask[*kmsg.JoinGroupResponse](c, join).MemberID
		generation := ask[*kmsg.JoinGroupResponse](c, join).Generation
		ask[*kmsg.SyncGroupResponse](c, syncRequest(group, join.MemberID, generation, join.MemberID))
		commit := commitRequest(8, group, "bench", 0, 1, 2)
		commit.MemberID, commit.Generation = join.MemberID, generation
		heartbeat := kmsg.NewPtrHeartbeatRequest()
		heartbeat.Version, heartbeat.Group, heartbeat.MemberID, heartbeat.Generation = 4, group, join.MemberID, generation
		members = append(members, &benchMember{c.conn, c.frame(commit), c.frame(heartbeat)})
	}
	return members
}

type benchMember struct {
	conn              net.Conn
	commit, heartbeat []byte
}

// BenchmarkGroupRequests sends commits or heartbeats of 100 groups, one at a time each. ns/op is of broker and clients together.
func BenchmarkGroupRequests(b *testing.B) {
	for _, kind := range []string{"commit", "heartbeat"} {
		b.Run(kind, func(b *testing.B) {
			n := startNode(b)
			members := groupMembers(b, n, 100)
			b.ReportAllocs()
			b.ResetTimer()
			var all sync.WaitGroup
			for i, m := range members {
				all.Go(func() {
					f := m.heartbeat
					if kind == "commit" {
						f = m.commit
					}
					buf := make([]byte, 1024)
					for k := i; k < b.N; k += len(members) {
						m.conn.SetDeadline(time.Now().Add(patience))
						if _, err := m.conn.Write(f); err != nil {
							b.Error(err)
							return
						}
						if _, err := io.ReadFull(m.conn, buf[:4]); err != nil {
							b.Error(err)
							return
						}
						size := int(binary.BigEndian.Uint32(buf))
						if _, err := io.ReadFull(m.conn, buf[:size]); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			all.Wait()
		})
	}
}
