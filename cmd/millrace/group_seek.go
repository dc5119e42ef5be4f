package main

import (
	"cmp"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

type (
	seekRow struct {
		Topic     string `json:"topic"`
		Partition int32  `json:"partition"`
		Committed *int64 `json:"committed_offset"`
		New       int64  `json:"new_offset"`
		Note      string `json:"note,omitempty"`
		Error     string `json:"error,omitempty"`
	}
	seekPlan struct {
		Schema     string    `json:"schema"`
		Group      string    `json:"group"`
		Applied    bool      `json:"applied"`
		Partitions []seekRow `json:"partitions"`
	}
)

type seekFlags struct {
	to, file string
	by       int64
	create   bool
}

func newGroupSeek() *cobra.Command {
	var f seekFlags
	c := &cobra.Command{
		Use:   "seek GROUP (--to POSITION | --by N | --from-file FILE) [--topic TOPIC[:PARTITION,...]]... [--yes]",
		Short: "Move the committed offsets of a group that has no members",
		Long: `POSITION is ` + positionHelp + `. It is also current, which changes
nothing and is there to export with -o csv or -o json. An offset that a partition does not have becomes the nearest it has.

Without --topic it moves every partition that has a committed offset. --from-file reads what -o csv and -o json of this command,
"group lag" and "group describe" print, or lines "topic,partition,offset" as kafka-consumer-groups --export writes them; - is stdin.

` + consentHelp,
		Example: `  millrace group seek payment --to earliest --topic orders
  millrace group seek payment --to @-2h --yes
  millrace group seek payment --to current --dry-run -o csv > before.csv && millrace group seek payment --from-file before.csv --yes`,
		Args:              needs("GROUP"),
		ValidArgsFunction: completeFirst(everyGroup),
	}
	flags := addClientFlags(c, 15*time.Second)
	output := addOutput(c, "table", "json", "csv")
	topics := addTopicFilter(c)
	agreed := addConsent(c)
	c.Flags().StringVar(&f.to, "to", "", "where to: earliest, latest, OFFSET, -N, @TIME, current")
	c.Flags().Int64Var(&f.by, "by", 0, "so many offsets forward, or back when it is negative")
	c.Flags().StringVar(&f.file, "from-file", "", "to the offsets in this CSV or JSON file; - is stdin")
	c.Flags().BoolVar(&f.create, "create", false, "make the group if there is none of that name")
	completeFlag(c, "to", oneOf("earliest", "latest", "current", "@-1h"))
	completeFlag(c, "by", nothing)
	c.RunE = func(c *cobra.Command, args []string) error {
		if n := len(slices.DeleteFunc([]bool{f.to != "", c.Flags().Changed("by"), f.file != ""}, func(set bool) bool { return !set })); n != 1 {
			return usage(c, errors.New("want one of --to, --by and --from-file"))
		}
		chosen, err := topics.parse(c)
		if err != nil {
			return err
		}
		target, err := f.target(args[0])
		if err != nil {
			return usage(c, err)
		}
		cl, err := flags.dial(c.Context())
		if err != nil {
			return err
		}
		defer cl.Close()
		agreed.dryRun = agreed.dryRun || target.current
		plan, err := f.plan(c.Context(), cl, args[0], chosen, target)
		if err != nil {
			return err
		}
		return plan.carryOut(c.Context(), cl, *output, agreed)
	}
	return c
}

// target is where partitions go to: a file names them, a position is one for all, or they move by a number.
type target struct {
	named    partitions[int64]
	position position
	current  bool
}

func (f *seekFlags) target(group string) (t target, err error) {
	switch {
	case f.file != "":
		t.named, err = readOffsets(f.file, group)
	case f.to == "current":
		t.current = true
	case f.to != "":
		if t.position, err = parsePosition(f.to, time.Now()); err != nil {
			err = fmt.Errorf("--to %s: %w", f.to, err)
		}
	}
	return t, err
}

// plan finds the new offset of every partition that is meant.
func (f *seekFlags) plan(ctx context.Context, cl *cluster, group string, chosen chosen, to target) (*seekPlan, error) {
	committed, err := f.committed(ctx, cl, group)
	if err != nil {
		return nil, err
	}
	meant := partitions[bool]{}
	switch {
	case to.named != nil:
		for topic, ofTopic := range to.named {
			for partition := range ofTopic {
				if chosen.has(topic, partition) {
					meant.set(topic, partition, true)
				}
			}
		}
	case chosen == nil || to.current:
		for topic, ofTopic := range committed {
			for partition := range ofTopic {
				if chosen.has(topic, partition) {
					meant.set(topic, partition, true)
				}
			}
		}
	}
	names := chosen.names()
	for topic := range meant {
		names = append(names, topic)
	}
	slices.Sort(names)
	all, err := cl.bounds(ctx, slices.Compact(names)...)
	if err != nil {
		return nil, err
	}
	if chosen != nil && to.named == nil && !to.current {
		if err := meantByFlag(ctx, cl, chosen, all, meant); err != nil {
			return nil, err
		}
	}
	if len(meant) == 0 {
		return nil, nothingToSeek(group, chosen, to)
	}
	limited := partitions[bounds]{}
	for topic, ofTopic := range meant {
		for partition := range ofTopic {
			if b, ok := all[topic][partition]; ok {
				limited.set(topic, partition, b)
			}
		}
	}
	resolved, err := cl.resolve(ctx, to.position, limited)
	if err != nil {
		return nil, err
	}
	plan := &seekPlan{Schema: "millrace.group.seek/v1", Group: group, Partitions: []seekRow{}}
	for topic, ofTopic := range meant {
		for partition := range ofTopic {
			row := seekRow{Topic: topic, Partition: partition}
			if at, ok := committed[topic][partition]; ok {
				row.Committed = &at
			}
			b, ok := all[topic][partition]
			switch {
			case !ok && all[topic] == nil && chosen == nil && to.named == nil:
				continue // it has offsets in a topic that is gone: nothing to move there
			case !ok && all[topic] == nil:
				return nil, cl.noSuchTopic(ctx, topic)
			case !ok:
				return nil, noSuchPartition(topic, partition, len(all[topic]))
			case b.err != nil:
				return nil, fmt.Errorf("%s partition %d: %w", topic, partition, b.err)
			}
			at := resolved[topic][partition]
			switch {
			case to.named != nil:
				at = to.named[topic][partition]
			case to.current:
				at = *row.Committed
			case f.to == "":
				if row.Committed == nil {
					return nil, &failure{exitFailed, "no_committed_offset", fmt.Sprintf("%s partition %d has no committed offset to move from", topic, partition), "--to sets one"}
				}
				at = plus(*row.Committed, f.by)
			}
			if row.New, row.Note = at, ""; !to.current {
				row.New, row.Note = b.clamp(at)
			}
			plan.Partitions = append(plan.Partitions, row)
		}
	}
	slices.SortFunc(plan.Partitions, func(a, b seekRow) int {
		return cmp.Or(strings.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
	if len(plan.Partitions) == 0 {
		return nil, nothingToSeek(group, chosen, to)
	}
	return plan, nil
}

// plus adds without running over.
func plus(a, b int64) int64 {
	if b > 0 && a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b // an offset is never negative
}

// committed returns what the group committed. It sees to it that there is such a group, and that it has no members.
func (f *seekFlags) committed(ctx context.Context, cl *cluster, group string) (partitions[int64], error) {
	groups, err := cl.describeGroups(ctx, group)
	var unknown *failure
	switch {
	case errors.As(err, &unknown) && unknown.code == "group_id_not_found":
		if f.create {
			return nil, nil
		}
		unknown.hint += "; --create makes it"
		return nil, unknown
	case err != nil:
		return nil, err
	case f.to == "current": // only looks
	default:
		if err := groups[0].idle("moved"); err != nil {
			return nil, err
		}
	}
	return cl.committed(ctx, group)
}

// committed returns a group's committed offsets.
func (cl *cluster) committed(ctx context.Context, group string) (partitions[int64], error) {
	offsets, err := patiently(ctx, cl, func() (kadm.OffsetResponses, error) {
		offsets, err := cl.FetchOffsets(ctx, group)
		return offsets, errors.Join(err, offsets.Error())
	})
	if err != nil {
		return nil, err
	}
	committed := partitions[int64]{}
	offsets.Each(func(o kadm.OffsetResponse) {
		if o.At >= 0 {
			committed.set(o.Topic, o.Partition, o.At)
		}
	})
	return committed, nil
}

// meantByFlag adds the partitions that --topic names, which must be there.
func meantByFlag(ctx context.Context, cl *cluster, chosen chosen, all partitions[bounds], meant partitions[bool]) error {
	for topic, numbers := range chosen {
		if all[topic] == nil {
			return cl.noSuchTopic(ctx, topic)
		}
		for _, partition := range numbers {
			if _, ok := all[topic][partition]; !ok {
				return noSuchPartition(topic, partition, len(all[topic]))
			}
		}
		for partition := range all[topic] {
			if chosen.has(topic, partition) {
				meant.set(topic, partition, true)
			}
		}
	}
	return nil
}

func nothingToSeek(group string, chosen chosen, to target) error {
	if to.named != nil {
		return &failure{exitFailed, "no_offsets", fmt.Sprintf("the file has no offset for group %q and what --topic names", group), "lines are topic,partition,offset or group,topic,partition,offset"}
	}
	if chosen != nil {
		return &failure{exitFailed, "no_committed_offset", fmt.Sprintf("group %q has no committed offset in what --topic names", group), "--to start sets one"}
	}
	return &failure{exitFailed, "no_committed_offset", fmt.Sprintf("group %q has no committed offset in any topic that is there", group), "name topics with --topic"}
}

// carryOut shows the plan, asks, and commits.
func (p *seekPlan) carryOut(ctx context.Context, cl *cluster, output string, agreed *consent) error {
	if output == "table" {
		if err := p.print(output); err != nil {
			return err
		}
	}
	proceed, err := agreed.given(output, "moved")
	if proceed {
		err = p.apply(ctx, cl)
	}
	if output != "table" {
		if err := p.print(output); err != nil {
			return err
		}
	} else if p.Applied {
		if _, err := fmt.Printf("moved %s: %s\n", printable(p.Group), counted(len(p.Partitions), "partition")); err != nil {
			return err
		}
	}
	return err
}

func (p *seekPlan) apply(ctx context.Context, cl *cluster) error {
	var offsets kadm.Offsets
	for _, row := range p.Partitions {
		offsets.AddOffset(row.Topic, row.Partition, row.New, -1)
	}
	answer, err := cl.CommitOffsets(ctx, p.Group, offsets)
	if err != nil {
		return err
	}
	var failed []string
	for i, row := range p.Partitions {
		one, ok := answer.Lookup(row.Topic, row.Partition)
		if !ok {
			one.Err = errors.New("the broker says nothing about it")
		}
		if errors.Is(one.Err, kerr.UnknownMemberID) || errors.Is(one.Err, kerr.RebalanceInProgress) || errors.Is(one.Err, kerr.IllegalGeneration) {
			return &failure{exitFailed, "non_empty_group", fmt.Sprintf("group %q got members in the meantime", p.Group), "stop them, then try again"}
		}
		if one.Err != nil {
			p.Partitions[i].Error = kafkaError(one.Err, "")
			failed = append(failed, fmt.Sprintf("%s partition %d: %s", row.Topic, row.Partition, p.Partitions[i].Error))
		}
	}
	if len(failed) > 0 {
		return &failure{exitFailed, "failed", strings.Join(failed, "\n          "), ""}
	}
	p.Applied = true
	return nil
}

func (p *seekPlan) print(output string) error {
	switch output {
	case "json":
		return printJSON(os.Stdout, p)
	case "csv":
		w := csv.NewWriter(os.Stdout)
		for _, row := range p.Partitions {
			_ = w.Write([]string{row.Topic, fmt.Sprint(row.Partition), fmt.Sprint(row.New)}) // Flush keeps the error
		}
		w.Flush()
		return w.Error()
	}
	rows := [][]string{{"TOPIC", "PARTITION", "COMMITTED", "NEW", "CHANGE", "NOTE"}}
	for _, row := range p.Partitions {
		change := "-"
		if row.Committed != nil {
			change = fmt.Sprintf("%+d", row.New-*row.Committed)
		}
		rows = append(rows, []string{row.Topic, fmt.Sprint(row.Partition), orDash(row.Committed), fmt.Sprint(row.New), change, row.Note})
	}
	return printTable(os.Stdout, rows)
}
