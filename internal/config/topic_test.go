package config

import (
	"fmt"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func kafkaTopicDefaults() TopicConfig {
	return TopicConfig{
		SegmentBytes: 1 << 30, SegmentMs: 604800000, SegmentIndexBytes: 10 << 20, IndexIntervalBytes: 4096,
		RetentionMs: 604800000, RetentionBytes: -1, FileDeleteDelayMs: 60000,
		CleanupDelete: true, DeleteRetentionMs: 86400000, MaxCompactionLagMs: math.MaxInt64, MinCleanableRatio: 0.5,
		MaxMessageBytes: 1048588, MaxDecompressedBytes: 2147483639, GzipLevel: -1, LZ4Level: 9, ZstdLevel: 3,
		TimestampBeforeMaxMs: math.MaxInt64, TimestampAfterMaxMs: 3600000,
		MinInsyncReplicas: 1, FlushMessages: math.MaxInt64, FlushMs: math.MaxInt64, Durability: Fsync,
	}
}

func TestTopicDefaultsAreKafkas(t *testing.T) {
	c, err := Load("", nil)
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.TopicConfig(nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(kafkaTopicDefaults(), got); diff != "" {
		t.Error(diff)
	}
}

func TestTopicSettingsApply(t *testing.T) {
	c, err := Load("", []string{"log.segment.bytes=2097152", "millrace.durability=os", "log.flush.interval.ms=7", "millrace.batch.validation=header"})
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.TopicConfig(map[string]string{
		"segment.ms": "11", "segment.jitter.ms": "12", "segment.index.bytes": "13", "index.interval.bytes": "14", "preallocate": "TRUE", "retention.ms": "-1",
		"retention.bytes": " 16 ", "file.delete.delay.ms": "17", "cleanup.policy": "compact, delete", "delete.retention.ms": "18", "min.compaction.lag.ms": "19",
		"max.compaction.lag.ms": "20", "min.cleanable.dirty.ratio": "0.25", "max.message.bytes": "21", "max.decompressed.message.bytes": "22",
		"compression.type": "zstd", "compression.gzip.level": "3", "compression.zstd.level": "-5", "message.timestamp.type": "LogAppendTime", "message.timestamp.before.max.ms": "23", "message.timestamp.after.max.ms": "24",
		"min.insync.replicas": "25", "unclean.leader.election.enable": "true", "flush.messages": "26", "millrace.durability": "replicated",
	})
	if err != nil {
		t.Fatal(err)
	}
	want := TopicConfig{
		SegmentBytes: 2 << 20, SegmentMs: 11, SegmentJitterMs: 12, SegmentIndexBytes: 13, IndexIntervalBytes: 14, Preallocate: true, RetentionMs: -1,
		RetentionBytes: 16, FileDeleteDelayMs: 17, CleanupCompact: true, CleanupDelete: true, DeleteRetentionMs: 18, MinCompactionLagMs: 19,
		MaxCompactionLagMs: 20, MinCleanableRatio: 0.25, MaxMessageBytes: 21, MaxDecompressedBytes: 22,
		Recompress: true, Codec: 4, GzipLevel: 3, LZ4Level: 9, ZstdLevel: -5, LogAppendTime: true, TimestampBeforeMaxMs: 23, TimestampAfterMaxMs: 24,
		MinInsyncReplicas: 25, UncleanElection: true, FlushMessages: 26, FlushMs: 7, Durability: Replicated, HeaderOnly: false,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if plain, _ := c.TopicConfig(nil); !plain.HeaderOnly || plain.Durability != OS {
		t.Errorf("the broker's own: header %v, durability %v", plain.HeaderOnly, plain.Durability)
	}
}

// The words are those of Apache Kafka 4.4.0, which was asked.
func TestTopicMistakesAreToldInKafkasWords(t *testing.T) {
	c, err := Load("", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		set  map[string]string
		want string
	}{
		{map[string]string{"retention.ms": "x"}, "Invalid value x for configuration retention.ms: Not a number of type LONG"},
		{map[string]string{"retention.ms": "99999999999999999999"}, "Invalid value 99999999999999999999 for configuration retention.ms: Not a number of type LONG"},
		{map[string]string{"segment.bytes": "99999999999"}, "Invalid value 99999999999 for configuration segment.bytes: Not a number of type INT"},
		{map[string]string{"segment.bytes": ""}, "Invalid value  for configuration segment.bytes: Not a number of type INT"},
		{map[string]string{"segment.bytes": "13"}, "Invalid value 13 for configuration segment.bytes: Value must be at least 1048576"},
		{map[string]string{"max.decompressed.message.bytes": "2147483647"}, "Invalid value 2147483647 for configuration max.decompressed.message.bytes: Value must be no more than 2147483639"},
		{map[string]string{"min.cleanable.dirty.ratio": "x"}, "Invalid value x for configuration min.cleanable.dirty.ratio: Not a number of type DOUBLE"},
		{map[string]string{"min.cleanable.dirty.ratio": "2"}, "Invalid value 2.0 for configuration min.cleanable.dirty.ratio: Value must be no more than 1"},
		{map[string]string{"min.cleanable.dirty.ratio": "-1"}, "Invalid value -1.0 for configuration min.cleanable.dirty.ratio: Value must be at least 0"},
		{map[string]string{"unclean.leader.election.enable": "maybe"}, "Invalid value maybe for configuration unclean.leader.election.enable: Expected value to be either true or false"},
		{map[string]string{"compression.type": "foo"}, "Invalid value foo for configuration compression.type: String must be one of: uncompressed, zstd, lz4, snappy, gzip, producer"},
		{map[string]string{"compression.gzip.level": "0"}, "Invalid value 0 for configuration compression.gzip.level: Value must be between 1 and 9 or equal to -1"},
		{map[string]string{"compression.gzip.level": "10"}, "Invalid value 10 for configuration compression.gzip.level: Value must be between 1 and 9 or equal to -1"},
		{map[string]string{"compression.lz4.level": "18"}, "Invalid value 18 for configuration compression.lz4.level: Value must be no more than 17"},
		{map[string]string{"cleanup.policy": "compact,foo"}, "Invalid value foo for configuration cleanup.policy: String must be one of: compact, delete"},
		{map[string]string{"cleanup.policy": "compact,,delete"}, "Configuration 'cleanup.policy' values must not be empty."},
		{map[string]string{"cleanup.policy": ","}, "Configuration 'cleanup.policy' values must not be empty."},
		{map[string]string{"cleanup.policy": "delete,delete"}, "<nil>"},
		{map[string]string{"cleanup.policy": ""}, "<nil>"},
		{map[string]string{"nope": "5"}, "Unknown topic config name: nope"},
		{map[string]string{"log.retention.hours": "1"}, "Unknown topic config name: log.retention.hours"},
		{map[string]string{"flush.ms": "x", "nope": "5"}, "Unknown topic config name: nope"},
		{map[string]string{"flush.ms": "abc", "retention.ms": "def"}, "Invalid value abc for configuration flush.ms: Not a number of type LONG"},
		{map[string]string{"remote.storage.enable": "true"}, "Tiered Storage functionality is disabled in the broker. Topic cannot be configured with remote log storage."},
		{map[string]string{"leader.replication.throttled.replicas": "none"}, "Invalid value [none] for configuration leader.replication.throttled.replicas: leader.replication.throttled.replicas " +
			"must be the literal '*' or a list of replicas in the following format: [partitionId]:[brokerId],[partitionId]:[brokerId],..."},
		{map[string]string{"leader.replication.throttled.replicas": "*"}, "<nil>"},
		{map[string]string{"leader.replication.throttled.replicas": "0:1, 1:1"}, "<nil>"},
		{map[string]string{"min.compaction.lag.ms": "9", "max.compaction.lag.ms": "8"}, "conflict topic config setting min.compaction.lag.ms (9) > max.compaction.lag.ms (8)"},
		{map[string]string{"millrace.durability": "x"}, "Invalid value x for configuration millrace.durability: String must be one of: fsync, replicated, os"},
		{map[string]string{"millrace.batch.validation": "header", "cleanup.policy": "compact"}, "Invalid value header for configuration millrace.batch.validation: a compacted topic needs its records checked"},
	} {
		_, err := c.TopicConfig(test.set)
		if got := fmt.Sprint(err); got != test.want {
			t.Errorf("%v:\n got %s\nwant %s", test.set, got, test.want)
		}
	}
}

// A topic keeps the settings that are right, whatever the others are: a node may know another version of the table.
func TestTheRightSettingsOfATopicApply(t *testing.T) {
	c, err := Load("", nil)
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.TopicConfig(map[string]string{"retention.ms": "5", "segment.ms": "x", "nope": "1"})
	want := kafkaTopicDefaults()
	want.RetentionMs = 5
	if diff := cmp.Diff(want, got); diff != "" || err == nil {
		t.Errorf("%v\n%s", err, diff)
	}
}

func TestDescribeNamesWhereAValueComesFrom(t *testing.T) {
	c, err := load(t, loopback+"log.retention.hours=2\nssl.key.password=secret\nbroker.id=3\n")
	if err != nil {
		t.Fatal(err)
	}
	if got := len(c.Describe()); got != len(Broker) {
		t.Errorf("%d entries, want all %d", got, len(Broker))
	}
	find := func(list []Entry, name string) Entry {
		for _, e := range list {
			if e.Name == name {
				e.Doc = ""
				return e
			}
		}
		t.Fatalf("%s is missing", name)
		return Entry{}
	}
	topic := c.DescribeTopic(map[string]string{"segment.bytes": "2000000"})
	for _, test := range []struct{ got, want Entry }{
		{find(c.Describe(), "ssl.key.password"), Entry{Name: "ssl.key.password", Null: true, Source: StaticBroker, Sensitive: true, Type: Password,
			Synonyms: []EntrySynonym{{"ssl.key.password", "", true, StaticBroker}}}},
		{find(c.Describe(), "broker.id"), Entry{Name: "broker.id", Value: "3", Source: StaticBroker, ReadOnly: true, Type: Int,
			Synonyms: []EntrySynonym{{"broker.id", "3", false, StaticBroker}, {"broker.id", "-1", false, Default}}}},
		{find(c.Describe(), "log.roll.ms"), Entry{Name: "log.roll.ms", Null: true, Source: Default, Type: Long}},
		{find(topic, "segment.bytes"), Entry{Name: "segment.bytes", Value: "2000000", Source: DynamicTopic, Type: Int,
			Synonyms: []EntrySynonym{{"segment.bytes", "2000000", false, DynamicTopic}, {"log.segment.bytes", "1073741824", false, Default}}}},
		// Kafka does not say where these come from: the list begins where log.retention.ms itself is set.
		{find(topic, "retention.ms"), Entry{Name: "retention.ms", Value: "7200000", Source: Default, Type: Long}},
		{find(c.EffectiveTopic(nil), "retention.ms"), Entry{Name: "retention.ms", Value: "7200000", Source: StaticBroker, Type: Long}},
		{find(topic, "millrace.durability"), Entry{Name: "millrace.durability", Value: "fsync", Source: Default, Type: String,
			Synonyms: []EntrySynonym{{"millrace.durability", "fsync", false, Default}}}},
	} {
		if diff := cmp.Diff(test.want, test.got); diff != "" {
			t.Error(diff)
		}
	}
}
