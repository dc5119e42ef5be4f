// kcat drives the command of that name, a program over librdkafka; see compat/clients/README.md. It sends and reads what kcat can: keys and
// values that are text, no timestamps of its own. It commits when it leaves, once.
package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/millrace/millrace/compat/clients/go/contract"
)

func main() {
	contract.Main(map[string]func(contract.Flags) error{"produce": produce, "consume": consume, "assign": assign, "seek": seek, "transact": transact})
}

func produce(f contract.Flags) error {
	records, err := contract.Input(f["in"])
	if err != nil {
		return err
	}
	var lines bytes.Buffer
	for _, r := range records {
		fmt.Fprintf(&lines, "%s\t%s\n", r.Key, r.Value)
	}
	c := exec.Command("kcat", "-P", "-b", f["bootstrap"], "-t", f["topic"], "-K", "\t", "-Z", "-X", "acks=all", "-X", "compression.codec="+f["codec"],
		"-X", "enable.idempotence="+f["idempotent"], "-X", "max.in.flight=1")
	c.Stdin, c.Stderr = &lines, os.Stderr
	if err := c.Run(); err != nil {
		return err
	}
	contract.Say("done", len(records))
	return nil
}

// format prints one line of numbers, then the record's bytes: key, value, headers, line feed.
const format = "%p %o %T %K %S\n%k%s%h\n"

// read reads what kcat prints by that format; nil at its end.
func read(r *bufio.Reader) (*contract.Record, error) {
	line, err := r.ReadString('\n')
	if err == io.EOF && line == "" {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	var rec contract.Record
	var key, value int
	if _, err := fmt.Sscan(line, &rec.Partition, &rec.Offset, &rec.Timestamp, &key, &value); err != nil {
		return nil, fmt.Errorf("kcat printed %q: %w", line, err)
	}
	for _, part := range []struct {
		n  int
		to *[]byte
	}{{key, &rec.Key}, {value, &rec.Value}} {
		if part.n >= 0 {
			*part.to = make([]byte, part.n)
			if _, err := io.ReadFull(r, *part.to); err != nil {
				return nil, err
			}
		}
	}
	headers, err := r.ReadString('\n')
	if err != nil {
		return nil, err
	}
	if headers = strings.TrimSuffix(headers, "\n"); headers != "" {
		for h := range strings.SplitSeq(headers, ",") {
			name, v, _ := strings.Cut(h, "=")
			rec.Headers = append(rec.Headers, contract.Header{Name: name, Value: []byte(v)})
		}
	}
	return &rec, nil
}

var rebalance = regexp.MustCompile(`% Group \S+ rebalanced.*: (?:incremental )?(assign|revo).*`)
var partition = regexp.MustCompile(`(\S+) \[(\d+)\]`)

// watch copies kcat's stderr and turns its lines about rebalances into events.
func watch(stderr io.Reader) {
	owned := map[string][]int{}
	for lines := bufio.NewScanner(stderr); lines.Scan(); {
		fmt.Fprintln(os.Stderr, lines.Text())
		m := rebalance.FindStringSubmatch(lines.Text())
		if m == nil {
			continue
		}
		for _, p := range partition.FindAllStringSubmatch(m[0], -1) {
			n, _ := strconv.Atoi(p[2])
			if m[1] == "assign" {
				owned[p[1]] = append(owned[p[1]], n)
			} else {
				owned[p[1]] = without(owned[p[1]], n)
			}
		}
		contract.SayAssigned(owned)
	}
}

func without(ps []int, p int) []int {
	var rest []int
	for _, q := range ps {
		if q != p {
			rest = append(rest, q)
		}
	}
	return rest
}

func consume(f contract.Flags) error {
	args := []string{
		"-G", f["group"], "-u", "-b", f["bootstrap"], "-f", format, "-X", "auto.offset.reset=earliest", "-X", "session.timeout.ms=6000", "-X", "heartbeat.interval.ms=1000",
		"-X", "check.crcs=true", "-X", "topic.metadata.refresh.interval.ms=1000", "-X", "auto.commit.interval.ms=3600000",
	}
	if f["count"] != "0" {
		args = append(args, "-c", f["count"])
	}
	if a := f["assignor"]; a == "cooperative" {
		args = append(args, "-X", "partition.assignment.strategy=cooperative-sticky")
	} else if a != "" {
		args = append(args, "-X", "partition.assignment.strategy="+a)
	}
	if f["instance"] != "" {
		args = append(args, "-X", "group.instance.id="+f["instance"])
	}
	c := exec.Command("kcat", append(args, f["topic"])...)
	stdout, err := c.StdoutPipe()
	if err != nil {
		return err
	}
	stderr, err := c.StderrPipe()
	if err != nil {
		return err
	}
	if err := c.Start(); err != nil {
		return err
	}
	if f["count"] == "0" {
		go func() {
			<-contract.Stopped()
			_ = c.Process.Signal(os.Interrupt) // kcat commits and leaves
		}()
	}
	watched := make(chan struct{})
	go func() { watch(stderr); close(watched) }()
	next := contract.Offsets{}
	for out := bufio.NewReaderSize(stdout, 1<<20); ; {
		r, err := read(out)
		if err != nil {
			return err
		}
		if r == nil {
			break
		}
		contract.SayRecords(*r)
		next[r.Partition] = r.Offset + 1
	}
	<-watched
	if err := c.Wait(); err != nil {
		return err
	}
	for p, offset := range next {
		contract.Say("committed", p, offset)
	}
	return nil
}

// Outside of groups kcat does not commit.
func assign(f contract.Flags) error {
	if f.Int("offset") < 0 {
		return errors.New("kcat does not read from a committed offset by itself")
	}
	_, err := from(f, f["partition"], f["offset"], f["count"])
	return err
}

// from prints count records of one partition.
func from(f contract.Flags, partition, offset, count string) (int64, error) {
	c := exec.Command("kcat", "-C", "-b", f["bootstrap"], "-t", f["topic"], "-p", partition, "-o", offset, "-c", count, "-e", "-q", "-f", format)
	c.Stderr = os.Stderr
	printed, err := c.Output()
	if err != nil {
		return -1, err
	}
	first := int64(-1)
	for out := bufio.NewReader(bytes.NewReader(printed)); ; {
		r, err := read(out)
		if err != nil || r == nil {
			return first, err
		}
		contract.SayRecords(*r)
		if first < 0 {
			first = r.Offset
		}
	}
}

// kcat looks offsets up by time when it begins to read there.
func seek(f contract.Flags) error {
	list := exec.Command("kcat", "-L", "-b", f["bootstrap"], "-t", f["topic"])
	list.Stderr = os.Stderr
	printed, err := list.Output()
	if err != nil {
		return err
	}
	for _, m := range regexp.MustCompile(`(?m)^ *partition (\d+),`).FindAllStringSubmatch(string(printed), -1) {
		first, err := from(f, m[1], "s@"+f["timestamp"], "1")
		if err != nil {
			return err
		}
		contract.Say("offset", f["topic"], m[1], first)
	}
	return nil
}

func transact(f contract.Flags) error {
	c := exec.Command("kcat", "-P", "-b", f["bootstrap"], "-t", f["topic"], "-X", "transactional.id=kcat-"+f["topic"])
	c.Stdin = strings.NewReader("in a transaction\n")
	c.WaitDelay = 25 * time.Second
	if said, err := c.CombinedOutput(); err != nil {
		contract.Say("refused", strings.ReplaceAll(strings.TrimSpace(string(said)), "\n", " "))
		return nil
	}
	contract.Say("committed")
	return nil
}
