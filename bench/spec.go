package bench

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Spec is one workload. The zero value of a field is its default; withDefaults fills it in, and a result carries the filled-in Spec.
type Spec struct {
	Name string `json:"name,omitempty"` // of the cell, in tables and files

	Mode     string        `json:"mode"`           // raw: pre-encoded batches on plain connections, little of the machine is the generator's; kgo: franz-go, a real client
	Rate     float64       `json:"rate,omitempty"` // records a second of all producers together, open loop; 0: as fast as the broker answers, closed loop
	Arrivals string        `json:"arrivals"`       // constant, poisson, bursty:N (N records at a time), trace:FILE (seconds since the start, one a line, again from the start at its end)
	Warmup   time.Duration `json:"warmup_ns"`      // produced, consumed and verified like the rest, not measured
	Duration time.Duration `json:"duration_ns"`    // measured

	Topic             string            `json:"topic,omitempty"` // an existing, empty one; default: one of its own, made before and deleted afterwards
	Partitions        int               `json:"partitions"`
	ReplicationFactor int               `json:"replication_factor"` // -1: the cluster's default
	TopicConfigs      map[string]string `json:"topic_configs,omitempty"`

	Producers    int           `json:"producers"`     // each a connection (kgo: a client) and a schedule of its own
	Size         string        `json:"size"`          // bytes of a value: N, lognormal:MEDIAN:SIGMA, file:PATH (one size a line, drawn at random)
	Keys         string        `json:"keys"`          // none, uniform:N, zipf:N:S
	Entropy      float64       `json:"entropy"`       // 0 to 1: the share of a value's bytes that is random, the rest repeats; see Result.Ratio for what codecs make of it
	Codec        string        `json:"codec"`         // none, gzip, snappy, lz4, zstd. raw, read after, without keys: packed beforehand
	Acks         string        `json:"acks"`          // all, 1, 0
	Idempotent   bool          `json:"idempotent"`    // needs acks=all
	BatchRecords int           `json:"batch_records"` // records of a batch. raw: exactly; they are due together. kgo: at most, and lingering may make fewer
	Linger       time.Duration `json:"linger_ns"`     // kgo
	InFlight     int           `json:"in_flight"`     // produce requests of a connection that wait for an answer

	Groups        int           `json:"groups"`    // each reads every record, and is verified by itself
	Consumers     int           `json:"consumers"` // of each group; raw: partitions are dealt out, kgo: with the group protocol when GroupProtocol
	GroupProtocol bool          `json:"group_protocol,omitempty"`
	Consume       string        `json:"consume"` // live: while producing, so that end-to-end latency is measured; after: once the window is over, to verify
	FetchMaxWait  time.Duration `json:"fetch_max_wait_ns"`
	FetchMinBytes int           `json:"fetch_min_bytes"`
	FetchMaxBytes int           `json:"fetch_max_bytes"` // of a partition and of a fetch

	Backlog int64   `json:"backlog_bytes,omitempty"`    // produced before the window; the consumers begin with it when the window begins, and the time until they have caught up is measured
	Idle    int     `json:"idle_connections,omitempty"` // held open during the run
	Churn   float64 `json:"churn,omitempty"`            // connections a second opened, asked for ApiVersions and closed

	Seed uint64 `json:"seed"` // of everything random but the run id
}

// WithDefaults fills in what was left out.
func (s Spec) WithDefaults() Spec {
	set := func(p *string, v string) {
		if *p == "" {
			*p = v
		}
	}
	number := func(p *int, v int) {
		if *p == 0 {
			*p = v
		}
	}
	lasts := func(p *time.Duration, v time.Duration) {
		if *p == 0 {
			*p = v
		}
	}
	set(&s.Mode, "raw")
	set(&s.Arrivals, "constant")
	set(&s.Size, "1000")
	set(&s.Keys, "none")
	set(&s.Codec, "none")
	set(&s.Acks, "all")
	set(&s.Consume, "live")
	number(&s.Partitions, 1)
	number(&s.ReplicationFactor, -1)
	number(&s.Producers, 1)
	number(&s.BatchRecords, 1)
	number(&s.InFlight, 5)
	number(&s.Groups, 1)
	number(&s.Consumers, 1)
	number(&s.FetchMinBytes, 1)
	number(&s.FetchMaxBytes, 1<<20)
	lasts(&s.Duration, 10*time.Second)
	lasts(&s.FetchMaxWait, 500*time.Millisecond)
	if s.Entropy == 0 {
		s.Entropy = 1
	}
	if s.Seed == 0 {
		s.Seed = 1
	}
	return s
}

// Validate names what cannot be run, the limit and the way out.
func (s Spec) Validate() error {
	one := func(what, value string, of ...string) error {
		for _, o := range of {
			if value == o {
				return nil
			}
		}
		return fmt.Errorf("%s %q: want one of %s", what, value, strings.Join(of, ", "))
	}
	errs := []error{
		one("mode", s.Mode, "raw", "kgo"),
		one("codec", s.Codec, "none", "gzip", "snappy", "lz4", "zstd"),
		one("acks", s.Acks, "all", "1", "0"),
		one("consume", s.Consume, "live", "after"),
	}
	for _, c := range []struct {
		bad bool
		say string
	}{
		{s.Rate != 0 && !(s.Rate >= slowest && s.Rate <= fastest), fmt.Sprintf("rate is 0 or between %g and %g records/s", slowest, fastest)},
		{s.Duration <= 0 || s.Warmup < 0, "duration must be more than 0, warm-up not negative"},
		{!(s.Entropy >= 0 && s.Entropy <= 1), "entropy is a share between 0 and 1"},
		{s.Idle < 0 || s.Backlog < 0 || s.Linger < 0, "idle connections, backlog and linger must not be negative"},
		{s.Churn != 0 && !(s.Churn >= slowest && s.Churn <= fastest), fmt.Sprintf("churn is 0 or between %g and %g connections/s", slowest, fastest)},
		{s.FetchMaxWait < 0 || s.FetchMinBytes < 1 || s.FetchMaxBytes < 1, "a fetch has at least 1 byte and waits 0 or more"},
		{s.Idempotent && s.Acks != "all", "idempotence needs acks all"},
		{s.Idempotent && s.InFlight > 5, "idempotence allows 5 requests in flight at most"},
		{s.Idempotent && s.InFlight != 5 && s.Mode == "kgo", "idempotence in mode kgo has 5 requests in flight, neither more nor less"},
		{s.GroupProtocol && s.Mode != "kgo", "the group protocol needs mode kgo"},
		{s.Consumers > s.Partitions, "more consumers than partitions: some of them would have nothing to do"},
		{s.Rate == 0 && s.Arrivals != "constant" && !strings.HasPrefix(s.Arrivals, "trace:"), "arrivals need a rate, unless they are a trace, which has one"},
		{s.Partitions < 1 || s.Producers < 1 || s.BatchRecords < 1 || s.InFlight < 1 || s.Groups < 1 || s.Consumers < 1, "partitions, producers, records of a batch, requests in flight, groups and consumers are at least 1"},
	} {
		if c.bad {
			errs = append(errs, errors.New(c.say))
		}
	}
	w, err := newWorkload(s, 0)
	if err == nil && s.Mode == "raw" && w.sizes.Mean()*float64(s.BatchRecords) > largestBatch {
		err = fmt.Errorf("a batch of %d records of %.0f bytes has more than %d bytes, the most that is written beforehand: give fewer or smaller records", s.BatchRecords, w.sizes.Mean(), largestBatch)
	}
	return errors.Join(append(errs, err)...)
}

// A schedule at less than slowest would count in centuries and overflow; one above fastest is more than can be counted as due.
const (
	slowest = 0.001
	fastest = 1e9
)

// largestBatch bounds what a run keeps in memory, also with the largest of records.
const largestBatch = 64 << 20
