package broker

import (
	"sync"

	"github.com/millrace/millrace/meta"
	"github.com/millrace/millrace/wire"
)

// InitProducerId, versions 0-5: an id that makes a producer's batches unique, for idempotence.
//
//   - Ids come from blocks of 1,000 that the metadata log grants to a broker, never twice: a block is durable before its first id is
//     handed out, and what a broker has not used when it stops is lost. Most calls need no proposal.
//   - The id and epoch that versions 3 and up may name belong to transactions; an idempotent producer that names them gets a new id, as
//     in Kafka.
//   - A transactional id is refused for good, until transactions are built (DESIGN D1).

func (n *Node) handleInitProducerID(c *call) {
	req := new(wire.InitProducerIDRequest)
	if err := req.Decode(c.header.Version, c.body); err != nil {
		c.fail(err)
		return
	}
	if req.TransactionalID.Valid || (req.ProducerID < 0) != (req.ProducerEpoch < 0) {
		answerInitProducerID(c, -1, wire.InvalidRequest)
		return
	}
	id, ok, ask := n.producerIDs.take(c)
	if ok {
		answerInitProducerID(c, id, wire.None)
	}
	if ask {
		n.grantProducerIDs()
	}
}

func answerInitProducerID(c *call, id int64, code wire.Code) {
	resp := new(wire.InitProducerIDResponse)
	resp.Default()
	resp.ProducerID, resp.ErrorCode = id, code
	if code != wire.None {
		resp.ProducerEpoch = -1
	}
	c.respond(func(dst []byte) []byte { return resp.Append(c.header.Version, dst) })
}

// producerIDs is the block of ids this broker hands out from.
type producerIDs struct {
	mu      sync.Mutex
	next    int64   // the next id to hand out
	end     int64   // one past the block's last
	waiting []*call // for another block, in the order they came
	asked   bool    // another block is under way
}

// take returns an id, or queues the call. ask says that the caller has to ask for another block.
func (p *producerIDs) take(c *call) (id int64, ok, ask bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.next < p.end {
		p.next++
		return p.next - 1, true, false
	}
	p.waiting = append(p.waiting, c)
	ask = !p.asked
	p.asked = true
	return 0, false, ask
}

// granted takes a new block and returns the calls it serves, of which the first gets the id first. more says that some still wait and the
// caller has to ask again.
func (p *producerIDs) granted(begin, end int64) (served []*call, first int64, more bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := min(len(p.waiting), int(end-begin))
	served, p.waiting = p.waiting[:n:n], p.waiting[n:]
	p.next, p.end = begin+int64(n), end
	p.asked = len(p.waiting) > 0
	return served, begin, p.asked
}

// refused takes out the calls that wait: there will be no block.
func (p *producerIDs) refused() []*call {
	p.mu.Lock()
	defer p.mu.Unlock()
	waiting := p.waiting
	p.waiting, p.asked = nil, false
	return waiting
}

func (n *Node) grantProducerIDs() {
	var begin int64
	n.quorum.Propose(func(im *meta.Image, _ int64) (rs []meta.Record, err error) {
		b := im.Broker(n.id)
		if b == nil {
			return nil, wire.BrokerNotAvailable
		}
		rs, begin, err = meta.GrantProducerIDs(im, n.id, b.Epoch)
		return rs, err
	}, func(_ *meta.Image, err error) {
		if err != nil {
			n.log.Error("no producer ids were granted", "err", err)
			for _, c := range n.producerIDs.refused() {
				answerInitProducerID(c, -1, wire.CoordinatorNotAvailable) // the client tries again
			}
			return
		}
		served, id, more := n.producerIDs.granted(begin, begin+meta.ProducerIDBlock)
		for i, c := range served {
			answerInitProducerID(c, id+int64(i), wire.None)
		}
		if more {
			n.grantProducerIDs()
		}
	})
}
