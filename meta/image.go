// Package meta knows what the cluster is: brokers, topics, partitions, settings and the ids handed out so far, as one
// immutable Image, the records that change it, and the controller's decisions about it.
//
// A decision (controller.go) reads an image and answers with records. The quorum room makes the records durable and
// gives them to Apply, the only way an image comes to change. Everybody else keeps the image he loaded: it never changes
// under him. Nothing in this package reads a clock, draws a random number or depends on the order of a map, so every
// node that applies the same records has the same image, and Hash tells whether that is so.
package meta

import (
	"github.com/millrace/millrace/wire"
)

// NoLeader is the leader of a partition that has none.
const NoLeader int32 = -1

// Image is the state of the cluster after the record at Index. It is immutable, and so is everything it hands out.
type Image struct {
	index          int64 // offset of the last applied record; -1 before the first
	clusterID      string
	features       sorted[string, int16]
	brokers        sorted[int32, *Broker]
	topics         sorted[string, *Topic]
	ids            sorted[wire.UUID, *Topic] // the same topics
	shapes         sorted[string, string]    // see shapeOf; only names that contain '.' or '_'
	settings       sorted[Resource, map[string]string]
	nextProducerID int64
	partitions     int // in all topics
	configBytes    int // see ConfigBytes
}

// Topic is one topic; immutable.
type Topic struct {
	Name       string
	ID         wire.UUID
	Config     map[string]string // the settings that differ from the broker's; nil when there are none
	Partitions []Partition       // by partition number
}

// Partition is the state of one partition; immutable. Partitions with the same replicas share their lists.
type Partition struct {
	Replicas         []int32       // the first is the preferred leader
	ISR              []int32       // the replicas that are in sync
	ELR              []int32       // eligible leaders outside the ISR (KIP-966): they have all that was ever below the high watermark
	LastKnownELR     []int32       // who led last, while nobody leads
	Dirs             []wire.UUID   // of the log directory of each of Replicas, zero when unknown; nil when all are
	Reassignment     *Reassignment // nil: none is going on
	Leader           int32         // or NoLeader
	LeaderEpoch      int32         // grows with every change of leader
	PartitionEpoch   int32         // grows with every change of any field
	LastUncleanEpoch int32         // leader epoch of the last unclean election, kept for ever; 0: there was none
	Recovering       bool          // since an unclean election, until the leader says that it has recovered
}

// Reassignment is a change of replicas that waits for the new ones to be in sync. Until then Replicas are all of them, the old and the new.
type Reassignment struct {
	Adding   []int32 // were no replicas before
	Removing []int32 // will be none afterwards
}

// Broker is one registered broker; immutable.
type Broker struct {
	ID             int32
	Epoch          int64     // offset of the record that registered it
	Incarnation    wire.UUID // new with every start of the process
	Endpoints      []Endpoint
	Rack           string // "" when it has none
	Fenced         bool   // registered, but leads nothing
	ShutdownOffset int64  // of the last record that told of its controlled shutdown; 0: it is in none
	Directories    []wire.UUID
}

// Endpoint is where a broker listens. An empty Host means that the broker advertises the address a client reached.
type Endpoint struct {
	Name     string // the listener's name
	Host     string
	Port     int
	Protocol int16 // Kafka's security protocol: 0 PLAINTEXT, 1 SSL, 2 SASL_PLAINTEXT, 3 SASL_SSL
}

// ResourceType says what a Resource names; the numbers are Kafka's.
type ResourceType int8

const (
	TopicResource  ResourceType = 2
	BrokerResource ResourceType = 4
)

// Resource names what a setting belongs to. For brokers Name is the id in decimal, or "" for all brokers.
type Resource struct {
	Type ResourceType
	Name string
}

// Empty is the image before the first record.
func Empty() *Image { return &Image{index: -1} }

// Index is the offset of the last applied record, -1 when there is none.
func (im *Image) Index() int64 { return im.index }

// ClusterID is the cluster's id, "" before the record that states it.
func (im *Image) ClusterID() string { return im.clusterID }

// NextProducerID is the first producer id that has not been granted to any broker.
func (im *Image) NextProducerID() int64 { return im.nextProducerID }

// Feature returns the finalized level of a feature, 0 when it is not finalized.
func (im *Image) Feature(name string) int16 {
	level, _ := im.features.get(name)
	return level
}

// EachFeature calls f for every finalized feature in the order of their names, until f returns false.
func (im *Image) EachFeature(f func(name string, level int16) bool) { im.features.each(f) }

// TopicByName returns the topic of that name, or nil.
func (im *Image) TopicByName(name string) *Topic {
	t, _ := im.topics.get(name)
	return t
}

// TopicByID returns the topic with that id, or nil.
func (im *Image) TopicByID(id wire.UUID) *Topic {
	t, _ := im.ids.get(id)
	return t
}

// EachTopic calls f for every topic in the order of their names, until f returns false.
func (im *Image) EachTopic(f func(*Topic) bool) {
	im.topics.each(func(_ string, t *Topic) bool { return f(t) })
}

// TopicCount is the number of topics.
func (im *Image) TopicCount() int { return im.topics.count }

// ConfigBytes is about what the settings of all resources take.
func (im *Image) ConfigBytes() int { return im.configBytes }

// PartitionCount is the number of partitions of all topics together.
func (im *Image) PartitionCount() int { return im.partitions }

// Broker returns the broker with that id, fenced or not, or nil.
func (im *Image) Broker(id int32) *Broker {
	b, _ := im.brokers.get(id)
	return b
}

// EachBroker calls f for every registered broker in the order of their ids, until f returns false.
func (im *Image) EachBroker(f func(*Broker) bool) {
	im.brokers.each(func(_ int32, b *Broker) bool { return f(b) })
}

// BrokerCount is the number of registered brokers, fenced ones included.
func (im *Image) BrokerCount() int { return im.brokers.count }

// Config returns the dynamic settings of a resource, nil when there are none. The map must not be changed.
func (im *Image) Config(r Resource) map[string]string {
	if r.Type == TopicResource {
		if t := im.TopicByName(r.Name); t != nil {
			return t.Config
		}
		return nil
	}
	m, _ := im.settings.get(r)
	return m
}

// Partition returns partition number p of the topic, or nil when it has no such partition.
func (t *Topic) Partition(p int32) *Partition {
	if p < 0 || int(p) >= len(t.Partitions) {
		return nil
	}
	return &t.Partitions[p]
}

// MinISR is how many replicas must be in sync for the high watermark to advance, where configured is the topic's min.insync.replicas: no more
// than the partition has, those not counted that a reassignment adds. Leader and controller must agree on it, or the controller would call
// eligible whom the leader no longer waits for.
func (p *Partition) MinISR(configured int) int {
	n := len(p.Replicas)
	if p.Reassignment != nil {
		n -= len(p.Reassignment.Adding)
	}
	return max(1, min(configured, n))
}

// active tells whether a broker with that id is registered and may lead and be in sync.
func (im *Image) active(id int32) bool {
	b := im.Broker(id)
	return b != nil && !b.Fenced && b.ShutdownOffset == 0
}

// Endpoint returns the broker's endpoint on the listener of that name, or nil.
func (b *Broker) Endpoint(listener string) *Endpoint {
	for i := range b.Endpoints {
		if b.Endpoints[i].Name == listener {
			return &b.Endpoints[i]
		}
	}
	return nil
}
