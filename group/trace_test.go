package group

import (
	"encoding/binary"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/millrace/millrace/wire"
)

var rewrite = flag.Bool("rewrite", false, "write what the traces print into their files")

// A trace is a script of a coordinator with what it prints: records with a +, answers with the number of their request. Time stands still but
// for advance, which calls Advance whenever it is due. The lines of one block run one after the other:
//
//	options maxsize=2 maxmetadata= maxrecord= maxgroup= maxbytes= maxoffsets= delay= minsession= retention=   a new shard
//	join GROUP [MEMBER] client=c instance= session=10000 rebalance=30000 type=consumer range:topic+topic roundrobin=bytes old skip
//	                                       old: before KIP-394; skip: KIP-814
//	sync GROUP MEMBER GENERATION instance= type= protocol= MEMBER:ASSIGNMENT ...
//	heartbeat GROUP MEMBER GENERATION instance=
//	leave GROUP MEMBER MEMBER/INSTANCE /INSTANCE
//	commit GROUP MEMBER GENERATION instance= retention= id= v9 TOPIC-0:OFFSET:EPOCH:METADATA ...      member - is none
//	fetch GROUP [id=] all | TOPIC-0 ...
//	describe GROUP | delete GROUP | delete-offsets GROUP TOPIC-0 ... | remove TOPIC id=
//	list states=a,b types=a,b
//	advance 3000 | expire
//	record KIND KEY VALUE                  replays made-up bytes, in quotes
//	reload maxsize=                        all records so far into a new shard, and Loaded
//	show
func TestTraces(t *testing.T) {
	files, err := filepath.Glob("testdata/*.trace")
	if err != nil || len(files) == 0 {
		t.Fatalf("no traces: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := runTrace(t, string(want))
			if *rewrite {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != string(want) {
				t.Errorf("%s prints something else; look at the difference after go test -rewrite\n%s", file, firstDifference(string(want), got))
			}
		})
	}
}

func firstDifference(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range min(len(w), len(g)) {
		if w[i] != g[i] {
			return fmt.Sprintf("line %d\n-%s\n+%s", i+1, w[i], g[i])
		}
	}
	return fmt.Sprintf("%d lines, want %d", len(g), len(w))
}

func runTrace(t *testing.T, script string) string {
	tr := &tracer{t: t}
	tr.fresh(nil)
	var out strings.Builder
	for block := range strings.SplitSeq(strings.TrimSpace(script), "\n\n") {
		input, _, _ := strings.Cut(block, "\n----")
		if strings.HasPrefix(input, "#") {
			fmt.Fprintf(&out, "%s\n\n", input)
			continue
		}
		tr.out.Reset()
		for line := range strings.SplitSeq(input, "\n") {
			tr.line(parseWords(line))
			tr.flush()
		}
		fmt.Fprintf(&out, "%s\n----\n%s\n", input, tr.out.String())
	}
	return strings.TrimRight(out.String(), "\n") + "\n"
}

func memory(bytes int64) *Memory {
	if bytes == 0 {
		return nil
	}
	return &Memory{Max: int(bytes)}
}

type tracer struct {
	t        *testing.T
	options  Options
	shard    *Shard
	now      int64
	requests int
	ids      int
	log      []Record
	out      strings.Builder
}

// words are the words of a line: k=v, and others.
type words struct {
	args   []string
	fields map[string]string
}

func parseWords(line string) words {
	w := words{fields: map[string]string{}}
	for _, word := range strings.Fields(line) {
		k, v, ok := strings.Cut(word, "=")
		if ok && !strings.ContainsAny(k, ":\"") && k != "roundrobin" {
			w.fields[k] = v
		} else {
			w.args = append(w.args, word)
		}
	}
	return w
}

func (w *words) arg(i int) string {
	if i < len(w.args) {
		return w.args[i]
	}
	return ""
}

func (w *words) has(name string) bool {
	for _, a := range w.args {
		if a == name {
			return true
		}
	}
	return false
}

func (w *words) null(name string) wire.NullString {
	v, ok := w.fields[name]
	return wire.NullString{Value: v, Valid: ok}
}

func (tr *tracer) number(w *words, name string, otherwise int64) int64 {
	v, ok := w.fields[name]
	if !ok {
		return otherwise
	}
	return tr.parse(v)
}

func (tr *tracer) parse(s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		tr.t.Fatal(err)
	}
	return n
}

func (tr *tracer) fresh(w *words) {
	if w == nil {
		w = &words{}
	}
	tr.now, tr.ids, tr.requests, tr.log = 100000, 0, 0, nil
	tr.options = Options{
		MaxSize: int(tr.number(w, "maxsize", 0)), MaxMetadataBytes: int(tr.number(w, "maxmetadata", 0)),
		MaxRecordBytes: int(tr.number(w, "maxrecord", 0)), MaxGroupBytes: int(tr.number(w, "maxgroup", 0)), Members: memory(tr.number(w, "maxbytes", 0)), Offsets: memory(tr.number(w, "maxoffsets", 0)),
		InitialRebalanceDelayMs: tr.number(w, "delay", 0), MinSessionMs: tr.number(w, "minsession", 0), OffsetsRetentionMs: tr.number(w, "retention", 0),
		NewID: func() string { tr.ids++; return strconv.Itoa(tr.ids) },
	}
	tr.shard = New(tr.options)
}

// flush prints the records of the last call.
func (tr *tracer) flush() {
	for _, r := range tr.shard.TakeRecords() {
		fmt.Fprintf(&tr.out, "+ %s\n", r)
		tr.log = append(tr.log, r)
	}
}

// subscription is a consumer's metadata.
func subscription(topics ...string) []byte {
	b := binary.BigEndian.AppendUint32([]byte{0, 0}, uint32(len(topics)))
	for _, topic := range topics {
		b = appendString(b, topic)
	}
	return append(b, 0xff, 0xff, 0xff, 0xff)
}

func (tr *tracer) line(w words) {
	tr.requests++
	s, out, n := tr.shard, &tr.out, tr.requests
	switch group := w.arg(1); w.arg(0) {
	case "options":
		tr.fresh(&w)
	case "join":
		tr.join(w)
	case "sync":
		r := &SyncRequest{Group: group, Member: w.arg(2), Generation: int32(tr.parse(w.arg(3))), Instance: w.null("instance"),
			ProtocolType: w.null("type"), ProtocolName: w.null("protocol")}
		for _, a := range w.args[4:] {
			m, data, _ := strings.Cut(a, ":")
			r.Assignments = append(r.Assignments, Assignment{m, []byte(data)})
		}
		s.Sync(tr.now, r, func(a *SyncResponse) {
			tr.flush()
			fmt.Fprintf(&tr.out, "#%d sync %s: %s", n, r.Member, codeText(a.Code))
			if a.Code == wire.None {
				fmt.Fprintf(&tr.out, " type=%s protocol=%s assignment=%q", nullText(a.ProtocolType), nullText(a.ProtocolName), a.Assignment)
			}
			tr.out.WriteByte('\n')
		})
	case "heartbeat":
		code := s.Heartbeat(tr.now, &HeartbeatRequest{Group: group, Member: w.arg(2), Generation: int32(tr.parse(w.arg(3))), Instance: w.null("instance")})
		fmt.Fprintf(out, "#%d heartbeat: %s\n", n, codeText(code))
	case "leave":
		r := &LeaveRequest{Group: group}
		for _, a := range w.args[2:] {
			m, instance, ok := strings.Cut(a, "/")
			r.Members = append(r.Members, LeavingMember{m, wire.NullString{Value: instance, Valid: ok}})
		}
		a := s.Leave(tr.now, r)
		fmt.Fprintf(out, "#%d leave: %s", n, codeText(a.Code))
		for _, m := range a.Members {
			fmt.Fprintf(out, " %s/%s=%s", m.Member, nullText(m.Instance), codeText(m.Code))
		}
		out.WriteByte('\n')
	case "commit":
		tr.commit(w)
	case "fetch":
		tr.fetch(w)
	case "describe":
		d := s.Describe(group)
		fmt.Fprintf(out, "#%d %s: %s %s type=%q protocol=%q\n", n, d.Group, codeText(d.Code), d.State, d.ProtocolType, d.Protocol)
		for _, m := range d.Members {
			fmt.Fprintf(out, "  %s instance=%s client=%s@%s %s assignment=%q\n", m.Member, nullText(m.Instance), m.ClientID, m.ClientHost,
				subscriptionText(d.ProtocolType, m.Metadata), m.Assignment)
		}
	case "list":
		var states, types []string
		if v, ok := w.fields["states"]; ok {
			states = strings.Split(v, ",")
		}
		if v, ok := w.fields["types"]; ok {
			types = strings.Split(v, ",")
		}
		fmt.Fprintf(out, "#%d list:", n)
		for _, l := range s.List(NewFilter(states, types)) {
			fmt.Fprintf(out, " %s/%s/%s", l.Group, l.ProtocolType, l.State)
		}
		out.WriteByte('\n')
	case "delete":
		fmt.Fprintf(out, "#%d delete: %s\n", n, codeText(s.Delete(tr.now, group)))
	case "delete-offsets":
		r := &DeleteOffsetsRequest{Group: group}
		for _, a := range w.args[2:] {
			topic, p := topicPartition(tr, a)
			r.Topics = append(r.Topics, DeleteOffsetsTopic{topic, []int32{p}})
		}
		a := s.DeleteOffsets(tr.now, r)
		fmt.Fprintf(out, "#%d delete offsets: %s", n, codeText(a.Code))
		for _, code := range a.Topics {
			fmt.Fprintf(out, " %s", codeText(code))
		}
		out.WriteByte('\n')
	case "remove":
		s.TopicRemoved(tr.now, group, wire.UUID{byte(tr.number(&w, "id", 0))})
	case "advance":
		end := tr.now + tr.parse(w.arg(1))
		for at := s.Deadline(); at != -1 && at <= end; at = s.Deadline() {
			tr.now = max(tr.now, at)
			before := out.Len()
			fmt.Fprintf(out, "%d\n", tr.now)
			mark := out.Len()
			s.Advance(tr.now)
			tr.flush()
			if out.Len() == mark { // a session that has moved
				kept := out.String()[:before]
				out.Reset()
				out.WriteString(kept)
			}
		}
		tr.now = end
	case "expire":
		s.Expire(tr.now)
	case "record":
		key, err := strconv.Unquote(w.arg(1))
		if err != nil {
			tr.t.Fatal(err)
		}
		value, err := strconv.Unquote(w.arg(2))
		if err != nil {
			tr.t.Fatal(err)
		}
		fmt.Fprintf(out, "#%d %v\n", n, s.Replay([]byte(key), []byte(value)))
	case "reload":
		tr.options.MaxSize = int(tr.number(&w, "maxsize", int64(tr.options.MaxSize)))
		tr.shard.Release()
		tr.shard = New(tr.options)
		for _, r := range tr.log {
			if err := tr.shard.Replay(r.Key, r.Value); err != nil {
				tr.t.Fatalf("%s: %v", r, err)
			}
		}
		tr.shard.Loaded(tr.now)
		fmt.Fprintf(out, "%d records\n", len(tr.log))
	case "show":
		fmt.Fprintf(out, "%s", s)
	default:
		tr.t.Fatalf("no command %q", w.arg(0))
	}
}

func (tr *tracer) join(w words) {
	r := &JoinRequest{Group: w.arg(1), Instance: w.null("instance"), ClientID: "c", ClientHost: "/127.0.0.1",
		SessionTimeoutMs: int32(tr.number(&w, "session", 10000)), RebalanceTimeoutMs: int32(tr.number(&w, "rebalance", 30000)),
		ProtocolType: "consumer", RequireKnownMemberID: !w.has("old"), CanSkipAssignment: w.has("skip")}
	if v, ok := w.fields["client"]; ok {
		r.ClientID = v
	}
	if v, ok := w.fields["type"]; ok {
		r.ProtocolType = v
	}
	for _, a := range w.args[min(2, len(w.args)):] {
		switch {
		case a == "old" || a == "skip":
		case strings.ContainsRune(a, ':'):
			name, topics, _ := strings.Cut(a, ":")
			r.Protocols = append(r.Protocols, Protocol{name, subscription(strings.Split(topics, "+")...)})
		case strings.ContainsRune(a, '='):
			name, data, _ := strings.Cut(a, "=")
			r.Protocols = append(r.Protocols, Protocol{name, []byte(data)})
		default:
			r.Member = a
		}
	}
	n, answered := tr.requests, false
	tr.shard.Join(tr.now, r, func(a *JoinResponse) {
		if answered {
			tr.t.Errorf("join #%d is answered twice", n)
		}
		answered = true
		tr.flush()
		fmt.Fprintf(&tr.out, "#%d join: %s member=%s", n, codeText(a.Code), a.Member)
		if a.Code == wire.None {
			fmt.Fprintf(&tr.out, " generation=%d type=%s protocol=%s leader=%s", a.Generation, nullText(a.ProtocolType), nullText(a.ProtocolName), a.Leader)
		}
		if a.SkipAssignment {
			tr.out.WriteString(" skip")
		}
		for _, m := range a.Members {
			fmt.Fprintf(&tr.out, "\n  %s", m.Member)
			if m.Instance.Valid {
				fmt.Fprintf(&tr.out, " instance=%s", m.Instance)
			}
			fmt.Fprintf(&tr.out, " %s", subscriptionText(a.ProtocolType.Value, m.Metadata))
		}
		tr.out.WriteByte('\n')
	})
}

func topicPartition(tr *tracer, s string) (string, int32) {
	topic, p, _ := strings.Cut(s, "-")
	return topic, int32(tr.parse(p))
}

func (tr *tracer) commit(w words) {
	r := &CommitRequest{Group: w.arg(1), Member: strings.TrimPrefix(w.arg(2), "-"), Generation: int32(tr.parse(w.arg(3))),
		Instance: w.null("instance"), RetentionMs: tr.number(&w, "retention", -1), KnowsGroupIDs: w.has("v9")}
	if r.Group == "-" {
		r.Group = ""
	}
	for _, a := range w.args[4:] {
		if a == "v9" {
			continue
		}
		parts := strings.SplitN(a+":::", ":", 4)
		topic, p := topicPartition(tr, parts[0])
		c := CommitPartition{Partition: p, Offset: tr.parse(parts[1]), LeaderEpoch: -1}
		if parts[2] != "" {
			c.LeaderEpoch = int32(tr.parse(parts[2]))
		}
		if metadata := strings.TrimRight(parts[3], ":"); metadata != "" {
			c.Metadata = wire.Str(metadata)
		}
		r.Topics = append(r.Topics, CommitTopic{Name: topic, ID: wire.UUID{byte(tr.number(&w, "id", 0))}, Partitions: []CommitPartition{c}})
	}
	code := tr.shard.Commit(tr.now, r)
	fmt.Fprintf(&tr.out, "#%d commit: %s", tr.requests, codeText(code))
	for _, t := range r.Topics {
		if c := t.Partitions[0].Code; c != code {
			fmt.Fprintf(&tr.out, " %s-%d=%s", t.Name, t.Partitions[0].Partition, codeText(c))
		}
	}
	tr.out.WriteByte('\n')
}

func (tr *tracer) fetch(w words) {
	r := &FetchRequest{Group: w.arg(1), All: w.has("all")}
	for _, a := range w.args[2:] {
		if a != "all" {
			topic, p := topicPartition(tr, a)
			r.Topics = append(r.Topics, FetchTopic{topic, wire.UUID{byte(tr.number(&w, "id", 0))}, []int32{p}})
		}
	}
	fmt.Fprintf(&tr.out, "#%d fetch:", tr.requests)
	for _, t := range tr.shard.FetchOffsets(tr.now, r).Topics {
		for _, p := range t.Partitions {
			fmt.Fprintf(&tr.out, " %s-%d=%d:%d:%s", t.Name, p.Partition, p.Offset, p.LeaderEpoch, p.Metadata)
			if p.Code != wire.None {
				fmt.Fprintf(&tr.out, " %s", codeText(p.Code))
			}
		}
	}
	tr.out.WriteByte('\n')
}

func codeText(c wire.Code) string {
	if c == wire.None {
		return "ok"
	}
	return c.String()
}
