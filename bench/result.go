package bench

import (
	"time"

	"github.com/millrace/millrace/bench/host"
)

// ResultSchema is the version of a result file. A field may be added under the same number; none changes its meaning.
const ResultSchema = "millrace.bench/v1"

// Result is one run of one workload against one target, and what is needed to believe it.
type Result struct {
	Schema  string    `json:"schema"`
	Version string    `json:"version"` // of the generator
	Started time.Time `json:"started"`
	Command []string  `json:"command,omitempty"` // that repeats the run
	Target  Target    `json:"target"`
	Spec    Spec      `json:"spec"`

	// A run counts when it is verified, not invalid and not disturbed. See Sound.
	Verdict   Verdict  `json:"verdict"`
	Invalid   []string `json:"invalid,omitempty"`   // why the figures are the generator's and not the broker's
	Saturated bool     `json:"saturated,omitempty"` // the broker could not keep the rate: sound, but no latency result
	Disturbed []string `json:"disturbed,omitempty"` // what the machine did meanwhile, beyond the stated limits

	Errors int64   `json:"errors,omitempty"` // of requests and connections; the first few are among the verdict's examples
	Busy   float64 `json:"generator_busy"`   // share of the window in which the generator's busiest thread did not wait

	Load    Load                     `json:"load"`
	Latency map[string]*Distribution `json:"latency"` // produce, e2e, service, slip, catchup: see the constants
	Series  []Second                 `json:"series"`
	Brokers []host.Usage             `json:"brokers,omitempty"` // of the window; none when no process was named
	Own     host.Usage               `json:"generator"`
	Machine host.Machine             `json:"machine"`           // of the window: all that ran, ours or not
	Hiccups *Distribution            `json:"hiccups"`           // by how much a thread that only sleeps was late: the machine's own tail
	Figures map[string]float64       `json:"figures,omitempty"` // of cells that are no load: first_ack (ms), create (ms), anon_per_partition (bytes) ...
	Host    host.Fingerprint         `json:"host"`

	intervals []interval // of the series, for WriteHlog; a file does not carry them
}

// Names of distributions. All are of the window, without the warm-up.
const (
	LatencyProduce  = "produce" // from when a record was due until its acknowledgement was read; without a rate, from when it was sent
	LatencyEndToEnd = "e2e"     // from when a record was due until a consumer had it
	LatencyService  = "service" // from when its request was written until its acknowledgement was read
	LatencyCatchUp  = "catchup" // as e2e, of records that came while the consumer still read the backlog of before the window; e2e has the others
	LatencySlip     = "slip"    // from when a record was due until the generator was ready to send it: lateness of the generator, contained in the first two
)

// Target is what was measured.
type Target struct {
	Name       string            `json:"name,omitempty"` // as the user calls it
	Brokers    []string          `json:"brokers"`
	ClusterID  string            `json:"cluster_id"`
	Software   string            `json:"software,omitempty"` // as far as it can be told
	Durability string            `json:"durability"`         // what an acknowledgement promises, see Durability
	Configs    map[string]string `json:"configs,omitempty"`  // of the broker, that are not its defaults
	Pids       []int             `json:"pids,omitempty"`
}

// Load is what was asked for and what was done, in the window unless said otherwise.
type Load struct {
	Attempted int64 `json:"attempted"`        // whole run, records: attempted = acked + failed
	Acked     int64 `json:"acked"`            // whole run
	Failed    int64 `json:"failed"`           // whole run
	Consumed  int64 `json:"consumed"`         // whole run, all groups together
	Unsent    int64 `json:"unsent,omitempty"` // due in time and never sent: the broker was too far behind, see Result.Saturated

	Elapsed          time.Duration `json:"elapsed_ns"`
	Due              int64         `json:"due,omitempty"` // in the window, by the schedule: with random arrivals not quite Asked x Elapsed; 0: closed loop
	Records          int64         `json:"records"`       // acknowledged in the window
	Bytes            int64         `json:"bytes"`         // of their keys and values
	Requests         int64         `json:"requests"`
	Fetched          int64         `json:"fetched_records"`
	FetchedBytes     int64         `json:"fetched_bytes"`
	Fetches          int64         `json:"fetches"`
	Asked            float64       `json:"asked_per_second"` // 0: closed loop
	Achieved         float64       `json:"achieved_per_second"`
	MegabytesASecond float64       `json:"mb_per_second"`               // 10^6 bytes of keys and values acknowledged
	PeakBacklog      int64         `json:"peak_backlog"`                // records due and not yet acknowledged, at most
	Ratio            float64       `json:"compression_ratio,omitempty"` // raw bytes by bytes sent, of the batches really sent
	CaughtUpAfter    time.Duration `json:"caught_up_after_ns,omitempty"`
	Churned          int64         `json:"connections_churned,omitempty"`
}

// Distribution is a latency histogram, in milliseconds where a number is meant for people.
type Distribution struct {
	LatencySummary
	P9999     float64 `json:"p99_99_ms"`
	Mean      float64 `json:"mean_ms"`
	Histogram string  `json:"histogram"` // HdrHistogram V2, zlib, base64, of microseconds: merges without loss
}

// Second is one second of the window.
type Second struct {
	Second   int     `json:"second"` // since the window began; negative in the warm-up
	Asked    float64 `json:"asked"`
	Acked    int64   `json:"acked"`
	Consumed int64   `json:"consumed"`
	Bytes    int64   `json:"bytes"`
	Backlog  int64   `json:"backlog"` // records due and not yet acknowledged at its end

	Produce  map[string]float64 `json:"produce_ms,omitempty"` // p50, p99, p99.9, max
	EndToEnd map[string]float64 `json:"e2e_ms,omitempty"`
	Heat     []int64            `json:"heat,omitempty"` // e2e (else produce) counts by HeatBounds
	Slip     float64            `json:"slip_p99_ms,omitempty"`
	Hiccup   float64            `json:"hiccup_max_ms"`

	BrokerCPU  float64 `json:"broker_cpu,omitempty"` // cores
	BrokerAnon int64   `json:"broker_rss_anon,omitempty"`
	OwnCPU     float64 `json:"generator_cpu"`
}

// Late reports whether the generator was later in this second than it may be; see Result.Invalid.
func (s *Second) Late() bool { return s.Slip > mayBeLate(s.Produce["p99"]) }

// Sound reports whether the result may be quoted.
func (r *Result) Sound() bool {
	return r.Verdict.Intact() && r.Errors == 0 && len(r.Invalid)+len(r.Disturbed) == 0
}

// BrokerCPU is what the brokers' processes used in the window, all together.
func (r *Result) BrokerCPU() (sum time.Duration) {
	for i := range r.Brokers {
		sum += r.Brokers[i].CPU()
	}
	return sum
}

// CPUPer is the brokers' CPU in seconds for each of n things of the window; false: there were none.
func (r *Result) CPUPer(n int64) (seconds float64, ok bool) {
	return r.BrokerCPU().Seconds() / float64(n), n > 0
}
