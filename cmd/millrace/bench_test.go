package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/bench"
)

// The generator against the real binary, in this process so that the race detector sees it.
func TestBenchMovesAndVerifiesEveryRecord(t *testing.T) {
	text := filepath.Join(t.TempDir(), "text")
	for _, name := range strings.Fields("a b c d e f g h") {
		if err := os.MkdirAll(text, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(text, name), []byte(strings.Repeat(name+"\n\nsome line\n", 1000)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	in, err := bench.OpenInput(text)
	if err != nil {
		t.Fatal(err)
	}
	var last bench.Progress
	o := bench.Options{Brokers: []string{kafka}, Topic: "bench-all", Partitions: 5, Workers: 2, Progress: func(p bench.Progress) { last = p }}
	if err := bench.CreateTopic(t.Context(), o, nil); err != nil {
		t.Fatal(err)
	}
	if mode, err := bench.Durability(t.Context(), o); err != nil || mode != "fsync" {
		t.Errorf("durability %q (%v)", mode, err)
	}
	ledger := bench.NewLedger(o.Partitions)
	produced, err := bench.Produce(t.Context(), o, in, ledger)
	if err != nil {
		t.Fatal(err)
	}
	if !last.Last || last.Done != in.Bytes {
		t.Errorf("the last progress is %+v, of %d bytes", last, in.Bytes)
	}
	consumed, err := bench.Consume(t.Context(), o, ledger)
	if err != nil {
		t.Fatal(err)
	}
	if v := ledger.Verdict(); !v.Intact() || v.Sent != 24000 || produced.Records != 24000 || consumed.Records != 24000 || produced.Bytes != consumed.Bytes {
		t.Errorf("%v; produced %d, consumed %d", v, produced.Records, consumed.Records)
	}
	var sampled int64
	for _, s := range produced.Series {
		sampled += s.Records
	}
	if sampled != produced.Records || produced.Requests == 0 || consumed.Requests == 0 {
		t.Errorf("the series sums up to %d records; %d and %d requests", sampled, produced.Requests, consumed.Requests)
	}

	// A record of somebody else's in the topic does not go unnoticed.
	client, err := kgo.NewClient(kgo.SeedBrokers(kafka), kgo.DefaultProduceTopic(o.Topic))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := client.ProduceSync(t.Context(), kgo.StringRecord("stranger")).FirstErr(); err != nil {
		t.Fatal(err)
	}
	ledger = bench.NewLedger(o.Partitions)
	if err := in.Each(func(key, value []byte) error {
		ledger.Sent(bench.KeyPartition(key, o.Partitions), key, value)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := bench.Consume(t.Context(), o, ledger); err != nil {
		t.Fatal(err)
	}
	if v := ledger.Verdict(); v.Corrupted != 1 || v.Lost != 0 || v.Consumed != 24001 {
		t.Errorf("with a stranger's record: %v", v)
	}
}
