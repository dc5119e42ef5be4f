package main

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// askForTopic has a topic that is missing made, where brokers do that. A broker says at first that it does not know such a topic. Millrace says so
// when the topic is there, so that the client finds it at its own first question; left to that it would wait 250 ms and more between two.
// What else comes of it the client will meet itself.
func askForTopic(ctx context.Context, client *kgo.Client, topic string, timeout time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	r := kmsg.NewPtrMetadataRequest()
	r.AllowAutoTopicCreation = true
	r.Topics = append(r.Topics, kmsg.MetadataRequestTopic{Topic: &topic})
	_, _ = client.Request(ctx, r)
}
