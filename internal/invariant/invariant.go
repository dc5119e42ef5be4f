// Package invariant holds assertions that are too costly for every run. They are on in race builds (go test -race), off otherwise.
// A cheap check needs no package: an if and a panic, always on.
package invariant

import "fmt"

// Check panics when ok is false and Enabled is set. Guard a costly condition: if invariant.Enabled { invariant.Check(...) }.
func Check(ok bool, format string, a ...any) {
	if Enabled && !ok {
		panic("invariant: " + fmt.Sprintf(format, a...))
	}
}
