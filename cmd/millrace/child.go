package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/millrace/millrace/bench"
)

var errBrokerEnded = errors.New("the broker went away")

// child is a broker of our own.
type child struct {
	cmd        *exec.Cmd
	dir        string // of everything it writes
	address    string
	readyAfter time.Duration
	exited     chan struct{}
	exitErr    error // after exited
	stopped    bool
}

// childOptions say what a child is and where it runs.
type childOptions struct {
	name   string   // its directory is millrace-NAME-*
	parent string   // of that directory; default: where temporary files go
	cpus   []int    // default: all of them
	args   []string // of this binary; a port, a ports file and a data directory of its own are added
}

// startChild runs this same binary and waits until it is ready. It ends with us, whatever ends us. The child is returned with an
// error too, to be put away.
func startChild(ctx context.Context, o childOptions) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(o.parent, "millrace-"+o.name+"-")
	if err != nil {
		return nil, err
	}
	c := &child{dir: dir, exited: make(chan struct{})}
	ports, log := filepath.Join(dir, "ports.json"), filepath.Join(dir, "server.log")
	args := append(o.args, "--port", "0", "--ports-file", ports, "--data-dir", filepath.Join(dir, "data"))
	c.cmd = exec.Command(self, args...)
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, "MILLRACE_") {
			c.cmd.Env = append(c.cmd.Env, variable)
		}
	}
	out, err := os.Create(log)
	if err != nil {
		return c, err
	}
	defer out.Close() // the child has its own
	c.cmd.Stderr = out
	// Its own group: Ctrl-C is for us, who stop it in order. The kernel kills it when the thread that started it ends, which is
	// why this goroutine keeps its thread for good.
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	runtime.LockOSThread()
	begin := time.Now()
	if err := onCPUs(o.cpus, c.cmd.Start); err != nil {
		return c, err
	}
	go func() { c.exitErr = c.cmd.Wait(); close(c.exited) }()
	for tick := time.NewTicker(time.Millisecond); ; {
		if address, ok := readPorts(ports); ok {
			tick.Stop()
			c.address, c.readyAfter = address, time.Since(begin)
			return c, nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return c, ctx.Err()
		case <-c.exited:
			if ctx.Err() != nil {
				return c, ctx.Err()
			}
			return c, c.explain(errors.New("the broker did not start"))
		}
		if time.Since(begin) > time.Minute {
			return c, c.explain(errors.New("the broker was not ready within a minute"))
		}
	}
}

// withChild runs f with a child, and puts that away. A child that goes away by itself ends f.
func withChild(ctx context.Context, o childOptions, f func(context.Context, *child) error) (err error) {
	signal.Ignore(syscall.SIGPIPE) // a reader of our output that goes away must not keep us from putting things away
	c, err := startChild(ctx, o)
	if c != nil {
		before := atSecondSignal
		atSecondSignal = func() { c.kill(); before() }
		defer func() {
			atSecondSignal = before
			err = errors.Join(err, c.putAway(false))
		}()
	}
	if err != nil {
		return err
	}
	within, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() { <-c.exited; cancel(errBrokerEnded) }() // ends at the latest when the child is put away
	if err := f(within, c); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return c.explain(err)
	}
	return nil
}

// target is the child as one that is measured.
func (c *child) target(name string) bench.Target {
	return bench.Target{Name: name, Brokers: []string{c.address}, Pids: []int{c.cmd.Process.Pid}}
}

// explain adds the end of the broker's log to an error, when the broker has ended by itself.
func (c *child) explain(err error) error {
	select {
	case <-c.exited:
	default:
		return err
	}
	text, _ := os.ReadFile(filepath.Join(c.dir, "server.log"))
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return fmt.Errorf("%w\nthe broker has ended (%v); its last words:\n  %s", err, c.exitErr, strings.Join(lines[max(0, len(lines)-10):], "\n  "))
}

// stop ends the broker in order.
func (c *child) stop() error {
	if c.cmd == nil || c.cmd.Process == nil || c.stopped {
		return nil
	}
	c.stopped = true
	_ = c.cmd.Process.Signal(syscall.SIGTERM) // it may have ended already, which exitErr tells
	select {
	case <-c.exited:
	case <-time.After(30 * time.Second):
		_ = c.cmd.Process.Kill()
		<-c.exited
		return errors.New("the broker did not stop within 30 s and was killed")
	}
	if c.exitErr != nil {
		return fmt.Errorf("the broker did not stop in order: %w", c.exitErr)
	}
	return nil
}

// putAway stops the broker and removes its directory, or says where that is.
func (c *child) putAway(keep bool) error {
	err := c.stop()
	if keep {
		fmt.Fprintf(os.Stderr, "kept: %s\n", c.dir)
		return err
	}
	return errors.Join(err, os.RemoveAll(c.dir))
}

// kill puts everything away at once.
func (c *child) kill() {
	if c.cmd != nil && c.cmd.Process != nil {
		_ = c.cmd.Process.Kill()
		<-c.exited
	}
	_ = os.RemoveAll(c.dir)
}
