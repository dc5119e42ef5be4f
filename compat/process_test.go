//go:build compat

package compat

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// server is a running broker: Millrace or Kafka.
type server struct {
	t       testing.TB
	cmd     *exec.Cmd
	addr    string
	exited  chan struct{} // closed when the process has ended
	output  bytes.Buffer  // read it only after exited
	restart func() *server
	crash   func() *server // kill -9, and a new start on the same port; Millrace only
}

// launch starts a server's process, which is killed at the end of the test if it still runs.
func launch(t testing.TB, argv ...string) *server {
	t.Helper()
	s := &server{t: t, cmd: exec.Command(argv[0], argv[1:]...), exited: make(chan struct{})}
	s.cmd.Stdout, s.cmd.Stderr = &s.output, &s.output
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { _ = s.cmd.Wait(); close(s.exited) }()
	t.Cleanup(func() {
		_ = s.cmd.Process.Kill()
		<-s.exited
		if t.Failed() {
			t.Logf("output of %s:\n%s", argv[0], tail(s.output.String(), 40))
		}
	})
	return s
}

func tail(s string, lines int) string {
	all := strings.Split(strings.TrimRight(s, "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// await polls until ready says yes.
func (s *server) await(limit time.Duration, ready func() bool) {
	s.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(limit); time.Now().Before(deadline); <-tick.C {
		select {
		case <-s.exited:
			s.t.Fatalf("%s ended before it was ready:\n%s", s.cmd.Path, tail(s.output.String(), 40))
		default:
		}
		if ready() {
			return
		}
	}
	s.t.Fatalf("%s was not ready within %v", s.cmd.Path, limit)
}

// stop ends the server as an operator does and waits until it is gone.
func (s *server) stop() {
	s.t.Helper()
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.exited:
	case <-time.After(60 * time.Second):
		s.t.Fatalf("%s did not stop within a minute", s.cmd.Path)
	}
}

// startMillrace starts the binary under test on dir, with settings in the form key=value.
func startMillrace(t testing.TB, dir string, settings ...string) *server {
	t.Helper()
	return startMillraceAt(t, "0", dir, settings...)
}

func startMillraceAt(t testing.TB, port, dir string, settings ...string) *server {
	t.Helper()
	ports := filepath.Join(t.TempDir(), "ports.json")
	argv := []string{millrace, "server", "--port", port, "--ports-file", ports, "--data-dir", dir}
	for _, s := range settings {
		argv = append(argv, "-o", s)
	}
	s := launch(t, argv...)
	s.await(30*time.Second, func() bool {
		var p struct {
			Kafka string `json:"kafka"`
		}
		data, err := os.ReadFile(ports)
		if err != nil || json.Unmarshal(data, &p) != nil {
			return false
		}
		s.addr = p.Kafka
		return s.addr != ""
	})
	s.restart = func() *server { s.stop(); return startMillrace(t, dir, settings...) }
	s.crash = func() *server {
		_ = s.cmd.Process.Kill()
		<-s.exited
		_, port, _ := net.SplitHostPort(s.addr)
		return startMillraceAt(t, port, dir, settings...)
	}
	return s
}

// startKafka starts an Apache Kafka 4.4.0 on dir, which it formats when it is new, and gives settings to. The partitions lie in dir/data.
func startKafka(t testing.TB, dir string, settings ...string) *server {
	t.Helper()
	config := filepath.Join(dir, "server.properties")
	if _, err := os.Stat(config); errors.Is(err, os.ErrNotExist) {
		formatKafka(t, kafkaProperties(t, dir, settings...))
	}
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	s := launch(t, append([]string{"java", "-Xmx512m"}, java(kafkaJars, "kafka.Kafka", config)[1:]...)...)
	s.addr = addressIn(string(text))
	s.await(90*time.Second, func() bool {
		c, err := net.DialTimeout("tcp", s.addr, time.Second)
		if err != nil {
			return false
		}
		_ = c.Close()
		return true
	})
	s.restart = func() *server { s.stop(); return startKafka(t, dir) }
	return s
}

// addressIn is the address for clients that a file of kafkaProperties has.
func addressIn(properties string) string {
	_, after, _ := strings.Cut(properties, "listeners=PLAINTEXT://")
	addr, _, _ := strings.Cut(after, ",")
	return addr
}

// kafkaProperties writes the configuration of a broker on dir, for Kafka or for us.
func kafkaProperties(t testing.TB, dir string, settings ...string) (path string) {
	t.Helper()
	listener, controller := freePort(t), freePort(t)
	text := fmt.Sprintf(`process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:%[2]d
listeners=PLAINTEXT://127.0.0.1:%[1]d,CONTROLLER://127.0.0.1:%[2]d
advertised.listeners=PLAINTEXT://127.0.0.1:%[1]d
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs=%[3]s
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
%[4]s
`, listener, controller, filepath.Join(dir, "data"), strings.Join(settings, "\n"))
	path = filepath.Join(dir, "server.properties")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// formatKafka makes Kafka's directory ready.
func formatKafka(t testing.TB, config string, more ...string) {
	t.Helper()
	run(t, time.Minute, nil, io.Discard, java(kafkaJars, "kafka.tools.StorageTool", append([]string{"format", "-t", "bWlsbHJhY2UtY29tcGF0IQ", "-c", config}, more...)...)...)
}

func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// java is the command line of a Java program that runs for seconds: little heap, no second compiler.
func java(jars, class string, args ...string) []string {
	return append([]string{
		"java", "-Xmx400m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djava.awt.headless=true", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
		"-cp", jars, class,
	}, args...)
}

// run runs a program to its end, which has to be a good one.
func run(t testing.TB, limit time.Duration, stdin io.Reader, stdout io.Writer, argv ...string) {
	t.Helper()
	if err := try(t, limit, stdin, stdout, nil, argv...); err != nil {
		t.Fatal(err)
	}
}

// try runs a program to its end. Without a writer for it, the end of what it wrote to stderr is in the error.
func try(t testing.TB, limit time.Duration, stdin io.Reader, stdout, stderr io.Writer, argv ...string) error {
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	var said bytes.Buffer
	if stderr == nil {
		stderr = &said
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, stdout, stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.WaitDelay = 5 * time.Second
	err := cmd.Run()
	if ctx.Err() != nil {
		err = fmt.Errorf("ended after %v: %w", limit, ctx.Err())
	}
	if err != nil {
		return fmt.Errorf("%.300s: %w\n%s", strings.Join(argv, " "), err, tail(said.String(), 20))
	}
	return nil
}

func itoa(n int) string { return strconv.Itoa(n) }
