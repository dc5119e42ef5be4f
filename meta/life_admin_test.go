package meta

import (
	"fmt"
)

func (l *life) reassign() {
	t, number, ok := l.partition()
	if !ok {
		return
	}
	ask := PartitionReassignment{Topic: t.Name, Partition: number, Cancel: l.r.IntN(3) == 0}
	for _, i := range l.r.Perm(len(l.nodes))[:1+l.r.IntN(3)] {
		ask.Replicas = append(ask.Replicas, int32(i+1))
	}
	rs, results := AlterPartitionReassignments(l.im, []PartitionReassignment{ask}, l.r.IntN(4) == 0, l.rules)
	l.happened["reassign "+results[0].Code.String()]++
	l.decide("reassign", rs)
}

func (l *life) elect() {
	t, number, ok := l.partition()
	if !ok {
		return
	}
	switch l.r.IntN(8) {
	case 0:
		rs, _, err := ElectLeaders(l.im, UncleanElection, []TopicPartitions{{t.Name, []int32{number}}}, l.rules)
		l.must(err)
		l.decide("elect unclean", rs)
	case 1:
		rs, _ := ElectUncleanLeaders(l.im, l.rules)
		l.decide("recover", rs)
	case 2, 3:
		rs, _ := BalanceLeaders(l.im, l.rules)
		l.decide("balance", rs)
	default:
		rs, _, err := ElectLeaders(l.im, PreferredElection, []TopicPartitions{{t.Name, []int32{number}}}, l.rules)
		l.must(err)
		l.decide("elect", rs)
	}
}

// admin creates, grows and deletes topics, and changes their min.insync.replicas.
func (l *life) admin() {
	name := fmt.Sprintf("t%d", l.r.IntN(6))
	set := func(n int) []ConfigValue { return []ConfigValue{{Name: minISRSetting, Value: fmt.Sprint(n)}} }
	switch t := l.im.TopicByName(name); {
	case t == nil:
		configs := set(1 + l.r.IntN(3))
		if l.r.IntN(2) == 0 {
			configs = append(configs, ConfigValue{Name: "millrace.durability", Value: "replicated"})
		}
		if l.r.IntN(4) == 0 {
			configs = append(configs, ConfigValue{Name: "unclean.leader.election.enable", Value: "true"})
		}
		rs, _ := CreateTopics(l.im, []NewTopic{{Name: name, Partitions: 1 + l.r.Int32N(2), ReplicationFactor: 1 + int16(l.r.IntN(3)), Configs: configs}}, l.rules, l.r.Uint64)
		l.decide("create", rs)
	case l.r.IntN(8) == 0:
		rs, _ := DeleteTopics(l.im, []TopicRef{{Name: name, Named: true}})
		l.decide("delete", rs)
	case l.r.IntN(2) == 0 && len(t.Partitions) < 3:
		rs, _ := CreatePartitions(l.im, []MorePartitions{{Name: name, Count: int32(len(t.Partitions)) + 1}}, l.r.Uint64)
		l.decide("more", rs)
	default:
		rs, _ := AlterConfigs(l.im, []ResourceChange{{Resource: Resource{TopicResource, name},
			Changes: []ConfigChange{{Name: minISRSetting, Value: fmt.Sprint(1 + l.r.IntN(3))}}}}, 1, l.rules)
		l.decide("min isr", rs)
	}
}
