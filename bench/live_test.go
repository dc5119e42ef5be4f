package bench

import (
	"testing"
	"time"
)

// A run that is ended early has seconds up to its planned end, which nobody must be told of.
func TestSecondsToComeAreNotTold(t *testing.T) {
	var told []int
	r := &run{clock: clock{time.Now().Add(-90 * time.Second)}, setup: Setup{Live: func(l Live) { told = append(told, l.Second.Second) }}}
	r.phase.Store("")
	r.span = span{begin: 0, from: 0, to: time.Hour}
	tell, stop := r.publish()
	tell(Second{Second: 100})
	tell(Second{Second: 7})
	tell(Second{Second: 3000})
	stop()
	if len(told) != 1 || told[0] != 7 {
		t.Errorf("told of seconds %v, want 7 alone", told)
	}
}
