package main

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// passHoles takes the partitions whose end is not seen because it is a hole, as compaction leaves it, off those that are waited for.
// The client reads over holes without a word, so it asks the leaders itself what follows the last record that came. One that does
// not answer is asked again after the next wait.
func (r *reading) passHoles(ctx context.Context) {
	ends := r.pending()
	if len(ends) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, min(r.timeout, 2*time.Second))
	defer cancel()
	t, err := r.cluster.findTopic(ctx, r.topic)
	if err != nil {
		return
	}
	for number, end := range ends {
		if p, ok := t.Partitions[number]; ok && p.Leader >= 0 && r.nothingBetween(ctx, t.ID, number, p.Leader, r.nextOf(number), end) {
			r.reached(number)
		}
	}
}

// nothingBetween reports whether a partition has no record from next to end. It is false when the leader cannot say so now.
func (r *reading) nothingBetween(ctx context.Context, topicID [16]byte, partition, leader int32, next, end int64) bool {
	const enough = 1 << 20 // bytes: more than a run of batches that are empty but for their headers
	for next < end {
		request := kmsg.NewPtrFetchRequest()
		request.MaxBytes, request.MinBytes = enough, 0
		topic := kmsg.NewFetchRequestTopic()
		topic.Topic, topic.TopicID = r.topic, topicID
		one := kmsg.NewFetchRequestTopicPartition()
		one.Partition, one.FetchOffset, one.PartitionMaxBytes = partition, next, enough
		topic.Partitions = append(topic.Partitions, one)
		request.Topics = append(request.Topics, topic)
		response, err := request.RequestWith(ctx, r.client.Broker(int(leader)))
		if err != nil || response.ErrorCode != 0 || len(response.Topics) != 1 || len(response.Topics[0].Partitions) != 1 {
			return false
		}
		answer := &response.Topics[0].Partitions[0]
		if kerr.ErrorForCode(answer.ErrorCode) != nil || answer.HighWatermark < end {
			return false
		}
		if len(answer.RecordBatches) == 0 {
			return true
		}
		fetched, after := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{KeepControlRecords: true, Offset: next, Topic: r.topic, Partition: partition}, answer, kgo.DefaultDecompressor(), nil)
		if fetched.Err != nil || after <= next {
			return false
		}
		if len(fetched.Records) > 0 {
			return fetched.Records[0].Offset >= end
		}
		next = after
	}
	return true
}
