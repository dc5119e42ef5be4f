package bench

import (
	"errors"
	"math/rand/v2"
)

// workload is what a Spec's words mean, with a source of chance of its own. One goroutine draws from it.
type workload struct {
	sizes    *sizes
	keys     *keys
	arrivals *arrivals
	source   *rand.PCG
	random   *rand.Rand
}

// newWorkload reads the words, and the files that they name. The same Spec and number draw the same.
func newWorkload(s Spec, number int) (*workload, error) {
	w := &workload{}
	var errs [3]error
	w.sizes, errs[0] = parseSizes(s.Size)
	w.keys, errs[1] = parseKeys(s.Keys)
	w.arrivals, errs[2] = parseArrivals(s.Arrivals)
	return w.numbered(s.Seed, number), errors.Join(errs[:]...)
}

// numbered is the same workload with the source of a number; what was read is shared.
func (w *workload) numbered(seed uint64, number int) *workload {
	n := *w
	n.source = rand.NewPCG(seed, uint64(number))
	n.random = rand.New(n.source)
	return &n
}
