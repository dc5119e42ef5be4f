//go:build compat

package compat

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

const customers = 40

// order is one record: its key is the customer, who is known to every producer; each producer counts the customer's orders.
type order struct{ key, value string }

// shop makes the orders of one producer, on and on.
type shop struct {
	name string
	made int
	seq  [customers]int
}

func (s *shop) orders(n int) []order {
	all := make([]order, n)
	for i := range all {
		c := (s.made * 7) % customers
		all[i] = order{fmt.Sprintf("customer-%02d", c), fmt.Sprintf("shop=%s seq=%d item=%s", s.name, s.seq[c], strings.Repeat("x", s.made%150))}
		s.seq[c]++
		s.made++
	}
	return all
}

var orderValue = regexp.MustCompile(`^customer-(\d+)\tshop=(\w+) seq=(\d+) item=(x*)$`)

// checkOrders proves that all the shops' orders are there once, each customer's in one partition, in the order of making.
func checkOrders(t *testing.T, records map[int32]map[int64]string, shops []*shop) {
	t.Helper()
	next := map[string]int64{}
	home := map[string]int32{}
	for p, of := range records {
		for _, o := range slices.Sorted(maps.Keys(of)) {
			f := orderValue.FindStringSubmatch(of[o])
			if f == nil {
				t.Fatalf("partition %d at %d: %q", p, o, of[o])
			}
			if h, ok := home[f[1]]; ok && h != p {
				t.Errorf("customer %s is in partition %d and in %d", f[1], h, p)
			}
			home[f[1]] = p
			if who := f[1] + " of " + f[2]; number(f[3]) != next[who] {
				t.Fatalf("partition %d at %d: order %s of customer %s where %d is due", p, o, f[3], who, next[who])
			} else {
				next[who]++
			}
		}
	}
	for _, s := range shops {
		for c, n := range s.seq {
			if who := fmt.Sprintf("%02d of %s", c, s.name); next[who] != int64(n) {
				t.Errorf("customer %s has %d orders of %d", who, next[who], n)
			}
		}
	}
}

// send has every shop send orders at once: Java's console producer, kcat, and franz-go.
func send(t *testing.T, addr, topic string, shops []*shop, each int) {
	t.Helper()
	var all sync.WaitGroup
	for _, s := range shops {
		orders := s.orders(each)
		var text bytes.Buffer
		for _, o := range orders {
			fmt.Fprintf(&text, "%s\t%s\n", o.key, o.value)
		}
		all.Go(func() {
			var err error
			switch s.name {
			case "java":
				err = try(t, limit, &text, nil, nil, java(kafkaJars, "org.apache.kafka.tools.ConsoleProducer", "--bootstrap-server", addr, "--topic", topic,
					"--reader-property", "parse.key=true", "--compression-codec", "lz4")...)
			case "kcat":
				err = try(t, limit, &text, nil, nil, "kcat", "-P", "-b", addr, "-t", topic, "-K", "\t", "-X", "topic.partitioner=murmur2_random",
					"-X", "enable.idempotence=true", "-X", "linger.ms=5", "-X", "compression.codec=snappy")
			default:
				err = kgoSend(t, addr, topic, orders)
			}
			if err != nil {
				t.Errorf("%s sends: %v", s.name, err)
			}
		})
	}
	all.Wait()
	if t.Failed() {
		t.FailNow()
	}
}

func kgoSend(t *testing.T, addr, topic string, orders []order) error {
	c := connect(t, addr, kgo.DefaultProduceTopic(topic), kgo.ProducerLinger(5*time.Millisecond))
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	var failed kgo.FirstErrPromise
	for _, o := range orders {
		c.Produce(ctx, kgo.KeySliceRecord([]byte(o.key), []byte(o.value)), failed.Promise())
	}
	return failed.Err()
}
