package e2e

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/millrace/millrace/bench"
)

// Exit codes of a result that does not count, and of one that was not verified.
const (
	exitUnsound    = 4
	exitUnverified = 3
)

// A generator that does not get the machine says so, whatever the broker could do: its figures are its own and not the broker's.
func TestBenchCallsAStarvedGeneratorInvalid(t *testing.T) {
	if testing.Short() {
		t.Skip("three runs of a generator that is held up")
	}
	for _, c := range []struct {
		name   string
		args   []string
		starve func(t *testing.T, generator *exec.Cmd)
	}{
		{"stands still half of the time", []string{"--rate", "200"}, func(t *testing.T, generator *exec.Cmd) {
			begin(t, generator)
			go interrupt(generator.Process, 150*time.Millisecond) // until Wait has seen its end
		}},
		{"stands still half of the time, as a real client", []string{"--rate", "200", "--mode", "kgo", "--batch-records", "100"}, func(t *testing.T, generator *exec.Cmd) {
			begin(t, generator)
			go interrupt(generator.Process, 150*time.Millisecond) // until Wait has seen its end
		}},
		{"shares a core with those that never sleep", []string{"--rate", "50k/s", "--in-flight", "100"}, crowd},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := start(t, t.TempDir(), 0)
			result, code, said := generate(t, exec.Command(millrace, append([]string{"bench", "run", "-b", b.addr, "--warmup", "0s", "--duration", "3s", "-o", "json"}, c.args...)...), c.starve)
			t.Logf("exit code %d: %q", code, result.Invalid)
			if !result.Verdict.Intact() {
				t.Errorf("%v %q", result.Verdict, result.Verdict.Examples)
			}
			if code != exitUnsound || result.Sound() || len(result.Invalid) == 0 {
				t.Errorf("exit code %d, invalid %q; want code %d and a reason\n%s", code, result.Invalid, exitUnsound, said)
			}
		})
	}
}

// generate runs a generator that prints its result as JSON.
func generate(t *testing.T, generator *exec.Cmd, begin func(*testing.T, *exec.Cmd)) (result *bench.Result, code int, said string) {
	t.Helper()
	var out, errs bytes.Buffer
	generator.Stdout, generator.Stderr = &out, &errs
	generator.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	runtime.LockOSThread() // the one whose death would be the child's
	defer runtime.UnlockOSThread()
	begin(t, generator)
	giveUp := time.AfterFunc(time.Minute, func() { _ = generator.Process.Kill() })
	defer giveUp.Stop()
	_ = generator.Wait() // its code is looked at
	if err := json.Unmarshal(out.Bytes(), &result); err != nil {
		t.Fatalf("%v: %s", err, errs.String())
	}
	return result, generator.ProcessState.ExitCode(), errs.String()
}

func begin(t *testing.T, generator *exec.Cmd) {
	t.Helper()
	if err := generator.Start(); err != nil {
		t.Fatal(err)
	}
}

// interrupt stops a process again and again, for as long as it lets it go on, until it has ended.
func interrupt(p *os.Process, every time.Duration) {
	turn := time.NewTicker(every)
	defer turn.Stop()
	for {
		<-turn.C
		if p.Signal(syscall.SIGSTOP) != nil {
			return
		}
		<-turn.C
		if p.Signal(syscall.SIGCONT) != nil {
			return
		}
	}
}

// crowd starts the generator on one core, among four others that compute there all the time.
func crowd(t *testing.T, generator *exec.Cmd) {
	var before, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		t.Fatal(err)
	}
	for cpu := range 1024 {
		if before.IsSet(cpu) {
			one.Set(cpu)
			break
		}
	}
	if err := unix.SchedSetaffinity(0, &one); err != nil { // of this thread, and so of its children
		t.Fatal(err)
	}
	defer func() { _ = unix.SchedSetaffinity(0, &before) }()
	for range 4 {
		spin := exec.Command("sh", "-c", "while :; do :; done")
		spin.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		begin(t, spin)
		t.Cleanup(func() {
			_ = spin.Process.Kill()
			_ = spin.Wait()
		})
	}
	begin(t, generator)
}
