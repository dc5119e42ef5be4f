package engine

import (
	"log/slog"
	"os"
	"strconv"
	"strings"
	"testing"
)

func TestDebugCrash(t *testing.T) {
	spec := os.Getenv("CRASH")
	if spec == "" {
		t.Skip("CRASH is not set")
	}
	var n [4]int
	for i, f := range strings.Split(spec, ",") {
		n[i], _ = strconv.Atoi(f)
	}
	debugLog = slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{Level: slog.LevelDebug}))
	_, err := crashOnce(t, uint64(n[0]), n[1], n[2], n[3] == 1)
	t.Log(err)
}

func TestDebugOps(t *testing.T) {
	t.Skip()
}
