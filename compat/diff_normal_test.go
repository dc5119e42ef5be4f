//go:build compat

package compat

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// names are the normalisation of one conversation. What has to differ between two brokers that do the same gets a name by its
// first appearance instead: topic ids, producer ids, the random part of member ids. Addresses, the cluster's id, times, ids of
// fetch sessions, folders and sizes of disks have a word of their own, and throttle times are left out.
// Arrays of structs are compared by what is in them: in Kafka most of them come in the order of a hash table.
type names struct {
	side *side
	seen map[string]string // kind and value to name
	next map[string]int
}

func newNames(s *side) *names {
	return &names{side: s, seen: map[string]string{}, next: map[string]int{}}
}

func (n *names) name(kind, value string) string {
	key := kind + " " + value
	if n.seen[key] == "" {
		n.next[kind]++
		n.seen[key] = fmt.Sprintf("%s#%d", kind, n.next[kind])
	}
	return n.seen[key]
}

// identifiers tell an element of an array from its neighbours, in this order.
var identifiers = []string{"Topic", "TopicID", "Group", "Name", "Op", "Key", "ResourceType", "ResourceName", "MemberID", "InstanceID", "Partition", "NodeID", "ApiKey", "Dir", "ProducerID",
	"FirstOffset", "RelativeOffset"}

// ordered are arrays whose order means something.
var ordered = map[string]bool{"ConfigSynonyms": true}

var (
	addressForm = regexp.MustCompile(`127\.0\.0\.1:\d+`)
	folderForm  = regexp.MustCompile(`/tmp/Test[A-Za-z0-9/.]*`)
	timeForm    = regexp.MustCompile(`\b1[78]\d{11}\b|-92233702\d{11}\b`) // now, and as far before now as there is time
	uuidForm    = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)
)

func (n *names) flatten(resp kmsg.Response) (lines []line) {
	n.walk("", reflect.ValueOf(resp).Elem(), &lines)
	return lines
}

func (n *names) walk(path string, v reflect.Value, out *[]line) {
	if v.Kind() == reflect.Struct {
		n.introduce(v)
		for i := range v.NumField() {
			field := v.Type().Field(i)
			switch field.Name {
			case "Version", "ThrottleMillis":
				continue
			case "UnknownTags":
				if tags, ok := v.Field(i).Addr().Interface().(*kmsg.Tags); ok && tags.Len() > 0 {
					*out = append(*out, line{path + ".tags", itoa(tags.Len())})
				}
				continue
			}
			n.field(strings.TrimPrefix(path+"."+field.Name, "."), field.Name, v.Field(i), out)
		}
		return
	}
	*out = append(*out, line{path, n.scalar("", v)})
}

func (n *names) field(path, name string, v reflect.Value, out *[]line) {
	switch {
	case v.Kind() == reflect.Pointer && v.Type().Elem().Kind() == reflect.Struct:
		if v.IsNil() {
			*out = append(*out, line{path, "null"})
			return
		}
		n.walk(path, v.Elem(), out)
	case v.Kind() == reflect.Struct:
		n.walk(path, v, out)
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Struct:
		if v.Len() == 0 {
			*out = append(*out, line{path, map[bool]string{true: "null", false: "[]"}[v.IsNil()]})
		}
		n.elements(path, name, v, out)
	default:
		*out = append(*out, line{path, n.scalar(name, v)})
	}
}

func (n *names) elements(path, name string, v reflect.Value, out *[]line) {
	type element struct {
		v         reflect.Value
		anonymous string
	}
	var all []element
	for i := range v.Len() {
		e := element{v: v.Index(i)}
		for _, id := range identifiers {
			if f := e.v.FieldByName(id); f.IsValid() && id == "TopicID" {
				n.introduce(e.v)
				e.anonymous += " " + n.scalar(id, f)
			} else if f.IsValid() {
				e.anonymous += " " + uuidForm.ReplaceAllString(fmt.Sprint(reflect.Indirect(f)), "*")
				if f.Kind() == reflect.Int32 {
					e.anonymous = e.anonymous[:strings.LastIndexByte(e.anonymous, ' ')] + fmt.Sprintf(" %08d", f.Int())
				}
			}
		}
		all = append(all, e)
	}
	if !ordered[name] {
		slices.SortStableFunc(all, func(a, b element) int { return cmp.Compare(a.anonymous, b.anonymous) })
	}
	taken := map[string]int{}
	for i, e := range all {
		var id []string
		for _, field := range identifiers {
			if f := e.v.FieldByName(field); f.IsValid() && !(field == "TopicID" && f.IsZero()) {
				id = append(id, n.scalar(field, f))
			}
		}
		key := strings.Join(id, "/")
		if key == "" || ordered[name] {
			key = itoa(i)
		}
		if taken[key]++; taken[key] > 1 {
			key += "(" + itoa(taken[key]) + ")"
		}
		n.walk(path+"["+key+"]", e.v, out)
	}
}

// introduce learns whose id a topic id is, where the topic's name stands beside it.
func (n *names) introduce(v reflect.Value) {
	id, topic := v.FieldByName("TopicID"), reflect.Indirect(v.FieldByName("Topic"))
	if !id.IsValid() || id.IsZero() || !topic.IsValid() || topic.Kind() != reflect.String || topic.String() == "" {
		return
	}
	n.topicID([16]byte(id.Interface().([16]byte)), topic.String())
}

func (n *names) topicID(id [16]byte, topic string) {
	key := "id " + base64.RawURLEncoding.EncodeToString(id[:])
	if n.seen[key] == "" && !madeUp(id) {
		n.next["id of "+topic]++
		n.seen[key] = fmt.Sprintf("id %d of %s", n.next["id of "+topic], topic)
	}
}

// madeUp tells the ids that the conversations make up themselves from others.
func madeUp(id [16]byte) bool { return id[0] == 9 && [14]byte(id[2:]) == [14]byte{} }

const aTime = 1_500_000_000_000 // timestamps of our own records are below it

// scalar is a value as text.
func (n *names) scalar(name string, v reflect.Value) string {
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return "null"
		}
		v = v.Elem()
	}
	switch v.Kind() {
	case reflect.Int64, reflect.Int32, reflect.Int16, reflect.Int8:
		i := v.Int()
		switch {
		case name == "ProducerID" && i >= 0:
			return n.name("producer", fmt.Sprint(i))
		case name == "Port" && i == int64(n.side.port):
			return "the port"
		case name == "SessionID" && i != 0:
			return "a session"
		case name == "FinalizedFeaturesEpoch" && i >= 0:
			return "an epoch"
		case strings.HasSuffix(name, "Bytes") && i > 0:
			return "a size"
		case v.Kind() == reflect.Int64 && i > aTime:
			return "a time"
		}
		return fmt.Sprint(v)
	case reflect.Array: // a uuid
		if v.IsZero() {
			return "no id"
		}
		var id [16]byte
		reflect.Copy(reflect.ValueOf(&id).Elem(), v)
		if madeUp(id) {
			return fmt.Sprintf("%x", id)
		}
		return n.name("id", base64.RawURLEncoding.EncodeToString(id[:]))
	case reflect.String:
		return n.text(name, v.String())
	case reflect.Slice:
		switch {
		case v.IsNil():
			return "null"
		case v.Type().Elem().Kind() == reflect.Uint8:
			return fmt.Sprintf("%x", v.Bytes())
		case v.Type().Elem().Kind() == reflect.String:
			all := slices.Sorted(slices.Values(v.Interface().([]string)))
			return n.text(name, fmt.Sprintf("%q", all))
		}
	}
	return fmt.Sprint(v)
}

// text is a string with the names of what is in it.
func (n *names) text(name, s string) string {
	s = addressForm.ReplaceAllString(strings.ReplaceAll(s, n.side.addr, "ADDRESS"), "ANOTHER ADDRESS")
	s = folderForm.ReplaceAllString(s, "FOLDER")
	if name == "ErrorMessage" {
		s = timeForm.ReplaceAllString(s, "A TIME")
	}
	if n.side.clusterID != "" {
		s = strings.ReplaceAll(s, n.side.clusterID, "CLUSTER")
	}
	for key, known := range n.seen {
		if id, ok := strings.CutPrefix(key, "id "); ok {
			s = strings.ReplaceAll(s, id, known)
		}
	}
	return fmt.Sprintf("%q", uuidForm.ReplaceAllStringFunc(s, func(id string) string { return "<" + n.name("uuid", id) + ">" }))
}
