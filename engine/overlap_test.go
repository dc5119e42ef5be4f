package engine

import (
	"fmt"
	"testing"

	"github.com/millrace/millrace/index"
	"github.com/millrace/millrace/internal/vfs"
)

func TestOverlappingAbortedTransactions(t *testing.T) {
	x, err := index.OpenTxn(vfs.NewMem(), "/t")
	if err != nil {
		t.Fatal(err)
	}
	x.Append(index.Aborted{ProducerID: 1, FirstOffset: 10, LastOffset: 20, LastStable: 5})
	x.Append(index.Aborted{ProducerID: 2, FirstOffset: 22, LastOffset: 25, LastStable: 26})
	x.Append(index.Aborted{ProducerID: 3, FirstOffset: 30, LastOffset: 40, LastStable: 41})
	for _, c := range []struct {
		from, to int64
		want     string
		done     bool
	}{
		{0, 10, "[]", true}, // the second was written when everything below 26 was stable
		{0, 11, "[{1 10}]", true},
		{20, 22, "[{1 10}]", true},
		{21, 22, "[]", true},
		{21, 27, "[{2 22}]", true},
		{25, 41, "[{2 22} {3 30}]", true},
		{41, 50, "[]", false},
		{0, 100, "[{1 10} {2 22} {3 30}]", false},
	} {
		got, done := appendOverlapping(nil, x, c.from, c.to)
		if fmt.Sprint(got) != c.want || done != c.done {
			t.Errorf("[%d, %d): %v %v, want %s %v", c.from, c.to, got, done, c.want, c.done)
		}
	}
}
