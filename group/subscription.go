package group

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// consumerProtocol is the protocol type of consumers, the only one whose metadata a broker may read.
const consumerProtocol = "consumer"

// addSubscription adds the topics of a consumer's metadata to a set, and tells whether it could be read. Every version begins as version 0 does:
//
//	| version 2 | topics: count 4 | topic: length 2, bytes | ... | user data: length 4 (-1: null), bytes |
func addSubscription(topics map[string]struct{}, metadata []byte) bool {
	d := recordDecoder{b: metadata}
	d.int16()
	for n := d.count(); n > 0 && d.err == nil; n-- {
		if name := d.take(int(d.int16())); d.err == nil {
			if _, ok := topics[string(name)]; !ok {
				topics[string(name)] = struct{}{}
			}
		}
	}
	if len(d.b) >= 4 && binary.BigEndian.Uint32(d.b) == 1<<32-1 {
		return d.err == nil
	}
	d.bytes()
	return d.err == nil
}

// subscriptionText shows a member's metadata: the topics of a consumer, or the bytes.
func subscriptionText(protocolType string, metadata []byte) string {
	topics := map[string]struct{}{}
	if protocolType != consumerProtocol || !addSubscription(topics, metadata) {
		return fmt.Sprintf("metadata=%q", metadata)
	}
	return "topics=" + strings.Join(slices.Sorted(maps.Keys(topics)), ",")
}
