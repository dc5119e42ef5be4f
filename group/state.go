package group

// State is where a group stands in its rebalance.
//
//	Empty --join--> PreparingRebalance --all joined, or time is up--> CompletingRebalance --leader's sync--> Stable
//	                  ^        |                                               |                              |
//	                  |        +--nobody left--> Empty                         |                              |
//	                  +-----------------join, leave, time-out------------------+------------------------------+
//
// Dead is a group that is not there.
type State byte

const (
	Empty State = iota
	PreparingRebalance
	CompletingRebalance
	Stable
	Dead
)

var stateNames = [...]string{Empty: "Empty", PreparingRebalance: "PreparingRebalance", CompletingRebalance: "CompletingRebalance",
	Stable: "Stable", Dead: "Dead"}

// String is the name Kafka's tools show.
func (s State) String() string { return stateNames[s] }
