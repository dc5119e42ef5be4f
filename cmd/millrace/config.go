package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/internal/config"
)

func newConfig() *cobra.Command {
	c := &cobra.Command{
		Use:   "config",
		Short: "Show, change and compare settings of topics, brokers and groups",
		Example: `  millrace config get topic/orders
  millrace config set topic/orders retention.ms=3600000
  millrace config diff broker/1`,
		Args: subcommandsOnly,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newConfigGet(), newConfigSet(), newConfigDiff())
	return c
}

// resource is what has settings.
type resource struct {
	kind kmsg.ConfigResourceType
	name string
}

// resourceHelp explains how one is written.
const resourceHelp = `RESOURCE is topic/NAME, broker/ID, brokers (what holds for every broker that has no setting of its own), group/NAME,
client-metrics/NAME or broker-logger/ID.`

var resourceKinds = []struct {
	word string
	kind kmsg.ConfigResourceType
}{
	{"topic", kmsg.ConfigResourceTypeTopic},
	{"broker", kmsg.ConfigResourceTypeBroker},
	{"group", kmsg.ConfigResourceTypeGroupConfig},
	{"client-metrics", kmsg.ConfigResourceTypeClientMetrics},
	{"broker-logger", kmsg.ConfigResourceTypeBrokerLogger},
}

func parseResource(text string) (resource, error) {
	if text == "brokers" {
		return resource{kmsg.ConfigResourceTypeBroker, ""}, nil
	}
	word, name, ok := strings.Cut(text, "/")
	if ok && name != "" {
		for _, k := range resourceKinds {
			if k.word != word {
				continue
			}
			if _, err := strconv.ParseInt(name, 10, 32); err != nil && strings.HasPrefix(word, "broker") {
				return resource{}, fmt.Errorf("%s: a broker is named by its number, like %s/1", text, word)
			}
			return resource{k.kind, name}, nil
		}
	}
	err := fmt.Errorf("%q is no resource: want topic/NAME, broker/ID, brokers, group/NAME, client-metrics/NAME or broker-logger/ID", text)
	if !ok && text != "" {
		return resource{}, &failure{exitUsage, "usage", err.Error(), fmt.Sprintf("did you mean topic/%s?", text)}
	}
	return resource{}, err
}

func (r resource) String() string {
	if r.kind == kmsg.ConfigResourceTypeBroker && r.name == "" {
		return "brokers"
	}
	for _, k := range resourceKinds {
		if k.kind == r.kind {
			return k.word + "/" + r.name
		}
	}
	return r.name
}

// setting is one setting of a resource as the broker describes it.
type setting struct {
	Name      string  `json:"name"`
	Value     *string `json:"value"` // null: there is none, or it is sensitive
	Source    string  `json:"source"`
	Default   *string `json:"default"`
	Type      string  `json:"type"`
	ReadOnly  bool    `json:"read_only"`
	Sensitive bool    `json:"sensitive"`
}

// own reports whether somebody set it on this resource or for all of them.
func (s setting) own() bool { return s.Source != "DEFAULT_CONFIG" }

func (s setting) shown() string { return shown(s.Value, s.Sensitive) }

func shown(value *string, sensitive bool) string {
	switch {
	case sensitive:
		return "(hidden)"
	case value == nil:
		return "(none)"
	}
	return *value
}

// from is where the value comes from, in short.
func (s setting) from() string {
	return strings.ToLower(strings.TrimSuffix(s.Source, "_CONFIG"))
}

// settings asks for the settings of a resource, by name.
func (cl *cluster) settings(ctx context.Context, r resource) ([]setting, error) {
	request := kmsg.NewPtrDescribeConfigsRequest()
	request.IncludeSynonyms = true
	one := kmsg.NewDescribeConfigsRequestResource()
	one.ResourceType, one.ResourceName = r.kind, r.name
	request.Resources = append(request.Resources, one)
	if err := cl.brokerThere(ctx, r); err != nil {
		return nil, err
	}
	response, err := request.RequestWith(ctx, cl.raw)
	if err != nil {
		return nil, err
	}
	if len(response.Resources) != 1 {
		return nil, fmt.Errorf("%s: the broker says nothing about it", r)
	}
	answer := response.Resources[0]
	if err := kerr.ErrorForCode(answer.ErrorCode); err != nil {
		return nil, cl.resourceError(ctx, r, err, answer.ErrorMessage)
	}
	settings := []setting{}
	for _, c := range answer.Configs {
		s := setting{c.Name, c.Value, c.Source.String(), nil, strings.ToLower(c.ConfigType.String()), c.ReadOnly, c.IsSensitive}
		if c.Source == kmsg.ConfigSourceDefaultConfig {
			s.Default = c.Value
		}
		for _, synonym := range c.ConfigSynonyms {
			if synonym.Source == kmsg.ConfigSourceDefaultConfig && synonym.Value != nil && s.Default == nil {
				s.Default = inUnitOf(c.Name, synonym.Name, *synonym.Value)
			}
		}
		if s.Default == nil && r.kind == kmsg.ConfigResourceTypeTopic {
			s.Default = topicDefault(c.Name)
		}
		settings = append(settings, s)
	}
	slices.SortFunc(settings, func(a, b setting) int { return strings.Compare(a.Name, b.Name) })
	return settings, nil
}

// topicDefault is Kafka's own default of a topic's setting: brokers do not tell it where their setting in another unit decides.
func topicDefault(name string) *string {
	for _, s := range config.Topic {
		if s.Name == name && !s.Null {
			return &s.Default
		}
	}
	return nil
}

// inUnitOf turns a default of log.retention.hours into that of retention.ms.
func inUnitOf(name, synonym, value string) *string {
	if !strings.HasSuffix(name, ".ms") {
		return &value
	}
	for unit, factor := range map[string]int64{".minutes": 60_000, ".hours": 3_600_000} {
		if n, err := strconv.ParseInt(value, 10, 64); err == nil && strings.HasSuffix(synonym, unit) {
			value = strconv.FormatInt(n*factor, 10)
			break
		}
	}
	return &value
}

// brokerThere fails for a broker that is not in the cluster: the client would wait for it.
func (cl *cluster) brokerThere(ctx context.Context, r resource) error {
	if r.kind != kmsg.ConfigResourceTypeBroker && r.kind != kmsg.ConfigResourceTypeBrokerLogger || r.name == "" {
		return nil
	}
	brokers, err := cl.ListBrokers(ctx)
	if err != nil {
		return err
	}
	var ids []string
	for _, id := range brokers.NodeIDs() {
		ids = append(ids, fmt.Sprint(id))
	}
	if slices.Contains(ids, r.name) {
		return nil
	}
	return &failure{exitFailed, "unknown_broker", fmt.Sprintf("there is no broker %s (there are %s)", r.name, strings.Join(ids, ", ")), "millrace cluster info shows them"}
}

// resourceError is what the broker has against a resource or a change of it.
func (cl *cluster) resourceError(ctx context.Context, r resource, err error, message *string) error {
	if err == kerr.UnknownTopicOrPartition && r.kind == kmsg.ConfigResourceTypeTopic {
		return cl.noSuchTopic(ctx, r.name)
	}
	text := ""
	if message != nil {
		text = *message
	}
	f := explain(err)
	return &failure{f.exit, f.code, r.String() + ": " + kafkaError(err, text), f.hint}
}

func newConfigGet() *cobra.Command {
	c := &cobra.Command{
		Use:   "get RESOURCE [SETTING...] [--all]",
		Short: "Show settings",
		Long: resourceHelp + `

Without names it shows those that somebody set; --all shows the defaults too. -o properties prints lines key=value, -o value only values.`,
		Example: `  millrace config get topic/orders
  millrace config get topic/orders retention.ms -o value
  millrace config get broker/1 --all -o json | jq -r '.settings[].name'`,
		Args:              needs("RESOURCE", "[SETTING...]"),
		ValidArgsFunction: complete(resourceThenSettings("")),
	}
	flags := addClientFlags(c, 15*time.Second)
	output := addOutput(c, "table", "json", "properties", "value")
	all := c.Flags().Bool("all", false, "show the defaults too")
	c.RunE = func(c *cobra.Command, args []string) error {
		r, err := parseResource(args[0])
		if err != nil {
			return usage(c, err)
		}
		cl, err := flags.dial(c.Context())
		if err != nil {
			return err
		}
		defer cl.Close()
		settings, err := cl.settings(c.Context(), r)
		if err != nil {
			return err
		}
		document := settingsDocument{"millrace.config.get/v1", r.String(), []setting{}}
		for _, name := range args[1:] {
			s, err := findSetting(r, settings, name)
			if err != nil {
				return err
			}
			document.Settings = append(document.Settings, *s)
		}
		for _, s := range settings {
			if len(args) == 1 && (*all || s.own()) {
				document.Settings = append(document.Settings, s)
			}
		}
		return document.print(*output)
	}
	return c
}

type settingsDocument struct {
	Schema   string    `json:"schema"`
	Resource string    `json:"resource"`
	Settings []setting `json:"settings"`
}

func (d settingsDocument) print(output string) error {
	switch output {
	case "json":
		return printJSON(os.Stdout, d)
	case "properties", "value":
		for _, s := range d.Settings {
			line := ""
			if s.Value != nil {
				line = *s.Value
			}
			if output == "properties" {
				if s.Value == nil {
					continue
				}
				line = s.Name + "=" + line
			}
			if _, err := fmt.Println(line); err != nil {
				return err
			}
		}
		return nil
	}
	rows := [][]string{{"SETTING", "VALUE", "FROM", "READ-ONLY"}}
	for _, s := range d.Settings {
		readOnly := ""
		if s.ReadOnly {
			readOnly = "yes"
		}
		rows = append(rows, []string{s.Name, s.shown(), s.from(), readOnly})
	}
	return printTable(os.Stdout, rows)
}

func findSetting(r resource, settings []setting, name string) (*setting, error) {
	var names []string
	for i, s := range settings {
		if s.Name == name {
			return &settings[i], nil
		}
		names = append(names, s.Name)
	}
	return nil, &failure{exitFailed, "unknown_setting", fmt.Sprintf("%s has no setting %q", r, name), didYouMean(name, names, fmt.Sprintf("millrace config get %s --all shows those there are", r))}
}

// resourceThenSettings completes a resource, and after it its settings with a suffix.
func resourceThenSettings(suffix string) source {
	return func(ctx context.Context, cl *cluster, args []string, word string) []string {
		if len(args) == 0 {
			return everyResource(ctx, cl, args, word)
		}
		if strings.Contains(word, "=") {
			return nil
		}
		r, err := parseResource(args[0])
		if err != nil {
			return nil
		}
		settings, err := cl.settings(ctx, r)
		if err != nil {
			return nil
		}
		var words []string
		for _, s := range settings {
			if suffix == "" || !s.ReadOnly {
				words = append(words, s.Name+suffix)
			}
		}
		return words
	}
}

func everyResource(ctx context.Context, cl *cluster, args []string, word string) []string {
	kind, _, slash := strings.Cut(word, "/")
	if !slash {
		return []string{"topic/", "broker/", "brokers", "group/"}
	}
	var names, words []string
	switch kind {
	case "topic":
		names = everyTopic(ctx, cl, args, word)
	case "group":
		names = everyGroup(ctx, cl, args, word)
	case "broker", "broker-logger":
		brokers, err := cl.ListBrokers(ctx)
		if err != nil {
			return nil
		}
		for _, id := range brokers.NodeIDs() {
			names = append(names, fmt.Sprint(id))
		}
	}
	for _, name := range names {
		words = append(words, kind+"/"+name)
	}
	return words
}

// topicSettings completes the settings of a topic, with what follows the name: those Millrace knows, as there may be no topic yet.
func topicSettings(suffix string) cobra.CompletionFunc {
	return func(_ *cobra.Command, _ []string, word string) (words []string, _ cobra.ShellCompDirective) {
		for _, s := range config.Topic {
			if strings.HasPrefix(s.Name, word) {
				words = append(words, s.Name+suffix+"\t"+s.Doc)
			}
		}
		if suffix == "" {
			return words, cobra.ShellCompDirectiveNoFileComp
		}
		return words, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	}
}

type (
	difference struct {
		Name  string  `json:"name"`
		A     *string `json:"a"` // of the first resource
		B     *string `json:"b"` // of the second one, or the default
		From  string  `json:"source_a"`
		FromB string  `json:"source_b"`
	}
	differences struct {
		Schema      string       `json:"schema"`
		A           string       `json:"a"`
		B           string       `json:"b"`
		Differences []difference `json:"differences"`
	}
)

func newConfigDiff() *cobra.Command {
	c := &cobra.Command{
		Use:   "diff RESOURCE [RESOURCE]",
		Short: "Show how settings differ from their defaults, or between two resources",
		Long:  resourceHelp + "\n\nValues that are sensitive are left out: the broker does not tell them.",
		Example: `  millrace config diff topic/orders
  millrace config diff topic/orders topic/payments
  millrace config diff broker/1 broker/2 -o json | jq '.differences | length'`,
		Args:              needs("RESOURCE", "[RESOURCE]"),
		ValidArgsFunction: complete(everyResource),
	}
	flags := addClientFlags(c, 15*time.Second)
	output := addOutput(c, "table", "json")
	c.RunE = func(c *cobra.Command, args []string) error {
		var resources []resource
		for _, arg := range args {
			r, err := parseResource(arg)
			if err != nil {
				return usage(c, err)
			}
			resources = append(resources, r)
		}
		if len(resources) == 2 && resources[0].kind != resources[1].kind {
			return usage(c, fmt.Errorf("%s and %s have different settings: want two of a kind", resources[0], resources[1]))
		}
		cl, err := flags.dial(c.Context())
		if err != nil {
			return err
		}
		defer cl.Close()
		var all [2][]setting
		for i, r := range resources {
			if all[i], err = cl.settings(c.Context(), r); err != nil {
				return err
			}
		}
		document := differences{"millrace.config.diff/v1", resources[0].String(), "default", fromDefaults(all[0])}
		if len(resources) == 2 {
			document.B, document.Differences = resources[1].String(), between(all[0], all[1])
		}
		if *output == "json" {
			return printJSON(os.Stdout, document)
		}
		rows := [][]string{{"SETTING", "VALUE", "DEFAULT", "FROM"}}
		if len(resources) == 2 {
			rows[0] = []string{"SETTING", document.A, document.B}
		}
		for _, d := range document.Differences {
			row := []string{d.Name, shown(d.A, false), shown(d.B, false)}
			if len(resources) == 1 {
				row = append(row, d.From)
			}
			rows = append(rows, row)
		}
		if len(rows) == 1 {
			_, err := fmt.Fprintln(os.Stderr, "no difference")
			return err
		}
		return printTable(os.Stdout, rows)
	}
	return c
}

func equal(a, b *string) bool { return a == b || a != nil && b != nil && *a == *b }

// fromDefaults are the settings that are not what they would be by themselves.
func fromDefaults(settings []setting) []difference {
	list := []difference{}
	for _, s := range settings {
		if s.own() && !s.Sensitive && !equal(s.Value, s.Default) {
			list = append(list, difference{s.Name, s.Value, s.Default, s.from(), "default"})
		}
	}
	return list
}

// between are the settings that differ, and those that only one of two resources has.
func between(a, b []setting) []difference {
	list := []difference{}
	others := map[string]setting{}
	for _, s := range b {
		others[s.Name] = s
	}
	for _, s := range a {
		other := others[s.Name]
		delete(others, s.Name)
		if !s.Sensitive && !other.Sensitive && !equal(s.Value, other.Value) {
			list = append(list, difference{s.Name, s.Value, other.Value, s.from(), other.from()})
		}
	}
	for _, other := range others {
		if !other.Sensitive && other.Value != nil {
			list = append(list, difference{other.Name, nil, other.Value, "", other.from()})
		}
	}
	slices.SortFunc(list, func(a, b difference) int { return cmp.Compare(a.Name, b.Name) })
	return list
}
