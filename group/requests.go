package group

import "github.com/millrace/millrace/wire"

// Requests are views: the shard copies what it keeps of their strings and bytes. Answers belong to whoever gets them, but their bytes (metadata,
// assignments) are the shard's own, never written again, and must not be written by the receiver; and they repeat strings of their request (ids, names of
// topics), which must last as long.

// Protocol is a way of assigning that a member supports, with what it tells the leader (for consumers: the subscription).
type Protocol struct {
	Name     string
	Metadata []byte
}

// JoinRequest asks to be a member of the next generation.
type JoinRequest struct {
	Group, Member        string // Member is empty when the client has none yet
	Instance             wire.NullString
	ClientID, ClientHost string
	SessionTimeoutMs     int32
	RebalanceTimeoutMs   int32 // version 0 has none: the session time-out
	ProtocolType         string
	Protocols            []Protocol // in order of preference
	RequireKnownMemberID bool       // versions 4+: a new member must come back with the id it is given (KIP-394)
	CanSkipAssignment    bool       // versions 9+: the client knows SkipAssignment (KIP-814)
}

// JoinResponse tells a member its generation. Only the leader gets Members. A version before 7 writes a null ProtocolName as empty.
type JoinResponse struct {
	Code                       wire.Code
	Generation                 int32
	ProtocolType, ProtocolName wire.NullString
	Leader, Member             string
	SkipAssignment             bool
	Members                    []JoinedMember
}

// JoinedMember is what a leader learns of a member.
type JoinedMember struct {
	Member   string
	Instance wire.NullString
	Metadata []byte
}

// SyncRequest asks for the assignment of the generation; the leader's brings everyone's. A version from 5 on must name protocol type and name
// (KIP-559): where one is null, its handler answers INCONSISTENT_GROUP_PROTOCOL without asking the shard, as Kafka's does.
type SyncRequest struct {
	Group, Member              string
	Instance                   wire.NullString
	Generation                 int32
	ProtocolType, ProtocolName wire.NullString // versions 5+ (KIP-559)
	Assignments                []Assignment
}

// Assignment is what the leader decided for a member.
type Assignment struct {
	Member string
	Data   []byte
}

// SyncResponse brings a member its assignment.
type SyncResponse struct {
	Code                       wire.Code
	ProtocolType, ProtocolName wire.NullString
	Assignment                 []byte
}

// HeartbeatRequest says that a member is alive.
type HeartbeatRequest struct {
	Group, Member string
	Instance      wire.NullString
	Generation    int32
}

// LeaveRequest takes members out. Versions before 3 name one, by its id; later ones may name an instance with an empty member id.
type LeaveRequest struct {
	Group   string
	Members []LeavingMember
}

// LeavingMember is a member that leaves or is sent away.
type LeavingMember struct {
	Member   string
	Instance wire.NullString
}

// LeaveResponse answers member by member, in the order of the request. When Code is not None, Members is empty; a version before 3
// answers with the code of its one member where Code is None.
type LeaveResponse struct {
	Code    wire.Code
	Members []LeftMember
}

// LeftMember repeats who should leave, and tells whether it did.
type LeftMember struct {
	Member   string
	Instance wire.NullString
	Code     wire.Code
}

// CommitRequest stores offsets. A consumer outside of any group has Generation -1 and no member.
type CommitRequest struct {
	Group, Member string
	Instance      wire.NullString
	Generation    int32
	RetentionMs   int64 // versions 2-4, -1 and always -1 later: the broker's retention applies
	KnowsGroupIDs bool  // versions 9+: a group that is not there is GROUP_ID_NOT_FOUND, not ILLEGAL_GENERATION
	Topics        []CommitTopic
}

// CommitTopic is a topic of a commit, by its name; ID is zero where nobody knows it.
type CommitTopic struct {
	Name       string
	ID         wire.UUID
	Partitions []CommitPartition
}

// CommitPartition is an offset to store. Commit writes Code.
type CommitPartition struct {
	Partition   int32
	LeaderEpoch int32 // -1: unknown
	Offset      int64
	Metadata    wire.NullString
	Code        wire.Code
}

// FetchRequest asks for committed offsets of one group. The member and its epoch that versions 9+ bring are for the groups of KIP-848, and
// RequireStable of versions 7+ asks for what every answer is here: of durable offsets.
type FetchRequest struct {
	Group  string
	All    bool // every topic; Topics is not looked at
	Topics []FetchTopic
}

// FetchTopic is a topic by its name. An offset that was committed under another id is none of this topic's, unless either id is zero.
type FetchTopic struct {
	Name       string
	ID         wire.UUID
	Partitions []int32
}

// FetchResponse brings the offsets, of FetchTopics in the order of the request, of All in the order of names and numbers.
type FetchResponse struct {
	Topics []FetchedTopic
}

// FetchedTopic is a topic's part of a FetchResponse.
type FetchedTopic struct {
	Name       string
	ID         wire.UUID
	Partitions []FetchedPartition
}

// FetchedPartition is a committed offset, -1 where there is none.
type FetchedPartition struct {
	Partition   int32
	LeaderEpoch int32 // -1: unknown
	Offset      int64
	Metadata    string
	Code        wire.Code
}

// DeleteOffsetsRequest takes offsets away. Names are of the topics that exist.
type DeleteOffsetsRequest struct {
	Group  string
	Topics []DeleteOffsetsTopic
}

// DeleteOffsetsTopic is a topic of a DeleteOffsetsRequest.
type DeleteOffsetsTopic struct {
	Name       string
	Partitions []int32
}

// DeleteOffsetsResponse has one code for the request and one for each topic of it: all partitions of a topic share it.
type DeleteOffsetsResponse struct {
	Code   wire.Code
	Topics []wire.Code // nil unless Code is None
}

// Description is a group as DescribeGroups shows it. A group that is not there is Dead with Code GroupIDNotFound; versions before 6 show only
// the state.
type Description struct {
	Code         wire.Code
	Group        string
	State        State
	ProtocolType string
	Protocol     string // of a Stable group, or empty
	Members      []MemberDescription
}

// MemberDescription is a member of a Description.
type MemberDescription struct {
	Member               string
	Instance             wire.NullString
	ClientID, ClientHost string
	Metadata             []byte // of a Stable group, or nil
	Assignment           []byte
}

// Listing is a line of ListGroups. The type of every group here is "classic".
type Listing struct {
	Group        string
	ProtocolType string
	State        State
}
