package bench

import (
	"errors"
	"math/rand/v2"
)

// workload is what a Spec's words mean, with a source of chance of its own. One goroutine draws from it.
type workload struct {
	sizes    *Sizes
	keys     *Keys
	arrivals *Arrivals
	source   *rand.PCG
	random   *rand.Rand
}

// newWorkload reads the words. The same Spec and number draw the same.
func newWorkload(s Spec, number int) (*workload, error) {
	w := &workload{source: rand.NewPCG(s.Seed, uint64(number))}
	w.random = rand.New(w.source)
	var errs [3]error
	w.sizes, errs[0] = ParseSizes(s.Size)
	w.keys, errs[1] = ParseKeys(s.Keys)
	w.arrivals, errs[2] = ParseArrivals(s.Arrivals)
	return w, errors.Join(errs[:]...)
}
