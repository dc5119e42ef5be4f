package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/millrace/millrace/broker"
	"github.com/millrace/millrace/engine"
	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/vfs"
	"github.com/millrace/millrace/quorum"
)

type serverFlags struct {
	config, dataDir, portsFile string
	port                       int
	options                    []string
}

func newServer() *cobra.Command {
	var f serverFlags
	c := &cobra.Command{
		Use:   "server [--config FILE] [--data-dir DIR] [--port N] [--ports-file FILE] [-o key=value]...",
		Short: "Run a broker",
		Long: `Run a broker in the foreground. Without a file it is one node on 127.0.0.1:9092 that creates topics on first use and keeps its
data in ./millrace-data. SIGTERM or Ctrl-C stops it in order and exits 0; the second one cuts it short.`,
		Example: `  millrace server
  millrace server --config /etc/millrace/server.properties
  millrace server --port 0 --ports-file ports.json -o millrace.durability=replicated -o num.partitions=6`,
		Args: needs(),
	}
	c.Flags().StringVarP(&f.config, "config", "c", "", "Kafka server.properties to read; none is looked for")
	c.Flags().StringVar(&f.dataDir, "data-dir", "", "directory for everything it keeps (default: log.dirs, else ./millrace-data)")
	c.Flags().IntVar(&f.port, "port", -1, "port of the listener for clients; 0 takes free ports for all listeners (default: as configured, else 9092)")
	c.Flags().StringVar(&f.portsFile, "ports-file", "", "written when the broker is ready: {\"kafka\": \"127.0.0.1:PORT\", \"admin\": \"127.0.0.1:PORT\", \"pid\": N}")
	c.Flags().StringArrayVarP(&f.options, "option", "o", nil, "one setting, key=value; stronger than the file; repeatable")
	c.RunE = func(c *cobra.Command, _ []string) error {
		return serve(c.Context(), f, c.Flags().Changed("port"), os.Stderr)
	}
	return c
}

// serve runs the broker until the context ends.
func serve(ctx context.Context, f serverFlags, portSet bool, stderr *os.File) error {
	cfg, err := config.Load(f.config, f.options)
	if err != nil {
		return &failure{exitUsage, "config", "the configuration is wrong:\n  " + strings.ReplaceAll(err.Error(), "\n", "\n  "), ""}
	}
	if f.dataDir != "" {
		cfg.SetDataDir(f.dataDir)
	}
	if portSet {
		if err := cfg.SetPort(f.port); err != nil {
			return &failure{exitUsage, "usage", "--port: " + err.Error(), ""}
		}
	}
	log := slog.New(slog.NewTextHandler(stderr, nil))
	admin, err := listenAdmin(cfg, log)
	if err != nil {
		return err
	}
	defer admin.close()
	broken := make(chan error, 1)
	node, err := broker.Start(broker.Options{
		Config:  cfg,
		Log:     log,
		Version: versionString(),
		Fatal: func(err error) {
			select {
			case broken <- err:
			default: // one is enough to stop
			}
		},
	})
	if err != nil {
		return startFailure(cfg, err)
	}
	admin.show(node)
	at := ports{Kafka: node.Addrs()[cfg.Listeners()[0].Name].String(), Admin: admin.address(), PID: os.Getpid()}
	if f.portsFile != "" {
		if err := at.write(f.portsFile); err != nil {
			return errors.Join(err, shutdown(node, cfg))
		}
	}
	admin.blame(log)
	banner(stderr, cfg, node, admin, at)

	select {
	case err = <-broken:
		log.Error("the broker cannot go on", "err", err)
	case <-ctx.Done():
		log.Info("stopping; once more to cut it short")
	}
	admin.stopping()
	if f.portsFile != "" {
		_ = os.Remove(f.portsFile) // only a hint for others; it may be gone already
	}
	return errors.Join(err, shutdown(node, cfg))
}

func shutdown(node *broker.Node, cfg *config.Config) error {
	ctx, cancel := context.WithTimeout(context.Background(), cfg.Duration("millrace.drain.timeout.ms"))
	defer cancel()
	return node.Shutdown(ctx)
}

// startFailure finds the words for what keeps a broker from starting.
func startFailure(cfg *config.Config, err error) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		for _, l := range cfg.Listeners() {
			pid, command, ok := portHolder(l.Port)
			if !ok {
				continue
			}
			return &failure{exitFailed, "port_in_use", fmt.Sprintf("port %d is taken by process %d (%s)", l.Port, pid, command),
				"--port 0 takes a free port, --port N another; or stop that process"}
		}
		var taken []string
		for _, l := range cfg.Listeners() {
			taken = append(taken, l.Address())
		}
		return &failure{exitFailed, "port_in_use", strings.Join(taken, ", ") + ": the port is taken by a process that cannot be seen from here",
			"--port 0 takes a free port, --port N another"}
	}
	switch {
	case errors.Is(err, vfs.ErrLocked):
		return &failure{exitFailed, "data_dir_in_use", err.Error(), "a server runs there already: stop it, or name another directory with --data-dir"}
	case errors.Is(err, engine.ErrForeign), errors.Is(err, quorum.ErrKafka):
		return &failure{exitFailed, "data_dir_foreign", err.Error(), "--data-dir takes an empty directory, or one that does not exist yet"}
	}
	return &failure{exitFailed, "start", err.Error(), ""}
}

// banner is at most eight lines.
func banner(w io.Writer, cfg *config.Config, node *broker.Node, admin *admin, at ports) {
	dir := cfg.DataDir()
	if absolute, err := filepath.Abs(dir); err == nil {
		dir = absolute
	}
	var listeners []string
	for _, l := range cfg.Listeners() {
		listeners = append(listeners, l.Name+"://"+node.Addrs()[l.Name].String())
	}
	if at.Admin != "" {
		listeners = append(listeners, "http://"+at.Admin+"/metrics")
	}
	durability := node.Durability()
	var b strings.Builder
	fmt.Fprintf(&b, "millrace %s, node %d, pid %d\n", versionString(), cfg.Int("node.id"), os.Getpid())
	fmt.Fprintf(&b, "  data        %s\n", dir)
	fmt.Fprintf(&b, "  listeners   %s\n", strings.Join(listeners, ", "))
	fmt.Fprintf(&b, "  durability  %s: %s\n", durability, durability.Sentence())
	notes := cfg.Warnings()
	if admin.note != "" {
		notes = append([]string{admin.note}, notes...)
	}
	if names := cfg.Ineffective(); len(names) > 0 {
		notes = append(notes, "no effect here: "+strings.Join(names, ", "))
	}
	if len(notes) > 3 {
		notes = append(notes[:2:2], fmt.Sprintf("%s (and %d more notes)", notes[2], len(notes)-3))
	}
	for _, note := range notes {
		fmt.Fprintf(&b, "  note        %s\n", note)
	}
	where := ""
	if at.Kafka != "127.0.0.1:9092" {
		where = " -b " + at.Kafka
	}
	fmt.Fprintf(&b, "  next        echo hello | millrace produce greetings%s\n", where)
	_, _ = io.WriteString(w, b.String()) // a broker whose stderr is gone serves all the same
}
