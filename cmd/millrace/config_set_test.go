package main

import (
	"testing"
)

func TestAlterationsAreForeseen(t *testing.T) {
	text := func(s string) *string { return &s }
	settings := []setting{{Name: "cleanup.policy", Value: text("delete,compact"), Default: text("delete")}}
	for change, want := range map[string]string{
		"cleanup.policy=compact": "compact", "cleanup.policy+=compact": "delete,compact", "cleanup.policy-=delete": "compact", "cleanup.policy+=x,delete": "delete,compact,x", "cleanup.policy-=compact,delete": "",
	} {
		a, err := parseAlteration(change)
		if err != nil {
			t.Fatal(err)
		}
		if got := a.would(settings, settings[0].Value); *got != want {
			t.Errorf("%s: %q, want %q", change, *got, want)
		}
	}
	deleted, err := parseAlterations(nil, []string{"cleanup.policy"})
	if err != nil {
		t.Fatal(err)
	}
	if got := deleted[0].would(settings, settings[0].Value); *got != "delete" {
		t.Errorf("deleted: %q", *got)
	}
	if got := inUnitOf("retention.ms", "log.retention.hours", "168"); *got != "604800000" {
		t.Errorf("hours: %s", *got)
	}
}
