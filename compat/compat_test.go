//go:build compat

// Package compat puts other people's clients in front of the real binary, and Kafka's own programs over its files: kcat (librdkafka),
// franz-go, Kafka's Java clients and tools, and the clients in Go, JavaScript and Python that the programs of clients/ drive. Run it by
// `make compat`, which fetches what it needs by setup.sh.
//
// Every test runs a broker of its own, the binary built from ./cmd/millrace. With MILLRACE_COMPAT_BOOTSTRAP=host:port the
// matrix of clients and the programs run against a broker that runs already, whosever it is.
package compat

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

var (
	bootstrap = os.Getenv("MILLRACE_COMPAT_BOOTSTRAP")
	mib       = flag.Int("mib", 256, "text to move through the matrix of clients, in MiB")
)

var millrace string // the binary under test

var kafkaJars string // the class path of Kafka's server, tools, clients, Streams and Connect; see setup.sh

func TestMain(m *testing.M) {
	if args := os.Getenv(kgoReader); args != "" { // started as one of a group's members
		if err := runReader(args); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	flag.Parse()
	os.Exit(func() int {
		cache := os.Getenv("XDG_CACHE_HOME")
		if cache == "" {
			home, err := os.UserHomeDir()
			if err != nil {
				fmt.Fprintln(os.Stderr, err)
				return 1
			}
			cache = filepath.Join(home, ".cache")
		}
		kafka := filepath.Join(cache, "millrace-compat", "kafka-4.4.0")
		if _, err := os.Stat(filepath.Join(kafka, ".complete")); err != nil {
			fmt.Fprintln(os.Stderr, "Kafka's jars are missing: run compat/setup.sh first, or make compat")
			return 1
		}
		kafkaJars = filepath.Join(kafka, "lib", "*")
		dir, err := os.MkdirTemp("", "millrace-compat-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		millrace = filepath.Join(dir, "millrace")
		build := exec.CommandContext(context.Background(), "go", "build", "-o", millrace, "github.com/millrace/millrace/cmd/millrace")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil && bootstrap == "" {
			fmt.Fprintf(os.Stderr, "building the binary under test: %v\n%s", err, out)
			return 1
		}
		if programs, err = findPrograms(filepath.Join(cache, "millrace-compat"), dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return m.Run()
	}())
}
