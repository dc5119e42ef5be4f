package trial

import (
	"math"
	"slices"
)

// manyOrders is up to how many ways of dealing the values out all are looked at. 10 and 10 values have 184,756.
const manyOrders = 200_000

// mannWhitney is the two-sided probability that two samples of one distribution differ as much in their ranks as these do: of all
// ways to deal the values out, so that equal values are no trouble, and by the normal approximation when those are too many.
func mannWhitney(x, y []float64) float64 {
	ranks, ties := midranks(append(slices.Clone(x), y...))
	n, m := len(x), len(y)
	mean := float64(n) * float64(n+m+1) / 2
	sum := 0.0
	for _, r := range ranks[:n] {
		sum += r
	}
	apart := math.Abs(sum - mean)
	if orders(n, m) <= manyOrders {
		return asFarApart(ranks, n, mean, apart)
	}
	all := float64(n + m)
	sd := math.Sqrt(float64(n) * float64(m) / 12 * (all + 1 - ties/(all*(all-1))))
	if sd == 0 {
		return 1
	}
	return min(1, 2*normalBelow(-max(0, apart-0.5)/sd))
}

// midranks gives equal values the mean of their ranks, and returns the sum of t^3-t over the groups of equal ones.
func midranks(v []float64) (ranks []float64, ties float64) {
	order := make([]int, len(v))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		switch {
		case v[a] < v[b]:
			return -1
		case v[a] > v[b]:
			return 1
		}
		return 0
	})
	ranks = make([]float64, len(v))
	for i := 0; i < len(order); {
		j := i
		for j < len(order) && v[order[j]] == v[order[i]] {
			j++
		}
		for _, k := range order[i:j] {
			ranks[k] = float64(i+1+j) / 2
		}
		t := float64(j - i)
		ties += t*t*t - t
		i = j
	}
	return ranks, ties
}

// asFarApart is the share of the choices of n ranks whose sum is as far from the mean as that, or further.
func asFarApart(ranks []float64, n int, mean, apart float64) float64 {
	far, all := 0, 0
	var choose func(from, left int, sum float64)
	choose = func(from, left int, sum float64) {
		if left == 0 {
			all++
			if math.Abs(sum-mean) >= apart-1e-9 {
				far++
			}
			return
		}
		for i := from; i <= len(ranks)-left; i++ {
			choose(i+1, left-1, sum+ranks[i])
		}
	}
	choose(0, n, 0)
	return float64(far) / float64(all)
}

// orders is how many ways there are to deal n+m values out.
func orders(n, m int) float64 {
	c := 1.0
	for i := 1; i <= n; i++ {
		c = c * float64(m+i) / float64(i)
	}
	return math.Round(c)
}

// leastP is the smallest probability that n and m values can show.
func leastP(n, m int) float64 { return min(1, 2/orders(n, m)) }

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	if len(v)%2 == 1 {
		return v[len(v)/2]
	}
	return (v[len(v)/2-1] + v[len(v)/2]) / 2
}
