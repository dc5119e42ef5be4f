// Package broker is one node put together: its data directory, its metadata, its partitions and its listeners, and one file per Kafka API
// (api_NN_name.go), so that the listing reads like the protocol. A request walks dispatch.go -> api_NN -> replica -> engine; see ARCHITECTURE.md.
package broker

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"

	"github.com/millrace/millrace/engine"
	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/vfs"
	"github.com/millrace/millrace/meta"
	"github.com/millrace/millrace/netio"
	"github.com/millrace/millrace/quorum"
	"github.com/millrace/millrace/replica"
)

// Options says what a node needs to start.
type Options struct {
	Config  *config.Config
	DataDir string
	FS      vfs.FS // default vfs.OS
	Log     *slog.Logger
	Version string       // of the binary, for ApiVersions' and the log's sake
	Fatal   func(error)  // something the node cannot live without has failed (a listener's engine ended); default: log it
	Now     func() int64 // milliseconds since 1970; default: the clock
}

// Node is a running broker.
type Node struct {
	options Options
	config  *config.Config
	log     *slog.Logger
	id      int32 // node.id

	dir     *engine.Dir
	quorum  *quorum.Quorum
	table   *replica.Table
	server  *netio.Server
	workers *workers
}

// image is the newest cluster image this node has applied.
func (n *Node) image() *meta.Image { return n.quorum.Image() }

// Start opens the data directory and the metadata log, builds the table of partitions and listens. The node serves when Start returns.
func Start(o Options) (*Node, error) { return nil, errors.New("broker: not built yet") }

// Addrs is the address of each listener, by its name.
func (n *Node) Addrs() map[string]netip.AddrPort { return nil }

// Shutdown stops cleanly: parked fetches are answered, requests in progress finish, everything is flushed and the directory marked clean.
func (n *Node) Shutdown(ctx context.Context) error { return nil }

// Kill stops at once, as kill -9 would: nothing is flushed or marked. For tests.
func (n *Node) Kill() {}
