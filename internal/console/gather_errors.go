package console

import (
	"fmt"
	"log/slog"
)

// gatherErrors logs what promhttp has to say.
type gatherErrors struct{ log *slog.Logger }

// Println is promhttp's only call.
func (g gatherErrors) Println(v ...any) {
	g.log.Warn("some metrics are missing", "err", fmt.Sprint(v...))
}
