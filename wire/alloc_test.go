package wire_test

import (
	"testing"

	"github.com/millrace/millrace/wire"
	"github.com/millrace/millrace/wire/wiretest"
)

// A broker decodes and answers Produce and Fetch without allocating, in every version, once it has seen requests of the size.
func TestProduceAndFetchAllocateNothing(t *testing.T) {
	for _, s := range samples(t) {
		if s.message.Key != wire.KeyProduce && s.message.Key != wire.KeyFetch {
			continue
		}
		t.Run(s.String(), func(t *testing.T) {
			if s.direction == "request" {
				r := s.message.Request()
				if n := testing.AllocsPerRun(100, func() {
					if err := r.Decode(s.version, s.body); err != nil {
						t.Fatal(err)
					}
				}); n != 0 {
					t.Errorf("decoding: %v allocations", n)
				}
				return
			}
			theirs := s.message.KmsgResponse(s.version)
			if err := theirs.ReadFrom(s.body); err != nil {
				t.Fatal(err)
			}
			r := s.message.Response()
			if _, err := wiretest.Set(r, theirs); err != nil {
				t.Fatal(err)
			}
			dst, holes := make([]byte, 0, 2*len(s.body)), make([]int, 0, 16)
			var encode func()
			switch r := r.(type) {
			case *wire.ProduceResponse:
				encode = func() { dst = r.Append(s.version, dst[:0]) }
			case *wire.FetchResponse:
				encode = func() { dst, holes = r.Append(s.version, dst[:0], holes[:0]) }
			}
			if n := testing.AllocsPerRun(100, encode); n != 0 {
				t.Errorf("encoding: %v allocations", n)
			}
		})
	}
}

// A response that is filled again needs no new memory, and has Kafka's defaults where nothing was set.
func TestFillingAResponseAgain(t *testing.T) {
	var r wire.ProduceResponse
	fill := func() {
		r.Default()
		for range 3 {
			topic := r.AddTopic()
			topic.Name = "t"
			for i := range 5 {
				p := topic.AddPartition()
				if p.LogAppendTimeMs != -1 || p.LogStartOffset != -1 || p.ErrorCode != 0 || p.BaseOffset != 0 || len(p.RecordErrors) != 0 {
					t.Fatalf("not the defaults: %+v", p)
				}
				p.Index, p.ErrorCode, p.BaseOffset, p.LogAppendTimeMs, p.LogStartOffset = int32(i), wire.InvalidRecord, 5, 6, 7
				p.AddRecordError().BatchIndex = 3
			}
		}
	}
	fill()
	if n := testing.AllocsPerRun(100, fill); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if len(r.Topics) != 3 || len(r.Topics[2].Partitions) != 5 || len(r.Topics[2].Partitions[4].RecordErrors) != 1 {
		t.Errorf("got %+v", r)
	}
}

// One huge request does not make its struct hold the memory for ever, nor do many requests of different shapes.
func TestMessagesDoNotHoldMuch(t *testing.T) {
	var request wire.FetchRequest
	if err := request.Decode(12, fetchOf(t, 1, 100_000)); err != nil {
		t.Fatal(err)
	}
	if err := request.Decode(12, fetchOf(t, 1, 1)); err != nil {
		t.Fatal(err)
	}
	if c := cap(request.Topics[0].Partitions); c > 10 {
		t.Errorf("room for %d partitions is kept for one", c)
	}
	// Many topics with one partition, then few topics with many: each alone is small.
	held := func() (n int) {
		for _, topic := range request.Topics[:cap(request.Topics)] {
			n += cap(topic.Partitions)
		}
		return n
	}
	for i := range 50 {
		body := fetchOf(t, 1+i, 1000)
		if err := request.Decode(12, body); err != nil {
			t.Fatal(err)
		}
		if n := held(); n > 50_000+(1+i)*1000 {
			t.Fatalf("room for %d partitions is kept after a request of %d", n, (1+i)*1000)
		}
	}

	var response wire.ProduceResponse
	for range 100_000 {
		response.AddTopic()
	}
	response.Default()
	if c := cap(response.Topics); c != 0 {
		t.Errorf("room for %d topics is kept in a response", c)
	}
}

func BenchmarkDecodeProduce(b *testing.B) { benchmarkDecode(b, wire.KeyProduce) }
func BenchmarkDecodeFetch(b *testing.B)   { benchmarkDecode(b, wire.KeyFetch) }

func benchmarkDecode(b *testing.B, key int16) {
	for _, s := range samples(b) {
		if s.message.Key == key && s.direction == "request" && s.kind == "full" && s.version == s.message.Max {
			r := s.message.Request()
			b.ReportAllocs()
			for b.Loop() {
				if err := r.Decode(s.version, s.body); err != nil {
					b.Fatal(err)
				}
			}
		}
	}
}

func BenchmarkAppendFetchResponse(b *testing.B) {
	var r wire.FetchResponse
	dst, holes := make([]byte, 0, 4096), make([]int, 0, 16)
	b.ReportAllocs()
	for b.Loop() {
		r.Default()
		t := r.AddTopic()
		t.TopicID = wire.UUID{1}
		p := t.AddPartition()
		p.HighWatermark, p.LastStableOffset, p.RecordsSize = 10, 10, 1<<20
		dst, holes = r.Append(16, dst[:0], holes[:0])
	}
}
