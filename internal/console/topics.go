package console

import (
	"github.com/millrace/millrace/broker"
)

// How many series a topic and a partition have, for the limit.
const (
	seriesOfTopic     = 12
	seriesOfPartition = 11
)

// totals are all topics together.
type totals struct {
	topics, led int
	sum         broker.PartitionStats
}

// topic puts what is a topic's own.
func topic(out *sink, t *broker.TopicStats) {
	out.gauge("millrace_topic_durability", "1, with the durability mode of the topic.", 1, "topic", t.Name, "mode", t.Durability)
	traffic(out, t.Name, &t.Sum.Counts)
	compatible(out, t.Name, &t.Sum.Counts)
	out.gauge("kafka_topic_partitions", "Partitions of the topic that this broker leads.", float64(t.Led), "topic", t.Name)
}

// traffic puts bytes and records. All topics together are topic="" here only when topics are not shown.
func traffic(out *sink, topic string, c *broker.Counts) {
	const bytes, records = "Bytes of records that clients have sent to a topic, and that it has sent to them.", "Records that clients have sent to a topic."
	out.counter("millrace_topic_bytes_total", bytes, float64(c.BytesIn), "topic", topic, "dir", "in")
	out.counter("millrace_topic_bytes_total", bytes, float64(c.BytesOut), "topic", topic, "dir", "out")
	out.counter("millrace_topic_records_total", records, float64(c.RecordsIn), "topic", topic, "dir", "in")
}

// compatible puts the same and more under the names of Kafka's MBeans. As there, topic="" is all topics together.
func compatible(out *sink, topic string, c *broker.Counts) {
	for _, m := range []struct {
		name, help string
		value      int64
	}{
		{"bytesin", "Bytes of records appended for clients.", c.BytesIn},
		{"bytesout", "Bytes of records sent to clients.", c.BytesOut},
		{"messagesin", "Records appended for clients.", c.RecordsIn},
		{"totalproducerequests", "Produce requests, once for each partition they name.", c.Produces},
		{"totalfetchrequests", "Fetch requests, once for each partition they name.", c.Fetches},
		{"failedproducerequests", "Produce requests that failed for reasons of the broker, once for each partition.", c.FailedProduces},
		{"failedfetchrequests", "Fetch requests that failed for reasons of the broker, once for each partition.", c.FailedFetches},
	} {
		out.counter("kafka_server_brokertopicmetrics_"+m.name+"_total", m.help, float64(m.value), "topic", topic)
	}
}

// partition puts one partition, or the sum of a topic's: then index is "".
func partition(out *sink, topic, index string, p *broker.PartitionStats) {
	put := func(name, help string, value int64) {
		out.gauge(name, help, float64(value), "topic", topic, "partition", index)
	}
	put("kafka_log_log_size", "Bytes of the log.", p.Size)
	put("kafka_cluster_partition_underminisr", "1 when the ISR is smaller than min.insync.replicas.", int64(p.UnderMinISR))
	put("kafka_cluster_partition_atminisr", "1 when the ISR is as large as min.insync.replicas asks for.", int64(p.AtMinISR))
	put("kafka_cluster_partition_replicascount", "Replicas.", int64(p.Replicas))
	put("kafka_topic_partition_current_offset", "First offset that consumers may not see yet.", p.Visible)
	put("kafka_topic_partition_oldest_offset", "First offset there is.", p.LogStart)
	put("kafka_topic_partition_replicas", "Replicas.", int64(p.Replicas))
	put("kafka_topic_partition_in_sync_replica", "Replicas in sync.", int64(p.InISR))
	put("kafka_topic_partition_under_replicated_partition", "1 when replicas are not in sync.", int64(p.UnderReplicated))
	put("kafka_topic_partition_leader_is_preferred", "1 when the first of its replicas leads the partition; of a topic, when that is so of all of them.", int64(p.Preferred))
	if index != "" {
		put("kafka_topic_partition_leader", "Broker that leads the partition.", int64(p.Leader))
	}
}
