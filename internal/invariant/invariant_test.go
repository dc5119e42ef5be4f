package invariant

import (
	"strings"
	"testing"
)

func TestCheckPanicsOnlyWhenEnabledAndBroken(t *testing.T) {
	for _, ok := range []bool{true, false} {
		func() {
			defer func() {
				r := recover()
				if want := Enabled && !ok; (r != nil) != want {
					t.Errorf("Check(%v) with Enabled=%v: recovered %v", ok, Enabled, r)
				}
				if r != nil && !strings.Contains(r.(string), "offset 7") {
					t.Errorf("panic %q does not carry the message", r)
				}
			}()
			Check(ok, "offset %d", 7)
		}()
	}
}
