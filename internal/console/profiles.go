package console

import (
	"fmt"
	"net/http"
	"net/http/pprof"
	"strconv"
	"time"
)

// longestProfile bounds how long a profile is taken.
const longestProfile = 5 * time.Minute

// profiles serves Go's profiles, as net/http/pprof does where nothing else is served.
func profiles(mux *http.ServeMux) {
	for path, handler := range map[string]http.HandlerFunc{
		"/debug/pprof/":        pprof.Index, // and the named profiles below it
		"/debug/pprof/cmdline": pprof.Cmdline,
		"/debug/pprof/profile": pprof.Profile,
		"/debug/pprof/symbol":  pprof.Symbol,
		"/debug/pprof/trace":   pprof.Trace,
	} {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) {
			taken, err := profileTime(r)
			if err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
				return
			}
			allow(w, taken+writeTime)
			handler(w, r)
		})
	}
}

// profileTime is how long the profile that is asked for takes at most.
func profileTime(r *http.Request) (time.Duration, error) {
	const unsaid = 30 * time.Second // what net/http/pprof takes a profile of the processor for, also when it is told less than a second
	text := r.URL.Query().Get("seconds")
	if text == "" {
		return unsaid, nil
	}
	seconds, err := strconv.ParseFloat(text, 64)
	if most := longestProfile.Seconds(); err != nil || !(seconds >= 0 && seconds <= most) {
		return 0, fmt.Errorf("seconds=%.20q: must be a number from 0 to %g", text, most)
	}
	return max(time.Duration(seconds*float64(time.Second)), unsaid), nil
}
