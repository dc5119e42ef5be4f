//go:build compat

package compat

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"
)

// browser is a headless Chromium that is driven over the DevTools protocol: JSON documents, each ended by a zero byte, on its file
// descriptors 3 (to it) and 4 (from it).
type browser struct {
	t       *testing.T
	to      *os.File
	session string

	mu      sync.Mutex
	next    int
	answers map[int]chan devtoolsAnswer
	events  []pageEvent
	news    chan struct{} // closed and made anew with every event
}

type devtoolsAnswer struct {
	Result json.RawMessage
	Error  *struct{ Message string }
}

type pageEvent struct {
	Method string
	Params json.RawMessage
}

const browserPatience = 30 * time.Second

// openBrowser starts one with an empty profile, and an empty page in it.
func openBrowser(t *testing.T) *browser {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatal("chromium is missing: run compat/setup.sh first, or make compat")
	}
	cmd := exec.Command(path, "--headless", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
		"--disable-component-update", "--disable-sync", "--hide-scrollbars", "--user-data-dir="+t.TempDir())
	theirIn, to, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	from, theirOut, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.ExtraFiles = []*os.File{theirIn, theirOut}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	theirIn.Close()
	theirOut.Close()
	b := &browser{t: t, to: to, answers: map[int]chan devtoolsAnswer{}, news: make(chan struct{})}
	read := make(chan struct{})
	go func() { b.read(from); close(read) }()
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // and the processes it started
		_ = cmd.Wait()
		<-read
		to.Close()
		from.Close()
	})
	var target struct{ TargetID string }
	b.call("Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	var attached struct{ SessionID string }
	b.call("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached)
	b.session = attached.SessionID
	for _, domain := range []string{"Page", "Network", "Runtime", "Log"} {
		b.call(domain+".enable", nil, nil)
	}
	return b
}

func (b *browser) read(from *os.File) {
	for r := bufio.NewReader(from); ; {
		text, err := r.ReadBytes(0)
		if err != nil {
			return
		}
		var m struct {
			ID int
			devtoolsAnswer
			pageEvent
		}
		if json.Unmarshal(text[:len(text)-1], &m) != nil {
			continue
		}
		b.mu.Lock()
		if m.Method != "" {
			b.events = append(b.events, m.pageEvent)
			close(b.news)
			b.news = make(chan struct{})
		} else if to := b.answers[m.ID]; to != nil {
			delete(b.answers, m.ID)
			to <- m.devtoolsAnswer
		}
		b.mu.Unlock()
	}
}

// call asks for something and waits for the answer.
func (b *browser) call(method string, params, result any) {
	b.t.Helper()
	b.mu.Lock()
	b.next++
	request := map[string]any{"id": b.next, "method": method}
	if params != nil {
		request["params"] = params
	}
	if b.session != "" {
		request["sessionId"] = b.session
	}
	come := make(chan devtoolsAnswer, 1)
	b.answers[b.next] = come
	b.mu.Unlock()
	text, err := json.Marshal(request)
	if err != nil {
		b.t.Fatal(err)
	}
	if _, err := b.to.Write(append(text, 0)); err != nil {
		b.t.Fatalf("%s: %v", method, err)
	}
	select {
	case a := <-come:
		if a.Error != nil {
			b.t.Fatalf("%s: %s", method, a.Error.Message)
		}
		if result != nil {
			if err := json.Unmarshal(a.Result, result); err != nil {
				b.t.Fatalf("%s: %v", method, err)
			}
		}
	case <-time.After(browserPatience):
		b.t.Fatalf("%s: no answer after %v", method, browserPatience)
	}
}

// show opens an address at a width, with a light or a dark background, and waits until all of it has loaded. It forgets earlier events.
func (b *browser) show(address string, width int, scheme string) {
	b.t.Helper()
	b.call("Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false}, nil)
	b.call("Emulation.setEmulatedMedia", map[string]any{"features": []map[string]string{{"name": "prefers-color-scheme", "value": scheme}}}, nil)
	b.mu.Lock()
	b.events = nil
	b.mu.Unlock()
	b.call("Page.navigate", map[string]any{"url": address}, nil)
	late := time.After(browserPatience)
	for {
		b.mu.Lock()
		news := b.news
		b.mu.Unlock()
		if len(b.seen("Page.loadEventFired")) > 0 {
			return
		}
		select {
		case <-news:
		case <-late:
			b.t.Fatalf("%s has not loaded after %v", address, browserPatience)
		}
	}
}

// seen are the events of a kind since the last address was opened.
func (b *browser) seen(method string) (all []pageEvent) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.events {
		if e.Method == method {
			all = append(all, e)
		}
	}
	return all
}

// evaluate runs an expression in the page.
func (b *browser) evaluate(expression string, result any) {
	b.t.Helper()
	var got struct {
		Result           struct{ Value json.RawMessage }
		ExceptionDetails json.RawMessage
	}
	b.call("Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true, "awaitPromise": true}, &got)
	if got.ExceptionDetails != nil {
		b.t.Fatalf("%s: %s", expression, got.ExceptionDetails)
	}
	if err := json.Unmarshal(got.Result.Value, result); err != nil {
		b.t.Fatalf("%s: %v", expression, err)
	}
}

// screenshot is a PNG of the whole page.
func (b *browser) screenshot() []byte {
	b.t.Helper()
	var shot struct{ Data string }
	b.call("Page.captureScreenshot", map[string]any{"captureBeyondViewport": true}, &shot)
	png, err := base64.StdEncoding.DecodeString(shot.Data)
	if err != nil {
		b.t.Fatal(err)
	}
	return png
}

// complaints are what a page must not do: log anything, throw, ask for anything but itself.
func (b *browser) complaints(address string) (all []string) {
	for _, method := range []string{"Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded"} {
		for _, e := range b.seen(method) {
			all = append(all, fmt.Sprintf("%s: %s", method, e.Params))
		}
	}
	for _, e := range b.seen("Network.requestWillBeSent") {
		var sent struct{ Request struct{ URL string } }
		if json.Unmarshal(e.Params, &sent) != nil || sent.Request.URL != address && sent.Request.URL != "data:," {
			all = append(all, fmt.Sprintf("asked for %q", sent.Request.URL))
		}
	}
	return all
}
