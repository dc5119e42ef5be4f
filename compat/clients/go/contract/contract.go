// Package contract is the command line that the programs of compat/clients share; ../../README.md describes it.
package contract

import (
	"bufio"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
)

// Flags are a command's flags, by name.
type Flags map[string]string

// Main runs the command that the arguments name and ends the process.
func Main(commands map[string]func(Flags) error) {
	err := run(commands)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func run(commands map[string]func(Flags) error) error {
	if len(os.Args) < 2 || commands[os.Args[1]] == nil {
		return fmt.Errorf("no such command: %q", os.Args[1:])
	}
	flags, args := Flags{}, os.Args[2:]
	for ; len(args) > 0; args = args[2:] {
		name, ok := strings.CutPrefix(args[0], "--")
		if !ok || len(args) == 1 {
			return fmt.Errorf("flags come as --name value, not as %q", args)
		}
		flags[name] = args[1]
	}
	return commands[os.Args[1]](flags)
}

// Int is a flag that is a number, 0 when it is not given.
func (f Flags) Int(name string) int {
	if f[name] == "" {
		return 0
	}
	n, err := strconv.Atoi(f[name])
	if err != nil {
		fmt.Fprintf(os.Stderr, "--%s: %v\n", name, err)
		os.Exit(1)
	}
	return n
}

// Bool is a flag that is true or not.
func (f Flags) Bool(name string) bool { return f[name] == "true" }

// Header is one header of a record.
type Header struct {
	Name  string
	Value []byte
}

// Record is what a client sends or has read. A null key or value is nil.
type Record struct {
	Partition int
	Offset    int64
	Timestamp int64 // ms
	Key       []byte
	Value     []byte
	Headers   []Header
}

func text(b []byte) string {
	if b == nil {
		return "-"
	}
	return base64.StdEncoding.EncodeToString(b)
}

func bytes(s string) ([]byte, error) {
	if s == "-" {
		return nil, nil
	}
	b, err := base64.StdEncoding.DecodeString(s)
	if err == nil && b == nil {
		b = []byte{}
	}
	return b, err
}

// Input reads the records of an input file.
func Input(path string) ([]Record, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var all []Record
	lines := bufio.NewReaderSize(f, 1<<20)
	for {
		line, err := lines.ReadString('\n')
		if err == io.EOF && line == "" {
			return all, nil
		} else if err != nil {
			return nil, err
		}
		r, err := parse(strings.TrimSuffix(line, "\n"))
		if err != nil {
			return nil, fmt.Errorf("%s, line %d: %w", path, len(all)+1, err)
		}
		all = append(all, r)
	}
}

func parse(line string) (r Record, err error) {
	fields := strings.Split(line, "\t")
	if len(fields) != 4 {
		return r, fmt.Errorf("%d fields, want 4", len(fields))
	}
	var errs [4]error
	r.Timestamp, errs[0] = strconv.ParseInt(fields[0], 10, 64)
	r.Key, errs[1] = bytes(fields[1])
	r.Value, errs[2] = bytes(fields[2])
	if fields[3] != "" {
		for h := range strings.SplitSeq(fields[3], ",") {
			name, value, _ := strings.Cut(h, "=")
			b, err := bytes(value)
			errs[3] = errors.Join(errs[3], err)
			r.Headers = append(r.Headers, Header{name, b})
		}
	}
	return r, errors.Join(errs[:]...)
}

var (
	mu     sync.Mutex // guards stdout
	stdout = bufio.NewWriterSize(os.Stdout, 1<<16)
)

// Say prints an event at once.
func Say(event string, fields ...any) {
	mu.Lock()
	defer mu.Unlock()
	say(event, fields...)
	stdout.Flush()
}

func say(event string, fields ...any) {
	stdout.WriteString(event)
	for _, f := range fields {
		fmt.Fprintf(stdout, "\t%v", f)
	}
	stdout.WriteByte('\n')
}

// SayRecords prints records that the application has read.
func SayRecords(rs ...Record) {
	mu.Lock()
	defer mu.Unlock()
	for _, r := range rs {
		var headers []string
		for _, h := range r.Headers {
			headers = append(headers, h.Name+"="+text(h.Value))
		}
		say("record", r.Partition, r.Offset, r.Timestamp, text(r.Key), text(r.Value), strings.Join(headers, ","))
	}
	stdout.Flush()
}

// SayAssigned prints the partitions that a member owns now.
func SayAssigned(partitions map[string][]int) {
	var all []string
	for topic, ps := range partitions {
		for _, p := range ps {
			all = append(all, fmt.Sprintf("%s:%d", topic, p))
		}
	}
	Say("assigned", strings.Join(all, ","))
}

// Stopped is closed when stdin ends: whoever started the program asks it to stop.
func Stopped() <-chan struct{} {
	stopped := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		close(stopped)
	}()
	return stopped
}

// Offsets are the next offsets to commit, by partition.
type Offsets map[int]int64

// Reading counts what a member of a group has read and says when to commit.
type Reading struct {
	Pending Offsets // to commit: the next offset of each partition read since the last commit

	count, every int // of the flags
	stay         bool
	read         int     // records so far; one that comes again after a rebalance is the same one
	next         Offsets // behind the last record of each partition so far
	since        int     // records since the last commit
}

// NewReading begins a run of the consume command.
func NewReading(f Flags) *Reading {
	return &Reading{count: f.Int("count"), every: max(f.Int("every"), 1), stay: f.Bool("stay"), Pending: Offsets{}, next: Offsets{}}
}

// Done tells whether all is read and committed that the command asks for.
func (r *Reading) Done() bool { return r.count > 0 && r.read >= r.count && !r.stay }

// Add prints one record and tells whether a commit of Pending is due now.
func (r *Reading) Add(rec Record) bool {
	SayRecords(rec)
	if rec.Offset >= r.next[rec.Partition] {
		r.read++
		r.next[rec.Partition] = rec.Offset + 1
	}
	if r.stay && r.read > r.count {
		return false // the last commit is behind us
	}
	r.since++
	r.Pending[rec.Partition] = rec.Offset + 1
	return r.since >= r.every || r.read == r.count
}

// Committed prints the offsets of Pending as acknowledged and begins anew.
func (r *Reading) Committed() {
	for p, offset := range r.Pending {
		Say("committed", p, offset)
	}
	r.since, r.Pending = 0, Offsets{}
}

// Lost forgets what was read of partitions that are no longer ours.
func (r *Reading) Lost(partitions ...int) {
	for _, p := range partitions {
		delete(r.Pending, p)
	}
}
