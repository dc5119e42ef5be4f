package main

import (
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func newBench() *cobra.Command {
	c := &cobra.Command{
		Use:   "bench",
		Short: "Measure a broker, any that speaks Kafka's protocol: open loop, every record verified, two of them compared",
		Long: `Try this: the first example starts a broker of its own and needs nothing else. -b HOST:PORT measures one that runs already, be it
Millrace, Apache Kafka or another; the rest of the line stays the same.

With --rate, latency counts from the moment a record was due, so that a stall of the broker is in the figures. Every record is
verified. A result says what the broker used, what the machine did meanwhile, and whether it may be quoted at all: exit code 0 when
it may, 3 when records were lost, reordered or changed or a limit was not met, 4 when the generator was the bottleneck or the
machine was disturbed.

The generator was the bottleneck when at p99 it was late by more than 1 ms and more than 10 % of the produce latency, when one of its
threads was busy for more than 95 % of the window, or when less than 99.5 % of what was due was acknowledged while there was room in
flight; without room it is the broker that was saturated. The machine was disturbed when its hypervisor took more than 1 % of the
processors, other processes more than 5 %, or hiccups of 10 ms (100 ms on a full machine) more than 0.2 % of the window.`,
		Example: `  millrace bench run --rate 10k/s --html report.html
  millrace bench ab kafka=127.0.0.1:9092 millrace=127.0.0.1:9192 --rate 10k/s
  millrace bench suite short`,
		Args: subcommandsOnly,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newBenchRun(), newBenchAB(), newBenchCompare(), newBenchSweep(), newBenchSuite(), newBenchGate(), newBenchFloor(), newBenchReport(), newFloorServer())
	return c
}

// asTyped is the command with the flags that were set, by whatever means, as one would type it.
func asTyped(c *cobra.Command, args []string) []string {
	line := append(strings.Fields(c.CommandPath()), args...)
	c.Flags().Visit(func(f *pflag.Flag) {
		values := []string{f.Value.String()}
		if list, ok := f.Value.(pflag.SliceValue); ok {
			values = list.GetSlice()
		}
		for _, value := range values {
			line = append(line, "--"+f.Name+"="+value)
		}
	})
	return line
}
