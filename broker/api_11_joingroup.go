package broker

import (
	"strings"

	"github.com/millrace/millrace/group"
	"github.com/millrace/millrace/internal/coord"
	"github.com/millrace/millrace/wire"
)

// JoinGroup, versions 0-9: a member asks for the next generation of its group, and waits until it begins. protocol.md 2.4, 34-39.
//
//   - The group decides (package group). The answer may come minutes later; its slot in the order of the connection's replies waits, nothing
//     else does. Clients use a connection of their own for their group.
//   - Metadata is opaque: Connect's is not a consumer's.

type joinTask struct {
	coord.Task
	n       *Node
	c       *call
	version int16
	req     wire.JoinGroupRequest
	join    group.JoinRequest
	got     *group.JoinResponse
}

func (n *Node) handleJoinGroup(c *call) {
	t := &joinTask{n: n, c: c, version: c.header.Version}
	if err := t.req.Decode(t.version, c.body); err != nil {
		c.fail(err)
		return
	}
	t.Bytes = len(c.body)
	t.Decide, t.Answer = t.decide, t.answer
	r := &t.req
	if r.GroupID == "" {
		t.answer(wire.InvalidGroupID)
		return
	}
	t.join = group.JoinRequest{
		Group: r.GroupID, Member: r.MemberID, Instance: r.GroupInstanceID,
		ClientID: strings.Clone(c.header.ClientID), ClientHost: "/" + c.conn.RemoteAddr().Addr().Unmap().String(),
		SessionTimeoutMs: r.SessionTimeoutMs, RebalanceTimeoutMs: r.RebalanceTimeoutMs,
		ProtocolType: r.ProtocolType, RequireKnownMemberID: t.version >= 4, CanSkipAssignment: t.version >= 9,
	}
	if t.version == 0 {
		t.join.RebalanceTimeoutMs = r.SessionTimeoutMs
	}
	for i := range r.Protocols {
		p := &r.Protocols[i]
		t.join.Protocols = append(t.join.Protocols, group.Protocol{Name: p.Name, Metadata: p.Metadata})
	}
	n.groups.Submit(r.GroupID, &t.Task)
}

func (t *joinTask) decide(s *group.Shard, now int64) {
	s.Join(now, &t.join, func(got *group.JoinResponse) {
		t.got = got
		t.Ready()
	})
	t.join, t.req.Protocols = group.JoinRequest{}, nil // the group has what it needs; the wait may be long
}

func (t *joinTask) answer(code wire.Code) {
	resp := new(wire.JoinGroupResponse)
	resp.Default()
	if code != wire.None {
		t.got = &group.JoinResponse{Code: code, Generation: -1, Member: t.req.MemberID}
	}
	got := t.got
	resp.ErrorCode, resp.GenerationID, resp.Leader, resp.MemberID = got.Code, got.Generation, got.Leader, got.Member
	resp.ProtocolType, resp.ProtocolName, resp.SkipAssignment = got.ProtocolType, got.ProtocolName, got.SkipAssignment
	if t.version < 7 && !resp.ProtocolName.Valid {
		resp.ProtocolName = wire.Str("")
	}
	for i := range got.Members {
		m, rm := &got.Members[i], resp.AddMember()
		rm.MemberID, rm.GroupInstanceID, rm.Metadata = m.Member, m.Instance, m.Metadata
	}
	t.c.respond(func(dst []byte) []byte { return resp.Append(t.version, dst) })
}
