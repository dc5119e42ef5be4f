// Package e2e drives the real binary from outside, over TCP: crashes, system calls, hostile clients, figures.
package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

var millrace string // the binary under test, built once

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "millrace-e2e-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		millrace = filepath.Join(dir, "millrace")
		build := exec.Command("go", "build", "-o", millrace, "github.com/millrace/millrace/cmd/millrace")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "building the binary under test: %v\n%s", err, out)
			return 1
		}
		return m.Run()
	}())
}

// broker is one running process of the binary under test.
type broker struct {
	t      testing.TB
	cmd    *exec.Cmd
	addr   string // HOST:PORT of its Kafka listener
	admin  string // of its admin listener
	port   int
	exited chan struct{} // closed when the process has ended
	stderr bytes.Buffer  // read it only after exited
}

// start runs `millrace server` on dir and returns when it is ready. Port 0 takes a free one.
func start(t testing.TB, dir string, port int, options ...string) *broker {
	t.Helper()
	return startWith(t, nil, dir, port, options...)
}

// startWith runs the server under a wrapper command (strace and its flags, say).
func startWith(t testing.TB, wrapper []string, dir string, port int, options ...string) *broker {
	t.Helper()
	portsFile := filepath.Join(t.TempDir(), "ports.json")
	args := append(append([]string{}, wrapper...), millrace, "server", "--port", strconv.Itoa(port), "--ports-file", portsFile, "--data-dir", dir)
	for _, o := range options {
		args = append(args, "-o", o)
	}
	b := &broker{t: t, cmd: exec.Command(args[0], args[1:]...), exited: make(chan struct{})}
	b.cmd.Stderr = &b.stderr
	b.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := b.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { _ = b.cmd.Wait(); close(b.exited) }()
	t.Cleanup(b.kill)
	ready := poll(30*time.Second, func() bool {
		select {
		case <-b.exited:
			t.Fatalf("the server ended before it was ready:\n%s", b.stderr.String())
		default:
		}
		data, err := os.ReadFile(portsFile)
		if err != nil {
			return false
		}
		var ports struct {
			Kafka string `json:"kafka"`
			Admin string `json:"admin"`
		}
		if json.Unmarshal(data, &ports) != nil || ports.Kafka == "" {
			return false
		}
		b.addr, b.admin = ports.Kafka, ports.Admin
		return true
	})
	if !ready {
		t.Fatalf("the server was not ready within 30 s")
	}
	_, p, _ := strings.Cut(b.addr, ":")
	b.port, _ = strconv.Atoi(p)
	return b
}

// poll asks again and again until ok says yes or the time is over.
func poll(limit time.Duration, ok func() bool) bool {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(limit); time.Now().Before(deadline); <-tick.C {
		if ok() {
			return true
		}
	}
	return false
}

// kill ends the process as a crash does, and waits until it is gone. A second call does nothing.
func (b *broker) kill() {
	select {
	case <-b.exited:
	default:
		_ = b.cmd.Process.Signal(syscall.SIGKILL)
		<-b.exited
	}
}

// stop asks the process to end in order and fails the test if it does not exit 0.
func (b *broker) stop() {
	b.t.Helper()
	if err := b.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		b.t.Fatal(err)
	}
	select {
	case <-b.exited:
	case <-time.After(60 * time.Second):
		b.t.Fatalf("the server did not stop within 60 s")
	}
	if code := b.cmd.ProcessState.ExitCode(); code != 0 {
		b.t.Fatalf("the server stopped with exit code %d:\n%s", code, b.stderr.String())
	}
}

// pid is the server's own process id, also where a wrapper started it.
func (b *broker) pid() int {
	children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", b.cmd.Process.Pid, b.cmd.Process.Pid))
	if exe, _ := os.Readlink(fmt.Sprintf("/proc/%d/exe", b.cmd.Process.Pid)); exe != millrace {
		if f := strings.Fields(string(children)); len(f) > 0 {
			pid, _ := strconv.Atoi(f[0])
			return pid
		}
	}
	return b.cmd.Process.Pid
}

// client is a franz-go client of the broker, closed with the test.
func (b *broker) client(opts ...kgo.Opt) *kgo.Client {
	b.t.Helper()
	cl, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(b.addr)}, opts...)...)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(cl.Close)
	return cl
}

func within(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}
