package coord

import (
	"github.com/millrace/millrace/group"
	"github.com/millrace/millrace/wire"
)

// A Task is one request to a shard. Its owner embeds it, sets Decide and Answer, and may not touch it between Submit and Answer but in Decide.
type Task struct {
	// Decide runs on whatever goroutine runs the shard. It asks the shard, keeps what it says, and calls Ready; or it leaves a func with the shard that
	// does so when the time has come.
	Decide func(s *group.Shard, now int64)
	// Answer is called once, on any goroutine, and must not block. None: what Decide kept may be told. Anything else: the request was not
	// decided, or what was decided is lost; Decide may have run, or may not.
	Answer func(code wire.Code)
	// Quick tasks are decided where they come in when the shard is idle: on an event loop.
	Quick bool
	// Bytes is what the request holds in memory until it is decided.
	Bytes int

	shard      *shard
	waits      bool // on the shard's list of those that are not ready
	ready      bool
	next, prev *Task
}

// Ready says that the answer is known. Only from inside Decide, of this task or another, or another method of the shard.
func (t *Task) Ready() {
	if t.ready {
		panic("coord: a task was ready twice")
	}
	t.ready = true
	if t.waits {
		t.waits = false
		t.shard.waiting.remove(t)
	}
	t.shard.gathered.answers.push(t)
}

// taskList is a doubly linked list, in order of arrival.
type taskList struct {
	first, last *Task
}

func (l *taskList) empty() bool { return l.first == nil }

func (l *taskList) push(t *Task) {
	t.prev, t.next = l.last, nil
	if l.last == nil {
		l.first = t
	} else {
		l.last.next = t
	}
	l.last = t
}

func (l *taskList) remove(t *Task) {
	if t.prev == nil {
		l.first = t.next
	} else {
		t.prev.next = t.next
	}
	if t.next == nil {
		l.last = t.prev
	} else {
		t.next.prev = t.prev
	}
	t.next, t.prev = nil, nil
}

// pop takes the first one off, nil when there is none.
func (l *taskList) pop() *Task {
	t := l.first
	if t != nil {
		l.remove(t)
	}
	return t
}

// join appends all of m, which is empty afterwards.
func (l *taskList) join(m *taskList) {
	switch {
	case m.first == nil:
		return
	case l.first == nil:
		*l = *m
	default:
		l.last.next, m.first.prev = m.first, l.last
		l.last = m.last
	}
	*m = taskList{}
}

// answer tells everybody on the list, which is empty afterwards.
func (l *taskList) answer(code wire.Code) {
	for t := l.pop(); t != nil; t = l.pop() {
		t.answer(code)
	}
}

func (t *Task) answer(code wire.Code) {
	t.shard, t.ready, t.waits = nil, false, false // the owner may reuse it from within Answer
	t.Answer(code)
}
