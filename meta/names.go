package meta

import (
	"fmt"
	"strings"
)

// clusterMetadata is the topic of the metadata log itself.
const clusterMetadata = "__cluster_metadata"

// maxName is the length of the longest topic name: with "-<partition>" and "-<uuid>-delete" behind it, it still is a folder's name.
const maxName = 249

// CheckName tells in Kafka's words why name cannot be a topic's, or "" when it can.
func CheckName(name string) string {
	switch {
	case name == "":
		return "Topic name is invalid: the empty string is not allowed"
	case name == "." || name == "..":
		return fmt.Sprintf("Topic name is invalid: '%s' is not allowed", name)
	case len(name) > maxName:
		return fmt.Sprintf("Topic name is invalid: the length of '%s' is longer than the max allowed length %d", name, maxName)
	}
	for i := range len(name) {
		c := name[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '.' || c == '_' || c == '-') {
			return fmt.Sprintf("Topic name is invalid: '%s' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'", name)
		}
	}
	return ""
}

// Internal tells whether a topic of that name belongs to the cluster itself, as Kafka marks them for clients.
func Internal(name string) bool {
	return name == "__consumer_offsets" || name == "__transaction_state" || name == "__share_group_state"
}

// shapeOf is the name with '.' and '_' made equal, as metric names do to topics: two topics of one shape would be counted as one, so
// the second is refused. ok is false for names that have neither.
func shapeOf(name string) (shape string, ok bool) {
	if !strings.ContainsAny(name, "._") {
		return "", false
	}
	return strings.ReplaceAll(name, ".", "_"), true
}
