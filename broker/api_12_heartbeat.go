package broker

import (
	"sync"

	"github.com/millrace/millrace/group"
	"github.com/millrace/millrace/internal/coord"
	"github.com/millrace/millrace/wire"
)

// Heartbeat, versions 0-4: a member is alive, and hears whether its generation still is.
//
//   - While its group is being loaded a member is told that all is well, as in Kafka: its session begins when the load ends.

// heartbeatTask is pooled: heartbeats are most of what a coordinator hears.
type heartbeatTask struct {
	coord.Task
	c    *call
	req  wire.HeartbeatRequest
	beat group.HeartbeatRequest
	code wire.Code
	resp wire.HeartbeatResponse
}

var heartbeatTasks sync.Pool

// Not in the declaration: what a task does ends in the pool.
func init() {
	heartbeatTasks.New = func() any {
		t := new(heartbeatTask)
		t.Decide, t.Answer, t.Quick = t.decide, t.answer, true
		return t
	}
}

func (n *Node) handleHeartbeat(c *call) {
	t := heartbeatTasks.Get().(*heartbeatTask)
	t.c = c
	if err := t.req.Decode(c.header.Version, c.body); err != nil {
		t.free()
		c.fail(err)
		return
	}
	t.Bytes = len(c.body)
	if t.req.GroupID == "" {
		t.answer(wire.InvalidGroupID)
		return
	}
	n.groups.Submit(t.req.GroupID, &t.Task)
}

func (t *heartbeatTask) decide(s *group.Shard, now int64) {
	t.beat = group.HeartbeatRequest{Group: t.req.GroupID, Member: t.req.MemberID, Instance: t.req.GroupInstanceID, Generation: t.req.GenerationID}
	t.code = s.Heartbeat(now, &t.beat)
	t.Ready()
}

func (t *heartbeatTask) answer(code wire.Code) {
	switch code {
	case wire.None:
		code = t.code
	case wire.CoordinatorLoadInProgress:
		code = wire.None
	}
	c := t.c
	t.resp.Default()
	t.resp.ErrorCode = code
	r, h := c.reply, c.header
	r.Buf = wire.AppendResponseHeader(r.Buf, h.Key, h.Version, h.CorrelationID)
	r.Buf = t.resp.Append(h.Version, r.Buf)
	t.free()
	c.finish()
	r.Send()
}

func (t *heartbeatTask) free() {
	t.c, t.code, t.beat = nil, wire.None, group.HeartbeatRequest{}
	t.req.Default()
	heartbeatTasks.Put(t)
}
