package meta

import (
	"errors"

	"github.com/millrace/millrace/wire"
)

// Rand returns 64 random bits. Topic ids and the placement of replicas are drawn from it.
type Rand func() uint64

// Rules are what the controller's decisions take from the broker's configuration.
type Rules struct {
	Partitions        int32                                   // num.partitions
	ReplicationFactor int16                                   // default.replication.factor
	CheckConfig       func(overrides map[string]string) error // of a topic; nil: everything is allowed
}

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

// TopicResult is what became of one topic of a request. Code 0 is success; the other fields but Name and Message count only then.
type TopicResult struct {
	Name              string
	ID                wire.UUID
	Code              wire.Code
	Message           string
	Partitions        int32
	ReplicationFactor int16
	Config            map[string]string
}

// TopicRef names a topic by id, or by name when the id is zero.
type TopicRef struct {
	Name string
	ID   wire.UUID
}

// CreateTopics decides on new topics, each by itself: the records create those whose result has code 0.
func CreateTopics(im *Image, topics []NewTopic, rules *Rules, rand Rand) ([]Record, []TopicResult) {
	return nil, nil
}

// DeleteTopics decides on the removal of topics.
func DeleteTopics(im *Image, topics []TopicRef) ([]Record, []TopicResult) { return nil, nil }

// ProducerIDBlock is how many producer ids a broker is granted at a time.
const ProducerIDBlock = 1000

// GrantProducerIDs grants a broker the block of ids that begins at first.
func GrantProducerIDs(im *Image, broker int32, brokerEpoch int64) (rs []Record, first int64, err error) {
	return nil, 0, errors.New("meta: not yet")
}

// RegisterBroker registers a broker, unfenced, or replaces the registration it had.
func RegisterBroker(im *Image, b Broker) ([]Record, error) { return nil, errors.New("meta: not yet") }
