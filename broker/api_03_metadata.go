package broker

import (
	"slices"

	"github.com/millrace/millrace/meta"
	"github.com/millrace/millrace/netio"
	"github.com/millrace/millrace/wire"
)

// Metadata, versions 0-13: which brokers are alive, which topics exist, who leads their partitions. protocol.md 2.4, 27, 28, 33.
//
//   - No topics named (null; in version 0 also an empty list) means all of them; an empty list means none.
//   - A topic that is missing is created, when the request and auto.create.topics.enable allow it. Kafka answers UNKNOWN_TOPIC_OR_PARTITION
//     meanwhile and lets the client ask again; here the answer waits until the topic is there: clients ask again only after a while (franz-go
//     250 ms), and the group reader of segmentio's kafka-go, told first that a topic is unknown and a moment later how many partitions it has, waits for
//     a change for ever. The cluster's own topics are never created so.
//   - A broker that says no address of its own is at the one the client has reached (DESIGN D13).
//   - Every broker takes every admin request, so the controller named is the broker that answers.
//   - No authorizer exists yet: who asks for the operations he may do, may do all.

const (
	notAsked          int32 = -1 << 31 // authorized operations that nobody asked for
	topicOperations   int32 = 1<<3 | 1<<4 | 1<<5 | 1<<6 | 1<<7 | 1<<8 | 1<<10 | 1<<11
	clusterOperations int32 = 1<<5 | 1<<7 | 1<<8 | 1<<9 | 1<<10 | 1<<11 | 1<<12
)

func (n *Node) handleMetadata(c *call) {
	req := new(wire.MetadataRequest)
	if err := req.Decode(c.header.Version, c.body); err != nil {
		c.fail(err)
		return
	}
	if c.header.Version == 0 && len(req.Topics) == 0 {
		req.Topics = nil
	}
	if code := checkMetadata(req, c.header.Version); code != wire.None {
		c.respond(func(dst []byte) []byte { return refuseMetadata(req, code).Append(c.header.Version, dst) })
		return
	}
	missing := n.missingTopics(req)
	if len(missing) == 0 {
		n.answerMetadata(c, req, nil)
		return
	}
	n.createMissing(missing, func(codes map[string]wire.Code) { n.answerMetadata(c, req, codes) })
}

// checkMetadata refuses what versions 10 and 11 have fields for but do not know, and topics that are not named at all.
func checkMetadata(req *wire.MetadataRequest, version int16) wire.Code {
	for i := range req.Topics {
		t := &req.Topics[i]
		if version < 12 && (!t.Name.Valid || !t.TopicID.IsZero()) || !t.Name.Valid && t.TopicID.IsZero() {
			return wire.InvalidRequest
		}
	}
	return wire.None
}

func refuseMetadata(req *wire.MetadataRequest, code wire.Code) *wire.MetadataResponse {
	resp := new(wire.MetadataResponse)
	resp.Default()
	resp.ErrorCode = code
	for i := range req.Topics {
		t := resp.AddTopic()
		t.ErrorCode = code
		t.Name, t.TopicID = wire.Str(req.Topics[i].Name.Value), req.Topics[i].TopicID
	}
	return resp
}

// missingTopics are the names asked for that may be created now.
func (n *Node) missingTopics(req *wire.MetadataRequest) []string {
	if !req.AllowAutoTopicCreation || !n.config.Bool("auto.create.topics.enable") {
		return nil
	}
	im := n.image()
	var names []string
	for i := range req.Topics {
		t := &req.Topics[i]
		if !t.TopicID.IsZero() || im.TopicByName(t.Name.Value) != nil || meta.CheckName(t.Name.Value) != "" || meta.Internal(t.Name.Value) {
			continue
		}
		names = append(names, t.Name.Value)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// createMissing creates those of the topics that are still missing when their turn comes, and tells why others could not be.
func (n *Node) createMissing(names []string, done func(codes map[string]wire.Code)) {
	codes := map[string]wire.Code{}
	n.quorum.Propose(func(im *meta.Image, _ int64) ([]meta.Record, error) {
		var topics []meta.NewTopic
		for _, name := range names {
			if im.TopicByName(name) == nil {
				topics = append(topics, meta.NewTopic{Name: name, Partitions: -1, ReplicationFactor: -1})
			}
		}
		rs, results := meta.CreateTopics(im, topics, n.topicRules(), random64)
		for _, r := range results {
			if r.Code == wire.InvalidTopicException { // it collides with another: asking again will not help
				codes[r.Name] = r.Code
			}
		}
		return rs, nil
	}, func(_ *meta.Image, err error) {
		if err != nil {
			n.log.Warn("missing topics could not be created", "topics", len(names), "err", err)
		}
		done(codes)
	})
}

// answerMetadata may run on any goroutine. codes says why a topic that is not there is not.
func (n *Node) answerMetadata(c *call, req *wire.MetadataRequest, codes map[string]wire.Code) {
	b := metadataAnswer{node: n, conn: c.conn, version: c.header.Version, image: n.image(), operations: req.IncludeTopicAuthorizedOperations}
	b.resp.Default()
	b.brokers()
	if id := b.image.ClusterID(); id != "" {
		b.resp.ClusterID = wire.Str(id)
	}
	b.resp.ControllerID = n.id
	if req.IncludeClusterAuthorizedOperations {
		b.resp.ClusterAuthorizedOperations = clusterOperations
	}
	if req.Topics == nil {
		b.image.EachTopic(func(t *meta.Topic) bool {
			b.topic(t)
			return true
		})
	}
	seen := make(map[*meta.Topic]bool, len(req.Topics))
	absent := map[string]bool{}
	for i := range req.Topics {
		asked := &req.Topics[i]
		byID := !asked.TopicID.IsZero()
		var t *meta.Topic
		if byID {
			t = b.image.TopicByID(asked.TopicID)
		} else {
			t = b.image.TopicByName(asked.Name.Value)
		}
		switch {
		case t != nil && !seen[t]:
			seen[t] = true
			b.topic(t)
		case t == nil && byID:
			a := b.resp.AddTopic()
			a.ErrorCode, a.TopicID = wire.UnknownTopicID, asked.TopicID
			if b.version < 12 {
				a.Name = wire.Str("")
			}
		case t == nil && !absent[asked.Name.Value]:
			absent[asked.Name.Value] = true
			b.absent(asked.Name.Value, codes)
		}
	}
	c.respond(func(dst []byte) []byte { return b.resp.Append(b.version, dst) })
}

// metadataAnswer is an answer in the making, from one image.
type metadataAnswer struct {
	node       *Node
	conn       *netio.Conn
	version    int16
	image      *meta.Image
	operations bool
	resp       wire.MetadataResponse
	alive      []int32 // brokers a client on this listener can reach, ascending
}

func (b *metadataAnswer) brokers() {
	b.image.EachBroker(func(br *meta.Broker) bool {
		host, port, ok := b.node.advertised(br, b.conn)
		if !ok || br.Fenced {
			return true
		}
		a := b.resp.AddBroker()
		a.NodeID, a.Host, a.Port, a.Rack = br.ID, host, port, wire.StrOrNull(br.Rack)
		b.alive = append(b.alive, br.ID)
		return true
	})
}

func (b *metadataAnswer) reachable(id int32) bool {
	_, ok := slices.BinarySearch(b.alive, id)
	return ok
}

func (b *metadataAnswer) absent(name string, codes map[string]wire.Code) {
	a := b.resp.AddTopic()
	a.Name, a.IsInternal, a.ErrorCode = wire.Str(name), meta.Internal(name), wire.UnknownTopicOrPartition
	if meta.CheckName(name) != "" {
		a.ErrorCode = wire.InvalidTopicException
	}
	if code, ok := codes[name]; ok {
		a.ErrorCode = code
	}
}

func (b *metadataAnswer) topic(t *meta.Topic) {
	a := b.resp.AddTopic()
	a.Name, a.TopicID, a.IsInternal = wire.Str(t.Name), t.ID, meta.Internal(t.Name)
	if b.operations {
		a.TopicAuthorizedOperations = topicOperations
	}
	for i := range t.Partitions {
		b.partition(a.AddPartition(), int32(i), &t.Partitions[i])
	}
}

func (b *metadataAnswer) partition(ap *wire.MetadataResponsePartition, index int32, p *meta.Partition) {
	ap.Index, ap.LeaderID, ap.LeaderEpoch = index, p.Leader, p.LeaderEpoch
	ap.ReplicaNodes, ap.ISRNodes = p.Replicas, p.ISR // to be encoded, never changed
	if slices.ContainsFunc(p.Replicas, func(id int32) bool { return !b.reachable(id) }) {
		b.degraded(p, ap)
	}
}

// degraded fills in a partition some of whose replicas the client cannot reach. Version 0 names only those that it can.
func (b *metadataAnswer) degraded(p *meta.Partition, ap *wire.MetadataResponsePartition) {
	unreachable := func(id int32) bool { return !b.reachable(id) }
	ap.OfflineReplicas = slices.DeleteFunc(slices.Clone(p.Replicas), b.reachable)
	switch {
	case p.Leader == meta.NoLeader:
		ap.ErrorCode = wire.LeaderNotAvailable
	case unreachable(p.Leader):
		ap.ErrorCode, ap.LeaderID = wire.LeaderNotAvailable, meta.NoLeader
		if br := b.image.Broker(p.Leader); b.version >= 6 && br != nil && !br.Fenced {
			ap.ErrorCode = wire.ListenerNotFound
		}
	case b.version == 0:
		ap.ErrorCode = wire.ReplicaNotAvailable
	}
	if b.version == 0 {
		ap.ReplicaNodes = slices.DeleteFunc(slices.Clone(p.Replicas), unreachable)
		ap.ISRNodes = slices.DeleteFunc(slices.Clone(p.ISR), unreachable)
	}
}

// advertised is where the client of a connection finds a broker: on the listener it has come in by, at the address the broker gives
// there, or else at the one the client has reached.
func (n *Node) advertised(b *meta.Broker, conn *netio.Conn) (host string, port int32, ok bool) {
	e := b.Endpoint(conn.Listener())
	if e == nil {
		return "", 0, false
	}
	if e.Host != "" {
		return e.Host, int32(e.Port), true
	}
	reached := conn.LocalAddr()
	return reached.Addr().Unmap().String(), int32(reached.Port()), true
}
