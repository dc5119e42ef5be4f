package broker

import (
	"fmt"

	"github.com/millrace/millrace/meta"
	"github.com/millrace/millrace/wire"
)

// DescribeCluster, versions 0-2: the cluster's id and its nodes; most of Kafka's tools begin with it. From version 1 on it can be asked of a
// controller listener for the controllers; there is none here, so that is refused. From version 2 on brokers that are fenced can be listed too.

const (
	brokerEndpoints     = 1
	controllerEndpoints = 2
)

func (n *Node) handleDescribeCluster(c *call) {
	req := new(wire.DescribeClusterRequest)
	if err := req.Decode(c.header.Version, c.body); err != nil {
		c.fail(err)
		return
	}
	resp := new(wire.DescribeClusterResponse)
	resp.Default()
	switch req.EndpointType {
	case brokerEndpoints:
		n.describeCluster(c, req, resp)
	case controllerEndpoints:
		resp.ErrorCode = wire.MismatchedEndpointType
		resp.ErrorMessage = wire.Str("The request was sent to an endpoint of type BROKER, but we wanted an endpoint of type CONTROLLER")
	default:
		resp.ErrorCode = wire.UnsupportedEndpointType
		resp.ErrorMessage = wire.Str(fmt.Sprintf("Unsupported endpoint type %d", req.EndpointType))
	}
	c.respond(func(dst []byte) []byte { return resp.Append(c.header.Version, dst) })
}

func (n *Node) describeCluster(c *call, req *wire.DescribeClusterRequest, resp *wire.DescribeClusterResponse) {
	im := n.image()
	resp.ClusterID, resp.ControllerID = im.ClusterID(), n.id
	if req.IncludeClusterAuthorizedOperations {
		resp.ClusterAuthorizedOperations = clusterOperations
	}
	im.EachBroker(func(br *meta.Broker) bool {
		host, port, ok := n.advertised(br, c.conn)
		if !ok || br.Fenced && !req.IncludeFencedBrokers {
			return true
		}
		b := resp.AddBroker()
		b.BrokerID, b.Host, b.Port, b.Rack, b.IsFenced = br.ID, host, port, wire.StrOrNull(br.Rack), br.Fenced
		return true
	})
}
