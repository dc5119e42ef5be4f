package config

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The expectations are what java.util.Properties.load makes of the same lines.
func TestPropertiesReadAsJavaDoes(t *testing.T) {
	for _, test := range []struct {
		text string
		want []property
	}{
		{"a=b\n", []property{{"a", "b", 1}}},
		{"\ufeffa=b", []property{{"a", "b", 1}}},
		{"# c\n! c \\\n\n  a = b = c \r\nd:e\rf g", []property{{"a", "b = c ", 4}, {"d", "e", 5}, {"f", "g", 6}}},
		{"a = one, \\\n    two, \\\r\n\tthree\nb=1", []property{{"a", "one, two, three", 1}, {"b", "1", 4}}},
		{"a\\ b\\=c\\:d = e", []property{{"a b=c:d", "e", 1}}},
		{`a=\t\n\r\f\q\\\u00e9\u4E2D`, []property{{"a", "\t\n\r\fq\\é中", 1}}},
		{`a=c:\\dir\\`, []property{{"a", `c:\dir\`, 1}}},
		{"key", []property{{"key", "", 1}}},
		{"=v", []property{{"", "v", 1}}},
		{"a=b\\", []property{{"a", "b", 1}}},
		{"a=b\\\n# not a comment", []property{{"a", "b# not a comment", 1}}},
		{"a=\\\n\nb=c", []property{{"a", "", 1}, {"b", "c", 3}}},
		{"a \t: \t b", []property{{"a", "b", 1}}},
		{"\n\n\n", nil},
	} {
		got, mistakes := parseProperties(test.text)
		if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(property{})); diff != "" || mistakes != nil {
			t.Errorf("%q: %v\n%s", test.text, mistakes, diff)
		}
	}
}

func TestPropertiesMistakesHaveTheLineTheirPropertyBeginsOn(t *testing.T) {
	got, mistakes := parseProperties("a=1\nb=\\u12\nc=\\\n\\uxyzw\nd=\xff\ne=2")
	if diff := cmp.Diff([]property{{"a", "1", 1}, {"e", "2", 6}}, got, cmp.AllowUnexported(property{})); diff != "" {
		t.Error(diff)
	}
	var lines []int
	for _, m := range mistakes {
		lines = append(lines, m.line)
	}
	if diff := cmp.Diff([]int{2, 3, 5}, lines); diff != "" {
		t.Error(diff)
	}
}
