package main

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// passHoles takes the partitions whose end is not seen because it is a hole, as compaction leaves it, off those that are waited for.
// The client reads over holes without a word, so it asks the leaders itself what follows the last record that came.
func (r *reading) passHoles(ctx context.Context) error {
	ends := r.pending()
	if len(ends) == 0 {
		return nil
	}
	t, err := r.cluster.findTopic(ctx, r.topic)
	if err != nil {
		return err
	}
	for p, end := range ends {
		if p, ok := t.Partitions[p]; !ok || p.Leader < 0 {
			continue
		}
		empty, err := r.nothingBetween(ctx, t.ID, p, t.Partitions[p].Leader, r.nextOf(p), end)
		if err != nil {
			return err
		}
		if empty {
			r.reached(p)
		}
	}
	return nil
}

// nothingBetween reports whether a partition has no record from next to end. It is false when the leader cannot say so now.
func (r *reading) nothingBetween(ctx context.Context, topicID [16]byte, partition, leader int32, next, end int64) (bool, error) {
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
		if err != nil {
			return false, err
		}
		if response.ErrorCode != 0 || len(response.Topics) != 1 || len(response.Topics[0].Partitions) != 1 {
			return false, nil
		}
		answer := &response.Topics[0].Partitions[0]
		if kerr.ErrorForCode(answer.ErrorCode) != nil || answer.HighWatermark < end {
			return false, nil
		}
		if len(answer.RecordBatches) == 0 {
			return true, nil
		}
		fetched, after := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{KeepControlRecords: true, Offset: next, Topic: r.topic, Partition: partition}, answer, kgo.DefaultDecompressor(), nil)
		if fetched.Err != nil || after <= next {
			return false, nil
		}
		if len(fetched.Records) > 0 {
			return fetched.Records[0].Offset >= end, nil
		}
		next = after
	}
	return true, nil
}
