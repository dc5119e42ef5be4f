//go:build compat

package compat

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

var (
	records = flag.Int("records", 20_000, "records that each program of compat/clients sends")
	only    = flag.String("only", "", "drive these programs of compat/clients only, with commas between them")
	times   = flag.String("times", "", "file to append each suite's time and budget to")
)

// program is one of compat/clients, which all have the same command line; see compat/clients/README.md.
type program struct {
	name       string
	argv       []string
	codecs     []string // that it compresses by
	assignors  []string // of its group members: one eager at least, and cooperative where it has that
	idempotent bool
	text       bool   // sends and reads text only, without headers, and cannot set timestamps
	static     bool   // group.instance.id
	rereads    bool   // goes back to the committed offset in a rebalance while what it has fetched is still on its way to the application
	blurs      bool   // reads what is empty as null
	deaf       bool   // goes on, or joins again, when another process takes its seat
	quiet      bool   // does not commit before it leaves, and not from its own place
	admin      string // commands of the admin API it has
	cannot     string // other commands it does not have
}

func (p program) has(command string) bool { return strings.Contains(p.admin, command) }

// eager is an assignor by which members give up all their partitions in each rebalance.
func (p program) eager() string { return p.assignors[0] }

const adminCommands = "offsets describe groups delete-group"

// programs are filled in by TestMain, which knows where setup.sh has put them.
var programs []program

// findPrograms looks where setup.sh has put them. Node finds packages beside the scripts, so these get a copy in dir.
func findPrograms(cache, dir string) ([]program, error) {
	scripts := filepath.Join(dir, "node")
	if err := os.CopyFS(scripts, os.DirFS(filepath.Join("clients", "node"))); err != nil {
		return nil, err
	}
	if err := os.Symlink(filepath.Join(cache, "clients-node", "node_modules"), filepath.Join(scripts, "node_modules")); err != nil {
		return nil, err
	}
	for _, part := range []string{"clients-go", "clients-node", "clients-python"} {
		if _, err := os.Stat(filepath.Join(cache, part, ".complete")); err != nil {
			return nil, fmt.Errorf("%s is missing: run compat/setup.sh first, or make compat", filepath.Join(cache, part))
		}
	}
	binary := func(name string) []string { return []string{filepath.Join(cache, "clients-go", name)} }
	python := func(name string) []string {
		return []string{filepath.Join(cache, "clients-python", "bin", "python3"), filepath.Join("clients", "python", name+".py")}
	}
	node := func(name string) []string { return []string{"node", filepath.Join(scripts, name+".mjs")} }
	librdkafka := []string{"range", "roundrobin", "cooperative"}
	all := []program{
		{name: "kcat", argv: binary("kcat"), codecs: codecs, assignors: librdkafka, idempotent: true, text: true, static: true, quiet: true, deaf: true, cannot: "assign wait"},
		{name: "franz-go", argv: binary("franz-go"), codecs: codecs, assignors: []string{"range", "roundrobin", "sticky", "cooperative"}, idempotent: true, static: true, admin: adminCommands},
		{name: "confluent-kafka-go", argv: binary("confluent-kafka-go"), codecs: codecs, assignors: librdkafka, idempotent: true, static: true, admin: adminCommands},
		{name: "sarama", argv: binary("sarama"), codecs: codecs, assignors: []string{"range", "roundrobin", "sticky", "cooperative"}, idempotent: true, static: true, admin: adminCommands},
		{name: "kafka-go", argv: binary("kafka-go"), codecs: codecs, assignors: []string{"range", "roundrobin"}, blurs: true, rereads: true, admin: adminCommands},
		{name: "kafkajs", argv: node("kafkajs"), codecs: codecs, assignors: []string{"roundrobin"}, idempotent: true, admin: adminCommands, cannot: "wait"},
		{name: "platformatic", argv: node("platformatic"), codecs: codecs, assignors: []string{"roundrobin"}, idempotent: true, static: true, rereads: true, deaf: true, admin: adminCommands, cannot: "wait"},
		{name: "kafka-python", argv: python("with_kafka_python"), codecs: codecs, assignors: []string{"range", "roundrobin", "sticky", "cooperative"}, idempotent: true, static: true, deaf: true, admin: adminCommands},
		{name: "aiokafka", argv: python("with_aiokafka"), codecs: codecs, assignors: []string{"range", "roundrobin", "sticky"}, idempotent: true, static: true, deaf: true, admin: "offsets describe groups"},
		{name: "confluent-kafka", argv: python("with_confluent_kafka"), codecs: codecs, assignors: librdkafka, idempotent: true, static: true, admin: adminCommands},
	}
	if *only == "" {
		return all, nil
	}
	return slices.DeleteFunc(all, func(p program) bool { return !slices.Contains(strings.Split(*only, ","), p.name) }), nil
}

// event is one line that a program printed.
type event struct {
	name   string
	fields []string
}

// number is a field that is one.
func (e event) number(i int) int64 {
	n, err := strconv.ParseInt(e.fields[i], 10, 64)
	if err != nil {
		panic(fmt.Sprintf("%v: %v", e, err))
	}
	return n
}

// process is a program that runs.
type process struct {
	t      testing.TB
	what   string
	cmd    *exec.Cmd
	stdin  interface{ Close() error }
	stderr bytes.Buffer // read it only after ended
	ended  chan struct{}
	err    error // of the exit; read it only after ended

	mu struct {
		sync.Mutex
		events []event
		more   chan struct{} // closed when there is another event, and replaced
	}
}

// start starts a program, which is killed at the end of the test if it still runs.
func (p program) start(t testing.TB, addr, command string, flags ...string) *process {
	t.Helper()
	argv := append(slices.Clone(p.argv), append([]string{command, "--bootstrap", addr}, flags...)...)
	r := &process{t: t, what: p.name + " " + strings.Join(append([]string{command}, flags...), " "), cmd: exec.Command(argv[0], argv[1:]...), ended: make(chan struct{})}
	r.mu.more = make(chan struct{})
	r.cmd.Stderr = &r.stderr
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	r.cmd.WaitDelay = 5 * time.Second
	stdin, err := r.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	r.stdin = stdin
	stdout, err := r.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		for lines := bufio.NewReaderSize(stdout, 1<<20); ; {
			line, err := lines.ReadString('\n')
			if err != nil {
				break
			}
			fields := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
			r.mu.Lock()
			r.mu.events = append(r.mu.events, event{fields[0], fields[1:]})
			close(r.mu.more)
			r.mu.more = make(chan struct{})
			r.mu.Unlock()
		}
		r.err = r.cmd.Wait()
		close(r.ended)
	}()
	t.Cleanup(r.kill)
	return r
}

// events are those printed so far.
func (r *process) events() ([]event, chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.mu.events[:len(r.mu.events):len(r.mu.events)], r.mu.more
}

// until waits until what the program has printed is enough.
func (r *process) until(what string, enough func([]event) bool) []event {
	r.t.Helper()
	timeout := time.NewTimer(patience())
	defer timeout.Stop()
	for {
		events, more := r.events()
		if enough(events) {
			return events
		}
		select {
		case <-more:
		case <-r.ended:
			if events, _ := r.events(); enough(events) {
				return events
			}
			r.fail("ended (%v) before %s", r.err, what)
		case <-timeout.C:
			r.fail("does not come to %s within %v", what, patience())
		}
	}
}

// fail ends the program, and the test with what the program said.
func (r *process) fail(format string, args ...any) {
	r.t.Helper()
	r.kill()
	events, _ := r.events()
	var last []string
	for _, e := range events[max(0, len(events)-8):] {
		last = append(last, fmt.Sprintf("%.100s", strings.Join(append([]string{e.name}, e.fields...), " ")))
	}
	r.t.Fatalf("%s %s\n%d events, the last ones:\n%s\nstderr:\n%s", r.what, fmt.Sprintf(format, args...), len(events), strings.Join(last, "\n"), tail(r.stderr.String(), 40))
}

// patience bounds what a program does at a time: a minute for the records of CI, in proportion for more.
func patience() time.Duration { return time.Minute * time.Duration(max(*records, 20_000)) / 20_000 }

// wait waits for the program's good end and returns all it has printed.
func (r *process) wait() []event {
	r.t.Helper()
	timeout := time.NewTimer(patience())
	defer timeout.Stop()
	select {
	case <-r.ended:
	case <-timeout.C:
		r.fail("does not end within %v", patience())
	}
	if r.err != nil {
		r.fail("ended: %v", r.err)
	}
	events, _ := r.events()
	return events
}

// stop asks a program that reads until its stdin ends to come to an end, and waits for it.
func (r *process) stop() []event {
	r.t.Helper()
	_ = r.stdin.Close()
	return r.wait()
}

// kill ends the program, and what it has started, without a warning.
func (r *process) kill() {
	_ = syscall.Kill(-r.cmd.Process.Pid, syscall.SIGKILL)
	<-r.ended
}

// run runs a program to its good end.
func (p program) run(t testing.TB, addr, command string, flags ...string) []event {
	t.Helper()
	return p.start(t, addr, command, flags...).wait()
}

// named picks the events of one name.
func named(events []event, name string) []event {
	return slices.DeleteFunc(slices.Clone(events), func(e event) bool { return e.name != name })
}

// budget says how long a suite may take on the two cores of CI. It fails the test at three times that.
func budget(t *testing.T, suite string, allowed time.Duration) {
	start := time.Now()
	t.Cleanup(func() {
		took := time.Since(start)
		line := fmt.Sprintf("%-28s %6.1f s of %4.0f s\n", suite, took.Seconds(), allowed.Seconds())
		t.Log(line)
		if *times != "" {
			f, err := os.OpenFile(*times, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
			if err != nil {
				t.Error(err)
				return
			}
			defer f.Close()
			if _, err := f.WriteString(line); err != nil {
				t.Error(err)
			}
		}
		if took > 3*allowed && *records <= 20_000 {
			t.Errorf("%s took %v, more than three times its budget of %v", suite, took, allowed)
		}
	})
}
