package broker

import (
	"github.com/millrace/millrace/meta"
	"github.com/millrace/millrace/wire"
)

// UnregisterBroker, version 0: forgets a broker that will not come back.
//
//   - meta.UnregisterBroker decides. A broker that is running is refused, with the reason: Kafka unregisters it, and what it led is not to be had until
//     it is started again.
//   - The message of success is empty, not null, as in Kafka.

func (n *Node) handleUnregisterBroker(c *call) {
	req := new(wire.UnregisterBrokerRequest)
	if err := req.Decode(c.header.Version, c.body); err != nil {
		c.fail(err)
		return
	}
	n.quorum.Propose(func(im *meta.Image, _ int64) ([]meta.Record, error) {
		return meta.UnregisterBroker(im, req.BrokerID, n.topicRules())
	}, func(_ *meta.Image, err error) {
		resp := new(wire.UnregisterBrokerResponse)
		resp.Default()
		resp.ErrorMessage = wire.Str("")
		if err != nil {
			code, message := refusalOf(err)
			resp.ErrorCode, resp.ErrorMessage = code, wire.Str(message)
		}
		c.respond(func(dst []byte) []byte { return resp.Append(c.header.Version, dst) })
	})
}
