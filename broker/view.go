package broker

import (
	"net/netip"
	"strconv"
	"time"

	"github.com/millrace/millrace/internal/metric"
	"github.com/millrace/millrace/meta"
	"github.com/millrace/millrace/netio"
	"github.com/millrace/millrace/quorum"
	"github.com/millrace/millrace/wire"
)

// View is what others may see of a node: what it is, and what it has done. Any goroutine may look; nobody on a loop waits for that. Looking opens
// no log and reads no file.
type View struct{ n *Node }

// View returns the node's view.
func (n *Node) View() View { return View{n} }

// Unready says why clients should not be sent here; "" when they may.
func (v View) Unready() string {
	if v.n.stopping.Load() {
		return "stopping"
	}
	if err := v.n.dir.Err(); err != nil {
		return "the log directory is offline until restart: " + err.Error()
	}
	return ""
}

// NodeStats is the node as a whole.
type NodeStats struct {
	ID         int32
	ClusterID  string
	Version    string
	Durability string // of topics that do not set their own
	Offline    bool   // the log directory is

	Brokers    []BrokerStats
	Controller int32
	Metadata   quorum.Status
	Topics     int // of the cluster
	Partitions int // of the cluster

	Net       netio.Stats
	Listeners []ListenerStats
	Busy      []time.Duration // by loop
	Uptime    time.Duration

	DiskTotal, DiskFree int64 // bytes of the volume; -1: it does not say
	ParkedFetches       int
	WaitingProduces     int
	Flushes             metric.Counts // of partitions
}

// BrokerStats is one broker of the cluster.
type BrokerStats struct {
	ID      int32
	Address string
	Fenced  bool
}

// ListenerStats is one listener for clients.
type ListenerStats struct {
	Name        string
	Connections int64
}

// Node is the node as a whole, now.
func (v View) Node() NodeStats {
	n := v.n
	im := n.image()
	s := NodeStats{
		ID: n.id, ClusterID: im.ClusterID(), Version: n.options.Version, Durability: n.Durability().String(), Offline: n.dir.Err() != nil,
		Controller: n.id, Metadata: n.quorum.Status(), Topics: im.TopicCount(), Partitions: im.PartitionCount(),
		Net: n.server.Stats(), DiskTotal: -1, DiskFree: -1,
		ParkedFetches: n.fetchTimers.count(), WaitingProduces: n.produceTimers.count(),
	}
	s.Busy, s.Uptime = n.server.Busy()
	n.flusher.Flushes(&s.Flushes)
	if total, usable, err := n.dir.Space(); err == nil {
		s.DiskTotal, s.DiskFree = total, usable
	}
	for _, l := range n.config.Listeners() {
		s.Listeners = append(s.Listeners, ListenerStats{l.Name, n.server.ConnectionsOn(l.Name)})
	}
	im.EachBroker(func(b *meta.Broker) bool {
		s.Brokers = append(s.Brokers, BrokerStats{b.ID, n.addressOf(b), b.Fenced})
		return true
	})
	return s
}

// addressOf is where clients find a broker: what it advertises, else where it listens.
func (n *Node) addressOf(b *meta.Broker) string {
	for _, e := range b.Endpoints {
		if e.Host != "" {
			return e.Host + ":" + strconv.Itoa(e.Port)
		}
		if at := n.server.Addr(e.Name); b.ID == n.id && at != (netip.AddrPort{}) {
			return at.String()
		}
	}
	return ""
}

// APIStats is what has come of the requests of one API.
type APIStats struct {
	Name   string
	Took   metric.Counts    // of those answered: from the wake-up that brought them until the answer has left
	Closed int64            // answered by closing the connection
	Errors map[string]int64 // by the first error code of the answer; Produce and Fetch only: the others' are not counted
}

// APIs are those that clients have used, and one without a name for what was no request that is served.
func (v View) APIs() []APIStats {
	m := v.n.metrics
	var all []APIStats
	for i := range apis {
		s := APIStats{Name: apis[i].name, Closed: m.closed[i].Load()}
		for j := range m.loops {
			if l := m.loops[j].Load(); l != nil {
				l.took[i].AddTo(&s.Took)
			}
		}
		switch apis[i].key {
		case wire.KeyProduce:
			s.Errors = m.produceErrors.byName()
		case wire.KeyFetch:
			s.Errors = m.fetchErrors.byName()
		}
		if s.Closed > 0 || s.Took.Count() > 0 {
			all = append(all, s)
		}
	}
	return append(all, APIStats{Closed: m.unknown.Load()})
}
