//go:build compat

package compat

import (
	"github.com/twmb/franz-go/pkg/kmsg"
)

// What may be asked about replicas and leaders where there is one broker, and another that does not exist.
var replicaConversations = []talking{
	{name: "elections", speak: elections},
	{name: "reassignments", speak: reassignments},
	{name: "unregister", speak: unregister},
}

func elections(c *talk) {
	a := c.topic("a", 3)
	of := func(topic string, partitions ...int32) kmsg.ElectLeadersRequestTopic {
		return kmsg.ElectLeadersRequestTopic{Topic: topic, Partitions: partitions}
	}
	c.each(kmsg.ElectLeaders, func(v int16) {
		for _, kind := range []int8{0, 1} {
			ask := func(label string, topics ...kmsg.ElectLeadersRequestTopic) {
				r := kmsg.NewPtrElectLeadersRequest()
				r.ElectionType, r.Topics, r.TimeoutMillis = kind, topics, 20_000
				c.ask(label+", kind "+itoa(int(kind)), v, r)
			}
			ask("a topic", of(a, 0, 2))
			ask("what is not there", of(a, 7, -1), of(c.own("unknown"), 0), of("", 0), of("a/b", 0))
			ask("nothing", []kmsg.ElectLeadersRequestTopic{}...)
			ask("no partitions", of(a))
		}
		r := kmsg.NewPtrElectLeadersRequest()
		r.ElectionType, r.Topics = 5, []kmsg.ElectLeadersRequestTopic{of(a, 0), of(c.own("unknown"), 1)}
		c.ask("of no kind", v, r)
	})
}

func reassignments(c *talk) {
	a := c.topic("a", 3)
	type partition = kmsg.AlterPartitionAssignmentsRequestTopicPartition
	list := func(label string, topics ...kmsg.ListPartitionReassignmentsRequestTopic) {
		r := kmsg.NewPtrListPartitionReassignmentsRequest()
		r.Topics = topics
		c.ask(label, 0, r)
	}
	c.each(kmsg.AlterPartitionAssignments, func(v int16) {
		for _, sizeToo := range []bool{true, false} {
			ask := func(label, topic string, partitions ...partition) {
				r := kmsg.NewPtrAlterPartitionAssignmentsRequest()
				r.TimeoutMillis, r.AllowReplicationFactorChange = 20_000, sizeToo
				r.Topics = []kmsg.AlterPartitionAssignmentsRequestTopic{{Topic: topic, Partitions: partitions}}
				c.ask(label, v, r)
			}
			ask("where it is", a, partition{Partition: 0, Replicas: []int32{1}})
			ask("back from nothing", a, partition{Partition: 0})
			ask("to nobody", a, partition{Partition: 0, Replicas: []int32{}})
			ask("to who is not there", a, partition{Partition: 0, Replicas: []int32{1, 2}}, partition{Partition: 1, Replicas: []int32{-1}})
			ask("twice to one", a, partition{Partition: 0, Replicas: []int32{1, 1}})
			ask("of what is not there", a, partition{Partition: 9, Replicas: []int32{1}}, partition{Partition: -1})
			ask("of a topic that is not there", c.own("unknown"), partition{Partition: 0, Replicas: []int32{1}}, partition{Partition: 1})
			ask("of a topic with a bad name", "a/b", partition{Partition: 0, Replicas: []int32{1}})
			ask("of no partition", a)
		}
		c.ask("of nothing", v, kmsg.NewPtrAlterPartitionAssignmentsRequest())
	})
	list("a topic", kmsg.ListPartitionReassignmentsRequestTopic{Topic: a, Partitions: []int32{0, 1, 9}})
	list("a topic that is not there", kmsg.ListPartitionReassignmentsRequestTopic{Topic: c.own("unknown"), Partitions: []int32{0}})
	list("all")
	list("nothing", []kmsg.ListPartitionReassignmentsRequestTopic{}...)
}

// unregister: nobody who is there.
func unregister(c *talk) {
	for _, id := range []int32{99, 0, -1} {
		r := kmsg.NewPtrUnregisterBrokerRequest()
		r.BrokerID = id
		c.ask("of "+itoa(int(id)), 0, r)
	}
}
