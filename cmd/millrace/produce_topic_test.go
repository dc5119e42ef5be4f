package main

import (
	"context"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Who produces into a topic that is not there yet does not come back for it later: it is there when he has asked.
func TestATopicIsThereWhenItWasAskedFor(t *testing.T) {
	client, err := kgo.NewClient(kgo.SeedBrokers(kafka))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	topic := "asked-for"
	askForTopic(ctx, client, topic, 30*time.Second)
	r := kmsg.NewPtrMetadataRequest() // that makes nothing
	r.Topics = append(r.Topics, kmsg.MetadataRequestTopic{Topic: &topic})
	answer, err := r.RequestWith(ctx, client)
	if err != nil || len(answer.Topics) != 1 || answer.Topics[0].ErrorCode != 0 || len(answer.Topics[0].Partitions) == 0 {
		t.Errorf("%v, %+v", err, answer)
	}
}
