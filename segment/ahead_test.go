package segment

import (
	"testing"
)

// The next step of disk space is asked for while there is room left: an appender that keeps a steady pace never waits for it.
func TestStepsAreTakenBeforeTheTailNeedsThem(t *testing.T) {
	everywhere(t, func(t *testing.T, w world) {
		o := w.options()
		s, err := Create(w.dir, 0, o)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close(false)
		for size := int64(0); size < int64(o.MaxBytes)-8<<10; size = s.Size() {
			if err := s.Append(batch(s.NextOffset(), 1, 1000, 1)); err != nil {
				t.Fatalf("at %d bytes: %v", size, err)
			}
		}
	})
}
