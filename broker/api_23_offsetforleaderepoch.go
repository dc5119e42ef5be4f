package broker

import (
	"github.com/millrace/millrace/wire"
)

// OffsetForLeaderEpoch, versions 2-4: where a leader epoch ends, so that consumers notice a truncated log (KIP-320).

func (n *Node) handleOffsetForLeaderEpoch(c *call) {
	s := &epochEnds{n: n, c: c}
	if err := s.req.Decode(c.header.Version, c.body); err != nil {
		c.fail(err)
		return
	}
	count := 0
	for i := range s.req.Topics {
		count += len(s.req.Topics[i].Partitions)
	}
	if count > lookOnLoop {
		n.workers.cold.Go(func() { s.find(true) })
		return
	}
	s.find(false)
}

type epochEnds struct {
	n    *Node
	c    *call
	req  wire.OffsetForLeaderEpochRequest
	resp wire.OffsetForLeaderEpochResponse
}

// find answers when no log has to be opened first, or wait is set.
func (s *epochEnds) find(wait bool) {
	s.resp.Default()
	for i := range s.req.Topics {
		t := &s.req.Topics[i]
		rt := s.resp.AddTopic()
		rt.Name = t.Name
		for j := range t.Partitions {
			p := &t.Partitions[j]
			rp := rt.AddPartition()
			rp.Index = p.Index
			epoch, end, err := s.one(t.Name, p, wait)
			if isWait(err) && !wait {
				s.n.workers.cold.Go(func() { s.find(true) })
				return
			}
			rp.LeaderEpoch, rp.EndOffset, rp.ErrorCode = epoch, end, codeOf(err)
		}
	}
	s.c.respond(func(dst []byte) []byte { return s.resp.Append(s.c.header.Version, dst) })
}

func (s *epochEnds) one(topic string, rp *wire.OffsetForLeaderEpochRequestPartition, wait bool) (int32, int64, error) {
	t, err := s.n.topic(topic, wire.UUID{}, false)
	if err != nil {
		return -1, -1, err
	}
	p, err := partitionOf(t, rp.Index)
	if err != nil {
		return -1, -1, err
	}
	for {
		epoch, end, err := p.EpochEnd(rp.LeaderEpoch, rp.CurrentLeaderEpoch)
		if !wait || !isWait(err) || s.n.stopping.Load() {
			return epoch, end, err
		}
		waitFor(p)
	}
}
