package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/term"
)

type produceFlags struct {
	key, delimiter, codec, acks string
	headers                     []string
	partition                   int32
}

type produceDocument struct {
	Schema  string `json:"schema"`
	Topic   string `json:"topic"`
	Records int64  `json:"records"` // acknowledged
	Bytes   int64  `json:"bytes"`
	Failed  int64  `json:"failed"`
}

func newProduce() *cobra.Command {
	var f produceFlags
	c := &cobra.Command{
		Use:   "produce TOPIC [-k KEY | -K DELIMITER] [-H key=value]... [-p PARTITION] [-z CODEC]",
		Short: "Send the lines of stdin, one record each",
		Long: `Send the lines of stdin, one record each. A record with a key goes to the partition the Java client would choose for it; without
one, records fill a batch for one partition and go on to another. Exits 1 when a single record was not acknowledged.`,
		Example: `  echo hello | millrace produce greetings
  millrace produce orders -K : < orders.txt          # key:value
  tail -f app.log | millrace produce logs -k web-1 -H env=prod -z zstd`,
		Args:              needs("TOPIC"),
		ValidArgsFunction: completeFirst(everyTopic),
	}
	flags := addClientFlags(c, 30*time.Second)
	output := addOutput(c, "text", "json")
	c.Flags().StringVarP(&f.key, "key", "k", "", "key of every record")
	c.Flags().StringVarP(&f.delimiter, "key-delimiter", "K", "", "what separates key and value on a line; \\t is a tab")
	c.Flags().StringArrayVarP(&f.headers, "header", "H", nil, "header of every record, key=value; repeatable")
	c.Flags().Int32VarP(&f.partition, "partition", "p", -1, "partition of every record; -1 leaves it to the key")
	c.Flags().StringVarP(&f.codec, "compression", "z", "none", "none, gzip, snappy, lz4 or zstd")
	c.Flags().StringVar(&f.acks, "acks", "all", "all, 1 or 0")
	completeFlag(c, "compression", oneOf("none", "gzip", "snappy", "lz4", "zstd"))
	completeFlag(c, "acks", oneOf("all", "1", "0"))
	for _, flag := range []string{"key", "key-delimiter", "header", "partition"} {
		completeFlag(c, flag, nothing)
	}
	c.RunE = func(c *cobra.Command, args []string) error {
		options, headers, err := f.options(c)
		if err != nil {
			return err
		}
		client, err := flags.connect(c.Context(), append(options, kgo.DefaultProduceTopic(args[0]), kgo.RecordDeliveryTimeout(flags.timeout))...)
		if err != nil {
			return err
		}
		defer client.Close()
		if term.IsTerminal(int(os.Stdin.Fd())) {
			fmt.Fprintln(os.Stderr, "each line is a record; Ctrl-D ends")
		}
		document := produceDocument{Schema: "millrace.produce/v1", Topic: args[0]}
		err = f.send(c, client, os.Stdin, headers, &document, flags.timeout)
		if *output == "json" {
			if err := printJSON(os.Stdout, document); err != nil {
				return err
			}
		}
		return err
	}
	return c
}

// options turns the flags into those of the client.
func (f *produceFlags) options(c *cobra.Command) ([]kgo.Opt, []kgo.RecordHeader, error) {
	options := []kgo.Opt{
		kgo.AllowAutoTopicCreation(),
		kgo.UnknownTopicRetries(10), // a topic made on first use is there a moment later
		kgo.ProducerLinger(5 * time.Millisecond),
		kgo.MaxBufferedBytes(64 << 20),
	}
	if f.partition >= 0 {
		options = append(options, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	} else {
		options = append(options, kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil))) // nil: murmur2, as Java
	}
	if f.delimiter != "" && c.Flags().Changed("key") {
		return nil, nil, usage(c, errors.New("-k and -K exclude each other"))
	}
	codecs := map[string]kgo.CompressionCodec{
		"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(), "lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
	}
	codec, ok := codecs[f.codec]
	if !ok {
		return nil, nil, usage(c, fmt.Errorf("-z %s: unknown codec (allowed none, gzip, snappy, lz4, zstd)", f.codec))
	}
	options = append(options, kgo.ProducerBatchCompression(codec))
	switch f.acks {
	case "all", "-1":
		options = append(options, kgo.RequiredAcks(kgo.AllISRAcks()))
	case "1":
		options = append(options, kgo.RequiredAcks(kgo.LeaderAck()), kgo.DisableIdempotentWrite())
	case "0":
		options = append(options, kgo.RequiredAcks(kgo.NoAck()), kgo.DisableIdempotentWrite())
	default:
		return nil, nil, usage(c, fmt.Errorf("--acks %s: want all, 1 or 0", f.acks))
	}
	var headers []kgo.RecordHeader
	for _, h := range f.headers {
		key, value, ok := strings.Cut(h, "=")
		if !ok {
			return nil, nil, usage(c, fmt.Errorf("-H %s: want key=value", h))
		}
		headers = append(headers, kgo.RecordHeader{Key: key, Value: []byte(value)})
	}
	f.delimiter = strings.ReplaceAll(f.delimiter, `\t`, "\t")
	return options, headers, nil
}

// send reads lines until the input ends, the user interrupts or a record fails; what was read is sent in every case.
func (f *produceFlags) send(c *cobra.Command, client *kgo.Client, in io.Reader, headers []kgo.RecordHeader, d *produceDocument, timeout time.Duration) error {
	ctx := c.Context()
	var firstErr atomic.Pointer[error]
	failed := make(chan struct{})
	var records, sent, lost atomic.Int64
	promise := func(r *kgo.Record, err error) {
		if err != nil {
			lost.Add(1)
			if firstErr.CompareAndSwap(nil, &err) {
				close(failed)
			}
			return
		}
		records.Add(1)
		sent.Add(int64(len(r.Key) + len(r.Value)))
	}
	lines, readErr := readLines(in)
	var err error
reading:
	for number := 1; ; number++ {
		select {
		case line, ok := <-lines:
			if !ok {
				err = <-readErr
				break reading
			}
			r := &kgo.Record{Value: line, Headers: headers, Partition: f.partition}
			if c.Flags().Changed("key") {
				r.Key = []byte(f.key)
			}
			if f.delimiter != "" {
				key, value, ok := bytes.Cut(line, []byte(f.delimiter))
				if !ok {
					err = &failure{exitFailed, "no_key", fmt.Sprintf("line %d has no %q between key and value", number, f.delimiter), ""}
					break reading
				}
				r.Key, r.Value = key, value
			}
			client.Produce(context.WithoutCancel(ctx), r, promise)
		case <-failed:
			break reading
		case <-ctx.Done():
			err = ctx.Err()
			break reading
		}
	}
	// Each record has its own time-out, which says more than that of all of them.
	flushing, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout+5*time.Second)
	defer cancel()
	if flushErr := client.Flush(flushing); flushErr != nil && err == nil {
		err = flushErr
	}
	d.Records, d.Bytes, d.Failed = records.Load(), sent.Load(), lost.Load()
	if first := firstErr.Load(); first != nil {
		return deliveryFailure(*first, d)
	}
	return err
}

func deliveryFailure(err error, d *produceDocument) error {
	f := *explain(err)
	if errors.Is(err, kgo.ErrRecordTimeout) || errors.Is(err, kgo.ErrRecordRetries) {
		f.exit, f.code, f.hint = exitTimeout, "timeout", "millrace doctor --only cluster looks for the reason"
	}
	f.message = fmt.Sprintf("%s not acknowledged, %s acknowledged: %v", counted(int(d.Failed), "record"), thousands(d.Records), err)
	return &f
}

// readLines reads in the background, because a read of a terminal cannot be interrupted. The last line may lack its end.
func readLines(in io.Reader) (<-chan []byte, <-chan error) {
	lines, done := make(chan []byte, 256), make(chan error, 1)
	go func() {
		reader := bufio.NewReaderSize(in, 256<<10)
		for {
			line, err := reader.ReadBytes('\n')
			if len(line) > 0 {
				lines <- bytes.TrimSuffix(line, []byte("\n"))
			}
			if err != nil {
				if errors.Is(err, io.EOF) {
					err = nil
				}
				done <- err
				close(lines)
				return
			}
		}
	}()
	return lines, done
}
