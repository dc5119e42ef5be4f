//go:build compat

package compat

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"
)

var apiConversations = []talking{
	{name: "handshake", alone: true, speak: handshake},
	{name: "cluster", alone: true, speak: cluster},
	{name: "frames", speak: frames},
}

func apiVersions(name, version string) *kmsg.ApiVersionsRequest {
	r := kmsg.NewPtrApiVersionsRequest()
	r.ClientSoftwareName, r.ClientSoftwareVersion = name, version
	return r
}

// later are the APIs that Kafka's listener has and we do not have yet: SASL, and what transactions, security, cluster operation
// and the newer kinds of groups need.
var later = []int16{17, 24, 25, 26, 27, 28, 29, 30, 31, 34, 36, 38, 39, 40, 41, 48, 49, 50, 51, 55, 57, 61, 65, 66, 68, 74, 76, 77, 78, 79, 80, 81, 83, 84, 85, 86, 87, 88, 89,
	90, 91, 92, 93, 94}

// handshake: ApiVersions in all its versions and forms. Kafka's list is compared without the APIs of later.
func handshake(c *talk) {
	ask := func(label string, v int16, req *kmsg.ApiVersionsRequest) {
		p := c.begin(label, v, req)
		resp, _, err := p.read()
		if err != nil {
			c.close()
			p.exchange.lines = []line{{"answer", reason(err)}}
			return
		}
		r := resp.(*kmsg.ApiVersionsResponse)
		if n := len(r.ApiKeys); c.side.name == "kafka" && n > 1 {
			r.ApiKeys = slices.DeleteFunc(r.ApiKeys, func(k kmsg.ApiVersionsResponseApiKey) bool { return slices.Contains(later, k.ApiKey) })
			if gone := n - len(r.ApiKeys); gone != len(later) {
				p.exchange.lines = append(p.exchange.lines, line{"APIs of later that Kafka has", itoa(gone)})
			}
		}
		p.exchange.lines = append(p.exchange.lines, c.ids.flatten(r)...)
	}
	c.each(kmsg.ApiVersions, func(v int16) { ask("as most clients", v, apiVersions("compat", "1.0")) })
	ask("a version to come", 6, apiVersions("compat", "1.0"))
	ask("a version far away", 99, apiVersions("compat", "1.0"))
	for _, name := range []string{"", "a b", "-a", "a-", "ä", "a.b-c1"} {
		ask("software "+name, 3, apiVersions(name, "1.0"))
		ask("software of version "+name, 4, apiVersions("compat", name))
	}
	for _, whom := range []struct {
		label   string
		cluster *string
		node    int32
	}{
		{"to this node", &c.side.clusterID, 1}, {"to another node", &c.side.clusterID, 2}, {"to another cluster", ptr("elsewhere"), 1},
		{"to a cluster", &c.side.clusterID, -1}, {"to a node", nil, 1}, {"to the empty cluster", ptr(""), 1},
	} {
		r := apiVersions("compat", "1.0")
		r.ClusterID, r.NodeID = whom.cluster, whom.node
		ask(whom.label, 5, r)
	}
}

// cluster: what there is before there is anything.
func cluster(c *talk) {
	c.each(kmsg.Metadata, func(v int16) {
		r := kmsg.NewPtrMetadataRequest()
		r.Topics = []kmsg.MetadataRequestTopic{}
		c.ask("no topic", v, r)
		r = kmsg.NewPtrMetadataRequest()
		r.Topics = []kmsg.MetadataRequestTopic{}
		r.IncludeClusterAuthorizedOperations, r.IncludeTopicAuthorizedOperations = true, true
		c.ask("no topic, with operations", v, r)
	})
	c.each(kmsg.DescribeCluster, func(v int16) {
		for _, kind := range []int8{1, 2, 3, 0} {
			for _, operations := range []bool{false, true} {
				r := kmsg.NewPtrDescribeClusterRequest()
				r.EndpointType, r.IncludeClusterAuthorizedOperations = kind, operations
				c.ask("of kind "+itoa(int(kind)), v, r)
			}
		}
	})
}

// frames: requests that no broker answers.
func frames(c *talk) {
	for _, key := range []int16{0, 1, 2, 3, 8, 10, 19, 23, 32, 43, 45, 46, 47, 64, 75} {
		r := kmsg.RequestForKey(key)
		if min := c.side.versions[key][0]; min > 0 {
			c.ask("a version that is gone", min-1, r)
		}
		c.ask("a version to come", c.side.versions[key][1]+1, r)
	}
	c.ask("after all that", 4, apiVersions("", ""))
	c.ask("of the controller's listener", 0, kmsg.NewPtrVoteRequest())
}
