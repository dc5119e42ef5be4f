package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
)

// topicFilter is the flag --topic TOPIC[:PARTITION,...].
type topicFilter struct{ texts []string }

// chosen is what the flag names: topics, with all partitions when the list is nil. Nil is every topic.
type chosen map[string][]int32

func addTopicFilter(c *cobra.Command) *topicFilter {
	f := &topicFilter{}
	c.Flags().StringArrayVarP(&f.texts, "topic", "t", nil, "only this topic, or these partitions of it: TOPIC or TOPIC:0,2-5; repeatable")
	completeFlag(c, "topic", complete(everyTopic))
	return f
}

func (f *topicFilter) parse(c *cobra.Command) (chosen, error) {
	var all chosen
	for _, text := range f.texts {
		topic, list, limited := strings.Cut(text, ":")
		if topic == "" {
			return nil, usage(c, fmt.Errorf("--topic %s: want TOPIC or TOPIC:PARTITION,PARTITION", text))
		}
		if all == nil {
			all = chosen{}
		}
		before, named := all[topic]
		if !limited || named && before == nil {
			all[topic] = nil
			continue
		}
		numbers, err := parseRanges(list)
		if err != nil {
			return nil, usage(c, fmt.Errorf("--topic %s: %w", text, err))
		}
		all[topic] = append(before, numbers...)
	}
	return all, nil
}

// parseRanges reads 0,2-5.
func parseRanges(text string) ([]int32, error) {
	const most = 1 << 20 // of partitions in one flag: a typing error must not fill the memory
	var numbers []int32
	for _, item := range strings.Split(text, ",") {
		first, last, isRange := strings.Cut(strings.TrimSpace(item), "-")
		if !isRange {
			last = first
		}
		from, err := strconv.ParseInt(first, 10, 32)
		to, err2 := strconv.ParseInt(last, 10, 32)
		if err != nil || err2 != nil || from < 0 || to < from || to-from >= most {
			return nil, fmt.Errorf("%q is no partition and no range of them like 2-5", item)
		}
		for n := from; n <= to; n++ {
			numbers = append(numbers, int32(n))
		}
	}
	return numbers, nil
}

// has reports whether a partition is meant.
func (c chosen) has(topic string, partition int32) bool {
	if c == nil {
		return true
	}
	numbers, ok := c[topic]
	return ok && (numbers == nil || slices.Contains(numbers, partition))
}

// names returns the topics in order.
func (c chosen) names() []string {
	var names []string
	for name := range c {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
