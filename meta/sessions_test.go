package meta

import (
	"errors"
	"testing"

	"github.com/millrace/millrace/wire"
)

// A fence that was decided for one life of a broker does not reach the next one.
func TestNextLifeIsNotFenced(t *testing.T) {
	im, _ := large(t, 1)
	rs, err := FenceBroker(im, 1, im.Broker(1).Epoch-1, &Rules{})
	if code := wire.Code(0); len(rs) > 0 || !errors.As(err, &code) || code != wire.StaleBrokerEpoch {
		t.Errorf("%d records, %v", len(rs), err)
	}
}

// A controller that has just begun does not know how far the brokers have come: who stops waits until they have said so.
func TestShutdownWaitsForWhoHasNotBeenHeardOf(t *testing.T) {
	im, _ := large(t, 1)
	s := NewSessions(1000, 0)
	im, _ = beat(t, im, s, 1, true)
	for _, other := range []int32{2, 3} {
		if _, a := beat(t, im, s, 1, true); a.ShutDown {
			t.Fatalf("it may stop before broker %d has been heard of", other)
		}
		im, _ = beat(t, im, s, other, false)
	}
	if _, a := beat(t, im, s, 1, true); !a.ShutDown {
		t.Error("it may not stop though everybody knows")
	}
}
