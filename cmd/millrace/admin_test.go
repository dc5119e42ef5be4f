package main

import (
	"log/slog"
	"net"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/config"
)

// A default port that is taken costs the metrics, not the broker: several may run on one machine.
func TestTakenDefaultPortDoesNotStopTheBroker(t *testing.T) {
	cfg, err := config.Load("", nil)
	if err != nil {
		t.Fatal(err)
	}
	if l, err := net.Listen("tcp", cfg.Admin().Address()); err == nil { // else somebody else has it, which does as well
		defer l.Close()
	}
	a, err := listenAdmin(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer a.close()
	a.stopping()
	if a.address() != "" || !strings.HasPrefix(a.note, "port 9644 of the admin listener is taken by ") {
		t.Errorf("address %q, note %q", a.address(), a.note)
	}
}
