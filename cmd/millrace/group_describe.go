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
)

func newGroupDescribe() *cobra.Command {
	c := &cobra.Command{
		Use:   "describe GROUP...",
		Short: "Show groups with their members, offsets and lag",
		Long:  lagHelp,
		Example: `  millrace group describe payment
  millrace group describe payment inventory
  millrace group describe payment -o json | jq '.groups[].members[].client_id'`,
		Args:              needs("GROUP..."),
		ValidArgsFunction: complete(everyGroup),
	}
	flags := addClientFlags(c, 15*time.Second)
	output := addOutput(c, "table", "json")
	c.RunE = func(c *cobra.Command, names []string) error {
		cl, err := flags.dial(c.Context())
		if err != nil {
			return err
		}
		defer cl.Close()
		groups, err := cl.lags(c.Context(), names...)
		if err != nil {
			return err
		}
		if *output == "json" {
			return printJSON(os.Stdout, struct {
				Schema string             `json:"schema"`
				Groups []groupDescription `json:"groups"`
			}{"millrace.group.describe/v1", groups})
		}
		for i, g := range groups {
			if i > 0 {
				fmt.Println()
			}
			if err := g.print(); err != nil {
				return err
			}
		}
		return nil
	}
	return c
}

func (d groupDescription) print() error {
	about := []string{d.State, d.Type}
	if d.Assignor != "" {
		about = append(about, "assignor "+printable(d.Assignor))
	}
	if d.ProtocolType != "" && d.ProtocolType != "consumer" {
		about = append(about, "protocol "+printable(d.ProtocolType))
	}
	about = append(about, fmt.Sprintf("coordinator %d", d.Coordinator), counted(len(d.Members), "member"), "lag "+orDash(d.Lag))
	if _, err := fmt.Printf("%s  %s\n", printable(d.Name), strings.Join(about, ", ")); err != nil {
		return err
	}
	if len(d.Members) > 0 {
		rows := [][]string{{"MEMBER", "INSTANCE", "CLIENT", "HOST", "PARTITIONS"}}
		for _, m := range d.Members {
			var assigned []string
			for _, t := range m.Assignment {
				assigned = append(assigned, t.Topic+":"+ranges(t.Partitions))
			}
			instance := "-"
			if m.InstanceID != nil {
				instance = *m.InstanceID
			}
			rows = append(rows, []string{m.ID, instance, cmp.Or(m.ClientID, "-"), strings.TrimPrefix(m.Host, "/"), cmp.Or(strings.Join(assigned, " "), "-")})
		}
		fmt.Println()
		if err := printTable(os.Stdout, rows); err != nil {
			return err
		}
	}
	if len(d.Partitions) == 0 {
		return nil
	}
	fmt.Println()
	return printTable(os.Stdout, lagRows(d.Partitions))
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
