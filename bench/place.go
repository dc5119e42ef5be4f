package bench

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// place is where a run writes and reads: a topic, its leaders, and what there is to say of the cluster.
type place struct {
	client *kgo.Client
	admin  *kadm.Client
	topic  string
	made   bool // by the run, which deletes it

	leaders []string // HOST:PORT, by partition
	starts  []int64  // where the run's records begin, by partition
	target  Target
}

const leadersWithin = 30 * time.Second

func findPlace(ctx context.Context, r *run) (_ *place, err error) {
	p := &place{topic: r.spec.Topic, target: r.setup.Target}
	o := Options{Brokers: r.setup.Target.Brokers, Client: r.setup.Client}
	if p.client, err = o.client(); err != nil {
		return nil, err
	}
	p.admin = kadm.NewClient(p.client)
	defer func() {
		if err != nil {
			err = errors.Join(err, p.leave())
		}
	}()
	if p.topic == "" {
		p.topic = fmt.Sprintf("millrace-bench-%016x", r.id)
		configs := map[string]*string{}
		for k, v := range r.spec.TopicConfigs {
			configs[k] = &v
		}
		if _, err := p.admin.CreateTopic(ctx, int32(r.spec.Partitions), int16(r.spec.ReplicationFactor), configs, p.topic); err != nil {
			p.made = ctx.Err() != nil // interrupted: the broker may make it all the same
			return p, fmt.Errorf("create the topic: %w", err)
		}
		p.made = !r.setup.Keep
	}
	if err := p.findLeaders(ctx, r.spec.Topic != ""); err != nil {
		return p, err
	}
	if err := p.findStarts(ctx); err != nil {
		return p, err
	}
	return p, p.describe(ctx, o)
}

// findLeaders waits until every partition has one. A topic that somebody named has to be there already.
func (p *place) findLeaders(ctx context.Context, named bool) error {
	ctx, cancel := context.WithTimeoutCause(ctx, leadersWithin, fmt.Errorf("not every partition of %s had a leader within %v", p.topic, leadersWithin))
	defer cancel()
	for {
		m, err := p.admin.Metadata(ctx, p.topic)
		if err != nil && context.Cause(ctx) == nil {
			return fmt.Errorf("metadata: %w", err)
		}
		if err == nil {
			p.target.ClusterID = m.Cluster
			addresses := map[int32]string{}
			for _, b := range m.Brokers {
				addresses[b.NodeID] = net.JoinHostPort(b.Host, strconv.Itoa(int(b.Port)))
			}
			topic := m.Topics[p.topic]
			if errors.Is(topic.Err, kerr.UnknownTopicOrPartition) && named {
				return fmt.Errorf("there is no topic %s: create it, or name none and the run makes one", p.topic)
			}
			p.leaders = make([]string, len(topic.Partitions))
			for _, d := range topic.Partitions {
				if int(d.Partition) < len(p.leaders) {
					p.leaders[d.Partition] = addresses[d.Leader]
				}
			}
			if len(p.leaders) > 0 && !slices.Contains(p.leaders, "") {
				return nil
			}
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (p *place) findStarts(ctx context.Context) error {
	starts, err := p.offsets(ctx, p.admin.ListStartOffsets)
	if err != nil {
		return err
	}
	if p.starts, err = p.ends(ctx); err != nil {
		return err
	}
	if !slices.Equal(starts, p.starts) {
		return fmt.Errorf("topic %s holds records: a run needs an empty one, or none named, so that it makes its own", p.topic)
	}
	return nil
}

// ends asks for the end of every partition.
func (p *place) ends(ctx context.Context) ([]int64, error) {
	return p.offsets(ctx, p.admin.ListEndOffsets)
}

func (p *place) offsets(ctx context.Context, ask func(context.Context, ...string) (kadm.ListedOffsets, error)) ([]int64, error) {
	ctx, cancel := context.WithTimeout(ctx, leadersWithin)
	defer cancel()
	listed, err := ask(ctx, p.topic)
	if err == nil {
		err = listed.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("offsets: %w", err)
	}
	offsets := make([]int64, len(p.leaders))
	listed.Each(func(l kadm.ListedOffset) {
		if int(l.Partition) < len(offsets) {
			offsets[l.Partition] = l.Offset
		}
	})
	return offsets, nil
}

// describe finds out what an acknowledgement promises and what runs there.
func (p *place) describe(ctx context.Context, o Options) error {
	o.Topic = p.topic
	var err error
	if p.target.Durability, err = Durability(ctx, o); err != nil {
		return fmt.Errorf("durability: %w", err)
	}
	versions, err := p.admin.ApiVersions(ctx)
	if err != nil {
		return fmt.Errorf("versions: %w", err)
	}
	guesses := map[string]bool{}
	versions.Each(func(v kadm.BrokerApiVersions) { guesses["Kafka protocol "+v.VersionGuess()] = true })
	p.target.Software = strings.Join(slices.Sorted(maps.Keys(guesses)), ", ")
	p.target.Configs = map[string]string{}
	brokers, err := p.admin.ListBrokers(ctx)
	if err != nil {
		return fmt.Errorf("brokers: %w", err)
	}
	configs, err := p.admin.DescribeBrokerConfigs(ctx, brokers.NodeIDs()...)
	if err != nil {
		return fmt.Errorf("configuration of the brokers: %w", err)
	}
	for _, c := range configs {
		for _, k := range c.Configs {
			if strings.HasPrefix(k.Key, "millrace.") {
				p.target.Software = "Millrace"
			}
			if strings.HasPrefix(k.Source.String(), "DEFAULT") || k.Sensitive {
				continue
			}
			name := k.Key
			if len(brokers) > 1 {
				name = c.Name + "/" + name
			}
			p.target.Configs[name] = k.MaybeValue()
		}
	}
	return nil
}

// leave deletes the topic, if the run made it.
func (p *place) leave() error {
	defer p.client.Close()
	if !p.made {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second) // also when the run was interrupted
	defer cancel()
	if _, err := p.admin.DeleteTopic(ctx, p.topic); err != nil && !errors.Is(err, kerr.UnknownTopicOrPartition) {
		return fmt.Errorf("delete topic %s: %w", p.topic, err)
	}
	return nil
}
