package main

import (
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"

	"context"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/millrace/millrace/bench"
	"github.com/millrace/millrace/bench/host"
)

// placeFlags say which processors are whose.
type placeFlags struct{ server, client string }

// place is the same, read. nil: any of them.
type place struct{ server, client []int }

func addPlaceFlags(c *cobra.Command) *placeFlags {
	p := &placeFlags{}
	c.Flags().StringVar(&p.server, "server-cpus", "", "processors of the broker, when its processes are known: 0, 0,2 or 0-3 (default: all)")
	c.Flags().StringVar(&p.client, "client-cpus", "", "processors of the generator, likewise")
	completeFlag(c, "server-cpus", nothing)
	completeFlag(c, "client-cpus", nothing)
	return p
}

func (p *placeFlags) read(c *cobra.Command) (r place, err error) {
	if r.server, err = parseCPUs(p.server); err != nil {
		return r, usage(c, fmt.Errorf("--server-cpus %w", err))
	}
	if r.client, err = parseCPUs(p.client); err != nil {
		return r, usage(c, fmt.Errorf("--client-cpus %w", err))
	}
	return r, nil
}

// locate sees that the brokers answer, and finds their processes when they are on this machine and nobody named them.
func (f *clientFlags) locate(ctx context.Context, t *bench.Target) error {
	cl, err := f.dial(ctx)
	if err != nil {
		return err
	}
	defer cl.Close()
	if len(t.Pids) == 0 {
		all, err := patiently(ctx, cl, func() (kadm.BrokerDetails, error) { return cl.ListBrokers(ctx) })
		if err != nil {
			return err
		}
		for _, b := range all {
			if pid, ok := host.Listening(net.JoinHostPort(b.Host, strconv.Itoa(int(b.Port)))); ok && !slices.Contains(t.Pids, pid) {
				t.Pids = append(t.Pids, pid)
			}
		}
	}
	if len(t.Pids) == 0 {
		fmt.Fprintf(os.Stderr, "note: the processes of %s are not known on this machine, so what they use is not measured\n", t.Brokers[0])
	}
	return nil
}

// put keeps a broker's processes to their processors until undo is called, whatever the error.
func (p place) put(t *bench.Target) (undo func(), err error) {
	var undos []func()
	undo = func() {
		for _, u := range undos {
			u()
		}
	}
	if len(p.server) > 0 && len(t.Pids) == 0 {
		return undo, &failure{exitUsage, "usage", "--server-cpus: no process of the broker is known on this machine", "--pid names one, where the command has it"}
	}
	for _, pid := range t.Pids {
		u, err := pin(pid, p.server)
		undos = append(undos, u)
		if err != nil {
			return undo, fmt.Errorf("--server-cpus: %w", err)
		}
	}
	return undo, nil
}
