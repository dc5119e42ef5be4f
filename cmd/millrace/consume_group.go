package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// membership is what consume keeps as a member of a group. Its callbacks run beside the reading.
type membership struct {
	mu       sync.Mutex
	assigned bool                      // for the first time
	err      error                     // of a callback
	wake     func()                    // ends a wait for records that will not come
	printed  map[int32]kgo.EpochOffset // not committed yet
}

// note remembers a record as printed, and whether it is the last of its partition.
func (r *reading) note(one *kgo.Record, end int64) {
	r.member.mu.Lock()
	defer r.member.mu.Unlock()
	if _, limited := r.ends[one.Partition]; limited {
		if r.next[one.Partition] = one.Offset + 1; one.Offset == end-1 {
			delete(r.ends, one.Partition)
		}
	}
	if r.flags.group == "" {
		return
	}
	if r.member.printed == nil {
		r.member.printed = map[int32]kgo.EpochOffset{}
	}
	r.member.printed[one.Partition] = kgo.EpochOffset{Epoch: one.LeaderEpoch, Offset: one.Offset + 1}
}

// membership is the client's part of being a member. Its strategies are those of every other client, those with which partitions
// move one by one last: a group takes the first that all its members know.
func (r *reading) membership() []kgo.Opt {
	return []kgo.Opt{
		kgo.ConsumerGroup(r.flags.group),
		kgo.ConsumeTopics(r.topic),
		kgo.ConsumeStartOffset(r.from.offset()),
		kgo.ConsumeResetOffset(r.from.offset()),
		kgo.Balancers(kgo.RangeBalancer(), kgo.RoundRobinBalancer(), kgo.CooperativeStickyBalancer()),
		kgo.DisableAutoCommit(),
		kgo.BlockRebalanceOnPoll(), // what is being printed stays ours until it is committed
		kgo.OnPartitionsAssigned(func(ctx context.Context, _ *kgo.Client, got map[string][]int32) { r.got(ctx, got[r.topic]) }),
		kgo.OnPartitionsRevoked(func(_ context.Context, _ *kgo.Client, gone map[string][]int32) { r.gone(gone[r.topic]) }),
		kgo.OnPartitionsLost(func(_ context.Context, _ *kgo.Client, gone map[string][]int32) { r.gone(gone[r.topic]) }),
	}
}

// got notes where to stop in new partitions.
func (r *reading) got(ctx context.Context, numbers []int32) {
	if !r.flags.exit {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	committed, err := r.cluster.committed(ctx, r.flags.group)
	r.member.mu.Lock()
	defer r.member.mu.Unlock()
	if err == nil {
		err = r.findEnds(ctx, numbers, committed[r.topic])
	}
	if err != nil && r.member.err == nil {
		r.member.err = err
	}
	r.member.assigned = true
	if r.member.wake != nil && (len(r.ends) == 0 || r.member.err != nil) {
		r.member.wake()
	}
}

// wakeWith sets what ends a wait for records that will not come.
func (r *reading) wakeWith(wake func()) {
	r.member.mu.Lock()
	defer r.member.mu.Unlock()
	if r.member.wake = wake; r.flags.exit && r.member.assigned && len(r.ends) == 0 {
		wake()
	}
}

// gone forgets partitions that another member reads now.
func (r *reading) gone(numbers []int32) {
	r.member.mu.Lock()
	defer r.member.mu.Unlock()
	for _, p := range numbers {
		delete(r.ends, p)
		delete(r.member.printed, p)
	}
}

// finished reports whether there is nothing more to print.
func (r *reading) finished() bool {
	if r.flags.count > 0 && r.printed >= r.flags.count {
		return true
	}
	if !r.flags.exit {
		return false
	}
	r.member.mu.Lock()
	defer r.member.mu.Unlock()
	return len(r.ends) == 0 && (r.flags.group == "" || r.member.assigned) || r.member.err != nil
}

// pending are the partitions to read on, with their ends.
func (r *reading) pending() map[int32]int64 {
	r.member.mu.Lock()
	defer r.member.mu.Unlock()
	return maps.Clone(r.ends)
}

func (r *reading) nextOf(partition int32) int64 {
	r.member.mu.Lock()
	defer r.member.mu.Unlock()
	return r.next[partition]
}

func (r *reading) callbackError() error {
	r.member.mu.Lock()
	defer r.member.mu.Unlock()
	return r.member.err
}

func (r *reading) end(partition int32) (end int64, limited bool) {
	r.member.mu.Lock()
	defer r.member.mu.Unlock()
	end, limited = r.ends[partition]
	return end, limited
}

// reached takes a partition off those that are waited for.
func (r *reading) reached(partition int32) {
	r.member.mu.Lock()
	defer r.member.mu.Unlock()
	delete(r.ends, partition)
}

// commit commits what was printed, also when the user has just ended it.
func (r *reading) commit(ctx context.Context) (err error) {
	r.member.mu.Lock()
	printed := r.member.printed
	r.member.printed = nil
	r.member.mu.Unlock()
	if len(printed) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), min(r.timeout, 10*time.Second))
	defer cancel()
	r.client.CommitOffsetsSync(ctx, map[string]map[int32]kgo.EpochOffset{r.topic: printed},
		func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, response *kmsg.OffsetCommitResponse, failed error) {
			if err = failed; err != nil {
				return
			}
			for _, t := range response.Topics {
				for _, p := range t.Partitions {
					if code := kerr.ErrorForCode(p.ErrorCode); code != nil {
						err = code
					}
				}
			}
		})
	switch {
	case errors.Is(err, kerr.RebalanceInProgress), errors.Is(err, kerr.IllegalGeneration), errors.Is(err, kerr.UnknownMemberID):
		fmt.Fprintf(os.Stderr, "note: the group changed before the last records were committed; they may be read once more (%s)\n", kafkaError(err, ""))
		return nil
	case err != nil:
		return fmt.Errorf("commit of group %q: %w", r.flags.group, err)
	}
	return nil
}
