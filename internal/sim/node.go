package sim

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"

	"github.com/millrace/millrace/engine"
	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/vfs"
	"github.com/millrace/millrace/meta"
	"github.com/millrace/millrace/replica"
	"github.com/millrace/millrace/wire"
	"github.com/millrace/millrace/wire/record"
)

const lagMax = 2000 // ms

// node is one broker in one life, and its disk through all of them.
type node struct {
	w     *world
	id    int32
	disk  *vfs.Mem
	boots int
	epoch int64 // of the broker

	up        bool
	at        int // of controller.images: what it knows
	known     *meta.Image
	dir       *engine.Dir
	table     *replica.Table
	jobs      []func() // in its background, in any order
	receivers []*replica.Receiver
	requests  []*request // for the controller, on their way
}

func newNode(w *world, id int32) *node {
	return &node{w: w, id: id, disk: vfs.NewMem(), boots: 1}
}

func (n *node) work() {
	if !n.up || len(n.jobs) == 0 {
		return
	}
	i := n.w.r.IntN(len(n.jobs))
	job := n.jobs[i]
	n.jobs = append(n.jobs[:i:i], n.jobs[i+1:]...)
	n.w.tell("job of %d", n.id)
	job()
}

// start begins a life. The broker knows nothing of the cluster yet.
func (n *node) start() {
	later := func(job func()) { n.jobs = append(n.jobs, job) }
	n.up, n.jobs, n.receivers, n.requests, n.at, n.known = true, nil, nil, nil, -1, nil
	log := slog.New(&alarm{n})
	seed := rand.New(rand.NewPCG(n.w.o.Seed, uint64(n.id)))
	dir, err := engine.OpenDir(engine.DirOptions{
		FS: n.disk, Path: "/d", Go: later, Log: log, NodeID: n.id, BootID: fmt.Sprint("boot ", n.boots), Rand: seed.Uint64,
	})
	if err != nil {
		n.w.fail("broker %d does not start: %v", n.id, err)
		return
	}
	c, err := config.Load("", nil)
	if err != nil {
		n.w.fail("settings: %v", err)
		return
	}
	n.dir = dir
	n.table = replica.NewTable(replica.Options{
		Dir: dir, NodeID: n.id, Go: later, Log: log, LagMax: lagMax,
		Config: func(set map[string]string) (config.TopicConfig, error) {
			t, err := c.TopicConfig(set)
			t.SegmentBytes = 2000 // so that logs roll
			return t, err
		},
		Flush:    replica.NewFlusher(replica.FlusherOptions{Go: later, Later: later}),
		Follow:   func(r *replica.Receiver) { n.receivers = append(n.receivers, r) },
		AlterISR: func(c *replica.ISRChange) { n.requests = append(n.requests, &request{n: n, table: n.table, change: c}) },
	})
	n.w.tell("broker %d starts", n.id)
}

// crash ends a life: a killed process leaves the page cache, a power cut a part of it.
func (n *node) crash() {
	keep := []int{0, 30, 100}[n.w.r.IntN(3)]
	n.w.tell("broker %d crashes, %d%% of what was not synced stays", n.id, keep)
	n.w.check.remember(n)
	n.up, n.jobs = false, nil
	n.disk = n.disk.CrashClone(n.w.r, keep)
	if keep < 100 {
		n.boots++
	}
}

// apply brings the broker up to an image.
func (n *node) apply(at int) {
	im := n.w.controller.images[at]
	n.w.tell("broker %d learns image %d", n.id, at)
	was := n.known
	n.known, n.at = im, at
	n.table.Apply(was, im)
}

func (n *node) partition() *replica.Partition { return n.table.Lookup(topicName, 0) }

// view is the partition as the broker knows it.
func (n *node) view() *meta.Partition { return n.known.TopicByName(topicName).Partition(0) }

// produce sends one batch to a broker that believes to lead.
func (w *world) produce() {
	n := w.nodes[w.r.IntN(nodes)]
	if !n.up || w.healing {
		return // what is there has to come to rest
	}
	if _, leads := n.partition().Leads(); !leads {
		return
	}
	w.produced++
	var b record.Builder
	b.Reset(record.BuildOptions{})
	for range 1 + w.r.IntN(3) {
		b.Add(w.now, nil, fmt.Appendf(nil, "%d %0*d", w.produced, w.r.IntN(200), 7))
	}
	_, batch, err := b.Build(nil)
	if err != nil {
		w.fail("batch: %v", err)
		return
	}
	n.append(batch, w.r.IntN(3) > 0)
}

func (n *node) append(batch record.Batch, all bool) {
	w := n.w
	life := n.table
	var a engine.Appended
	ack := &replica.AckWaiter{Done: func(_ *replica.AckWaiter, err error) {
		if err == nil && n.table == life {
			w.check.acked(n, a.LastOffset+1)
		}
	}}
	p := n.partition()
	a, pending, err := p.Append(batch, replica.AppendOptions{All: all, Now: w.now}, ack)
	switch {
	case errors.Is(err, replica.ErrWait):
		p.WhenReady(func() {
			if n.table == life && n.up {
				n.append(batch, all)
			}
		})
		return
	case err != nil:
		var code wire.Code
		if !errors.As(err, &code) {
			w.fail("broker %d: append: %v", n.id, err)
		}
		return
	}
	w.tell("broker %d appends [%d,%d], acks=all %v", n.id, a.BaseOffset, a.LastOffset, all)
	if all && !pending {
		w.check.acked(n, a.LastOffset+1)
	}
}

// alarm takes an error that a broker logs for a violation: none of the faults here is one that a human has to look at.
type alarm struct{ n *node }

func (a *alarm) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelError }
func (a *alarm) WithAttrs([]slog.Attr) slog.Handler           { return a }
func (a *alarm) WithGroup(string) slog.Handler                { return a }
func (a *alarm) Handle(_ context.Context, r slog.Record) error {
	text := r.Message
	r.Attrs(func(x slog.Attr) bool { text += " " + x.String(); return true })
	a.n.w.fail("broker %d says: %s", a.n.id, text)
	return nil
}
