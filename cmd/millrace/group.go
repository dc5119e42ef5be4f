package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
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

// Documents of one group: describe shows all of it, lag not the members.
type (
	topicPartitions struct {
		Topic      string  `json:"topic"`
		Partitions []int32 `json:"partitions"`
	}
	groupMember struct {
		ID         string            `json:"id"`
		InstanceID *string           `json:"instance_id,omitempty"`
		ClientID   string            `json:"client_id"`
		Host       string            `json:"host"`
		Assignment []topicPartitions `json:"assignment"`
	}
	groupDescription struct {
		groupRow
		Assignor   string         `json:"assignor"`
		Members    []groupMember  `json:"members"`
		Lag        *int64         `json:"lag"` // of all partitions with a committed offset; null: there is none
		Partitions []partitionLag `json:"partitions"`
	}
)

// describeGroups describes the named groups, or all that keep offsets when none is named, without their partitions.
func (cl *cluster) describeGroups(ctx context.Context, names ...string) ([]groupDescription, error) {
	listed, err := cl.groups(ctx)
	if err != nil {
		return nil, err
	}
	known := map[string]groupRow{}
	for _, g := range listed {
		known[g.Name] = g
	}
	if len(names) == 0 {
		for _, g := range listed {
			if g.keepsOffsets() {
				names = append(names, g.Name)
			}
		}
	}
	var classic, consumer []string
	for _, name := range names {
		g, ok := known[name]
		switch {
		case !ok:
			return nil, noSuchGroup(name, slices.Collect(maps.Keys(known)))
		case !g.keepsOffsets():
			return nil, &failure{exitFailed, "wrong_group_type", fmt.Sprintf("%q is a %s group: it keeps no offsets for each partition as consumer groups do", name, g.Type), ""}
		case g.Type == "consumer":
			consumer = append(consumer, name)
		default:
			classic = append(classic, name)
		}
	}
	described := map[string]groupDescription{}
	if err := cl.describeClassic(ctx, classic, described); err != nil {
		return nil, err
	}
	if err := cl.describeConsumer(ctx, consumer, described); err != nil {
		return nil, err
	}
	var groups []groupDescription
	for _, name := range names {
		d, ok := described[name]
		if !ok {
			return nil, fmt.Errorf("group %q: the broker says nothing about it", name)
		}
		d.Type, d.Partitions = known[name].Type, []partitionLag{}
		groups = append(groups, d)
	}
	return groups, nil
}

func (g groupRow) keepsOffsets() bool { return g.Type != "share" && g.Type != "streams" }

func noSuchGroup(name string, groups []string) *failure {
	slices.Sort(groups)
	return &failure{exitFailed, "group_id_not_found", fmt.Sprintf("there is no group %q", name), didYouMean(name, groups, "millrace group list shows those there are")}
}

// describeClassic asks about groups whose members divide the partitions themselves.
func (cl *cluster) describeClassic(ctx context.Context, names []string, into map[string]groupDescription) error {
	if len(names) == 0 {
		return nil // to the client, no group would be every group
	}
	answer, err := patiently(ctx, cl, func() (kadm.DescribedGroups, error) {
		answer, err := cl.DescribeGroups(ctx, names...)
		return answer, errors.Join(err, groupsError(answer, func(g kadm.DescribedGroup) (string, error) { return g.Group, g.Err }))
	})
	if err != nil {
		return err
	}
	for _, g := range answer {
		d := groupDescription{groupRow: groupRow{g.Group, g.State, "", g.ProtocolType, g.Coordinator.NodeID}, Assignor: g.Protocol, Members: []groupMember{}}
		for _, m := range g.Members {
			one := groupMember{ID: m.MemberID, InstanceID: m.InstanceID, ClientID: m.ClientID, Host: m.ClientHost, Assignment: []topicPartitions{}}
			if a, ok := m.Assigned.AsConsumer(); ok {
				for _, t := range a.Topics {
					one.Assignment = append(one.Assignment, topicPartitions{t.Topic, t.Partitions})
				}
			}
			d.Members = append(d.Members, one.sorted())
		}
		into[g.Group] = d
	}
	return nil
}

// describeConsumer asks about groups whose partitions the broker divides (KIP-848).
func (cl *cluster) describeConsumer(ctx context.Context, names []string, into map[string]groupDescription) error {
	if len(names) == 0 {
		return nil
	}
	answer, err := patiently(ctx, cl, func() (kadm.DescribedConsumerGroups, error) {
		answer, err := cl.DescribeConsumerGroups(ctx, names...)
		return answer, errors.Join(err, groupsError(answer, func(g kadm.DescribedConsumerGroup) (string, error) { return g.Group, g.Err }))
	})
	if err != nil {
		return err
	}
	for _, g := range answer {
		d := groupDescription{groupRow: groupRow{g.Group, g.State, "", "consumer", g.Coordinator.NodeID}, Assignor: g.AssignorName, Members: []groupMember{}}
		for _, m := range g.Members {
			one := groupMember{ID: m.MemberID, InstanceID: m.InstanceID, ClientID: m.ClientID, Host: m.ClientHost, Assignment: []topicPartitions{}}
			for topic, numbers := range m.Assignment {
				one.Assignment = append(one.Assignment, topicPartitions{topic, slices.Collect(maps.Keys(numbers))})
			}
			d.Members = append(d.Members, one.sorted())
		}
		into[g.Group] = d
	}
	return nil
}

// groupsError is the first error of a group in an answer, with its name.
func groupsError[G any](groups map[string]G, of func(G) (string, error)) error {
	for _, name := range slices.Sorted(maps.Keys(groups)) {
		if name, err := of(groups[name]); err != nil {
			return fmt.Errorf("group %q: %w", name, err)
		}
	}
	return nil
}

func (m groupMember) sorted() groupMember {
	slices.SortFunc(m.Assignment, func(a, b topicPartitions) int { return strings.Compare(a.Topic, b.Topic) })
	for _, t := range m.Assignment {
		slices.Sort(t.Partitions)
	}
	return m
}

// called is what people know a member by.
func (m groupMember) called() string {
	name := m.ClientID
	if m.InstanceID != nil {
		name = *m.InstanceID
	}
	return fmt.Sprintf("%s at %s", printable(cmp.Or(name, m.ID)), strings.TrimPrefix(m.Host, "/"))
}

// idle fails when a group has members, and names them: what they commit would undo what is done to their offsets.
func (d groupDescription) idle(what string) error {
	if len(d.Members) == 0 && (d.State == "Empty" || d.State == "Dead") {
		return nil
	}
	if len(d.Members) == 0 {
		return &failure{exitFailed, "non_empty_group", fmt.Sprintf("group %q is %s: it cannot be %s now", d.Name, d.State, what), "stop its consumers, then try again"}
	}
	var names []string
	for i, m := range d.Members {
		if i == 5 && len(d.Members) > 6 {
			names = append(names, fmt.Sprintf("and %d more", len(d.Members)-i))
			break
		}
		names = append(names, m.called())
	}
	return &failure{exitFailed, "non_empty_group",
		fmt.Sprintf("group %q has %s and cannot be %s: %s", d.Name, counted(len(d.Members), "member"), what, strings.Join(names, ", ")),
		"stop them first; one that was killed leaves when its session times out (session.timeout.ms)"}
}
