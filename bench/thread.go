package bench

import (
	"bytes"
	"os"
	"strconv"
	"time"
)

// threadTime is how long the calling thread has run, and how long it was ready to and others had the processor. A generator that
// is not let run looks idle to its own clock: it sleeps, and wakes late.
type threadTime struct{ ran, queued time.Duration }

// ownThread reads it; ok is false where the kernel does not tell.
func ownThread() (t threadTime, ok bool) {
	text, err := os.ReadFile("/proc/thread-self/schedstat") // nanoseconds it ran, nanoseconds it waited to, times it ran
	if err != nil {
		return t, false
	}
	fields := bytes.Fields(text)
	if len(fields) < 2 {
		return t, false
	}
	ran, err1 := strconv.ParseInt(string(fields[0]), 10, 64)
	queued, err2 := strconv.ParseInt(string(fields[1]), 10, 64)
	return threadTime{time.Duration(ran), time.Duration(queued)}, err1 == nil && err2 == nil
}

// since is the time that was worked or wanted between two readings.
func (t threadTime) since(o threadTime) time.Duration { return t.ran + t.queued - o.ran - o.queued }
