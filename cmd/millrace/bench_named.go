package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/millrace/millrace/bench"
	"github.com/millrace/millrace/bench/trial"
)

// namedTargets are running brokers that are compared, NAME=HOST:PORT each.
type namedTargets struct {
	timeout    time.Duration
	durability string // of topics; default: what each target does by itself
	place      *placeFlags
	ours       map[string]bool // by the targets' names: those that know millrace.durability
}

func addNamedTargets(c *cobra.Command) *namedTargets {
	t := &namedTargets{ours: map[string]bool{}}
	c.Flags().DurationVar(&t.timeout, "timeout", 15*time.Second, "give up after this long without an answer to the first question")
	c.Flags().StringVar(&t.durability, "durability", "", "what the topics promise on every target: os (page cache) or fsync (default: what each does by itself)")
	t.place = addPlaceFlags(c)
	completeFlag(c, "timeout", nothing)
	completeFlag(c, "durability", oneOf("os", "fsync"))
	return t
}

// with finds the brokers, runs f with them, and puts everything back.
func (t *namedTargets) with(c *cobra.Command, args []string, f func(context.Context, []bench.Target) error) (err error) {
	if t.durability != "" && t.durability != "os" && t.durability != "fsync" {
		return usage(c, fmt.Errorf("--durability %s: want os or fsync, which every broker has", t.durability))
	}
	where, err := t.place.read(c)
	if err != nil {
		return err
	}
	var targets []bench.Target
	names := map[string]bool{}
	for _, arg := range args {
		target, err := trial.ParseTarget(arg)
		if err != nil {
			return usage(c, err)
		}
		if names[target.Name] {
			return usage(c, fmt.Errorf("two targets are called %s", target.Name))
		}
		names[target.Name] = true
		targets = append(targets, target)
	}
	for i := range targets {
		target := &targets[i]
		client := clientFlags{target.Brokers, t.timeout}
		if err := client.locate(c.Context(), target); err != nil {
			return err
		}
		if strings.HasPrefix(target.Name, "floor") {
			t.ours[target.Name] = false // it promises nothing, whatever it is asked
		} else if t.ours[target.Name], err = client.isMillrace(c.Context()); err != nil {
			return err
		}
		undo, err := where.put(target)
		defer undo()
		if err != nil {
			return err
		}
	}
	if err := pinSelf(where.client); err != nil {
		return err
	}
	return f(c.Context(), targets)
}

// promise is the setting of a target's topics that makes an acknowledgement promise what is asked for.
func (t *namedTargets) promise(target bench.Target, durability string) map[string]string {
	switch {
	case durability == "":
		return nil
	case t.ours[target.Name]:
		return map[string]string{"millrace.durability": durability}
	case durability == "fsync":
		return map[string]string{"flush.messages": "1"}
	}
	return map[string]string{"flush.messages": "9223372036854775807"}
}

// isMillrace asks a broker whether it has a setting that only ours has.
func (f *clientFlags) isMillrace(ctx context.Context) (bool, error) {
	cl, err := f.dial(ctx)
	if err != nil {
		return false, err
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	brokers, err := cl.ListBrokers(ctx)
	if err != nil || len(brokers) == 0 {
		return false, errors.Join(err, ctx.Err())
	}
	configs, err := cl.DescribeBrokerConfigs(ctx, brokers[0].NodeID)
	if err != nil {
		return false, err
	}
	for _, of := range configs {
		for _, c := range of.Configs {
			if strings.HasPrefix(c.Key, "millrace.") {
				return true, nil
			}
		}
	}
	return false, nil
}
