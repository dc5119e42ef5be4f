package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func newGroup() *cobra.Command {
	c := &cobra.Command{
		Use:   "group",
		Short: "List, describe, move and delete consumer groups",
		Example: `  millrace group list
  millrace group lag payment
  millrace group seek payment --to earliest --topic orders`,
		Args: subcommandsOnly,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newGroupList(), newGroupDescribe(), newGroupLag(), newGroupSeek(), newGroupDelete())
	return c
}

type (
	groupRow struct {
		Name         string `json:"name"`
		State        string `json:"state"`
		Type         string `json:"type"`          // classic, consumer, share or streams
		ProtocolType string `json:"protocol_type"` // consumer, connect, or what the members say
		Coordinator  int32  `json:"coordinator"`
	}
	groupList struct {
		Schema string     `json:"schema"`
		Groups []groupRow `json:"groups"`
	}
)

func newGroupList() *cobra.Command {
	c := &cobra.Command{
		Use:   "list [--state STATE] [--type TYPE]",
		Short: "List consumer groups",
		Example: `  millrace group list
  millrace group list --state empty
  millrace group list -o json | jq -r '.groups[].name'`,
		Args: needs(),
	}
	flags := addClientFlags(c, 15*time.Second)
	output := addOutput(c, "table", "json", "name")
	states := c.Flags().StringSlice("state", nil, "only groups in these states: stable, empty, preparingrebalance, completingrebalance, dead ...")
	types := c.Flags().StringSlice("type", nil, "only groups of these types: classic, consumer, share, streams")
	completeFlag(c, "state", oneOf("stable", "empty", "preparingrebalance", "completingrebalance", "dead"))
	completeFlag(c, "type", oneOf("classic", "consumer", "share", "streams"))
	c.RunE = func(c *cobra.Command, _ []string) error {
		cl, err := flags.dial(c.Context())
		if err != nil {
			return err
		}
		defer cl.Close()
		groups, missing := cl.groups(c.Context())
		if missing != nil && !partial(missing) {
			return missing
		}
		document := groupList{"millrace.group.list/v1", []groupRow{}}
		for _, g := range groups {
			if among(*states, g.State) && among(*types, g.Type) {
				document.Groups = append(document.Groups, g)
			}
		}
		if err := document.print(*output); err != nil {
			return err
		}
		return missing // what the other brokers have is shown all the same
	}
	return c
}

func (d groupList) print(output string) error {
	switch output {
	case "json":
		return printJSON(os.Stdout, d)
	case "name":
		for _, g := range d.Groups {
			if _, err := fmt.Println(g.Name); err != nil {
				return err
			}
		}
		return nil
	}
	rows := [][]string{{"GROUP", "STATE", "TYPE", "PROTOCOL", "COORDINATOR"}}
	for _, g := range d.Groups {
		rows = append(rows, []string{g.Name, g.State, g.Type, cmp.Or(g.ProtocolType, "-"), fmt.Sprint(g.Coordinator)})
	}
	return printTable(os.Stdout, rows)
}

// among reports whether a list that was given names the word, in any case.
func among(list []string, word string) bool {
	return len(list) == 0 || slices.ContainsFunc(list, func(one string) bool { return strings.EqualFold(one, word) })
}

// groups lists all groups by name. On a partial error it returns those of the brokers that answered.
func (cl *cluster) groups(ctx context.Context) ([]groupRow, error) {
	return patiently(ctx, cl, func() ([]groupRow, error) {
		var groups []groupRow
		var failed kadm.ShardErrors
		shards := cl.raw.RequestSharded(ctx, kmsg.NewPtrListGroupsRequest())
		for _, shard := range shards {
			err := shard.Err
			if err == nil {
				response := shard.Resp.(*kmsg.ListGroupsResponse)
				err = kerr.ErrorForCode(response.ErrorCode)
				for _, g := range response.Groups {
					groups = append(groups, groupRow{g.Group, cmp.Or(g.GroupState, "Unknown"), cmp.Or(strings.ToLower(g.GroupType), "classic"), g.ProtocolType, shard.Meta.NodeID})
				}
			}
			if err != nil {
				failed.Errs = append(failed.Errs, kadm.ShardError{Req: shard.Req, Err: err, Broker: shard.Meta})
			}
		}
		slices.SortFunc(groups, func(a, b groupRow) int { return strings.Compare(a.Name, b.Name) })
		switch {
		case len(failed.Errs) == 0:
			return groups, nil
		case len(failed.Errs) == len(shards):
			return nil, failed.Errs[0].Err
		}
		failed.Name = "ListGroups"
		return groups, &failed
	})
}
