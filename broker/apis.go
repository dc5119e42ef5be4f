package broker

import "github.com/millrace/millrace/wire"

// api is one row of the table: an API key, the versions served, and who handles it.
type api struct {
	key       int16
	row       int // its place in apis
	name      string
	min, max  int16 // served; outside of it the connection is closed
	advertMin int16 // advertised: Produce says 0, else old librdkafka turns compression off (KAFKA-18659), and serves 3 and up
	maxBody   int   // bytes of a request; 0: what a frame may have
	handle    func(n *Node, c *call)
}

// coldBody is the largest body of a request that carries no records and no list of partitions to fetch: many times what a client needs. Decoded
// it may take eight times as much (wire), beside netio's budget.
const coldBody = 8 << 20

const apiVersionsKey = wire.KeyApiVersions

// apis is every API this broker serves and advertises, by ascending key. An API is in it with Kafka 4.4's whole range of versions or not at all.
// apiByKey points into it; keys that are not served are nil.
var (
	apis       []api
	apiByKey   [128]*api
	advertised []wire.ApiVersionsResponseAPIKey // what ApiVersions says of each, as long as the process lives
)

// The table is filled here, not in its declaration, because the handler of ApiVersions reads it.
func init() {
	apis = []api{
		{key: 0, handle: (*Node).handleProduce},
		{key: 1, handle: (*Node).handleFetch},
		{key: 2, handle: (*Node).handleListOffsets},
		{key: 3, handle: (*Node).handleMetadata},
		{key: 8, handle: (*Node).handleOffsetCommit},
		{key: 9, handle: (*Node).handleOffsetFetch},
		{key: 10, handle: (*Node).handleFindCoordinator},
		{key: 11, handle: (*Node).handleJoinGroup},
		{key: 12, handle: (*Node).handleHeartbeat},
		{key: 13, handle: (*Node).handleLeaveGroup},
		{key: 14, handle: (*Node).handleSyncGroup},
		{key: 15, handle: (*Node).handleDescribeGroups},
		{key: 16, handle: (*Node).handleListGroups},
		{key: 18, handle: (*Node).handleAPIVersions},
		{key: 19, handle: (*Node).handleCreateTopics},
		{key: 20, handle: (*Node).handleDeleteTopics},
		{key: 21, handle: (*Node).handleDeleteRecords},
		{key: 22, handle: (*Node).handleInitProducerID},
		{key: 23, handle: (*Node).handleOffsetForLeaderEpoch},
		{key: 32, handle: (*Node).handleDescribeConfigs},
		{key: 33, handle: (*Node).handleAlterConfigs},
		{key: 35, handle: (*Node).handleDescribeLogDirs},
		{key: 37, handle: (*Node).handleCreatePartitions},
		{key: 42, handle: (*Node).handleDeleteGroups},
		{key: 43, handle: (*Node).handleElectLeaders},
		{key: 44, handle: (*Node).handleIncrementalAlterConfigs},
		{key: 45, handle: (*Node).handleAlterPartitionReassignments},
		{key: 46, handle: (*Node).handleListPartitionReassignments},
		{key: 47, handle: (*Node).handleOffsetDelete},
		{key: 60, handle: (*Node).handleDescribeCluster},
		{key: 64, handle: (*Node).handleUnregisterBroker},
		{key: 69, handle: (*Node).handleConsumerGroupDescribe},
		{key: 75, handle: (*Node).handleDescribeTopicPartitions},
	}
	for i := range apis {
		a := &apis[i]
		a.row = i
		for _, w := range wire.APIs {
			if w.Key != a.key {
				continue
			}
			a.name, a.advertMin, a.min, a.max = w.Name, w.Min, w.Served, w.Max
		}
		if a.key != wire.KeyProduce && a.key != wire.KeyFetch {
			a.maxBody = coldBody
		}
		apiByKey[a.key] = a
		advertised = append(advertised, wire.ApiVersionsResponseAPIKey{Key: a.key, MinVersion: a.advertMin, MaxVersion: a.max})
	}
}

func apiFor(key int16) *api {
	if key < 0 || int(key) >= len(apiByKey) {
		return nil
	}
	return apiByKey[key]
}
