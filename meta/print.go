package meta

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Describe prints a record on one line, for traces and the offline dump.
func Describe(r Record) string {
	switch r := r.(type) {
	case TopicRecord:
		return fmt.Sprintf("topic %s id=%s", r.Name, r.ID)
	case PartitionRecord:
		return fmt.Sprintf("partition %s/%d %s", r.TopicID, r.Number, r.Partition)
	case PartitionChangeRecord:
		var b strings.Builder
		fmt.Fprintf(&b, "partition change %s/%d", r.TopicID, r.Number)
		if r.Leader != LeaderUnchanged {
			fmt.Fprintf(&b, " leader=%d", r.Leader)
		}
		for _, f := range []struct {
			name string
			ids  []int32
		}{{"replicas", r.Replicas}, {"isr", r.ISR}, {"elr", r.ELR}, {"lastKnownElr", r.LastKnownELR}, {"adding", r.Adding}, {"removing", r.Removing}} {
			if f.ids != nil {
				fmt.Fprintf(&b, " %s=%v", f.name, f.ids)
			}
		}
		if r.Dirs != nil {
			fmt.Fprintf(&b, " dirs=%v", r.Dirs)
		}
		if r.Unclean {
			b.WriteString(" unclean")
		}
		if r.Recovered {
			b.WriteString(" recovered")
		}
		return b.String()
	case RemoveTopicRecord:
		return fmt.Sprintf("remove topic id=%s", r.ID)
	case ConfigRecord:
		if r.Remove {
			return fmt.Sprintf("config %s remove %s", r.Resource, r.Name)
		}
		return fmt.Sprintf("config %s %s=%q", r.Resource, r.Name, r.Value)
	case BrokerRegistrationRecord:
		return fmt.Sprintf("register %s", &r.Broker)
	case BrokerFenceRecord:
		return fmt.Sprintf("fence broker=%d epoch=%d fenced=%t", r.ID, r.Epoch, r.Fenced)
	case BrokerShutdownRecord:
		return fmt.Sprintf("shut down broker=%d epoch=%d", r.ID, r.Epoch)
	case UnregisterBrokerRecord:
		return fmt.Sprintf("unregister broker=%d epoch=%d", r.ID, r.Epoch)
	case ProducerIDsRecord:
		return fmt.Sprintf("producer ids broker=%d epoch=%d next=%d", r.Broker, r.BrokerEpoch, r.Next)
	case FeatureLevelRecord:
		return fmt.Sprintf("feature %s=%d", r.Name, r.Level)
	case ClusterRecord:
		return fmt.Sprintf("cluster id=%s", r.ID)
	case TailLostRecord:
		return fmt.Sprintf("tail lost broker=%d", r.Broker)
	}
	return fmt.Sprintf("%T", r)
}

// String prints the whole image, one thing a line, in an order that depends on nothing but its content.
func (im *Image) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "index %d; cluster %q; next producer id %d; %d topics, %d partitions\n",
		im.index, im.clusterID, im.nextProducerID, im.TopicCount(), im.partitions)
	im.EachFeature(func(name string, level int16) bool {
		fmt.Fprintf(&b, "feature %s=%d\n", name, level)
		return true
	})
	im.EachBroker(func(br *Broker) bool {
		fmt.Fprintf(&b, "%s\n", br)
		return true
	})
	im.settings.each(func(r Resource, m map[string]string) bool {
		fmt.Fprintf(&b, "config %s%s\n", r, settings(m))
		return true
	})
	im.EachTopic(func(t *Topic) bool {
		fmt.Fprintf(&b, "topic %s id=%s%s\n", t.Name, t.ID, settings(t.Config))
		for i := range t.Partitions {
			fmt.Fprintf(&b, "  %d %s\n", i, t.Partitions[i])
		}
		return true
	})
	return b.String()
}

func settings(m map[string]string) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(m)) {
		fmt.Fprintf(&b, " %s=%q", name, m[name])
	}
	return b.String()
}

// String prints the partition's state.
func (p Partition) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "replicas=%v isr=%v", p.Replicas, p.ISR)
	if len(p.ELR) > 0 {
		fmt.Fprintf(&b, " elr=%v", p.ELR)
	}
	if len(p.LastKnownELR) > 0 {
		fmt.Fprintf(&b, " lastKnownElr=%v", p.LastKnownELR)
	}
	if p.Reassignment != nil {
		fmt.Fprintf(&b, " adding=%v removing=%v", p.Reassignment.Adding, p.Reassignment.Removing)
	}
	fmt.Fprintf(&b, " leader=%d leaderEpoch=%d partitionEpoch=%d", p.Leader, p.LeaderEpoch, p.PartitionEpoch)
	if p.LastUncleanEpoch != 0 {
		fmt.Fprintf(&b, " lastUncleanEpoch=%d", p.LastUncleanEpoch)
	}
	if p.Recovering {
		b.WriteString(" recovering")
	}
	if len(p.Dirs) > 0 {
		fmt.Fprintf(&b, " dirs=%v", p.Dirs)
	}
	return b.String()
}

// String prints the registration.
func (br *Broker) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "broker %d brokerEpoch=%d", br.ID, br.Epoch)
	if br.Rack != "" {
		fmt.Fprintf(&b, " rack=%s", br.Rack)
	}
	if br.Fenced {
		b.WriteString(" fenced")
	}
	if br.ShutdownOffset != 0 {
		fmt.Fprintf(&b, " shutdownOffset=%d", br.ShutdownOffset)
	}
	for _, e := range br.Endpoints {
		fmt.Fprintf(&b, " %s://%s:%d", e.Name, e.Host, e.Port)
	}
	if !br.Incarnation.IsZero() {
		fmt.Fprintf(&b, " incarnation=%s", br.Incarnation)
	}
	if len(br.Directories) > 0 {
		fmt.Fprintf(&b, " dirs=%v", br.Directories)
	}
	return b.String()
}

// String names the resource as Kafka's tools do.
func (r Resource) String() string {
	switch {
	case r.Type == TopicResource:
		return "topic " + r.Name
	case r.Type == BrokerResource && r.Name == "":
		return "brokers (default)"
	case r.Type == BrokerResource:
		return "broker " + r.Name
	}
	return fmt.Sprintf("resource type %d %s", r.Type, r.Name)
}
