//go:build compat

package compat

import (
	"bufio"
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Kafka's Java clients are driven by the programs in clients/java. A suite of theirs runs all its steps in one Java machine and
// tells of each in a line; see Steps.java.

// javaClasses compiles the programs once for the whole run.
var javaClasses = sync.OnceValues(func() (string, error) {
	sources, err := filepath.Glob("clients/java/*.java")
	if err != nil {
		return "", err
	}
	dir := filepath.Join(filepath.Dir(millrace), "classes")
	argv := append([]string{"-nowarn", "-d", dir, "-cp", kafkaJars}, sources...)
	out, err := exec.CommandContext(context.Background(), "javac", argv...).CombinedOutput()
	if err != nil {
		_, _ = os.Stderr.Write(out)
	}
	return dir, err
})

// compatJava is the command line of one of the programs.
func compatJava(t testing.TB, class string, args ...string) []string {
	t.Helper()
	dir, err := javaClasses()
	if err != nil {
		t.Fatalf("javac: %v", err)
	}
	return java(dir+":clients/java:"+kafkaJars, "compat."+class, args...)
}

// javaSuite runs a suite of the Java programs against a broker with some settings, each of its steps as a test of its own.
func javaSuite(t *testing.T, allowed time.Duration, suite string, settings ...string) {
	t.Helper()
	argv := compatJava(t, "Steps", suite, startBroker(t, settings...))
	budget(t, "java: "+suite, allowed)
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	var said bytes.Buffer
	cmd.Stderr = &said
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.WaitDelay = 5 * time.Second
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	steps := 0
	lines := bufio.NewScanner(stdout)
	lines.Buffer(nil, 4<<20)
	for lines.Scan() {
		f := strings.Split(lines.Text(), "\t")
		if len(f) != 5 || f[0] != "step" {
			t.Errorf("%s printed: %s", suite, lines.Text())
			continue
		}
		steps++
		t.Run(f[2], func(t *testing.T) {
			if f[1] != "ok" {
				t.Errorf("after %s ms: %s", f[3], strings.ReplaceAll(f[4], `\n`, "\n"))
			}
		})
	}
	if err := cmd.Wait(); err != nil && !t.Failed() || steps == 0 {
		t.Errorf("%s ended after %d steps: %v", suite, steps, err)
	}
	if t.Failed() {
		t.Logf("stderr of %s:\n%s", suite, tail(said.String(), 40))
	}
}

func TestJavaProducer(t *testing.T) { javaSuite(t, 30*time.Second, "producers") }
func TestJavaConsumer(t *testing.T) { javaSuite(t, 40*time.Second, "consumers") }
func TestJavaAdmin(t *testing.T)    { javaSuite(t, 20*time.Second, "admins") }
func TestKafkaTools(t *testing.T)   { javaSuite(t, 40*time.Second, "tools") }

// busyCleaner has compacted topics roll and be compacted all the time, instead of once in hours.
var busyCleaner = []string{"log.cleaner.backoff.ms=100", "log.cleaner.min.cleanable.ratio=0.01", "log.roll.ms=700"}

func TestKafkaConnect(t *testing.T) { javaSuite(t, 40*time.Second, "pipes", busyCleaner...) }
func TestKafkaStreams(t *testing.T) { javaSuite(t, 40*time.Second, "words", busyCleaner...) }
