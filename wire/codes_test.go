package wire_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/millrace/millrace/wire"
)

func TestCodesHaveKafkasNames(t *testing.T) {
	for c := wire.UnknownServerError; c <= wire.ControllerIDNotRegistered; c++ {
		if c == wire.None {
			continue
		}
		err := kerr.ErrorForCode(int16(c))
		var known *kerr.Error
		if !errors.As(err, &known) || known.Code != int16(c) {
			t.Errorf("franz-go does not know code %d", int16(c))
			continue
		}
		if got := c.String(); got != known.Message && c != wire.NotLeaderOrFollower { // of which franz-go has the old name
			t.Errorf("code %d is %s, franz-go says %s", int16(c), got, known.Message)
		}
		if c.Message() == "" || !strings.HasPrefix(c.Error(), c.String()+": ") {
			t.Errorf("code %d says %q", int16(c), c.Error())
		}
	}
	if wire.None.String() != "NONE" || wire.ControllerIDNotRegistered != 136 {
		t.Error("the ends of the table moved")
	}
}

func TestCodesOutsideTheTable(t *testing.T) {
	for _, c := range []wire.Code{-2, -32768, 137, 32767} {
		if c.Retriable() || c.String() != fmt.Sprintf("CODE_%d", int16(c)) || c.Error() == "" {
			t.Errorf("%d: %v", int16(c), c)
		}
	}
}

func TestRetriableCodes(t *testing.T) {
	for c, want := range map[wire.Code]bool{
		wire.UnknownServerError: false, wire.None: false, wire.OffsetOutOfRange: false, wire.CorruptMessage: true,
		wire.UnknownTopicOrPartition: true, wire.NotLeaderOrFollower: true, wire.MessageTooLarge: false, wire.NotEnoughReplicas: true,
		wire.RebalanceInProgress: false, wire.KafkaStorageError: true, wire.OutOfOrderSequenceNumber: false, wire.UnknownTopicID: true,
		wire.FencedLeaderEpoch: true, wire.InvalidRequest: false, wire.ThrottlingQuotaExceeded: true,
	} {
		if c.Retriable() != want {
			t.Errorf("%v: retriable %v", c, !want)
		}
	}
}

func TestCodeIsAnError(t *testing.T) {
	err := fmt.Errorf("append: %w", wire.NotLeaderOrFollower)
	var code wire.Code
	if !errors.As(err, &code) || code != wire.NotLeaderOrFollower || !errors.Is(err, wire.NotLeaderOrFollower) {
		t.Errorf("%v lost its code", err)
	}
}

func TestUUID(t *testing.T) {
	id := wire.UUID{0xfb, 0xff, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14}
	const text = "-_8BAgMEBQYHCAkKCwwNDg"
	if id.String() != text || id.IsZero() || !(wire.UUID{}).IsZero() {
		t.Errorf("got %s", id)
	}
	for _, s := range []string{text, text + "=="} {
		if got, err := wire.ParseUUID(s); err != nil || got != id {
			t.Errorf("parse %q: %v, %v", s, got, err)
		}
	}
	for _, s := range []string{"", text[:21], text + "A", text + "=", "+/8BAgMEBQYHCAkKCwwNDg", text[:21] + "h", text[:20] + "\n\n", strings.Repeat("A", 1000)} {
		if got, err := wire.ParseUUID(s); err == nil {
			t.Errorf("parse %q: %v", s, got)
		}
	}
	asJSON, err := json.Marshal(map[string]wire.UUID{"id": id})
	var back map[string]wire.UUID
	if err != nil || string(asJSON) != `{"id":"`+text+`"}` || json.Unmarshal(asJSON, &back) != nil || back["id"] != id {
		t.Errorf("as JSON: %s, %v", asJSON, err)
	}
}
