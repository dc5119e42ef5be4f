package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/millrace/millrace/bench"
)

// targetFlags say which broker is measured: one that runs, or one of our own.
type targetFlags struct {
	client              clientFlags
	pids                []int
	durability, dataDir string
	place               *placeFlags
}

func addTargetFlags(c *cobra.Command) *targetFlags {
	t := &targetFlags{}
	f := c.Flags()
	end := group(c, groupTarget)
	addBrokers(c, &t.client.brokers, nil, "a running broker, HOST:PORT,HOST:PORT (default: one of its own, as a child process)")
	f.DurationVar(&t.client.timeout, "timeout", 15*time.Second, "give up after this long without an answer to the first question")
	f.IntSliceVar(&t.pids, "pid", nil, "processes of the broker, to measure what they use; default: whoever listens on its addresses on this machine")
	f.StringVar(&t.durability, "durability", "fsync", "millrace.durability of a broker of its own: fsync, replicated or os")
	f.StringVar(&t.dataDir, "data-dir", "", "directory below which a broker of its own makes one for its data (default: that of temporary files)")
	t.place = addPlaceFlags(c)
	end()
	completeFlag(c, "timeout", nothing)
	completeFlag(c, "pid", nothing)
	completeFlag(c, "durability", oneOf("fsync", "replicated", "os"))
	return t
}

// ownOnly are the flags that say what a broker of our own is like.
var ownOnly = []string{"durability", "data-dir"}

// fromEnvironment reports whether nobody typed these brokers.
func fromEnvironment(brokers []string) bool {
	named := os.Getenv("MILLRACE_BROKERS")
	return named != "" && named == strings.Join(brokers, ",")
}

// with finds the broker, or starts one, runs f with it, and puts everything away. A broker of our own that goes away ends f.
func (t *targetFlags) with(c *cobra.Command, f func(context.Context, bench.Target) error) (err error) {
	where, err := t.place.read(c)
	if err != nil {
		return err
	}
	if len(t.client.brokers) == 0 {
		return t.withOwn(c, where, f)
	}
	for _, flag := range ownOnly {
		if c.Flags().Changed(flag) {
			return usage(c, fmt.Errorf("--%s is for a broker of its own, and -b names another: its topics' durability is set with -c millrace.durability=os", flag))
		}
	}
	if fromEnvironment(t.client.brokers) {
		fmt.Fprintf(os.Stderr, "note: measuring %s, which MILLRACE_BROKERS names\n", strings.Join(t.client.brokers, ","))
	}
	target := bench.Target{Name: t.client.brokers[0], Brokers: t.client.brokers, Pids: t.pids}
	if err := t.client.locate(c.Context(), &target); err != nil {
		return err
	}
	undo, err := where.put(&target)
	defer undo()
	if err = errors.Join(err, pinSelf(where.client)); err != nil {
		return err
	}
	return f(c.Context(), target)
}

// ownName is what a broker of our own is called in tables and files.
const ownName = "millrace"

func (t *targetFlags) withOwn(c *cobra.Command, where place, f func(context.Context, bench.Target) error) error {
	if err := pinSelf(where.client); err != nil {
		return err
	}
	// A run's topic goes between two runs: a minute later, its gigabytes would be unlinked in the middle of another.
	o := childOptions{name: "bench", parent: t.dataDir, cpus: where.server, args: []string{"server", "-o", "millrace.durability=" + t.durability, "-o", "log.segment.delete.delay.ms=500"}}
	return withChild(c.Context(), o, func(ctx context.Context, own *child) error {
		return f(ctx, own.target(ownName))
	})
}
