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
	if a.note != "" {
		t.Errorf("who has the port was looked for before the broker serves: %q", a.note)
	}
	a.blame(slog.New(slog.DiscardHandler))
	if a.address() != "" || !strings.HasPrefix(a.note, "port 9644 of the admin listener is taken by ") {
		t.Errorf("address %q, note %q", a.address(), a.note)
	}
}

// Who has served clients at what is now the default of the admin listener goes on doing so.
func TestClientsMayHaveTheDefaultPort(t *testing.T) {
	cfg, err := config.Load("", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := cfg.SetPort(cfg.Admin().Port); err != nil {
		t.Fatal(err)
	}
	a, err := listenAdmin(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer a.close()
	if a.address() != "" || !strings.HasPrefix(a.note, "port 9644 of the admin listener is that of PLAINTEXT: ") {
		t.Errorf("address %q, note %q", a.address(), a.note)
	}
	cfg, err = config.Load("", []string{"listeners=PLAINTEXT://127.0.0.1:9092", "millrace.admin.listener=127.0.0.1:9092"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := listenAdmin(cfg, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "the admin listener and PLAINTEXT://127.0.0.1:9092 are at the same address") {
		t.Errorf("%v", err)
	}
}
