package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

var rewrite = flag.Bool("rewrite", false, "write what the scripts' cmp finds into the scripts")

var (
	binary string // the real one, built once
	kafka  string // address of a broker that all scripts share; each names its own topics
)

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "millrace-cmd-test-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		binary = filepath.Join(dir, "bin", "millrace")
		build := exec.Command("go", "build", "-ldflags", "-X main.version=test", "-o", binary, ".")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "building the binary under test: %v\n%s", err, out)
			return 1
		}
		ports := filepath.Join(dir, "ports.json")
		server, stderr := start("server", "--port", "0", "--ports-file", ports, "--data-dir", filepath.Join(dir, "data"))
		defer stop(server)
		if err := waitForFile(ports, server); err != nil {
			fmt.Fprintf(os.Stderr, "%v\n%s", err, stderr)
			return 1
		}
		kafka, _ = readPorts(ports)
		return m.Run()
	}())
}

// process is the binary under test, running.
type process struct {
	*exec.Cmd
	ended chan struct{} // closed when it has
}

// start runs the binary in the background; read its stderr only after it has ended.
func start(args ...string) (*process, *bytes.Buffer) {
	p := &process{exec.Command(binary, args...), make(chan struct{})}
	var stderr bytes.Buffer
	p.Stderr = &stderr
	if err := p.Start(); err != nil {
		panic(err) // the binary has just been built
	}
	go func() { _ = p.Wait(); close(p.ended) }() // its exit code is in ProcessState
	return p, &stderr
}

// stop ends a process, by force if need be.
func stop(p *process) {
	_ = p.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(20 * time.Second):
		_ = p.Process.Kill()
		<-p.ended
	}
}

func waitForFile(file string, p *process) error {
	ended := make(<-chan struct{})
	if p != nil {
		ended = p.ended
	}
	for tick, limit := time.NewTicker(2*time.Millisecond), time.After(30*time.Second); ; {
		if _, err := os.Stat(file); err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ended:
			return errors.New("the process ended before " + file + " was there")
		case <-limit:
			return errors.New(file + " did not appear")
		}
	}
}

// The scripts pin stdout, stderr and exit codes of the real binary. Besides testscript's own commands there are
//
//	exits CODE program args...   run and compare the exit code
//	waitfile FILE                until a file appears
//	until PATTERN program args   run again until its stdout matches
//	ports FILE VAR               set VAR to the broker's address in a ports file
//	signal TERM|INT              to the last background command
//	busyport VAR                 set VAR to a port this process listens on
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		UpdateScripts:       *rewrite,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("PATH", filepath.Dir(binary)+string(filepath.ListSeparator)+os.Getenv("PATH"))
			e.Setenv("MILLRACE_BROKERS", kafka)
			e.Setenv("KAFKA", kafka)
			e.Setenv("BINARY", binary)
			e.Setenv("PID", strconv.Itoa(os.Getpid()))
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"exits":    exits,
			"until":    until,
			"waitfile": func(ts *testscript.TestScript, _ bool, args []string) { ts.Check(waitForFile(ts.MkAbs(args[0]), nil)) },
			"ports": func(ts *testscript.TestScript, _ bool, args []string) {
				var p ports
				ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[0])), &p))
				ts.Setenv(args[1], p.Kafka)
			},
			"signal": func(ts *testscript.TestScript, _ bool, args []string) {
				running := ts.BackgroundCmds()
				ts.Check(running[len(running)-1].Process.Signal(map[string]os.Signal{"TERM": syscall.SIGTERM, "INT": os.Interrupt}[args[0]]))
			},
			"busyport": func(ts *testscript.TestScript, _ bool, args []string) {
				l, err := net.Listen("tcp", "127.0.0.1:0")
				ts.Check(err)
				ts.Defer(func() { _ = l.Close() })
				ts.Setenv(args[0], strconv.Itoa(l.Addr().(*net.TCPAddr).Port))
			},
		},
	})
}

func exits(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	var exit *exec.ExitError
	got := 0
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("%s: exit code %d, want %d", strings.Join(args[1:], " "), got, want)
	}
}

func until(ts *testscript.TestScript, _ bool, args []string) {
	pattern, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	for tick, limit := time.NewTicker(20*time.Millisecond), time.After(30*time.Second); ; {
		err := ts.Exec(args[1], args[2:]...)
		out := ts.ReadFile("stdout")
		if err == nil && pattern.MatchString(out) {
			return
		}
		select {
		case <-tick.C:
		case <-limit:
			ts.Fatalf("%s never printed %q; at last %q (%v)", strings.Join(args[1:], " "), args[0], out, err)
		}
	}
}
