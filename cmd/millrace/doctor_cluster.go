package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// examine looks at the cluster.
func (cl *cluster) examine(ctx context.Context, flags *clientFlags, d *doctor, roundTrip bool) {
	m, err := cl.MetadataWithInternal(ctx)
	begin := time.Now()
	err = errors.Join(err, cl.raw.Ping(ctx)) // the metadata may be remembered from before
	took := since(begin)
	if err != nil {
		d.add(check{"broker", broken, explain(err).message, "see its log"})
		return
	}
	d.add(check{"broker", healthy, fmt.Sprintf("%s answers in %s: cluster %s, %s", strings.Join(flags.brokers, ","), took, m.Cluster, counted(len(m.Brokers), "broker")), ""})
	if m.Controller < 0 {
		d.add(check{"controller", broken, "there is none: topics can be neither made nor changed", "start the controllers, or see their logs"})
	} else {
		d.add(check{"controller", healthy, fmt.Sprintf("broker %d", m.Controller), ""})
	}
	watched, idleErr := cl.idleGroups(ctx) // looked at twice, with everything else in between
	first := time.Now()
	d.add(cl.listeners(ctx, flags.brokers, m.Brokers))
	d.add(cl.apis(ctx))
	d.add(cl.brokerSettings(ctx, m.Brokers, "auto.create.topics.enable", "true", "automatic topics",
		"a name with a typing error becomes a topic", "millrace topic create makes topics; set auto.create.topics.enable=false in server.properties"))
	d.add(cl.brokerSettings(ctx, m.Brokers, "unclean.leader.election.enable", "true", "unclean elections",
		"a replica that is behind may become leader, and what it lacks is lost", "set unclean.leader.election.enable=false"))
	for _, c := range cl.partitionChecks(ctx, m) {
		d.add(c)
	}
	if roundTrip {
		for _, c := range cl.roundTrip(ctx, flags) {
			d.add(c)
		}
	} else {
		d.add(cl.quorumClock(ctx))
	}
	d.add(cl.growing(ctx, watched, idleErr, first))
}

func since(begin time.Time) string { return time.Since(begin).Round(100 * time.Microsecond).String() }

// listeners calls every broker where it says it is: a client goes there whatever address it began with.
func (cl *cluster) listeners(ctx context.Context, seeds []string, brokers kadm.BrokerDetails) check {
	const name = "advertised listeners"
	var wrong, there []string
	for _, b := range brokers {
		address := net.JoinHostPort(b.Host, strconv.Itoa(int(b.Port)))
		one, cancel := context.WithTimeout(ctx, cl.timeout)
		_, err := kmsg.NewPtrApiVersionsRequest().RequestWith(one, cl.raw.Broker(int(b.NodeID)))
		cancel()
		if err != nil {
			wrong = append(wrong, fmt.Sprintf("broker %d says it is at %s, but %s", b.NodeID, address, whyNot(err)))
		} else {
			there = append(there, address)
		}
	}
	switch {
	case len(wrong) > 0:
		return check{name, broken, strings.Join(wrong, "; "), "set advertised.listeners of that broker to an address that clients can reach"}
	case slices.ContainsFunc(seeds, func(s string) bool { return !loopback(s) }) && slices.ContainsFunc(there, loopback):
		return check{name, doubtful, strings.Join(there, ", ") + ": clients on other machines are sent to themselves", "set advertised.listeners to an address that clients can reach"}
	}
	return check{name, healthy, strings.Join(there, ", "), ""}
}

func loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = address
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// whyNot is why a broker did not answer, in few words.
func whyNot(err error) string {
	var dial *net.OpError
	switch {
	case errors.As(err, &dial) && dial.Op == "dial":
		return reason(dial)
	case errors.Is(err, context.DeadlineExceeded):
		return "nobody answers"
	}
	return err.Error()
}

// apis compares what the brokers can with each other and with what this program asks of them.
func (cl *cluster) apis(ctx context.Context) check {
	const name = "api versions"
	ctx, cancel := context.WithTimeout(ctx, cl.timeout)
	defer cancel()
	answers, err := cl.ApiVersions(ctx)
	if err != nil {
		return check{name, unknown, explain(err).message, ""}
	}
	speaks := map[string][]string{}
	var lacks []string
	found := ""
	for _, one := range answers.Sorted() {
		if one.Err != nil {
			continue // the listeners' check says so
		}
		var all strings.Builder
		one.EachKeySorted(func(key, low, high int16) { fmt.Fprintf(&all, "%d:%d-%d ", key, low, high) })
		found = fmt.Sprint(len(one.Raw().ApiKeys))
		if kafka := release(one.Raw()); kafka != nil {
			found += ", as Kafka " + *kafka
		}
		speaks[all.String()] = append(speaks[all.String()], fmt.Sprintf("%d (%s)", one.NodeID, found))
		for _, key := range asked {
			if _, _, ok := one.KeyVersions(key); !ok && !slices.Contains(lacks, kmsg.NameForKey(key)) {
				lacks = append(lacks, kmsg.NameForKey(key))
			}
		}
	}
	switch {
	case len(speaks) > 1:
		var groups []string
		for _, ids := range speaks {
			groups = append(groups, strings.Join(ids, ", "))
		}
		slices.Sort(groups)
		return check{name, doubtful, "brokers differ: " + strings.Join(groups, " / "), "finish the upgrade"}
	case len(lacks) > 0:
		return check{name, doubtful, "the brokers lack " + strings.Join(lacks, ", "), "commands that need them fail; newer brokers have them"}
	}
	if found == "" {
		return check{name, unknown, "no broker answered", ""}
	}
	return check{name, healthy, found, ""}
}

// asked are the APIs that the commands of this program need.
var asked = []int16{0, 1, 2, 3, 8, 9, 10, 11, 12, 13, 14, 15, 16, 18, 19, 20, 21, 22, 32, 35, 37, 42, 44, 47, 60}

// brokerSettings warns when a setting of any broker has a value that it better had not.
func (cl *cluster) brokerSettings(ctx context.Context, brokers kadm.BrokerDetails, key, bad, name, why, fix string) check {
	ctx, cancel := context.WithTimeout(ctx, cl.timeout)
	defer cancel()
	ids := brokers.NodeIDs()
	all, err := cl.DescribeBrokerConfigs(ctx, ids...)
	if err != nil && !partial(err) {
		return check{name, unknown, explain(err).message, ""}
	}
	var on []string
	seen := false
	for _, r := range all {
		for _, c := range r.Configs {
			if c.Key == key {
				seen = true
				if strings.EqualFold(c.MaybeValue(), bad) {
					on = append(on, r.Name)
				}
			}
		}
	}
	switch {
	case !seen:
		return check{name, unknown, "no broker says what its " + key + " is", ""}
	case len(on) > 0:
		slices.Sort(on)
		return check{name, doubtful, fmt.Sprintf("%s is %s (broker %s): %s", key, bad, strings.Join(on, ", "), why), fix}
	}
	return check{name, healthy, "off", ""}
}

// partitionChecks looks at leaders, replicas in sync, and how many there are.
func (cl *cluster) partitionChecks(ctx context.Context, m kadm.Metadata) []check {
	h := health(m.Topics)
	var checks []check
	if n := len(h.Offline); n > 0 {
		checks = append(checks, check{"offline partitions", broken, fmt.Sprintf("%s: %s", counted(n, "partition"), named(h.Offline)), "start the brokers that hold them; millrace topic describe shows which"})
	} else {
		checks = append(checks, check{"offline partitions", healthy, "none of " + thousands(int64(partitionCount(m.Topics))), ""})
	}
	if n := len(h.UnderReplicated); n > 0 {
		checks = append(checks, check{"replicas in sync", doubtful, fmt.Sprintf("not all, of %s: %s", counted(n, "partition"), named(h.UnderReplicated)), "see whether a broker is down or its disk or network is slow"})
	} else {
		checks = append(checks, check{"replicas in sync", healthy, "all", ""})
	}
	checks = append(checks, cl.minInSync(ctx, m.Topics))
	var single []string
	for _, t := range m.Topics.Sorted() {
		if len(m.Brokers) > 1 && len(t.Partitions) > 0 && t.Partitions.NumReplicas() == 1 {
			single = append(single, t.Topic)
		}
	}
	switch {
	case len(m.Brokers) == 1:
		checks = append(checks, check{"replication", healthy, "there is one broker, so there is one copy of everything", ""})
	case len(single) > 0:
		checks = append(checks, check{"replication", doubtful, fmt.Sprintf("one copy only of %s: %s", counted(len(single), "topic"), firstOf(single)), "make topics with -r 3, and set default.replication.factor=3"})
	default:
		checks = append(checks, check{"replication", healthy, "every topic has more than one copy", ""})
	}
	return checks
}

func partitionCount(topics kadm.TopicDetails) (n int) {
	for _, t := range topics {
		n += len(t.Partitions)
	}
	return n
}

func firstOf(names []string) string {
	const shown = 5
	if len(names) > shown+1 {
		return strings.Join(names[:shown], ", ") + fmt.Sprintf(", and %d more", len(names)-shown)
	}
	return strings.Join(names, ", ")
}

// minInSync finds partitions that take no records of producers that want acks=all.
func (cl *cluster) minInSync(ctx context.Context, topics kadm.TopicDetails) check {
	const name, key = "min.insync.replicas", "min.insync.replicas"
	ctx, cancel := context.WithTimeout(ctx, cl.timeout)
	defer cancel()
	request := kmsg.NewPtrDescribeConfigsRequest()
	for _, topic := range topics.Names() {
		one := kmsg.NewDescribeConfigsRequestResource()
		one.ResourceType, one.ResourceName, one.ConfigNames = kmsg.ConfigResourceTypeTopic, topic, []string{key}
		request.Resources = append(request.Resources, one)
	}
	if len(request.Resources) == 0 {
		return check{name, healthy, "there are no topics", ""}
	}
	response, err := request.RequestWith(ctx, cl.raw)
	if err != nil {
		return check{name, unknown, explain(err).message, ""}
	}
	var below, never []partitionName
	for _, r := range response.Resources {
		for _, c := range r.Configs {
			if c.Name != key || c.Value == nil {
				continue
			}
			least, err := strconv.Atoi(*c.Value)
			if err != nil {
				continue
			}
			for _, p := range topics[r.ResourceName].Partitions.Sorted() {
				switch {
				case least > len(p.Replicas):
					never = append(never, partitionName{r.ResourceName, p.Partition})
				case len(p.ISR) < least:
					below = append(below, partitionName{r.ResourceName, p.Partition})
				}
			}
		}
	}
	switch {
	case len(below) > 0:
		return check{name, broken, fmt.Sprintf("too few in sync for acks=all: %s (%s)", counted(len(below), "partition"), named(below)), "start the brokers that are down"}
	case len(never) > 0:
		return check{name, broken, fmt.Sprintf("more than there are replicas, so acks=all never works: %s (%s)", counted(len(never), "partition"), named(never)), "lower it: millrace config set topic/NAME min.insync.replicas=1"}
	}
	return check{name, healthy, "every partition has enough in sync", ""}
}

// quorumClock reads the controller's clock, which the metadata quorum tells with its state.
func (cl *cluster) quorumClock(ctx context.Context) check {
	const name = "broker clock"
	ctx, cancel := context.WithTimeout(ctx, cl.timeout)
	defer cancel()
	request := kmsg.NewPtrDescribeQuorumRequest()
	topic := kmsg.NewDescribeQuorumRequestTopic()
	topic.Topic = "__cluster_metadata"
	topic.Partitions = append(topic.Partitions, kmsg.NewDescribeQuorumRequestTopicPartition())
	request.Topics = append(request.Topics, topic)
	begin := time.Now()
	response, err := request.RequestWith(ctx, cl.raw)
	took := time.Since(begin)
	if err == nil {
		for _, t := range response.Topics {
			for _, p := range t.Partitions {
				for _, v := range p.CurrentVoters {
					if v.ReplicaID == p.LeaderID && v.LastCaughtUpTimestamp > 0 { // of the leader itself it is the time now
						return skew(name, time.UnixMilli(v.LastCaughtUpTimestamp), begin, took)
					}
				}
			}
		}
	}
	return check{name, unknown, "no API of these brokers tells it", "--round-trip measures it"}
}

// skew compares a time told by a broker with ours, at some moment of a request.
func skew(name string, told, begin time.Time, took time.Duration) check {
	ahead := told.Sub(begin.Add(took / 2))
	off := max(ahead.Abs()-took/2-time.Millisecond, 0) // what a slow answer explains is no difference
	if off == 0 {
		return check{name, healthy, "as ours, within " + (took/2 + time.Millisecond).Round(time.Millisecond).String(), ""}
	}
	found := off.Round(time.Millisecond).String() + " behind ours"
	if ahead > 0 {
		found = off.Round(time.Millisecond).String() + " ahead of ours"
	}
	const fix = "run chrony, ntpd or systemd-timesyncd on both machines"
	switch {
	case off > 10*time.Second:
		return check{name, broken, found + ": timestamps, retention and @TIME positions are wrong by that", fix}
	case off > 500*time.Millisecond:
		return check{name, doubtful, found, fix}
	}
	return check{name, healthy, found, ""}
}

// roundTrip writes and reads one record in a topic that the broker stamps with its own time.
func (cl *cluster) roundTrip(ctx context.Context, flags *clientFlags) []check {
	const name, clock = "round trip", "broker clock"
	topic := fmt.Sprintf("millrace-doctor-%d", time.Now().UnixNano())
	stamp := "LogAppendTime"
	fail := func(what string, err error) []check {
		return []check{{name, broken, what + ": " + explain(err).message, "see the broker's log"}}
	}
	created, err := cl.CreateTopic(ctx, 1, -1, map[string]*string{"message.timestamp.type": &stamp}, topic)
	if err = errors.Join(err, created.Err); err != nil {
		return fail("cannot make the topic "+topic, err)
	}
	defer func() {
		after, cancel := context.WithTimeout(context.WithoutCancel(ctx), cl.timeout)
		defer cancel()
		_, _ = cl.DeleteTopic(after, topic) // the next run is not disturbed by one that stayed
	}()
	client, err := flags.connect(ctx, kgo.DefaultProduceTopic(topic), kgo.ConsumeTopics(topic), kgo.RecordDeliveryTimeout(flags.timeout), kgo.UnknownTopicRetries(10))
	if err != nil {
		return fail("cannot connect", err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, 2*cl.timeout)
	defer cancel()
	if err := client.ProduceSync(ctx, kgo.StringRecord("warm")).FirstErr(); err != nil { // the first one waits for connections
		return fail("cannot write", err)
	}
	begin := time.Now()
	written, err := client.ProduceSync(ctx, kgo.StringRecord("doctor")).First()
	if err != nil {
		return fail("cannot write", err)
	}
	acked := time.Since(begin)
	for {
		fetches := client.PollFetches(ctx)
		if err := cmp.Or(fetches.Err(), ctx.Err()); err != nil {
			return fail("cannot read what was written", err)
		}
		for _, r := range fetches.Records() {
			if r.Offset == written.Offset {
				return []check{{name, healthy, fmt.Sprintf("written and acknowledged in %s, read after %s", acked.Round(100*time.Microsecond), since(begin)), ""}, skew(clock, r.Timestamp, begin, acked)}
			}
		}
	}
}

// idleGroups are those that nobody reads for, and that are behind.
func (cl *cluster) idleGroups(ctx context.Context) (map[string]int64, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*cl.timeout)
	defer cancel()
	groups, err := cl.lags(ctx)
	if err != nil {
		return nil, err
	}
	idle := map[string]int64{}
	for _, g := range groups {
		if len(g.Members) == 0 && g.Lag != nil && *g.Lag > 0 {
			idle[g.Name] = *g.Lag
		}
	}
	return idle, nil
}

// growing looks at those groups again, a second later.
func (cl *cluster) growing(ctx context.Context, before map[string]int64, err error, first time.Time) check {
	const name = "groups"
	if err != nil {
		return check{name, unknown, explain(err).message, ""}
	}
	if len(before) == 0 {
		return check{name, healthy, "every group that is behind has members", ""}
	}
	select {
	case <-time.After(time.Until(first.Add(time.Second))):
	case <-ctx.Done():
		return check{name, unknown, "interrupted", ""}
	}
	after, err := cl.idleGroups(ctx)
	if err != nil {
		return check{name, unknown, explain(err).message, ""}
	}
	return grown(before, after, time.Since(first).Round(100*time.Millisecond))
}

// grown compares the lags of groups that nobody reads for.
func grown(before, after map[string]int64, took time.Duration) check {
	const name = "groups"
	var grew, stopped []string
	for group, lag := range before {
		switch now, ok := after[group]; {
		case ok && now > lag:
			grew = append(grew, fmt.Sprintf("%s by %s to %s", group, thousands(now-lag), thousands(now)))
		case ok:
			stopped = append(stopped, group)
		}
	}
	slices.Sort(grew)
	slices.Sort(stopped)
	switch {
	case len(grew) > 0:
		return check{name, doubtful, fmt.Sprintf("no members and a lag that grew in %s: %s", took, firstOf(grew)), "start their consumers, or delete them: millrace group delete"}
	case len(stopped) > 0:
		return check{name, healthy, fmt.Sprintf("behind without members, but the lag does not grow: %s", firstOf(stopped)), ""}
	}
	return check{name, healthy, "every group that is behind has members", ""}
}
