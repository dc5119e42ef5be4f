package broker

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/meta"
)

// The tests of the administrative APIs ask a node over TCP with requests that franz-go's kmsg encodes, and read the answers with it. Numbers
// in names and comments are those of protocol.md 2.4. What is expected was compared with a running Apache Kafka 4.4.0.

// adminNode is a node with one listener on loopback.
type adminNode struct {
	*Node
	t    *testing.T
	dir  string
	addr netip.AddrPort
	over []string
}

func startAdminNode(t *testing.T, overrides ...string) *adminNode {
	t.Helper()
	a := &adminNode{t: t, dir: t.TempDir(), over: overrides}
	a.start()
	t.Cleanup(func() { a.stop() })
	return a
}

func (a *adminNode) start() {
	a.t.Helper()
	c, err := config.Load("", append([]string{"listeners=PLAINTEXT://127.0.0.1:0"}, a.over...))
	if err != nil {
		a.t.Fatal(err)
	}
	n, err := Start(Options{Config: c, DataDir: a.dir})
	if err != nil {
		a.t.Fatal(err)
	}
	a.Node, a.addr = n, n.Addrs()["PLAINTEXT"]
}

func (a *adminNode) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := a.Shutdown(ctx); err != nil {
		a.t.Errorf("shutdown: %v", err)
	}
}

func (a *adminNode) dial() net.Conn {
	a.t.Helper()
	conn, err := net.Dial("tcp", a.addr.String())
	if err != nil {
		a.t.Fatal(err)
	}
	a.t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		a.t.Fatal(err)
	}
	return conn
}

// roundTrip sends one request and reads its answer into a new response of the version answered.
func roundTrip(conn net.Conn, req kmsg.Request) (kmsg.Response, error) {
	frame := kmsg.NewRequestFormatter(kmsg.FormatterClientID("test")).AppendRequest(nil, req, 77)
	if _, err := conn.Write(frame); err != nil {
		return nil, err
	}
	var size [4]byte
	if _, err := io.ReadFull(conn, size[:]); err != nil {
		return nil, err
	}
	body := make([]byte, binary.BigEndian.Uint32(size[:]))
	if _, err := io.ReadFull(conn, body); err != nil {
		return nil, err
	}
	if id := binary.BigEndian.Uint32(body); id != 77 {
		return nil, fmt.Errorf("correlation id %d", id)
	}
	body = body[4:]
	resp := req.ResponseKind()
	if req.Key() == apiVersionsKey {
		if len(body) >= 2 && binary.BigEndian.Uint16(body) == 35 {
			resp.SetVersion(0)
		}
	} else if req.IsFlexible() {
		if body[0] != 0 {
			return nil, fmt.Errorf("%d tags in the response header", body[0])
		}
		body = body[1:]
	}
	return resp, resp.ReadFrom(body)
}

// askAdmin is roundTrip on a connection of its own.
func askAdmin[R kmsg.Response](a *adminNode, req kmsg.Request) R {
	a.t.Helper()
	conn := a.dial()
	defer conn.Close()
	resp, err := roundTrip(conn, req)
	if err != nil {
		a.t.Fatalf("%s v%d: %v", kmsg.NameForKey(req.Key()), req.GetVersion(), err)
	}
	return resp.(R)
}

func metadataRequest(version int16, autoCreate bool, names ...string) *kmsg.MetadataRequest {
	req := kmsg.NewPtrMetadataRequest()
	req.SetVersion(version)
	req.AllowAutoTopicCreation = autoCreate
	req.Topics = []kmsg.MetadataRequestTopic{}
	for _, name := range names {
		topic := kmsg.NewMetadataRequestTopic()
		topic.Topic = kmsg.StringPtr(name)
		req.Topics = append(req.Topics, topic)
	}
	return req
}

func createRequest(version int16, topics ...kmsg.CreateTopicsRequestTopic) *kmsg.CreateTopicsRequest {
	req := kmsg.NewPtrCreateTopicsRequest()
	req.SetVersion(version)
	req.TimeoutMillis = 5000
	req.Topics = topics
	return req
}

func newTopic(name string, partitions int32, factor int16, settings ...string) kmsg.CreateTopicsRequestTopic {
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = name, partitions, factor
	for _, s := range settings {
		c := kmsg.NewCreateTopicsRequestTopicConfig()
		name, value, ok := strings.Cut(s, "=")
		c.Name = name
		if ok {
			c.Value = &value
		}
		topic.Configs = append(topic.Configs, c)
	}
	return topic
}

func (a *adminNode) create(topics ...kmsg.CreateTopicsRequestTopic) []kmsg.CreateTopicsResponseTopic {
	a.t.Helper()
	return askAdmin[*kmsg.CreateTopicsResponse](a, createRequest(7, topics...)).Topics
}

func (a *adminNode) mustCreate(topics ...kmsg.CreateTopicsRequestTopic) {
	a.t.Helper()
	for _, r := range a.create(topics...) {
		if r.ErrorCode != 0 {
			a.t.Fatalf("create %s: %v %v", r.Topic, kerr.ErrorForCode(r.ErrorCode), r.ErrorMessage)
		}
	}
}

func topicNames(resp *kmsg.MetadataResponse) []string {
	var names []string
	for _, topic := range resp.Topics {
		names = append(names, *topic.Topic)
	}
	slices.Sort(names)
	return names
}

// 27: null means every topic, an empty list none; in version 0 an empty list means every topic.
func TestMetadata27WhichTopics(t *testing.T) {
	a := startAdminNode(t)
	a.mustCreate(newTopic("one", 1, 1), newTopic("two", 3, 1))
	for v := int16(0); v <= 13; v++ {
		none := askAdmin[*kmsg.MetadataResponse](a, metadataRequest(v, false))
		want := []string(nil)
		if v == 0 {
			want = []string{"one", "two"}
		}
		if got := topicNames(none); !slices.Equal(got, want) {
			t.Errorf("v%d, no topics named: %v, want %v", v, got, want)
		}
		if v > 0 {
			all := metadataRequest(v, false)
			all.Topics = nil
			if got := topicNames(askAdmin[*kmsg.MetadataResponse](a, all)); !slices.Equal(got, []string{"one", "two"}) {
				t.Errorf("v%d, null: %v", v, got)
			}
		}
		resp := askAdmin[*kmsg.MetadataResponse](a, metadataRequest(v, false, "two", "two"))
		if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 3 {
			t.Fatalf("v%d: %+v", v, resp)
		}
		for i, p := range resp.Topics[0].Partitions {
			if p.ErrorCode != 0 || p.Partition != int32(i) || p.Leader != 1 || !slices.Equal(p.Replicas, []int32{1}) || !slices.Equal(p.ISR, []int32{1}) || len(p.OfflineReplicas) > 0 {
				t.Errorf("v%d: partition %+v", v, p)
			}
			if epoch := map[bool]int32{true: 0, false: -1}[v >= 7]; p.LeaderEpoch != epoch {
				t.Errorf("v%d: leader epoch %d", v, p.LeaderEpoch)
			}
		}
		if got := resp.Topics[0].TopicID != [16]byte{}; got != (v >= 10) {
			t.Errorf("v%d: topic id %x", v, resp.Topics[0].TopicID)
		}
		if v >= 1 && resp.ControllerID != 1 {
			t.Errorf("v%d: controller %d", v, resp.ControllerID)
		}
		if v >= 2 && (resp.ClusterID == nil || *resp.ClusterID != a.dirClusterID()) {
			t.Errorf("v%d: cluster id %v", v, resp.ClusterID)
		}
	}
}

func (a *adminNode) dirClusterID() string { return a.Node.dir.ClusterID() }

// 27: a broker that advertises nothing is where the client has reached it; one that does is where it says, on that listener.
func TestMetadata27AdvertisedAddress(t *testing.T) {
	a := startAdminNode(t, "broker.rack=r1")
	resp := askAdmin[*kmsg.MetadataResponse](a, metadataRequest(12, false))
	if len(resp.Brokers) != 1 {
		t.Fatalf("brokers: %+v", resp.Brokers)
	}
	b := resp.Brokers[0]
	if b.NodeID != 1 || b.Host != "127.0.0.1" || b.Port != int32(a.addr.Port()) || b.Rack == nil || *b.Rack != "r1" {
		t.Errorf("broker %d %s:%d rack %v, reached at %s", b.NodeID, b.Host, b.Port, b.Rack, a.addr)
	}

	a = startAdminNode(t, "advertised.listeners=PLAINTEXT://broker.example:1234")
	resp = askAdmin[*kmsg.MetadataResponse](a, metadataRequest(1, false))
	if b := resp.Brokers[0]; b.Host != "broker.example" || b.Port != 1234 || b.Rack != nil {
		t.Errorf("broker %s:%d rack %v", b.Host, b.Port, b.Rack)
	}
	cluster := askAdmin[*kmsg.DescribeClusterResponse](a, kmsg.NewPtrDescribeClusterRequest())
	if b := cluster.Brokers[0]; b.Host != "broker.example" || b.Port != 1234 {
		t.Errorf("DescribeCluster: broker %s:%d", b.Host, b.Port)
	}
}

// 27: a partition without a leader is listed with its replicas and LEADER_NOT_AVAILABLE; only brokers that are alive are listed. Version 0 names
// live replicas only.
func TestMetadata27LeaderlessAndDeadBrokers(t *testing.T) {
	a := startAdminNode(t)
	if err := a.decide(func(im *meta.Image, _ int64) ([]meta.Record, error) {
		return meta.RegisterBroker(im, meta.Broker{ID: 2, Fenced: true, Endpoints: []meta.Endpoint{{Name: "PLAINTEXT", Host: "dead", Port: 1}}})
	}); err != nil {
		t.Fatal(err)
	}
	byHand := newTopic("pair", -1, -1)
	for p, replicas := range [][]int32{{1, 2}, {1, 2}} {
		as := kmsg.NewCreateTopicsRequestTopicReplicaAssignment()
		as.Partition, as.Replicas = int32(p), replicas
		byHand.ReplicaAssignment = append(byHand.ReplicaAssignment, as)
	}
	a.mustCreate(byHand)
	if err := a.decide(func(im *meta.Image, _ int64) ([]meta.Record, error) {
		return []meta.Record{meta.PartitionChangeRecord{TopicID: im.TopicByName("pair").ID, Number: 1, Leader: meta.NoLeader}}, nil
	}); err != nil {
		t.Fatal(err)
	}
	for v := int16(0); v <= 13; v++ {
		resp := askAdmin[*kmsg.MetadataResponse](a, metadataRequest(v, false, "pair"))
		if len(resp.Brokers) != 1 || resp.Brokers[0].NodeID != 1 {
			t.Errorf("v%d: brokers %+v", v, resp.Brokers)
		}
		led, leaderless := resp.Topics[0].Partitions[0], resp.Topics[0].Partitions[1]
		if v == 0 {
			if led.ErrorCode != kerr.ReplicaNotAvailable.Code || !slices.Equal(led.Replicas, []int32{1}) {
				t.Errorf("v0: %+v", led)
			}
		} else if led.ErrorCode != 0 || led.Leader != 1 || !slices.Equal(led.Replicas, []int32{1, 2}) || !slices.Equal(led.ISR, []int32{1}) {
			t.Errorf("v%d: %+v", v, led)
		}
		if v >= 5 && !slices.Equal(led.OfflineReplicas, []int32{2}) {
			t.Errorf("v%d: offline %v", v, led.OfflineReplicas)
		}
		if leaderless.ErrorCode != kerr.LeaderNotAvailable.Code || leaderless.Leader != -1 || len(leaderless.Replicas) == 0 {
			t.Errorf("v%d: %+v", v, leaderless)
		}
		if v >= 7 && leaderless.LeaderEpoch != 1 {
			t.Errorf("v%d: leader epoch %d", v, leaderless.LeaderEpoch)
		}
	}
}

// 28: a missing topic is created when the request and the broker allow it, and is in the answer.
func TestMetadata28AutoCreate(t *testing.T) {
	a := startAdminNode(t, "num.partitions=3")
	for _, v := range []int16{4, 13} {
		resp := askAdmin[*kmsg.MetadataResponse](a, metadataRequest(v, false, "unwanted"))
		if len(resp.Topics) != 1 || resp.Topics[0].ErrorCode != kerr.UnknownTopicOrPartition.Code {
			t.Errorf("v%d, not allowed: %+v", v, resp.Topics)
		}
	}
	for v := int16(0); v <= 13; v++ { // versions below 4 always allow it
		name := fmt.Sprintf("auto-%d", v)
		resp := askAdmin[*kmsg.MetadataResponse](a, metadataRequest(v, true, name))
		if len(resp.Topics) != 1 || resp.Topics[0].ErrorCode != 0 || len(resp.Topics[0].Partitions) != 3 || resp.Topics[0].Partitions[2].Leader != 1 {
			t.Errorf("v%d: %+v", v, resp.Topics)
		}
	}
	a.mustCreate(newTopic("dotted.name", 1, 1))
	long := strings.Repeat("x", 250)
	resp := askAdmin[*kmsg.MetadataResponse](a, metadataRequest(12, true, "", ".", "a b", long, "dotted_name", "__consumer_offsets", "__cluster_metadata", "fine"))
	want := map[string]int16{"": 17, ".": 17, "a b": 17, long: 17, "dotted_name": 17, "__consumer_offsets": 3, "__cluster_metadata": 3, "fine": 0}
	for _, topic := range resp.Topics {
		if code, ok := want[*topic.Topic]; !ok || code != topic.ErrorCode {
			t.Errorf("%q: %d, want %d", *topic.Topic, topic.ErrorCode, code)
		}
		if internal := *topic.Topic == "__consumer_offsets"; topic.IsInternal != internal {
			t.Errorf("%q: internal %t", *topic.Topic, topic.IsInternal)
		}
		delete(want, *topic.Topic)
	}
	if len(want) > 0 {
		t.Errorf("not answered: %v", want)
	}

	a = startAdminNode(t, "auto.create.topics.enable=false")
	resp = askAdmin[*kmsg.MetadataResponse](a, metadataRequest(12, true, "missing"))
	if resp.Topics[0].ErrorCode != kerr.UnknownTopicOrPartition.Code {
		t.Errorf("switched off: %+v", resp.Topics)
	}
}

// 28: everybody who asks for the same missing topic at once gets the same one.
func TestMetadata28AutoCreateOnce(t *testing.T) {
	a := startAdminNode(t)
	ids := make([][16]byte, 40)
	var wg sync.WaitGroup
	for i := range ids {
		conn := a.dial()
		wg.Go(func() {
			resp, err := roundTrip(conn, metadataRequest(12, true, "wanted", "second"))
			if err != nil {
				t.Error(err)
				return
			}
			topics := resp.(*kmsg.MetadataResponse).Topics
			if len(topics) != 2 || topics[0].ErrorCode != 0 {
				t.Errorf("%+v", topics)
				return
			}
			ids[i] = topics[0].TopicID
		})
	}
	wg.Wait()
	for i, id := range ids {
		if id != ids[0] || id == [16]byte{} {
			t.Errorf("%d: id %x, first %x", i, id, ids[0])
		}
	}
}

// 28: ids are stable, new when a topic is created again; an answer by id echoes it.
func TestMetadata28TopicIDs(t *testing.T) {
	a := startAdminNode(t)
	a.mustCreate(newTopic("x", 1, 1))
	byID := func(v int16, id [16]byte) kmsg.MetadataResponseTopic {
		req := metadataRequest(v, true)
		topic := kmsg.NewMetadataRequestTopic()
		topic.TopicID = id
		req.Topics = append(req.Topics, topic)
		resp := askAdmin[*kmsg.MetadataResponse](a, req)
		if len(resp.Topics) != 1 {
			t.Fatalf("v%d: %+v", v, resp.Topics)
		}
		return resp.Topics[0]
	}
	id := askAdmin[*kmsg.MetadataResponse](a, metadataRequest(12, false, "x")).Topics[0].TopicID
	for _, v := range []int16{12, 13} {
		if topic := byID(v, id); topic.ErrorCode != 0 || *topic.Topic != "x" || topic.TopicID != id || len(topic.Partitions) != 1 {
			t.Errorf("v%d: %+v", v, topic)
		}
		if topic := byID(v, [16]byte{9}); topic.ErrorCode != kerr.UnknownTopicID.Code || topic.Topic != nil || topic.TopicID != [16]byte{9} {
			t.Errorf("v%d, unknown: %+v", v, topic)
		}
	}
	// Versions 10 and 11 have the field, but do not know how to ask by it.
	if topic := byID(11, id); topic.ErrorCode != kerr.InvalidRequest.Code {
		t.Errorf("v11: %+v", topic)
	}
	del := kmsg.NewPtrDeleteTopicsRequest()
	del.SetVersion(1)
	del.TopicNames = []string{"x"}
	if r := askAdmin[*kmsg.DeleteTopicsResponse](a, del); r.Topics[0].ErrorCode != 0 {
		t.Fatalf("%+v", r)
	}
	a.mustCreate(newTopic("x", 1, 1))
	if again := askAdmin[*kmsg.MetadataResponse](a, metadataRequest(12, false, "x")).Topics[0].TopicID; again == id || again == [16]byte{} {
		t.Errorf("id %x, before the deletion %x", again, id)
	}
	a.stop()
	before := a.image().TopicByName("x").ID
	a.start()
	if a.image().TopicByName("x").ID != before {
		t.Error("the id has changed over a restart")
	}
}

// 33: authorized operations only when asked for.
func TestMetadata33AuthorizedOperations(t *testing.T) {
	a := startAdminNode(t)
	a.mustCreate(newTopic("x", 1, 1))
	for v := int16(8); v <= 13; v++ {
		req := metadataRequest(v, false, "x")
		resp := askAdmin[*kmsg.MetadataResponse](a, req)
		if resp.AuthorizedOperations != -2147483648 || resp.Topics[0].AuthorizedOperations != -2147483648 {
			t.Errorf("v%d, not asked: %d, %d", v, resp.AuthorizedOperations, resp.Topics[0].AuthorizedOperations)
		}
		req.IncludeClusterAuthorizedOperations, req.IncludeTopicAuthorizedOperations = true, true
		resp = askAdmin[*kmsg.MetadataResponse](a, req)
		if resp.Topics[0].AuthorizedOperations != 3576 {
			t.Errorf("v%d: topic %d", v, resp.Topics[0].AuthorizedOperations)
		}
		if want := map[bool]int32{true: 8096, false: -2147483648}[v <= 10]; resp.AuthorizedOperations != want {
			t.Errorf("v%d: cluster %d", v, resp.AuthorizedOperations)
		}
	}
}

// protocol.md 2.2, 1-3.
func TestApiVersionsHandshake(t *testing.T) {
	a := startAdminNode(t)
	request := func(v int16, name, version string) *kmsg.ApiVersionsRequest {
		req := kmsg.NewPtrApiVersionsRequest()
		req.SetVersion(v)
		req.ClientSoftwareName, req.ClientSoftwareVersion = name, version
		return req
	}
	want := map[int16][2]int16{0: {0, 13}, 1: {4, 18}, 2: {1, 11}, 3: {0, 13}, 18: {0, 5}, 19: {2, 7}, 20: {1, 6}, 22: {0, 5}, 23: {2, 4}, 32: {1, 4}, 21: {0, 2}, 33: {0, 2}, 35: {1, 5}, 37: {0, 3}, 44: {0, 1}, 60: {0, 2}, 75: {0, 0}}
	for v := int16(0); v <= 5; v++ {
		resp := askAdmin[*kmsg.ApiVersionsResponse](a, request(v, "test", "1.0"))
		if resp.ErrorCode != 0 || len(resp.ApiKeys) < len(want) {
			t.Fatalf("v%d: %+v", v, resp)
		}
		for _, k := range resp.ApiKeys {
			if w, ok := want[k.ApiKey]; ok && w != [2]int16{k.MinVersion, k.MaxVersion} {
				t.Errorf("v%d: key %d versions %d-%d, want %v", v, k.ApiKey, k.MinVersion, k.MaxVersion, w)
			}
		}
		if v < 3 {
			continue
		}
		if len(resp.SupportedFeatures) != 1 || resp.SupportedFeatures[0].Name != "metadata.version" || resp.SupportedFeatures[0].MinVersion != 7 || resp.SupportedFeatures[0].MaxVersion != 33 {
			t.Errorf("v%d: supported %+v", v, resp.SupportedFeatures)
		}
		if len(resp.FinalizedFeatures) != 1 || resp.FinalizedFeatures[0].Name != "metadata.version" || resp.FinalizedFeatures[0].MaxVersionLevel != 33 || resp.FinalizedFeaturesEpoch < 0 {
			t.Errorf("v%d: finalized %+v at %d", v, resp.FinalizedFeatures, resp.FinalizedFeaturesEpoch)
		}
	}
	// A version from the future is answered in version 0, on a connection that stays.
	conn := a.dial()
	for _, v := range []int16{6, 99} {
		resp, err := roundTrip(conn, futureApiVersions{request(5, "test", "1"), v})
		if err != nil {
			t.Fatalf("v%d: %v", v, err)
		}
		r := resp.(*kmsg.ApiVersionsResponse)
		if r.ErrorCode != kerr.UnsupportedVersion.Code || len(r.ApiKeys) != 1 || r.ApiKeys[0].ApiKey != 18 || r.ApiKeys[0].MinVersion != 0 || r.ApiKeys[0].MaxVersion != 5 {
			t.Errorf("v%d: %+v", v, r)
		}
	}
	if _, err := roundTrip(conn, request(5, "test", "1")); err != nil {
		t.Errorf("after it: %v", err)
	}
	for _, pair := range [][2]string{{"", ""}, {"a", ""}, {"a b", "1"}, {"a", "-1"}, {"a-", "1"}, {"ä", "1"}, {"a", "1."}} {
		if resp := askAdmin[*kmsg.ApiVersionsResponse](a, request(4, pair[0], pair[1])); resp.ErrorCode != kerr.InvalidRequest.Code || len(resp.ApiKeys) != 0 {
			t.Errorf("client %q: %d", pair, resp.ErrorCode)
		}
	}
	for _, pair := range [][2]string{{"a", "1"}, {"a.b-c", "1.0-x"}, {"aB9", "2"}} {
		if resp := askAdmin[*kmsg.ApiVersionsResponse](a, request(4, pair[0], pair[1])); resp.ErrorCode != 0 {
			t.Errorf("client %q: %d", pair, resp.ErrorCode)
		}
	}
	// Version 5 may say whom it believes to talk to, cluster and node or neither.
	for _, c := range []struct {
		cluster *string
		node    int32
		code    int16
	}{
		{nil, -1, 0}, {kmsg.StringPtr(a.dirClusterID()), 1, 0},
		{kmsg.StringPtr(a.dirClusterID()), 2, 129}, {kmsg.StringPtr("another"), 1, 129}, {kmsg.StringPtr("another"), -2, 129},
		{nil, 1, 42}, {kmsg.StringPtr(a.dirClusterID()), -1, 42}, {kmsg.StringPtr("another"), -1, 42}, {kmsg.StringPtr(""), -1, 42},
	} {
		req := request(5, "test", "1")
		req.ClusterID, req.NodeID = c.cluster, c.node
		if resp := askAdmin[*kmsg.ApiVersionsResponse](a, req); resp.ErrorCode != c.code {
			t.Errorf("cluster %v node %d: %d, want %d", c.cluster, c.node, resp.ErrorCode, c.code)
		}
	}
}

// futureApiVersions sends the bytes of one version under the number of another.
type futureApiVersions struct {
	*kmsg.ApiVersionsRequest
	version int16
}

func (f futureApiVersions) GetVersion() int16 { return f.version }
func (f futureApiVersions) AppendTo(dst []byte) []byte {
	return append(dst, 0xff, 0xff, 0xff, 0xff, 0x0f)
}
func (f futureApiVersions) ResponseKind() kmsg.Response { return f.ApiVersionsRequest.ResponseKind() }

// 30: every version, defaults, validate_only, errors with Kafka's codes; 29: configs are never null.
func TestCreateTopics30(t *testing.T) {
	a := startAdminNode(t, "num.partitions=4", "default.replication.factor=3")
	for v := int16(2); v <= 7; v++ {
		name := fmt.Sprintf("v%d", v)
		resp := askAdmin[*kmsg.CreateTopicsResponse](a, createRequest(v, newTopic(name, -1, -1, "retention.ms=1000")))
		if len(resp.Topics) != 1 {
			t.Fatalf("v%d: %+v", v, resp)
		}
		r := resp.Topics[0]
		if r.Topic != name || r.ErrorCode != 0 || r.ErrorMessage != nil {
			t.Errorf("v%d: %+v", v, r)
		}
		topic := a.image().TopicByName(name)
		if topic == nil || len(topic.Partitions) != 4 || topic.Config["retention.ms"] != "1000" {
			t.Fatalf("v%d: %+v in the image", v, topic)
		}
		if v >= 5 && (r.NumPartitions != 4 || r.ReplicationFactor != 1 || r.ConfigErrorCode != 0) {
			t.Errorf("v%d: %d partitions, factor %d", v, r.NumPartitions, r.ReplicationFactor)
		}
		if v >= 7 && r.TopicID != topic.ID {
			t.Errorf("v%d: id %x", v, r.TopicID)
		}
		if v < 5 {
			continue
		}
		found := map[string]kmsg.CreateTopicsResponseTopicConfig{}
		for _, c := range r.Configs {
			found[c.Name] = c
		}
		if c := found["retention.ms"]; c.Value == nil || *c.Value != "1000" || c.Source != 1 || c.ReadOnly || c.IsSensitive {
			t.Errorf("v%d: retention.ms %+v", v, c)
		}
		if c := found["cleanup.policy"]; c.Value == nil || *c.Value != "delete" || c.Source != 5 {
			t.Errorf("v%d: cleanup.policy %+v", v, c)
		}
		if !slices.IsSortedFunc(r.Configs, func(x, y kmsg.CreateTopicsResponseTopicConfig) int { return strings.Compare(x.Name, y.Name) }) {
			t.Errorf("v%d: configs out of order", v)
		}
	}

	validate := createRequest(7, newTopic("only-checked", 2, 1), newTopic("v7", 1, 1))
	validate.ValidateOnly = true
	resp := askAdmin[*kmsg.CreateTopicsResponse](a, validate)
	if r := resp.Topics[0]; r.ErrorCode != 0 || r.NumPartitions != 2 || len(r.Configs) == 0 {
		t.Errorf("validate_only: %+v", r)
	}
	if resp.Topics[1].ErrorCode != kerr.TopicAlreadyExists.Code || a.image().TopicByName("only-checked") != nil {
		t.Errorf("validate_only: %+v", resp.Topics[1])
	}

	for _, c := range []struct {
		topic   kmsg.CreateTopicsRequestTopic
		code    int16
		message string
	}{
		{newTopic("v7", 1, 1), 36, "Topic 'v7' already exists."},
		{newTopic("a/b", 1, 1), 17, "Topic name is invalid: 'a/b' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"},
		{newTopic("", 1, 1), 17, "Topic name is invalid: the empty string is not allowed"},
		{newTopic("p", 0, 1), 37, "Number of partitions was set to an invalid non-positive value."},
		{newTopic("p", 1, 0), 38, "Replication factor must be larger than 0, or -1 to use the default value."},
		{newTopic("p", 1, 2), 38, "Unable to replicate the partition 2 time(s): The target replication factor of 2 cannot be reached because only 1 broker(s) are registered or some brokers have all their log directories cordoned."},
		{newTopic("p", 10001, 1), 44, "Excessively large number of partitions per request."},
		{newTopic("p", 1, 1, "retention.ms"), 40, "Null value not supported for topic configs: retention.ms"},
		{newTopic("__cluster_metadata", 1, 1), 42, "Creation of internal topic __cluster_metadata is prohibited."},
	} {
		r := a.create(c.topic)[0]
		if r.ErrorCode != c.code || r.ErrorMessage == nil || *r.ErrorMessage != c.message {
			t.Errorf("%q: %d %v, want %d %q", c.topic.Topic, r.ErrorCode, r.ErrorMessage, c.code, c.message)
		}
		if r.NumPartitions != -1 || r.ReplicationFactor != -1 || r.Configs == nil || len(r.Configs) != 0 {
			t.Errorf("%q: %d partitions, factor %d, configs %v", c.topic.Topic, r.NumPartitions, r.ReplicationFactor, r.Configs)
		}
	}
	for _, bad := range []string{"retention.mz=1", "retention.ms=abc", "cleanup.policy=foo", "retention.ms=-5", "=1", "millrace.durability=maybe"} {
		if r := a.create(newTopic("p", 1, 1, bad))[0]; r.ErrorCode != kerr.InvalidConfig.Code || r.ErrorMessage == nil || *r.ErrorMessage == "" {
			t.Errorf("%s: %d %v", bad, r.ErrorCode, r.ErrorMessage)
		}
	}
	if a.image().TopicByName("p") != nil {
		t.Error("a topic that was refused is there")
	}
	if resp := askAdmin[*kmsg.CreateTopicsResponse](a, createRequest(7)); len(resp.Topics) != 0 {
		t.Errorf("no topics: %+v", resp.Topics)
	}
}

// 30: what a topic was created with is in force at once, and after a restart.
func TestCreateTopics30SettingsTakeEffect(t *testing.T) {
	a := startAdminNode(t)
	a.mustCreate(newTopic("small", 1, 1, "max.message.bytes=200"), newTopic("usual", 1, 1))
	for round := range 2 {
		client, err := kgo.NewClient(kgo.SeedBrokers(a.addr.String()), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchCompression(kgo.NoCompression()))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		value := make([]byte, 1000)
		if err := client.ProduceSync(ctx, &kgo.Record{Topic: "small", Value: value}).FirstErr(); !errors.Is(err, kerr.MessageTooLarge) {
			t.Errorf("round %d: 1,000 bytes of the 200 allowed: %v", round, err)
		}
		if err := client.ProduceSync(ctx, &kgo.Record{Topic: "usual", Value: value}).FirstErr(); err != nil {
			t.Errorf("round %d: %v", round, err)
		}
		cancel()
		client.Close()
		if round == 0 {
			a.stop()
			a.start()
		}
	}
}

func TestDeleteTopics(t *testing.T) {
	a := startAdminNode(t)
	request := func(v int16, names ...string) *kmsg.DeleteTopicsRequest {
		req := kmsg.NewPtrDeleteTopicsRequest()
		req.SetVersion(v)
		req.TopicNames = names
		for _, name := range names {
			topic := kmsg.NewDeleteTopicsRequestTopic()
			topic.Topic = kmsg.StringPtr(name)
			req.Topics = append(req.Topics, topic)
		}
		return req
	}
	for v := int16(1); v <= 6; v++ {
		a.mustCreate(newTopic("gone", 2, 1), newTopic("stays", 1, 1))
		id := a.image().TopicByName("gone").ID
		resp := askAdmin[*kmsg.DeleteTopicsResponse](a, request(v, "gone", "nothere", "stays", "stays"))
		codes := map[string]int16{}
		for _, r := range resp.Topics {
			codes[*r.Topic] = r.ErrorCode
			if hasText := r.ErrorMessage != nil; hasText != (v >= 5 && r.ErrorCode != 0) {
				t.Errorf("v%d: message %v of code %d", v, r.ErrorMessage, r.ErrorCode)
			}
			if *r.Topic == "gone" && v >= 6 && r.TopicID != id {
				t.Errorf("v%d: id %x", v, r.TopicID)
			}
		}
		if len(resp.Topics) != 3 || codes["gone"] != 0 || codes["nothere"] != 3 || codes["stays"] != 42 {
			t.Errorf("v%d: %v", v, codes)
		}
		if a.image().TopicByName("gone") != nil || a.image().TopicByName("stays") == nil {
			t.Errorf("v%d: the image disagrees", v)
		}
		if resp := askAdmin[*kmsg.DeleteTopicsResponse](a, request(v, "stays")); resp.Topics[0].ErrorCode != 0 {
			t.Errorf("v%d: %+v", v, resp.Topics)
		}
	}
	a.mustCreate(newTopic("by-id", 1, 1))
	id := a.image().TopicByName("by-id").ID
	req := request(6)
	for _, ref := range []struct {
		name *string
		id   [16]byte
	}{{nil, [16]byte{9}}, {nil, [16]byte{}}, {kmsg.StringPtr("by-id"), id}, {nil, id}} {
		topic := kmsg.NewDeleteTopicsRequestTopic()
		topic.Topic, topic.TopicID = ref.name, ref.id
		req.Topics = append(req.Topics, topic)
	}
	resp := askAdmin[*kmsg.DeleteTopicsResponse](a, req)
	for i, want := range []struct {
		code  int16
		named bool
	}{{100, false}, {42, false}, {42, true}, {0, true}} {
		if r := resp.Topics[i]; r.ErrorCode != want.code || (r.Topic != nil) != want.named {
			t.Errorf("%d: %+v, want %+v", i, r, want)
		}
	}
	if a.image().TopicByID(id) != nil {
		t.Error("deleted by id, and still there")
	}

	off := startAdminNode(t, "delete.topic.enable=false")
	off.mustCreate(newTopic("kept", 1, 1))
	for v, want := range map[int16]int16{1: 42, 2: 42, 3: 73, 6: 73} {
		if r := askAdmin[*kmsg.DeleteTopicsResponse](off, request(v, "kept")).Topics[0]; r.ErrorCode != want {
			t.Errorf("v%d, switched off: %d, want %d", v, r.ErrorCode, want)
		}
	}
}

// Ids are unique: over versions, over blocks, over clients at once, over restarts, clean or not.
func TestInitProducerIDIsUnique(t *testing.T) {
	a := startAdminNode(t)
	seen := map[int64]bool{}
	var mu sync.Mutex
	take := func(conn net.Conn, v int16) {
		req := kmsg.NewPtrInitProducerIDRequest()
		req.SetVersion(v)
		resp, err := roundTrip(conn, req)
		if err != nil {
			t.Error(err)
			return
		}
		r := resp.(*kmsg.InitProducerIDResponse)
		mu.Lock()
		defer mu.Unlock()
		if r.ErrorCode != 0 || r.ProducerEpoch != 0 || r.ProducerID < 0 || seen[r.ProducerID] {
			t.Errorf("v%d: %+v, handed out before: %t", v, r, seen[r.ProducerID])
		}
		seen[r.ProducerID] = true
	}
	for round := range 3 {
		var wg sync.WaitGroup
		for client := range 5 {
			conn := a.dial()
			wg.Go(func() {
				for range 450 {
					take(conn, int16(client))
				}
			})
		}
		wg.Wait()
		if round == 0 {
			a.Kill()
		} else {
			a.stop()
		}
		a.start()
	}
	if len(seen) != 3*5*450 {
		t.Errorf("%d ids", len(seen))
	}
	if next := a.image().NextProducerID(); next < int64(len(seen)) || next > int64(len(seen))+4*meta.ProducerIDBlock {
		t.Errorf("%d ids were granted for %d", next, len(seen))
	}
}

// DESIGN D1: transactions are refused for good. Id and epoch come together or not at all.
func TestInitProducerIDRefusals(t *testing.T) {
	a := startAdminNode(t)
	for v := int16(0); v <= 5; v++ {
		for name, c := range map[string]struct {
			txn   *string
			id    int64
			epoch int16
			code  int16
		}{
			"transactional":    {kmsg.StringPtr("tx"), -1, -1, 42},
			"empty":            {kmsg.StringPtr(""), -1, -1, 42},
			"id without epoch": {nil, 5, -1, 42},
			"epoch without id": {nil, -1, 5, 42},
			"both":             {nil, 5, 5, 0},
		} {
			req := kmsg.NewPtrInitProducerIDRequest()
			req.SetVersion(v)
			req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.TransactionTimeoutMillis = c.txn, c.id, c.epoch, 1000
			want := c.code
			if v < 3 && c.txn == nil { // these versions have no such fields
				want = 0
			}
			resp := askAdmin[*kmsg.InitProducerIDResponse](a, req)
			if resp.ErrorCode != want {
				t.Errorf("v%d %s: %d, want %d", v, name, resp.ErrorCode, want)
			}
			if want != 0 && (resp.ProducerID != -1 || resp.ProducerEpoch != -1) {
				t.Errorf("v%d %s: id %d epoch %d", v, name, resp.ProducerID, resp.ProducerEpoch)
			}
		}
	}
}

func describeRequest(v int16, kind kmsg.ConfigResourceType, name string, keys ...string) *kmsg.DescribeConfigsRequest {
	req := kmsg.NewPtrDescribeConfigsRequest()
	req.SetVersion(v)
	r := kmsg.NewDescribeConfigsRequestResource()
	r.ResourceType, r.ResourceName, r.ConfigNames = kind, name, keys
	req.Resources = append(req.Resources, r)
	return req
}

// 31: all settings, with source, type, read-only, synonyms and documentation.
func TestDescribeConfigs31(t *testing.T) {
	a := startAdminNode(t, "log.retention.hours=5", "num.partitions=2")
	a.mustCreate(newTopic("set", 1, 1, "segment.bytes=1048576", "millrace.durability=replicated"))
	for v := int16(1); v <= 4; v++ {
		req := describeRequest(v, kmsg.ConfigResourceTypeTopic, "set")
		req.IncludeSynonyms, req.IncludeDocumentation = true, true
		r := askAdmin[*kmsg.DescribeConfigsResponse](a, req).Resources[0]
		if r.ErrorCode != 0 || r.ResourceName != "set" || r.ResourceType != kmsg.ConfigResourceTypeTopic {
			t.Fatalf("v%d: %+v", v, r)
		}
		got := map[string]kmsg.DescribeConfigsResponseResourceConfig{}
		for _, c := range r.Configs {
			got[c.Name] = c
		}
		if len(got) != len(config.Topic) || len(r.Configs) != len(got) {
			t.Errorf("v%d: %d settings, the table has %d", v, len(got), len(config.Topic))
		}
		for name, want := range map[string]struct {
			value    string
			source   int8
			kind     kmsg.ConfigType
			synonyms int
		}{
			"segment.bytes":       {"1048576", 1, 3, 2},
			"cleanup.policy":      {"delete", 5, 7, 1},
			"min.insync.replicas": {"1", 5, 3, 1},
			"retention.ms":        {"18000000", 5, 5, 0}, // 5 hours, set in the broker's configuration; Kafka does not say so
			"millrace.durability": {"replicated", 1, 2, 2},
			"max.message.bytes":   {"1048588", 5, 3, 1},
		} {
			c := got[name]
			if c.Value == nil || *c.Value != want.value || int8(c.Source) != want.source || c.ReadOnly || c.IsSensitive || len(c.ConfigSynonyms) != want.synonyms {
				t.Errorf("v%d %s: %+v, want %+v", v, name, c, want)
			}
			if v >= 3 && (c.ConfigType != want.kind || c.Documentation == nil || *c.Documentation == "") {
				t.Errorf("v%d %s: type %d, documentation %v", v, name, c.ConfigType, c.Documentation)
			}
		}
		if s := got["segment.bytes"].ConfigSynonyms; s[0].Name != "segment.bytes" || s[1].Name != "log.segment.bytes" || *s[1].Value != "1073741824" || s[1].Source != 5 {
			t.Errorf("v%d: synonyms %+v", v, s)
		}
	}

	r := askAdmin[*kmsg.DescribeConfigsResponse](a, describeRequest(4, kmsg.ConfigResourceTypeTopic, "set", "retention.ms", "no.such.setting")).Resources[0]
	if len(r.Configs) != 1 || r.Configs[0].Name != "retention.ms" || len(r.Configs[0].ConfigSynonyms) > 0 || r.Configs[0].Documentation != nil {
		t.Errorf("one key: %+v", r.Configs)
	}
	empty := describeRequest(4, kmsg.ConfigResourceTypeTopic, "set")
	empty.Resources[0].ConfigNames = []string{}
	if r := askAdmin[*kmsg.DescribeConfigsResponse](a, empty).Resources[0]; len(r.Configs) != len(config.Topic) {
		t.Errorf("an empty list of keys: %d settings", len(r.Configs))
	}

	req := describeRequest(4, kmsg.ConfigResourceTypeBroker, "1")
	req.IncludeSynonyms = true
	r = askAdmin[*kmsg.DescribeConfigsResponse](a, req).Resources[0]
	got := map[string]kmsg.DescribeConfigsResponseResourceConfig{}
	for _, c := range r.Configs {
		got[c.Name] = c
	}
	if len(got) != len(config.Broker) {
		t.Errorf("the broker has %d settings, the table %d", len(got), len(config.Broker))
	}
	if c := got["num.partitions"]; *c.Value != "2" || c.Source != kmsg.ConfigSourceStaticBrokerConfig || !c.ReadOnly || len(c.ConfigSynonyms) != 2 {
		t.Errorf("num.partitions: %+v", c)
	}
	if c, ok := got["millrace.durability"]; !ok || *c.Value != "fsync" {
		t.Errorf("millrace.durability: %+v", c)
	}
	secrets := 0
	for _, c := range got {
		if c.IsSensitive {
			secrets++
			if c.Value != nil {
				t.Errorf("%s is sensitive, and shown", c.Name)
			}
		}
	}
	if secrets == 0 {
		t.Error("no setting is sensitive")
	}

	for _, c := range []struct {
		kind kmsg.ConfigResourceType
		name string
		code int16
	}{
		{kmsg.ConfigResourceTypeTopic, "nothere", 3},
		{kmsg.ConfigResourceTypeTopic, "a b", 17},
		{kmsg.ConfigResourceTypeTopic, "", 17},
		{kmsg.ConfigResourceTypeBroker, "2", 42},
		{kmsg.ConfigResourceTypeBroker, "x", 42},
		{kmsg.ConfigResourceTypeBroker, "", 0},
		{kmsg.ConfigResourceTypeBrokerLogger, "1", 0},
		{kmsg.ConfigResourceTypeBrokerLogger, "2", 42},
		{kmsg.ConfigResourceTypeBrokerLogger, "", 42},
		{99, "x", 42},
	} {
		r := askAdmin[*kmsg.DescribeConfigsResponse](a, describeRequest(4, c.kind, c.name)).Resources[0]
		if r.ErrorCode != c.code || len(r.Configs) != 0 || r.ResourceName != c.name || r.ResourceType != c.kind {
			t.Errorf("%d %q: %+v, want %d", c.kind, c.name, r, c.code)
		}
	}
}

// Settings that are looked at and not wanted cost work too.
func TestDescribeConfigsOfNothingIsBounded(t *testing.T) {
	a := startAdminNode(t)
	req := describeRequest(4, kmsg.ConfigResourceTypeBroker, "1")
	req.Resources[0].ConfigNames = []string{"nosuch"}
	for range 20_000 {
		req.Resources = append(req.Resources, req.Resources[0])
	}
	resp := askAdmin[*kmsg.DescribeConfigsResponse](a, req)
	refused := 0
	for _, r := range resp.Resources {
		if r.ErrorCode == kerr.PolicyViolation.Code {
			refused++
		}
	}
	if refused == 0 || refused == len(resp.Resources) {
		t.Errorf("%d of %d refused", refused, len(resp.Resources))
	}
}

// A small request must not make the broker answer with gigabytes: what does not fit is refused, resource by resource.
func TestDescribeConfigsIsBounded(t *testing.T) {
	a := startAdminNode(t)
	req := describeRequest(4, kmsg.ConfigResourceTypeBroker, "1")
	req.IncludeSynonyms, req.IncludeDocumentation = true, true
	for range 2000 {
		req.Resources = append(req.Resources, req.Resources[0])
	}
	conn := a.dial()
	frame := kmsg.NewRequestFormatter().AppendRequest(nil, req, 1)
	if _, err := conn.Write(frame); err != nil {
		t.Fatal(err)
	}
	var size [4]byte
	if _, err := io.ReadFull(conn, size[:]); err != nil {
		t.Fatal(err)
	}
	body := make([]byte, binary.BigEndian.Uint32(size[:]))
	if len(body) > 2*maxConfigsAnswer {
		t.Fatalf("%d bytes answer %d", len(body), len(frame))
	}
	if _, err := io.ReadFull(conn, body); err != nil {
		t.Fatal(err)
	}
	resp := req.ResponseKind().(*kmsg.DescribeConfigsResponse)
	if err := resp.ReadFrom(body[5:]); err != nil {
		t.Fatal(err)
	}
	answered, refused := 0, 0
	for _, r := range resp.Resources {
		switch {
		case r.ErrorCode == 0 && len(r.Configs) == len(config.Broker):
			answered++
		case r.ErrorCode == kerr.PolicyViolation.Code && len(r.Configs) == 0 && r.ErrorMessage != nil:
			refused++
		default:
			t.Fatalf("%d: %d settings", r.ErrorCode, len(r.Configs))
		}
	}
	if answered == 0 || refused == 0 || answered+refused != 2001 {
		t.Errorf("%d answered, %d refused", answered, refused)
	}
}

func TestDescribeCluster(t *testing.T) {
	a := startAdminNode(t)
	if err := a.decide(func(im *meta.Image, _ int64) ([]meta.Record, error) {
		return meta.RegisterBroker(im, meta.Broker{ID: 2, Fenced: true, Endpoints: []meta.Endpoint{{Name: "PLAINTEXT", Host: "dead", Port: 1}}})
	}); err != nil {
		t.Fatal(err)
	}
	for v := int16(0); v <= 2; v++ {
		req := kmsg.NewPtrDescribeClusterRequest()
		req.SetVersion(v)
		resp := askAdmin[*kmsg.DescribeClusterResponse](a, req)
		if resp.ErrorCode != 0 || resp.ClusterID != a.dirClusterID() || resp.ControllerID != 1 || resp.ClusterAuthorizedOperations != -2147483648 {
			t.Errorf("v%d: %+v", v, resp)
		}
		if len(resp.Brokers) != 1 || resp.Brokers[0].NodeID != 1 || resp.Brokers[0].Host != "127.0.0.1" || resp.Brokers[0].Port != int32(a.addr.Port()) || resp.Brokers[0].IsFenced {
			t.Errorf("v%d: brokers %+v", v, resp.Brokers)
		}
		req.IncludeClusterAuthorizedOperations = true
		if resp := askAdmin[*kmsg.DescribeClusterResponse](a, req); resp.ClusterAuthorizedOperations != 8096 {
			t.Errorf("v%d: operations %d", v, resp.ClusterAuthorizedOperations)
		}
		req.IncludeFencedBrokers = true
		if resp := askAdmin[*kmsg.DescribeClusterResponse](a, req); v == 2 && (len(resp.Brokers) != 2 || !resp.Brokers[1].IsFenced) {
			t.Errorf("v%d, fenced ones too: %+v", v, resp.Brokers)
		}
		for kind, code := range map[int8]int16{2: 114, 3: 115} {
			req.EndpointType = kind
			if resp := askAdmin[*kmsg.DescribeClusterResponse](a, req); v >= 1 && (resp.ErrorCode != code || len(resp.Brokers) != 0 || resp.ErrorMessage == nil) {
				t.Errorf("v%d, endpoint type %d: %+v", v, kind, resp)
			}
		}
	}
}

// A frame that is no request ends its connection, and no other.
func TestAdminAPIsCloseOnGarbage(t *testing.T) {
	a := startAdminNode(t)
	for _, req := range []kmsg.Request{metadataRequest(12, false, "x"), createRequest(7, newTopic("x", 1, 1)), describeRequest(4, 2, "x"), kmsg.NewPtrInitProducerIDRequest()} {
		frame := kmsg.NewRequestFormatter().AppendRequest(nil, req, 1)
		cut := frame[:len(frame)-3]
		binary.BigEndian.PutUint32(cut, uint32(len(cut)-4))
		conn := a.dial()
		if _, err := conn.Write(cut); err != nil {
			t.Fatal(err)
		}
		if n, err := conn.Read(make([]byte, 1)); err != io.EOF && !strings.Contains(fmt.Sprint(err), "reset") {
			t.Errorf("%s cut short: %d bytes, %v", kmsg.NameForKey(req.Key()), n, err)
		}
	}
	if a.image().TopicCount() != 0 {
		t.Error("a topic was created")
	}
	if resp := askAdmin[*kmsg.MetadataResponse](a, metadataRequest(12, false)); len(resp.Brokers) != 1 {
		t.Errorf("afterwards: %+v", resp)
	}
}

// franz-go's own client and admin client go through a topic's life.
func TestAdminClient(t *testing.T) {
	a := startAdminNode(t)
	client, err := kgo.NewClient(kgo.SeedBrokers(a.addr.String()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if created, err := admin.CreateTopic(ctx, 3, 1, map[string]*string{"retention.ms": kadm.StringPtr("7")}, "life"); err != nil || created.Err != nil {
		t.Fatal(created, err)
	}
	topics, err := admin.ListTopics(ctx)
	if err != nil || len(topics["life"].Partitions) != 3 {
		t.Errorf("%v %v", topics, err)
	}
	configs, err := admin.DescribeTopicConfigs(ctx, "life")
	if err != nil || len(configs) != 1 || configs[0].Err != nil || len(configs[0].Configs) == 0 {
		t.Errorf("%v %v", configs, err)
	}
	brokers, err := admin.ListBrokers(ctx)
	if err != nil || len(brokers) != 1 || brokers[0].Port != int32(a.addr.Port()) {
		t.Errorf("%v %v", brokers, err)
	}
	if deleted, err := admin.DeleteTopic(ctx, "life"); err != nil || deleted.Err != nil {
		t.Errorf("%v %v", deleted, err)
	}
	// Not by ListTopics: the client remembers its last answer for a while.
	if resp := askAdmin[*kmsg.MetadataResponse](a, metadataRequest(12, false, "life")); resp.Topics[0].ErrorCode != kerr.UnknownTopicOrPartition.Code {
		t.Errorf("deleted, and there: %+v", resp.Topics)
	}
}

// 10,000 partitions in one request: one decision, one record batch, one flush, and all of them led when the answer comes.
func TestCreateTopics30TenThousandPartitions(t *testing.T) {
	a := startAdminNode(t)
	begin := time.Now()
	a.mustCreate(newTopic("big", 10_000, 1))
	t.Logf("10,000 partitions created in %v", time.Since(begin))
	resp := askAdmin[*kmsg.MetadataResponse](a, metadataRequest(12, false, "big"))
	if n := len(resp.Topics[0].Partitions); n != 10_000 {
		t.Fatalf("%d partitions", n)
	}
	for _, p := range resp.Topics[0].Partitions {
		if p.Leader != 1 || p.ErrorCode != 0 {
			t.Fatalf("%+v", p)
		}
	}
}
