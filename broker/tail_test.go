package broker

import (
	"testing"
)

// Killed, and the operating system with it: what was not synced may be gone, so its offsets are given out again in a new leader epoch only.
func TestLeaderEpochRisesWhenTheTailMayBeLost(t *testing.T) {
	dir := t.TempDir()
	start := func(boot string, epoch int32) *Node {
		t.Helper()
		n := tryStart(t, Options{DataDir: dir, BootID: boot})
		if tp := n.image().TopicByName("t"); tp != nil {
			if p := tp.Partition(0); p.LeaderEpoch != epoch || p.Leader != n.id {
				t.Errorf("on %s: leader %d in epoch %d, want epoch %d", boot, p.Leader, p.LeaderEpoch, epoch)
			}
			if c := dial(t, n); c.list(listRequest(7, "t", 0, -1)).LeaderEpoch > epoch {
				t.Error("the log knows a later epoch")
			}
		}
		return n
	}
	n := start("one", 0)
	createTopic(t, n, "t", 1, "millrace.durability", "os")
	fill(dial(t, n), "t", 0, "a")
	n.Kill()
	n = start("one", 0) // the page cache is the same
	n.Kill()
	n = start("two", 1)
	fill(dial(t, n), "t", 0, "b")
	if got := dial(t, n).list(listRequest(7, "t", 0, -1)).LeaderEpoch; got != 1 {
		t.Errorf("appended in epoch %d", got)
	}
	stopNode(t, n)
	start("three", 1) // a clean stop loses nothing
}
