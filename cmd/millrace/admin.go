package main

import (
	"errors"
	"fmt"
	"log/slog"
	"syscall"

	"github.com/millrace/millrace/broker"
	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/console"
)

// admin is the server's admin listener, which may be off.
type admin struct {
	server *console.Server // nil: it is off
	note   string          // why, when nobody has asked for that
	taken  config.Listener // where something else listens, until blame has found out what
}

// listenAdmin opens the admin listener. Where it was set to be it has to be; a default port that something else has taken, or that
// clients are to be served at, does not keep a broker from serving.
func listenAdmin(cfg *config.Config, log *slog.Logger) (*admin, error) {
	at := cfg.Admin()
	if at.Off {
		return &admin{}, nil
	}
	for _, l := range cfg.Listeners() {
		if l.Port != at.Port || at.Port == 0 {
			continue
		}
		if at.Asked && l.Host == at.Host {
			return nil, &failure{exitUsage, "config", fmt.Sprintf("the admin listener and %s are at the same address", l), "millrace.admin.listener names another address, or off"}
		}
		if !at.Asked {
			note := fmt.Sprintf("port %d of the admin listener is that of %s: no metrics; millrace.admin.listener moves it", at.Port, l.Name)
			log.Warn("no metrics and no health are served: the port of the admin listener is that of a listener for clients", "address", at.Address(), "listener", l.String())
			return &admin{note: note}, nil
		}
	}
	s, err := console.Listen(console.Options{
		Host:     at.Host,
		Port:     at.Port,
		Pprof:    at.Pprof,
		Loopback: at.Loopback(),
		Series:   cfg.Int("millrace.metrics.cardinality.limit"),
		Log:      log,
	})
	switch {
	case err == nil:
		return &admin{server: s}, nil
	case !errors.Is(err, syscall.EADDRINUSE):
		return nil, &failure{exitFailed, "start", err.Error(), "millrace.admin.listener names another address, or off"}
	}
	if at.Asked {
		return nil, &failure{exitFailed, "port_in_use", taken(at.Port, holder(at.Port)), "millrace.admin.listener names another address, or off"}
	}
	return &admin{taken: at.Listener}, nil
}

// blame says who has the port that was to be the admin listener's. That takes a look at the open files of every process of the machine,
// tens of milliseconds beside other servers: it is for when the broker serves.
func (a *admin) blame(log *slog.Logger) {
	if a.taken.Port == 0 {
		return
	}
	by := holder(a.taken.Port)
	a.note = taken(a.taken.Port, by) + ": no metrics; millrace.admin.listener moves it"
	log.Warn("no metrics and no health are served: the port of the admin listener is taken", "address", a.taken.Address(), "by", by)
	a.taken = config.Listener{}
}

func holder(port int) string {
	if pid, command, ok := portHolder(port); ok {
		return fmt.Sprintf("process %d (%s)", pid, command)
	}
	return "a process that cannot be seen from here"
}

func taken(port int, by string) string {
	return fmt.Sprintf("port %d of the admin listener is taken by %s", port, by)
}

func (a *admin) address() string {
	if a.server == nil {
		return ""
	}
	return a.server.Addr().String()
}

func (a *admin) show(node *broker.Node) {
	if a.server != nil {
		a.server.Show(node.View())
	}
}

func (a *admin) stopping() {
	if a.server != nil {
		a.server.Stopping()
	}
}

func (a *admin) close() {
	if a.server != nil {
		_ = a.server.Close() // it only reads
	}
}
