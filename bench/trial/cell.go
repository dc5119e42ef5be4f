package trial

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/millrace/millrace/bench"
)

// Cell is a row of a suite.
type Cell struct {
	Name       string // P1-64k
	What       string // in words
	Kind       Kind
	Spec       bench.Spec        // of a load; of the others its name, its partitions and its seed are used
	Durability string            // os or fsync: what topics promise on every target; "": what each does by itself, which may differ
	Headline   string            // metric
	Ours       map[string]string // settings of the topic that only Millrace has
	Calls      bool              // the broker's system calls are counted, too, in a run of their own
	Floor      bool              // can be done by a floor, which appends and does nothing else
}

// Kind is what a cell does.
type Kind string

const (
	LoadKind       Kind = ""           // a workload
	StartKind      Kind = "start"      // from starting a broker of its own to the first acknowledged record: first_ack
	PartitionsKind Kind = "partitions" // a topic of many partitions is made and deleted: create, delete, anon_per_partition
)

// Cells are those of a suite by its name: short, smoke or matrix.
func Cells(suite string) ([]Cell, error) {
	table := suites[suite]
	if table == nil {
		return nil, fmt.Errorf("no suite %q: there are %s", suite, strings.Join(Suites(), ", "))
	}
	return table(), nil
}

// Suites are their names.
func Suites() []string { return slices.Sorted(maps.Keys(suites)) }

var suites = map[string]func() []Cell{"short": short, "smoke": smoke, "matrix": matrix}

// as gives a load its times, where it has none.
func as(warmup, duration time.Duration, cells ...Cell) []Cell {
	for i := range cells {
		if spec := &cells[i].Spec; cells[i].Kind == LoadKind {
			spec.Duration = duration
			if spec.Warmup == 0 {
				spec.Warmup = warmup
			}
		}
	}
	return cells
}

// short is what a fresh machine can show of one broker in a minute and a half.
func short() []Cell {
	return as(time.Second/2, 4*time.Second, p1Big(), p1Single(), p3("lz4"), p5(16, 1), l1(10_000, 1), l1(50_000, 16), start(), partitions())
}

// smoke is for CI: six cells that need no cluster and no Kafka.
func smoke() []Cell {
	return as(time.Second/2, 4*time.Second, counted(p1Big()), counted(p2(16, 50)), l1(10_000, 1), start(), idle(1000), churn(500))
}

// matrix is that of the goals, the variations first that have a goal. With Kafka twice and the floor it takes an hour and a quarter.
func matrix() []Cell {
	return slices.Concat(
		as(time.Second, 4*time.Second,
			p1Big(), p1Medium(), p1Single(), p1Lone(), p1Small(),
			p2(256, 50),
			p3("lz4"), p3("zstd"), headerOnly(p3("lz4")), headerOnly(p3("zstd")),
			p5(1, 1), p5(16, 1), p5(64, 16),
			l1(10_000, 1), l1(10_000, 10), byItself(l1(10_000, 1)), l1(50_000, 16), l1(100_000, 16), l1(150_000, 16), l1(200_000, 16),
			l2Partitions(), l2Retention(),
			c1(), c2()),
		[]Cell{start(), partitions()},
		as(time.Second, 4*time.Second, idle(0), idle(10_000), churn(2000), z1Large()),
	)
}

// counted has its system calls counted.
func counted(c Cell) Cell {
	c.Calls = true
	return c
}

func p1Big() Cell {
	return Cell{Name: "P1-64k", What: "produce, 64 KB batches, 1 producer, as fast as it answers", Durability: "os", Headline: "cpu_per_gb", Floor: true,
		Spec: bench.Spec{BatchRecords: 64, Consume: "after"}}
}

func p1Medium() Cell {
	return Cell{Name: "P1-16k", What: "produce, 16 KB batches, 4 producers, 4 partitions", Durability: "os", Headline: "cpu_per_request", Floor: true,
		Spec: bench.Spec{BatchRecords: 16, Producers: 4, Partitions: 4, Consume: "after"}}
}

func p1Single() Cell {
	return Cell{Name: "P1-1k", What: "produce, 1 KB records one a batch, 8 producers, 5 in flight", Durability: "os", Headline: "cpu_per_request", Floor: true,
		Spec: bench.Spec{Producers: 8, Partitions: 8, Consume: "after"}}
}

func p1Lone() Cell {
	return Cell{Name: "P1-1k-depth1", What: "produce, 1 KB records one a batch, 1 producer, 1 in flight", Durability: "os", Headline: "cpu_per_request", Floor: true,
		Spec: bench.Spec{InFlight: 1, Consume: "after"}}
}

func p1Small() Cell {
	return Cell{Name: "P1-100b", What: "produce, 100-byte records, 16 KB batches, 16 partitions", Durability: "os", Headline: "cpu_per_million", Floor: true,
		Spec: bench.Spec{Size: "100", BatchRecords: 160, Producers: 4, Partitions: 16, Consume: "after"}}
}

func p2(partitions, producers int) Cell {
	return Cell{Name: fmt.Sprintf("P2-%dp-%dc", partitions, producers), What: fmt.Sprintf("small keyed batches, %d producers, %d partitions", producers, partitions), Durability: "os", Headline: "cpu_per_request",
		Spec: bench.Spec{Keys: "uniform:100000", Producers: producers, Partitions: partitions, Consume: "after"}}
}

// p3 goes as fast as it is answered: its batches are packed beforehand. At 500 batches a second a third of a broker's CPU is falling asleep and waking up,
// and what the cell is about drowns in it.
func p3(codec string) Cell {
	return Cell{Name: "P3-" + codec, What: fmt.Sprintf("produce, %s, packed beforehand, batches of 64 KB before compression, half of it random, as fast as it answers", codec), Durability: "os", Headline: "cpu_per_request",
		Spec: bench.Spec{Producers: 2, Partitions: 2, BatchRecords: 64, Codec: codec, Entropy: 0.5, Consume: "after"}}
}

// headerOnly trusts the producer about what is inside a batch. Kafka has no such mode.
func headerOnly(c Cell) Cell {
	c.Name += "-header"
	c.What += ", Millrace with millrace.batch.validation=header"
	c.Ours = map[string]string{"millrace.batch.validation": "header"}
	return c
}

func p5(producers, partitions int) Cell {
	return Cell{Name: fmt.Sprintf("P5-%dc-%dp", producers, partitions), What: fmt.Sprintf("fsync before each acknowledgement, %d producers with 1 in flight, %d partitions", producers, partitions),
		Durability: "fsync", Headline: "requests", Spec: bench.Spec{Producers: producers, Partitions: partitions, InFlight: 1, Consume: "after"}}
}

func l1(rate float64, batch int) Cell {
	c := Cell{Name: fmt.Sprintf("L1-%.0fk", rate/1000), What: fmt.Sprintf("end to end, open loop, %.0f records/s", rate), Durability: "os", Headline: "e2e.p99.9",
		Spec: bench.Spec{Rate: rate, BatchRecords: batch, Producers: 4, Partitions: 4}}
	if batch > 1 {
		c.Name += fmt.Sprintf("-%db", batch)
		c.What += fmt.Sprintf(", %d a batch", batch)
	}
	return c
}

// byItself leaves durability to each target.
func byItself(c Cell) Cell {
	c.Name += "-default"
	c.What += ", each with the durability it has by itself"
	c.Durability = ""
	return c
}

// l2Partitions warms up for as long as it takes to make the files of each partition, which brokers do with the first record. Of 4,096, which is what one
// would ask for, Apache Kafka made 300 a second on two cores, and what was due meanwhile was never caught up with.
func l2Partitions() Cell {
	return Cell{Name: "L2-512p", What: "as L1-10k, keyed over 512 partitions", Durability: "os", Headline: "e2e.p99.9",
		Spec: bench.Spec{Rate: 10_000, Producers: 4, Partitions: 512, Keys: "uniform:1000000", Warmup: 6 * time.Second}}
}

func l2Retention() Cell {
	return Cell{Name: "L2-retention", What: "as L1-10k, segments of 1 MiB, the oldest deleted", Durability: "os", Headline: "e2e.p99.9",
		Spec: bench.Spec{Rate: 10_000, Producers: 4, Partitions: 4, TopicConfigs: map[string]string{"segment.bytes": "1048576", "retention.bytes": "8388608"}}}
}

func c1() Cell {
	return Cell{Name: "C1-5", What: "50 MB/s in, 5 groups read along", Durability: "os", Headline: "cpu_per_gb_out",
		Spec: bench.Spec{Rate: 50_000, BatchRecords: 64, Producers: 4, Partitions: 4, Groups: 5}}
}

func c2() Cell {
	return Cell{Name: "C2-2g", What: "2 GB to catch up with, in the page cache, 1 MiB a fetch, while 1,000 records/s come", Durability: "os", Headline: "cpu_per_gb_out", Floor: true,
		Spec: bench.Spec{Rate: 1000, Partitions: 4, Producers: 4, Consumers: 2, Backlog: 2e9}}
}

func start() Cell {
	return Cell{Name: "S1", What: "from starting the process to the first acknowledged record", Kind: StartKind, Headline: "first_ack"}
}

func partitions() Cell {
	return Cell{Name: "S2", What: "10,000 partitions in one topic, 5,000 at a time: until each has a leader, then deleted", Kind: PartitionsKind, Headline: "create",
		Spec: bench.Spec{Partitions: 10_000}}
}

// idle warms up until the opening of the connections is over with all that comes after it, such as a collection of garbage.
func idle(connections int) Cell {
	return Cell{Name: fmt.Sprintf("I1-%d", connections), What: fmt.Sprintf("%d idle connections, one record a second", connections), Headline: "cores",
		Spec: bench.Spec{Rate: 1, Idle: connections, Warmup: 6 * time.Second}}
}

func churn(perSecond float64) Cell {
	return Cell{Name: "Z1-churn", What: fmt.Sprintf("as L1-10k while %.0f connections a second come and go", perSecond), Durability: "os", Headline: "e2e.p99.9",
		Spec: bench.Spec{Rate: 10_000, Producers: 4, Partitions: 4, Churn: perSecond}}
}

func z1Large() Cell {
	return Cell{Name: "Z1-1mb", What: "records of 1 MB, 50 a second", Durability: "os", Headline: "e2e.p50",
		Spec: bench.Spec{Rate: 50, Size: "1000000", Partitions: 2, Producers: 2, FetchMaxBytes: 4 << 20}}
}
