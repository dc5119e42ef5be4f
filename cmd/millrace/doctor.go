package main

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// check is one thing that was looked at.
type check struct {
	Name   string `json:"name"`
	Status status `json:"status"`
	Found  string `json:"found"`
	Fix    string `json:"fix,omitempty"` // what to do, when it is not ok
}

type status string

const (
	healthy  status = "ok"
	doubtful status = "warn" // works, but not well, or not for long
	broken   status = "fail"
	unknown  status = "skip" // could not be looked at
)

type diagnosis struct {
	Schema  string  `json:"schema"`
	Healthy bool    `json:"healthy"`
	Checks  []check `json:"checks"`
}

type doctorFlags struct {
	dataDir, only string
	roundTrip     bool
}

func newDoctor() *cobra.Command {
	var f doctorFlags
	c := &cobra.Command{
		Use:   "doctor [--only host|cluster] [--data-dir DIR] [--round-trip]",
		Short: "Look for what is wrong with this machine and with the cluster, and say what to do",
		Long: `One line for each check: ok, warn, fail or skip (it could not be looked at), what was found, and what to do about it. Exits 3 when one
failed. It looks at the machine it runs on, as a place for a broker, and at the cluster of -b. It changes nothing; only --round-trip
makes a topic of its own, writes and reads one record, measures the broker's clock by it, and deletes the topic again.`,
		Example: `  millrace doctor
  millrace doctor --only host --data-dir /var/lib/millrace
  millrace doctor --only cluster -b kafka-1:9092 -o json | jq '.checks[] | select(.status != "ok")'`,
		Args:              needs(),
		ValidArgsFunction: nothing,
	}
	flags := addClientFlags(c, 5*time.Second)
	output := addOutput(c, "text", "json")
	c.Flags().StringVar(&f.dataDir, "data-dir", "", "directory of the broker's data (default: the running broker's, else ./millrace-data)")
	c.Flags().StringVar(&f.only, "only", "", "host or cluster: leave the other out")
	c.Flags().BoolVar(&f.roundTrip, "round-trip", false, "write and read a record in a topic that is deleted again")
	completeFlag(c, "only", oneOf("host", "cluster"))
	c.RunE = func(c *cobra.Command, _ []string) error {
		if f.only != "" && f.only != "host" && f.only != "cluster" {
			return usage(c, fmt.Errorf("--only %s: want host or cluster", f.only))
		}
		d := &doctor{document: diagnosis{Schema: "millrace.doctor/v1", Healthy: true, Checks: []check{}}, quiet: *output == "json"}
		f.examine(c.Context(), flags, d)
		if err := c.Context().Err(); err != nil {
			return err
		}
		if d.err != nil {
			return d.err
		}
		return d.conclude()
	}
	return c
}

// doctor collects checks and prints each as it is known.
type doctor struct {
	document diagnosis
	quiet    bool
	err      error // of printing
}

func (d *doctor) add(c check) {
	d.document.Checks = append(d.document.Checks, c)
	if c.Status == broken {
		d.document.Healthy = false
	}
	if d.quiet || d.err != nil {
		return
	}
	colour, plain := "", ""
	if colours(os.Stdout) {
		colour, plain = map[status]string{healthy: "\x1b[32m", doubtful: "\x1b[33m", broken: "\x1b[31m", unknown: "\x1b[2m"}[c.Status], "\x1b[0m"
	}
	line := fmt.Sprintf("%s%-4s%s  %-22s %s", colour, c.Status, plain, c.Name, printable(c.Found))
	if c.Fix != "" {
		line += " -> " + printable(c.Fix)
	}
	_, d.err = fmt.Println(line)
}

func (d *doctor) conclude() error {
	count := map[status]int{}
	var failed []string
	for _, c := range d.document.Checks {
		count[c.Status]++
		if c.Status == broken {
			failed = append(failed, c.Name)
		}
	}
	if d.quiet {
		if err := printJSON(os.Stdout, d.document); err != nil {
			return err
		}
	} else if _, err := fmt.Printf("\n%d ok, %s, %d failed, %d skipped\n", count[healthy], counted(count[doubtful], "warning"), count[broken], count[unknown]); err != nil {
		return err
	}
	if len(failed) > 0 {
		return &failure{exitUnhealthy, "unhealthy", fmt.Sprintf("%s failed: %s", counted(len(failed), "check"), strings.Join(failed, ", ")), ""}
	}
	return nil
}

// examine looks at the host and at the cluster. A broker that runs here tells where its data is and what its limits are.
func (f *doctorFlags) examine(ctx context.Context, flags *clientFlags, d *doctor) {
	var cl *cluster
	var unreachable error
	dirs := []string{f.dataDir}
	if f.only != "host" {
		if cl, unreachable = flags.dial(ctx); cl != nil {
			defer cl.Close()
		}
	}
	pid := brokerHere(flags.brokers)
	if f.dataDir == "" {
		dirs = nil
		if pid != 0 && cl != nil {
			dirs = cl.dataDirsHere(ctx, pid)
		}
		if len(dirs) == 0 {
			dirs = []string{"millrace-data"}
		}
	}
	if f.only != "cluster" {
		for _, c := range examineHost(pid, dirs) {
			d.add(c)
		}
	}
	if f.only == "host" {
		return
	}
	if unreachable != nil {
		e := explain(unreachable)
		d.add(check{"broker", broken, e.message, cmp.Or(e.hint, "see that it runs, and that -b names it")})
		return
	}
	cl.examine(ctx, flags, d, f.roundTrip)
}

// brokerHere finds the process on this machine that listens where one of the addresses points; 0 when there is none to be seen.
func brokerHere(brokers []string) int {
	for _, address := range brokers {
		host, text, err := net.SplitHostPort(address)
		if err != nil {
			host, text = address, "9092"
		}
		port, err := strconv.Atoi(text)
		if ip := net.ParseIP(host); err != nil || host != "localhost" && (ip == nil || !ip.IsLoopback()) {
			continue
		}
		if pid, _, ok := portHolder(port); ok {
			return pid
		}
	}
	return 0
}

// dataDirsHere are the data directories of the broker that is this process.
func (cl *cluster) dataDirsHere(ctx context.Context, pid int) (dirs []string) {
	cwd, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", pid))
	if err != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, cl.timeout)
	defer cancel()
	brokers, err := cl.ListBrokers(ctx)
	if err != nil || len(brokers) != 1 {
		return nil // which of them it is cannot be told
	}
	settings, err := cl.settings(ctx, resource{kmsg.ConfigResourceTypeBroker, fmt.Sprint(brokers.NodeIDs()[0])})
	if err != nil {
		return nil
	}
	for _, name := range []string{"log.dirs", "log.dir"} {
		for _, s := range settings {
			if s.Name != name || s.Value == nil {
				continue
			}
			for _, dir := range strings.Split(*s.Value, ",") {
				if dir = strings.TrimSpace(dir); dir != "" && !filepath.IsAbs(dir) {
					dir = filepath.Join(cwd, dir)
				}
				if _, err := os.Stat(dir); err == nil {
					dirs = append(dirs, dir)
				}
			}
			return dirs
		}
	}
	return nil
}
