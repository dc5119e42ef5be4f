package console

import (
	"reflect"
	"testing"

	"github.com/millrace/millrace/broker"
)

// Every count of all topics stays where it was when a topic is missed.
func TestASumOverTopicsDoesNotGoDown(t *testing.T) {
	var before, missed broker.Counts
	for i := range reflect.TypeFor[broker.Counts]().NumField() {
		reflect.ValueOf(&before).Elem().Field(i).SetInt(int64(100 + i))
		reflect.ValueOf(&missed).Elem().Field(i).SetInt(int64(40 + i))
	}
	var s steady
	got := before
	s.hold(&got)
	if got != before {
		t.Errorf("%+v, want %+v", got, before)
	}
	got = missed
	s.hold(&got)
	if got != before {
		t.Errorf("with a topic missed: %+v, want %+v", got, before)
	}
	missed.BytesIn = 1000
	got = missed
	if s.hold(&got); got.BytesIn != 1000 || got.Fetches != before.Fetches {
		t.Errorf("later: %+v", got)
	}
}
