package config

import (
	"fmt"
	"maps"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

type settings = map[string]string

func TestDynamicSettingsBeatStaticOnes(t *testing.T) {
	c, err := load(t, loopback+"message.max.bytes=1000\nlog.retention.hours=2\n")
	if err != nil {
		t.Fatal(err)
	}
	retention := func() int64 {
		topic, err := c.TopicConfig(nil)
		if err != nil {
			t.Fatal(err)
		}
		return topic.RetentionMs
	}
	for _, test := range []struct {
		broker, cluster settings
		bytes           int
		source          Source
		retention       int64
	}{
		{nil, nil, 1000, StaticBroker, 7200000},
		{nil, settings{"message.max.bytes": "2000", "log.retention.ms": "7"}, 2000, DynamicDefaultBroker, 7},
		{settings{"message.max.bytes": " 3000 "}, settings{"message.max.bytes": "2000", "log.retention.ms": "7"}, 3000, DynamicBroker, 7},
		{settings{"log.retention.ms": "8"}, settings{"log.retention.ms": "7"}, 1000, StaticBroker, 8},
		// What cannot be set at run time, or not for all brokers, or is no value, is as if it were not there.
		{settings{"num.partitions": "9", "listeners": "X", "message.max.bytes": "-1"}, settings{"sasl.enabled.mechanisms": "X"}, 1000, StaticBroker, 7200000},
		{nil, nil, 1000, StaticBroker, 7200000},
	} {
		c.SetDynamic(test.broker, test.cluster)
		if got := c.Int("message.max.bytes"); got != test.bytes || c.Source("message.max.bytes") != test.source {
			t.Errorf("%v %v: message.max.bytes %d of %d", test.broker, test.cluster, got, c.Source("message.max.bytes"))
		}
		topic, _ := c.TopicConfig(nil)
		if retention() != test.retention || topic.MaxMessageBytes != int32(test.bytes) {
			t.Errorf("%v %v: a topic's retention %d, size %d", test.broker, test.cluster, retention(), topic.MaxMessageBytes)
		}
		if c.Int("num.partitions") != 1 || c.String("sasl.enabled.mechanisms") != "GSSAPI" || c.String("listeners") != "PLAINTEXT://127.0.0.1:9092" {
			t.Errorf("%v %v: what cannot change has changed", test.broker, test.cluster)
		}
	}
	c.SetDynamic(settings{"message.max.bytes": "3000"}, nil)
	if err := c.Set("log.retention.hours", "3"); err != nil || c.Int("message.max.bytes") != 3000 || retention() != 3*hours {
		t.Errorf("%v: a static change does away with dynamic ones: %d %d", err, c.Int("message.max.bytes"), retention())
	}
}

// The words are those of Apache Kafka 4.4.0, which was asked.
func TestDynamicMistakesAreToldInKafkasWords(t *testing.T) {
	c, err := load(t, loopback)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		set       settings
		want      string
		different string // for all brokers; "" when it is the same
	}{
		{settings{"log.retention.ms": "5", "max.connections": "100", "nope": "x"}, "<nil>", ""},
		{settings{"num.partitions": "4"}, "Cannot update these configs dynamically: [num.partitions]", ""},
		{settings{"num.partitions": "1", "node.id": "5", "log.retention.ms": "5"}, "Cannot update these configs dynamically: [node.id, num.partitions]", ""},
		{settings{"listeners": "PLAINTEXT://:1"}, "Cannot update these configs dynamically: [listeners]", ""},
		{settings{"ssl.key.password": "x"}, "These security configs can be dynamically updated only per-listener using the listener prefix: [ssl.key.password]", ""},
		{settings{"listener.name.plaintext.ssl.key.password": "x"}, "<nil>",
			"Cannot update these configs at default cluster level, broker id must be specified: [listener.name.plaintext.ssl.key.password]"},
		{settings{"sasl.jaas.config": "x"}, "<nil>", "Cannot update these configs at default cluster level, broker id must be specified: [sasl.jaas.config]"},
		{settings{"log.retention.ms": "abc"}, "Invalid value abc for configuration log.retention.ms: Not a number of type LONG", ""},
		{settings{"log.retention.ms": "0"}, "requirement failed: log.retention.ms must be unlimited (-1) or, greater than or equal to 1", ""},
		{settings{"log.roll.ms": "0"}, "requirement failed: log.roll.ms must be greater than or equal to 1", ""},
		{settings{"log.roll.jitter.ms": "-1"}, "requirement failed: log.roll.jitter.ms must be greater than or equal to 0", ""},
		{settings{"log.cleaner.min.cleanable.ratio": "2"}, "Invalid value 2.0 for configuration log.cleaner.min.cleanable.ratio: Value must be no more than 1", ""},
		{settings{"leader.replication.throttled.rate": "-1"}, "Invalid value -1 for configuration leader.replication.throttled.rate: Value must be at least 0", ""},
		{settings{"log.cleaner.dedupe.buffer.size": "1"}, "requirement failed: log.cleaner.dedupe.buffer.size must be at least 1MB per cleaner thread.", ""},
		{settings{"max.connections.per.ip.overrides": "127.0.0.1:5,foo"}, `Error parsing configuration property 'max.connections.per.ip.overrides': "foo" is not an address and a number`, ""},
		{settings{"num.io.threads": "100"}, "Invalid value org.apache.kafka.common.config.ConfigException: Dynamic thread count update validation failed for num.io.threads=100, " +
			"value should not be greater than double the current value 8 for configuration Invalid dynamic configuration", ""},
		{settings{"background.threads": "3"}, "Invalid value org.apache.kafka.common.config.ConfigException: Dynamic thread count update validation failed for background.threads=3, " +
			"value should be at least half the current value 10 for configuration Invalid dynamic configuration", ""},
		{settings{"log.cleaner.threads": "0"}, "Invalid value org.apache.kafka.common.config.ConfigException: Log cleaner threads should be at least 1 " +
			"for configuration Invalid dynamic configuration", ""},
		{settings{"log.cleaner.threads": "3"}, "Invalid value org.apache.kafka.common.config.ConfigException: Log cleaner threads cannot be increased to more than " +
			"double the current value 1 for configuration Invalid dynamic configuration", ""},
		{settings{"log.cleaner.threads": "2"}, "<nil>", ""},
		{settings{"num.io.threads": "16", "num.network.threads": "1"}, "<nil>", ""},
		{settings{"principal.builder.class": "x"}, "Invalid value x for configuration principal.builder.class: Java classes cannot be loaded", ""},
	} {
		if got := fmt.Sprint(c.CheckDynamic(test.set, true)); got != test.want {
			t.Errorf("one broker, %v:\n got %s\nwant %s", test.set, got, test.want)
		}
		want := test.want
		if test.different != "" {
			want = test.different
		}
		if got := fmt.Sprint(c.CheckDynamic(test.set, false)); got != want {
			t.Errorf("all brokers, %v:\n got %s\nwant %s", test.set, got, want)
		}
	}
}

// The lists are those of Apache Kafka 4.4.0, which was asked: log.retention.hours=100 in its file.
func TestDynamicSettingsAreDescribedAsKafkaDoes(t *testing.T) {
	c, err := load(t, loopback+"log.retention.hours=100\n")
	if err != nil {
		t.Fatal(err)
	}
	c.SetDynamic(settings{"log.retention.ms": "5000000", "log.flush.interval.ms": "100", "listener.name.plaintext.max.connections": "100", "max.connections": "50",
		"leader.replication.throttled.rate": "1000", "sasl.jaas.config": "x", "log.cleaner.io.buffer.load.factor": "0.80"},
		settings{"log.retention.ms": "6000000", "nope": "secret", "compression.type": "lz4"})
	show := func(list []Entry, names ...string) (out []string) {
		for _, e := range list {
			for _, name := range names {
				if e.Name != name {
					continue
				}
				value := func(text string, null bool) string {
					if null {
						return "null"
					}
					return text
				}
				line := fmt.Sprintf("%s=%s@%d ro=%t secret=%t type=%d", e.Name, value(e.Value, e.Null), e.Source, e.ReadOnly, e.Sensitive, e.Type)
				for _, y := range e.Synonyms {
					line += fmt.Sprintf(" %s=%s@%d", y.Name, value(y.Value, y.Null), y.Source)
				}
				out = append(out, line)
			}
		}
		return out
	}
	got := show(c.Describe(), "log.retention.ms", "log.retention.minutes", "log.retention.hours", "log.flush.interval.ms", "log.flush.scheduler.interval.ms",
		"listener.name.plaintext.max.connections", "leader.replication.throttled.rate", "sasl.jaas.config", "log.cleaner.io.buffer.load.factor", "nope", "compression.type",
		"log.roll.ms", "log.roll.hours")
	want := strings.Split(strings.TrimSpace(`
compression.type=lz4@3 ro=false secret=false type=2 compression.type=lz4@3 compression.type=producer@5
leader.replication.throttled.rate=1000@2 ro=false secret=false type=5 leader.replication.throttled.rate=1000@2
listener.name.plaintext.max.connections=100@2 ro=true secret=false type=3 listener.name.plaintext.max.connections=100@2 max.connections=50@2 max.connections=2147483647@5
log.cleaner.io.buffer.load.factor=0.8@2 ro=false secret=false type=6 log.cleaner.io.buffer.load.factor=0.80@2 log.cleaner.io.buffer.load.factor=0.9@5
log.flush.interval.ms=100@2 ro=false secret=false type=5 log.flush.interval.ms=100@2 log.flush.scheduler.interval.ms=9223372036854775807@5
log.flush.scheduler.interval.ms=9223372036854775807@5 ro=true secret=false type=5 log.flush.scheduler.interval.ms=9223372036854775807@5
log.retention.hours=168@4 ro=true secret=false type=3 log.retention.hours=100@4 log.retention.hours=168@5
log.retention.minutes=null@5 ro=true secret=false type=3
log.retention.ms=5000000@2 ro=false secret=false type=5 log.retention.ms=5000000@2 log.retention.ms=6000000@3 log.retention.hours=100@4 log.retention.hours=168@5
log.roll.hours=168@5 ro=true secret=false type=3 log.roll.hours=168@5
log.roll.ms=null@5 ro=false secret=false type=5
nope=null@3 ro=true secret=true type=0 nope=null@3
sasl.jaas.config=null@2 ro=false secret=true type=9 sasl.jaas.config=null@2`), "\n")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("of the broker:\n%s", diff)
	}
	got = show(c.DescribeDefault(), "log.retention.ms", "nope", "compression.type", "max.connections")
	want = []string{
		"compression.type=lz4@3 ro=false secret=false type=2 compression.type=lz4@3",
		"log.retention.ms=6000000@3 ro=false secret=false type=5 log.retention.ms=6000000@3",
		"nope=null@3 ro=true secret=true type=0 nope=null@3",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("of all brokers:\n%s", diff)
	}
	got = show(c.DescribeTopic(settings{"flush.ms": " 17 ", "cleanup.policy": "compact,compact", "min.cleanable.dirty.ratio": "1e-1", "unclean.leader.election.enable": "FALSE"}),
		"retention.ms", "flush.ms", "cleanup.policy", "compression.type", "min.cleanable.dirty.ratio", "unclean.leader.election.enable", "segment.ms")
	want = strings.Split(strings.TrimSpace(`
cleanup.policy=compact@1 ro=false secret=false type=7 cleanup.policy=compact@1 log.cleanup.policy=delete@5
compression.type=lz4@3 ro=false secret=false type=2 compression.type=lz4@3 compression.type=producer@5
flush.ms=17@1 ro=false secret=false type=5 flush.ms=17@1 log.flush.interval.ms=100@2 log.flush.scheduler.interval.ms=9223372036854775807@5
min.cleanable.dirty.ratio=0.1@1 ro=false secret=false type=6 min.cleanable.dirty.ratio=0.1@1 log.cleaner.min.cleanable.ratio=0.5@5
retention.ms=5000000@2 ro=false secret=false type=5 log.retention.ms=5000000@2 log.retention.ms=6000000@3 log.retention.hours=100@4 log.retention.hours=168@5
segment.ms=604800000@5 ro=false secret=false type=5
unclean.leader.election.enable=false@1 ro=false secret=false type=1 unclean.leader.election.enable=false@1 unclean.leader.election.enable=false@5`), "\n")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("of a topic:\n%s", diff)
	}
}

func TestNumbersAreWrittenAsJavaDoes(t *testing.T) {
	for f, want := range map[float64]string{0: "0.0", 0.5: "0.5", 2: "2.0", -1: "-1.0", 1e-4: "1.0E-4", 1.5e7: "1.5E7", 9999999: "9999999.0", 1.7976931348623157e308: "1.7976931348623157E308"} {
		if got := javaDouble(f); got != want {
			t.Errorf("%v: %s, want %s", f, got, want)
		}
	}
}

func TestConnectionsPerIP(t *testing.T) {
	c, err := load(t, loopback+"max.connections.per.ip=7\nmax.connections.per.ip.overrides=127.0.0.1:5, [::1]:3,::ffff:10.0.0.1:2\n")
	if err != nil {
		t.Fatal(err)
	}
	most, overrides := c.ConnectionsPerIP()
	want := map[netip.Addr]int{netip.MustParseAddr("127.0.0.1"): 5, netip.MustParseAddr("::1"): 3, netip.MustParseAddr("10.0.0.1"): 2}
	if most != 7 || !maps.Equal(overrides, want) {
		t.Errorf("%d %v", most, overrides)
	}
	for _, text := range []string{"5", "localhost:5", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:-1", ":5"} {
		if _, err := load(t, loopback+perAddress+"="+text+"\n"); err == nil || !strings.Contains(err.Error(), "allowed address:number") {
			t.Errorf("%q: %v", text, err)
		}
	}
}
