package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

// Exit codes. A process ended by a signal exits with 128 + its number: 130 after Ctrl-C.
const (
	exitOK        = 0
	exitFailed    = 1 // the operation failed
	exitUsage     = 2 // wrong flags, arguments or configuration
	exitUnhealthy = 3 // a check came out negative
	exitUnsound   = 4 // a benchmark's figures do not count: the generator was the bottleneck, or the machine was disturbed
	exitTimeout   = 5
	exitDenied    = 6 // not authenticated, or not authorized
)

// failure is an error as the user sees it.
type failure struct {
	exit    int
	code    string // for programs
	message string
	hint    string // what to do about it
}

func (f *failure) Error() string { return f.message }

func usage(c *cobra.Command, err error) *failure {
	var f *failure
	if errors.As(err, &f) {
		return f
	}
	return &failure{exitUsage, "usage", err.Error(), "see " + c.CommandPath() + " --help"}
}

func denied(err *kerr.Error) bool {
	return strings.HasSuffix(err.Message, "_AUTHORIZATION_FAILED") || err == kerr.SaslAuthenticationFailed
}

// explain turns any error into a failure.
func explain(err error) *failure {
	var f *failure
	if errors.As(err, &f) {
		return f
	}
	var shards *kadm.ShardErrors
	if errors.As(err, &shards) && len(shards.Errs) > 0 {
		one := shards.Errs[0] // the others mostly say the same
		f := *explain(one.Err)
		if one.Broker.NodeID >= 0 && shards.Name != "" {
			f.message = fmt.Sprintf("broker %d (%s:%d): %s", one.Broker.NodeID, one.Broker.Host, one.Broker.Port, f.message)
		}
		return &f
	}
	var dial *net.OpError
	var timeout interface{ Timeout() bool }
	var kafka *kerr.Error
	switch {
	case errors.Is(err, context.Canceled):
		return &failure{exitFailed, "interrupted", "interrupted", ""}
	case errors.As(err, &dial) && dial.Op == "dial":
		return &failure{exitFailed, "unreachable", "a broker cannot be reached where it says it is: " + reason(dial),
			"brokers send clients to their advertised.listeners: millrace doctor --only cluster shows which is wrong"}
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return &failure{exitTimeout, "timeout", "timed out: " + err.Error(), ""}
	case errors.As(err, &kafka) && denied(kafka):
		return &failure{exitDenied, strings.ToLower(kafka.Message), err.Error(), "the broker's ACLs or its SASL settings do not allow it"}
	case errors.Is(err, kerr.UnsupportedVersion), strings.Contains(err.Error(), "broker is too old"): // the client's own error has no name
		return &failure{exitFailed, "unsupported_version", "the broker does not have the API that this needs", "millrace doctor --only cluster shows what it lacks"}
	case errors.As(err, &kafka) && (kafka == kerr.CoordinatorNotAvailable || kafka == kerr.CoordinatorLoadInProgress):
		return &failure{exitFailed, strings.ToLower(kafka.Message), err.Error(),
			"groups live in the topic __consumer_offsets: millrace topic describe shows whether its partitions have leaders; with offsets.topic.replication.factor above the number of brokers it cannot be made"}
	case errors.As(err, &kafka):
		return &failure{exitFailed, strings.ToLower(kafka.Message), err.Error(), ""}
	}
	return &failure{exitFailed, "failed", err.Error(), ""}
}

// reason is why a connection was not made, in few words.
func reason(err *net.OpError) string {
	var dns *net.DNSError
	switch {
	case errors.As(err, &dns):
		return dns.Name + " is no host that is known here"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nobody listens on " + err.Addr.String()
	case err.Timeout():
		return "nobody answers on " + err.Addr.String()
	}
	return err.Error()
}

// unreachable explains why no broker answered.
func unreachable(brokers []string, err error) error {
	at := strings.Join(brokers, ",")
	var dns *net.DNSError
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, syscall.ECONNREFUSED):
		return &failure{exitFailed, "unreachable", "no broker listens on " + at, "start one with `millrace server`, or name another with -b HOST:PORT"}
	case errors.As(err, &dns):
		return &failure{exitFailed, "unreachable", "no such host: " + dns.Name, "name the broker with -b HOST:PORT"}
	case errors.Is(err, context.DeadlineExceeded):
		return &failure{exitTimeout, "timeout", "no answer from " + at + " in time", "is it a Kafka listener without TLS? --timeout waits longer"}
	}
	return &failure{exitFailed, "unreachable", fmt.Sprintf("cannot talk to %s: %v", at, err), "is it a Kafka listener without TLS?"}
}

// tell prints the error where and how the user asked for it, and returns the exit code.
func tell(c *cobra.Command, args []string, err error) int {
	if err == nil {
		return exitOK
	}
	if errors.Is(err, syscall.EPIPE) || errors.Is(err, context.Canceled) {
		return exitFailed // nobody is left to be told, or the user ended it
	}
	f := explain(err)
	if wantsJSON(c, args) {
		printFailureJSON(os.Stderr, f)
		return f.exit
	}
	fmt.Fprintf(os.Stderr, "millrace: %s\n", f.message)
	if f.hint != "" {
		fmt.Fprintf(os.Stderr, "hint: %s\n", f.hint)
	}
	return f.exit
}

func printFailureJSON(w io.Writer, f *failure) {
	var document struct {
		Error struct {
			Code    string `json:"code"`
			Message string `json:"message"`
			Hint    string `json:"hint,omitempty"`
		} `json:"error"`
	}
	document.Error.Code, document.Error.Message, document.Error.Hint = f.code, f.message, f.hint
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(document) // stderr is all there is to complain to
}

// wantsJSON also looks at flags that could not be parsed to their end, and at those of a command that there is not.
func wantsJSON(c *cobra.Command, args []string) bool {
	if f := c.Flags().Lookup("json"); f != nil && f.Value.String() == "true" {
		return true
	}
	f := c.Flags().Lookup("output")
	if f == nil && !c.HasSubCommands() {
		return false // there -o is something else
	}
	if f != nil && f.Changed {
		return f.Value.String() == "json"
	}
	for i, arg := range args {
		switch arg {
		case "-o", "--output":
			if i+1 < len(args) && args[i+1] == "json" {
				return true
			}
		case "-ojson", "-o=json", "--output=json":
			return true
		}
	}
	return f != nil && f.Value.String() == "json" || os.Getenv("MILLRACE_OUTPUT") == "json"
}
