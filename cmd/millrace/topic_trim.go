package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
)

type (
	trimRow struct {
		Topic     string `json:"topic"`
		Partition int32  `json:"partition"`
		Start     int64  `json:"start_offset"`
		New       int64  `json:"new_start_offset"`
		End       int64  `json:"end_offset"`
		Note      string `json:"note,omitempty"`
		Error     string `json:"error,omitempty"`
	}
	trimPlan struct {
		Schema     string    `json:"schema"`
		Applied    bool      `json:"applied"`
		Partitions []trimRow `json:"partitions"`
	}
)

func newTopicTrim() *cobra.Command {
	c := &cobra.Command{
		Use:   "trim NAME[:PARTITION,...]... (--before POSITION | --all) [--yes]",
		Short: "Delete the oldest records of topics",
		Long: `POSITION is ` + positionHelp + `.
The records of each partition before it are deleted. --all is --before end: the topic is empty then. Offsets go on
as they are, and consumers that stood on what is gone go on at the new start.

` + consentHelp,
		Example: `  millrace topic trim orders --before @-24h
  millrace topic trim orders:0,3 --before 100000 --yes
  millrace topic trim orders --all --dry-run`,
		Args:              needs("NAME..."),
		ValidArgsFunction: complete(everyTopic),
	}
	flags := addClientFlags(c, 30*time.Second)
	output := addOutput(c, "table", "json")
	agreed := addConsent(c)
	before := c.Flags().String("before", "", "where the records that stay begin: OFFSET, -N, @TIME, end")
	all := c.Flags().Bool("all", false, "delete every record")
	completeFlag(c, "before", oneOf("end", "@-24h", "@-1h"))
	c.RunE = func(c *cobra.Command, names []string) error {
		if *all == (*before != "") {
			return usage(c, errors.New("want one of --before and --all"))
		}
		if *all {
			*before = "end"
		}
		to, err := parsePosition(*before, time.Now())
		if err != nil {
			return usage(c, fmt.Errorf("--before %s: %w", *before, err))
		}
		chosen, err := (&topicFilter{names}).parse(c)
		if err != nil {
			return err
		}
		cl, err := flags.dial(c.Context())
		if err != nil {
			return err
		}
		defer cl.Close()
		plan, err := planTrim(c.Context(), cl, chosen, to)
		if err != nil {
			return err
		}
		return plan.carryOut(c.Context(), cl, *output, agreed)
	}
	return c
}

func planTrim(ctx context.Context, cl *cluster, chosen chosen, to position) (*trimPlan, error) {
	all, err := cl.bounds(ctx, chosen.names()...)
	if err != nil {
		return nil, err
	}
	meant := partitions[bool]{}
	if err := meantByFlag(ctx, cl, chosen, all, meant); err != nil {
		return nil, err
	}
	limited := partitions[bounds]{}
	for topic, ofTopic := range meant {
		for partition := range ofTopic {
			limited.set(topic, partition, all[topic][partition])
		}
	}
	resolved, err := cl.resolve(ctx, to, limited)
	if err != nil {
		return nil, err
	}
	plan := &trimPlan{Schema: "millrace.topic.trim/v1", Partitions: []trimRow{}}
	for topic, ofTopic := range limited {
		for partition, b := range ofTopic {
			if b.err != nil {
				return nil, fmt.Errorf("%s partition %d: %w", topic, partition, b.err)
			}
			row := trimRow{Topic: topic, Partition: partition, Start: b.start, End: b.end}
			row.New, row.Note = b.clamp(resolved[topic][partition])
			plan.Partitions = append(plan.Partitions, row)
		}
	}
	slices.SortFunc(plan.Partitions, func(a, b trimRow) int {
		return cmp.Or(strings.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
	return plan, nil
}

// records is how many go, at most: a log may have holes.
func (p *trimPlan) records() int64 {
	var n int64
	for _, row := range p.Partitions {
		n += row.New - row.Start
	}
	return n
}

func (p *trimPlan) carryOut(ctx context.Context, cl *cluster, output string, agreed *consent) error {
	if output == "table" {
		rows := [][]string{{"TOPIC", "PARTITION", "START", "NEW START", "END", "DELETED", "NOTE"}}
		for _, row := range p.Partitions {
			rows = append(rows, []string{row.Topic, fmt.Sprint(row.Partition), fmt.Sprint(row.Start), fmt.Sprint(row.New), fmt.Sprint(row.End), fmt.Sprint(row.New - row.Start), row.Note})
		}
		if err := printTable(os.Stdout, rows); err != nil {
			return err
		}
	}
	var err error
	if p.records() == 0 {
		fmt.Fprintln(os.Stderr, "there is nothing to delete")
	} else {
		var proceed bool
		if proceed, err = agreed.given(output, "deleted"); proceed {
			err = p.apply(ctx, cl)
		}
	}
	if output == "json" {
		if err := printJSON(os.Stdout, p); err != nil {
			return err
		}
	} else if p.Applied {
		if _, err := fmt.Printf("deleted up to %s\n", counted(int(p.records()), "record")); err != nil {
			return err
		}
	}
	return err
}

func (p *trimPlan) apply(ctx context.Context, cl *cluster) error {
	var offsets kadm.Offsets
	for _, row := range p.Partitions {
		if row.New > row.Start {
			offsets.AddOffset(row.Topic, row.Partition, row.New, -1)
		}
	}
	answer, err := cl.DeleteRecords(ctx, offsets)
	if err != nil && !partial(err) {
		return err
	}
	var failed []string
	for i, row := range p.Partitions {
		if row.New == row.Start {
			continue
		}
		one, ok := answer.Lookup(row.Topic, row.Partition)
		if !ok {
			one.Err = errors.New("the broker says nothing about it")
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
