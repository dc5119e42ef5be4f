//go:build !race

package invariant

// Enabled says whether costly assertions run.
const Enabled = false
