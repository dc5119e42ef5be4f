package broker

import (
	"errors"

	"github.com/millrace/millrace/engine"
	"github.com/millrace/millrace/segment"
	"github.com/millrace/millrace/wire"
	"github.com/millrace/millrace/wire/record"
)

// refusal is a code with a text for people.
type refusal struct {
	code wire.Code
	text string
}

func (r *refusal) Error() string { return r.text }
func (r *refusal) Unwrap() error { return r.code }

// errTransactional is DESIGN D1: never a retriable error, so that a transactional client fails at once and says why.
var errTransactional error = &refusal{wire.InvalidRequest, "This broker does not support transactions yet."}

// codeOf turns an error from the rooms below into what the client is told. It is the only place that does.
func codeOf(err error) wire.Code {
	if err == nil {
		return wire.None
	}
	var code wire.Code
	if errors.As(err, &code) {
		return code
	}
	var check *record.CheckError
	if errors.As(err, &check) {
		return wire.Code(check.Code)
	}
	var corrupt *segment.CorruptError
	switch {
	case errors.Is(err, engine.ErrOffline), errors.Is(err, engine.ErrDiskFull), errors.As(err, &corrupt):
		return wire.KafkaStorageError
	case errors.Is(err, engine.ErrClosed): // the topic was removed between look-up and use
		return wire.UnknownTopicOrPartition
	case errors.Is(err, engine.ErrWait): // only where waiting was given up
		return wire.NotLeaderOrFollower
	}
	return wire.KafkaStorageError // what is left comes from the operating system
}

// messageOf is the text beside a code, for people; "" when the code says it all.
func messageOf(err error) string {
	var check *record.CheckError
	var r *refusal
	switch {
	case err == nil:
		return ""
	case errors.As(err, &r):
		return r.text
	case errors.As(err, &check):
		return check.Reason
	case errors.Is(err, engine.ErrDiskFull):
		return "The disk of the log directory is full."
	case errors.Is(err, engine.ErrOffline):
		return "The log directory is offline after an I/O error."
	}
	return ""
}

func isWait(err error) bool { return errors.Is(err, engine.ErrWait) }
func isCold(err error) bool { return errors.Is(err, segment.ErrCold) }
