package bench

import "github.com/twmb/franz-go/pkg/kgo"

// A client holds at most so many records, and no more bytes than Kafka's own producer does, whose buffer has 32 MiB. All of them
// together hold no more than this either.
const (
	kgoBufferBytes    = 32 << 20
	kgoBufferRecords  = 100_000
	kgoBuffersBytes   = 256 << 20
	kgoBuffersRecords = 1_000_000
	kgoFewestRecords  = 16
)

// kgoWindow is how many records of such a mean size a client may hold.
func kgoWindow(s Spec, mean int) int {
	bytes, records := min(kgoBufferBytes, kgoBuffersBytes/s.Producers), min(kgoBufferRecords, kgoBuffersRecords/s.Producers)
	window := min(bytes/mean, records)
	if s.Rate == 0 { // without a schedule a deep buffer would only be a long queue
		window = min(window, s.BatchRecords*(s.InFlight+1)*s.Partitions)
	}
	return max(window, kgoFewestRecords)
}

// recordOverhead is at most what a record's key and its lengths add to its value.
func (p *kgoProducer) recordOverhead() int {
	const lengths = 12
	if p.draw.keys.None() {
		return lengths
	}
	return keySize + lengths
}

// Bounds of a client's batches, in bytes. franz-go takes nothing less than the first, and knows no limit of records: a batch has as
// many as asked for when they are all of one size.
const (
	kgoSmallestBatch = 512
	kgoLargestBatch  = 64 << 20
	kgoBatchOverhead = 70
)

func (p *kgoProducer) batchBytes() int32 {
	sizes, overhead := p.draw.sizes, p.recordOverhead()
	n := max(float64(p.spec.BatchRecords)*(sizes.Mean()+float64(overhead)), float64(sizes.Max()+overhead)) + kgoBatchOverhead
	return int32(min(max(n, kgoSmallestBatch), kgoLargestBatch))
}

func (p *kgoProducer) connect() (*kgo.Client, error) {
	opts := []kgo.Opt{
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.RequiredAcks(map[string]kgo.Acks{"all": kgo.AllISRAcks(), "1": kgo.LeaderAck(), "0": kgo.NoAck()}[p.spec.Acks]),
		kgo.ProducerLinger(p.spec.Linger),
		kgo.ProducerBatchMaxBytes(p.batchBytes()),
		kgo.ProducerBatchCompression(kgoCodecs[p.spec.Codec]),
		kgo.MaxBufferedRecords(p.window + 1), // never reached: the window is the room
		kgo.RecordDeliveryTimeout(answerTimeout),
		kgo.WithHooks(&p.meter),
	}
	if !p.spec.Idempotent { // otherwise there are five, always
		opts = append(opts, kgo.DisableIdempotentWrite(), kgo.MaxProduceRequestsInflightPerBroker(p.spec.InFlight))
	}
	o := Options{Brokers: p.setup.Target.Brokers, Client: p.setup.Client}
	return o.client(opts...)
}

var kgoCodecs = map[string]kgo.CompressionCodec{
	"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(), "lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
}
