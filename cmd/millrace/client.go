package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// clientFlags are those of every command that talks to a broker.
type clientFlags struct {
	brokers []string
	timeout time.Duration
}

func addClientFlags(c *cobra.Command, timeout time.Duration) *clientFlags {
	f := &clientFlags{}
	addBrokers(c, &f.brokers, []string{"127.0.0.1:9092"}, "brokers to ask first, HOST:PORT,HOST:PORT; also --bootstrap-server")
	c.Flags().DurationVar(&f.timeout, "timeout", timeout, "give up after this long without an answer")
	completeFlag(c, "timeout", nothing)
	return f
}

// addBrokers adds -b, which other tools call --bootstrap-server.
func addBrokers(c *cobra.Command, brokers *[]string, usual []string, help string) {
	c.Flags().StringSliceVarP(brokers, "brokers", "b", usual, help)
	c.Flags().SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		if name == "bootstrap-server" {
			name = "brokers"
		}
		return pflag.NormalizedName(name)
	})
	completeFlag(c, "brokers", nothing)
}

// connect makes a client and sees that a broker answers, so that a wrong address is told at once and as such.
func (f *clientFlags) connect(ctx context.Context, options ...kgo.Opt) (*kgo.Client, error) {
	if f.timeout <= 0 {
		return nil, &failure{exitUsage, "usage", fmt.Sprintf("--timeout %s: must be more than 0", f.timeout), "--timeout 15s waits fifteen seconds"}
	}
	if err := f.checkBrokers(); err != nil {
		return nil, err
	}
	client, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(f.brokers...),
		kgo.ClientID("millrace-cli"),
		kgo.DialTimeout(f.timeout),
		kgo.RetryTimeout(f.timeout),
		kgo.RequestTimeoutOverhead(max(f.timeout, 100*time.Millisecond)), // on top of the time a request itself may take
	}, options...)...)
	if err != nil {
		return nil, &failure{exitUsage, "usage", err.Error(), "-b takes HOST:PORT, or several with commas between them"}
	}
	ctx, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	if err := client.Ping(ctx); err != nil {
		client.Close()
		return nil, unreachable(f.brokers, err)
	}
	return client, nil
}

func (f *clientFlags) checkBrokers() error {
	wrong := func(message string) error {
		return &failure{exitUsage, "usage", message, "-b takes HOST:PORT, or several with commas between them"}
	}
	if len(f.brokers) == 0 {
		return wrong("--brokers names no broker")
	}
	for _, address := range f.brokers {
		host, text, err := net.SplitHostPort(address)
		if err != nil { // a host alone: the client takes port 9092
			host, text = address, "9092"
		}
		if port, err := strconv.Atoi(text); err != nil || port < 1 || port > 65535 {
			return wrong(fmt.Sprintf("--brokers %s: the port is not a number from 1 to 65535", address))
		}
		if host == "" || strings.ContainsAny(host, " /\t\n") {
			return wrong(fmt.Sprintf("--brokers %s: there is no host", address))
		}
	}
	return nil
}

// cluster is a connection and the questions commands ask through it.
type cluster struct {
	*kadm.Client
	raw     *kgo.Client
	timeout time.Duration
}

// dial connects for a command that administers.
func (f *clientFlags) dial(ctx context.Context) (*cluster, error) {
	client, err := f.connect(ctx)
	if err != nil {
		return nil, err
	}
	admin := kadm.NewClient(client)
	admin.SetTimeoutMillis(int32(min(f.timeout, time.Hour).Milliseconds()))
	return &cluster{admin, client, f.timeout}, nil
}

// patiently repeats a question while brokers answer that they are not ready for it, as they do for a moment after a start.
func patiently[T any](ctx context.Context, cl *cluster, ask func() (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, cl.timeout)
	defer cancel()
	for pause := 10 * time.Millisecond; ; pause *= 2 {
		answer, err := ask()
		var kafka *kerr.Error
		if err == nil || !errors.As(err, &kafka) || !kafka.Retriable || kafka == kerr.UnknownTopicOrPartition {
			return answer, err
		}
		select {
		case <-ctx.Done():
			return answer, err
		case <-time.After(min(pause, 500*time.Millisecond)):
		}
	}
}
