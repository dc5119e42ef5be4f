package quorum

import (
	"sync/atomic"

	"github.com/millrace/millrace/internal/metric"
	"github.com/millrace/millrace/meta"
)

// Status is where the metadata log stands.
type Status struct {
	Leader  int32         // the voter that decides; NoLeader
	Epoch   int32         // since when, in terms
	LogEnd  int64         // the first offset that is not committed yet; all below it is durable and applied
	Commits metric.Counts // how long groups of decisions took from the first one until they were durable
}

// status is what others may know of a voter while it works.
type status struct {
	leader, epoch atomic.Int32
	end           atomic.Int64
	image         atomic.Pointer[meta.Image]
}

func (s *status) set(v *voter) {
	leader := nodeID(v.leader)
	if v.sole {
		leader = v.o.NodeID // whenever it is needed
	}
	s.leader.Store(leader)
	s.epoch.Store(int32(v.term))
	s.end.Store(int64(v.applied))
	s.image.Store(v.image)
}

// Status returns it. Any goroutine.
func (q *Quorum) Status() Status {
	s := Status{Leader: q.voter.status.leader.Load(), Epoch: q.voter.status.epoch.Load(), LogEnd: q.voter.status.end.Load()}
	q.voter.took.AddTo(&s.Commits)
	return s
}
