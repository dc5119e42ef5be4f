package quorum

import "github.com/millrace/millrace/internal/metric"

// Status is where the metadata log stands.
type Status struct {
	Leader  int32         // the voter that decides
	Epoch   int32         // since when, in terms
	LogEnd  int64         // first offset that is not written yet; all below it is durable and applied
	Commits metric.Counts // how long groups of decisions took from the first one until they were durable
}

// Status returns it. Any goroutine.
func (q *Quorum) Status() Status {
	s := Status{Leader: q.options.NodeID, Epoch: term, LogEnd: q.Image().Index() + 1}
	q.took.AddTo(&s.Commits)
	return s
}
