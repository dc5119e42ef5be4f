//go:build compat

package compat

import "regexp"

// explanation is a difference between Kafka and us that is meant to be.
type explanation struct {
	in, at       string // of the conversation's name, and of the answer's label and field: regular expressions that match the whole
	kafka, other string // what each side says, likewise; empty: anything
	why          string

	matched int
}

type explanationTable []*explanation

// explanations is every difference there may be, with its reason. One that explains nothing any more fails the test.
func explanations() explanationTable {
	return explanationTable{
		// What is not built yet.
		{at: `.*(Supported|Finalized)Features\["(transaction|group|share|streams|kraft|eligible\.leader\.replicas)\.version"\]`, other: none,
			why: "transactions, KIP-848 groups, share and streams groups, changes of the voters and ELR are not built: a feature is on when what it promises is there"},
		{in: "coordinators", at: `.*of kind [12], .*`,
			why: "transactions and share groups are not built: nothing coordinates them, and the answer says so"},
		{in: "produce", at: `.*of nobody's transaction: .*`, why: "a request that names a transactional id is refused until there are transactions"},
		{in: "topicconfigs|incremental", at: `.*Resources\[(CLIENT_METRICS|GROUP_CONFIG)/.*`,
			why: "settings of telemetry (KIP-714) and of the newer kinds of groups come with these"},
		{in: "brokerconfigs", at: `.*of broker '1?', per broker: .*ErrorMessage`, other: `"Cannot update these configs dynamically: .*`,
			why: "listeners cannot be changed at run time"},

		// What is ours.
		{at: `.*Configs\["millrace\.[a-z.]+"\]`, kafka: none, why: "settings of our own, with the prefix millrace."},
		{at: `.*Configs\["(node\.id|process\.roles|controller\.listener\.names)"\]\.ConfigSynonyms\[1\]`, kafka: none,
			why: "these have a default here: a broker starts without any configuration"},
		{at: `.*\.Documentation`, why: "the texts are our own, and say what a setting does here"},
		{at: `.* Produce v.*\.ErrorMessage`, why: "Kafka has no text for most batches it refuses; ours says what is wrong with the batch"},

		// Where Kafka's answer helps less.
		{in: "metadata", at: `.*one to be made: Topics\["metadata\.auto\d?".*`,
			why: "Kafka answers UNKNOWN_TOPIC_OR_PARTITION while it makes a topic; here the answer waits until the topic is there"},
		{at: `.* Fetch v.*\.(HighWatermark|LastStableOffset|LogStartOffset)`, kafka: `-1`, other: `\d+`,
			why: "an answer to an offset out of range tells where the log begins and ends"},
		{at: `.*(bad names|by no id|an isolation that is none|a codec that is none|compressed, it says|zstd, it says): .*(ErrorCode|LogStartOffset)`, kafka: `-1`,
			why: "Kafka answers UNKNOWN_SERVER_ERROR to what it has not thought of; here the error has its name"},
		{at: `.*(bad names|an isolation that is none): .*`, why: "what goes with that"},
		{in: "create", at: `.*a line and a point at once: .*`,
			why: "two topics of one request may not collide in '.' and '_' either: Kafka lets them, and then neither can be told from the other in its metrics"},
		{in: "reassignments", at: `.*of nothing: ErrorMessage`, kafka: `""`, other: "null", why: "there is nothing to say of nothing"},
		{in: "metadata", at: `.*one by id, one by name: Topics\["metadata\.b".*`, kafka: none, why: "Kafka forgets the topics that were named when another came by id"},
		{in: "lists", at: `.*\["lists\.stable"\(2\)\]`, other: none, why: "a group that is named twice is described once: a small request may not ask for a large answer many times over"},
		{in: "fetch", at: `.*the same partition twice: .*`, why: "Kafka keeps the last one, we answer both; no client does this"},
		{in: "sessions", at: `.*a session of nothing: SessionID`, kafka: "a session", other: "0", why: "a session without partitions takes no place among the sessions"},
		{in: "gone", at: `.*the session(, still)?: .*`, why: "Kafka's session still knows the name of a topic that is gone, ours its id, which is unknown; clients ask for metadata after either"},
		{in: "restart", at: `.*LeaderEpoch`, kafka: "[1-9]", other: "0", why: "the only broker is still the leader after a restart: no new epoch begins"},
		{in: "restart", at: `.*all records: .*RecordBatches`, why: "and so the epochs in the batches"},
		{in: "offsets", at: `.*at -3: .*Partitions\[1\]\..*`, kafka: "0", other: "-1", why: "a record without a timestamp is not the latest one"},
	}
}

// none stands for what one side does not have at all, as a regular expression.
var none = regexp.QuoteMeta(nothing)

func (all explanationTable) cover(conversation string, d difference) bool {
	for _, e := range all {
		if whole(e.in, conversation) && whole(e.at, d.at) && whole(e.kafka, d.kafka) && whole(e.other, d.other) {
			e.matched++
			return true
		}
	}
	return false
}

func whole(form, s string) bool {
	return form == "" || regexp.MustCompile(`(?s)^(?:`+form+`)$`).MatchString(s)
}
