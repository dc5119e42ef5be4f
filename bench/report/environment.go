package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/millrace/millrace/bench"
)

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// environment is where, with what and by which command.
func (d *Document) environment(p *page, cells []*cell) {
	p.put(`<section id="environment"><h2>Environment</h2>`)
	var all []*bench.Result // one for each target of a cell, and of a sweep
	var commands []string
	machines := map[string]bool{}
	for _, c := range cells {
		whole := false // one command has made all runs
		for _, of := range c.comparisons {
			whole = whole || len(of.Command) > 0
			commands = append(commands, shell(of.Command))
		}
		for _, t := range c.targets {
			if !whole {
				commands = append(commands, shell(t.first().Command))
			}
			all = append(all, t.first())
		}
	}
	for _, s := range d.Sweeps {
		commands = append(commands, shell(s.Command))
		if len(s.Points) > 0 {
			all = append(all, s.Points[0].Result)
		}
	}
	if len(all) == 0 {
		return
	}
	for _, r := range all {
		machines[r.Host.Kernel+r.Host.CPU+r.Host.Go] = true
	}
	first := all[0]
	slices.Sort(commands)
	commands = slices.DeleteFunc(slices.Compact(commands), func(c string) bool { return c == "" })
	if len(commands) > 0 {
		p.put(`<h3>Repeat it</h3><pre tabindex="0"><code>%s</code></pre>`, strings.Join(commands, "\n"))
	}
	p.put(`<div class="pair"><div>`)
	body := [][]any{{"generator", "millrace " + first.Version}, {"first run", first.Started.UTC().Format("2006-01-02 15:04:05 UTC")}}
	if first.Host.Kernel != "" {
		for l := range strings.Lines(first.Host.Table()) {
			what, value, _ := strings.Cut(l, " ")
			body = append(body, []any{what, strings.TrimSpace(value)})
		}
	}
	p.grid("Machine", 2, []string{"what", "value"}, body)
	if len(machines) > 1 {
		p.put(`<p class="note">The runs were on %d different machines, or with different software on one: the table is that of the first.</p>`, len(machines))
	}
	p.put(`</div><div>`)
	configurations(p, all)
	p.put(`</div></div></section>`)
}

// configurations puts the targets' settings beside each other, and those of the workload below.
func configurations(p *page, results []*bench.Result) {
	var targets []*bench.Result
	seen := map[string]bool{}
	for _, r := range results {
		if _, target := name(r); !seen[target] {
			seen[target] = true
			targets = append(targets, r)
		}
	}
	head := []string{"setting"}
	all := map[string]bool{}
	for _, r := range targets {
		_, target := name(r)
		head = append(head, target)
		for key := range r.Target.Configs {
			all[key] = true
		}
	}
	line := func(setting string, read func(*bench.Result) string) []any {
		cells := []any{setting}
		for _, r := range targets {
			cells = append(cells, orNone(read(r)))
		}
		return cells
	}
	body := [][]any{
		line("software", func(r *bench.Result) string { return r.Target.Software }),
		line("brokers", func(r *bench.Result) string { return strings.Join(r.Target.Brokers, ", ") }),
		line("cluster", func(r *bench.Result) string { return r.Target.ClusterID }),
		line("durability", func(r *bench.Result) string { return r.Target.Durability }),
		line("topic", func(r *bench.Result) string {
			var set []string
			for _, key := range sortedKeys(r.Spec.TopicConfigs) {
				set = append(set, key+"="+r.Spec.TopicConfigs[key])
			}
			return strings.Join(set, ", ")
		}),
	}
	for _, key := range sortedKeys(all) {
		body = append(body, line(key, func(r *bench.Result) string { return r.Target.Configs[key] }))
	}
	p.grid("Brokers: what is not their default", len(head), head, body)
	told := map[string]bool{}
	for _, r := range results {
		if work := workload(r.Spec); told[work] {
			continue
		} else {
			told[work] = true
		}
		cell, _ := name(r)
		if r.Spec.Rate > 0 {
			cell += ", " + thousands(int64(r.Spec.Rate+0.5)) + " records/s"
		}
		p.put(`<details><summary>Workload %s, every field</summary>`, cell)
		var body [][]any
		for _, f := range flat(r.Spec) {
			body = append(body, []any{f[0], f[1]})
		}
		p.grid(cell, 2, []string{"field", "value"}, body)
		p.put(`</details>`)
	}
}

func orNone(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// flat lists the fields of a document in their order, those of documents in it by their path.
func flat(v any) (fields [][2]string) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var walk func(path string)
	walk = func(path string) {
		token, err := decoder.Token()
		if err != nil {
			return
		}
		switch token {
		case json.Delim('{'):
			for decoder.More() {
				key, _ := decoder.Token()
				walk(strings.TrimPrefix(path+"."+fmt.Sprint(key), "."))
			}
			_, _ = decoder.Token()
		case json.Delim('['):
			for i := 0; decoder.More(); i++ {
				walk(path + "." + strconv.Itoa(i))
			}
			_, _ = decoder.Token()
		default:
			value := fmt.Sprint(token)
			if ns, err := strconv.ParseInt(value, 10, 64); err == nil && strings.HasSuffix(path, "_ns") {
				path, value = strings.TrimSuffix(path, "_ns"), time.Duration(ns).String()
			}
			if token != nil && value != "" {
				fields = append(fields, [2]string{strings.ReplaceAll(path, "_", " "), value})
			}
		}
	}
	walk("")
	return fields
}

// shell writes a command so that it can be pasted.
func shell(command []string) string {
	var words []string
	for _, w := range command {
		if w == "" || strings.ContainsFunc(w, func(r rune) bool {
			return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_=+./:,@%", r)
		}) {
			w = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
		}
		words = append(words, w)
	}
	return strings.Join(words, " ")
}
