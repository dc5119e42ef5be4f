package broker

import (
	"errors"

	"github.com/millrace/millrace/meta"
	"github.com/millrace/millrace/wire"
)

// AlterConfigs, versions 0-2: all settings of topics and brokers at once; what a request does not name goes back to its default.
//
//   - meta.AlterConfigs decides, with Kafka's codes and texts; the answer comes when the change is durable and in force.
//   - A resource that a request has twice is refused both times; Kafka 4.4 never answers that.
//   - Groups and client metrics have no settings here: their resource types are refused as unknown.

var errTooManyResources = errors.New("the request names too many topics or brokers")

func (n *Node) handleAlterConfigs(c *call) {
	req := new(wire.AlterConfigsRequest)
	if err := req.Decode(c.header.Version, c.body); err != nil {
		c.fail(err)
		return
	}
	if len(req.Resources) > maxPartitions {
		c.fail(errTooManyResources)
		return
	}
	changes := make([]meta.ResourceChange, len(req.Resources))
	for i := range req.Resources {
		r := &req.Resources[i]
		changes[i] = meta.ResourceChange{Resource: resourceOf(r.ResourceType, r.ResourceName), Replace: true, Changes: make([]meta.ConfigChange, len(r.Configs))}
		for j, s := range r.Configs {
			changes[i].Changes[j] = meta.ConfigChange{Name: s.Name, Value: s.Value.Value, Null: !s.Value.Valid}
		}
	}
	n.alterConfigs(changes, req.ValidateOnly, func(results []meta.ResourceResult) {
		resp := new(wire.AlterConfigsResponse)
		resp.Default()
		for _, r := range results {
			x := resp.AddResource()
			x.ResourceType, x.ResourceName = int8(r.Resource.Type), r.Resource.Name
			x.ErrorCode, x.ErrorMessage = r.Code, wire.StrOrNull(r.Message)
		}
		c.respond(func(dst []byte) []byte { return resp.Append(c.header.Version, dst) })
	})
}

func resourceOf(kind int8, name string) meta.Resource {
	return meta.Resource{Type: meta.ResourceType(kind), Name: name}
}

// alterConfigs decides on changed settings and calls done, off the loops, when they are in force.
func (n *Node) alterConfigs(changes []meta.ResourceChange, validateOnly bool, done func([]meta.ResourceResult)) {
	var results []meta.ResourceResult
	n.quorum.Propose(func(im *meta.Image, _ int64) (rs []meta.Record, err error) {
		rs, results = meta.AlterConfigs(im, changes, n.id, n.topicRules())
		if validateOnly {
			rs = nil
		}
		return rs, nil
	}, func(_ *meta.Image, err error) {
		if err != nil {
			if results == nil { // it never came to a decision
				for i := range changes {
					results = append(results, meta.ResourceResult{Resource: changes[i].Resource})
				}
			}
			for i := range results {
				if r := &results[i]; r.Code == wire.None {
					r.Code, r.Message = proposalCode(err), err.Error()
				}
			}
		}
		n.workers.check.Go(func() { done(results) }) // a long answer is not for the quorum's goroutine
	})
}
