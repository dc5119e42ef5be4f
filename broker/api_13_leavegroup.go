package broker

import (
	"github.com/millrace/millrace/group"
	"github.com/millrace/millrace/wire"
)

// LeaveGroup, versions 0-5: members go, or are sent away. protocol.md 2.4, 38.
//
//   - Versions up to 2 name the member itself, and answer with its code; later ones name any members, by id or by instance.

func (n *Node) handleLeaveGroup(c *call) {
	req, version := new(wire.LeaveGroupRequest), c.header.Version
	if err := req.Decode(version, c.body); err != nil {
		c.fail(err)
		return
	}
	leave := &group.LeaveRequest{Group: req.GroupID}
	if version < 3 {
		leave.Members = []group.LeavingMember{{Member: req.MemberID}}
	}
	for i := range req.Members {
		leave.Members = append(leave.Members, group.LeavingMember{Member: req.Members[i].MemberID, Instance: req.Members[i].GroupInstanceID})
	}
	var got *group.LeaveResponse
	answer := func(code wire.Code) {
		resp := new(wire.LeaveGroupResponse)
		resp.Default()
		if code != wire.None {
			got = &group.LeaveResponse{Code: code}
		}
		resp.ErrorCode = got.Code
		if version < 3 && got.Code == wire.None {
			resp.ErrorCode = got.Members[0].Code
		}
		if version >= 3 {
			for i := range got.Members {
				m, rm := &got.Members[i], resp.AddMember()
				rm.MemberID, rm.GroupInstanceID, rm.ErrorCode = m.Member, m.Instance, m.Code
			}
		}
		c.respond(func(dst []byte) []byte { return resp.Append(version, dst) })
	}
	if req.GroupID == "" {
		answer(wire.InvalidGroupID)
		return
	}
	n.askGroup(req.GroupID, len(c.body), func(s *group.Shard, now int64) { got = s.Leave(now, leave) }, answer)
}
