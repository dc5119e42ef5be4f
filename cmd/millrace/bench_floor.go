package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/millrace/millrace/bench"
	"github.com/millrace/millrace/bench/floor"
	"github.com/millrace/millrace/bench/trial"
)

func newBenchFloor() *cobra.Command {
	c := &cobra.Command{
		Use:   "floor [--cell NAME]... [--variant NAME]...",
		Short: "Measure the least that a broker can use on this machine",
		Long: `The floor is a server that reads produce requests, checks their checksums, brings them to fresh pages of a file and answers, all on one
thread, with nothing of what makes a broker reliable. How it writes and how it sends are variants, and a workload's floor is the
best of them: what it uses is the measure for what a broker uses. Every record is verified here too.`,
		Example: `  millrace bench floor
  millrace bench floor --cell P1-64k --variant pwrite+sendfile --variant copy+sendfile`,
		Args:              needs(),
		ValidArgsFunction: nothing,
	}
	f := floorFlags{}
	end := group(c, "Floor")
	c.Flags().StringArrayVar(&f.cells, "cell", nil, "workload of the matrix; repeatable (default: all that a floor can do)")
	c.Flags().StringArrayVar(&f.variants, "variant", nil, "how to write and to send; repeatable (default: all)")
	c.Flags().DurationVar(&f.duration, "duration", 3*time.Second, "how long each is measured")
	c.Flags().StringVar(&f.dataDir, "data-dir", "", "directory below which the floor makes one for its files (default: that of temporary files)")
	f.place = addPlaceFlags(c)
	end()
	end = group(c, groupResult)
	f.out = addResultFlags(c)
	f.live = addLive(c)
	end()
	completeFlag(c, "cell", oneOf(floorCells()...))
	completeFlag(c, "variant", oneOf(floor.Variants...))
	completeFlag(c, "duration", nothing)
	c.RunE = func(c *cobra.Command, args []string) error { return f.run(c, args) }
	return c
}

type floorFlags struct {
	cells, variants []string
	duration        time.Duration
	dataDir         string
	place           *placeFlags
	out             *resultFlags
	live            *string
}

// floorCells are the workloads that a floor can do.
func floorCells() (names []string) {
	cells, _ := trial.Cells("matrix") // there is one of that name
	for _, cell := range cells {
		if cell.Floor {
			names = append(names, cell.Name)
		}
	}
	return names
}

func (f *floorFlags) run(c *cobra.Command, args []string) error {
	if len(f.cells) == 0 {
		f.cells = floorCells()
	}
	if len(f.variants) == 0 {
		f.variants = floor.Variants
	}
	for _, v := range f.variants {
		if !slices.Contains(floor.Variants, v) {
			return usage(c, fmt.Errorf("--variant %s: there are %s", v, strings.Join(floor.Variants, ", ")))
		}
	}
	for _, name := range f.cells {
		if !slices.Contains(floorCells(), name) {
			return usage(c, fmt.Errorf("--cell %s: a floor can do %s", name, strings.Join(floorCells(), ", ")))
		}
	}
	if f.duration <= 0 {
		return usage(c, fmt.Errorf("--duration must be more than 0"))
	}
	cells, err := chosenCells("matrix", f.cells)
	if err != nil {
		return usage(c, err)
	}
	if err := checkLive(c, *f.live); err != nil {
		return err
	}
	if err := f.out.check(c); err != nil {
		return err
	}
	where, err := f.place.read(c)
	if err != nil {
		return err
	}
	if err := pinSelf(where.client); err != nil {
		return err
	}
	runner := runner{live: *f.live, command: asTyped(c, args)}
	var results []*bench.Result
	for _, cell := range cells {
		spec := cell.Spec
		spec.Name, spec.Warmup, spec.Duration = cell.Name, min(time.Second, f.duration/2), f.duration
		for _, variant := range f.variants {
			err := withChild(c.Context(), floorChild(variant, f.dataDir, where), func(ctx context.Context, server *child) error {
				r, err := runner.run(ctx, server.target(variant), spec)
				results = append(results, r)
				return err
			})
			if err != nil {
				return err
			}
		}
	}
	if *f.out.output != "text" {
		return f.out.write(results...)
	}
	if err := printFloor(os.Stdout, results); err != nil {
		return err
	}
	if err := f.out.files(results); err != nil {
		return err
	}
	return f.out.judge(results)
}

// printFloor writes a row for each workload and variant, the best ones marked.
func printFloor(w io.Writer, results []*bench.Result) error {
	value := func(r *bench.Result, name string) (float64, bool) {
		m, err := trial.MetricNamed(name)
		if err != nil {
			return 0, false
		}
		return m.Of(r)
	}
	best := map[string]*bench.Result{}
	for _, r := range results {
		v, ok := value(r, "cpu_per_request")
		if !ok || !r.Verdict.Intact() {
			continue
		}
		if b := best[r.Spec.Name]; b != nil {
			if least, _ := value(b, "cpu_per_request"); cmp.Less(least, v) {
				continue
			}
		}
		best[r.Spec.Name] = r
	}
	rows := [][]string{{"WORKLOAD", "VARIANT", "MB/S", "CPU-S/GB", "US/REQUEST", "P50 MS", "STATE"}}
	for _, r := range results {
		row := []string{r.Spec.Name, r.Target.Name}
		for _, name := range []string{"throughput", "cpu_per_gb", "cpu_per_request", "produce.p50"} {
			if v, ok := value(r, name); ok {
				row = append(row, figure(v))
			} else {
				row = append(row, "-")
			}
		}
		state, _ := stateOf(r)
		if best[r.Spec.Name] == r {
			state += ", the floor"
		}
		rows = append(rows, append(row, state))
	}
	return printTable(w, rows)
}

// floorChild is a process that serves a variant.
func floorChild(variant, dataDir string, where place) childOptions {
	return childOptions{name: "floor", parent: dataDir, cpus: where.server, args: []string{"bench", "floor-server", "--variant", variant}}
}

// newFloorServer is the child of bench floor.
func newFloorServer() *cobra.Command {
	c := &cobra.Command{Use: "floor-server", Short: "Serve as the floor of bench floor", Hidden: true, Args: needs()}
	variant := c.Flags().String("variant", "", "one of floor.Variants")
	port := c.Flags().Int("port", 0, "on 127.0.0.1")
	portsFile := c.Flags().String("ports-file", "", "written when it is ready")
	dataDir := c.Flags().String("data-dir", "", "for its files")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if err := os.MkdirAll(*dataDir, 0o755); err != nil {
			return err
		}
		listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", *port))
		if err != nil {
			return err
		}
		if err := (ports{Kafka: listener.Addr().String(), PID: os.Getpid()}).write(*portsFile); err != nil {
			return err
		}
		return floor.Serve(c.Context(), listener, floor.Options{Variant: *variant, Dir: *dataDir})
	}
	return c
}
