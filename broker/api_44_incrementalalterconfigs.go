package broker

import (
	"fmt"
	"strconv"

	"github.com/millrace/millrace/meta"
	"github.com/millrace/millrace/wire"
)

// IncrementalAlterConfigs, versions 0-1: single settings of topics and brokers are set, removed, and lists made longer or shorter.
//
// As AlterConfigs. The loggers of this broker have no levels that could be changed: each is said not to exist.

func (n *Node) handleIncrementalAlterConfigs(c *call) {
	req := new(wire.IncrementalAlterConfigsRequest)
	if err := req.Decode(c.header.Version, c.body); err != nil {
		c.fail(err)
		return
	}
	if len(req.Resources) > maxPartitions {
		c.fail(errTooManyResources)
		return
	}
	changes := make([]meta.ResourceChange, 0, len(req.Resources))
	results := make([]meta.ResourceResult, len(req.Resources)) // of loggers; those of the others have to be decided
	times := map[string]int{}
	for i := range req.Resources {
		if r := &req.Resources[i]; r.ResourceType == brokerLoggerResource {
			times[r.ResourceName]++
		}
	}
	for i := range req.Resources {
		r := &req.Resources[i]
		if r.ResourceType == brokerLoggerResource {
			results[i] = meta.ResourceResult{Resource: resourceOf(r.ResourceType, r.ResourceName), Code: wire.InvalidRequest, Message: "Each resource must appear at most once."}
			if times[r.ResourceName] == 1 {
				results[i].Code, results[i].Message = n.alterLoggers(r)
			}
			continue
		}
		change := meta.ResourceChange{Resource: resourceOf(r.ResourceType, r.ResourceName), Changes: make([]meta.ConfigChange, len(r.Configs))}
		for j, s := range r.Configs {
			change.Changes[j] = meta.ConfigChange{Op: meta.ConfigOp(s.ConfigOperation), Name: s.Name, Value: s.Value.Value, Null: !s.Value.Valid}
		}
		changes = append(changes, change)
	}
	n.alterConfigs(changes, req.ValidateOnly, func(decided []meta.ResourceResult) {
		resp := new(wire.IncrementalAlterConfigsResponse)
		resp.Default()
		for i := range results {
			r := &results[i]
			if req.Resources[i].ResourceType != brokerLoggerResource {
				r, decided = &decided[0], decided[1:]
			}
			x := resp.AddResource()
			x.ResourceType, x.ResourceName = int8(r.Resource.Type), r.Resource.Name
			x.ErrorCode, x.ErrorMessage = r.Code, wire.StrOrNull(r.Message)
		}
		c.respond(func(dst []byte) []byte { return resp.Append(c.header.Version, dst) })
	})
}

// alterLoggers refuses to change log levels, in Kafka's words where it would.
func (n *Node) alterLoggers(r *wire.IncrementalAlterConfigsRequestResource) (wire.Code, string) {
	id, err := strconv.ParseInt(r.ResourceName, 10, 32)
	switch {
	case err != nil:
		return wire.InvalidRequest, "Node id must be an integer, but it is: " + r.ResourceName
	case int32(id) != n.id:
		return wire.InvalidRequest, fmt.Sprintf("Unexpected node id. Expected %d, but received %d", n.id, id)
	}
	if len(r.Configs) == 0 {
		return wire.None, ""
	}
	switch first := &r.Configs[0]; meta.ConfigOp(first.ConfigOperation) {
	case meta.AppendConfig:
		return wire.InvalidRequest, "APPEND operation is not allowed for the BROKER_LOGGER resource"
	case meta.SubtractConfig:
		return wire.InvalidRequest, "SUBTRACT operation is not allowed for the BROKER_LOGGER resource"
	default:
		return wire.InvalidConfig, fmt.Sprintf("Logger %s does not exist!", first.Name)
	}
}
