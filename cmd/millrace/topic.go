package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"golang.org/x/term"

	"github.com/millrace/millrace/wire"
)

func newTopic() *cobra.Command {
	c := &cobra.Command{
		Use:   "topic",
		Short: "Create, list, describe and delete topics",
		Example: `  millrace topic create orders -p 6 -c retention.ms=3600000
  millrace topic list
  millrace topic describe orders`,
		Args:                       subcommandsOnly,
		SuggestionsMinimumDistance: 3,
		RunE:                       func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newTopicCreate(), newTopicList(), newTopicDescribe(), newTopicDelete())
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
		Args: cobra.MinimumNArgs(1),
	}
	flags := addClientFlags(c, 15*time.Second)
	output := addOutput(c, "text", "json")
	partitions := c.Flags().Int32P("partitions", "p", -1, "partitions of each topic; -1 takes the broker's num.partitions")
	replicas := c.Flags().Int16P("replicas", "r", -1, "replicas of each partition; -1 takes the broker's default.replication.factor")
	settings := c.Flags().StringArrayP("config", "c", nil, "setting of the topic, key=value; repeatable")
	lenient := c.Flags().Bool("if-not-exists", false, "do not fail when a topic is there already")
	c.RunE = func(c *cobra.Command, names []string) error {
		configs := map[string]*string{}
		for _, s := range *settings {
			key, value, ok := strings.Cut(s, "=")
			if !ok || key == "" {
				return usage(c, fmt.Errorf("-c %s: want key=value", s))
			}
			configs[key] = &value
		}
		client, err := flags.connect(c.Context())
		if err != nil {
			return err
		}
		defer client.Close()
		created, err := kadm.NewClient(client).CreateTopics(c.Context(), *partitions, *replicas, configs, names...)
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
		Args: cobra.NoArgs,
	}
	flags := addClientFlags(c, 15*time.Second)
	output := addOutput(c, "table", "json", "name")
	internal := c.Flags().BoolP("internal", "i", false, "show the cluster's own topics too")
	c.RunE = func(c *cobra.Command, _ []string) error {
		client, err := flags.connect(c.Context())
		if err != nil {
			return err
		}
		defer client.Close()
		list := kadm.NewClient(client).ListTopics
		if *internal {
			list = kadm.NewClient(client).ListTopicsWithInternal
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
		Args: cobra.ExactArgs(1),
	}
	flags := addClientFlags(c, 15*time.Second)
	output := addOutput(c, "table", "json")
	all := c.Flags().Bool("all", false, "show every setting, not only those that differ from the default and the durability")
	c.RunE = func(c *cobra.Command, args []string) error {
		client, err := flags.connect(c.Context())
		if err != nil {
			return err
		}
		defer client.Close()
		d, err := describeTopic(c.Context(), kadm.NewClient(client), args[0])
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

func describeTopic(ctx context.Context, admin *kadm.Client, name string) (*topicDescription, error) {
	t, err := findTopic(ctx, admin, name)
	if err != nil {
		return nil, err
	}
	starts, err := admin.ListStartOffsets(ctx, name)
	if err != nil {
		return nil, err
	}
	ends, err := admin.ListEndOffsets(ctx, name)
	if err != nil {
		return nil, err
	}
	configs, err := admin.DescribeTopicConfigs(ctx, name)
	if err != nil {
		return nil, err
	}
	d := &topicDescription{Schema: "millrace.topic.describe/v1", Name: name, ID: wire.UUID(t.ID).String(), Internal: t.IsInternal}
	for _, p := range t.Partitions.Sorted() {
		row := partitionRow{Partition: p.Partition, Leader: p.Leader, LeaderEpoch: p.LeaderEpoch, Replicas: p.Replicas, ISR: p.ISR, Start: -1, End: -1}
		start, _ := starts.Lookup(name, p.Partition)
		end, _ := ends.Lookup(name, p.Partition)
		if err := errors.Join(p.Err, start.Err, end.Err); err != nil {
			row.Error = err.Error()
		} else {
			row.Start, row.End = start.Offset, end.Offset
		}
		d.Partitions = append(d.Partitions, row)
	}
	for _, r := range configs {
		for _, one := range r.Configs {
			d.Configs = append(d.Configs, configRow{one.Key, one.Value, one.Source.String()})
		}
	}
	slices.SortFunc(d.Configs, func(a, b configRow) int { return strings.Compare(a.Name, b.Name) })
	return d, nil
}

// findTopic asks for one topic without creating it.
func findTopic(ctx context.Context, admin *kadm.Client, name string) (kadm.TopicDetail, error) {
	topics, err := admin.ListTopicsWithInternal(ctx, name)
	if err != nil {
		return kadm.TopicDetail{}, err
	}
	t := topics[name]
	if errors.Is(t.Err, kerr.UnknownTopicOrPartition) {
		return t, noSuchTopic(name)
	}
	if t.Err != nil {
		return t, fmt.Errorf("%s: %w", name, t.Err)
	}
	return t, nil
}

func noSuchTopic(name string) error {
	return &failure{exitFailed, "unknown_topic_or_partition", fmt.Sprintf("there is no topic %q", name), "millrace topic list shows those there are"}
}

func numbers(list []int32) string {
	var s []string
	for _, n := range list {
		s = append(s, strconv.Itoa(int(n)))
	}
	return strings.Join(s, ",")
}

func newTopicDelete() *cobra.Command {
	c := &cobra.Command{
		Use:   "delete NAME... [--yes]",
		Short: "Delete topics with all their records",
		Example: `  millrace topic delete orders
  millrace topic delete orders payments --yes`,
		Args: cobra.MinimumNArgs(1),
	}
	flags := addClientFlags(c, 15*time.Second)
	output := addOutput(c, "text", "json")
	yes := c.Flags().BoolP("yes", "y", false, "do not ask")
	lenient := c.Flags().Bool("if-exists", false, "do not fail when a topic is not there")
	c.RunE = func(c *cobra.Command, names []string) error {
		client, err := flags.connect(c.Context())
		if err != nil {
			return err
		}
		defer client.Close()
		admin := kadm.NewClient(client)
		if !*yes {
			if err := confirmDelete(c.Context(), admin, names, *lenient); err != nil {
				return err
			}
		}
		deleted, err := admin.DeleteTopics(c.Context(), names...)
		if err != nil {
			return err
		}
		results := topicResults{Schema: "millrace.topic.delete/v1"}
		for _, name := range names {
			t := deleted[name]
			r := topicResult{Name: name, Error: kafkaError(t.Err, t.ErrMessage)}
			if *lenient && errors.Is(t.Err, kerr.UnknownTopicOrPartition) {
				r.Error = ""
			}
			results.Topics = append(results.Topics, r)
		}
		return results.finish(*output, "deleted")
	}
	return c
}

// confirmDelete shows what would go, and asks on a terminal; without one only --yes will do.
func confirmDelete(ctx context.Context, admin *kadm.Client, names []string, lenient bool) error {
	topics, err := admin.ListTopicsWithInternal(ctx, names...)
	if err != nil {
		return err
	}
	maps.DeleteFunc(topics, func(_ string, t kadm.TopicDetail) bool { return errors.Is(t.Err, kerr.UnknownTopicOrPartition) })
	for _, name := range names {
		if !topics.Has(name) && !lenient {
			return noSuchTopic(name)
		}
	}
	if len(topics) == 0 {
		return nil
	}
	ends, err := admin.ListEndOffsets(ctx, topics.Names()...)
	if err != nil {
		return err
	}
	for _, name := range topics.Names() {
		var records int64
		for _, end := range ends[name] {
			records += max(end.Offset, 0)
		}
		fmt.Fprintf(os.Stderr, "would delete %s: %s, up to %s records\n", name, counted(len(topics[name].Partitions), "partition"), thousands(records))
	}
	if !term.IsTerminal(int(os.Stdin.Fd())) {
		return &failure{exitUsage, "confirmation_needed", "nothing was deleted", "--yes deletes without asking"}
	}
	fmt.Fprint(os.Stderr, "type yes to delete: ")
	answer, _ := bufio.NewReader(os.Stdin).ReadString('\n')
	if strings.TrimSpace(answer) != "yes" {
		return &failure{exitFailed, "not_confirmed", "nothing was deleted", ""}
	}
	return nil
}
