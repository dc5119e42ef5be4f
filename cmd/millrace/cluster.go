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
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
)

func newCluster() *cobra.Command {
	c := &cobra.Command{
		Use:   "cluster",
		Short: "Show a cluster's brokers, counts and health",
		Example: `  millrace cluster info
  millrace cluster info -o json | jq .health`,
		Args: subcommandsOnly,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newClusterInfo())
	return c
}

type (
	brokerRow struct {
		ID         int32   `json:"id"`
		Host       string  `json:"host"`
		Port       int32   `json:"port"`
		Rack       *string `json:"rack"`
		Controller bool    `json:"controller"`
		Leads      int     `json:"leads"`    // partitions
		Replicas   int     `json:"replicas"` // of partitions, its own among them
		Size       *int64  `json:"size_bytes"`
		Reachable  bool    `json:"reachable"`
	}
	partitionName struct {
		Topic     string `json:"topic"`
		Partition int32  `json:"partition"`
	}
	clusterHealth struct {
		Healthy         bool            `json:"healthy"`
		Offline         []partitionName `json:"offline"`
		UnderReplicated []partitionName `json:"under_replicated"`
		Unreachable     []int32         `json:"unreachable"` // brokers
	}
	clusterInfo struct {
		Schema     string        `json:"schema"`
		ClusterID  string        `json:"cluster_id"`
		Controller int32         `json:"controller"`
		Speaks     *string       `json:"speaks"` // the Kafka release that has the same APIs, if there is one
		APIs       int           `json:"apis"`
		Brokers    []brokerRow   `json:"brokers"`
		Topics     int           `json:"topics"`
		Internal   int           `json:"internal_topics"`
		Partitions int           `json:"partitions"`
		Groups     *int          `json:"groups"`
		Health     clusterHealth `json:"health"`
	}
)

func newClusterInfo() *cobra.Command {
	c := &cobra.Command{
		Use:   "info",
		Short: "Show brokers, controller, counts, and which partitions are not well",
		Long: `Exits 3 when a partition is offline (it has no leader) or under-replicated (a replica is not in sync), or a broker cannot be reached.
LEADS and REPLICAS count partitions, SIZE is that of all logs on the broker.`,
		Example: `  millrace cluster info
  millrace cluster info -b kafka-1:9092,kafka-2:9092 || page-somebody
  millrace cluster info -o json | jq .health`,
		Args: needs(),
	}
	flags := addClientFlags(c, 15*time.Second)
	output := addOutput(c, "table", "json")
	c.RunE = func(c *cobra.Command, _ []string) error {
		cl, err := flags.dial(c.Context())
		if err != nil {
			return err
		}
		defer cl.Close()
		info, err := cl.info(c.Context())
		if err != nil {
			return err
		}
		if err := info.print(*output); err != nil {
			return err
		}
		return info.Health.failure()
	}
	return c
}

func (cl *cluster) info(ctx context.Context) (*clusterInfo, error) {
	m, err := cl.MetadataWithInternal(ctx)
	if err != nil {
		return nil, err
	}
	info := &clusterInfo{Schema: "millrace.cluster.info/v1", ClusterID: m.Cluster, Controller: m.Controller, Brokers: []brokerRow{}, Health: health(m.Topics)}
	answers, err := cl.ApiVersions(ctx)
	if err != nil {
		return nil, err
	}
	for _, one := range answers.Sorted() {
		if one.Err == nil {
			info.Speaks, info.APIs = release(one.Raw()), len(one.Raw().ApiKeys)
		} else {
			info.Health.Unreachable, info.Health.Healthy = append(info.Health.Unreachable, one.NodeID), false
		}
	}
	leads, replicas := map[int32]int{}, map[int32]int{}
	for _, t := range m.Topics {
		if t.IsInternal {
			info.Internal++
		} else {
			info.Topics++
		}
		info.Partitions += len(t.Partitions)
		for _, p := range t.Partitions {
			leads[p.Leader]++
			for _, id := range p.Replicas {
				replicas[id]++
			}
		}
	}
	sizes := map[int32]int64{}
	if dirs, err := cl.DescribeAllLogDirs(ctx, nil); err == nil || partial(err) { // not every broker has that API
		for id, ofBroker := range dirs {
			sizes[id] = ofBroker.Size()
		}
	}
	for _, b := range m.Brokers {
		row := brokerRow{ID: b.NodeID, Host: b.Host, Port: b.Port, Rack: b.Rack, Controller: b.NodeID == m.Controller, Leads: leads[b.NodeID], Replicas: replicas[b.NodeID], Reachable: !slices.Contains(info.Health.Unreachable, b.NodeID)}
		if size, ok := sizes[b.NodeID]; ok {
			row.Size = &size
		}
		info.Brokers = append(info.Brokers, row)
	}
	if groups, err := cl.groups(ctx); err == nil {
		n := len(groups)
		info.Groups = &n
	}
	return info, nil
}

// release is the Kafka release that has exactly these APIs.
func release(answer *kmsg.ApiVersionsResponse) *string {
	guess, ok := strings.CutPrefix(kversion.FromApiVersionsResponse(answer).VersionGuess(), "v")
	if !ok {
		return nil // between two, or older or newer than all
	}
	return &guess
}

// health finds the partitions that are not as they should be.
func health(topics kadm.TopicDetails) clusterHealth {
	h := clusterHealth{Offline: []partitionName{}, UnderReplicated: []partitionName{}, Unreachable: []int32{}}
	for _, t := range topics.Sorted() {
		for _, p := range t.Partitions.Sorted() {
			name := partitionName{t.Topic, p.Partition}
			switch {
			case p.Leader < 0 || errors.Is(p.Err, kerr.LeaderNotAvailable):
				h.Offline = append(h.Offline, name)
			case len(p.ISR) < len(p.Replicas):
				h.UnderReplicated = append(h.UnderReplicated, name)
			}
		}
	}
	h.Healthy = len(h.Offline) == 0 && len(h.UnderReplicated) == 0
	return h
}

func (h clusterHealth) failure() error {
	if h.Healthy {
		return nil
	}
	return &failure{exitUnhealthy, "unhealthy", h.sentence(), "millrace doctor --only cluster looks for the reason"}
}

func (h clusterHealth) sentence() string {
	var all []string
	if n := len(h.Unreachable); n > 0 {
		all = append(all, counted(n, "broker")+" cannot be reached ("+numbers(h.Unreachable)+")")
	}
	if n := len(h.Offline); n > 0 {
		all = append(all, counted(n, "partition")+" offline ("+named(h.Offline)+")")
	}
	if n := len(h.UnderReplicated); n > 0 {
		all = append(all, counted(n, "partition")+" under-replicated ("+named(h.UnderReplicated)+")")
	}
	if len(all) == 0 {
		return "every partition has its leader and all its replicas in sync"
	}
	return strings.Join(all, ", ")
}

// named lists the first few partitions.
func named(list []partitionName) string {
	const shown = 5
	var names []string
	for i, p := range list {
		if i == shown && len(list) > shown+1 {
			names = append(names, fmt.Sprintf("and %d more", len(list)-shown))
			break
		}
		names = append(names, fmt.Sprintf("%s/%d", p.Topic, p.Partition))
	}
	return strings.Join(names, ", ")
}

func (i *clusterInfo) print(output string) error {
	if output == "json" {
		return printJSON(os.Stdout, i)
	}
	groups := "groups unknown"
	if i.Groups != nil {
		groups = counted(*i.Groups, "group")
	}
	speaks := counted(i.APIs, "API")
	if i.Speaks != nil {
		speaks += ", as Kafka " + *i.Speaks
	}
	if _, err := fmt.Printf("cluster     %s\nspeaks      %s\nholds       %s and %d internal, %s, %s\nhealth      %s\n\n",
		i.ClusterID, speaks, counted(i.Topics, "topic"), i.Internal, counted(i.Partitions, "partition"), groups, i.Health.sentence()); err != nil {
		return err
	}
	rows := [][]string{{"BROKER", "ADDRESS", "RACK", "LEADS", "REPLICAS", "SIZE", "ROLE"}}
	for _, b := range i.Brokers {
		rack, size, role := "-", "-", ""
		if b.Rack != nil {
			rack = *b.Rack
		}
		if b.Size != nil {
			size = bytesText(*b.Size)
		}
		if b.Controller {
			role = "controller"
		}
		if !b.Reachable {
			role = strings.TrimPrefix(role+", unreachable", ", ")
		}
		rows = append(rows, []string{fmt.Sprint(b.ID), fmt.Sprintf("%s:%d", b.Host, b.Port), rack, fmt.Sprint(b.Leads), fmt.Sprint(b.Replicas), size, role})
	}
	return printTable(os.Stdout, rows)
}

// bytesText is a size in the largest binary unit.
func bytesText(n int64) string {
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	size := float64(n)
	for _, unit := range []string{"KiB", "MiB", "GiB"} {
		if size /= 1024; size < 1024 {
			return fmt.Sprintf("%.1f %s", size, unit)
		}
	}
	return fmt.Sprintf("%.1f TiB", size/1024)
}

// MetadataWithInternal asks for the brokers and all topics in one request.
func (cl *cluster) MetadataWithInternal(ctx context.Context) (kadm.Metadata, error) {
	m, err := cl.Metadata(ctx)
	if err == nil && len(m.Brokers) == 0 {
		err = errors.New("the metadata names no broker")
	}
	slices.SortFunc(m.Brokers, func(a, b kadm.BrokerDetail) int { return int(a.NodeID - b.NodeID) })
	return m, err
}
