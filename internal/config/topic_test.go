package config

import (
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func kafkaTopicDefaults() TopicConfig {
	return TopicConfig{
		SegmentBytes: 1 << 30, SegmentMs: 604800000, SegmentIndexBytes: 10 << 20, IndexIntervalBytes: 4096,
		RetentionMs: 604800000, RetentionBytes: -1, FileDeleteDelayMs: 60000,
		CleanupDelete: true, DeleteRetentionMs: 86400000, MaxCompactionLagMs: math.MaxInt64, MinCleanableRatio: 0.5,
		MaxMessageBytes: 1048588, MaxDecompressedBytes: 2147483639, CompressionType: "producer",
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
		"compression.type": "zstd", "message.timestamp.type": "LogAppendTime", "message.timestamp.before.max.ms": "23", "message.timestamp.after.max.ms": "24",
		"min.insync.replicas": "25", "unclean.leader.election.enable": "true", "flush.messages": "26", "millrace.durability": "replicated",
	})
	if err != nil {
		t.Fatal(err)
	}
	want := TopicConfig{
		SegmentBytes: 2 << 20, SegmentMs: 11, SegmentJitterMs: 12, SegmentIndexBytes: 13, IndexIntervalBytes: 14, Preallocate: true, RetentionMs: -1,
		RetentionBytes: 16, FileDeleteDelayMs: 17, CleanupCompact: true, CleanupDelete: true, DeleteRetentionMs: 18, MinCompactionLagMs: 19,
		MaxCompactionLagMs: 20, MinCleanableRatio: 0.25, MaxMessageBytes: 21, MaxDecompressedBytes: 22,
		CompressionType: "zstd", LogAppendTime: true, TimestampBeforeMaxMs: 23, TimestampAfterMaxMs: 24,
		MinInsyncReplicas: 25, UncleanElection: true, FlushMessages: 26, FlushMs: 7, Durability: Replicated, HeaderOnly: false,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if plain, _ := c.TopicConfig(nil); !plain.HeaderOnly || plain.Durability != OS {
		t.Errorf("the broker's own: header %v, durability %v", plain.HeaderOnly, plain.Durability)
	}
}

func TestTopicMistakesNameKeyValueAndLimits(t *testing.T) {
	c, err := Load("", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		set  map[string]string
		want string
	}{
		{map[string]string{"retention.ms": "x"}, `retention.ms: not a whole number (got "x", allowed -1 ... 9223372036854775807)`},
		{map[string]string{"segment.bytes": "13"}, "segment.bytes: out of range (got 13, allowed 1048576 ... 2147483647)"},
		{map[string]string{"min.cleanable.dirty.ratio": "NaN"}, "min.cleanable.dirty.ratio: not a number"},
		{map[string]string{"min.cleanable.dirty.ratio": "1.5"}, "min.cleanable.dirty.ratio: out of range (got 1.5, allowed 0 ... 1)"},
		{map[string]string{"retention.msec": "1"}, "retention.msec: unknown topic setting; did you mean retention.ms?"},
		{map[string]string{"log.retention.hours": "1"}, "log.retention.hours: unknown topic setting: that is its name on a broker; did you mean retention.ms?"},
		{map[string]string{"remote.storage.enable": "true"}, "remote.storage.enable: not supported: there is no tiered storage"},
		{map[string]string{"message.format.version": "2.0"}, "message.format.version: not supported"},
		{map[string]string{"leader.replication.throttled.replicas": strings.Repeat("1:1,", 10000)}, "leader.replication.throttled.replicas: too long (got 40000 bytes, allowed 32767)"},
		{map[string]string{"cleanup.policy": "delete,delete"}, "cleanup.policy: named twice"},
		{map[string]string{"compression.gzip.level": "0"}, "compression.gzip.level: out of range (got 0, allowed -1 ... 9 except 0)"},
		{map[string]string{"min.compaction.lag.ms": "9", "max.compaction.lag.ms": "8"}, "min.compaction.lag.ms: larger than max.compaction.lag.ms (got 9 and 8)"},
		{map[string]string{"millrace.batch.validation": "header", "cleanup.policy": "compact"}, "millrace.batch.validation: a compacted topic needs its records checked"},
		{map[string]string{"b": "", "a": ""}, "a: unknown topic setting\nb: unknown topic setting"},
	} {
		_, err := c.TopicConfig(test.set)
		if err == nil || !strings.HasPrefix(err.Error(), test.want) {
			t.Errorf("%v:\n got %v\nwant %s", test.set, err, test.want)
		}
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
		{find(topic, "retention.ms"), Entry{Name: "retention.ms", Value: "7200000", Source: StaticBroker, Type: Long,
			Synonyms: []EntrySynonym{{"log.retention.hours", "7200000", false, StaticBroker}, {"log.retention.hours", "604800000", false, Default}}}},
		{find(topic, "millrace.durability"), Entry{Name: "millrace.durability", Value: "fsync", Source: Default, Type: String,
			Synonyms: []EntrySynonym{{"millrace.durability", "fsync", false, Default}}}},
	} {
		if diff := cmp.Diff(test.want, test.got); diff != "" {
			t.Error(diff)
		}
	}
}
