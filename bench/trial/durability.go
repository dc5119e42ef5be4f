package trial

import (
	"fmt"
	"strings"
)

// UnequalDurabilityError refuses a comparison of two promises that cost different amounts.
type UnequalDurabilityError struct{ A, B, ModeA, ModeB string }

func (e *UnequalDurabilityError) Error() string {
	return fmt.Sprintf("%s acknowledges with durability %q, %s with %q: what they promise differs, so a ratio would say nothing.\n"+
		"Make them equal with --durability os (page cache) or --durability fsync, which sets millrace.durability or flush.messages of the topic on each as it needs it,\n"+
		"or compare them as they are with --unequal-durability: the headline will say so", e.A, e.ModeA, e.B, e.ModeB)
}

// sameDurability compares the modes alone: what follows in brackets is how a broker comes by it.
func sameDurability(a, b string) bool { return mode(a) == mode(b) }

func mode(durability string) string {
	m, _, _ := strings.Cut(durability, " ")
	return m
}
