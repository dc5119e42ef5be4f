package main

import (
	"cmp"
	"context"
	"encoding/csv"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
)

// partitionLag is how far a group is in one partition. What is not known is null.
type partitionLag struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Committed *int64 `json:"committed_offset"`
	Start     *int64 `json:"start_offset"`
	End       *int64 `json:"end_offset"`
	Lag       *int64 `json:"lag"`
	MemberID  string `json:"member_id,omitempty"`
	Metadata  string `json:"metadata,omitempty"`
	Note      string `json:"note,omitempty"`
	member    string
}

// lagHelp says what the number means.
const lagHelp = `LAG is the end of the partition minus the committed offset, as in Kafka's own tools: of a compacted topic it counts offsets, of which
fewer records may be left. "-" means that nothing was ever committed there.`

func lagRows(partitions []partitionLag) [][]string {
	rows := [][]string{{"TOPIC", "PARTITION", "COMMITTED", "START", "END", "LAG", "MEMBER", "NOTE"}}
	for _, p := range partitions {
		rows = append(rows, []string{p.Topic, fmt.Sprint(p.Partition), orDash(p.Committed), orDash(p.Start), orDash(p.End), orDash(p.Lag), cmp.Or(p.member, "-"), p.Note})
	}
	return rows
}

// lagRow is a group in the document of lag.
type lagRow struct {
	Name       string         `json:"name"`
	State      string         `json:"state"`
	Members    int            `json:"members"`
	Lag        *int64         `json:"lag"`
	MaxLag     *int64         `json:"max_lag"` // of the partition that is furthest behind
	Partitions []partitionLag `json:"partitions"`
}

type lagDocument struct {
	Schema string   `json:"schema"`
	Groups []lagRow `json:"groups"`
}

func newGroupLag() *cobra.Command {
	c := &cobra.Command{
		Use:   "lag [GROUP...] [--topic TOPIC[:PARTITION,...]]... [--max-lag N]",
		Short: "Show how far groups are behind",
		Long: lagHelp + `

Without a name it shows one line for each group, with names one for each partition. With --max-lag it exits 3 when a group is further
behind than that in any partition.`,
		Example: `  millrace group lag
  millrace group lag payment --topic orders
  millrace group lag payment --max-lag 1000 || page-somebody`,
		Args:              needs("[GROUP...]"),
		ValidArgsFunction: complete(everyGroup),
	}
	flags := addClientFlags(c, 15*time.Second)
	output := addOutput(c, "table", "json", "csv")
	topics := addTopicFilter(c)
	limit := c.Flags().Int64("max-lag", -1, "exit 3 when a partition's lag is more than this; -1 does not look")
	completeFlag(c, "max-lag", nothing)
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
		groups, err := cl.lags(c.Context(), names...)
		if err != nil {
			return err
		}
		document := lagDocument{"millrace.group.lag/v1", []lagRow{}}
		var behind []string
		for _, g := range groups {
			g.Partitions = slices.DeleteFunc(g.Partitions, func(p partitionLag) bool { return !chosen.has(p.Topic, p.Partition) })
			row := lagRow{Name: g.Name, State: g.State, Members: len(g.Members), Partitions: g.Partitions}
			row.Lag, row.MaxLag = sumLag(g.Partitions)
			document.Groups = append(document.Groups, row)
			if *limit >= 0 && row.MaxLag != nil && *row.MaxLag > *limit {
				behind = append(behind, fmt.Sprintf("%s by %s", printable(g.Name), thousands(*row.MaxLag)))
			}
		}
		if err := document.print(*output, len(names) > 0); err != nil {
			return err
		}
		if len(behind) > 0 {
			return &failure{exitUnhealthy, "lag", fmt.Sprintf("further behind than %d in a partition: %s", *limit, strings.Join(behind, ", ")), ""}
		}
		return nil
	}
	return c
}

func (d lagDocument) print(output string, detailed bool) error {
	switch output {
	case "json":
		return printJSON(os.Stdout, d)
	case "csv":
		w := csv.NewWriter(os.Stdout)
		_ = w.Write([]string{"group", "topic", "partition", "committed_offset", "start_offset", "end_offset", "lag"}) // Flush keeps the error
		for _, g := range d.Groups {
			for _, p := range g.Partitions {
				_ = w.Write([]string{g.Name, p.Topic, fmt.Sprint(p.Partition), orEmpty(p.Committed), orEmpty(p.Start), orEmpty(p.End), orEmpty(p.Lag)})
			}
		}
		w.Flush()
		return w.Error()
	}
	rows := [][]string{{"GROUP", "STATE", "MEMBERS", "PARTITIONS", "LAG", "MAX"}}
	for i, g := range d.Groups {
		if !detailed {
			rows = append(rows, []string{g.Name, g.State, fmt.Sprint(g.Members), fmt.Sprint(len(g.Partitions)), orDash(g.Lag), orDash(g.MaxLag)})
			continue
		}
		if i > 0 {
			fmt.Println()
		}
		if _, err := fmt.Printf("%s  %s, %s, lag %s\n", printable(g.Name), g.State, counted(g.Members, "member"), orDash(g.Lag)); err != nil {
			return err
		}
		if len(g.Partitions) > 0 {
			if err := printTable(os.Stdout, lagRows(g.Partitions)); err != nil {
				return err
			}
		}
	}
	if detailed {
		return nil
	}
	return printTable(os.Stdout, rows)
}

func orEmpty(n *int64) string {
	if n == nil {
		return ""
	}
	return strconv.FormatInt(*n, 10)
}

// lags describes groups with the lag of every partition that they committed or that a member has.
func (cl *cluster) lags(ctx context.Context, names ...string) ([]groupDescription, error) {
	groups, err := cl.describeGroups(ctx, names...)
	if err != nil || len(groups) == 0 {
		return groups, err
	}
	names = names[:0:0]
	for _, g := range groups {
		names = append(names, g.Name)
	}
	fetched, err := patiently(ctx, cl, func() (kadm.FetchOffsetsResponses, error) {
		fetched := cl.FetchManyOffsets(ctx, names...)
		return fetched, groupsError(fetched, func(r kadm.FetchOffsetsResponse) (string, error) { return r.Group, r.Err })
	})
	if err != nil {
		return nil, err
	}
	topics := fetched.CommittedPartitions()
	for _, g := range groups {
		for _, m := range g.Members {
			for _, t := range m.Assignment {
				topics.Add(t.Topic)
			}
		}
	}
	all, err := cl.bounds(ctx, topics.Topics()...)
	if err != nil {
		return nil, err
	}
	for i := range groups {
		groups[i].Partitions = partitionLags(groups[i].Members, fetched[groups[i].Name].Fetched, all)
		groups[i].Lag, _ = sumLag(groups[i].Partitions)
	}
	return groups, nil
}

// partitionLags compares what is committed with what there is.
func partitionLags(members []groupMember, committed kadm.OffsetResponses, all partitions[bounds]) []partitionLag {
	lags := partitions[*partitionLag]{}
	at := func(topic string, partition int32) *partitionLag {
		if lags[topic][partition] == nil {
			lags.set(topic, partition, &partitionLag{Topic: topic, Partition: partition})
		}
		return lags[topic][partition]
	}
	for _, m := range members {
		for _, t := range m.Assignment {
			for _, partition := range t.Partitions {
				p := at(t.Topic, partition)
				p.MemberID, p.member = m.ID, m.called()
			}
		}
	}
	committed.Each(func(o kadm.OffsetResponse) {
		p := at(o.Topic, o.Partition)
		if o.Err != nil {
			p.Note = o.Err.Error()
		} else if o.At >= 0 {
			p.Committed, p.Metadata = &o.At, o.Metadata
		}
	})
	sorted := []partitionLag{}
	for topic, ofTopic := range lags {
		for partition, p := range ofTopic {
			b, ok := all[topic][partition]
			switch {
			case !ok && all[topic] == nil:
				p.Note = "there is no such topic any more"
			case !ok:
				p.Note = "there is no such partition any more"
			case b.err != nil:
				p.Note = b.err.Error()
			default:
				p.compare(b)
			}
			sorted = append(sorted, *p)
		}
	}
	slices.SortFunc(sorted, func(a, b partitionLag) int {
		return cmp.Or(strings.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
	return sorted
}

func (p *partitionLag) compare(b bounds) {
	p.Start, p.End = &b.start, &b.end
	if p.Committed == nil {
		return
	}
	lag := max(0, b.end-*p.Committed)
	p.Lag = &lag
	switch {
	case *p.Committed < b.start:
		p.Note = fmt.Sprintf("%s before the start are gone", counted(int(b.start-*p.Committed), "offset"))
	case *p.Committed > b.end:
		p.Note = "committed beyond the end"
	}
}

// sumLag is the lag of all and of the one furthest behind; nil when none has a committed offset.
func sumLag(partitions []partitionLag) (sum, furthest *int64) {
	for _, p := range partitions {
		if p.Lag == nil {
			continue
		}
		if sum == nil {
			sum, furthest = new(int64), new(int64)
		}
		*sum += *p.Lag
		*furthest = max(*furthest, *p.Lag)
	}
	return sum, furthest
}
