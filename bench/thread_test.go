package bench

import (
	"runtime"
	"testing"
	"time"
)

// A thread that never sleeps has run or wanted to for all of the time, however many others share its processor.
func TestOwnThreadCountsWhatOthersTook(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before, ok := ownThread()
	if !ok {
		t.Skip("this kernel does not tell how long a thread waits for a processor")
	}
	const length = 200 * time.Millisecond
	begin := time.Now()
	for time.Since(begin) < length {
	}
	after, _ := ownThread()
	if d := after.since(before); d < length*9/10 || after.ran <= before.ran {
		t.Errorf("busy for %v, and told %v", time.Since(begin), d)
	}
}
