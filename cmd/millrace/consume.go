package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

type consumeFlags struct {
	offset, format string
	exit, json     bool
	count          int64
	partitions     []int32
}

func newConsume() *cobra.Command {
	var f consumeFlags
	c := &cobra.Command{
		Use:   "consume TOPIC [-o OFFSET] [-e] [-n COUNT] [-p PARTITIONS] [-f FORMAT | -J]",
		Short: "Print records",
		Long: `Print records: the value and a newline each, or as -f and -J say. On a terminal each line has time, place and key as well.

OFFSET is start, end, a number, -N for the last N of each partition, or a time: @1767225600000 (milliseconds since 1970),
@2026-01-01T00:00:00Z, or @-90m for so long ago.

FORMAT is franz-go's, as in rpk: %t topic, %p partition, %o offset, %k key, %v value, %d timestamp, %h{%k=%v } headers, \n newline;
"kcat:%s" takes kcat's letters instead. -J is kcat's JSON, one document on a line; bytes that are not UTF-8 become U+FFFD there.`,
		Example: `  millrace consume greetings -n 1
  millrace consume orders -e -f '%p %o %k=%v\n'
  millrace consume orders -o @-1h -J | jq .payload`,
		Args: cobra.ExactArgs(1),
	}
	flags := addClientFlags(c, 15*time.Second)
	c.Flags().StringVarP(&f.offset, "offset", "o", "start", "where to begin: start, end, N, -N, @TIME")
	c.Flags().BoolVarP(&f.exit, "exit", "e", false, "stop where the topic ends now")
	c.Flags().Int64VarP(&f.count, "count", "n", 0, "stop after that many records; 0 does not")
	c.Flags().Int32SliceVarP(&f.partitions, "partitions", "p", nil, "only these partitions")
	c.Flags().StringVarP(&f.format, "format", "f", "", "format of a record")
	c.Flags().BoolVarP(&f.json, "json", "J", false, "kcat's JSON, one document on a line")
	c.RunE = func(c *cobra.Command, args []string) error {
		from, err := parseOffset(f.offset, time.Now())
		if err != nil {
			return usage(c, fmt.Errorf("-o %s: %w", f.offset, err))
		}
		if f.json && f.format != "" {
			return usage(c, errors.New("-f and -J exclude each other"))
		}
		out := bufio.NewWriterSize(os.Stdout, 64<<10)
		write, err := f.writer(out)
		if err != nil {
			return usage(c, err)
		}
		return f.consume(c.Context(), flags, args[0], from, write, out)
	}
	return c
}

// parseOffset reads the argument of -o.
func parseOffset(text string, now time.Time) (kgo.Offset, error) {
	switch text {
	case "start", "beginning", "earliest":
		return kgo.NewOffset().AtStart(), nil
	case "end", "latest":
		return kgo.NewOffset().AtEnd(), nil
	}
	if at, ok := strings.CutPrefix(text, "@"); ok {
		ms, err := parseTime(at, now)
		return kgo.NewOffset().AfterMilli(ms), err
	}
	n, err := strconv.ParseInt(text, 10, 64)
	switch {
	case err != nil || text[0] == '+':
		return kgo.Offset{}, errors.New("want start, end, a number, -N or @TIME")
	case text[0] == '-':
		return kgo.NewOffset().AtEnd().Relative(n), nil
	}
	return kgo.NewOffset().At(n), nil
}

func parseTime(text string, now time.Time) (ms int64, err error) {
	if ms, err := strconv.ParseInt(text, 10, 64); err == nil && ms >= 0 {
		return ms, nil
	}
	if ago, err := time.ParseDuration(text); err == nil && ago < 0 {
		return now.Add(ago).UnixMilli(), nil
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02"} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UnixMilli(), nil
		}
	}
	return 0, errors.New("want milliseconds since 1970, a time like 2026-01-02T15:04:05Z (UTC), or how long ago like -1h30m")
}

// writer returns the function that prints one record.
func (f *consumeFlags) writer(out io.Writer) (func(*kgo.Record) error, error) {
	var buf []byte
	flush := func(b []byte) error { buf = b[:0]; _, err := out.Write(b); return err }
	switch {
	case f.json:
		return func(r *kgo.Record) error { return writeEnvelope(out, r) }, nil
	case f.format != "":
		layout := f.format
		if kcat, ok := strings.CutPrefix(layout, "kcat:"); ok {
			var err error
			if layout, err = fromKcat(kcat); err != nil {
				return nil, fmt.Errorf("-f %s: %w", f.format, err)
			}
		}
		formatter, err := kgo.NewRecordFormatter(layout)
		if err != nil {
			return nil, fmt.Errorf("-f %s: %w", f.format, err)
		}
		return func(r *kgo.Record) error { return flush(formatter.AppendRecord(buf, r)) }, nil
	case interactive(os.Stdout):
		dim, bold, plain := "", "", ""
		if colours(os.Stdout) {
			dim, bold, plain = "\x1b[2m", "\x1b[1m", "\x1b[0m"
		}
		return func(r *kgo.Record) error {
			_, err := fmt.Fprintf(out, "%s%s %d/%d%s %s%s%s %s\n", dim, r.Timestamp.UTC().Format("2006-01-02T15:04:05.000Z"), r.Partition, r.Offset, plain, bold, r.Key, plain, r.Value)
			return err
		}, nil
	}
	return func(r *kgo.Record) error { return flush(append(append(buf, r.Value...), '\n')) }, nil
}

// fromKcat turns kcat's format letters into franz-go's.
func fromKcat(layout string) (string, error) {
	letters := map[byte]string{
		't': "%t", 'p': "%p", 'o': "%o", 'k': "%k", 'K': "%K", 's': "%v", 'S': "%V", 'T': "%d", 'h': "%h{%k=%v,}", '%': "%%",
	}
	var b strings.Builder
	for i := 0; i < len(layout); i++ {
		if layout[i] != '%' {
			b.WriteByte(layout[i])
			continue
		}
		i++
		if i == len(layout) {
			return "", errors.New("a single % at the end")
		}
		letter, ok := letters[layout[i]]
		if !ok {
			return "", fmt.Errorf("no such letter: %%%c", layout[i])
		}
		b.WriteString(letter)
	}
	return b.String(), nil
}

// envelope is the document of kcat -J.
type envelope struct {
	Topic     string   `json:"topic"`
	Partition int32    `json:"partition"`
	Offset    int64    `json:"offset"`
	TSType    string   `json:"tstype"`
	TS        int64    `json:"ts"`
	Headers   []string `json:"headers,omitempty"`
	Key       *string  `json:"key"`
	Payload   *string  `json:"payload"`
}

func writeEnvelope(out io.Writer, r *kgo.Record) error {
	text := func(b []byte) *string {
		if b == nil {
			return nil
		}
		s := string(b)
		return &s
	}
	e := envelope{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, TSType: "create", TS: r.Timestamp.UnixMilli(), Key: text(r.Key), Payload: text(r.Value)}
	if r.Attrs.TimestampType() == 1 {
		e.TSType = "logappend"
	}
	for _, h := range r.Headers {
		e.Headers = append(e.Headers, h.Key, string(h.Value))
	}
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(e)
}

func (f *consumeFlags) consume(ctx context.Context, flags *clientFlags, topic string, from kgo.Offset, write func(*kgo.Record) error, out *bufio.Writer) (err error) {
	var pulse pulse
	client, err := flags.connect(ctx,
		kgo.WithHooks(&pulse),
		kgo.FetchMaxWait(min(5*time.Second, flags.timeout/2+time.Millisecond)), // so that a quiet topic is not taken for a dead broker
		kgo.KeepControlRecords(),                    // they end a partition as well as others
		kgo.ConsumeResetOffset(kgo.NoResetOffset()), // an offset that is not there is an error, not another offset
	)
	if err != nil {
		return err
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	t, err := findTopic(ctx, admin, topic)
	if err != nil {
		return err
	}
	partitions := map[int32]kgo.Offset{}
	for _, p := range t.Partitions.Numbers() {
		partitions[p] = from
	}
	if len(f.partitions) > 0 {
		chosen := map[int32]kgo.Offset{}
		for _, p := range f.partitions {
			if _, ok := partitions[p]; !ok {
				return &failure{exitFailed, "unknown_topic_or_partition", fmt.Sprintf("%s has no partition %d (it has %d)", topic, p, len(partitions)), ""}
			}
			chosen[p] = from
		}
		partitions = chosen
	}
	ends := map[int32]int64{}
	if f.exit {
		if ends, err = partitionsToRead(ctx, admin, topic, partitions, f.offset); err != nil {
			return err
		}
		if len(ends) == 0 {
			return nil
		}
	}
	client.AddConsumePartitions(map[string]map[int32]kgo.Offset{topic: partitions})
	defer func() { err = errors.Join(err, out.Flush()) }()
	var printed int64
	for {
		poll, cancel := context.WithTimeout(ctx, flags.timeout)
		fetches := client.PollFetches(poll)
		cancel()
		if err := ctx.Err(); err != nil {
			return err
		}
		if errors.Is(fetches.Err0(), context.DeadlineExceeded) {
			if pulse.silence() < flags.timeout {
				continue
			}
			return &failure{exitTimeout, "timeout", fmt.Sprintf("no answer from %s for %s", strings.Join(flags.brokers, ","), flags.timeout), "--timeout waits longer"}
		}
		for _, e := range fetches.Errors() {
			if errors.Is(e.Err, kerr.OffsetOutOfRange) {
				return &failure{exitFailed, "offset_out_of_range", fmt.Sprintf("%s partition %d does not have offset %s", topic, e.Partition, f.offset), "millrace topic describe shows the offsets there are"}
			}
			return fmt.Errorf("%s partition %d: %w", e.Topic, e.Partition, e.Err)
		}
		for records := fetches.RecordIter(); !records.Done(); {
			r := records.Next()
			end, limited := ends[r.Partition]
			if f.exit && (!limited || r.Offset >= end) {
				continue // came after we looked
			}
			if !r.Attrs.IsControl() {
				if err := write(r); err != nil {
					return err
				}
				printed++
			}
			if limited && r.Offset == end-1 {
				delete(ends, r.Partition)
			}
			if printed == f.count && f.count > 0 || f.exit && len(ends) == 0 {
				return nil
			}
		}
		if err := out.Flush(); err != nil {
			return err
		}
	}
}

// pulse remembers when a broker last answered. The client itself asks for ever.
type pulse struct{ last atomic.Int64 }

var _ kgo.HookBrokerE2E = (*pulse)(nil)

// OnBrokerE2E implements kgo.HookBrokerE2E.
func (p *pulse) OnBrokerE2E(_ kgo.BrokerMetadata, _ int16, e2e kgo.BrokerE2E) {
	if e2e.Err() == nil {
		p.last.Store(time.Now().UnixNano())
	}
}

func (p *pulse) silence() time.Duration { return time.Duration(time.Now().UnixNano() - p.last.Load()) }

// partitionsToRead returns the end of each partition that has anything between where the reading begins and its end.
func partitionsToRead(ctx context.Context, admin *kadm.Client, topic string, partitions map[int32]kgo.Offset, from string) (map[int32]int64, error) {
	starts, err := admin.ListStartOffsets(ctx, topic)
	if err != nil {
		return nil, err
	}
	begin := func(p int32, start, end int64) int64 { return start }
	switch {
	case strings.HasPrefix(from, "@"):
		ms, err := parseTime(from[1:], time.Now())
		if err != nil {
			return nil, err
		}
		after, err := admin.ListOffsetsAfterMilli(ctx, ms, topic)
		if err != nil {
			return nil, err
		}
		begin = func(p int32, _, _ int64) int64 { o, _ := after.Lookup(topic, p); return o.Offset }
	case from == "end" || from == "latest":
		begin = func(_ int32, _, end int64) int64 { return end }
	default:
		if n, err := strconv.ParseInt(from, 10, 64); err == nil && n >= 0 {
			begin = func(int32, int64, int64) int64 { return n }
		}
	}
	listed, err := admin.ListEndOffsets(ctx, topic)
	if err != nil {
		return nil, err
	}
	ends := map[int32]int64{}
	for p := range partitions {
		start, _ := starts.Lookup(topic, p)
		end, _ := listed.Lookup(topic, p)
		if err := errors.Join(start.Err, end.Err); err != nil {
			return nil, fmt.Errorf("%s partition %d: %w", topic, p, err)
		}
		if start.Offset < end.Offset && begin(p, start.Offset, end.Offset) < end.Offset {
			ends[p] = end.Offset
		}
	}
	return ends, nil
}
