//go:build compat

package compat

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/bench"
	"github.com/millrace/millrace/bench/report"
	"github.com/millrace/millrace/bench/trial"
)

var screenshots = flag.String("screenshots", "", "folder to keep the screenshots of the benchmark report in")

// cannedReport is a page made from results that were measured once, and its address.
func cannedReport(t *testing.T) string {
	t.Helper()
	var d report.Document
	read := func(name string, into any) {
		text, err := os.ReadFile(filepath.Join("..", "bench", "report", "testdata", name))
		if err == nil {
			err = json.Unmarshal(text, into)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	c, s, r := new(trial.Comparison), new(trial.Swept), new(bench.Result)
	read("ab.json", c)
	read("sweep.json", s)
	read("run.json", r)
	d.Comparisons, d.Sweeps, d.Results = []*trial.Comparison{c}, []*trial.Swept{s}, []*bench.Result{r}
	var page bytes.Buffer
	if err := report.Page(&page, d); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "report.html")
	if err := os.WriteFile(path, page.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return "file://" + path
}

// TestReportIsWholeWithoutScripts takes them away: what is said and drawn is still there.
func TestReportIsWholeWithoutScripts(t *testing.T) {
	address := cannedReport(t)
	b := openBrowser(t)
	count := func() (seen [3]int) {
		b.evaluate(`[[...document.querySelectorAll('svg.chart')].filter(c => c.getClientRects().length > 0).length,
			document.querySelectorAll('td').length, document.querySelectorAll('svg title').length]`, &seen)
		return seen
	}
	b.show(address, 1000, "light")
	with := count()
	b.call("Emulation.setScriptExecutionDisabled", map[string]any{"value": true}, nil)
	b.show(address, 1000, "light")
	without := count()
	if with[0] != without[0] || with[1] != without[1] || with[2] != 0 || without[2] < 100 { // the script takes the titles over
		t.Errorf("charts, cells and titles: %v with scripts, %v without", with, without)
	}
	for _, c := range b.complaints(address) {
		t.Error(c)
	}
}

// TestReportInABrowser opens the benchmark report as a reader would, at a telephone's and at a desk's width, light and dark: nothing is
// logged, thrown or asked for, nothing stands out at the side, and every chart is drawn once.
func TestReportInABrowser(t *testing.T) {
	budget(t, "benchmark report in Chromium", 90*time.Second)
	address := cannedReport(t)
	b := openBrowser(t)
	for _, width := range []int{400, 1400} {
		pictures := map[string]image.Image{}
		for _, scheme := range []string{"light", "dark"} {
			b.show(address, width, scheme)
			var page struct {
				Wide, Height                                    int
				Charts, Shown, Toggles, Tables, Named, TooSmall int
				Outside                                         []string
			}
			b.evaluate(`(() => {
				const shown = e => e.getClientRects().length > 0, charts = [...document.querySelectorAll('svg.chart')];
				const texts = charts.filter(shown).flatMap(c => [...c.querySelectorAll('text')]);
				return {
					Wide: document.documentElement.scrollWidth, Height: document.documentElement.scrollHeight,
					Charts: document.querySelectorAll('figure').length, Shown: charts.filter(shown).length,
					Toggles: document.querySelectorAll('[role=button][aria-pressed]').length,
					Tables: document.querySelectorAll('table caption').length,
					Named: charts.filter(c => c.getAttribute('aria-label').length > 10).length === charts.length ? 1 : 0,
					Outside: texts.filter(x => x.getBoundingClientRect().left < -1 || x.getBoundingClientRect().right > innerWidth + 1).map(x => x.textContent),
					TooSmall: texts.filter(x => x.getBoundingClientRect().height < 12).length,
				};
			})()`, &page)
			switch {
			case page.Wide > width:
				t.Errorf("%d wide: the page is %d wide", width, page.Wide)
			case page.Charts < 5 || page.Shown != page.Charts:
				t.Errorf("%d wide: %d figures, %d charts shown", width, page.Charts, page.Shown)
			case page.Toggles == 0 || page.Tables < 3 || page.Named != 1:
				t.Errorf("%d wide: %d legends that can be pressed, %d tables with a caption, all charts with a name: %d", width, page.Toggles, page.Tables, page.Named)
			case len(page.Outside) > 0 || page.TooSmall > 0:
				t.Errorf("%d wide: texts that stand out at the side %q, %d that are too small", width, page.Outside, page.TooSmall)
			}
			for _, c := range b.complaints(address) {
				t.Errorf("%d wide, %s: %s", width, scheme, c)
			}
			shot := b.screenshot()
			if *screenshots != "" {
				if err := os.WriteFile(filepath.Join(*screenshots, fmt.Sprintf("report-%d-%s.png", width, scheme)), shot, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			picture, err := png.Decode(bytes.NewReader(shot))
			if err != nil {
				t.Fatal(err)
			}
			if got := picture.Bounds().Size(); got.X != width || got.Y != page.Height {
				t.Errorf("a picture of %v, the page is %d x %d", got, page.Wide, page.Height)
			}
			pictures[scheme] = picture
		}
		var did struct {
			Tip     string
			Hidden  bool
			Pressed string
		}
		b.evaluate(`(() => {
			const shown = [...document.querySelectorAll('svg.chart')].filter(c => c.getClientRects().length > 0);
			const hit = shown.flatMap(c => [...c.querySelectorAll('.hit')])[0], key = shown.flatMap(c => [...c.querySelectorAll('.toggle')])[0];
			hit.dispatchEvent(new PointerEvent('pointermove', {clientX: 20, clientY: 20}));
			key.dispatchEvent(new KeyboardEvent('keydown', {key: 'Enter'}));
			const mark = key.ownerSVGElement.querySelector('.curve.s' + key.dataset.series + ':not(.key *)');
			return {Tip: document.getElementById('tip').textContent, Hidden: getComputedStyle(mark).display === 'none', Pressed: key.getAttribute('aria-pressed')};
		})()`, &did)
		if !strings.Contains(did.Tip, "second") || !strings.Contains(did.Tip, "largest hiccup") || !did.Hidden || did.Pressed != "false" {
			t.Errorf("%d wide: over a second stands %q; a legend that was pressed hides its line: %v, and says so: %q", width, did.Tip, did.Hidden, did.Pressed)
		}
		light, _, _, _ := pictures["light"].At(2, 2).RGBA()
		dark, _, _, _ := pictures["dark"].At(2, 2).RGBA()
		if light < 0xf000 || dark > 0x3000 {
			t.Errorf("%d wide: the background is %x in light and %x in dark", width, light, dark)
		}
	}
}
