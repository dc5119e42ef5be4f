package sim

import (
	"flag"
	"os"
	"testing"
)

var (
	seed  = flag.Uint64("seed", 0, "play this seed alone and print its story")
	seeds = flag.Uint64("seeds", 300, "how many seeds to play")
	first = flag.Uint64("first", 1, "the first of them")
)

const events = 4000

func TestSeeds(t *testing.T) {
	if *seed != 0 {
		if _, err := Run(Options{Seed: *seed, Events: events, Trace: os.Stdout}); err != nil {
			t.Fatal(err)
		}
		return
	}
	var sum Result
	for s := *first; s < *first+*seeds; s++ {
		r, err := Run(Options{Seed: s, Events: events})
		if err != nil {
			t.Fatalf("%v\ngo test ./internal/sim -run TestSeeds -seed %d prints the story", err, s)
		}
		sum.Committed += r.Committed
		sum.Epochs += r.Epochs
		sum.Crashes += r.Crashes
		sum.Cuts += r.Cuts
	}
	t.Logf("%d seeds: %d offsets committed, %d leader epochs, %d crashes, %d logs cut", *seeds, sum.Committed, sum.Epochs, sum.Crashes, sum.Cuts)
	if sum.Committed == 0 || sum.Crashes == 0 || sum.Cuts == 0 {
		t.Error("what the checks are for did not come up")
	}
}

// A failing seed is worth something only if it fails again.
func TestSameSeedSameStory(t *testing.T) {
	a, err := Run(Options{Seed: 7, Events: events})
	if err != nil {
		t.Fatal(err)
	}
	if b, err := Run(Options{Seed: 7, Events: events}); err != nil || a != b {
		t.Errorf("%+v, then %+v: %v", a, b, err)
	}
	if b, err := Run(Options{Seed: 8, Events: events}); err != nil || a.Hash == b.Hash {
		t.Errorf("another seed has the same story: %v", err)
	}
}
