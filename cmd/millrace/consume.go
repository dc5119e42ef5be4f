package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

type consumeFlags struct {
	offset, format, group string
	exit, json            bool
	count                 int64
	partitions            []int32
}

func newConsume() *cobra.Command {
	var f consumeFlags
	c := &cobra.Command{
		Use:   "consume TOPIC [-g GROUP] [-o OFFSET] [-e] [-n COUNT] [-p PARTITIONS] [-f FORMAT | -J]",
		Short: "Print records",
		Long: `Print records: the value and a newline each, or as -f and -J say. On a terminal each line has time, place and key as well.

OFFSET is ` + positionHelp + `.

With -g it joins a consumer group: the group's members share the partitions, each goes on where the group stopped, and OFFSET only says
where to begin in a partition in which the group never committed. What was printed is committed once the output has it; on exit it
leaves the group. -e then stops where the partitions that it got end now.

FORMAT is franz-go's, as in rpk: %t topic, %p partition, %o offset, %k key, %v value, %d timestamp, %h{%k=%v } headers, \n newline;
"kcat:%s" takes kcat's letters instead. -J is kcat's JSON, one document on a line; bytes that are not UTF-8 become U+FFFD there.`,
		Example: `  millrace consume greetings -n 1
  millrace consume orders -e -f '%p %o %k=%v\n'
  millrace consume orders -o @-1h -J | jq .payload
  millrace consume orders -g payment`,
		Args:              needs("TOPIC"),
		ValidArgsFunction: completeFirst(everyTopic),
	}
	flags := addClientFlags(c, 15*time.Second)
	c.Flags().StringVarP(&f.offset, "offset", "o", "start", "where to begin: start, end, N, -N, @TIME")
	c.Flags().StringVarP(&f.group, "group", "g", "", "join this consumer group")
	c.Flags().BoolVarP(&f.exit, "exit", "e", false, "stop where the topic ends now")
	c.Flags().Int64VarP(&f.count, "count", "n", 0, "stop after that many records; 0 does not")
	c.Flags().Int32SliceVarP(&f.partitions, "partitions", "p", nil, "only these partitions")
	c.Flags().StringVarP(&f.format, "format", "f", "", "format of a record")
	c.Flags().BoolVarP(&f.json, "json", "J", false, "kcat's JSON, one document on a line")
	completeFlag(c, "offset", oneOf("start", "end", "-10", "@-1h"))
	completeFlag(c, "group", complete(everyGroup))
	completeFlag(c, "count", nothing)
	completeFlag(c, "partitions", nothing)
	completeFlag(c, "format", nothing)
	c.RunE = func(c *cobra.Command, args []string) error {
		from, err := parsePosition(f.offset, time.Now())
		if err != nil {
			return usage(c, fmt.Errorf("-o %s: %w", f.offset, err))
		}
		if f.json && f.format != "" {
			return usage(c, errors.New("-f and -J exclude each other"))
		}
		if f.group != "" && len(f.partitions) > 0 {
			return usage(c, errors.New("-g and -p exclude each other: the group divides the partitions"))
		}
		if f.count < 0 {
			return usage(c, fmt.Errorf("-n %d: want 0 or more", f.count))
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

// consume prints until the user, the count or the end stops it.
func (f *consumeFlags) consume(ctx context.Context, flags *clientFlags, topic string, from position, write func(*kgo.Record) error, out *bufio.Writer) (err error) {
	r := &reading{flags: f, topic: topic, from: from, timeout: flags.timeout, brokers: flags.brokers, write: write, out: out, ends: map[int32]int64{}, next: map[int32]int64{}}
	options := []kgo.Opt{
		kgo.WithHooks(&r.pulse),
		kgo.FetchMaxWait(min(5*time.Second, flags.timeout/2+time.Millisecond)), // so that a quiet topic is not taken for a dead broker
		kgo.KeepControlRecords(), // they end a partition as well as others
	}
	if f.group == "" {
		options = append(options, kgo.ConsumeResetOffset(kgo.NoResetOffset())) // an offset that is not there is an error, not another offset
	} else {
		signal.Ignore(syscall.SIGPIPE) // a reader that has seen enough must not keep us from leaving the group
		options = append(options, r.membership()...)
	}
	client, err := flags.connect(ctx, options...)
	if err != nil {
		return err
	}
	r.client, r.cluster = client, &cluster{kadm.NewClient(client), client, flags.timeout}
	defer client.CloseAllowingRebalance() // leaves the group
	t, err := r.cluster.findTopic(ctx, topic)
	if err != nil {
		return err
	}
	if f.group == "" {
		ready, err := r.assign(ctx, t)
		if err != nil || !ready {
			return err
		}
	}
	defer func() { err = errors.Join(err, r.settle(ctx)) }()
	return r.read(ctx)
}

// reading is one run of consume.
type reading struct {
	flags   *consumeFlags
	topic   string
	from    position
	timeout time.Duration
	brokers []string
	client  *kgo.Client
	cluster *cluster
	write   func(*kgo.Record) error
	out     *bufio.Writer
	pulse   pulse
	printed int64
	ends    map[int32]int64 // with -e: where to stop in each partition that is not read to there yet
	next    map[int32]int64 // of those, where the reading is
	member  membership
}

// assign begins without a group: with the partitions that -p names, or all. ready is false when there is nothing to read.
func (r *reading) assign(ctx context.Context, t kadm.TopicDetail) (ready bool, err error) {
	chosen := map[int32]kgo.Offset{}
	for _, p := range t.Partitions.Numbers() {
		if len(r.flags.partitions) == 0 {
			chosen[p] = r.from.offset()
		}
	}
	for _, p := range r.flags.partitions {
		if _, ok := t.Partitions[p]; !ok {
			return false, noSuchPartition(r.topic, p, len(t.Partitions))
		}
		chosen[p] = r.from.offset()
	}
	if r.flags.exit {
		if err := r.findEnds(ctx, slices.Collect(maps.Keys(chosen)), nil); err != nil {
			return false, err
		}
		if len(r.ends) == 0 {
			return false, nil
		}
	}
	r.client.AddConsumePartitions(map[string]map[int32]kgo.Offset{r.topic: chosen})
	return true, nil
}

// findEnds notes the end of each partition that has anything between where the reading begins and its end.
func (r *reading) findEnds(ctx context.Context, numbers []int32, committed map[int32]int64) error {
	all, err := r.cluster.bounds(ctx, r.topic)
	if err != nil {
		return err
	}
	begins, err := r.cluster.resolve(ctx, r.from, all)
	if err != nil {
		return err
	}
	for _, p := range numbers {
		b, ok := all[r.topic][p]
		if !ok {
			b.err = errors.New("no answer about its offsets")
		}
		if b.err != nil {
			return fmt.Errorf("%s partition %d: %w", r.topic, p, b.err)
		}
		begin := begins[r.topic][p]
		if at, ok := committed[p]; ok {
			begin = at
		}
		if b.start < b.end && begin < b.end {
			r.ends[p], r.next[p] = b.end, max(begin, b.start)
		}
	}
	return nil
}

func (r *reading) read(ctx context.Context) error {
	for {
		if r.finished() {
			return r.callbackError()
		}
		wait := r.timeout
		if r.flags.exit {
			wait = min(wait, 300*time.Millisecond)
		}
		poll, cancel := context.WithTimeout(ctx, wait)
		r.wakeWith(cancel)
		fetches := r.client.PollFetches(poll)
		cancel()
		if err := ctx.Err(); err != nil {
			return err
		}
		if errors.Is(fetches.Err0(), context.DeadlineExceeded) || errors.Is(fetches.Err0(), context.Canceled) {
			if r.pulse.silence() >= r.timeout {
				return &failure{exitTimeout, "timeout", fmt.Sprintf("no answer from %s for %s", strings.Join(r.brokers, ","), r.timeout), "--timeout waits longer"}
			}
			if r.flags.exit {
				r.passHoles(ctx)
			}
			r.client.AllowRebalance()
			continue
		}
		done, err := r.print(fetches)
		if err := errors.Join(err, r.settle(ctx)); err != nil || done {
			return err
		}
		r.client.AllowRebalance()
	}
}

// print writes what was fetched; done says that there was enough.
func (r *reading) print(fetches kgo.Fetches) (done bool, err error) {
	for _, e := range fetches.Errors() {
		if errors.Is(e.Err, kerr.OffsetOutOfRange) {
			return false, &failure{exitFailed, "offset_out_of_range", fmt.Sprintf("%s partition %d does not have offset %s", r.topic, e.Partition, r.flags.offset), "millrace topic describe shows the offsets there are"}
		}
		if errors.Is(e.Err, context.DeadlineExceeded) {
			continue
		}
		if e.Topic == "" {
			return false, e.Err // of the whole client, as when it cannot join its group
		}
		return false, fmt.Errorf("%s partition %d: %w", e.Topic, e.Partition, e.Err)
	}
	for records := fetches.RecordIter(); !records.Done(); {
		one := records.Next()
		end, limited := r.end(one.Partition)
		if r.flags.exit && (!limited || one.Offset >= end) {
			r.reached(one.Partition) // it came after we looked; what was last then may be compacted away by now
			continue
		}
		if !one.Attrs.IsControl() {
			if err := r.write(one); err != nil {
				return false, err
			}
			r.printed++
		}
		r.note(one, end)
		if r.finished() {
			return true, nil
		}
	}
	return r.finished(), r.callbackError()
}

// settle hands the output over, and only then commits what was printed.
func (r *reading) settle(ctx context.Context) error {
	if err := r.out.Flush(); err != nil {
		return err
	}
	return r.commit(ctx)
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
