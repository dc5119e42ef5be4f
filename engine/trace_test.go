package engine

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/vfs"
	"github.com/millrace/millrace/segment"
	"github.com/millrace/millrace/wire/record"
)

var rewrite = flag.Bool("rewrite", false, "write the traces' output into testdata")

// A trace is a script of commands, each followed by what it printed. See testdata.
func TestTraces(t *testing.T) {
	files, err := filepath.Glob("testdata/*.trace")
	if err != nil || len(files) < 3 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".trace"), func(t *testing.T) {
			script, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := runTrace(t, string(script))
			if *rewrite {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(string(script), got); diff != "" {
				t.Errorf("%s: -want +got (go test -run Traces -rewrite, then review)\n%s", file, diff)
			}
		})
	}
}

// runTrace runs the commands of a script and returns the script with what they print now.
func runTrace(t *testing.T, script string) string {
	tr := &trace{world: memWorld(t), topic: "t"}
	tr.log = slog.New(&traceLog{tr: tr})
	var out strings.Builder
	for block := range strings.SplitSeq(strings.TrimSpace(script), "\n\n") {
		var comments, commands []string
		for line := range strings.Lines(block) {
			line = strings.TrimRight(line, "\n")
			switch {
			case line == "----":
				goto run
			case strings.HasPrefix(line, "#"):
				comments = append(comments, line)
			default:
				commands = append(commands, line)
			}
		}
	run:
		for _, c := range comments {
			out.WriteString(c + "\n")
		}
		tr.out.Reset()
		for _, c := range commands {
			tr.command(c)
			out.WriteString(c + "\n")
		}
		if len(commands) > 0 {
			out.WriteString("----\n" + tr.out.String())
		}
		out.WriteString("\n")
	}
	return strings.TrimRight(out.String(), "\n") + "\n"
}

type trace struct {
	*world
	topic string
	l     *Log
	c     Config
	out   strings.Builder
}

// traceLog prints what is logged at Warn and above.
type traceLog struct {
	tr    *trace
	attrs []slog.Attr
}

func (h *traceLog) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelWarn }
func (h *traceLog) WithAttrs(a []slog.Attr) slog.Handler {
	return &traceLog{h.tr, append(slices.Clip(h.attrs), a...)}
}
func (h *traceLog) WithGroup(string) slog.Handler { return h }
func (h *traceLog) Handle(_ context.Context, r slog.Record) error {
	fmt.Fprintf(&h.tr.out, "  %s: %s", r.Level, r.Message)
	r.Attrs(func(a slog.Attr) bool {
		if a.Key != "topic" && a.Key != "partition" {
			if err, ok := a.Value.Any().(error); ok {
				a.Value = slog.StringValue(shortError(err))
			}
			fmt.Fprintf(&h.tr.out, " %s=%v", a.Key, a.Value)
		}
		return true
	})
	h.tr.out.WriteString("\n")
	return nil
}

// shortError leaves out what other rooms may word differently tomorrow.
func shortError(err error) string {
	var corrupt *segment.CorruptError
	if errors.As(err, &corrupt) {
		return fmt.Sprintf("corrupt %s at %d", filepath.Base(corrupt.Path), corrupt.Position)
	}
	return err.Error()
}

type arguments map[string]string

func (a arguments) int(name string, otherwise int64) int64 {
	text, ok := a[name]
	if !ok {
		return otherwise
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		panic(err)
	}
	return n
}

func (tr *trace) printf(format string, a ...any) { fmt.Fprintf(&tr.out, format+"\n", a...) }

func (tr *trace) command(line string) {
	fields := strings.Fields(line)
	args := arguments{}
	for _, f := range fields[1:] {
		key, value, _ := strings.Cut(f, "=")
		args[key] = value
	}
	switch fields[0] {
	case "open": // boot=NAME segment=BYTES retention=MS size=BYTES durable
		tr.boot = cmpOr(args["boot"], tr.boot)
		d, err := OpenDir(tr.options())
		if err != nil {
			tr.printf("error: %v", err)
			return
		}
		tr.d = d
		tr.c = Config{SegmentBytes: int32(args.int("segment", int64(tr.c.SegmentBytes))), IndexInterval: 1, RetentionMs: args.int("retention", tr.c.RetentionMs),
			RetentionBytes: args.int("size", tr.c.RetentionBytes), SegmentMs: args.int("roll", tr.c.SegmentMs)}
		if _, ok := args["durable"]; ok {
			tr.c.Durable = true
		}
		tr.l = d.Log(tr.topic, testID, 0, tr.c)
		tr.printf("previous stop: %v", d.how)
		tr.report(tr.ready(tr.l))
	case "close":
		tr.close()
	case "kill":
		tr.kill()
	case "power": // keep=PERCENT of what was not synced, seed=N
		tr.jobs = nil
		clone := tr.mem().CrashClone(rand.New(rand.NewPCG(uint64(args.int("seed", 1)), 0)), int(args.int("keep", 0)))
		_ = tr.d.Close(false)
		tr.jobs = nil
		tr.fs = clone
	case "append": // n= size= ts= epoch= pid= pepoch= seq= txn
		o := record.BuildOptions{}
		if pid := args.int("pid", -1); pid >= 0 {
			o = record.BuildOptions{Idempotent: true, ProducerID: pid, ProducerEpoch: int16(args.int("pepoch", 0)), BaseSequence: int32(args.int("seq", 0))}
			_, o.Transactional = args["txn"]
		}
		a, err := tr.append(tr.l, build(o, int(args.int("n", 1)), int(args.int("size", 10)), args.int("ts", tr.now)), int32(args.int("epoch", 0)))
		if err != nil {
			tr.printf("%s", shortError(err))
			return
		}
		note := ""
		if a.Duplicate {
			note = fmt.Sprintf(" duplicate, timestamp %d", a.LogAppendTime)
		}
		tr.printf("%d-%d%s", a.BaseOffset, a.LastOffset, note)
	case "marker": // pid= pepoch= commit|abort
		_, commit := args["commit"]
		a, err := tr.append(tr.l, marker(args.int("pid", 0), int16(args.int("pepoch", 0)), commit, tr.now), int32(args.int("epoch", 0)))
		if err != nil {
			tr.printf("%s", shortError(err))
			return
		}
		tr.printf("%d", a.BaseOffset)
	case "flush":
		to, err := tr.l.Flush()
		if err != nil {
			tr.printf("error: %v", err)
			return
		}
		tr.printf("flushed to %d", to)
	case "roll":
		tr.report(tr.l.Roll())
	case "tick": // ms=
		tr.now += args.int("ms", 1000)
		tr.report(tr.d.Tick(tr.now))
		tr.pump()
	case "idle":
		tr.l.Idle(tr.now, 0)
		tr.pump()
	case "retain": // hw=
		n, err := tr.l.Retain(tr.now, args.int("hw", tr.l.LogEnd()))
		tr.report(err)
		tr.printf("deleted %d", n)
		tr.pump()
	case "delete-before":
		tr.report(tr.l.DeleteBefore(args.int("offset", 0)))
	case "truncate":
		tr.report(tr.l.TruncateTo(args.int("offset", 0)))
	case "remove":
		tr.report(tr.l.Remove())
		tr.l = tr.d.Log(tr.topic, testID, 0, tr.c)
	case "hw":
		tr.l.NoteHighWatermark(args.int("offset", 0))
	case "lso":
		tr.printf("last stable %d", tr.l.LastStable(args.int("hw", tr.l.LogEnd())))
	case "aborted":
		var list []AbortedTxn
		err := tr.eventually(func() (err error) {
			list, err = tr.l.Aborted(nil, args.int("from", 0), args.int("to", tr.l.LogEnd()))
			return err
		})
		tr.report(err)
		tr.printf("aborted %+v", list)
	case "end-of-epoch":
		err := tr.eventually(func() error {
			epoch, end, err := tr.l.EpochEnd(int32(args.int("epoch", 0)))
			if err == nil {
				tr.printf("epoch %d ends at %d", epoch, end)
			}
			return err
		})
		tr.report(err)
	case "log":
		tr.printf("%s", cmpOr(tr.dump(tr.l), "empty"))
	case "state":
		tr.state()
	case "files":
		tr.files(args["dir"])
	case "cut": // file= by= : a file loses bytes at its end
		tr.change(args["file"], func(b []byte) []byte { return b[:len(b)-int(args.int("by", 1))] })
	case "flip": // file= at= : a byte of a file changes in place
		f, err := tr.fs.OpenFile(join(tr.path, args["file"]), os.O_RDWR, 0)
		if err != nil {
			tr.printf("error: %v", err)
			return
		}
		var b [1]byte
		_, err = f.ReadAt(b[:], args.int("at", 0))
		tr.report(err)
		b[0] ^= 0x40
		_, err = f.WriteAt(b[:], args.int("at", 0))
		tr.report(err)
		tr.report(f.Close())
	case "rm":
		if err := tr.fs.Remove(join(tr.path, args["file"])); err != nil {
			tr.printf("error: %v", err)
		}
	default:
		tr.t.Fatalf("unknown command %q", line)
	}
}

func cmpOr(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

func (tr *trace) report(err error) {
	if err != nil {
		tr.printf("error: %s", shortError(err))
	}
}

func (tr *trace) change(file string, f func([]byte) []byte) {
	path := join(tr.path, file)
	b, err := readFile(tr.fs, path)
	if err == nil {
		b = f(bytes.Clone(b))
		err = writeFile(tr.fs, path, b)
	}
	if err != nil {
		tr.printf("error: %v", err)
	}
}

// state prints all that is known of the log.
func (tr *trace) state() {
	l := tr.l
	l.mu.Lock()
	defer l.mu.Unlock()
	tr.printf("%v [%d, %d) flushed to %d, high watermark %d", l.mu.phase, l.LogStart(), l.LogEnd(), l.FlushedTo(), l.HighWatermark())
	o := l.mu.o
	if o == nil {
		return
	}
	for i, s := range o.segments {
		tr.printf("  segment %d-%d, %d bytes, %d aborted", s.Base(), s.NextOffset(), s.Size(), countAborted(o.txns[i]))
	}
	tr.printf("  epochs %v", &o.epochs)
	for _, p := range o.producers.sorted() {
		tr.printf("  %s", printProducer(&p))
	}
	if u := l.unstable.Load(); u != math.MaxInt64 {
		tr.printf("  unstable from %d", u)
	}
}

func countAborted(t txnIndex) int {
	if t.Txn == nil {
		return 0
	}
	return len(t.All())
}

func printProducer(p *producer) string {
	var sb strings.Builder
	fmt.Fprintf(&sb, "producer %d epoch %d:", p.id, p.epoch)
	for _, b := range p.window[:p.batches] {
		fmt.Fprintf(&sb, " %d-%d@%d", b.firstSequence(), b.lastSequence, b.baseOffset())
	}
	if p.txnFirst >= 0 {
		fmt.Fprintf(&sb, ", transaction from %d", p.txnFirst)
	}
	return sb.String()
}

// files prints names and sizes of the directory's folder.
func (tr *trace) files(dir string) {
	entries, err := tr.fs.ReadDir(join(tr.path, dir))
	if err != nil {
		tr.printf("error: %v", err)
		return
	}
	for _, e := range entries {
		if e.IsDir() {
			tr.printf("  %s/", e.Name())
			continue
		}
		info, err := e.Info()
		if err != nil {
			tr.printf("error: %v", err)
			continue
		}
		tr.printf("  %s %d", e.Name(), info.Size())
	}
}

var _ vfs.FS = (*vfs.Mem)(nil)
