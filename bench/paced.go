package bench

import (
	"bytes"
	"context"
	"errors"
	"runtime"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sys/unix"
)

// Paced is the result of a run at a stated rate. Every duration begins at the moment the record was meant to be sent.
type Paced struct {
	Rate       float64        `json:"rate"`     // asked for, records a second
	Achieved   float64        `json:"achieved"` // sent, records a second
	Elapsed    time.Duration  `json:"elapsed_ns"`
	Acked      LatencySummary `json:"acked"`      // until acks=all was answered
	EndToEnd   LatencySummary `json:"end_to_end"` // until a consumer that waits at the end of the topic had it
	Slip       LatencySummary `json:"slip"`       // by which the generator itself was late; it is part of the two above
	Incomplete bool           `json:"incomplete"` // the consumer had not seen everything when the run was given up
}

// errEnough ends the reading of an input before its end.
var errEnough = errors.New("enough")

// RunPaced sends records of the input at a fixed rate for a time, one record a batch, with a consumer that reads along, in an
// open loop: a broker that stalls does not slow the schedule down, and what was due during the stall counts as late. The topic
// must be empty.
func RunPaced(ctx context.Context, o Options, in *Input, rate float64, length time.Duration, ledger *Ledger) (*Paced, error) {
	o = o.withDefaults()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	records, err := spread(in, max(1, int(rate*length.Seconds())))
	if err != nil {
		return nil, err
	}
	producing, err := o.client(
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ProducerLinger(0),
		kgo.ProducerBatchCompression(kgo.NoCompression()),
	)
	if err != nil {
		return nil, err
	}
	defer producing.Close()
	from := map[int32]kgo.Offset{}
	for partition := range o.Partitions {
		from[int32(partition)] = kgo.NewOffset().At(0)
	}
	consuming, err := o.client(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{o.Topic: from}), kgo.FetchMaxWait(500*time.Millisecond))
	if err != nil {
		return nil, err
	}
	defer consuming.Close()
	// Connections, metadata and the producer id are made before the clock starts: those are a start's cost, not a record's.
	if err := producing.Ping(ctx); err != nil {
		return nil, err
	}
	if err := consuming.Ping(ctx); err != nil {
		return nil, err
	}

	var count counters
	stop := count.watch(o.Progress, 0)
	begin := time.Now()
	endToEnd, acked, slip := NewLatencies(), NewLatencies(), NewLatencies()
	var reading sync.WaitGroup
	seen := 0
	reading.Go(func() {
		for seen < len(records) {
			fetches := consuming.PollFetches(ctx)
			now := time.Since(begin)
			if ctx.Err() != nil {
				return
			}
			if err := fetches.Err(); err != nil {
				cancel(err)
				return
			}
			fetches.EachRecord(func(r *kgo.Record) {
				seen++
				if due, ok := ledger.Came(r.Partition, r.Offset, r.Key, r.Value); ok {
					endToEnd.Record(now - due)
				}
			})
		}
	})

	var mu sync.Mutex // promises of several partitions may run at once
	var acks sync.WaitGroup
	interval := time.Duration(float64(time.Second) / rate)
	pace(ctx, begin, interval, len(records), func(i int, due, now time.Duration) {
		slip.Record(now - due)
		r := records[i]
		r.Topic = o.Topic
		r.Partition = KeyPartition(r.Key, o.Partitions)
		ledger.Sent(r.Partition, r.Key, r.Value, due)
		acks.Add(1)
		producing.Produce(ctx, r, func(r *kgo.Record, err error) {
			defer acks.Done()
			if err != nil {
				cancel(err)
				return
			}
			now := time.Since(begin)
			count.records.Add(1)
			count.bytes.Add(int64(len(r.Key) + len(r.Value)))
			mu.Lock()
			defer mu.Unlock()
			acked.Record(now - due)
		})
	})
	sending := time.Since(begin)
	acknowledged := make(chan struct{})
	go func() { acks.Wait(); close(acknowledged) }()
	select {
	case <-acknowledged:
	case <-ctx.Done(): // a record that may have been sent cannot be called back; closing the client ends the wait for it
		producing.Close()
		<-acknowledged
	}
	// What is acknowledged must come; a consumer that gets nothing for this long will not get it.
	giveUp := time.AfterFunc(10*time.Second, func() { cancel(context.DeadlineExceeded) })
	reading.Wait()
	giveUp.Stop()
	stop()
	err = context.Cause(ctx)
	incomplete := errors.Is(err, context.DeadlineExceeded)
	if incomplete {
		err = nil
	}
	return &Paced{
		Rate:       rate,
		Achieved:   float64(len(records)) / sending.Seconds(),
		Elapsed:    sending,
		Acked:      acked.Summary(),
		EndToEnd:   endToEnd.Summary(),
		Slip:       slip.Summary(),
		Incomplete: incomplete,
	}, wrap("paced run", err)
}

// spread takes n records from all over the input, so that they have many keys; when it is short they come again and again.
func spread(in *Input, n int) ([]*kgo.Record, error) {
	const line = 40 // bytes, roughly
	stride := max(1, int(in.Bytes/line)/max(1, n))
	var records []*kgo.Record
	for {
		i := 0
		err := in.Each(func(key, value []byte) error {
			if len(records) == n {
				return errEnough
			}
			if i++; i%stride == 0 {
				records = append(records, &kgo.Record{Key: key, Value: bytes.Clone(value)}) // a view would keep the text around it
			}
			return nil
		})
		switch {
		case err != nil && !errors.Is(err, errEnough):
			return nil, err
		case len(records) > 0:
			for i := 0; len(records) < n; i++ {
				records = append(records, &kgo.Record{Key: records[i].Key, Value: records[i].Value})
			}
			return records, nil
		case stride == 1:
			return nil, errors.New("the input is empty")
		}
		stride = 1 // fewer and longer lines than thought
	}
}

// pace calls f for each record at its time. The thread sleeps to absolute times with the finest timer there is: time.Sleep is
// late by half a millisecond as a rule on a busy machine, and that would be billed to the broker.
func pace(ctx context.Context, begin time.Time, interval time.Duration, n int, f func(i int, due, now time.Duration)) {
	done := make(chan struct{})
	defer func() { <-done }()
	go func() {
		defer close(done)
		runtime.LockOSThread()                             // never unlocked: the thread ends with this goroutine, and its timer setting with it
		_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0) // best effort
		for i := range n {
			due := time.Duration(i) * interval
			for ctx.Err() == nil {
				wait := due - time.Since(begin)
				if wait <= 0 {
					break
				}
				ts := unix.NsecToTimespec(int64(wait))
				_ = unix.ClockNanosleep(unix.CLOCK_MONOTONIC, 0, &ts, nil) // an interrupted sleep is begun again
			}
			if ctx.Err() != nil {
				return
			}
			f(i, due, time.Since(begin))
		}
	}()
}
