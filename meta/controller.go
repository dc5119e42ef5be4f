package meta

import (
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/millrace/millrace/wire"
)

// Rand returns 64 random bits. Topic ids and the placement of replicas are drawn from it.
type Rand func() uint64

// Rules are what the controller's decisions take from the broker's configuration.
type Rules struct {
	Partitions        int32                                   // num.partitions
	ReplicationFactor int16                                   // default.replication.factor; as many as there are brokers when it is more
	CheckConfig       func(overrides map[string]string) error // of a topic; nil: everything is allowed
	Topics            func(im *Image) func(*Topic) TopicRules // as an image has their settings; nil: Kafka's defaults

	// AlterConfigs only: all settings that a broker would have, or all brokers by default; and what a list begins as.
	CheckBroker func(set map[string]string, oneBroker bool) error
	ListConfig  func(kind ResourceType, name string) (def string, list, known bool)
}

// MaxPartitionsPerRequest is how many partitions one request may create. It bounds a decision's batch, and is Kafka's limit.
const MaxPartitionsPerRequest = 10_000

// maxConfigBytes bounds what the settings of one topic or broker may take in every image.
const maxConfigBytes = 64 << 10

// NewTopic asks for a topic. Partitions and ReplicationFactor are -1 for the default, and must be when Assignments are given.
type NewTopic struct {
	Name              string
	Partitions        int32
	ReplicationFactor int16
	Assignments       []Assignment
	Configs           []ConfigValue
}

// Assignment places one partition by hand.
type Assignment struct {
	Partition int32
	Replicas  []int32
}

// ConfigValue is one setting of a NewTopic.
type ConfigValue struct {
	Name, Value string
	Null        bool
}

// TopicResult is what became of one topic of a request. Code None is success; Partitions, ReplicationFactor and Config count only then.
type TopicResult struct {
	Name              string
	Named             bool // DeleteTopics: the topic's name is known
	ID                wire.UUID
	Code              wire.Code
	Message           string // "" when the code says it all
	Partitions        int32
	ReplicationFactor int16
	Config            map[string]string // as asked for
}

func refuse(code wire.Code, format string, args ...any) TopicResult {
	return TopicResult{Code: code, Message: fmt.Sprintf(format, args...), Partitions: -1, ReplicationFactor: -1}
}

// CreateTopics decides on new topics, each by itself: the records create those whose result has code None. A name that the request has
// twice is refused both times, in one result. The texts are Kafka's.
func CreateTopics(im *Image, topics []NewTopic, rules *Rules, rand Rand) ([]Record, []TopicResult) {
	var records []Record
	results := make([]TopicResult, 0, len(topics))
	times := map[string]int{}
	var total int64
	for i := range topics {
		times[topics[i].Name]++
		total += topics[i].partitions(rules)
	}
	shapes := map[string]string{} // of the topics this request creates
	for i := range topics {
		t := &topics[i]
		var result TopicResult
		switch n := times[t.Name]; {
		case n == 0: // answered already
			continue
		case n > 1:
			times[t.Name] = 0
			result = refuse(wire.InvalidRequest, "Duplicate topic name.")
		case t.Name == clusterMetadata:
			result = refuse(wire.InvalidRequest, "Creation of internal topic %s is prohibited.", clusterMetadata)
		case total > MaxPartitionsPerRequest:
			result = refuse(wire.PolicyViolation, "Excessively large number of partitions per request.")
		default:
			var rs []Record
			if rs, result = createTopic(im, t, shapes, rules, rand); result.Code == wire.None {
				records = append(records, rs...)
				if shape, ok := shapeOf(t.Name); ok {
					shapes[shape] = t.Name
				}
			}
		}
		result.Name, result.Named = t.Name, true
		results = append(results, result)
	}
	return records, results
}

// partitions is how many partitions the request asks for, as far as it can be counted before it is checked.
func (t *NewTopic) partitions(rules *Rules) int64 {
	switch {
	case len(t.Assignments) > 0:
		return int64(len(t.Assignments))
	case t.Partitions == -1:
		return int64(rules.Partitions)
	}
	return max(0, int64(t.Partitions))
}

func createTopic(im *Image, t *NewTopic, shapes map[string]string, rules *Rules, rand Rand) ([]Record, TopicResult) {
	if reason := CheckName(t.Name); reason != "" {
		return nil, refuse(wire.InvalidTopicException, "%s", reason)
	}
	if im.TopicByName(t.Name) != nil {
		return nil, refuse(wire.TopicAlreadyExists, "Topic '%s' already exists.", t.Name)
	}
	if shape, ok := shapeOf(t.Name); ok {
		other, taken := im.shapes.get(shape)
		if !taken {
			other, taken = shapes[shape]
		}
		if taken {
			return nil, refuse(wire.InvalidTopicException, "Topic '%s' collides with existing topic: %s", t.Name, other)
		}
	}
	overrides, result := checkConfigs(t.Configs, rules)
	if result.Code != wire.None {
		return nil, result
	}
	if len(overrides) > 0 && im.configBytes > maxAllConfigBytes {
		return nil, refuse(wire.PolicyViolation, "The settings of all topics and brokers together take more than the %d bytes allowed.", maxAllConfigBytes)
	}
	placed, result := place(im, t, rules, rand)
	if result.Code != wire.None {
		return nil, result
	}
	id := newTopicID(im, rand)
	records := make([]Record, 0, 1+len(overrides)+len(placed))
	records = append(records, TopicRecord{Name: t.Name, ID: id})
	for _, name := range slices.Sorted(maps.Keys(overrides)) {
		records = append(records, ConfigRecord{Resource: Resource{TopicResource, t.Name}, Name: name, Value: overrides[name]})
	}
	for i, p := range placed {
		records = append(records, PartitionRecord{TopicID: id, Number: int32(i), Partition: p})
	}
	return records, TopicResult{ID: id, Partitions: int32(len(placed)), ReplicationFactor: int16(len(placed[0].Replicas)), Config: overrides}
}

func checkConfigs(configs []ConfigValue, rules *Rules) (map[string]string, TopicResult) {
	if len(configs) == 0 {
		return nil, TopicResult{}
	}
	overrides := make(map[string]string, len(configs))
	for _, c := range configs {
		if c.Null {
			return nil, refuse(wire.InvalidConfig, "Null value not supported for topic configs: %s", c.Name)
		}
		overrides[c.Name] = c.Value
	}
	if message := tooLarge(overrides); message != "" {
		return nil, refuse(wire.InvalidConfig, "%s", message)
	}
	if rules.CheckConfig != nil {
		if err := rules.CheckConfig(overrides); err != nil {
			return nil, refuse(wire.InvalidConfig, "%s", err)
		}
	}
	return overrides, TopicResult{}
}

// newTopicID draws a random id: version 4 of RFC 9562, like Kafka's, and like Kafka's never one whose text begins with a '-', which
// command lines would take for a flag.
func newTopicID(im *Image, rand Rand) wire.UUID {
	for {
		var id wire.UUID
		high, low := rand(), rand()
		for i := range 8 {
			id[i], id[8+i] = byte(high>>(56-8*i)), byte(low>>(56-8*i))
		}
		id[6] = id[6]&0x0f | 0x40
		id[8] = id[8]&0x3f | 0x80
		if id.String()[0] != '-' && !im.ids.has(id) {
			return id
		}
	}
}

// TopicRef names a topic of a request by name, by id, or wrongly by both or neither.
type TopicRef struct {
	Name  string
	Named bool
	ID    wire.UUID
}

// DeleteTopics decides on the removal of topics, each by itself. A topic that the request names twice stays, in one result.
func DeleteTopics(im *Image, topics []TopicRef) ([]Record, []TopicResult) {
	names, ids := map[string]int{}, map[wire.UUID]int{}
	for _, ref := range topics {
		switch {
		case ref.Named && ref.ID.IsZero():
			names[ref.Name]++
		case !ref.Named && !ref.ID.IsZero():
			ids[ref.ID]++
		}
	}
	var records []Record
	results := make([]TopicResult, 0, len(topics))
	for _, ref := range topics {
		r := TopicResult{Name: ref.Name, Named: ref.Named, ID: ref.ID}
		switch {
		case ref.Named && !ref.ID.IsZero():
			r.Code, r.Message = wire.InvalidRequest, "You may not specify both topic name and topic id."
		case !ref.Named && ref.ID.IsZero():
			r.Code, r.Message = wire.InvalidRequest, "Neither topic name nor id were specified."
		case ref.Named:
			t, n := im.TopicByName(ref.Name), names[ref.Name]
			names[ref.Name] = 0
			switch {
			case n == 0:
				continue
			case n > 1:
				r.Code, r.Message = wire.InvalidRequest, "Duplicate topic name."
			case t == nil:
				r.Code = wire.UnknownTopicOrPartition
			case ids[t.ID] > 0:
				ids[t.ID] = -1
				r.ID, r.Code, r.Message = t.ID, wire.InvalidRequest, "The provided topic name maps to an ID that was already supplied."
			default:
				r.ID = t.ID
				ids[t.ID] = -1
				records = append(records, RemoveTopicRecord{t.ID})
			}
		default:
			t, n := im.TopicByID(ref.ID), ids[ref.ID]
			ids[ref.ID] = -1
			switch {
			case n < 0:
				continue
			case n > 1:
				r.Code, r.Message = wire.InvalidRequest, "Duplicate topic id."
			case t == nil:
				r.Code = wire.UnknownTopicID
			case names[t.Name] > 0:
				names[t.Name] = 0
				r.Name, r.Named, r.Code, r.Message = t.Name, true, wire.InvalidRequest, "The provided topic name maps to an ID that was already supplied."
			default:
				r.Name, r.Named = t.Name, true
				records = append(records, RemoveTopicRecord{t.ID})
			}
		}
		results = append(results, r)
	}
	return records, results
}

// ProducerIDBlock is how many producer ids a broker is granted at a time.
const ProducerIDBlock = 1000

// GrantProducerIDs grants a broker the block of ids that begins at first.
func GrantProducerIDs(im *Image, broker int32, brokerEpoch int64) (rs []Record, first int64, err error) {
	if b := im.Broker(broker); b == nil || b.Epoch != brokerEpoch {
		return nil, 0, wire.StaleBrokerEpoch
	}
	first = im.NextProducerID()
	if first > math.MaxInt64-ProducerIDBlock {
		return nil, 0, wire.UnknownServerError
	}
	return []Record{ProducerIDsRecord{Broker: broker, BrokerEpoch: brokerEpoch, Next: first + ProducerIDBlock}}, first, nil
}

// RegisterBroker registers a broker that is alone, or replaces the registration it had: nobody else could lead, so it keeps what it leads and is not
// fenced. In a cluster brokers join by BrokerRegistration. Its epoch is the offset of the record.
func RegisterBroker(im *Image, b Broker) ([]Record, error) {
	if b.ID < 0 {
		return nil, fmt.Errorf("meta: %d is not a broker id", b.ID)
	}
	b.Epoch = 0
	return []Record{BrokerRegistrationRecord{b}}, nil
}

// LoseTail decides what follows when a broker that registers has lost what it had not synced: nothing when it leads nothing.
func LoseTail(im *Image, broker int32) (rs []Record) {
	im.EachTopic(func(t *Topic) bool {
		if slices.ContainsFunc(t.Partitions, func(p Partition) bool { return p.Leader == broker }) {
			rs = []Record{TailLostRecord{broker}}
		}
		return rs == nil
	})
	return rs
}

// MetadataVersion is the level of the feature metadata.version, that of Kafka 4.4 (4.4-IV2).
const MetadataVersion int16 = 33

// MetadataVersionFeature is the name of that feature.
const MetadataVersionFeature = "metadata.version"

// Bootstrap are the first records of a new cluster's metadata log.
func Bootstrap(clusterID string) []Record {
	return []Record{ClusterRecord{clusterID}, FeatureLevelRecord{MetadataVersionFeature, MetadataVersion}}
}
