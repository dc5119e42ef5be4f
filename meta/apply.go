package meta

import (
	"fmt"
	"maps"
	"slices"

	"github.com/millrace/millrace/wire"
)

// Apply returns the image after the records, of which the first lies at offset index of the metadata log. The receiver
// stays as it is; what the records did not touch is shared. An error means that the records cannot follow this image:
// the log is damaged, or two builds disagree about it. There is no image then.
func (im *Image) Apply(rs []Record, index int64) (*Image, error) {
	if index <= im.index {
		return nil, fmt.Errorf("meta: records at offset %d follow an image at offset %d", index, im.index)
	}
	e := edit{Image: *im}
	for i, r := range rs {
		if err := e.apply(r, index+int64(i), rs[i+1:]); err != nil {
			return nil, fmt.Errorf("meta: record at offset %d: %w", index+int64(i), err)
		}
	}
	e.Image.index = max(im.index, index+int64(len(rs))-1)
	return &e.Image, nil
}

// edit is an image while records are applied to it: a shallow copy, whose fields are replaced, never changed in place.
// Topics that this edit has copied already are its own and do change in place, or 10,000 partitions of one topic would copy it 10,000 times.
type edit struct {
	Image
	own         map[wire.UUID]*Topic
	ownSettings map[Resource]bool // their maps, likewise
	lists       lists
}

// apply applies r, which lies at offset; rest are the records that follow it.
func (e *edit) apply(r Record, offset int64, rest []Record) error {
	switch r := r.(type) {
	case TopicRecord:
		return e.createTopic(r, rest)
	case PartitionRecord:
		return e.createPartition(r)
	case PartitionChangeRecord:
		return e.changePartition(r)
	case RemoveTopicRecord:
		return e.removeTopic(r)
	case ConfigRecord:
		return e.setConfig(r)
	case BrokerRegistrationRecord:
		b := r.Broker
		if b.Epoch == 0 {
			b.Epoch = offset
		}
		e.brokers = e.brokers.put(b.ID, &b)
	case BrokerFenceRecord:
		return e.changeBroker(r.ID, r.Epoch, func(b *Broker) { b.Fenced = r.Fenced })
	case BrokerShutdownRecord:
		return e.changeBroker(r.ID, r.Epoch, func(b *Broker) { b.ShutdownOffset = offset })
	case UnregisterBrokerRecord:
		if _, err := e.registration(r.ID, r.Epoch); err != nil {
			return err
		}
		e.brokers = e.brokers.remove(r.ID)
	case ProducerIDsRecord:
		if r.Next <= e.nextProducerID {
			return fmt.Errorf("producer ids below %d are granted, cannot grant below %d", e.nextProducerID, r.Next)
		}
		e.nextProducerID = r.Next
	case FeatureLevelRecord:
		if r.Level == 0 {
			e.features = e.features.remove(r.Name)
		} else {
			e.features = e.features.put(r.Name, r.Level)
		}
	case ClusterRecord:
		if e.clusterID != "" && e.clusterID != r.ID {
			return fmt.Errorf("the cluster's id is %s, not %s", e.clusterID, r.ID)
		}
		e.clusterID = r.ID
	case TailLostRecord:
		e.raiseLeaderEpochs(r.Broker)
	default:
		return fmt.Errorf("no rule for %T", r)
	}
	return nil
}

// registration returns the broker, provided that it is registered with that epoch.
func (e *edit) registration(id int32, epoch int64) (*Broker, error) {
	b := e.Broker(id)
	if b == nil || b.Epoch != epoch {
		return nil, fmt.Errorf("no broker %d with epoch %d is registered", id, epoch)
	}
	return b, nil
}

func (e *edit) changeBroker(id int32, epoch int64, change func(*Broker)) error {
	old, err := e.registration(id, epoch)
	if err != nil {
		return err
	}
	b := *old
	change(&b)
	e.brokers = e.brokers.put(id, &b)
	return nil
}

func (e *edit) createTopic(r TopicRecord, rest []Record) error {
	if r.ID == (wire.UUID{}) {
		return fmt.Errorf("topic %q without an id", r.Name)
	}
	if e.topics.has(r.Name) {
		return fmt.Errorf("topic %q exists", r.Name)
	}
	if e.ids.has(r.ID) {
		return fmt.Errorf("a topic with id %s exists", r.ID)
	}
	if shape, ok := shapeOf(r.Name); ok {
		e.shapes = e.shapes.put(shape, r.Name)
	}
	// The partitions come right behind their topic and its settings: make room for all of them at once.
	partitions := 0
	for _, next := range rest {
		if p, ok := next.(PartitionRecord); ok && p.TopicID == r.ID {
			partitions++
		} else if _, ok := next.(ConfigRecord); !ok {
			break
		}
	}
	e.adopt(&Topic{Name: r.Name, ID: r.ID, Partitions: make([]Partition, 0, partitions)})
	return nil
}

// claim notes a topic that nobody else has seen: this edit may change it.
func (e *edit) claim(t *Topic) *Topic {
	if e.own == nil {
		e.own = map[wire.UUID]*Topic{}
	}
	e.own[t.ID] = t
	return t
}

// adopt puts a topic that nobody else has seen into the image.
func (e *edit) adopt(t *Topic) *Topic {
	e.claim(t)
	e.topics = e.topics.put(t.Name, t)
	e.ids = e.ids.put(t.ID, t)
	return t
}

// change returns the topic as a copy that this edit may change; its settings and partitions are still shared.
func (e *edit) change(id wire.UUID) (*Topic, error) {
	if t := e.own[id]; t != nil {
		return t, nil
	}
	old := e.TopicByID(id)
	if old == nil {
		return nil, fmt.Errorf("no topic has id %s", id)
	}
	return e.adopt(old.copy()), nil
}

// copy has partitions of its own; what these hold, and the settings, are still shared.
func (t *Topic) copy() *Topic {
	c := *t
	c.Partitions = slices.Clone(t.Partitions)
	return &c
}

func (e *edit) createPartition(r PartitionRecord) error {
	t, err := e.change(r.TopicID)
	if err != nil {
		return err
	}
	if int(r.Number) != len(t.Partitions) {
		return fmt.Errorf("partition %d of topic %s cannot follow partition %d", r.Number, t.Name, len(t.Partitions)-1)
	}
	p := e.lists.shared(r.Partition)
	if err := p.check(); err != nil {
		return fmt.Errorf("partition %d of topic %s: %w", r.Number, t.Name, err)
	}
	t.Partitions = append(t.Partitions, p)
	e.partitions++
	return nil
}

func (e *edit) changePartition(r PartitionChangeRecord) error {
	t, err := e.change(r.TopicID)
	if err != nil {
		return err
	}
	p := t.Partition(r.Number)
	if p == nil {
		return fmt.Errorf("topic %s has no partition %d", t.Name, r.Number)
	}
	next := e.lists.after(*p, &r)
	if err := next.check(); err != nil {
		return fmt.Errorf("partition %d of topic %s: %w", r.Number, t.Name, err)
	}
	*p = next
	return nil
}

// raiseLeaderEpochs begins a new leader epoch in every partition that the broker leads. It may touch every topic, so it makes the maps
// anew in one pass, instead of copying a chunk for each topic.
func (e *edit) raiseLeaderEpochs(broker int32) {
	leads := func(p Partition) bool { return p.Leader == broker }
	e.topics = e.topics.mapped(func(t *Topic) *Topic {
		if !slices.ContainsFunc(t.Partitions, leads) {
			return t
		}
		if e.own[t.ID] == nil {
			t = e.claim(t.copy())
		}
		for i := range t.Partitions {
			if p := &t.Partitions[i]; leads(*p) {
				p.LeaderEpoch++
				p.PartitionEpoch++
			}
		}
		return t
	})
	e.ids = e.ids.mapped(func(t *Topic) *Topic {
		if own := e.own[t.ID]; own != nil {
			return own
		}
		return t
	})
}

func (e *edit) removeTopic(r RemoveTopicRecord) error {
	t := e.TopicByID(r.ID)
	if t == nil {
		return fmt.Errorf("no topic has id %s", r.ID)
	}
	e.topics = e.topics.remove(t.Name)
	e.ids = e.ids.remove(t.ID)
	delete(e.own, t.ID)
	delete(e.ownSettings, Resource{TopicResource, t.Name})
	if shape, ok := shapeOf(t.Name); ok {
		e.shapes = e.shapes.remove(shape)
	}
	e.partitions -= len(t.Partitions)
	e.configBytes -= settingsSize(t.Config)
	return nil
}

func (e *edit) setConfig(r ConfigRecord) error {
	if r.Resource.Type != TopicResource {
		if m := e.withSetting(e.Config(r.Resource), r); len(m) == 0 {
			e.settings = e.settings.remove(r.Resource)
			delete(e.ownSettings, r.Resource)
		} else {
			e.settings = e.settings.put(r.Resource, m)
		}
		return nil
	}
	t := e.TopicByName(r.Resource.Name)
	if t == nil {
		return fmt.Errorf("no topic is named %q", r.Resource.Name)
	}
	t, err := e.change(t.ID)
	if err != nil {
		return err
	}
	if t.Config = e.withSetting(t.Config, r); len(t.Config) == 0 {
		t.Config = nil
		delete(e.ownSettings, r.Resource)
	}
	return nil
}

// withSetting returns m with the setting of r. Maps that this edit has made are its own and change in place.
func (e *edit) withSetting(m map[string]string, r ConfigRecord) map[string]string {
	if !e.ownSettings[r.Resource] {
		if e.ownSettings == nil {
			e.ownSettings = map[Resource]bool{}
		}
		e.ownSettings[r.Resource] = true
		if m = maps.Clone(m); m == nil {
			m = map[string]string{}
		}
	}
	if value, had := m[r.Name]; had {
		e.configBytes -= settingSize(r.Name, value)
	}
	if r.Remove {
		delete(m, r.Name)
		return m
	}
	e.configBytes += settingSize(r.Name, r.Value)
	m[r.Name] = r.Value
	return m
}
