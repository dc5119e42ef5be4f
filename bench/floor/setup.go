package floor

import (
	"crypto/rand"
	"fmt"
	"slices"
	"strings"

	"github.com/millrace/millrace/wire"
)

// clusterID tells whoever looks that this is no broker.
const clusterID = "millrace-bench-floor"

const nodeID = 1

// request is what all of wire's requests can do.
type request interface {
	Decode(version int16, body []byte) error
}

// response is what all of wire's responses can do, but that of a fetch.
type response interface {
	Default()
	Append(version int16, dst []byte) []byte
}

// serve decodes into req, lets f fill in resp, and appends the answer.
func serve[Q request, R response](c *conn, h wire.Header, body []byte, req Q, resp R, f func(Q, R)) error {
	if err := req.Decode(h.Version, body); err != nil {
		return err
	}
	resp.Default()
	f(req, resp)
	c.out.answer(h, func(dst []byte) []byte { return resp.Append(h.Version, dst) })
	return nil
}

// served are the APIs there are, each with all the versions that package wire knows.
var served = []int16{
	wire.KeyProduce, wire.KeyFetch, wire.KeyListOffsets, wire.KeyMetadata, wire.KeyApiVersions, wire.KeyCreateTopics, wire.KeyDeleteTopics,
	wire.KeyInitProducerID, wire.KeyDescribeConfigs, wire.KeyDescribeCluster,
}

// setUp answers what a benchmark asks before and after it measures.
func (l *loop) setUp(c *conn, h wire.Header, body []byte) error {
	switch h.Key {
	case wire.KeyApiVersions:
		return l.apiVersions(c, h, body)
	case wire.KeyMetadata:
		return serve(c, h, body, new(wire.MetadataRequest), new(wire.MetadataResponse), func(req *wire.MetadataRequest, resp *wire.MetadataResponse) {
			l.metadata(h.Version, req, resp)
		})
	case wire.KeyCreateTopics:
		return serve(c, h, body, new(wire.CreateTopicsRequest), new(wire.CreateTopicsResponse), l.createTopics)
	case wire.KeyDeleteTopics:
		return serve(c, h, body, new(wire.DeleteTopicsRequest), new(wire.DeleteTopicsResponse), l.deleteTopics)
	case wire.KeyListOffsets:
		return serve(c, h, body, new(wire.ListOffsetsRequest), new(wire.ListOffsetsResponse), l.listOffsets)
	case wire.KeyInitProducerID:
		return serve(c, h, body, new(wire.InitProducerIDRequest), new(wire.InitProducerIDResponse), func(_ *wire.InitProducerIDRequest, resp *wire.InitProducerIDResponse) {
			l.producers++
			resp.ProducerID = l.producers
		})
	case wire.KeyDescribeConfigs:
		return serve(c, h, body, new(wire.DescribeConfigsRequest), new(wire.DescribeConfigsResponse), l.describeConfigs)
	case wire.KeyDescribeCluster:
		return serve(c, h, body, new(wire.DescribeClusterRequest), new(wire.DescribeClusterResponse), func(_ *wire.DescribeClusterRequest, resp *wire.DescribeClusterResponse) {
			resp.ClusterID, resp.ControllerID = clusterID, nodeID
			b := resp.AddBroker()
			b.BrokerID, b.Host, b.Port = nodeID, l.address.IP.String(), int32(l.address.Port)
		})
	}
	return fmt.Errorf("the floor does not serve API key %d", h.Key)
}

// apiVersions is answered in every version: a client asks before it knows which there are.
func (l *loop) apiVersions(c *conn, h wire.Header, body []byte) error {
	resp := new(wire.ApiVersionsResponse)
	resp.Default()
	version := h.Version
	for _, a := range wire.APIs {
		if !slices.Contains(served, a.Key) {
			continue
		}
		if a.Key == wire.KeyApiVersions && version > a.Max {
			version, resp.ErrorCode = 0, wire.UnsupportedVersion
		}
		k := resp.AddAPIKey()
		k.Key, k.MinVersion, k.MaxVersion = a.Key, a.Served, a.Max
	}
	c.out.answer(h, func(dst []byte) []byte { return resp.Append(version, dst) })
	return nil
}

func (l *loop) metadata(version int16, req *wire.MetadataRequest, resp *wire.MetadataResponse) {
	b := resp.AddBroker()
	b.NodeID, b.Host, b.Port = nodeID, l.address.IP.String(), int32(l.address.Port)
	resp.ClusterID, resp.ControllerID = wire.Str(clusterID), nodeID
	if req.Topics == nil || version == 0 && len(req.Topics) == 0 {
		for _, t := range l.topics {
			t.tell(resp)
		}
	}
	for i := range req.Topics {
		asked := &req.Topics[i]
		t := l.topics[asked.Name.Value]
		if !asked.Name.Valid {
			t = l.ids[asked.TopicID]
		}
		if t != nil {
			t.tell(resp)
			continue
		}
		unknown := resp.AddTopic()
		unknown.ErrorCode, unknown.Name, unknown.TopicID = wire.UnknownTopicOrPartition, asked.Name, asked.TopicID
		if !asked.Name.Valid {
			unknown.ErrorCode = wire.UnknownTopicID
		}
	}
}

func (t *topic) tell(resp *wire.MetadataResponse) {
	rt := resp.AddTopic()
	rt.Name, rt.TopicID = wire.Str(t.name), t.id
	for i := range t.partitions {
		p := rt.AddPartition()
		p.Index, p.LeaderID, p.LeaderEpoch = int32(i), nodeID, 0
		p.ReplicaNodes, p.ISRNodes = []int32{nodeID}, []int32{nodeID}
	}
}

func (l *loop) createTopics(req *wire.CreateTopicsRequest, resp *wire.CreateTopicsResponse) {
	for i := range req.Topics {
		asked := &req.Topics[i]
		rt := resp.AddTopic()
		rt.Name = asked.Name
		count := max(1, int(asked.NumPartitions))
		switch {
		case l.topics[asked.Name] != nil:
			rt.ErrorCode = wire.TopicAlreadyExists
		case asked.Name == "" || strings.ContainsAny(asked.Name, "/\x00") || len(asked.Name) > 200:
			rt.ErrorCode = wire.InvalidTopicException
		case count > maxPartitions:
			rt.ErrorCode = wire.InvalidPartitions
			rt.ErrorMessage = wire.Str(fmt.Sprintf("%d partitions: the floor has %d at most", count, maxPartitions))
		case !req.ValidateOnly:
			t, err := l.newTopic(strings.Clone(asked.Name), count)
			if err != nil {
				rt.ErrorCode, rt.ErrorMessage = wire.KafkaStorageError, wire.Str(err.Error())
				continue
			}
			rt.TopicID, rt.NumPartitions, rt.ReplicationFactor = t.id, int32(count), 1
		}
	}
}

func (l *loop) newTopic(name string, count int) (*topic, error) {
	t := &topic{name: name}
	_, _ = rand.Read(t.id[:]) // cannot fail
	l.made++
	for i := range count {
		p, err := newPartition(l.dir, fmt.Sprint(l.made), i, count, l.how, l.toucher)
		if err != nil {
			for _, p := range t.partitions {
				p.desert()
			}
			return nil, err
		}
		t.partitions = append(t.partitions, p)
	}
	l.topics[name], l.ids[t.id] = t, t
	return t, nil
}

func (l *loop) deleteTopics(req *wire.DeleteTopicsRequest, resp *wire.DeleteTopicsResponse) {
	take := func(t *topic, name wire.NullString, id wire.UUID) {
		rt := resp.AddTopic()
		rt.Name, rt.TopicID = name, id
		if t == nil {
			rt.ErrorCode = wire.UnknownTopicOrPartition
			return
		}
		delete(l.topics, t.name)
		delete(l.ids, t.id)
		for _, p := range t.partitions {
			p.desert()
		}
	}
	for _, name := range req.TopicNames {
		take(l.topics[name], wire.Str(name), wire.UUID{})
	}
	for i := range req.Topics {
		asked := &req.Topics[i]
		t := l.topics[asked.Name.Value]
		if !asked.Name.Valid {
			t = l.ids[asked.TopicID]
		}
		take(t, asked.Name, asked.TopicID)
	}
}

// listOffsets knows both ends. What lies between, by time, is not found: -1.
func (l *loop) listOffsets(req *wire.ListOffsetsRequest, resp *wire.ListOffsetsResponse) {
	const latest, earliest = -1, -2
	for i := range req.Topics {
		t := &req.Topics[i]
		rt := resp.AddTopic()
		rt.Name = t.Name
		for j := range t.Partitions {
			rp := rt.AddPartition()
			rp.Index = t.Partitions[j].Index
			p := l.partition(t.Name, wire.UUID{}, false, rp.Index)
			switch at := t.Partitions[j].Timestamp; {
			case p == nil:
				rp.ErrorCode = wire.UnknownTopicOrPartition
			case at == latest:
				rp.Offset, rp.LeaderEpoch = p.next, 0
			case at == earliest:
				rp.Offset, rp.LeaderEpoch = 0, 0
			}
		}
	}
}

// describeConfigs says what tells the durability: nothing is flushed.
func (l *loop) describeConfigs(req *wire.DescribeConfigsRequest, resp *wire.DescribeConfigsResponse) {
	const topicResource, defaultSource, long = 2, 5, 5
	for i := range req.Resources {
		asked := &req.Resources[i]
		r := resp.AddResult()
		r.ResourceType, r.ResourceName = asked.ResourceType, asked.ResourceName
		if asked.ResourceType == topicResource && l.topics[asked.ResourceName] == nil {
			r.ErrorCode = wire.UnknownTopicOrPartition
			continue
		}
		const name = "flush.messages"
		if asked.ConfigurationKeys == nil || slices.Contains(asked.ConfigurationKeys, name) {
			c := r.AddConfig()
			c.Name, c.Value, c.ConfigSource, c.ConfigType, c.ReadOnly = name, wire.Str("9223372036854775807"), defaultSource, long, true
		}
	}
}
