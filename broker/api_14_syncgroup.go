package broker

import (
	"github.com/millrace/millrace/group"
	"github.com/millrace/millrace/internal/coord"
	"github.com/millrace/millrace/wire"
)

// SyncGroup, versions 0-5: the leader brings everyone's assignment, and everyone gets his own. protocol.md 2.4, 36.
//
//   - From version 5 on the member says which protocol it believes in.
//   - Who asks before the leader has brought them waits, as in JoinGroup.

type syncTask struct {
	coord.Task
	c       *call
	version int16
	req     wire.SyncGroupRequest
	sync    group.SyncRequest
	got     *group.SyncResponse
}

func (n *Node) handleSyncGroup(c *call) {
	t := &syncTask{c: c, version: c.header.Version}
	if err := t.req.Decode(t.version, c.body); err != nil {
		c.fail(err)
		return
	}
	t.Bytes = len(c.body)
	t.Decide, t.Answer = t.decide, t.answer
	r := &t.req
	switch {
	case t.version >= 5 && (!r.ProtocolType.Valid || !r.ProtocolName.Valid):
		t.answer(wire.InconsistentGroupProtocol)
		return
	case r.GroupID == "":
		t.answer(wire.InvalidGroupID)
		return
	}
	t.sync = group.SyncRequest{Group: r.GroupID, Member: r.MemberID, Instance: r.GroupInstanceID, Generation: r.GenerationID,
		ProtocolType: r.ProtocolType, ProtocolName: r.ProtocolName}
	for i := range r.Assignments {
		t.sync.Assignments = append(t.sync.Assignments, group.Assignment{Member: r.Assignments[i].MemberID, Data: r.Assignments[i].Assignment})
	}
	n.groups.Submit(r.GroupID, &t.Task)
}

func (t *syncTask) decide(s *group.Shard, now int64) {
	s.Sync(now, &t.sync, func(got *group.SyncResponse) {
		t.got = got
		t.Ready()
	})
	t.sync, t.req = group.SyncRequest{}, wire.SyncGroupRequest{} // the group has what it needs; the wait may be long
}

func (t *syncTask) answer(code wire.Code) {
	resp := new(wire.SyncGroupResponse)
	resp.Default()
	if code != wire.None {
		t.got = &group.SyncResponse{Code: code}
	}
	resp.ErrorCode, resp.ProtocolType, resp.ProtocolName, resp.Assignment = t.got.Code, t.got.ProtocolType, t.got.ProtocolName, t.got.Assignment
	if resp.Assignment == nil {
		resp.Assignment = []byte{}
	}
	t.c.respond(func(dst []byte) []byte { return resp.Append(t.version, dst) })
}
