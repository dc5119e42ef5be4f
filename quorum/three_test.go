package quorum

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/millrace/millrace/engine"
	"github.com/millrace/millrace/internal/vfs"
	"github.com/millrace/millrace/meta"
)

// wire3 joins the quorums of one process.
type wire3 struct {
	mu    sync.Mutex
	nodes map[int32]*Quorum
}

func (w *wire3) Send(to int32, message []byte) {
	w.mu.Lock()
	q := w.nodes[to]
	w.mu.Unlock()
	if q != nil {
		_ = q.Receive(message) // the sender would not hear of it on a network either
	}
}

func (w *wire3) set(id int32, q *Quorum) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.nodes[id] = q
}

// decideOn proposes wherever the last answer points to until somebody decides, and returns who did.
func (w *wire3) decideOn(t *testing.T, ids []int32, name string) int32 {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for i := 0; time.Now().Before(deadline); i++ {
		id := ids[i%len(ids)]
		w.mu.Lock()
		q := w.nodes[id]
		w.mu.Unlock()
		answer := make(chan error, 1)
		q.Propose(func(im *meta.Image, _ int64) ([]meta.Record, error) {
			return []meta.Record{meta.ConfigRecord{Resource: meta.Resource{Type: meta.BrokerResource}, Name: name, Value: "x"}}, nil
		}, func(_ *meta.Image, err error) { answer <- err })
		err := <-answer
		var elsewhere *NotLeaderError
		switch {
		case err == nil:
			return id
		case !errors.As(err, &elsewhere) && !errors.Is(err, ErrLeadershipLost):
			t.Fatal(err)
		}
	}
	t.Fatal("nobody decides")
	return 0
}

// Three quorums with their goroutines and the real clock agree, and go on when their leader is gone.
func TestThreeQuorums(t *testing.T) {
	w := &wire3{nodes: map[int32]*Quorum{}}
	ids := []int32{4, 5, 6}
	news := make(chan struct{}, 1)
	var background jobs
	var dirs []*engine.Dir
	for _, id := range ids {
		fs := vfs.NewMem()
		r := rand.New(rand.NewPCG(uint64(id), 1))
		dir, err := engine.OpenDir(engine.DirOptions{FS: fs, Path: dataDir, Go: background.run, NodeID: id, ClusterID: "three", BootID: "boot", Rand: r.Uint64})
		if err != nil {
			t.Fatal(err)
		}
		dirs = append(dirs, dir)
		q, err := Open(Options{Dir: dir, FS: fs, Path: dataDir, NodeID: id, Voters: ids, Transport: w, Heartbeat: 10 * time.Millisecond,
			OnImage: func(_, _ *meta.Image) {
				select {
				case news <- struct{}{}:
				default:
				}
			}})
		if err != nil {
			t.Fatal(err)
		}
		w.set(id, q)
	}
	all := w.nodes
	agree := func(ids []int32, name string) {
		t.Helper()
		deadline := time.After(20 * time.Second)
		for {
			agreed := true
			first := all[ids[0]].Image()
			for _, id := range ids {
				im := all[id].Image()
				agreed = agreed && im.Config(meta.Resource{Type: meta.BrokerResource})[name] != "" && im.Hash() == first.Hash()
			}
			if agreed {
				return
			}
			select {
			case <-news:
			case <-deadline:
				t.Fatalf("no agreement on %s", name)
			}
		}
	}
	var last string
	for i := range 50 {
		last = fmt.Sprint("first-", i)
		w.decideOn(t, ids, last)
	}
	agree(ids, last)
	leader := w.decideOn(t, ids, "leader")
	if s := all[leader].Status(); s.Leader != leader || s.LogEnd == 0 || s.Epoch == 0 {
		t.Errorf("the leader %d says %+v", leader, s)
	}
	gone := all[leader]
	all = map[int32]*Quorum{}
	var rest []int32
	for _, id := range ids {
		if id != leader {
			rest = append(rest, id)
			all[id] = w.nodes[id]
		}
	}
	w.set(leader, nil)
	if err := gone.Close(); err != nil {
		t.Error(err)
	}
	for _, id := range rest {
		all[id].Died(leader)
	}
	next := w.decideOn(t, rest, "second")
	if next == leader {
		t.Error("the leader that is gone decides")
	}
	agree(rest, "second")
	for _, id := range rest {
		if err := all[id].Close(); err != nil {
			t.Error(err)
		}
	}
	background.Wait()
	for _, dir := range dirs {
		_ = dir.Close(true)
	}
}
