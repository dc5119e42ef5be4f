//go:build compat

package compat

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

// load is a topic that one client fills by one codec.
type load struct {
	producer client
	codec    string
	topic    string
	text     []byte
	lines    int
	want     string // digest
}

// TestEveryClientReadsWhatEveryOtherWrites: three clients, five codecs, and each of the other two reads the same bytes, before and
// after a restart of the broker. Then Kafka's DumpLogSegments reads the directory.
func TestEveryClientReadsWhatEveryOtherWrites(t *testing.T) {
	dir := t.TempDir()
	broker := &server{addr: bootstrap}
	if bootstrap == "" {
		broker = startMillrace(t, dir)
	}
	var loads []load
	suffix := time.Now().Format("-150405.000")
	for i, producer := range clients {
		for j, codec := range codecs {
			l := load{producer: producer, codec: codec, topic: producer.name + "-" + codec + suffix}
			l.text = part(t, i*len(codecs)+j, len(clients)*len(codecs), *mib<<20/(len(clients)*len(codecs)))
			l.lines, l.want = bytes.Count(l.text, []byte{'\n'}), digestOf(l.text)
			loads = append(loads, l)
			config := map[string]string{}
			if (i+j)%3 != 0 {
				config["segment.bytes"] = "1048576" // reads cross many rolls
			}
			create(t, broker.addr, l.topic, config)
		}
	}
	defer removeTopics(t, broker, loads)

	ok := t.Run("produce", func(t *testing.T) {
		for _, l := range loads {
			t.Run(l.producer.name+"/"+l.codec, func(t *testing.T) {
				t.Parallel()
				l.producer.produce(t, broker.addr, l.topic, l.codec, l.text)
			})
		}
	})
	if !ok {
		t.FailNow()
	}
	consume := func(t *testing.T) {
		for _, l := range loads {
			for _, consumer := range clients {
				if consumer.name == l.producer.name {
					continue
				}
				t.Run(l.producer.name+"/"+l.codec+"/"+consumer.name, func(t *testing.T) {
					t.Parallel()
					d := newDigest()
					consumer.consume(t, broker.addr, l.topic, l.lines, d)
					if d.String() != l.want {
						t.Errorf("%s read %s, want %s", consumer.name, d, l.want)
					}
				})
			}
		}
	}
	t.Run("consume", consume)
	if bootstrap != "" {
		t.Log("not restarted, and its files not looked at: the broker is not ours")
		return
	}
	broker = broker.restart()
	t.Run("consume after a restart", consume)
	broker.stop()
	t.Run("dump", func(t *testing.T) {
		produced := map[string]int{}
		for _, l := range loads {
			produced[l.topic] = l.lines
		}
		checkSegments(t, dir, produced)
	})
}

func removeTopics(t *testing.T, broker *server, loads []load) {
	if bootstrap == "" {
		return // they go with the directory
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for _, l := range loads {
		if _, err := kadm.NewClient(connect(t, broker.addr)).DeleteTopics(ctx, l.topic); err != nil {
			t.Errorf("delete %s: %v", l.topic, err)
		}
	}
}
