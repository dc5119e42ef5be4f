package console

import (
	"github.com/millrace/millrace/broker"
)

// How many series a group has for a topic, and for a partition.
const (
	seriesOfGroupTopic     = 5
	seriesOfGroupPartition = 3
)

// cluster puts the brokers under kafka_exporter's names.
func cluster(out *sink, n *broker.NodeStats) {
	out.gauge("kafka_brokers", "Brokers of the cluster.", float64(len(n.Brokers)))
	for _, b := range n.Brokers {
		out.gauge("kafka_broker_info", "1, with a broker's id and where it is.", 1, "id", number(b.ID), "address", b.Address)
	}
}

// consumers puts one group under kafka_exporter's names.
func consumers(out *sink, g *broker.GroupStats, partitions bool) {
	out.gauge("kafka_consumergroup_members", "Members of the group.", float64(g.Members), "consumergroup", g.Name)
	for i := range g.Topics {
		t := &g.Topics[i]
		offset(out, g.Name, t.Topic, "", &t.Sum, !partitions)
		for j := range t.Partitions {
			offset(out, g.Name, t.Topic, number(t.Partitions[j].Partition), &t.Partitions[j], true)
		}
	}
}

// offset puts a committed offset: of a partition, or the sum of those of a topic, which alone is both.
func offset(out *sink, group, topic, partition string, o *broker.OffsetStats, alone bool) {
	const current, lag = "Committed offset.", "Records from the committed offset to the first that consumers may not see yet; never negative."
	if partition == "" {
		out.gauge("kafka_consumergroup_current_offset_sum", "Committed offsets of the topic, added up.", float64(o.Offset), "consumergroup", group, "topic", topic)
		if o.Lag >= 0 {
			out.gauge("kafka_consumergroup_lag_sum", "Lag of the partitions of the topic, added up.", float64(o.Lag), "consumergroup", group, "topic", topic)
		}
	}
	if !alone {
		return
	}
	out.gauge("kafka_consumergroup_current_offset", current, float64(o.Offset), "consumergroup", group, "topic", topic, "partition", partition)
	if o.Lag >= 0 {
		out.gauge("kafka_consumergroup_lag", lag, float64(o.Lag), "consumergroup", group, "topic", topic, "partition", partition)
	}
}
