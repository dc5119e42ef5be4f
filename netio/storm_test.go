package netio

import (
	"testing"
	"time"
)

func TestStormOver(t *testing.T) {
	for _, tc := range []struct {
		name  string
		moves []int64 // at each tick
		over  []int   // ticks at which it is, from 0
	}{
		{"all at once", []int64{1000, 0, 0, 0, 0, 0, 0}, []int{3}},
		{"over many ticks", []int64{300, 300, 10, 300, 300, 10, 0, 0, 0, 0}, []int{7}},
		{"too few", []int64{900, 0, 0, 0, 0}, nil},
		{"two that are too few", []int64{900, 0, 0, 0, 900, 0, 0, 0}, nil},
		{"at a steady pace", []int64{500, 500, 500, 500, 500, 500, 500, 500}, nil},
		{"now and then one", []int64{10, 10, 10, 10, 10, 10, 10, 10, 10, 10}, nil},
		{"two of them", []int64{1000, 0, 0, 0, 2000, 0, 0, 0}, []int{3, 7}},
	} {
		var s storm
		var count int64
		var over []int
		for tick, moved := range tc.moves {
			count += moved
			if s.over(count, stormSize) {
				over = append(over, tick)
			}
		}
		if len(over) != len(tc.over) || len(over) > 0 && over[0] != tc.over[0] || len(over) > 1 && over[1] != tc.over[1] {
			t.Errorf("%s: over at %v, want %v", tc.name, over, tc.over)
		}
	}
}

// What a storm has left is given back once when it is over, of connections that came as of such that went.
func TestMemoryIsGivenBackAfterAStorm(t *testing.T) {
	given := make(chan struct{}, 16)
	s, _ := serve(t, funcs{}, func(o *Options) {
		o.stormSize, o.progressWindow = 8, 80*time.Millisecond
		o.giveBack = func() { given <- struct{}{} }
	})
	wait := func(what string) {
		t.Helper()
		select {
		case <-given:
		case <-time.After(patience):
			t.Fatalf("nothing was given back after %s", what)
		}
	}
	var clients []*client
	for range 8 {
		clients = append(clients, dial(t, s))
	}
	wait("8 connections had come")
	for _, c := range clients {
		c.Close()
	}
	wait("8 connections had gone")
}
