package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

type partitionsDocument struct {
	Schema  string             `json:"schema"`
	Applied bool               `json:"applied"`
	Topics  []partitionsResult `json:"topics"`
}

type partitionsResult struct {
	Name   string `json:"name"`
	Before int    `json:"partitions_before"`
	After  int    `json:"partitions_after"`
	Error  string `json:"error,omitempty"`
}

func newTopicAddPartitions() *cobra.Command {
	c := &cobra.Command{
		Use:   "add-partitions NAME... (-n COUNT | --total COUNT) [--dry-run]",
		Short: "Give topics more partitions",
		Long: `Keys move: a record with a key goes to a partition that is chosen by their number, so that records of one key may then be in two
partitions. Partitions cannot be taken away again. With --dry-run the broker only checks.`,
		Example: `  millrace topic add-partitions orders -n 3
  millrace topic add-partitions orders payments --total 12 --dry-run`,
		Args:              needs("NAME..."),
		ValidArgsFunction: complete(everyTopic),
	}
	flags := addClientFlags(c, 15*time.Second)
	output := addOutput(c, "text", "json")
	more := c.Flags().IntP("num", "n", 0, "so many more for each topic")
	total := c.Flags().Int("total", 0, "so many in all for each topic")
	dryRun := c.Flags().Bool("dry-run", false, "only let the broker check it")
	completeFlag(c, "num", nothing)
	completeFlag(c, "total", nothing)
	c.RunE = func(c *cobra.Command, names []string) error {
		if (*more > 0) == (*total > 0) || *more < 0 || *total < 0 {
			return usage(c, errors.New("want one of -n and --total, more than 0"))
		}
		cl, err := flags.dial(c.Context())
		if err != nil {
			return err
		}
		defer cl.Close()
		document := partitionsDocument{"millrace.topic.add-partitions/v1", !*dryRun, []partitionsResult{}}
		for _, name := range names {
			t, err := cl.findTopic(c.Context(), name)
			if err != nil {
				return err
			}
			after := *total
			if *more > 0 {
				after = len(t.Partitions) + *more
			}
			if after <= len(t.Partitions) {
				return &failure{exitFailed, "invalid_partitions", fmt.Sprintf("%s has %s already: --total %d adds none", name, counted(len(t.Partitions), "partition"), after), "partitions cannot be taken away; a new topic can have fewer"}
			}
			document.Topics = append(document.Topics, partitionsResult{Name: name, Before: len(t.Partitions), After: after})
		}
		return document.carryOut(c.Context(), cl, *output)
	}
	return c
}

// carryOut asks for the partitions in one request and shows what came of it.
func (d *partitionsDocument) carryOut(ctx context.Context, cl *cluster, output string) error {
	request := kmsg.NewPtrCreatePartitionsRequest()
	request.ValidateOnly, request.TimeoutMillis = !d.Applied, int32(cl.timeout.Milliseconds())
	for _, t := range d.Topics {
		one := kmsg.NewCreatePartitionsRequestTopic()
		one.Topic, one.Count = t.Name, int32(t.After)
		request.Topics = append(request.Topics, one)
	}
	response, err := request.RequestWith(ctx, cl.raw)
	if err != nil {
		return err
	}
	var failed []string
	for _, answer := range response.Topics {
		for i := range d.Topics {
			if err := kerr.ErrorForCode(answer.ErrorCode); err != nil && d.Topics[i].Name == answer.Topic {
				message := ""
				if answer.ErrorMessage != nil {
					message = *answer.ErrorMessage
				}
				d.Topics[i].Error = kafkaError(err, message)
				failed = append(failed, answer.Topic+": "+d.Topics[i].Error)
			}
		}
	}
	if output == "json" {
		if err := printJSON(os.Stdout, d); err != nil {
			return err
		}
	} else {
		would := ""
		if !d.Applied {
			would = "would change "
		}
		for _, t := range d.Topics {
			if t.Error != "" {
				continue
			}
			if _, err := fmt.Printf("%s%s: %s -> %d\n", would, t.Name, counted(t.Before, "partition"), t.After); err != nil {
				return err
			}
		}
	}
	if len(failed) > 0 {
		return &failure{exitFailed, "failed", strings.Join(failed, "\n          "), ""}
	}
	return nil
}
