package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

type (
	groupDeletion struct {
		Name    string            `json:"name"`
		Found   bool              `json:"found"`
		State   string            `json:"state,omitempty"`
		Offsets []topicPartitions `json:"offsets"` // the committed offsets that go
		Error   string            `json:"error,omitempty"`
	}
	groupDeletions struct {
		Schema  string          `json:"schema"`
		Applied bool            `json:"applied"`
		Groups  []groupDeletion `json:"groups"`
	}
)

func newGroupDelete() *cobra.Command {
	c := &cobra.Command{
		Use:   "delete GROUP... [--topic TOPIC[:PARTITION,...]]... [--yes]",
		Short: "Delete groups with their committed offsets, or only the offsets of some topics",
		Long: `A group must have no members to be deleted. With --topic the group stays and only the offsets of those topics go, which the broker allows
while no member is subscribed to them.

` + consentHelp,
		Example: `  millrace group delete payment
  millrace group delete payment inventory --yes
  millrace group delete payment --topic orders-old --yes`,
		Args:              needs("GROUP..."),
		ValidArgsFunction: complete(everyGroup),
	}
	flags := addClientFlags(c, 15*time.Second)
	output := addOutput(c, "text", "json")
	topics := addTopicFilter(c)
	agreed := addConsent(c)
	lenient := c.Flags().Bool("if-exists", false, "do not fail when a group is not there")
	c.RunE = func(c *cobra.Command, names []string) error {
		chosen, err := topics.parse(c)
		if err != nil {
			return err
		}
		cl, err := flags.dial(c.Context())
		if err != nil {
			return err
		}
		defer cl.Close()
		plan, err := planGroupDeletions(c.Context(), cl, names, chosen, *lenient)
		if err != nil {
			return err
		}
		return plan.carryOut(c.Context(), cl, *output, agreed, chosen != nil)
	}
	return c
}

func planGroupDeletions(ctx context.Context, cl *cluster, names []string, chosen chosen, lenient bool) (*groupDeletions, error) {
	plan := &groupDeletions{Schema: "millrace.group.delete/v1", Groups: []groupDeletion{}}
	for _, name := range names {
		groups, err := cl.describeGroups(ctx, name)
		var unknown *failure
		if errors.As(err, &unknown) && unknown.code == "group_id_not_found" && lenient {
			plan.Groups = append(plan.Groups, groupDeletion{Name: name, Offsets: []topicPartitions{}})
			continue
		}
		if err != nil {
			return nil, err
		}
		if chosen == nil {
			if err := groups[0].idle("deleted"); err != nil {
				return nil, err
			}
		}
		committed, err := cl.committed(ctx, name)
		if err != nil {
			return nil, err
		}
		deletion := groupDeletion{Name: name, Found: true, State: groups[0].State, Offsets: []topicPartitions{}}
		goes := kadm.TopicsSet{}
		for topic, ofTopic := range committed {
			for partition := range ofTopic {
				if chosen.has(topic, partition) {
					goes.Add(topic, partition)
				}
			}
		}
		for _, t := range goes.Sorted() {
			deletion.Offsets = append(deletion.Offsets, topicPartitions{t.Topic, t.Partitions})
		}
		if chosen != nil && len(goes) == 0 && !lenient {
			return nil, &failure{exitFailed, "no_committed_offset", fmt.Sprintf("group %q has no committed offset in what --topic names", name), "millrace group lag shows those it has"}
		}
		plan.Groups = append(plan.Groups, deletion)
	}
	return plan, nil
}

// carryOut shows the plan, asks, and deletes groups or only their offsets.
func (p *groupDeletions) carryOut(ctx context.Context, cl *cluster, output string, agreed *consent, onlyOffsets bool) error {
	var found []string
	for _, g := range p.Groups {
		if !g.Found {
			continue
		}
		found = append(found, g.Name)
		if output == "json" || agreed.yes && !agreed.dryRun {
			continue
		}
		what := fmt.Sprintf("would delete %s: %s, ", printable(g.Name), g.State)
		if onlyOffsets {
			what = fmt.Sprintf("would delete of %s: ", printable(g.Name))
		}
		if _, err := fmt.Println(what + g.offsets()); err != nil {
			return err
		}
	}
	var err error
	if len(found) > 0 {
		var proceed bool
		if proceed, err = agreed.given(output, "deleted"); proceed {
			err = p.apply(ctx, cl, found, onlyOffsets)
		}
	}
	if output == "json" {
		if err := printJSON(os.Stdout, p); err != nil {
			return err
		}
	}
	if p.Applied && output != "json" {
		for _, g := range p.Groups {
			if !g.Found || g.Error != "" {
				continue
			}
			did := "deleted " + printable(g.Name)
			if onlyOffsets {
				did = fmt.Sprintf("deleted of %s: %s", printable(g.Name), g.offsets())
			}
			if _, err := fmt.Println(did); err != nil {
				return err
			}
		}
	}
	return err
}

func (g *groupDeletion) offsets() string {
	n := 0
	var topics []string
	for _, t := range g.Offsets {
		n += len(t.Partitions)
		topics = append(topics, t.Topic)
	}
	if n == 0 {
		return "no committed offsets"
	}
	return fmt.Sprintf("the offsets of %s (%s)", counted(n, "partition"), strings.Join(topics, ", "))
}

func (p *groupDeletions) apply(ctx context.Context, cl *cluster, found []string, onlyOffsets bool) error {
	p.Applied = true
	errs := map[string]error{}
	if onlyOffsets {
		for _, g := range p.Groups {
			set := kadm.TopicsSet{}
			for _, t := range g.Offsets {
				set.Add(t.Topic, t.Partitions...)
			}
			if len(set) == 0 {
				continue
			}
			answer, err := cl.DeleteOffsets(ctx, g.Name, set)
			if err == nil {
				err = answer.Error()
			}
			errs[g.Name] = err
		}
	} else {
		answer, err := cl.DeleteGroups(ctx, found...)
		if err != nil && !partial(err) {
			return err
		}
		for _, name := range found {
			one, ok := answer[name]
			if !ok {
				one.Err = errors.New("the broker says nothing about it")
			}
			errs[name] = one.Err
		}
	}
	var failed []string
	for i, g := range p.Groups {
		if err := errs[g.Name]; err != nil {
			p.Groups[i].Error = kafkaError(err, "")
			if errors.Is(err, kerr.NonEmptyGroup) {
				p.Groups[i].Error = kafkaError(err, "it got members in the meantime")
			}
			failed = append(failed, printable(g.Name)+": "+p.Groups[i].Error)
		}
	}
	if len(failed) > 0 {
		return &failure{exitFailed, "failed", strings.Join(failed, "\n          "), ""}
	}
	return nil
}
