package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/twmb/franz-go/pkg/kgo"
)

// clientFlags are those of every command that talks to a broker.
type clientFlags struct {
	brokers []string
	timeout time.Duration
}

func addClientFlags(c *cobra.Command, timeout time.Duration) *clientFlags {
	f := &clientFlags{}
	c.Flags().StringSliceVarP(&f.brokers, "brokers", "b", []string{"127.0.0.1:9092"}, "brokers to ask first, HOST:PORT,HOST:PORT; also --bootstrap-server")
	c.Flags().DurationVar(&f.timeout, "timeout", timeout, "give up after this long without an answer")
	c.Flags().SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		if name == "bootstrap-server" {
			name = "brokers"
		}
		return pflag.NormalizedName(name)
	})
	return f
}

// connect makes a client and sees that a broker answers, so that a wrong address is told at once and as such.
func (f *clientFlags) connect(ctx context.Context, options ...kgo.Opt) (*kgo.Client, error) {
	client, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(f.brokers...),
		kgo.ClientID("millrace-cli"),
		kgo.DialTimeout(f.timeout),
		kgo.RetryTimeout(f.timeout),
		kgo.RequestTimeoutOverhead(max(f.timeout, 100*time.Millisecond)), // on top of the time a request itself may take
	}, options...)...)
	if err != nil {
		return nil, &failure{exitUsage, "usage", err.Error(), ""}
	}
	ctx, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	if err := client.Ping(ctx); err != nil {
		client.Close()
		return nil, unreachable(f.brokers, err)
	}
	return client, nil
}
