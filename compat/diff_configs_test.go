//go:build compat

package compat

import (
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

var configConversations = []talking{
	{name: "brokerconfigs", alone: true, speak: brokerConfigs},
	{name: "topicconfigs", speak: topicConfigs},
	{name: "incremental", speak: incrementalAlter},
	{name: "alter", speak: alterConfigs},
}

const (
	aTopic  = kmsg.ConfigResourceTypeTopic
	aBroker = kmsg.ConfigResourceTypeBroker
)

func describeConfigs(kind kmsg.ConfigResourceType, name string, keys ...string) *kmsg.DescribeConfigsRequest {
	r := kmsg.NewPtrDescribeConfigsRequest()
	r.IncludeSynonyms = true
	r.Resources = append(r.Resources, kmsg.DescribeConfigsRequestResource{ResourceType: kind, ResourceName: name, ConfigNames: keys})
	return r
}

// change is one setting in an incremental request: key=value, -key (delete), key+=value, key-=value.
func change(s string) kmsg.IncrementalAlterConfigsRequestResourceConfig {
	c := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
	if name, ok := strings.CutPrefix(s, "-"); ok {
		c.Name, c.Op = name, kmsg.IncrementalAlterConfigOpDelete
		return c
	}
	name, value, _ := strings.Cut(s, "=")
	c.Name, c.Value = name, &value
	if short, ok := strings.CutSuffix(name, "+"); ok {
		c.Name, c.Op = short, kmsg.IncrementalAlterConfigOpAppend
	} else if short, ok := strings.CutSuffix(name, "-"); ok {
		c.Name, c.Op = short, kmsg.IncrementalAlterConfigOpSubtract
	}
	return c
}

func changes(kind kmsg.ConfigResourceType, name string, all ...string) *kmsg.IncrementalAlterConfigsRequest {
	r := kmsg.NewPtrIncrementalAlterConfigsRequest()
	resource := kmsg.IncrementalAlterConfigsRequestResource{ResourceType: kind, ResourceName: name}
	for _, s := range all {
		resource.Configs = append(resource.Configs, change(s))
	}
	r.Resources = append(r.Resources, resource)
	return r
}

func replacement(kind kmsg.ConfigResourceType, name string, all ...string) *kmsg.AlterConfigsRequest {
	r := kmsg.NewPtrAlterConfigsRequest()
	resource := kmsg.AlterConfigsRequestResource{ResourceType: kind, ResourceName: name}
	for _, s := range all {
		key, value, _ := strings.Cut(s, "=")
		resource.Configs = append(resource.Configs, kmsg.AlterConfigsRequestResourceConfig{Name: key, Value: &value})
	}
	r.Resources = append(r.Resources, resource)
	return r
}

func topicConfigs(c *talk) {
	a := c.topic("a", 1, "retention.ms=1000000", "cleanup.policy=compact,delete", "max.message.bytes=2000000")
	c.each(kmsg.DescribeConfigs, func(v int16) {
		r := describeConfigs(aTopic, a)
		r.IncludeDocumentation = true
		c.ask("all of a topic", v, r)
		r = describeConfigs(aTopic, a)
		r.IncludeSynonyms = false
		c.ask("without synonyms", v, r)
		c.ask("some", v, describeConfigs(aTopic, a, "retention.ms", "cleanup.policy", "no.such", "retention.ms"))
		r = describeConfigs(aTopic, a)
		r.Resources[0].ConfigNames = []string{}
		r.IncludeSynonyms = false
		c.ask("an empty list", v, r)
		c.ask("unknown", v, describeConfigs(aTopic, c.own("unknown")))
		c.ask("no name", v, describeConfigs(aTopic, ""))
		c.ask("a bad name", v, describeConfigs(aTopic, "a/b"))
		c.ask("broker x", v, describeConfigs(aBroker, "x"))
		c.ask("broker 2", v, describeConfigs(aBroker, "2"))
		c.ask("broker -1", v, describeConfigs(aBroker, "-1"))
		for _, kind := range []int8{0, 1, 3, 5, 64, 99, -1} {
			c.ask("of a kind that is none, "+itoa(int(kind)), v, describeConfigs(kmsg.ConfigResourceType(kind), a))
		}
		for _, kind := range []int8{16, 32} {
			c.ask("of kind "+itoa(int(kind)), v, describeConfigs(kmsg.ConfigResourceType(kind), "nobody"))
			c.ask("of kind "+itoa(int(kind))+" without a name", v, describeConfigs(kmsg.ConfigResourceType(kind), ""))
		}
		twice := describeConfigs(aTopic, a, "retention.ms")
		twice.Resources = append(twice.Resources, describeConfigs(aTopic, a, "segment.ms").Resources...)
		twice.Resources = append(twice.Resources, describeConfigs(aTopic, c.own("unknown")).Resources...)
		c.ask("twice, and one unknown", v, twice)
		c.ask("nothing", v, kmsg.NewPtrDescribeConfigsRequest())
	})
}

// settled asks for a topic's settings until one of them has a value, which Kafka's broker learns after its controller has answered.
func (c *talk) settled(kind kmsg.ConfigResourceType, name, key, value string) {
	until(c.speaker, key+"="+value, 4, describeConfigs(kind, name, key), func(r *kmsg.DescribeConfigsResponse) bool {
		for _, resource := range r.Resources {
			for _, s := range resource.Configs {
				if s.Value != nil && *s.Value == value {
					return true
				}
			}
		}
		return false
	})
}

func incrementalAlter(c *talk) {
	c.each(kmsg.IncrementalAlterConfigs, func(v int16) {
		a := c.topic("a"+itoa(int(v)), 1, "cleanup.policy=delete")
		say := func(label string, all ...string) { c.ask(label, v, changes(aTopic, a, all...)) }
		// show what came of it; marker is a setting that makes the change visible.
		marker := 1_000_000
		show := func() {
			marker++
			c.quiet(1, changes(aTopic, a, "flush.ms="+itoa(marker)))
			c.settled(aTopic, a, "flush.ms", itoa(marker))
			c.ask("what came of it", 4, describeConfigs(aTopic, a, "cleanup.policy", "retention.ms", "max.message.bytes", "min.insync.replicas", "compression.type",
				"leader.replication.throttled.replicas", "segment.bytes", "message.timestamp.type", "min.compaction.lag.ms", "max.compaction.lag.ms"))
		}
		say("set two", "retention.ms=5000", "max.message.bytes=1234567")
		show()
		only := changes(aTopic, a, "retention.ms=6000")
		only.ValidateOnly = true
		c.ask("only to see", v, only)
		only = changes(aTopic, a, "retention.ms=never")
		only.ValidateOnly = true
		c.ask("only to see, and bad", v, only)
		show()
		say("append", "cleanup.policy+=compact")
		show()
		say("append what is there", "cleanup.policy+=compact")
		show()
		say("subtract", "cleanup.policy-=delete")
		show()
		say("subtract what is not there", "cleanup.policy-=delete")
		show()
		say("subtract the last", "cleanup.policy-=compact")
		show()
		say("append two", "leader.replication.throttled.replicas+=0:1,1:1")
		say("subtract one of two", "leader.replication.throttled.replicas-=0:1")
		show()
		say("append to a number", "retention.ms+=7")
		say("subtract from a number", "retention.ms-=7")
		say("append to a string", "compression.type+=gzip")
		say("append rubbish", "cleanup.policy+=forget")
		show()
		say("delete", "-retention.ms")
		say("delete what is not set", "-segment.ms")
		say("delete what there is not", "-no.such")
		show()
		say("unknown", "no.such=1")
		say("a broker's", "log.retention.ms=1")
		say("no number", "retention.ms=soon")
		say("too small", "segment.bytes=13")
		say("too large", "segment.bytes=2147483648")
		say("empty", "retention.ms=")
		say("one good, one bad", "retention.ms=77", "segment.bytes=13")
		show()
		say("a pair that cannot be", "min.compaction.lag.ms=20", "max.compaction.lag.ms=10")
		say("half of it", "min.compaction.lag.ms=20")
		say("and the other half", "max.compaction.lag.ms=10")
		show()
		say("the same twice", "retention.ms=1", "retention.ms=2")
		say("set and delete", "retention.ms=1", "-retention.ms")
		say("a name that is empty", "=1")
		say("nothing")
		null := changes(aTopic, a, "retention.ms=1")
		null.Resources[0].Configs[0].Value = nil
		c.ask("without a value", v, null)
		for _, op := range []int8{4, 9, -1} {
			odd := changes(aTopic, a, "retention.ms=1")
			odd.Resources[0].Configs[0].Op = kmsg.IncrementalAlterConfigOp(op)
			c.ask("operation "+itoa(int(op)), v, odd)
		}
		odd := changes(aTopic, a, "retention.ms=1")
		odd.Resources[0].Configs[0].Op, odd.Resources[0].Configs[0].Value = kmsg.IncrementalAlterConfigOpDelete, ptr("7")
		c.ask("delete with a value", v, odd)
		show()
		c.ask("unknown topic", v, changes(aTopic, c.own("unknown"), "retention.ms=1"))
		c.ask("no topic", v, changes(aTopic, "", "retention.ms=1"))
		c.ask("a bad name", v, changes(aTopic, "a/b", "retention.ms=1"))
		for _, kind := range []int8{0, 1, 3, 64, 99} {
			c.ask("of kind "+itoa(int(kind)), v, changes(kmsg.ConfigResourceType(kind), a, "retention.ms=1"))
		}
		for _, kind := range []int8{16, 32} {
			c.ask("of kind "+itoa(int(kind))+", unknown", v, changes(kmsg.ConfigResourceType(kind), "nobody", "no.such=1"))
			c.ask("of kind "+itoa(int(kind))+", no name", v, changes(kmsg.ConfigResourceType(kind), "", "no.such=1"))
		}
		twice := changes(aTopic, a, "retention.ms=8000")
		twice.Resources = append(twice.Resources, changes(aTopic, a, "retention.ms=9000").Resources...)
		c.ask("the same resource twice", v, twice)
		more := changes(aTopic, a, "retention.ms=8000")
		more.Resources = append(more.Resources, changes(aTopic, c.own("unknown"), "retention.ms=9000").Resources...)
		c.ask("one good, one unknown", v, more)
		show()
		c.ask("nothing at all", v, kmsg.NewPtrIncrementalAlterConfigsRequest())
	})
}

func alterConfigs(c *talk) {
	c.each(kmsg.AlterConfigs, func(v int16) {
		a := c.topic("a"+itoa(int(v)), 1, "cleanup.policy=compact", "retention.ms=1")
		marker := 1_000_000
		say := func(label string, all ...string) { c.ask(label, v, replacement(aTopic, a, all...)) }
		show := func() {
			marker++
			c.quiet(1, changes(aTopic, a, "flush.ms="+itoa(marker)))
			c.settled(aTopic, a, "flush.ms", itoa(marker))
			c.ask("what came of it", 4, describeConfigs(aTopic, a, "cleanup.policy", "retention.ms", "max.message.bytes", "segment.bytes"))
		}
		say("two", "retention.ms=5000", "max.message.bytes=1234567")
		show()
		only := replacement(aTopic, a, "retention.ms=6000")
		only.ValidateOnly = true
		c.ask("only to see", v, only)
		show()
		say("none")
		show()
		say("unknown", "no.such=1")
		say("no number", "retention.ms=soon")
		say("too small", "segment.bytes=13")
		say("one good, one bad", "retention.ms=77", "segment.bytes=13")
		say("the same twice", "retention.ms=1", "retention.ms=2")
		null := replacement(aTopic, a, "retention.ms=1")
		null.Resources[0].Configs[0].Value = nil
		c.ask("without a value", v, null)
		show()
		c.ask("unknown topic", v, replacement(aTopic, c.own("unknown"), "retention.ms=1"))
		c.ask("no topic", v, replacement(aTopic, "", "retention.ms=1"))
		for _, kind := range []int8{0, 1, 8, 64, 99} {
			c.ask("of kind "+itoa(int(kind)), v, replacement(kmsg.ConfigResourceType(kind), a, "retention.ms=1"))
		}
	})
}

// brokerConfigs changes settings of the broker and puts them back.
func brokerConfigs(c *talk) {
	a := c.topic("a", 1)
	c.each(kmsg.DescribeConfigs, func(v int16) {
		c.ask("all of the broker", v, describeConfigs(aBroker, "1"))
		c.ask("all brokers' defaults", v, describeConfigs(aBroker, ""))
		c.ask("loggers", v, describeConfigs(kmsg.ConfigResourceTypeBrokerLogger, "1", "no.such"))
		c.ask("loggers of another", v, describeConfigs(kmsg.ConfigResourceTypeBrokerLogger, "2"))
		c.ask("loggers of none", v, describeConfigs(kmsg.ConfigResourceTypeBrokerLogger, ""))
	})
	keys := []string{"message.max.bytes", "log.retention.ms", "log.retention.hours", "log.cleanup.policy", "log.segment.bytes", "num.io.threads", "log.flush.interval.ms", "min.insync.replicas"}
	marker := 1_000_000
	show := func() {
		marker++
		c.ask("marked", 1, changes(aBroker, "", "log.flush.interval.ms="+itoa(marker)))
		c.settled(aBroker, "1", "log.flush.interval.ms", itoa(marker))
		c.ask("the broker now", 4, describeConfigs(aBroker, "1", keys...))
		c.ask("the defaults now", 4, describeConfigs(aBroker, ""))
		c.ask("a topic now", 4, describeConfigs(aTopic, a, "max.message.bytes", "retention.ms", "cleanup.policy", "segment.bytes", "min.insync.replicas"))
	}
	c.each(kmsg.IncrementalAlterConfigs, func(v int16) {
		for _, who := range []string{"", "1"} {
			say := func(label string, all ...string) {
				c.ask("of broker '"+who+"', "+label, v, changes(aBroker, who, all...))
			}
			say("set", "message.max.bytes=2000000", "log.retention.ms=7200000")
			show()
			only := changes(aBroker, who, "message.max.bytes=3000000")
			only.ValidateOnly = true
			c.ask("only to see", v, only)
			say("append", "log.cleanup.policy+=compact")
			show()
			say("subtract", "log.cleanup.policy-=delete")
			show()
			say("read-only", "broker.rack=x")
			say("fixed", "node.id=7")
			say("static", "num.partitions=7")
			say("unknown", "no.such=7")
			say("a topic's", "retention.ms=7")
			say("no number", "message.max.bytes=many")
			say("too small", "message.max.bytes=-1")
			say("append to a number", "message.max.bytes+=1")
			say("per broker", "listener.security.protocol.map=PLAINTEXT:PLAINTEXT")
			say("delete", "-message.max.bytes", "-log.retention.ms", "-log.cleanup.policy")
			say("delete what is not set", "-log.segment.bytes")
			show()
		}
		c.ask("another broker", v, changes(aBroker, "2", "message.max.bytes=2000000"))
		c.ask("a broker and a topic", v, func() *kmsg.IncrementalAlterConfigsRequest {
			r := changes(aBroker, "1", "message.max.bytes=3000000")
			r.Resources = append(r.Resources, changes(aTopic, a, "retention.ms=5").Resources...)
			return r
		}())
		c.settled(aTopic, a, "retention.ms", "5")
		c.settled(aBroker, "1", "message.max.bytes", "3000000")
		c.ask("both back", v, func() *kmsg.IncrementalAlterConfigsRequest {
			r := changes(aBroker, "1", "-message.max.bytes")
			r.Resources = append(r.Resources, changes(aTopic, a, "-retention.ms").Resources...)
			return r
		}())
		logger := kmsg.ConfigResourceTypeBrokerLogger
		c.ask("a logger", v, changes(logger, "1", "kafka.server.KafkaApis=LOUD"))
		c.ask("a logger of nobody", v, changes(logger, "2", "kafka.server.KafkaApis=WARN"))
		c.ask("no broker", v, changes(aBroker, "x", "message.max.bytes=2000000"))
		c.quiet(1, changes(aBroker, "2", "-message.max.bytes"))
	})
	c.each(kmsg.AlterConfigs, func(v int16) {
		for _, who := range []string{"", "1"} {
			say := func(label string, all ...string) {
				c.ask("of broker '"+who+"', "+label, v, replacement(aBroker, who, all...))
			}
			say("replaced", "message.max.bytes=2000000", "log.segment.bytes=104857600")
			c.settled(aBroker, "1", "message.max.bytes", "2000000")
			show()
			say("no number", "message.max.bytes=many")
			say("fixed", "node.id=7")
			say("replaced by less", "log.segment.bytes=104857601")
			show()
		}
		c.ask("another broker", v, replacement(aBroker, "2"))
		c.ask("no broker", v, replacement(aBroker, "x"))
	})
	c.ask("a topic made meanwhile", 7, creation(topicOf(c.own("b"), 1, 1)))
	c.ask("all of it back", 2, replacement(aBroker, "1"))
	c.ask("all of it back", 2, replacement(aBroker, ""))
	c.settled(aBroker, "1", "log.segment.bytes", "1073741824")
	c.ask("a topic at the end", 4, describeConfigs(aTopic, a))
}
