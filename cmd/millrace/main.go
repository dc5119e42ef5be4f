// Command millrace is the broker and its tools in one binary: one file per sub-command. Data goes to stdout, everything else to
// stderr; see exit codes in failure.go.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func main() {
	ctx, interrupted, stop := interruptible()
	code := run(ctx, os.Args[1:])
	stop()
	if s := interrupted.Load(); s != 0 && code != exitOK {
		code = 128 + int(s)
	}
	os.Exit(code)
}

// interruptible ends the context at the first SIGINT, SIGTERM or SIGHUP, so that the command stops and sums up; the next one
// ends the process at once.
func interruptible() (ctx context.Context, interrupted *atomic.Int32, stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	interrupted = new(atomic.Int32)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	go obey(signals, func(s syscall.Signal) {
		interrupted.Store(int32(s))
		cancel()
	}, func(s syscall.Signal) {
		atSecondSignal()
		os.Exit(128 + int(s))
	})
	return ctx, interrupted, func() { signal.Stop(signals); cancel() }
}

// echo is how soon a second signal is still the first one: timeout(1) and some shells and supervisors signal the process, and then
// its group. Nobody asks twice so fast, and a broker that was cut short must recover at its next start.
const echo = 300 * time.Millisecond

// obey calls stop at the first signal, and cut at one that is not its echo.
func obey(signals <-chan os.Signal, stop, cut func(syscall.Signal)) {
	first := (<-signals).(syscall.Signal)
	begin := time.Now()
	stop(first)
	for s := range signals {
		if time.Since(begin) > echo {
			cut(s.(syscall.Signal))
		}
	}
}

// atSecondSignal is what must be put away even by a command that is cut short.
var atSecondSignal = func() {}

// run is the whole command line but for the process around it.
func run(ctx context.Context, args []string) int {
	root := newRoot(args...)
	root.SetArgs(args)
	command, err := root.ExecuteContextC(ctx)
	return tell(command, args, err)
}

// newRoot is the tree of commands. A broker is to acknowledge its first record within milliseconds of being started, and without the flags of all
// other commands that takes a fifth less (20.3 % [9.6, 29.8], n=20): for `server` there is no other.
func newRoot(args ...string) *cobra.Command {
	root := &cobra.Command{
		Use:   "millrace",
		Short: "A Kafka broker in one binary, and the tools to use it",
		Long: `Data goes to stdout, everything else to stderr; -o json prints one document, and errors as JSON. Every flag has an environment
variable: MILLRACE_BROKERS for --brokers. Exit codes: 0 done, 1 failed, 2 wrong usage or not confirmed, 3 a check came out negative,
4 a benchmark's figures do not count, 5 no answer in time, 6 not allowed, 130 after Ctrl-C.`,
		Example: `  millrace demo                               # see it work: a broker of its own, real data, every record verified
  millrace server                             # one node on 127.0.0.1:9092, data in ./millrace-data
  echo hello | millrace produce greetings
  millrace consume greetings -n 1`,
		SilenceErrors:     true,
		SilenceUsage:      true,
		Args:              subcommandsOnly,
		PersistentPreRunE: func(c *cobra.Command, _ []string) error { return environment(c) },
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true}, // ours is newCompletion
	}
	root.SetFlagErrorFunc(flagError)
	root.SetOut(os.Stdout)
	root.SetErr(os.Stderr)
	root.SetHelpFunc(printHelp)
	root.SetHelpCommand(newHelp())
	version := root.Flags().Bool("version", false, "print the version")
	root.RunE = func(c *cobra.Command, _ []string) error {
		if *version {
			return printVersion()
		}
		return c.Help()
	}
	root.AddCommand(newServer())
	if len(args) == 0 || args[0] != "server" {
		root.AddCommand(newDemo(), newBench(), newProduce(), newConsume(), newTopic(), newGroup(), newConfig(), newCluster(), newDoctor(), newHealthcheck(),
			newCompletion(), newVersion())
	}
	for _, c := range root.Commands() {
		requireArgs(c)
	}
	return root
}

// requireArgs makes wrong arguments a usage error, on every level.
func requireArgs(c *cobra.Command) {
	if check := c.Args; check != nil {
		c.Args = func(c *cobra.Command, args []string) error {
			if err := check(c, args); err != nil {
				return usage(c, err)
			}
			return nil
		}
	}
	c.DisableFlagsInUseLine = true
	for _, sub := range c.Commands() {
		requireArgs(sub)
	}
}

// parsing is what strconv says about itself.
var parsing = regexp.MustCompile(`strconv\.\w+: parsing ".*": `)

// flagError names the flag that was probably meant.
func flagError(c *cobra.Command, err error) error {
	if c.HasSubCommands() {
		if err := subcommandsOnly(c, c.Flags().Args()); err != nil {
			return err // its flags are not known because it is not
		}
	}
	f := usage(c, err)
	f.message = parsing.ReplaceAllString(f.message, "")
	var unknown *pflag.NotExistError
	if errors.As(err, &unknown) && len(unknown.GetSpecifiedName()) > 1 {
		var names []string
		c.Flags().VisitAll(func(flag *pflag.Flag) { names = append(names, flag.Name) })
		if near := nearest(unknown.GetSpecifiedName(), names); near != "" {
			f.hint = "did you mean --" + near + "? see " + c.CommandPath() + " --help"
		}
	}
	return f
}

// subcommandsOnly is the Args of a command that only groups others.
func subcommandsOnly(c *cobra.Command, args []string) error {
	if len(args) == 0 || args[0] == "help" {
		return nil
	}
	f := usage(c, fmt.Errorf("unknown command %q", strings.TrimSpace(strings.TrimPrefix(c.CommandPath(), "millrace")+" "+args[0])))
	var names []string
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() {
			names = append(names, sub.Name())
		}
	}
	f.hint = didYouMean(args[0], names, f.hint)
	return f
}

// environment gives every flag that was not set the value of MILLRACE_<FLAG>.
func environment(c *cobra.Command) error {
	var errs []error
	c.Flags().VisitAll(func(f *pflag.Flag) {
		name := "MILLRACE_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		value := os.Getenv(name)
		if value == "" || f.Changed || f.Name == "help" || f.Name == "version" {
			return
		}
		if f.Name == "port" && strings.HasPrefix(value, "tcp://") {
			return // Kubernetes sets that in every pod beside a service called millrace
		}
		if err := c.Flags().Set(f.Name, value); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
		}
	})
	if err := errors.Join(errs...); err != nil {
		return usage(c, err)
	}
	return nil
}
