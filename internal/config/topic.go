package config

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Durability is millrace.durability: what has happened to a batch when acks=all is answered.
type Durability uint8

const (
	Fsync      Durability = iota // fdatasync'd by every in-sync replica
	Replicated                   // in the page cache of every in-sync replica, flushed within 50 ms
	OS                           // in the page cache of every in-sync replica, flushed when the operating system likes
)

// Sentence says what an acknowledgement promises, for banners and reports.
func (d Durability) Sentence() string {
	return [...]string{
		"acks=all is answered after fdatasync on every in-sync replica",
		"acks=all is answered from the page cache of every in-sync replica, flushed within 50 ms",
		"acks=all is answered from the page cache of every in-sync replica, flushed when the system likes",
	}[d]
}

func (d Durability) String() string { return [...]string{"fsync", "replicated", "os"}[d] }

// TopicConfig is what a partition needs of its topic's settings, parsed. Times are milliseconds, sizes bytes.
type TopicConfig struct {
	SegmentBytes         int32
	SegmentMs            int64
	SegmentJitterMs      int64
	SegmentIndexBytes    int32
	IndexIntervalBytes   int32
	Preallocate          bool
	RetentionMs          int64 // -1: no limit
	RetentionBytes       int64 // -1: no limit
	FileDeleteDelayMs    int64
	CleanupCompact       bool
	CleanupDelete        bool
	DeleteRetentionMs    int64
	MinCompactionLagMs   int64
	MaxCompactionLagMs   int64
	MinCleanableRatio    float64
	MaxMessageBytes      int32
	MaxDecompressedBytes int32 // of one record
	Recompress           bool  // batches are stored with Codec, whatever the producer used
	Codec                int8  // Kafka's number: 0 none, 1 gzip, 2 snappy, 3 lz4, 4 zstd
	GzipLevel            int32
	LZ4Level             int32
	ZstdLevel            int32
	LogAppendTime        bool
	TimestampBeforeMaxMs int64
	TimestampAfterMaxMs  int64
	MinInsyncReplicas    int32
	UncleanElection      bool
	FlushMessages        int64
	FlushMs              int64
	Durability           Durability
	HeaderOnly           bool // millrace.batch.validation=header, and not compacted
}

// TopicConfig applies the topic's own settings over the broker's. What is wrong with them is told in Kafka's words; the result then has
// those that are right.
func (c *Config) TopicConfig(set map[string]string) (TopicConfig, error) {
	return c.state.Load().topic.with(set)
}

// TopicsUnder tells the settings of topics as they would be if these were the dynamic settings of this broker and of all brokers: the controller
// decides by an image, which may be ahead of what is in force here. What is wrong with a topic's own settings is passed over.
func (c *Config) TopicsUnder(broker, cluster map[string]string) func(set map[string]string) TopicConfig {
	st := *c.state.Load()
	st.dynamic = [2]layer{{broker, DynamicBroker}, {cluster, DynamicDefaultBroker}}
	defaults := st.topicDefaults()
	return func(set map[string]string) TopicConfig {
		t, _ := defaults.with(set)
		return t
	}
}

func (t TopicConfig) with(set map[string]string) (TopicConfig, error) {
	if len(set) == 0 {
		return t, nil
	}
	var mistakes, strangers []error
	for _, key := range slices.Sorted(maps.Keys(set)) {
		text := set[key]
		switch err := refuseTopic(key, text); {
		case err == nil:
			t.apply(key, strings.TrimSpace(text))
		case lookup(Topic, key) == nil:
			strangers = append(strangers, err)
		default:
			mistakes = append(mistakes, err)
		}
	}
	mistakes = append(strangers, mistakes...) // Kafka looks at the names first
	if t.MinCompactionLagMs > t.MaxCompactionLagMs {
		message := fmt.Sprintf("conflict topic config setting min.compaction.lag.ms (%d) > max.compaction.lag.ms (%d)", t.MinCompactionLagMs, t.MaxCompactionLagMs)
		mistakes = append(mistakes, refused(message))
	}
	if _, asked := set["millrace.batch.validation"]; asked && t.HeaderOnly && t.CleanupCompact {
		mistakes = append(mistakes, refused("Invalid value header for configuration millrace.batch.validation: a compacted topic needs its records checked"))
	}
	t.HeaderOnly = t.HeaderOnly && !t.CleanupCompact
	if len(mistakes) > 0 {
		return t, mistakes[0]
	}
	return t, nil
}

// topicDefaults are the settings of a topic that has none of its own.
func (st *state) topicDefaults() TopicConfig {
	var t TopicConfig
	for i := range Topic {
		text, _ := st.topicDefault(&Topic[i])
		t.apply(Topic[i].Name, strings.TrimSpace(text))
	}
	t.HeaderOnly = t.HeaderOnly && !t.CleanupCompact
	return t
}

// apply sets one field from a text that has been checked.
func (t *TopicConfig) apply(key, text string) {
	long := func() int64 { n, _ := strconv.ParseInt(text, 10, 64); return n }
	truth := func() bool { return strings.EqualFold(text, "true") }
	switch key {
	case "segment.bytes":
		t.SegmentBytes = int32(long())
	case "segment.ms":
		t.SegmentMs = long()
	case "segment.jitter.ms":
		t.SegmentJitterMs = long()
	case "segment.index.bytes":
		t.SegmentIndexBytes = int32(long())
	case "index.interval.bytes":
		t.IndexIntervalBytes = int32(long())
	case "preallocate":
		t.Preallocate = truth()
	case "retention.ms":
		t.RetentionMs = long()
	case "retention.bytes":
		t.RetentionBytes = long()
	case "file.delete.delay.ms":
		t.FileDeleteDelayMs = long()
	case "cleanup.policy":
		policies := splitList(text)
		t.CleanupCompact, t.CleanupDelete = slices.Contains(policies, "compact"), slices.Contains(policies, "delete")
	case "delete.retention.ms":
		t.DeleteRetentionMs = long()
	case "min.compaction.lag.ms":
		t.MinCompactionLagMs = long()
	case "max.compaction.lag.ms":
		t.MaxCompactionLagMs = long()
	case "min.cleanable.dirty.ratio":
		t.MinCleanableRatio, _ = strconv.ParseFloat(text, 64)
	case "max.message.bytes":
		t.MaxMessageBytes = int32(long())
	case "max.decompressed.message.bytes":
		t.MaxDecompressedBytes = int32(long())
	case "compression.type":
		codec := slices.Index([]string{"uncompressed", "gzip", "snappy", "lz4", "zstd"}, text)
		t.Recompress, t.Codec = codec >= 0, int8(max(codec, 0))
	case "compression.gzip.level":
		t.GzipLevel = int32(long())
	case "compression.lz4.level":
		t.LZ4Level = int32(long())
	case "compression.zstd.level":
		t.ZstdLevel = int32(long())
	case "message.timestamp.type":
		t.LogAppendTime = text == "LogAppendTime"
	case "message.timestamp.before.max.ms":
		t.TimestampBeforeMaxMs = long()
	case "message.timestamp.after.max.ms":
		t.TimestampAfterMaxMs = long()
	case "min.insync.replicas":
		t.MinInsyncReplicas = int32(long())
	case "unclean.leader.election.enable":
		t.UncleanElection = truth()
	case "flush.messages":
		t.FlushMessages = long()
	case "flush.ms":
		t.FlushMs = long()
	case "millrace.durability":
		t.Durability = map[string]Durability{"fsync": Fsync, "replicated": Replicated, "os": OS}[text]
	case "millrace.batch.validation":
		t.HeaderOnly = text == "header"
	}
}
