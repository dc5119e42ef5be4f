package config

// Broker and Topic are the tables, sorted by name.
var Broker, Topic []Setting
