package main

import "strings"

// nearest returns the candidate that was probably meant, or "".
func nearest(name string, candidates []string) string {
	best, limit := "", max(2, len([]rune(name))/4)+1
	for _, candidate := range candidates {
		if strings.EqualFold(name, candidate) {
			return candidate
		}
		if d := editDistance([]rune(name), []rune(candidate), limit); d < limit {
			best, limit = candidate, d
		}
	}
	if best == "" && len(name) >= 3 {
		for _, candidate := range candidates {
			if strings.HasPrefix(candidate, name) {
				return candidate
			}
		}
	}
	return best
}

// didYouMean is a hint: the nearest candidate, if any, before what else there is to say.
func didYouMean(name string, candidates []string, otherwise string) string {
	if near := nearest(name, candidates); near != "" {
		return strings.TrimSuffix("did you mean "+printable(near)+"? "+otherwise, " ")
	}
	return otherwise
}

// editDistance is the number of characters to insert, delete, replace or swap with a neighbour; limit when it is that or more.
func editDistance(a, b []rune, limit int) int {
	if len(a)-len(b) >= limit || len(b)-len(a) >= limit {
		return limit
	}
	before, last, next := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range a {
		next[0] = i + 1
		for j := range b {
			next[j+1] = min(last[j+1], next[j]) + 1
			if a[i] == b[j] {
				next[j+1] = min(next[j+1], last[j])
			} else {
				next[j+1] = min(next[j+1], last[j]+1)
			}
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				next[j+1] = min(next[j+1], before[j-1]+1)
			}
		}
		before, last, next = last, next, before
	}
	return min(last[len(b)], limit)
}
