// Package broker is one node put together: its data directory, its metadata, its partitions and its listeners, and one file per Kafka API
// (api_NN_name.go), so that the listing reads like the protocol. A request walks dispatch.go -> api_NN -> replica -> engine; see ARCHITECTURE.md.
package broker

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millrace/millrace/engine"
	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/coord"
	"github.com/millrace/millrace/internal/vfs"
	"github.com/millrace/millrace/meta"
	"github.com/millrace/millrace/netio"
	"github.com/millrace/millrace/quorum"
	"github.com/millrace/millrace/replica"
	"github.com/millrace/millrace/wire"
)

// Options says what a node needs to start.
type Options struct {
	Config  *config.Config
	DataDir string       // default: what Config says
	FS      vfs.FS       // default: the operating system's
	Log     *slog.Logger // default: silent
	Version string       // of the binary
	Fatal   func(error)  // the node cannot go on: its listeners or its metadata log have failed. Default: panic
	Now     func() int64 // milliseconds since 1970; default: the clock
	BootID  string       // identifies the running operating system; "": ask it

	ownClock bool // Now is the default
}

func (o Options) withDefaults() Options {
	if o.DataDir == "" {
		o.DataDir = o.Config.DataDir()
	}
	if o.FS == nil {
		o.FS = vfs.OS
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Fatal == nil {
		o.Fatal = func(err error) { panic(err) }
	}
	if o.BootID == "" {
		o.BootID = bootID()
	}
	if o.Now == nil {
		o.Now = func() int64 { return time.Now().UnixMilli() }
		o.ownClock = true
	}
	return o
}

// Node is a running broker.
type Node struct {
	options Options
	config  *config.Config
	log     *slog.Logger
	id      int32 // node.id

	dir            *engine.Dir
	quorum         *quorum.Quorum
	table          *replica.Table
	flusher        *replica.Flusher
	visitor        netio.Visitor // the flusher's goroutines
	groups         *coord.Groups
	findGroups     sync.Once   // see loadGroups
	groupsFound    atomic.Bool // it is done
	server         *netio.Server
	workers        *workers
	fetchTimers    *timers // of parked fetches
	produceTimers  *timers // of produce requests that wait for their acknowledgement
	sessions       *sessions
	recompressions turns        // of produce requests
	parkedParts    atomic.Int64 // partitions that parked fetches wait on
	producerIDs    producerIDs  // ids of the block this start was granted
	limits         limits
	metrics        *metrics

	housework struct {
		stop chan struct{}
		done chan struct{}
	}
	cleaner  *cleaner
	stopping atomic.Bool // fetches do not park any more
	ended    sync.Once
}

// limits are the settings that are needed too often to look them up.
type limits struct {
	fetchMaxBytes int32        // fetch.max.bytes: of one response, whatever the client allows
	connections   atomic.Int64 // max.connections, which changes at run time
	perAddress    atomic.Pointer[perAddress]
}

// image is the newest cluster image this node has applied.
func (n *Node) image() *meta.Image { return n.quorum.Image() }

// now is the time in milliseconds since 1970.
func (n *Node) now() int64 { return n.options.Now() }

// nowOn is the same for a request, on its connection's loop: the loop has looked when it was woken.
func (n *Node) nowOn(c *netio.Conn) int64 {
	if n.options.ownClock {
		return c.Now()
	}
	return n.options.Now()
}

// Start opens the data directory and the metadata log, builds the table of partitions and listens. The node serves when Start returns.
func Start(o Options) (*Node, error) {
	o = o.withDefaults()
	n := &Node{
		options:       o,
		config:        o.Config,
		log:           o.Log,
		id:            int32(o.Config.Int("node.id")),
		workers:       newWorkers(),
		fetchTimers:   newTimers(),
		produceTimers: newTimers(),
	}
	n.metrics = newMetrics()
	n.recompressions.most = maxRecompressions
	n.limits.fetchMaxBytes = int32(o.Config.Int("fetch.max.bytes"))
	n.sessions = newSessions(o.Config.Int("max.incremental.fetch.session.cache.slots"))
	n.housework.stop, n.housework.done = make(chan struct{}), make(chan struct{})
	if err := n.open(); err != nil {
		n.workers.stop()
		return nil, err
	}
	go n.doHousework()
	n.cleaner = newCleaner(n)
	go n.cleaner.run()
	return n, nil
}

// open does what Start may fail in, and undoes it when it does.
func (n *Node) open() (err error) {
	o := &n.options
	n.dir, err = engine.OpenDir(engine.DirOptions{
		FS:        o.FS,
		Path:      o.DataDir,
		Go:        n.workers.files.Go,
		Rest:      n.workers.rest.Go,
		Log:       o.Log,
		NodeID:    n.id,
		BootID:    o.BootID,
		OnOffline: n.offline,
	})
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			n.workers.rest.wait()
			n.workers.files.wait()
			_ = n.dir.Close(false) // what made the start fail matters more
		}
	}()
	n.spreadSettings()
	n.flusher = replica.NewFlusher(replica.FlusherOptions{
		Go:    n.workers.flush.Go,
		Rest:  n.workers.rest.Go,
		Later: n.later,
		Clock: n.metrics.now,
		Begin: n.visitor.Begin,
		End:   n.visitor.End,
	})
	n.table = replica.NewTable(replica.Options{
		Dir:    n.dir,
		NodeID: n.id,
		Config: n.config.TopicConfig,
		Flush:  n.flusher,
		Go:     n.workers.files.Go,
		Log:    o.Log,
	})
	n.groups = n.newGroups()
	n.quorum, err = quorum.Open(quorum.Options{
		Dir:     n.dir,
		FS:      o.FS,
		Path:    o.DataDir,
		NodeID:  n.id,
		Log:     o.Log,
		Now:     o.Now,
		OnImage: n.onImage,
		Fatal:   o.Fatal,
	})
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = n.quorum.Close() // as above
		}
	}()
	if err = n.register(); err != nil {
		return err
	}
	if err = n.listen(); err != nil {
		return err
	}
	n.workers.files.Go(n.loadGroups) // these two may have to look into many folders: nobody waits for them
	n.workers.files.Go(n.reportStrays)
	return nil
}

// register makes this start of the process known to the cluster; on a new directory it founds the cluster. Its record is applied when it returns.
func (n *Node) register() error {
	b := meta.Broker{ID: n.id, Rack: n.config.String("broker.rack")}
	if _, err := rand.Read(b.Incarnation[:]); err != nil {
		return err
	}
	advertised := n.config.AdvertisedListeners()
	for _, l := range n.config.Listeners() {
		e := meta.Endpoint{Name: l.Name, Port: l.Port, Protocol: protocolNumber(l.Protocol)}
		for _, a := range advertised {
			if a.Name == l.Name {
				e.Host, e.Port = a.Host, a.Port
			}
		}
		b.Endpoints = append(b.Endpoints, e)
	}
	return n.decide(func(im *meta.Image, now int64) ([]meta.Record, error) {
		var rs []meta.Record
		switch im.ClusterID() {
		case "":
			rs = meta.Bootstrap(n.dir.ClusterID())
		case n.dir.ClusterID():
		default:
			return nil, fmt.Errorf("%s belongs to cluster %s, its metadata log to cluster %s", n.options.DataDir, n.dir.ClusterID(), im.ClusterID())
		}
		mine, err := meta.RegisterBroker(im, b)
		if n.dir.TailLost() {
			mine = append(mine, meta.LoseTail(im, n.id)...)
		}
		return append(rs, mine...), err
	})
}

// decide proposes and waits. Not on a loop.
func (n *Node) decide(decide func(im *meta.Image, now int64) ([]meta.Record, error)) error {
	result := make(chan error, 1)
	n.quorum.Propose(decide, func(_ *meta.Image, err error) { result <- err })
	return <-result
}

// reportStrays tells of folders on disk that no topic of the cluster owns. They are left alone: only the removal of a topic deletes data.
func (n *Node) reportStrays() {
	im := n.image()
	for _, d := range n.dir.Partitions() {
		if d.Topic == quorum.Topic {
			continue
		}
		t := im.TopicByName(d.Topic)
		if t == nil || (d.ID != (wire.UUID{}) && d.ID != t.ID) || t.Partition(d.Partition) == nil {
			n.log.Warn("a partition's folder belongs to no topic of this cluster", "topic", d.Topic, "partition", d.Partition)
		}
	}
}

func (n *Node) listen() (err error) {
	o := netio.Options{
		MaxFrame:    n.config.Int("socket.request.max.bytes"),
		IdleTimeout: n.config.Duration("connections.max.idle.ms"),
		Visitor:     &n.visitor,
		Log:         n.log,
		Fatal:       n.options.Fatal,
	}
	if budget := n.config.Int64("queued.max.request.bytes"); budget > 0 {
		o.Budget = budget
	}
	o.Connections = func() int { return int(n.limits.connections.Load()) }
	o.PerAddress = n.connectionsFrom
	for _, l := range n.config.Listeners() {
		o.Listeners = append(o.Listeners, netio.Listener{Name: l.Name, Host: l.Host, Port: l.Port})
	}
	n.server, err = netio.Listen(o, n)
	return err
}

// Addrs is the address of each listener, by its name.
func (n *Node) Addrs() map[string]netip.AddrPort {
	m := map[string]netip.AddrPort{}
	for _, l := range n.config.Listeners() {
		m[l.Name] = n.server.Addr(l.Name)
	}
	return m
}

// Durability is the mode of topics that do not set their own.
func (n *Node) Durability() config.Durability {
	c, err := n.config.TopicConfig(nil)
	if err != nil {
		return config.Fsync
	}
	return c.Durability
}

// Shutdown stops cleanly: parked fetches are answered, requests in progress finish, everything is flushed and the directory marked clean.
func (n *Node) Shutdown(ctx context.Context) error {
	var err error
	n.ended.Do(func() {
		timeout := 10 * time.Second
		if at, ok := ctx.Deadline(); ok {
			timeout = max(time.Until(at), 0)
		}
		n.stopping.Store(true)
		n.fetchTimers.fireAll()
		n.groups.Stop() // those who wait for their group to assemble do not wait any longer
		errDrain := n.server.Drain(timeout)
		err = errors.Join(errDrain, n.end(true))
	})
	return err
}

// Kill stops at once, as kill -9 would: nothing is flushed or marked. For tests.
func (n *Node) Kill() {
	n.ended.Do(func() {
		n.stopping.Store(true)
		_ = n.end(false) // there is nothing to be done about it, as after kill -9
	})
}

func (n *Node) end(clean bool) error {
	err := n.server.Close()
	n.cleaner.end()
	close(n.housework.stop)
	<-n.housework.done
	n.groups.Stop()
	err = errors.Join(err, n.quorum.Close())
	n.fetchTimers.stop()
	n.produceTimers.stop()
	n.workers.stop()
	return errors.Join(err, n.dir.Close(clean))
}

// later runs a flush of `replicated` partitions when their time has come.
func (n *Node) later(job func()) {
	time.AfterFunc(replica.LazyAfter*time.Millisecond, func() {
		if !n.stopping.Load() {
			job()
		}
	})
}

// offline hears once that the log directory has had an I/O error: nothing in it is promised until restart (DESIGN D8).
func (n *Node) offline(err error) {
	n.log.Error("the log directory is offline until restart", "dir", n.options.DataDir, "err", err)
}

// bootID tells one run of the operating system from the next: the page cache survives a crash of the process only.
func bootID() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

func protocolNumber(name string) int16 {
	switch name {
	case "SSL":
		return 1
	case "SASL_PLAINTEXT":
		return 2
	case "SASL_SSL":
		return 3
	}
	return 0
}
