package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/wire"
)

func newTopic() *cobra.Command {
	c := &cobra.Command{
		Use:   "topic",
		Short: "Create, list, describe, alter, trim and delete topics",
		Example: `  millrace topic create orders -p 6 -c retention.ms=3600000
  millrace topic list
  millrace topic describe orders`,
		Args: subcommandsOnly,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newTopicCreate(), newTopicList(), newTopicDescribe(), newTopicAlter(), newTopicAddPartitions(), newTopicTrim(), newTopicDelete())
	return c
}

// Documents of -o json.
type (
	topicResult struct {
		Name  string `json:"name"`
		ID    string `json:"id,omitempty"`
		Error string `json:"error,omitempty"`
	}
	topicResults struct {
		Schema string        `json:"schema"`
		Topics []topicResult `json:"topics"`
	}
	topicRow struct {
		Name       string `json:"name"`
		ID         string `json:"id"`
		Partitions int    `json:"partitions"`
		Replicas   int    `json:"replicas"`
		Internal   bool   `json:"internal"`
	}
	topicList struct {
		Schema string     `json:"schema"`
		Topics []topicRow `json:"topics"`
	}
	partitionRow struct {
		Partition   int32   `json:"partition"`
		Leader      int32   `json:"leader"`
		LeaderEpoch int32   `json:"leader_epoch"`
		Replicas    []int32 `json:"replicas"`
		ISR         []int32 `json:"isr"`
		Start       int64   `json:"start_offset"`
		End         int64   `json:"end_offset"`
		Error       string  `json:"error,omitempty"`
	}
	configRow struct {
		Name   string  `json:"name"`
		Value  *string `json:"value"`
		Source string  `json:"source"`
	}
	topicDescription struct {
		Schema     string         `json:"schema"`
		Name       string         `json:"name"`
		ID         string         `json:"id"`
		Internal   bool           `json:"internal"`
		Partitions []partitionRow `json:"partitions"`
		Configs    []configRow    `json:"configs"`
	}
)

// finish prints what came of each topic; it fails when one of them did.
func (r topicResults) finish(output, did string) error {
	if output == "json" {
		if err := printJSON(os.Stdout, r); err != nil {
			return err
		}
	}
	var failed []string
	for _, t := range r.Topics {
		if t.Error != "" {
			failed = append(failed, t.Name+": "+t.Error)
		} else if output != "json" {
			if _, err := fmt.Printf("%s %s\n", did, t.Name); err != nil {
				return err
			}
		}
	}
	if len(failed) > 0 {
		return &failure{exitFailed, "failed", strings.Join(failed, "\n          "), ""}
	}
	return nil
}

// kafkaError is Kafka's own name of an error with the broker's message.
func kafkaError(err error, message string) string {
	if err == nil {
		return ""
	}
	var known *kerr.Error
	if !errors.As(err, &known) {
		return err.Error()
	}
	if message == "" {
		message = known.Description
	}
	return known.Message + ": " + message
}

func newTopicCreate() *cobra.Command {
	c := &cobra.Command{
		Use:   "create NAME... [-p PARTITIONS] [-r REPLICAS] [-c key=value]...",
		Short: "Create topics",
		Example: `  millrace topic create orders
  millrace topic create orders payments -p 6
  millrace topic create audit -c cleanup.policy=compact -c millrace.durability=replicated`,
		Args:              needs("NAME..."),
		ValidArgsFunction: nothing,
	}
	flags := addClientFlags(c, 15*time.Second)
	output := addOutput(c, "text", "json")
	partitions := c.Flags().Int32P("partitions", "p", -1, "partitions of each topic; -1 takes the broker's num.partitions")
	replicas := c.Flags().Int16P("replicas", "r", -1, "replicas of each partition; -1 takes the broker's default.replication.factor")
	settings := c.Flags().StringArrayP("config", "c", nil, "setting of the topic, key=value; repeatable")
	lenient := c.Flags().Bool("if-not-exists", false, "do not fail when a topic is there already")
	completeFlag(c, "partitions", nothing)
	completeFlag(c, "replicas", nothing)
	completeFlag(c, "config", topicSettings("="))
	c.RunE = func(c *cobra.Command, names []string) error {
		configs := map[string]*string{}
		for _, s := range *settings {
			key, value, ok := strings.Cut(s, "=")
			if !ok || key == "" {
				return usage(c, fmt.Errorf("-c %s: want key=value", s))
			}
			configs[key] = &value
		}
		cl, err := flags.dial(c.Context())
		if err != nil {
			return err
		}
		defer cl.Close()
		created, err := cl.CreateTopics(c.Context(), *partitions, *replicas, configs, names...)
		if err != nil {
			return err
		}
		results := topicResults{Schema: "millrace.topic.create/v1"}
		for _, name := range names {
			t := created[name]
			r := topicResult{Name: name, Error: kafkaError(t.Err, t.ErrMessage)}
			if t.Err == nil {
				r.ID = wire.UUID(t.ID).String()
			} else if *lenient && errors.Is(t.Err, kerr.TopicAlreadyExists) {
				r.Error = ""
			}
			results.Topics = append(results.Topics, r)
		}
		return results.finish(*output, "created")
	}
	return c
}

func newTopicList() *cobra.Command {
	c := &cobra.Command{
		Use:   "list",
		Short: "List topics",
		Example: `  millrace topic list
  millrace topic list -o json | jq -r '.topics[].name'`,
		Args: needs(),
	}
	flags := addClientFlags(c, 15*time.Second)
	output := addOutput(c, "table", "json", "name")
	internal := c.Flags().BoolP("internal", "i", false, "show the cluster's own topics too")
	c.RunE = func(c *cobra.Command, _ []string) error {
		cl, err := flags.dial(c.Context())
		if err != nil {
			return err
		}
		defer cl.Close()
		list := cl.ListTopics
		if *internal {
			list = cl.ListTopicsWithInternal
		}
		topics, err := list(c.Context())
		if err != nil {
			return err
		}
		document := topicList{Schema: "millrace.topic.list/v1", Topics: []topicRow{}}
		for _, t := range topics.Sorted() {
			document.Topics = append(document.Topics, topicRow{t.Topic, wire.UUID(t.ID).String(), len(t.Partitions), t.Partitions.NumReplicas(), t.IsInternal})
		}
		rows := [][]string{{"TOPIC", "PARTITIONS", "REPLICAS"}}
		switch *output {
		case "json":
			return printJSON(os.Stdout, document)
		case "name":
			for _, t := range document.Topics {
				if _, err := fmt.Println(t.Name); err != nil {
					return err
				}
			}
			return nil
		}
		for _, t := range document.Topics {
			rows = append(rows, []string{t.Name, strconv.Itoa(t.Partitions), strconv.Itoa(t.Replicas)})
		}
		return printTable(os.Stdout, rows)
	}
	return c
}

func newTopicDescribe() *cobra.Command {
	c := &cobra.Command{
		Use:   "describe NAME",
		Short: "Show a topic's partitions, offsets and settings",
		Example: `  millrace topic describe orders
  millrace topic describe orders --all
  millrace topic describe orders -o json | jq '.partitions[].end_offset'`,
		Args:              needs("NAME"),
		ValidArgsFunction: completeFirst(everyTopic),
	}
	flags := addClientFlags(c, 15*time.Second)
	output := addOutput(c, "table", "json")
	all := c.Flags().Bool("all", false, "show every setting, not only those that differ from the default and the durability")
	c.RunE = func(c *cobra.Command, args []string) error {
		cl, err := flags.dial(c.Context())
		if err != nil {
			return err
		}
		defer cl.Close()
		d, err := cl.describeTopic(c.Context(), args[0])
		if err != nil {
			return err
		}
		if *output == "json" {
			return printJSON(os.Stdout, d)
		}
		if _, err := fmt.Printf("%s  id %s\n\n", d.Name, d.ID); err != nil {
			return err
		}
		rows := [][]string{{"PARTITION", "LEADER", "EPOCH", "REPLICAS", "ISR", "START", "END"}}
		for _, p := range d.Partitions {
			row := []string{fmt.Sprint(p.Partition), fmt.Sprint(p.Leader), fmt.Sprint(p.LeaderEpoch), numbers(p.Replicas), numbers(p.ISR), fmt.Sprint(p.Start), fmt.Sprint(p.End)}
			if p.Error != "" {
				row = append(row, p.Error)
			}
			rows = append(rows, row)
		}
		if err := printTable(os.Stdout, rows); err != nil {
			return err
		}
		rows = [][]string{{"SETTING", "VALUE", "FROM"}}
		for _, setting := range d.Configs {
			if *all || setting.Source != "DEFAULT_CONFIG" || setting.Name == "millrace.durability" {
				value := "(hidden)"
				if setting.Value != nil {
					value = *setting.Value
				}
				rows = append(rows, []string{setting.Name, value, strings.ToLower(strings.TrimSuffix(setting.Source, "_CONFIG"))})
			}
		}
		if len(rows) == 1 {
			return nil
		}
		fmt.Println()
		return printTable(os.Stdout, rows)
	}
	return c
}

func (cl *cluster) describeTopic(ctx context.Context, name string) (*topicDescription, error) {
	t, err := cl.findTopic(ctx, name)
	if err != nil {
		return nil, err
	}
	all, err := cl.bounds(ctx, name)
	if err != nil {
		return nil, err
	}
	settings, err := cl.settings(ctx, resource{kmsg.ConfigResourceTypeTopic, name})
	if err != nil {
		return nil, err
	}
	d := &topicDescription{Schema: "millrace.topic.describe/v1", Name: name, ID: wire.UUID(t.ID).String(), Internal: t.IsInternal}
	for _, p := range t.Partitions.Sorted() {
		row := partitionRow{Partition: p.Partition, Leader: p.Leader, LeaderEpoch: p.LeaderEpoch, Replicas: p.Replicas, ISR: p.ISR, Start: -1, End: -1}
		b, ok := all[name][p.Partition]
		if !ok {
			b.err = errors.New("no answer about its offsets")
		}
		if err := errors.Join(p.Err, b.err); err != nil {
			row.Error = err.Error()
		} else {
			row.Start, row.End = b.start, b.end
		}
		d.Partitions = append(d.Partitions, row)
	}
	for _, s := range settings {
		d.Configs = append(d.Configs, configRow{s.Name, s.Value, s.Source})
	}
	return d, nil
}

// findTopic asks for one topic without creating it.
func (cl *cluster) findTopic(ctx context.Context, name string) (kadm.TopicDetail, error) {
	topics, err := cl.ListTopicsWithInternal(ctx, name)
	if err != nil {
		return kadm.TopicDetail{}, err
	}
	t := topics[name]
	if errors.Is(t.Err, kerr.UnknownTopicOrPartition) {
		return t, cl.noSuchTopic(ctx, name)
	}
	if t.Err != nil {
		return t, fmt.Errorf("%s: %w", name, t.Err)
	}
	return t, nil
}

// noSuchTopic names the topic that was probably meant.
func (cl *cluster) noSuchTopic(ctx context.Context, name string) error {
	var names []string
	if topics, err := cl.ListTopicsWithInternal(ctx); err == nil {
		topics.FilterInternal()
		maps.DeleteFunc(topics, func(_ string, t kadm.TopicDetail) bool { return t.Err != nil }) // the client remembers what was asked for
		names = topics.Names()
	}
	return &failure{exitFailed, "unknown_topic_or_partition", fmt.Sprintf("there is no topic %q", name), didYouMean(name, names, "millrace topic list shows those there are")}
}

func noSuchPartition(topic string, partition int32, there int) error {
	return &failure{exitFailed, "unknown_topic_or_partition", fmt.Sprintf("%s has no partition %d (it has %d)", topic, partition, there), "the first partition is 0"}
}

func numbers(list []int32) string {
	var s []string
	for _, n := range list {
		s = append(s, strconv.Itoa(int(n)))
	}
	return strings.Join(s, ",")
}

type (
	topicDeletion struct {
		Name       string `json:"name"`
		Found      bool   `json:"found"`
		Partitions int    `json:"partitions"`
		Records    int64  `json:"records"` // at most: the offsets between start and end
		Error      string `json:"error,omitempty"`
	}
	topicDeletions struct {
		Schema  string          `json:"schema"`
		Applied bool            `json:"applied"`
		Topics  []topicDeletion `json:"topics"`
	}
)

func newTopicDelete() *cobra.Command {
	c := &cobra.Command{
		Use:   "delete NAME... [--yes]",
		Short: "Delete topics with all their records",
		Long:  consentHelp,
		Example: `  millrace topic delete orders
  millrace topic delete orders payments --yes`,
		Args:              needs("NAME..."),
		ValidArgsFunction: complete(everyTopic),
	}
	flags := addClientFlags(c, 15*time.Second)
	output := addOutput(c, "text", "json")
	agreed := addConsent(c)
	lenient := c.Flags().Bool("if-exists", false, "do not fail when a topic is not there")
	c.RunE = func(c *cobra.Command, names []string) error {
		cl, err := flags.dial(c.Context())
		if err != nil {
			return err
		}
		defer cl.Close()
		plan, err := cl.planTopicDeletions(c.Context(), names, *lenient)
		if err != nil {
			return err
		}
		return plan.carryOut(c.Context(), cl, *output, agreed, *lenient)
	}
	return c
}

// planTopicDeletions finds what would go.
func (cl *cluster) planTopicDeletions(ctx context.Context, names []string, lenient bool) (*topicDeletions, error) {
	topics, err := cl.ListTopicsWithInternal(ctx, names...)
	if err != nil {
		return nil, err
	}
	maps.DeleteFunc(topics, func(_ string, t kadm.TopicDetail) bool { return errors.Is(t.Err, kerr.UnknownTopicOrPartition) })
	all, err := cl.bounds(ctx, topics.Names()...)
	if err != nil {
		return nil, err
	}
	plan := &topicDeletions{Schema: "millrace.topic.delete/v1", Topics: []topicDeletion{}}
	for _, name := range names {
		d := topicDeletion{Name: name, Found: topics.Has(name), Partitions: len(topics[name].Partitions)}
		if !d.Found && !lenient {
			return nil, cl.noSuchTopic(ctx, name)
		}
		for _, b := range all[name] {
			d.Records += max(b.end-b.start, 0)
		}
		plan.Topics = append(plan.Topics, d)
	}
	return plan, nil
}

// carryOut shows the plan, asks, and deletes.
func (p *topicDeletions) carryOut(ctx context.Context, cl *cluster, output string, agreed *consent, lenient bool) error {
	var found []string
	for _, t := range p.Topics {
		if !t.Found {
			continue
		}
		found = append(found, t.Name)
		if output == "json" || agreed.yes && !agreed.dryRun {
			continue
		}
		if _, err := fmt.Printf("would delete %s: %s, up to %s\n", printable(t.Name), counted(t.Partitions, "partition"), counted(int(t.Records), "record")); err != nil {
			return err
		}
	}
	var err error
	if len(found) > 0 {
		var proceed bool
		if proceed, err = agreed.given(output, "deleted"); proceed {
			err = p.apply(ctx, cl, found, lenient)
		}
	}
	if output == "json" {
		if err := printJSON(os.Stdout, p); err != nil {
			return err
		}
	}
	if p.Applied && output != "json" {
		for _, t := range p.Topics {
			if t.Found && t.Error == "" {
				if _, err := fmt.Printf("deleted %s\n", printable(t.Name)); err != nil {
					return err
				}
			}
		}
	}
	return err
}

func (p *topicDeletions) apply(ctx context.Context, cl *cluster, found []string, lenient bool) error {
	deleted, err := cl.DeleteTopics(ctx, found...)
	if err != nil {
		return err
	}
	p.Applied = true
	var failed []string
	for i, t := range p.Topics {
		one := deleted[t.Name]
		if one.Err == nil || lenient && errors.Is(one.Err, kerr.UnknownTopicOrPartition) {
			continue
		}
		p.Topics[i].Error = kafkaError(one.Err, one.ErrMessage)
		failed = append(failed, printable(t.Name)+": "+p.Topics[i].Error)
	}
	if len(failed) > 0 {
		return &failure{exitFailed, "failed", strings.Join(failed, "\n          "), ""}
	}
	return nil
}
