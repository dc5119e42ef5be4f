package replica

import (
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/millrace/millrace/engine"
	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/vfs"
	"github.com/millrace/millrace/meta"
	"github.com/millrace/millrace/wire"
	"github.com/millrace/millrace/wire/record"
)

var rewrite = flag.Bool("rewrite", false, "write what the traces print into their files")

// A trace is a script of one broker's partitions with what it prints. Nothing runs by itself: jobs of the flusher wait until they are told
// to run, so a trace decides what has been flushed when. The lines of a block are done in order:
//
//	create NAME durability=fsync min=1 isr=1      a topic of one partition, led by this broker (1)
//	set NAME durability=os min=2                  its settings
//	broker durability=os min=2                    the broker's, which are the defaults of topics
//	lead NAME leader=1 epoch=+1 isr=1,2           its role, as a new image has it
//	remove NAME
//	append NAME acks=all n=2                      waits for a name: w1, w2, ...
//	cancel w1
//	flush                                         runs the flushes that are queued, once
//	later                                         runs what `replicated` has put off
//	park P NAME need=100 NAME need...             a fetch at the end of what can be read, named P
//	read NAME offset=0 max=1000 one epoch=0 last=0
//	list NAME ts=-1
//	epochend NAME 0
//	state NAME
//	delete NAME 5                                  records below that offset; -1: below the high watermark
//	retain NAME
//	reopen                                        a new table over the same logs, as after a restart
func TestTraces(t *testing.T) {
	files, err := filepath.Glob("testdata/*.trace")
	if err != nil || len(files) == 0 {
		t.Fatalf("no traces: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := runTrace(t, string(want))
			if *rewrite {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != string(want) {
				t.Errorf("%s prints something else; look at the difference after go test -rewrite\n%s", file, got)
			}
		})
	}
}

type tracer struct {
	config  *config.Config
	t       *testing.T
	table   *Table
	image   *meta.Image
	index   int64
	flushes []func()
	laters  []func()
	acks    map[string]*AckWaiter
	acksOf  map[string]*Partition
	out     strings.Builder
	now     int64
	nextID  byte
}

func runTrace(t *testing.T, script string) string {
	tr := newTracer(t)
	for block := range strings.SplitSeq(strings.TrimSpace(script), "\n\n") {
		input, _, _ := strings.Cut(block, "\n----")
		fmt.Fprintf(&tr.out, "%s\n", input)
		if strings.HasPrefix(input, "#") {
			tr.out.WriteString("\n")
			continue
		}
		tr.out.WriteString("----\n")
		for line := range strings.SplitSeq(input, "\n") {
			tr.do(strings.Fields(line))
		}
		tr.out.WriteString("\n")
	}
	return strings.TrimRight(tr.out.String(), "\n") + "\n"
}

func newTracer(t *testing.T) *tracer {
	fs := vfs.NewMem()
	tr := &tracer{t: t, acks: map[string]*AckWaiter{}, acksOf: map[string]*Partition{}, now: 1_000_000}
	// The engine's own jobs run in order on one goroutine: for a trace as good as at once.
	jobs := make(chan func(), 1000)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for job := range jobs {
			job()
		}
	}()
	dir, err := engine.OpenDir(engine.DirOptions{FS: fs, Path: "/d", Go: func(job func()) { jobs <- job }, NodeID: 1, Rand: func() uint64 { return 4 }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for len(tr.flushes) > 0 {
			tr.run(&tr.flushes)
		}
		if err := dir.Close(false); err != nil {
			t.Error(err)
		}
		close(jobs)
		<-done
	})
	c, err := config.Load("", nil)
	if err != nil {
		t.Fatal(err)
	}
	tr.config = c
	tr.table = NewTable(Options{
		Dir: dir, NodeID: 1, Config: c.TopicConfig, Go: func(job func()) { jobs <- job }, Log: slog.New(slog.DiscardHandler),
		Flush: NewFlusher(FlusherOptions{
			Go:    func(job func()) { tr.flushes = append(tr.flushes, job) },
			Later: func(job func()) { tr.laters = append(tr.laters, job) },
		}),
	})
	tr.image = meta.Empty()
	tr.apply(append(meta.Bootstrap("trace"), meta.BrokerRegistrationRecord{Broker: meta.Broker{ID: 1}}, meta.BrokerRegistrationRecord{Broker: meta.Broker{ID: 2}})...)
	return tr
}

func (tr *tracer) apply(rs ...meta.Record) {
	tr.t.Helper()
	im, err := tr.image.Apply(rs, tr.index)
	if err != nil {
		tr.t.Fatal(err)
	}
	tr.index += int64(len(rs))
	tr.table.Apply(tr.image, im)
	tr.image = im
}

func (tr *tracer) run(jobs *[]func()) {
	due := *jobs
	*jobs = nil
	for _, job := range due {
		job()
	}
}

func (tr *tracer) printf(format string, args ...any) { fmt.Fprintf(&tr.out, format+"\n", args...) }

// args splits key=value words.
func args(words []string) map[string]string {
	m := map[string]string{}
	for _, w := range words {
		k, v, _ := strings.Cut(w, "=")
		m[k] = v
	}
	return m
}

func number(s string, otherwise int64) int64 {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return n
	}
	return otherwise
}

func ids(s string) []int32 {
	var out []int32
	for w := range strings.SplitSeq(s, ",") {
		out = append(out, int32(number(w, 0)))
	}
	return out
}

func (tr *tracer) settings(id wire.UUID, name string, a map[string]string) (rs []meta.Record) {
	for key, setting := range map[string]string{"durability": "millrace.durability", "min": "min.insync.replicas", "policy": "cleanup.policy"} {
		if v, ok := a[key]; ok {
			rs = append(rs, meta.ConfigRecord{Resource: meta.Resource{Type: meta.TopicResource, Name: name}, Name: setting, Value: v})
		}
	}
	return rs
}

func (tr *tracer) do(words []string) {
	a := args(words[1:])
	partition := func() *Partition { return tr.table.Lookup(words[1], 0) }
	switch words[0] {
	case "create":
		tr.nextID++
		id := wire.UUID{tr.nextID}
		p := meta.Partition{Replicas: []int32{1, 2}, ISR: []int32{1}, Leader: 1}
		if a["isr"] != "" {
			p.ISR = ids(a["isr"])
		}
		rs := []meta.Record{meta.TopicRecord{Name: words[1], ID: id}, meta.PartitionRecord{TopicID: id, Partition: p}}
		tr.apply(append(rs, tr.settings(id, words[1], a)...)...)
	case "set":
		tr.apply(tr.settings(partition().Topic.ID, words[1], a)...)
	case "broker":
		set := map[string]string{}
		for _, r := range tr.settings(wire.UUID{}, "", a) {
			set[r.(meta.ConfigRecord).Name] = r.(meta.ConfigRecord).Value
		}
		tr.config.SetDynamic(set, nil)
		tr.table.Reconfigure(tr.image)
	case "lead":
		change := meta.PartitionChangeRecord{TopicID: partition().Topic.ID, Leader: meta.LeaderUnchanged}
		if a["leader"] != "" {
			change.Leader = int32(number(a["leader"], 0))
		}
		if a["isr"] != "" {
			change.ISR = ids(a["isr"])
		}
		tr.apply(change)
	case "remove":
		tr.apply(meta.RemoveTopicRecord{ID: partition().Topic.ID})
		tr.printf("in the table: %v", tr.table.Topic(words[1]) != nil)
	case "append":
		tr.append(partition(), a)
	case "cancel":
		tr.printf("%s: taken out %v", words[1], tr.acksOf[words[1]].Cancel(tr.acks[words[1]]))
	case "flush":
		tr.printf("%d flushes", len(tr.flushes))
		tr.run(&tr.flushes)
	case "later":
		tr.printf("%d put off", len(tr.laters))
		tr.run(&tr.laters)
	case "park":
		tr.park(words[1:])
	case "read":
		tr.read(partition(), a)
	case "list":
		at, err := partition().OffsetFor(number(a["ts"], 0), -1, false, true)
		tr.printf("offset %d timestamp %d epoch %d %s", at.Offset, at.Timestamp, at.LeaderEpoch, text(err))
	case "epochend":
		epoch, end, err := partition().EpochEnd(int32(number(words[2], 0)), -1)
		tr.printf("epoch %d end %d %s", epoch, end, text(err))
	case "state":
		p := partition()
		tr.printf("epoch %d leads %v; high watermark %d, flushed %d, end %d", p.LeaderEpoch(), p.leads(), p.HighWatermark(), p.log.FlushedTo(), p.log.LogEnd())
	case "delete":
		start, err := partition().DeleteRecords(number(words[2], 0))
		for err == ErrWait {
			tr.wait(partition())
			start, err = partition().DeleteRecords(number(words[2], 0))
		}
		tr.printf("log start %d %s", start, text(err))
	case "retain":
		deleted, err := partition().Retain(tr.now)
		tr.printf("%d segments deleted, %d bytes left %s", deleted, partition().Size(), text(err))
	case "reopen":
		tr.table = NewTable(tr.table.o)
		tr.table.Apply(nil, tr.image)
	default:
		tr.t.Fatalf("no command %q", words[0])
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	if code, ok := err.(wire.Code); ok {
		return code.String()
	}
	return err.Error()
}

func (tr *tracer) append(p *Partition, a map[string]string) {
	count := number(a["n"], 1)
	var b record.Builder
	b.Reset(record.BuildOptions{})
	for range count {
		b.Add(tr.now, nil, []byte("0123456789"))
	}
	_, batch, err := b.Build(nil)
	if err != nil {
		tr.t.Fatal(err)
	}
	name := fmt.Sprint("w", len(tr.acks)+1)
	w := &AckWaiter{Done: func(_ *AckWaiter, err error) { tr.printf("%s done %s", name, text(err)) }}
	for {
		got, pending, err := p.Append(batch, AppendOptions{All: a["acks"] == "all", Now: tr.now}, w)
		if err == ErrWait {
			tr.wait(p)
			continue
		}
		if err != nil {
			tr.printf("refused: %s", text(err))
			return
		}
		if pending {
			tr.acks[name], tr.acksOf[name] = w, p
			tr.printf("[%d,%d] %s waits; high watermark %d", got.BaseOffset, got.LastOffset, name, p.HighWatermark())
		} else {
			tr.printf("[%d,%d]; high watermark %d", got.BaseOffset, got.LastOffset, p.HighWatermark())
		}
		return
	}
}

func (tr *tracer) wait(p *Partition) {
	ready := make(chan struct{})
	p.WhenReady(func() { close(ready) })
	<-ready
}

func (tr *tracer) park(words []string) {
	name := words[0]
	need := int64(1)
	parked := &Parked{Wake: func() { tr.printf("%s wakes", name) }}
	var topics []string
	for _, w := range words[1:] {
		if v, ok := strings.CutPrefix(w, "need="); ok {
			need = number(v, 1)
		} else {
			topics = append(topics, w)
		}
	}
	parked.Arm(need)
	for _, topic := range topics {
		p := tr.table.Lookup(topic, 0)
		var r ReadResult
		o := ReadOptions{Offset: max(p.HighWatermark(), 0), LeaderEpoch: -1, LastFetchedEpoch: -1, MaxBytes: 1 << 20}
		if err := p.Read(&o, &r); err != nil {
			tr.printf("%s: %s", topic, text(err))
			return
		}
		r.Slice.Release()
		if !p.Wait(&ReadWaiter{Parked: parked}, &r) {
			tr.printf("%s has moved", topic)
		}
	}
}

func (tr *tracer) read(p *Partition, a map[string]string) {
	_, one := a["one"]
	o := ReadOptions{
		Offset: number(a["offset"], 0), MaxBytes: int(number(a["max"], 1<<20)), MinOne: one, Block: true,
		LeaderEpoch: int32(number(a["epoch"], -1)), LastFetchedEpoch: int32(number(a["last"], -1)),
	}
	var r ReadResult
	err := p.Read(&o, &r)
	if r.DivergingEpoch >= 0 {
		tr.printf("diverges: epoch %d ends at %d", r.DivergingEpoch, r.DivergingEnd)
	}
	tr.printf("%d bytes below %d; high watermark %d, log start %d %s", r.Slice.Length, r.Bound, r.HighWatermark, r.LogStart, text(err))
	r.Slice.Release()
}
