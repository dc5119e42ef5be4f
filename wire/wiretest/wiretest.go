// Package wiretest compares wire's messages with the same ones of franz-go's kmsg, an independent implementation of the
// protocol. It is for tests and fuzz targets only: kmsg must not decode what comes from a network.
package wiretest

import (
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/wire"
)

// Message is one API with its codecs behind one interface.
type Message struct {
	Key      int16
	Name     string
	Min, Max int16 // versions with a codec
	Views    bool
	Request  func() Request
	Response func() any
	Append   func(response any, version int16, dst []byte) (out []byte, holes []int)
}

// Request is a generated request.
type Request interface {
	Decode(version int16, body []byte) error
	Default()
}

// KmsgRequest is kmsg's request of the same API, at a version, with its defaults.
func (m Message) KmsgRequest(version int16) kmsg.Request {
	r := kmsg.RequestForKey(m.Key)
	r.SetVersion(version)
	defaults(reflect.ValueOf(r))
	return r
}

// KmsgResponse is kmsg's response of the same API, at a version, with its defaults.
func (m Message) KmsgResponse(version int16) kmsg.Response {
	r := kmsg.ResponseForKey(m.Key)
	r.SetVersion(version)
	defaults(reflect.ValueOf(r))
	return r
}

func defaults(pointer reflect.Value) {
	if d, ok := pointer.Interface().(interface{ Default() }); ok {
		d.Default()
	}
}

// names are kmsg's words for ours, where they differ, in the order in which they are tried.
var names = map[string][]string{
	"Name":                        {"Topic"},
	"Index":                       {"Partition"},
	"PartitionIndex":              {"Partition"},
	"TopicAuthorizedOperations":   {"AuthorizedOperations"},
	"ClusterAuthorizedOperations": {"AuthorizedOperations"},
	"LogAppendTimeMs":             {"LogAppendTime"},
	"ThrottleTimeMs":              {"ThrottleMillis"},
	"RecordErrors":                {"ErrorRecords"},
	"TransactionalID":             {"TransactionID"},
	"BatchIndex":                  {"RelativeOffset"},
	"BatchIndexErrorMessage":      {"ErrorMessage"},
	"NodeEndpoints":               {"Brokers"},
	"RecordsSize":                 {"RecordBatches", "Records"},
	"ReplicaID":                   {"ID"},
	"ReplicaEpoch":                {"Epoch"},
	"RackID":                      {"Rack"},
	"LeaderID":                    {"Leader"},
	"ReplicaNodes":                {"Replicas"},
	"ISRNodes":                    {"ISR"},
	"APIKeys":                     {"ApiKeys"},
	"Key":                         {"ApiKey", "CoordinatorKey"},
	"Assignments":                 {"ReplicaAssignment", "Assignment", "GroupAssignment"},
	"BrokerIDs":                   {"Replicas"},
	"BrokerID":                    {"NodeID"},
	"TopicConfigErrorCode":        {"ConfigErrorCode"},
	"ConfigSource":                {"Source"},
	"ConfigurationKeys":           {"ConfigNames"},
	"Results":                     {"Resources", "Dirs", "Topics", "Groups"},
	"Synonyms":                    {"ConfigSynonyms"},
	"AuthBytes":                   {"SASLAuthBytes"},
	"Mechanisms":                  {"SupportedMechanisms"},
	"EntityType":                  {"Type"},
	"EntityName":                  {"Name"},
	"TopicName":                   {"Topic"},
	"GroupID":                     {"Group"},
	"ForgottenTopics":             {"ForgottenTopicsData"},
	"TopicConfigs":                {"Configs"},
	"GenerationID":                {"Generation"},
	"GenerationIDOrMemberEpoch":   {"Generation"},
	"GroupInstanceID":             {"InstanceID"},
	"CommittedOffset":             {"Offset"},
	"CommittedLeaderEpoch":        {"LeaderEpoch"},
	"CommittedMetadata":           {"Metadata"},
	"PartitionIndexes":            {"Partitions"},
	"KeyType":                     {"CoordinatorType"},
	"ProtocolName":                {"Protocol"},
	"ProtocolData":                {"Protocol"},
	"Leader":                      {"LeaderID"},
	"Metadata":                    {"ProtocolMetadata"},
	"MemberMetadata":              {"ProtocolMetadata"},
	"Assignment":                  {"MemberAssignment"},
	"GroupState":                  {"State"},
	"GroupEpoch":                  {"Epoch"},
	"Responses":                   {"Resources", "Topics"},
	"LogDir":                      {"Dir"},
	"PartitionSize":               {"Size"},
	"IsFutureKey":                 {"IsFuture"},
	"GroupsNames":                 {"Groups"},
	"GroupIDs":                    {"Groups"},
	"ConfigOperation":             {"Op"},
	"SubscribedTopicNames":        {"SubscribedTopics"},
	"TopicPartitions":             {"Topics"},
	"ReplicaElectionResults":      {"Topics"},
	"PartitionResult":             {"Partitions"},
	"PartitionID":                 {"Partition"},
}

// foreign are fields that only kmsg has: they belong to versions which Kafka 4 removed.
var foreign = map[string]bool{
	"Version":         true,
	"UnknownTags":     true,
	"MaxNumOffsets":   true, // ListOffsets 0
	"OldStyleOffsets": true, // ListOffsets 0
	"IsDefault":       true, // DescribeConfigs 0

	"ShareFetchRequestTopicPartition.PartitionMaxBytes": true, // ShareFetch 0
	"OffsetCommitRequestTopicPartition.Timestamp":       true, // OffsetCommit 1
}

// AsKafka corrects one of kmsg's messages where kmsg is known to differ from Kafka 4.4's own definitions: mostly tagged fields,
// which kmsg writes in every flexible version and Kafka only from the version that introduced them.
func AsKafka(message any) {
	switch r := message.(type) {
	case *kmsg.ListOffsetsRequest:
		if r.Version < 10 {
			r.TimeoutMillis = 0 // kmsg has a default of its own
		}
	case *kmsg.MetadataRequest:
		if r.Version < 4 {
			r.AllowAutoTopicCreation = true // what these versions always did
		}
	case *kmsg.FetchRequest:
		if r.Version < 15 {
			r.ReplicaState.Default()
		}
		for i := range r.Topics {
			for j := range r.Topics[i].Partitions {
				p := &r.Topics[i].Partitions[j]
				if r.Version < 17 {
					p.ReplicaDirectoryID = [16]byte{}
				}
				if r.Version < 18 {
					p.HighWatermark = math.MaxInt64
				}
			}
		}
	case *kmsg.ProduceResponse:
		if r.Version < 10 {
			r.Brokers = nil
			for i := range r.Topics {
				for j := range r.Topics[i].Partitions {
					r.Topics[i].Partitions[j].CurrentLeader.Default()
				}
			}
		}
	case *kmsg.FetchResponse:
		if r.Version < 16 {
			r.Brokers = nil
		}
	}
}

// neverNull are response fields which Kafka's definition allows to be null and which we write empty, because clients fail on null.
var neverNull = map[string]bool{
	"FetchResponseTopicPartition.RecordBatches": true, // librdkafka
	"CreateTopicsResponseTopic.Configs":         true, // Kafka's own admin client
	"ShareFetchResponseTopicPartition.Records":  true,
}

// pair calls f for each field of ours with kmsg's field of the same meaning. Every field of both sides must have a partner.
func pair(ours, theirs reflect.Value, f func(name string, ours, theirs reflect.Value) error) error {
	used := map[string]bool{}
	for i := range ours.NumField() {
		field := ours.Type().Field(i)
		if !field.IsExported() {
			continue
		}
		candidates := append([]string{field.Name}, names[field.Name]...)
		if s, ok := strings.CutSuffix(field.Name, "Ms"); ok {
			candidates = append(candidates, s+"Millis")
		}
		j := slices.IndexFunc(candidates, func(s string) bool { return theirs.FieldByName(s).IsValid() && !used[s] })
		if j < 0 {
			return fmt.Errorf("%v.%s has no partner in kmsg's %v", ours.Type(), field.Name, theirs.Type())
		}
		used[candidates[j]] = true
		if err := f(ours.Type().Name()+"."+field.Name, ours.Field(i), theirs.FieldByName(candidates[j])); err != nil {
			return fmt.Errorf("%s: %w", field.Name, err)
		}
	}
	for i := range theirs.NumField() {
		if name := theirs.Type().Field(i).Name; !used[name] && !foreign[name] && !foreign[theirs.Type().Name()+"."+name] {
			return fmt.Errorf("kmsg's %v.%s has no partner in %v", theirs.Type(), name, ours.Type())
		}
	}
	return nil
}

// Same compares a decoded request with kmsg's, field by field. Both are pointers.
func Same(ours, theirs any) error {
	return sameStruct("", reflect.ValueOf(ours).Elem(), reflect.ValueOf(theirs).Elem())
}

func sameStruct(_ string, ours, theirs reflect.Value) error { return pair(ours, theirs, same) }

func same(name string, ours, theirs reflect.Value) error {
	differ := func() error { return fmt.Errorf("got %v, kmsg says %v", show(ours), show(theirs)) }
	if null, ok := ours.Interface().(wire.NullString); ok {
		if want := nullString(theirs); null != want {
			return differ()
		}
		return nil
	}
	switch ours.Kind() {
	case reflect.Slice:
		if nullable[name] && ours.IsNil() != theirs.IsNil() || ours.Len() != theirs.Len() {
			return differ()
		}
		for i := range ours.Len() {
			if err := same("", ours.Index(i), theirs.Index(i)); err != nil {
				return fmt.Errorf("[%d] %w", i, err)
			}
		}
	case reflect.Pointer:
		if ours.IsNil() != theirs.IsNil() {
			return differ()
		}
		if !ours.IsNil() {
			return same("", ours.Elem(), theirs.Elem())
		}
	case reflect.Struct:
		return sameStruct("", ours, theirs)
	case reflect.Float64:
		if math.Float64bits(ours.Float()) != math.Float64bits(theirs.Float()) {
			return differ()
		}
	default:
		if got := ours.Convert(theirs.Type()); !got.Equal(theirs) {
			return differ()
		}
	}
	return nil
}

func show(v reflect.Value) string {
	if v.Kind() == reflect.Pointer && !v.IsNil() {
		v = v.Elem()
	}
	return fmt.Sprintf("%+v", v)
}

func nullString(v reflect.Value) wire.NullString {
	if v.Kind() == reflect.String {
		return wire.Str(v.String())
	}
	if v.IsNil() {
		return wire.NullString{}
	}
	return wire.Str(v.Elem().String())
}

// Set copies kmsg's response into ours, and returns its records, which ours has only the sizes of. Both are pointers.
func Set(ours, theirs any) (records [][]byte, err error) {
	ours.(interface{ Default() }).Default()
	err = setStruct(reflect.ValueOf(ours).Elem(), reflect.ValueOf(theirs).Elem(), &records)
	return records, err
}

func setStruct(ours, theirs reflect.Value, records *[][]byte) error {
	return pair(ours, theirs, func(_ string, ours, theirs reflect.Value) error { return set(ours, theirs, records) })
}

func set(ours, theirs reflect.Value, records *[][]byte) error {
	if _, ok := ours.Interface().(wire.NullString); ok {
		ours.Set(reflect.ValueOf(nullString(theirs)))
		return nil
	}
	switch {
	case ours.Kind() == reflect.Int32 && theirs.Kind() == reflect.Slice: // records
		ours.SetInt(int64(theirs.Len()))
		if theirs.Len() > 0 {
			*records = append(*records, theirs.Bytes())
		}
	case ours.Kind() == reflect.Pointer && theirs.Kind() == reflect.Struct: // a tagged struct, left out when it is the default
		fresh := reflect.New(theirs.Type())
		defaults(fresh)
		ours.SetZero()
		if !reflect.DeepEqual(fresh.Elem().Interface(), theirs.Interface()) {
			ours.Set(reflect.New(ours.Type().Elem()))
			return setStruct(ours.Elem(), theirs, records)
		}
	case ours.Kind() == reflect.Pointer:
		ours.SetZero()
		if !theirs.IsNil() {
			ours.Set(reflect.New(ours.Type().Elem()))
			return setStruct(ours.Elem(), theirs.Elem(), records)
		}
	case ours.Kind() == reflect.Slice:
		if theirs.IsNil() {
			ours.SetZero()
			return nil
		}
		ours.Set(reflect.MakeSlice(ours.Type(), theirs.Len(), theirs.Len()))
		for i := range theirs.Len() {
			if err := set(ours.Index(i), theirs.Index(i), records); err != nil {
				return err
			}
		}
	case ours.Kind() == reflect.Struct:
		return setStruct(ours, theirs, records)
	default:
		if theirs.Kind() == reflect.Pointer { // kmsg lets it be null in versions that are gone
			theirs = theirs.Elem()
		}
		ours.Set(theirs.Convert(ours.Type()))
	}
	return nil
}

// Insert puts the records of Set into the holes of an encoded response.
func Insert(out []byte, holes []int, records [][]byte) []byte {
	var whole []byte
	from := 0
	for i, at := range holes {
		whole = append(append(whole, out[from:at]...), records[i]...)
		from = at
	}
	return append(whole, out[from:]...)
}

// Fill gives the fields of one of kmsg's messages random values, its defaults among them. unknownTags adds tagged fields nobody knows.
func Fill(r *rand.Rand, message any, unknownTags bool) {
	fill(r, "", reflect.ValueOf(message).Elem(), unknownTags)
}

func fill(r *rand.Rand, name string, v reflect.Value, unknownTags bool) {
	switch v.Kind() {
	case reflect.Struct:
		if tags, ok := v.Addr().Interface().(*kmsg.Tags); ok {
			if unknownTags && r.IntN(4) == 0 {
				for n := r.IntN(4); n > 0; n-- {
					tags.Set(1000+r.Uint32N(1000), []byte(text(r)))
				}
			}
			return
		}
		defaults(v.Addr())
		for i := range v.NumField() {
			field := v.Type().Field(i)
			if field.Name == "Version" || r.IntN(5) == 0 { // stays at its default
				if full := v.Type().Name() + "." + field.Name; neverNull[full] {
					v.Field(i).Set(reflect.MakeSlice(field.Type, 0, 0))
				}
				continue
			}
			fill(r, v.Type().Name()+"."+field.Name, v.Field(i), unknownTags)
		}
	case reflect.Pointer:
		v.SetZero()
		if r.IntN(3) > 0 {
			v.Set(reflect.New(v.Type().Elem()))
			fill(r, "", v.Elem(), unknownTags)
		}
	case reflect.Slice:
		v.SetZero()
		if r.IntN(6) == 0 && !neverNull[name] {
			return
		}
		n := r.IntN(4)
		if v.Type().Elem().Kind() != reflect.Struct && r.IntN(4) == 0 {
			n = r.IntN(300)
		}
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			fill(r, "", v.Index(i), unknownTags)
		}
	case reflect.Array:
		for i := range v.Len() {
			fill(r, "", v.Index(i), unknownTags)
		}
	case reflect.String:
		v.SetString(text(r))
	case reflect.Bool:
		v.SetBool(r.IntN(2) == 0)
	case reflect.Float64:
		v.SetFloat(r.NormFloat64())
	case reflect.Uint8, reflect.Uint16, reflect.Uint32:
		v.SetUint(r.Uint64() & (1<<v.Type().Bits() - 1))
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		bits := v.Type().Bits()
		switch r.IntN(4) {
		case 0:
			v.SetInt(r.Int64N(100))
		case 1:
			v.SetInt([]int64{-1 << (bits - 1), 1<<(bits-1) - 1, -1}[r.IntN(3)])
		default:
			v.SetInt(int64(r.Uint64()) >> (64 - bits))
		}
	default:
		panic("cannot fill " + v.Type().String())
	}
}

// text is a random string: mostly short, sometimes longer than one byte of a varint can say, with letters of several bytes.
func text(r *rand.Rand) string {
	n := r.IntN(20)
	if r.IntN(8) == 0 {
		n = 100 + r.IntN(200)
	}
	letters := []rune("abcdefghijklmnopqrstuvwxyz.-_0123456789äß→水")
	s := make([]rune, n)
	for i := range s {
		s[i] = letters[r.IntN(len(letters))]
	}
	return string(s)
}
