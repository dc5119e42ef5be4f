// Package bench is the load generator. Run drives a cluster with a stated workload, verifies every record, and measures; Produce and
// Consume move a real input, as fast as it goes. It sees a broker only over TCP, so it drives any cluster that speaks Kafka's protocol.
//
// What it holds itself to: latency at a stated rate is measured from the moment a record was meant to be sent, never from the
// moment it could be sent; percentiles come from one merged histogram; every run is verified; what the generator itself was late
// by is reported beside what it measured.
//
// Run puts together a place (topic, leaders), a driver (raw or kgo) with its goroutines, a recorder each for what they do, one
// collector for the recorders' seconds, a book for what each producer sent, a tracker for what each group reads of a partition, and
// a watch over the machine. Nothing on the way of a record is shared or locked.
package bench

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Options says what to drive and how.
type Options struct {
	Brokers    []string
	Topic      string
	Partitions int // default 6
	Workers    int // producing clients; each owns its share of the partitions, which keeps their order. Default: one per two processors
	Client     []kgo.Opt

	// Progress is called about four times a second and once at the end of a phase, never twice at a time. Default: nobody looks.
	Progress func(Progress)
}

func (o Options) withDefaults() Options {
	if o.Partitions == 0 {
		o.Partitions = 6
	}
	if o.Workers == 0 {
		o.Workers = max(1, runtime.GOMAXPROCS(0)/2)
	}
	o.Workers = min(o.Workers, o.Partitions)
	if o.Progress == nil {
		o.Progress = func(Progress) {}
	}
	return o
}

// Progress is where a phase stands.
type Progress struct {
	Records, Bytes int64         // acknowledged, or consumed and checked
	Done, Total    int64         // how much of the phase is done, in a unit of its own; Total is 0 when that is not known
	Elapsed        time.Duration // since the phase began
	Last           bool
}

// Sample is one second of a phase.
type Sample struct {
	Second  int   `json:"second"`
	Records int64 `json:"records"`
	Bytes   int64 `json:"bytes"`
}

// Phase is the result of producing or consuming everything.
type Phase struct {
	Records  int64         `json:"records"`
	Bytes    int64         `json:"bytes"` // of keys and values
	Requests int64         `json:"requests"`
	Elapsed  time.Duration `json:"elapsed_ns"`
	Series   []Sample      `json:"series"`
}

// RecordsPerSecond is the mean over the phase.
func (p *Phase) RecordsPerSecond() float64 { return float64(p.Records) / p.Elapsed.Seconds() }

// MegabytesPerSecond is the mean over the phase, in 10^6 bytes.
func (p *Phase) MegabytesPerSecond() float64 { return float64(p.Bytes) / 1e6 / p.Elapsed.Seconds() }

func (o *Options) client(more ...kgo.Opt) (*kgo.Client, error) {
	opts := append([]kgo.Opt{kgo.SeedBrokers(o.Brokers...), kgo.ClientID("millrace-bench")}, o.Client...)
	return kgo.NewClient(append(opts, more...)...)
}

// CreateTopic makes the topic, with one replica on a single node and the cluster's default otherwise.
func CreateTopic(ctx context.Context, o Options, configs map[string]*string) error {
	o = o.withDefaults()
	client, err := o.client()
	if err != nil {
		return err
	}
	defer client.Close()
	_, err = kadm.NewClient(client).CreateTopic(ctx, int32(o.Partitions), -1, configs, o.Topic)
	return err
}

// Durability asks the topic what an acknowledgement promises: the mode of millrace.durability, or Kafka's flush settings.
func Durability(ctx context.Context, o Options) (string, error) {
	client, err := o.client()
	if err != nil {
		return "", err
	}
	defer client.Close()
	all, err := kadm.NewClient(client).DescribeTopicConfigs(ctx, o.Topic)
	if err != nil {
		return "", err
	}
	found, err := all.On(o.Topic, nil)
	if err == nil {
		err = found.Err
	}
	if err != nil {
		return "", err
	}
	flushMessages := "unknown"
	for _, c := range found.Configs {
		switch c.Key {
		case "millrace.durability":
			return c.MaybeValue(), nil
		case "flush.messages":
			flushMessages = c.MaybeValue()
		}
	}
	switch flushMessages {
	case "1":
		return "fsync (flush.messages=1)", nil
	case "9223372036854775807":
		return "os (page cache, no flush)", nil
	}
	return "flush.messages=" + flushMessages, nil
}

// firstError returns the first error that says more than that the context has ended.
func firstError(errs ...error) error {
	var cancelled error
	for _, err := range errs {
		switch {
		case err == nil:
		case errors.Is(err, context.Canceled):
			cancelled = err
		default:
			return err
		}
	}
	return cancelled
}

func wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}
