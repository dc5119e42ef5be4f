package console

import (
	"net/http"
)

// livez is for whoever restarts a process that hangs: it never fails because of a long recovery or of a disk, which a restart makes no better.
func (s *Server) livez(w http.ResponseWriter, _ *http.Request) { say(w, http.StatusOK, "ok") }

// readyz is for whoever sends clients here.
func (s *Server) readyz(w http.ResponseWriter, _ *http.Request) {
	if why := s.unready(); why != "" {
		say(w, http.StatusServiceUnavailable, why)
		return
	}
	say(w, http.StatusOK, "ok")
}

func (s *Server) unready() string {
	v := s.view.Load()
	switch {
	case s.stopping.Load():
		return "stopping"
	case v == nil:
		return "starting: the log directory is being opened"
	}
	return v.Unready()
}

func say(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text + "\n")) // who does not read it misses it
}
