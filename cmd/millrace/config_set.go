package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// alteration is one change of a setting.
type alteration struct {
	op    kmsg.IncrementalAlterConfigOp
	name  string
	value string // of all but a deletion
}

// parseAlteration reads key=value, key+=value and key-=value.
func parseAlteration(text string) (alteration, error) {
	key, value, ok := strings.Cut(text, "=")
	a := alteration{kmsg.IncrementalAlterConfigOpSet, key, value}
	if name, cut := strings.CutSuffix(key, "+"); cut {
		a.op, a.name = kmsg.IncrementalAlterConfigOpAppend, name
	} else if name, cut := strings.CutSuffix(key, "-"); cut {
		a.op, a.name = kmsg.IncrementalAlterConfigOpSubtract, name
	}
	if !ok || a.name == "" {
		return a, fmt.Errorf("%s: want key=value, key+=value or key-=value", text)
	}
	return a, nil
}

func parseAlterations(texts, deleted []string) ([]alteration, error) {
	var list []alteration
	seen := map[string]bool{}
	add := func(a alteration) error {
		if seen[a.name] {
			return fmt.Errorf("%s is changed twice", a.name)
		}
		seen[a.name] = true
		list = append(list, a)
		return nil
	}
	for _, text := range texts {
		a, err := parseAlteration(text)
		if err == nil {
			err = add(a)
		}
		if err != nil {
			return nil, err
		}
	}
	for _, name := range deleted {
		if strings.Contains(name, "=") || name == "" {
			return nil, fmt.Errorf("--delete %s: want the name of a setting", name)
		}
		if err := add(alteration{kmsg.IncrementalAlterConfigOpDelete, name, ""}); err != nil {
			return nil, err
		}
	}
	if len(list) == 0 {
		return nil, errors.New("nothing to change: want key=value or --delete key")
	}
	return list, nil
}

type (
	settingChange struct {
		Name      string  `json:"name"`
		Before    *string `json:"before"`
		After     *string `json:"after"`
		Sensitive bool    `json:"sensitive,omitempty"`
	}
	resourceChange struct {
		Resource string          `json:"resource"`
		Changes  []settingChange `json:"changes"`
		Error    string          `json:"error,omitempty"`
	}
	resourceChanges struct {
		Schema    string           `json:"schema"`
		Applied   bool             `json:"applied"`
		Resources []resourceChange `json:"resources"`
	}
)

func newConfigSet() *cobra.Command {
	c := &cobra.Command{
		Use:   "set RESOURCE key=value... [--delete KEY]... [--dry-run]",
		Short: "Change settings",
		Long: resourceHelp + `

key=value sets, key+=value and key-=value add to and take from a list, --delete goes back to the default. All of it happens or nothing.
With --dry-run the broker only checks.`,
		Example: `  millrace config set topic/orders retention.ms=3600000 cleanup.policy+=compact
  millrace config set topic/orders --delete retention.ms
  millrace config set brokers log.retention.ms=86400000 --dry-run`,
		Args:              needs("RESOURCE", "[CHANGE...]"),
		ValidArgsFunction: complete(resourceThenSettings("=")),
	}
	flags := addClientFlags(c, 15*time.Second)
	output := addOutput(c, "text", "json")
	deleted := c.Flags().StringArrayP("delete", "d", nil, "setting that goes back to its default; repeatable")
	dryRun := c.Flags().Bool("dry-run", false, "only let the broker check it")
	completeFlag(c, "delete", complete(resourceThenSettings("")))
	c.RunE = func(c *cobra.Command, args []string) error {
		r, err := parseResource(args[0])
		if err != nil {
			return usage(c, err)
		}
		changes, err := parseAlterations(args[1:], *deleted)
		if err != nil {
			return usage(c, err)
		}
		cl, err := flags.dial(c.Context())
		if err != nil {
			return err
		}
		defer cl.Close()
		return cl.alterAndPrint(c.Context(), "millrace.config.set/v1", []resource{r}, changes, *dryRun, *output)
	}
	return c
}

// alterAndPrint changes the settings of resources and shows what each was and is.
func (cl *cluster) alterAndPrint(ctx context.Context, schema string, resources []resource, changes []alteration, dryRun bool, output string) error {
	document := resourceChanges{Schema: schema, Applied: !dryRun, Resources: []resourceChange{}}
	var failed *failure
	for _, r := range resources {
		change, err := cl.alter(ctx, r, changes, dryRun)
		if err != nil {
			f := explain(err)
			if len(resources) == 1 {
				return f
			}
			change.Error = f.message
			if failed != nil {
				f = &failure{f.exit, f.code, failed.message + "\n          " + f.message, f.hint}
			}
			failed = f
		}
		document.Resources = append(document.Resources, change)
	}
	if output == "json" {
		if err := printJSON(os.Stdout, document); err != nil {
			return err
		}
	} else if err := document.print(); err != nil {
		return err
	}
	if failed != nil {
		return failed
	}
	return nil
}

func (d resourceChanges) print() error {
	would := ""
	if !d.Applied {
		would = "would change "
	}
	for _, r := range d.Resources {
		if r.Error != "" {
			continue
		}
		for _, c := range r.Changes {
			if _, err := fmt.Printf("%s%s: %s %s -> %s\n", would, r.Resource, c.Name, shown(c.Before, c.Sensitive), shown(c.After, c.Sensitive)); err != nil {
				return err
			}
		}
	}
	return nil
}

// alter changes one resource. After a dry run, what would be is told as far as it can be known.
func (cl *cluster) alter(ctx context.Context, r resource, changes []alteration, dryRun bool) (resourceChange, error) {
	done := resourceChange{Resource: r.String(), Changes: []settingChange{}}
	before, err := cl.settings(ctx, r)
	if err != nil {
		return done, err
	}
	request := kmsg.NewPtrIncrementalAlterConfigsRequest()
	request.ValidateOnly = dryRun
	one := kmsg.NewIncrementalAlterConfigsRequestResource()
	one.ResourceType, one.ResourceName = r.kind, r.name
	for _, a := range changes {
		c := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
		c.Name, c.Op = a.name, a.op
		if a.op != kmsg.IncrementalAlterConfigOpDelete {
			c.Value = &a.value
		}
		one.Configs = append(one.Configs, c)
	}
	request.Resources = append(request.Resources, one)
	response, err := request.RequestWith(ctx, cl.raw)
	if err != nil {
		return done, err
	}
	if len(response.Resources) != 1 {
		return done, fmt.Errorf("%s: the broker says nothing about it", r)
	}
	if err := kerr.ErrorForCode(response.Resources[0].ErrorCode); err != nil {
		f := explain(cl.resourceError(ctx, r, err, response.Resources[0].ErrorMessage))
		for _, a := range changes {
			var unknown *failure
			if _, err := findSetting(r, before, a.name); errors.As(err, &unknown) && f.hint == "" {
				f.hint = unknown.hint
			}
		}
		return done, f
	}
	known := before
	if r.name == "" { // what is set for every broker is told only where it is set
		if brokers, err := cl.ListBrokers(ctx); err == nil && len(brokers) > 0 {
			if one, err := cl.settings(ctx, resource{r.kind, fmt.Sprint(brokers.NodeIDs()[0])}); err == nil {
				known = one
			}
		}
	}
	after := before
	if !dryRun {
		after = cl.takeEffect(ctx, r, before, changes)
	}
	for _, a := range changes {
		c := settingChange{Name: a.name}
		if _, err := findSetting(r, known, a.name); err != nil {
			fmt.Fprintf(os.Stderr, "note: %s knows no setting %q; %s\n", r, a.name, explain(err).hint)
		}
		if s, err := findSetting(r, before, a.name); err == nil {
			c.Before, c.Sensitive = s.Value, s.Sensitive
		}
		c.After = a.would(before, c.Before)
		if s, err := findSetting(r, after, a.name); err == nil && !dryRun {
			c.After, c.Sensitive = s.Value, s.Sensitive
		}
		if c.Sensitive {
			c.Before, c.After = nil, nil
		}
		done.Changes = append(done.Changes, c)
	}
	return done, nil
}

// takeEffect waits until the broker shows the changes: it learns of them a moment after the controller accepted them.
func (cl *cluster) takeEffect(ctx context.Context, r resource, before []setting, changes []alteration) []setting {
	shows := func(after []setting, a alteration) bool {
		s, err := findSetting(r, after, a.name)
		if a.op == kmsg.IncrementalAlterConfigOpDelete {
			return err != nil || s.Source != r.ownSource()
		}
		old, _ := findSetting(r, before, a.name)
		var was *string
		if old != nil {
			was = old.Value
		}
		return err == nil && (s.Sensitive || equal(s.Value, a.would(before, was)))
	}
	for deadline := time.Now().Add(min(cl.timeout, 2*time.Second)); ; {
		after, err := cl.settings(ctx, r)
		if err == nil && !slices.ContainsFunc(changes, func(a alteration) bool { return !shows(after, a) }) {
			return after
		}
		if err != nil || time.Now().After(deadline) {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// would is the value after a change.
func (a alteration) would(settings []setting, before *string) *string {
	switch a.op {
	case kmsg.IncrementalAlterConfigOpDelete:
		for _, s := range settings {
			if s.Name == a.name {
				return s.Default
			}
		}
		return nil
	case kmsg.IncrementalAlterConfigOpSet:
		return &a.value
	}
	var items []string
	if before != nil && *before != "" {
		items = strings.Split(*before, ",")
	}
	for _, item := range strings.Split(a.value, ",") {
		at := -1
		for i, there := range items {
			if there == item {
				at = i
			}
		}
		switch {
		case a.op == kmsg.IncrementalAlterConfigOpAppend && at < 0:
			items = append(items, item)
		case a.op == kmsg.IncrementalAlterConfigOpSubtract && at >= 0:
			items = append(items[:at:at], items[at+1:]...)
		}
	}
	value := strings.Join(items, ",")
	return &value
}
