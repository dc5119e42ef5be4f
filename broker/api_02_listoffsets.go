package broker

import (
	"github.com/millrace/millrace/replica"
	"github.com/millrace/millrace/wire"
)

// ListOffsets, versions 1-11: every special timestamp, and look-ups by time. A look-up that needs pages that are not in memory, or a log that is
// not open, goes on in a worker.
//
// Gaps: there is no tiered storage, so -5 (latest tiered) and -6 (earliest pending upload) answer -1, as Kafka does without it.

func (n *Node) handleListOffsets(c *call) {
	s := &listOffsets{n: n, c: c}
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

// lookOnLoop is how many partitions a loop looks up offsets or epochs of for one request; more is a worker's job.
const lookOnLoop = 1000

type listOffsets struct {
	n    *Node
	c    *call
	req  wire.ListOffsetsRequest
	resp wire.ListOffsetsResponse
}

// refusedTwice marks a partition that was named more than once, and has had its one answer.
const refusedTwice = -1

// find answers when nothing has to be waited for, or block is set.
func (s *listOffsets) find(block bool) {
	s.resp.Default()
	asked := map[partKey]int{}
	for i := range s.req.Topics {
		t := &s.req.Topics[i]
		for j := range t.Partitions {
			asked[partKey{name: t.Name, index: t.Partitions[j].Index}]++
		}
	}
	for i := range s.req.Topics {
		t := &s.req.Topics[i]
		rt := s.resp.AddTopic()
		rt.Name = t.Name
		for j := range t.Partitions {
			p := &t.Partitions[j]
			key := partKey{name: t.Name, index: p.Index}
			if asked[key] == refusedTwice {
				continue
			}
			rp := rt.AddPartition()
			rp.Index = p.Index
			if asked[key] > 1 {
				rp.ErrorCode = wire.InvalidRequest
				asked[key] = refusedTwice
				continue
			}
			at, err := s.one(t.Name, p, block)
			if err != nil && (isCold(err) || isWait(err)) && !block {
				s.n.workers.cold.Go(func() { s.find(true) })
				return
			}
			rp.Offset, rp.Timestamp, rp.LeaderEpoch = at.Offset, at.Timestamp, at.LeaderEpoch
			rp.ErrorCode = codeOf(err)
			if rp.ErrorCode == wire.OffsetNotAvailable && s.c.header.Version < 5 {
				rp.ErrorCode = wire.LeaderNotAvailable // older clients do not know the code
			}
		}
	}
	s.c.respond(func(dst []byte) []byte { return s.resp.Append(s.c.header.Version, dst) })
}

// minVersion is the first version in which a special timestamp may be asked for.
var minVersion = map[int64]int16{
	replica.LatestTimestamp: 1, replica.EarliestTimestamp: 1, replica.MaxTimestamp: 7, replica.EarliestLocalTimestamp: 8,
	replica.LatestTieredTimestamp: 9, replica.EarliestPendingUpload: 11,
}

var notFound = replica.Located{Offset: -1, Timestamp: -1, LeaderEpoch: -1}

func (s *listOffsets) one(topic string, rp *wire.ListOffsetsRequestPartition, block bool) (replica.Located, error) {
	if since, special := minVersion[rp.Timestamp]; rp.Timestamp < 0 && (!special || s.c.header.Version < since) {
		return notFound, wire.UnsupportedVersion
	}
	t, err := s.n.topic(topic, wire.UUID{}, false)
	if err != nil {
		return notFound, err
	}
	p, err := partitionOf(t, rp.Index)
	if err != nil {
		return notFound, err
	}
	for {
		at, err := p.OffsetFor(rp.Timestamp, rp.CurrentLeaderEpoch, s.req.IsolationLevel == 1, block)
		if !block || !isWait(err) || s.n.stopping.Load() {
			return at, err
		}
		waitFor(p)
	}
}

// waitFor returns when the partition's log has done what a call returned ErrWait for. Off the loops.
func waitFor(p *replica.Partition) {
	ready := make(chan struct{})
	p.WhenReady(func() { close(ready) })
	<-ready
}
