package config

// Durability is millrace.durability: what has happened to a batch when acks=all is answered.
type Durability uint8

const (
	Fsync      Durability = iota // fdatasync'd by every in-sync replica
	Replicated                   // in the page cache of every in-sync replica, flushed within 50 ms
	OS                           // in the page cache of every in-sync replica, flushed when the operating system likes
)

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
	MaxDecompressedBytes int32  // of one batch
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
func (c *Config) TopicConfig(set map[string]string) (TopicConfig, error) { return TopicConfig{}, nil }

// ValidateTopic checks one topic setting. The error names key, value and limits.
func ValidateTopic(key, value string) error { return nil }
