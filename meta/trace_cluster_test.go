package meta

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/millrace/millrace/wire"
)

// The commands of traces about several brokers. A broker's incarnations and directories are small numbers: life1, dir1.
//
//	join 1 life=1 dirs=1 rack=a previous=EPOCH intact cluster=ID
//	beat 1 offset=N fence shutdown       a heartbeat; offset is that of the image when left out
//	wait MS
//	expire                               fences the broker that has not been heard of
//	dead 1                               fences it
//	unregister 1
//	isr NAME 0 by=1 isr=1,2@EPOCH leaderEpoch=N partitionEpoch=N recovering    AlterPartition; epochs are the image's when left out
//	elect preferred|unclean NAME:0,1 ... | all
//	reassign NAME 0 1,2,3 same           AlterPartitionReassignments; the replicas, or cancel; same keeps the number of replicas
//	reassigning NAME:0,1 ... | all
//	balance | recover                    what is due now and then: preferred leaders, unclean ones

func traceLife(n int64) wire.UUID { return wire.UUID{0x1c, byte(n)} }
func traceDir(n int64) wire.UUID  { return wire.UUID{0xd0, byte(n)} }

// short names incarnations and directories in what is printed.
var short = func() *strings.Replacer {
	var pairs []string
	for n := range int64(20) {
		pairs = append(pairs, traceLife(n).String(), fmt.Sprintf("life%d", n), traceDir(n).String(), fmt.Sprintf("dir%d", n))
	}
	pairs = append(pairs, wire.UUID{}.String(), "none")
	return strings.NewReplacer(pairs...)
}()

// traceTopicRules stand for the settings as a broker would read them.
func traceTopicRules(im *Image) func(t *Topic) TopicRules {
	return func(t *Topic) TopicRules { return traceRules(im, t) }
}

func traceRules(im *Image, t *Topic) TopicRules {
	get := func(name, def string) string {
		if v, ok := t.Config[name]; ok {
			return v
		}
		if v, ok := im.Config(Resource{BrokerResource, ""})[name]; ok {
			return v
		}
		return def
	}
	n, _ := strconv.Atoi(get(minISRSetting, "1"))
	return TopicRules{MinISR: n, Unclean: get("unclean.leader.election.enable", "false") == "true", Fsync: get("millrace.durability", "fsync") == "fsync"}
}

// sessionTimeout of the traces, in milliseconds.
const sessionTimeout = 1000

func (tr *tracer) clusterBlock(lines []string, rules *Rules) bool {
	switch strings.Fields(lines[0])[0] {
	case "isr":
		by, epoch := int32(0), int64(0)
		var changes []ISRChange
		for _, line := range lines {
			words := strings.Fields(line)
			fields := fieldsOf(words)
			by = int32(tr.number(fields["by"]))
			if b := tr.image.Broker(by); b != nil {
				epoch = b.Epoch
			}
			if v, ok := fields["brokerEpoch"]; ok {
				epoch = tr.number(v)
			}
			changes = append(changes, tr.isrChange(words, fields))
		}
		rs, results, err := AlterPartition(tr.image, by, epoch, changes, rules)
		for i, r := range results {
			if r.Code != wire.None {
				fmt.Fprintf(&tr.out, "%d: %s\n", changes[i].Partition, r.Code.String())
			} else {
				fmt.Fprintf(&tr.out, "%d: leader=%d leaderEpoch=%d partitionEpoch=%d isr=%v minISR=%d recovering=%t\n",
					changes[i].Partition, r.Leader, r.LeaderEpoch, r.PartitionEpoch, r.ISR, r.MinISR, r.Recovering)
			}
		}
		tr.apply(rs, err)
	case "reassign":
		var asked []PartitionReassignment
		same := false
		for _, line := range lines {
			words := strings.Fields(line)
			same = same || slices.Contains(words, "same")
			ask := PartitionReassignment{Topic: words[1], Partition: int32(tr.number(words[2])), Cancel: words[3] == "cancel"}
			if !ask.Cancel && words[3] != "none" {
				ask.Replicas = tr.numbers(words[3])
			}
			asked = append(asked, ask)
		}
		rs, results := AlterPartitionReassignments(tr.image, asked, same, rules)
		tr.partitionResults(results)
		tr.apply(rs, nil)
	default:
		return false
	}
	return true
}

func (tr *tracer) isrChange(words []string, fields map[string]string) ISRChange {
	c := ISRChange{Partition: int32(tr.number(words[2])), Recovering: slices.Contains(words, "recovering"), TopicID: wire.UUID{9}}
	if t := tr.image.TopicByName(words[1]); t != nil {
		c.TopicID = t.ID
		if p := t.Partition(c.Partition); p != nil {
			c.LeaderEpoch, c.PartitionEpoch = p.LeaderEpoch, p.PartitionEpoch
		}
	}
	if v, ok := fields["leaderEpoch"]; ok {
		c.LeaderEpoch = int32(tr.number(v))
	}
	if v, ok := fields["partitionEpoch"]; ok {
		c.PartitionEpoch = int32(tr.number(v))
	}
	for w := range strings.SplitSeq(fields["isr"], ",") {
		if w == "" {
			continue
		}
		id, epoch, ok := strings.Cut(w, "@")
		m := Member{ID: int32(tr.number(id)), Epoch: -1}
		if b := tr.image.Broker(m.ID); b != nil {
			m.Epoch = b.Epoch
		}
		if ok {
			m.Epoch = tr.number(epoch)
		}
		c.ISR = append(c.ISR, m)
	}
	return c
}

func (tr *tracer) clusterLine(words []string, fields map[string]string, rules *Rules) bool {
	switch words[0] {
	case "join":
		r := &Registration{ClusterID: "trace", PreviousEpoch: -1, Intact: slices.Contains(words, "intact")}
		id := tr.number(words[1])
		r.Broker = Broker{ID: int32(id), Rack: fields["rack"], Incarnation: traceLife(1), Directories: []wire.UUID{traceDir(id)},
			Endpoints: []Endpoint{{Name: "PLAINTEXT", Host: "b" + words[1], Port: 9092}}}
		if v, ok := fields["life"]; ok {
			if r.Broker.Incarnation = traceLife(tr.number(v)); v == "0" {
				r.Broker.Incarnation = wire.UUID{}
			}
		}
		if v, ok := fields["dirs"]; ok {
			r.Broker.Directories = nil
			for _, n := range tr.numbers(v) {
				dir := traceDir(int64(n))
				if n == 0 {
					dir = wire.UUID{15: 1}
				}
				r.Broker.Directories = append(r.Broker.Directories, dir)
			}
		}
		if v, ok := fields["previous"]; ok {
			r.PreviousEpoch = tr.number(v)
		}
		if v, ok := fields["cluster"]; ok {
			r.ClusterID = v
		}
		tr.apply(BrokerRegistration(tr.image, tr.sessions, r, tr.now, rules))
	case "beat":
		h := &Heartbeat{Broker: int32(tr.number(words[1])), Epoch: -1, Offset: tr.image.Index(),
			WantFence: slices.Contains(words, "fence"), WantShutdown: slices.Contains(words, "shutdown")}
		if b := tr.image.Broker(h.Broker); b != nil {
			h.Epoch = b.Epoch
		}
		if v, ok := fields["offset"]; ok {
			h.Offset = tr.number(v)
		}
		if v, ok := fields["epoch"]; ok {
			h.Epoch = tr.number(v)
		}
		tr.sessions.Touch(tr.image, h, tr.now)
		rs, a, err := BrokerHeartbeat(tr.image, tr.sessions, h, rules)
		if err == nil {
			fmt.Fprintf(&tr.out, "caughtUp=%t fenced=%t shutDown=%t\n", a.CaughtUp, a.Fenced, a.ShutDown)
		}
		tr.apply(rs, err)
	case "wait":
		tr.now += tr.number(words[1])
	case "expire":
		id, ok := tr.sessions.Expired(tr.image, tr.now)
		if !ok {
			fmt.Fprintln(&tr.out, "nobody")
			break
		}
		tr.apply(FenceBroker(tr.image, id, tr.image.Broker(id).Epoch, rules))
	case "dead":
		id := int32(tr.number(words[1]))
		epoch := int64(-1)
		if b := tr.image.Broker(id); b != nil {
			epoch = b.Epoch
		}
		tr.sessions.Forget(id)
		tr.apply(FenceBroker(tr.image, id, epoch, rules))
	case "unregister":
		tr.apply(UnregisterBroker(tr.image, int32(tr.number(words[1])), rules))
	case "elect":
		kind := map[string]ElectionType{"preferred": PreferredElection, "unclean": UncleanElection, "other": 7}[words[1]]
		rs, results, err := ElectLeaders(tr.image, kind, tr.topicPartitions(words[2:]), rules)
		tr.partitionResults(results)
		tr.apply(rs, err)
	case "reassigning":
		for _, r := range ListPartitionReassignments(tr.image, tr.topicPartitions(words[1:])) {
			fmt.Fprintf(&tr.out, "%s:%d replicas=%v adding=%v removing=%v\n", r.Topic, r.Partition, r.Replicas, r.Adding, r.Removing)
		}
	case "balance", "recover":
		decide := BalanceLeaders
		if words[0] == "recover" {
			decide = ElectUncleanLeaders
		}
		rs, more := decide(tr.image, rules)
		fmt.Fprintf(&tr.out, "more=%t\n", more)
		tr.apply(rs, nil)
	default:
		return false
	}
	return true
}

func (tr *tracer) partitionResults(results []PartitionResult) {
	for _, r := range results {
		if r.Code == wire.None {
			fmt.Fprintf(&tr.out, "%s:%d: ok\n", r.Topic, r.Partition)
		} else {
			fmt.Fprintln(&tr.out, strings.TrimSpace(fmt.Sprintf("%s:%d: %s %s", r.Topic, r.Partition, r.Code.String(), r.Message)))
		}
	}
}

func (tr *tracer) topicPartitions(words []string) []TopicPartitions {
	if slices.Contains(words, "all") {
		return nil
	}
	topics := []TopicPartitions{}
	for _, w := range words {
		name, numbers, _ := strings.Cut(w, ":")
		topics = append(topics, TopicPartitions{name, tr.numbers(numbers)})
	}
	return topics
}

func fieldsOf(words []string) map[string]string {
	fields := map[string]string{}
	for _, w := range words {
		if k, v, ok := strings.Cut(w, "="); ok {
			fields[k] = v
		}
	}
	return fields
}
