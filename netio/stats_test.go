package netio

import (
	"testing"
	"time"

	"github.com/millrace/millrace/internal/metric"
	"github.com/millrace/millrace/internal/vfs"
)

// A request's time ends when its reply has left, not when its handler returned: here another goroutine finishes it.
func TestTookIsFromArrivalToDeparture(t *testing.T) {
	var took metric.Histogram
	held := make(chan *Reply, 1)
	s, _ := serve(t, funcs{frame: func(_ *Conn, r *Reply) {
		r.Took = &took
		r.Buf = append(r.Buf, "late"...)
		held <- r
	}}, nil)
	c := dial(t, s)
	before := time.Now()
	c.send([]byte("x"))
	r := <-held
	taken := time.Now()
	<-time.NewTimer(20 * time.Millisecond).C // what is to be measured
	least := time.Since(taken)
	r.Send()
	c.receive()
	most := time.Since(before)
	await(t, "the request to be counted", func() bool { return s.Stats().BytesOut == 8 })
	var got metric.Counts
	took.AddTo(&got)
	if sum := time.Duration(got.Sum); got.Count() != 1 || sum < least || sum > most+time.Second {
		t.Errorf("%d requests took %v; one took %v to %v", got.Count(), sum, least, most)
	}
	loops, uptime := s.Busy()
	var busy time.Duration
	for _, b := range loops {
		busy += b
	}
	if len(loops) != 2 || busy <= 0 || busy >= uptime {
		t.Errorf("%d loops were busy for %v of %v", len(loops), busy, uptime)
	}
	if n := s.ConnectionsOn("test"); n != 1 || s.ConnectionsOn("other") != 0 {
		t.Errorf("%d connections on the listener", n)
	}
}

// Slices are counted by the way they leave: large ones are the kernel's to send.
func TestSlicesAreCountedByPath(t *testing.T) {
	const small, large = inlineSlice, inlineSlice + 1
	f := newFile(t, vfs.OS, t.TempDir(), large, true)
	s, _ := serve(t, funcs{frame: func(_ *Conn, r *Reply) {
		length := large
		if string(r.Frame) == "small" {
			length = small
		}
		r.Insert(len(r.Buf), f.slice(0, length))
		r.Send()
	}}, nil)
	c := dial(t, s)
	for _, name := range []string{"large", "small"} {
		c.send([]byte(name))
		c.receive()
	}
	await(t, "the replies to be counted", func() bool { return s.Stats().Copied.Bytes == small }) // published last
	if st := s.Stats(); st.BytesOut != int64(4+large+4+small) || st.Sendfile != (Sliced{1, int64(large)}) || st.Copied != (Sliced{1, small}) {
		t.Errorf("%d bytes, by sendfile %+v, from memory %+v", st.BytesOut, st.Sendfile, st.Copied)
	}
}
