package config

import (
	"errors"
	"fmt"
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
	MaxDecompressedBytes int32  // of one record
	CompressionType      string // producer: as it came
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

// TopicConfig applies the topic's own settings over the broker's. The error names key, value and limits.
func (c *Config) TopicConfig(set map[string]string) (TopicConfig, error) {
	t := c.state.Load().topic
	if len(set) == 0 {
		return t, nil
	}
	var errs []error
	for key, text := range set {
		if err := ValidateTopic(key, text); err != nil {
			errs = append(errs, err)
			continue
		}
		t.apply(key, strings.TrimSpace(text))
	}
	if len(errs) > 0 {
		slices.SortFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
		return TopicConfig{}, errors.Join(errs...)
	}
	if t.MinCompactionLagMs > t.MaxCompactionLagMs {
		return TopicConfig{}, fmt.Errorf("min.compaction.lag.ms: larger than max.compaction.lag.ms (got %d and %d)", t.MinCompactionLagMs, t.MaxCompactionLagMs)
	}
	if _, asked := set["millrace.batch.validation"]; asked && t.HeaderOnly && t.CleanupCompact {
		return TopicConfig{}, errors.New("millrace.batch.validation: a compacted topic needs its records checked (got \"header\", allowed full)")
	}
	t.HeaderOnly = t.HeaderOnly && !t.CleanupCompact
	return t, nil
}

// ValidateTopic checks one topic setting. The error names key, value and limits.
func ValidateTopic(key, text string) error {
	s := lookup(Topic, key)
	if s == nil {
		if why := removedWhy(key); why != "" {
			return fmt.Errorf("%s: not supported: %s", key, why)
		}
		if b := lookup(Broker, key); b != nil && b.Topic != "" {
			return fmt.Errorf("%s: unknown topic setting: that is its name on a broker; did you mean %s?", key, b.Topic)
		}
		if near := suggest(key, Topic); near != "" {
			return fmt.Errorf("%s: unknown topic setting; did you mean %s?", key, near)
		}
		return fmt.Errorf("%s: unknown topic setting", key)
	}
	if err := s.check(text); err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	return nil
}

// topicDefaults are the settings of a topic that has none of its own.
func (st *state) topicDefaults() TopicConfig {
	var t TopicConfig
	for i := range Topic {
		text, _ := st.topicDefault(&Topic[i])
		t.apply(Topic[i].Name, text)
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
		t.CompressionType = text
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
