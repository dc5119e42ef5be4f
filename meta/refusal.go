package meta

import (
	"fmt"

	"github.com/millrace/millrace/wire"
)

// Refusal is why a request is refused as a whole, in Kafka's code and words.
type Refusal struct {
	Code    wire.Code
	Message string
}

func (r *Refusal) Error() string { return r.Code.String() + ": " + r.Message }

// Unwrap lets errors.Is and errors.As find the code.
func (r *Refusal) Unwrap() error { return r.Code }

func refused(code wire.Code, format string, args ...any) *Refusal {
	return &Refusal{code, fmt.Sprintf(format, args...)}
}
