package main

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/millrace/millrace/bench"
)

// Groups of flags in the help of the commands that run a workload.
const (
	groupLoad    = "Load"
	groupRecords = "Records"
	groupReading = "Reading"
	groupBeside  = "Beside it"
	groupTopic   = "Topic"
	groupTarget  = "Target"
	groupResult  = "Result"
)

// workloadFlags are the fields of a bench.Spec.
type workloadFlags struct {
	spec          bench.Spec
	rate          rate
	size          valueSize
	backlog       byteCount
	fetchMaxBytes byteCount
	configs       []string
}

func addWorkloadFlags(c *cobra.Command) *workloadFlags {
	d := bench.Spec{}.WithDefaults()
	d.Warmup = 2 * time.Second
	w := &workloadFlags{size: valueSize(d.Size), fetchMaxBytes: byteCount(d.FetchMaxBytes)}
	s := &w.spec
	f := c.Flags()

	g := group(c, groupLoad)
	f.Var(&w.rate, "rate", "records a second of all producers together, each due at its time whatever the broker does: 500, 10k/s; 0: as fast as it answers")
	f.StringVar(&s.Arrivals, "arrivals", d.Arrivals, "how they are spread: constant, poisson, bursty:N (N at a time), trace:FILE (seconds since the start, one a line)")
	f.DurationVar(&s.Warmup, "warmup", d.Warmup, "produced and verified like the rest, not measured")
	f.DurationVar(&s.Duration, "duration", d.Duration, "how long is measured")
	f.IntVarP(&s.Producers, "producers", "P", d.Producers, "each a connection and a schedule of its own")
	f.IntVar(&s.BatchRecords, "batch-records", d.BatchRecords, "records of a batch; raw: exactly, due together; kgo: at most")
	f.IntVar(&s.InFlight, "in-flight", d.InFlight, "requests of a connection that wait for an answer")
	f.DurationVar(&s.Linger, "linger", 0, "kgo: how long a batch waits for more records")
	f.StringVar(&s.Acks, "acks", d.Acks, "all, 1 or 0")
	f.BoolVar(&s.Idempotent, "idempotent", false, "an idempotent producer; needs acks=all")
	f.StringVar(&s.Mode, "mode", d.Mode, "raw: encoded beforehand, so that little of the machine is the generator's; kgo: franz-go, a real client")
	g()

	g = group(c, groupRecords)
	f.Var(&w.size, "size", "bytes of a value: 1KiB, lognormal:MEDIAN:SIGMA, file:PATH (one size a line, drawn at random)")
	f.StringVar(&s.Keys, "keys", d.Keys, "none, uniform:N (of N keys), zipf:N:S")
	f.Float64Var(&s.Entropy, "entropy", d.Entropy, "share of a value that is random, more than 0 and at most 1; the rest repeats. The result has the ratio that it made")
	f.StringVarP(&s.Codec, "compression", "z", d.Codec, "none, gzip, snappy, lz4 or zstd")
	f.Uint64Var(&s.Seed, "seed", d.Seed, "of everything random")
	g()

	g = group(c, groupReading)
	f.IntVar(&s.Groups, "groups", d.Groups, "each reads every record, and is verified by itself")
	f.IntVarP(&s.Consumers, "consumers", "C", d.Consumers, "of each group")
	f.BoolVar(&s.GroupProtocol, "group-protocol", false, "kgo: consumers join a group of the broker's; else partitions are dealt out")
	f.StringVar(&s.Consume, "consume", d.Consume, "live: while producing, with end-to-end latency; after: only to verify")
	f.DurationVar(&s.FetchMaxWait, "fetch-max-wait", d.FetchMaxWait, "a fetch waits this long for fetch-min-bytes")
	f.IntVar(&s.FetchMinBytes, "fetch-min-bytes", d.FetchMinBytes, "a fetch is answered when there is this much")
	f.Var(&w.fetchMaxBytes, "fetch-max-bytes", "of a partition and of a fetch")
	g()

	g = group(c, groupBeside)
	f.Var(&w.backlog, "backlog", "bytes produced before the window; the consumers begin with them, and the time until they have caught up is measured")
	f.IntVar(&s.Idle, "idle-connections", 0, "connections held open during the run")
	f.Float64Var(&s.Churn, "churn", 0, "connections a second opened, asked for ApiVersions and closed")
	g()

	g = group(c, groupTopic)
	f.StringVar(&s.Topic, "topic", "", "an existing, empty topic (default: one of its own, deleted afterwards)")
	f.IntVarP(&s.Partitions, "partitions", "p", d.Partitions, "of the topic")
	f.IntVarP(&s.ReplicationFactor, "replicas", "r", d.ReplicationFactor, "of each partition; -1 takes the broker's default.replication.factor")
	f.StringArrayVarP(&w.configs, "config", "c", nil, "setting of the topic, key=value; repeatable")
	g()

	completeFlag(c, "arrivals", oneOf("constant", "poisson", "bursty:", "trace:"))
	completeFlag(c, "acks", oneOf("all", "1", "0"))
	completeFlag(c, "mode", oneOf("raw", "kgo"))
	completeFlag(c, "keys", oneOf("none", "uniform:", "zipf:"))
	completeFlag(c, "compression", oneOf("none", "gzip", "snappy", "lz4", "zstd"))
	completeFlag(c, "consume", oneOf("live", "after"))
	completeFlag(c, "config", topicSettings("="))
	for _, name := range strings.Fields("rate warmup duration producers batch-records in-flight linger entropy seed size groups consumers " +
		"fetch-max-wait fetch-min-bytes fetch-max-bytes backlog idle-connections churn topic partitions replicas") {
		completeFlag(c, name, nothing)
	}
	return w
}

// noTopic refuses --topic where there are several runs: each needs an empty one.
func noTopic(c *cobra.Command) error {
	if c.Flags().Changed("topic") {
		return usage(c, errors.New("--topic is for a single run: here each run makes a topic of its own; -c sets what it is like"))
	}
	return nil
}

// workload is the Spec that the flags say, filled in and valid.
func (w *workloadFlags) workload(c *cobra.Command) (bench.Spec, error) {
	s := w.spec
	s.Rate, s.Size, s.Backlog, s.FetchMaxBytes = float64(w.rate), string(w.size), int64(w.backlog), int(min(w.fetchMaxBytes, math.MaxInt32))
	for _, setting := range w.configs {
		key, value, ok := strings.Cut(setting, "=")
		if !ok || key == "" {
			return s, usage(c, fmt.Errorf("-c %s: want key=value", setting))
		}
		if s.TopicConfigs == nil {
			s.TopicConfigs = map[string]string{}
		}
		s.TopicConfigs[key] = value
	}
	// The zero of these would be taken for a default.
	for _, name := range strings.Fields("duration producers batch-records in-flight entropy groups consumers partitions") {
		if f := c.Flags().Lookup(name); f.Changed && strings.Trim(f.Value.String(), "0.s") == "" {
			return s, usage(c, fmt.Errorf("--%s must be more than 0", name))
		}
	}
	s = s.WithDefaults()
	if err := s.Validate(); err != nil {
		return s, usage(c, errors.New(strings.ReplaceAll(err.Error(), "\n", "; ")))
	}
	return s, nil
}
