package meta

import "strings"

// shapeOf is the name with '.' and '_' made equal, as metric names do to topics: two topics of one shape would be counted as one, so
// the second is refused. ok is false for names that have neither.
func shapeOf(name string) (shape string, ok bool) {
	if !strings.ContainsAny(name, "._") {
		return "", false
	}
	return strings.ReplaceAll(name, ".", "_"), true
}
