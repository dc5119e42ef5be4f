package main

import (
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
)

type healthDocument struct {
	Schema     string `json:"schema"`
	Healthy    bool   `json:"healthy"`
	ClusterID  string `json:"cluster_id"`
	Controller int32  `json:"controller"`
	Brokers    int    `json:"brokers"`
}

func newHealthcheck() *cobra.Command {
	c := &cobra.Command{
		Use:   "healthcheck",
		Short: "Exit 0 when a broker answers and knows its controller, 3 when not",
		Long: `Ask a broker as a client does: exit 0 when it answers and knows its controller, 3 when not. Probes that speak HTTP ask its admin listener
(millrace.admin.listener, 127.0.0.1:9644): /livez is 200 while the process serves; /readyz is 503 and says why while it starts or stops, and when the
log directory is offline.`,
		Example: `  millrace healthcheck
  millrace healthcheck -b 127.0.0.1:9092 --timeout 1s || restart-it`,
		Args: needs(),
	}
	flags := addClientFlags(c, 3*time.Second)
	output := addOutput(c, "text", "json")
	c.RunE = func(c *cobra.Command, _ []string) error {
		unhealthy := func(message string) error {
			return &failure{exitUnhealthy, "unhealthy", "unhealthy: " + message, ""}
		}
		client, err := flags.connect(c.Context())
		if err != nil {
			return unhealthy(err.Error())
		}
		defer client.Close()
		m, err := kadm.NewClient(client).BrokerMetadata(c.Context())
		switch {
		case err != nil:
			return unhealthy(err.Error())
		case len(m.Brokers) == 0:
			return unhealthy("the metadata names no broker")
		case m.Controller < 0:
			return unhealthy("there is no controller")
		}
		if *output == "json" {
			return printJSON(os.Stdout, healthDocument{"millrace.healthcheck/v1", true, m.Cluster, m.Controller, len(m.Brokers)})
		}
		_, err = fmt.Printf("healthy: cluster %s, %s, controller %d\n", m.Cluster, counted(len(m.Brokers), "broker"), m.Controller)
		return err
	}
	return c
}
