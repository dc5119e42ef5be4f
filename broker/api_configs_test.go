package broker

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/wire"
	"github.com/millrace/millrace/wire/record"
)

const (
	ofTopic  = kmsg.ConfigResourceTypeTopic
	ofBroker = kmsg.ConfigResourceTypeBroker
)

// incremental makes a resource of IncrementalAlterConfigs of k=v, -k, k+=v and k-=v; k=null is null.
func incremental(kind kmsg.ConfigResourceType, name string, changes ...string) kmsg.IncrementalAlterConfigsRequestResource {
	r := kmsg.NewIncrementalAlterConfigsRequestResource()
	r.ResourceType, r.ResourceName = kind, name
	for _, change := range changes {
		c := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
		key, value, _ := strings.Cut(change, "=")
		switch {
		case strings.HasPrefix(key, "-"):
			c.Op, c.Name = kmsg.IncrementalAlterConfigOpDelete, key[1:]
		case strings.HasSuffix(key, "+"):
			c.Op, c.Name, c.Value = kmsg.IncrementalAlterConfigOpAppend, key[:len(key)-1], &value
		case strings.HasSuffix(key, "-"):
			c.Op, c.Name, c.Value = kmsg.IncrementalAlterConfigOpSubtract, key[:len(key)-1], &value
		default:
			c.Name, c.Value = key, &value
		}
		if value == "null" {
			c.Value = nil
		}
		r.Configs = append(r.Configs, c)
	}
	return r
}

func (a *adminNode) alterConfigs(resources ...kmsg.IncrementalAlterConfigsRequestResource) []kmsg.IncrementalAlterConfigsResponseResource {
	a.t.Helper()
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	req.SetVersion(1)
	req.Resources = resources
	return askAdmin[*kmsg.IncrementalAlterConfigsResponse](a, req).Resources
}

func (a *adminNode) mustAlter(kind kmsg.ConfigResourceType, name string, changes ...string) {
	a.t.Helper()
	if r := a.alterConfigs(incremental(kind, name, changes...))[0]; r.ErrorCode != 0 {
		a.t.Fatalf("%d %q %v: %d %s", kind, name, changes, r.ErrorCode, *r.ErrorMessage)
	}
}

// setting describes one setting as "value@source".
func (a *adminNode) setting(kind kmsg.ConfigResourceType, name, key string) string {
	a.t.Helper()
	r := askAdmin[*kmsg.DescribeConfigsResponse](a, describeRequest(4, kind, name, key)).Resources[0]
	switch {
	case r.ErrorCode != 0:
		return kerr.ErrorForCode(r.ErrorCode).Error()
	case len(r.Configs) == 0:
		return "none"
	case r.Configs[0].Value == nil:
		return fmt.Sprintf("null@%d", r.Configs[0].Source)
	}
	return fmt.Sprintf("%s@%d", *r.Configs[0].Value, r.Configs[0].Source)
}

func (a *adminNode) wantSetting(kind kmsg.ConfigResourceType, name, key, want string) {
	a.t.Helper()
	if got := a.setting(kind, name, key); got != want {
		a.t.Errorf("%d %q: %s is %s, want %s", kind, name, key, got, want)
	}
}

// restart ends the node as kill -9 would and starts it again.
func (a *adminNode) restart() {
	a.t.Helper()
	a.Kill()
	a.start()
}

// 31: what is answered, code by code. The texts are those of Apache Kafka 4.4.0, which was asked.
func TestIncrementalAlterConfigs31(t *testing.T) {
	a := startAdminNode(t)
	a.mustCreate(newTopic("t", 1, 1))
	const unknownType, twice = "Unknown resource type %d", "Each resource must appear at most once."
	for _, c := range []struct {
		kind    kmsg.ConfigResourceType
		name    string
		changes string // separated by blanks
		code    int16
		message string // "": null
	}{
		{ofTopic, "t", "retention.ms=5000", 0, ""},
		{ofTopic, "t", "retention.ms=abc", 40, "Invalid value abc for configuration retention.ms: Not a number of type LONG"},
		{ofTopic, "t", "retention.ms=-5", 40, "Invalid value -5 for configuration retention.ms: Value must be at least -1"},
		{ofTopic, "t", "retention.ms=null", 42, "Null value not supported for : retention.ms"},
		{ofTopic, "t", "nope=5", 40, "Unknown topic config name: nope"},
		{ofTopic, "t", "-nope", 0, ""},
		{ofTopic, "t", "retention.ms+=5", 40, "Can't APPEND to key retention.ms because its type is not LIST."},
		{ofTopic, "t", "nope-=x", 40, "Can't SUBTRACT to key nope because its type is not LIST."},
		{ofTopic, "t", "retention.ms=1 retention.ms=2", 42, "Error due to duplicate config keys"},
		{ofTopic, "t", "min.compaction.lag.ms=100 max.compaction.lag.ms=50", 40, "conflict topic config setting min.compaction.lag.ms (100) > max.compaction.lag.ms (50)"},
		{ofTopic, "t", "", 0, ""},
		{ofTopic, "missing", "retention.ms=1", 3, "The topic 'missing' does not exist."},
		{ofTopic, "", "retention.ms=1", 42, "Default topic resources are not allowed."},
		{ofTopic, "a!", "retention.ms=1", 17, "Topic name is invalid: 'a!' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"},
		{ofBroker, "1", "log.retention.ms=5000000", 0, ""},
		{ofBroker, "", "log.retention.ms=6000000", 0, ""},
		{ofBroker, "1", "num.partitions=4", 42, "Cannot update these configs dynamically: [num.partitions]"},
		{ofBroker, "", "num.partitions=4", 42, "Cannot update these configs dynamically: [num.partitions]"},
		{ofBroker, "1", "-num.partitions", 0, ""},
		{ofBroker, "2", "log.retention.ms=5", 42, "Unexpected broker id, expected 1, but received 2"},
		{ofBroker, "x", "log.retention.ms=5", 42, "Node id must be an integer, but it is: x"},
		{ofBroker, "1", "log.retention.ms=abc", 42, "Invalid value abc for configuration log.retention.ms: Not a number of type LONG"},
		{ofBroker, "1", "log.retention.ms+=5", 40, "Config value append is not allowed for config key: log.retention.ms"},
		{ofBroker, "1", "nope+=5", 40, "Unknown config name: nope"},
		{ofBroker, "", "sasl.enabled.mechanisms=PLAIN", 42, "Cannot update these configs at default cluster level, broker id must be specified: [sasl.enabled.mechanisms]"},
		{8, "1", "root=INFO", 40, "Logger root does not exist!"},
		{8, "1", "root+=INFO", 42, "APPEND operation is not allowed for the BROKER_LOGGER resource"},
		{8, "2", "root=INFO", 42, "Unexpected node id. Expected 1, but received 2"},
		{8, "x", "root=INFO", 42, "Node id must be an integer, but it is: x"},
		{32, "g", "consumer.session.timeout.ms=50000", 42, fmt.Sprintf(unknownType, 32)},
		{77, "x", "a=b", 42, fmt.Sprintf(unknownType, 77)},
	} {
		r := a.alterConfigs(incremental(c.kind, c.name, strings.Fields(c.changes)...))[0]
		message := ""
		if r.ErrorMessage != nil {
			message = *r.ErrorMessage
		}
		if r.ErrorCode != c.code || message != c.message || r.ResourceType != c.kind || r.ResourceName != c.name {
			t.Errorf("%d %q %s: %d %q, want %d %q", c.kind, c.name, c.changes, r.ErrorCode, message, c.code, c.message)
		}
	}
	unknown := incremental(ofTopic, "t", "retention.ms=1")
	unknown.Configs[0].Op = 9
	if r := a.alterConfigs(unknown)[0]; r.ErrorCode != -1 || r.ErrorMessage != nil {
		t.Errorf("an operation nobody knows: %+v", r)
	}
	// Each resource of a request stands for itself, and is in the answer in its place.
	got := a.alterConfigs(incremental(8, "1", "a=b"), incremental(ofTopic, "t", "segment.ms=7"), incremental(8, "1", "a=b"), incremental(ofBroker, "", "max.connections=x"),
		incremental(ofTopic, "u", "segment.ms=7"), incremental(ofTopic, "u"), incremental(8, "2"))
	for i, want := range []struct {
		name, message string
		code          int16
	}{
		{"1", twice, 42}, {"t", "", 0}, {"1", twice, 42}, {"", "Invalid value x for configuration max.connections: Not a number of type INT", 42},
		{"u", twice, 42}, {"u", twice, 42}, {"2", "Unexpected node id. Expected 1, but received 2", 42},
	} {
		message := ""
		if got[i].ErrorMessage != nil {
			message = *got[i].ErrorMessage
		}
		if got[i].ResourceName != want.name || got[i].ErrorCode != want.code || message != want.message {
			t.Errorf("resource %d: %+v %q", i, got[i], message)
		}
	}
	a.wantSetting(ofTopic, "t", "segment.ms", "7@1")
}

// Lists grow and shrink; what is only validated stays as it is.
func TestIncrementalAlterConfigs31Operations(t *testing.T) {
	a := startAdminNode(t)
	a.mustCreate(newTopic("t", 1, 1))
	for _, c := range []struct{ change, want string }{
		{"cleanup.policy+=compact", "delete,compact@1"}, {"cleanup.policy+=compact", "delete,compact@1"}, {"cleanup.policy-=delete", "compact@1"},
		{"cleanup.policy-=compact", "@1"}, {"cleanup.policy+=", "@1"}, {"-cleanup.policy", "delete@5"}, {"cleanup.policy=compact,compact", "compact@1"},
	} {
		a.mustAlter(ofTopic, "t", c.change)
		a.wantSetting(ofTopic, "t", "cleanup.policy", c.want)
	}
	before := a.image().Index()
	for v := int16(0); v <= 1; v++ {
		req := kmsg.NewPtrIncrementalAlterConfigsRequest()
		req.SetVersion(v)
		req.ValidateOnly = true
		req.Resources = append(req.Resources, incremental(ofTopic, "t", "retention.ms=4"), incremental(ofBroker, "1", "num.partitions=4"))
		r := askAdmin[*kmsg.IncrementalAlterConfigsResponse](a, req).Resources
		if r[0].ErrorCode != 0 || r[1].ErrorCode != 42 {
			t.Errorf("v%d, only validated: %+v", v, r)
		}
	}
	a.mustAlter(ofTopic, "t", "cleanup.policy=compact,compact", "-retention.ms") // as it is
	if a.image().Index() != before {
		t.Error("a change of nothing is in the log")
	}
	a.wantSetting(ofTopic, "t", "retention.ms", "604800000@5")
}

// AlterConfigs replaces all that a resource has.
func TestAlterConfigs31(t *testing.T) {
	a := startAdminNode(t)
	a.mustCreate(newTopic("t", 1, 1, "segment.ms=7"))
	a.mustAlter(ofBroker, "1", "message.max.bytes=2000")
	alter := func(v int16, validate bool, kind kmsg.ConfigResourceType, name string, set ...string) kmsg.AlterConfigsResponseResource {
		t.Helper()
		req := kmsg.NewPtrAlterConfigsRequest()
		req.SetVersion(v)
		req.ValidateOnly = validate
		r := kmsg.NewAlterConfigsRequestResource()
		r.ResourceType, r.ResourceName = kind, name
		for _, s := range set {
			c := kmsg.NewAlterConfigsRequestResourceConfig()
			key, value, _ := strings.Cut(s, "=")
			if c.Name = key; value != "null" {
				c.Value = &value
			}
			r.Configs = append(r.Configs, c)
		}
		req.Resources = append(req.Resources, r)
		return askAdmin[*kmsg.AlterConfigsResponse](a, req).Resources[0]
	}
	for v := int16(0); v <= 2; v++ {
		a.mustAlter(ofTopic, "t", "segment.ms=7")
		if r := alter(v, true, ofTopic, "t", "retention.ms=5"); r.ErrorCode != 0 {
			t.Errorf("v%d: %+v", v, r)
		}
		a.wantSetting(ofTopic, "t", "segment.ms", "7@1")
		if r := alter(v, false, ofTopic, "t", "retention.ms=5"); r.ErrorCode != 0 || r.ErrorMessage != nil || r.ResourceName != "t" || r.ResourceType != ofTopic {
			t.Errorf("v%d: %+v", v, r)
		}
		a.wantSetting(ofTopic, "t", "segment.ms", "604800000@5")
		a.wantSetting(ofTopic, "t", "retention.ms", "5@1")
	}
	if r := alter(2, false, ofBroker, "1"); r.ErrorCode != 0 {
		t.Errorf("%+v", r)
	}
	a.wantSetting(ofBroker, "1", "message.max.bytes", "1048588@5")
	for _, c := range []struct {
		kind      kmsg.ConfigResourceType
		name, set string
		code      int16
		message   string
	}{
		{ofTopic, "t", "retention.ms=null", 42, "Null value not supported for : retention.ms"},
		{ofTopic, "t", "retention.ms=x", 40, "Invalid value x for configuration retention.ms: Not a number of type LONG"},
		{ofTopic, "missing", "retention.ms=1", 3, "The topic 'missing' does not exist."},
		{ofBroker, "1", "num.partitions=5", 42, "Cannot update these configs dynamically: [num.partitions]"},
		{8, "1", "kafka=INFO", 42, "Unknown resource type 8"},
	} {
		if r := alter(2, false, c.kind, c.name, c.set); r.ErrorCode != c.code || r.ErrorMessage == nil || *r.ErrorMessage != c.message {
			t.Errorf("%d %q %s: %+v", c.kind, c.name, c.set, r)
		}
	}
	a.wantSetting(ofTopic, "t", "retention.ms", "5@1")
}

// The order of strength: this broker, all brokers, the file, the default; for topics, for new topics' answers, and after kill -9.
func TestDynamicBrokerSettings31(t *testing.T) {
	a := startAdminNode(t, "log.retention.hours=5")
	a.mustCreate(newTopic("t", 1, 1), newTopic("own", 1, 1, "retention.ms=1"))
	check := func(broker, all, topic string) {
		t.Helper()
		a.wantSetting(ofBroker, "1", "log.retention.ms", broker)
		a.wantSetting(ofBroker, "", "log.retention.ms", all)
		a.wantSetting(ofTopic, "t", "retention.ms", topic)
		a.wantSetting(ofTopic, "own", "retention.ms", "1@1")
		value, _, _ := strings.Cut(topic, "@")
		if got := fmt.Sprint(a.table.Topic("t").Config().RetentionMs); got != value {
			t.Errorf("in force: %s, want %s", got, value)
		}
		if got := a.table.Topic("own").Config().RetentionMs; got != 1 {
			t.Errorf("in force on a topic with its own: %d", got)
		}
	}
	check("null@5", "none", "18000000@5")
	a.mustAlter(ofBroker, "", "log.retention.ms=60000")
	check("60000@3", "60000@3", "60000@3")
	a.mustAlter(ofBroker, "1", "log.retention.ms=50000")
	check("50000@2", "60000@3", "50000@2")
	a.restart()
	check("50000@2", "60000@3", "50000@2")
	created := a.create(newTopic("new", 1, 1, "segment.ms= 9 "))[0]
	for _, c := range created.Configs {
		if c.Name == "retention.ms" && (*c.Value != "50000" || c.Source != 2) || c.Name == "segment.ms" && (*c.Value != " 9 " || c.Source != 1) {
			t.Errorf("created with %s=%s@%d", c.Name, *c.Value, c.Source)
		}
	}
	a.mustAlter(ofBroker, "1", "-log.retention.ms")
	check("60000@3", "60000@3", "60000@3")
	a.mustAlter(ofBroker, "", "-log.retention.ms")
	check("null@5", "none", "18000000@5")
	a.restart()
	check("null@5", "none", "18000000@5")
}

// Topic settings are in force when the answer is there, and after kill -9: the broker's and the topic's own.
func TestAlterConfigs31TakesEffect(t *testing.T) {
	a := startAdminNode(t)
	a.mustCreate(newTopic("t", 1, 1), newTopic("u", 1, 1))
	produce := func(topic string, r *kgo.Record) error {
		t.Helper()
		client, err := kgo.NewClient(kgo.SeedBrokers(a.addr.String()), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchCompression(kgo.NoCompression()),
			kgo.DisableIdempotentWrite(), kgo.RecordRetries(0))
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		return client.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: r.Value, Timestamp: r.Timestamp}).FirstErr()
	}
	kilobyte, old := &kgo.Record{Value: make([]byte, 1000)}, time.Now().Add(-time.Hour)
	for _, c := range []struct {
		kind      kmsg.ConfigResourceType
		name      string
		set       string
		record    *kgo.Record
		want      error
		otherToo  bool // the other topic, which has no setting of its own
		takenBack string
	}{
		{ofTopic, "t", "max.message.bytes=500", kilobyte, kerr.MessageTooLarge, false, "-max.message.bytes"},
		{ofBroker, "1", "message.max.bytes=500", kilobyte, kerr.MessageTooLarge, true, "-message.max.bytes"},
		{ofBroker, "", "message.max.bytes=500", kilobyte, kerr.MessageTooLarge, true, "-message.max.bytes"},
		{ofTopic, "t", "message.timestamp.before.max.ms=1000", &kgo.Record{Timestamp: old}, kerr.InvalidTimestamp, false, "-message.timestamp.before.max.ms"},
		{ofBroker, "", "log.message.timestamp.before.max.ms=1000", &kgo.Record{Timestamp: old}, kerr.InvalidTimestamp, true, "-log.message.timestamp.before.max.ms"},
		{ofTopic, "t", "cleanup.policy=compact", &kgo.Record{Value: []byte("no key")}, kerr.InvalidRecord, false, "-cleanup.policy"},
	} {
		a.mustAlter(c.kind, c.name, c.set)
		for round := range 2 {
			if err := produce("t", c.record); !errors.Is(err, c.want) {
				t.Errorf("%s, round %d: %v, want %v", c.set, round, err, c.want)
			}
			other := error(nil)
			if c.otherToo {
				other = c.want
			}
			if err := produce("u", c.record); !errors.Is(err, other) {
				t.Errorf("%s, round %d, the other topic: %v, want %v", c.set, round, err, other)
			}
			if round == 0 {
				a.restart()
			}
		}
		a.mustAlter(c.kind, c.name, c.takenBack)
		if err := produce("t", c.record); err != nil {
			t.Errorf("%s: %v", c.takenBack, err)
		}
	}

	a.mustAlter(ofTopic, "t", "millrace.durability=os", "min.insync.replicas=2", "retention.bytes=77", "segment.bytes=1048576", "message.timestamp.type=LogAppendTime")
	if c := a.table.Topic("t").Config(); c.Durability.String() != "os" || c.MinInsyncReplicas != 2 || c.RetentionBytes != 77 || c.SegmentBytes != 1<<20 || !c.LogAppendTime {
		t.Errorf("in force: %+v", c)
	}
}

// What an acks=all produce waits for may change while it waits: a topic that becomes `os` answers.
func TestAlterConfigs31DurabilityOfWhatWaits(t *testing.T) {
	a := startAdminNode(t)
	a.mustCreate(newTopic("t", 1, 1, "millrace.durability=os"))
	client, err := kgo.NewClient(kgo.SeedBrokers(a.addr.String()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for _, mode := range []string{"fsync", "replicated", "os", "fsync"} {
		a.mustAlter(ofBroker, "", "millrace.durability="+mode)
		a.mustAlter(ofTopic, "t", "-millrace.durability")
		a.wantSetting(ofTopic, "t", "millrace.durability", mode+"@3")
		if err := client.ProduceSync(ctx, &kgo.Record{Topic: "t", Value: []byte(mode)}).FirstErr(); err != nil {
			t.Errorf("%s: %v", mode, err)
		}
	}
}

// producer.id.expiration.ms says when a silent producer is forgotten: then any sequence is its first.
func TestAlterConfigs31ProducerExpiry(t *testing.T) {
	a := startAdminNode(t)
	a.mustCreate(newTopic("t", 1, 1))
	produce := func(sequence int32) wire.Code {
		t.Helper()
		var w record.Builder
		w.Reset(record.BuildOptions{Idempotent: true, ProducerID: 9, BaseSequence: sequence})
		w.Add(time.Now().UnixMilli(), nil, nil)
		b, _, err := w.Build(nil)
		if err != nil {
			t.Fatal(err)
		}
		return wire.Code(dial(t, a.Node).produce(produceRequest(9, -1, "t", wire.UUID{}, 0, b)).ErrorCode)
	}
	if code := produce(0); code != wire.None {
		t.Fatal(code)
	}
	const hour = 3_600_000
	if err := a.Node.dir.Tick(time.Now().UnixMilli() + hour); err != nil {
		t.Fatal(err)
	}
	if code := produce(50); code != wire.OutOfOrderSequenceNumber {
		t.Errorf("after an hour of the day allowed: %v", code)
	}
	a.mustAlter(ofBroker, "", "producer.id.expiration.ms=60000")
	if err := a.Node.dir.Tick(time.Now().UnixMilli() + 2*hour); err != nil {
		t.Fatal(err)
	}
	if code := produce(50); code != wire.None {
		t.Errorf("after an hour of the minute allowed: %v", code)
	}
}

// New connections keep to max.connections and its kin from the next one on.
func TestAlterConfigs31MaxConnections(t *testing.T) {
	for _, c := range []struct{ set, takenBack string }{
		{"max.connections=1", "-max.connections"},
		{"max.connections.per.ip=1", "-max.connections.per.ip"},
		{"max.connections.per.ip.overrides=127.0.0.1:1,10.0.0.1:5", "-max.connections.per.ip.overrides"},
		{"max.connections.per.ip=1", "max.connections.per.ip.overrides=127.0.0.1:9"},
	} {
		a := startAdminNode(t)
		conn := a.dial()
		set := func(change string) {
			t.Helper()
			req := kmsg.NewPtrIncrementalAlterConfigsRequest()
			req.SetVersion(1)
			req.Resources = append(req.Resources, incremental(ofBroker, "1", change))
			if resp, err := roundTrip(conn, req); err != nil || resp.(*kmsg.IncrementalAlterConfigsResponse).Resources[0].ErrorCode != 0 {
				t.Fatal(resp, err)
			}
		}
		set(c.set)
		second := a.dial()
		if _, err := second.Read(make([]byte, 1)); err != io.EOF && !strings.Contains(fmt.Sprint(err), "reset") {
			t.Errorf("%s: the second connection: %v", c.set, err)
		}
		set(c.takenBack)
		if _, err := roundTrip(a.dial(), metadataRequest(12, false)); err != nil {
			t.Errorf("%s: %v", c.takenBack, err)
		}
	}
}

// Settings of a broker reach 10,000 partitions at once.
func TestAlterConfigs31TenThousandPartitions(t *testing.T) {
	a := startAdminNode(t, "millrace.durability=os")
	a.mustCreate(newTopic("wide", 9000, 1))
	var many []kmsg.CreateTopicsRequestTopic
	for i := range 1000 {
		many = append(many, newTopic(fmt.Sprint("narrow-", i), 1, 1))
	}
	a.mustCreate(many...)
	begin := time.Now()
	a.mustAlter(ofBroker, "", "log.retention.ms=77")
	took := time.Since(begin)
	for _, name := range []string{"wide", "narrow-0", "narrow-999"} {
		if got := a.table.Topic(name).Config().RetentionMs; got != 77 {
			t.Errorf("%s: %d", name, got)
		}
	}
	if took > 5*time.Second { // it is milliseconds; this is for what would be done once a partition
		t.Errorf("it took %v", took)
	}
	if one, other := a.table.Topic("narrow-1").Config(), a.table.Topic("narrow-2").Config(); one != other {
		t.Error("topics without settings of their own do not share theirs")
	}
}

// What clients can make every image hold is bounded, resource by resource.
func TestAlterConfigs31IsBounded(t *testing.T) {
	a := startAdminNode(t)
	a.mustCreate(newTopic("t", 1, 1))
	long := strings.Repeat("1:1,", 8191) + "1:1"
	a.mustAlter(ofTopic, "t", "leader.replication.throttled.replicas="+long)
	if r := a.alterConfigs(incremental(ofTopic, "t", "leader.replication.throttled.replicas+=2:2"))[0]; r.ErrorCode != 40 || !strings.Contains(*r.ErrorMessage, "32767 bytes") {
		t.Errorf("a value that is too long: %d", r.ErrorCode)
	}
	if r := a.alterConfigs(incremental(ofTopic, "t", "follower.replication.throttled.replicas="+long))[0]; r.ErrorCode != 40 || !strings.Contains(*r.ErrorMessage, "65536") {
		t.Errorf("too much for one topic: %d", r.ErrorCode)
	}
	var strange []string
	for i := range 4000 {
		strange = append(strange, fmt.Sprintf("strange.%d=%d", i, i))
	}
	if r := a.alterConfigs(incremental(ofBroker, "", strange...))[0]; r.ErrorCode != 40 {
		t.Errorf("4,000 settings nobody knows: %d", r.ErrorCode)
	}
	a.mustAlter(ofBroker, "", strange[:100]...)
	if got := a.setting(ofBroker, "", "strange.7"); got != "null@3" {
		t.Errorf("a setting nobody knows: %s, want it hidden", got)
	}
}

// Frames that are no requests end their connection and change nothing.
func TestAlterConfigs31Garbage(t *testing.T) {
	a := startAdminNode(t)
	incrementalRequest := kmsg.NewPtrIncrementalAlterConfigsRequest()
	incrementalRequest.SetVersion(1)
	incrementalRequest.Resources = append(incrementalRequest.Resources, incremental(ofBroker, "", "message.max.bytes=5"))
	legacy := kmsg.NewPtrAlterConfigsRequest()
	legacy.SetVersion(2)
	legacy.Resources = append(legacy.Resources, kmsg.NewAlterConfigsRequestResource())
	for _, req := range []kmsg.Request{incrementalRequest, legacy} {
		frame := kmsg.NewRequestFormatter().AppendRequest(nil, req, 1)
		cut := frame[:len(frame)-3]
		binary.BigEndian.PutUint32(cut, uint32(len(cut)-4))
		conn := a.dial()
		if _, err := conn.Write(cut); err != nil {
			t.Fatal(err)
		}
		if n, err := conn.Read(make([]byte, 1)); err != io.EOF && !strings.Contains(fmt.Sprint(err), "reset") {
			t.Errorf("%s cut short: %d bytes, %v", kmsg.NameForKey(req.Key()), n, err)
		}
	}
	a.wantSetting(ofBroker, "", "message.max.bytes", "none")

	many := kmsg.NewPtrIncrementalAlterConfigsRequest()
	many.SetVersion(1)
	many.Resources = make([]kmsg.IncrementalAlterConfigsRequestResource, maxPartitions+1)
	if resp, err := roundTrip(a.dial(), many); err == nil {
		t.Errorf("%d resources in one request: %d answers", len(many.Resources), len(resp.(*kmsg.IncrementalAlterConfigsResponse).Resources))
	}
}

// franz-go's admin client sets, reads and takes back.
func TestAlterConfigsClient(t *testing.T) {
	a := startAdminNode(t)
	client, err := kgo.NewClient(kgo.SeedBrokers(a.addr.String()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	a.mustCreate(newTopic("t", 1, 1))
	value := func(s string) *string { return &s }
	if rs, err := admin.AlterTopicConfigs(ctx, []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "retention.ms", Value: value("7")}, {Op: kadm.AppendConfig, Name: "cleanup.policy", Value: value("compact")}}, "t"); err != nil || rs[0].Err != nil {
		t.Fatal(rs, err)
	}
	a.wantSetting(ofTopic, "t", "cleanup.policy", "delete,compact@1")
	if rs, err := admin.AlterTopicConfigsState(ctx, []kadm.AlterConfig{{Name: "retention.ms", Value: value("8")}}, "t"); err != nil || rs[0].Err != nil {
		t.Fatal(rs, err)
	}
	a.wantSetting(ofTopic, "t", "cleanup.policy", "delete@5")
	a.wantSetting(ofTopic, "t", "retention.ms", "8@1")
	if rs, err := admin.AlterBrokerConfigs(ctx, []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "message.max.bytes", Value: value("900000")}}); err != nil || rs[0].Err != nil {
		t.Fatal(rs, err)
	}
	a.wantSetting(ofBroker, "1", "message.max.bytes", "900000@3")
	rs, err := admin.AlterBrokerConfigs(ctx, []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "node.id", Value: value("9")}}, 1)
	if err != nil || !errors.Is(rs[0].Err, kerr.InvalidRequest) || wire.Code(kerr.InvalidRequest.Code) != wire.InvalidRequest {
		t.Errorf("a read-only setting: %v %v", rs, err)
	}
}
