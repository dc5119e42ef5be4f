package config

import "strings"

// removed are settings of older Kafkas that would be dangerous to pass over in silence, and what to do instead.
var removed = []struct{ prefix, why string }{
	{"zookeeper.", "there is no ZooKeeper; brokers manage themselves"},
	{"advertised.host.name", "use advertised.listeners"},
	{"advertised.port", "use advertised.listeners"},
	{"host.name", "use listeners"},
	{"port", "use listeners, or the flag --port"},
	{"control.plane.listener.name", "use controller.listener.names"},
	{"inter.broker.protocol.version", "there are no older protocol versions to speak"},
	{"log.message.format.version", "batches are stored in the current format only"},
	{"message.format.version", "batches are stored in the current format only"},
	{"log.message.downconversion.enable", "batches are never converted to older formats"},
	{"message.downconversion.enable", "batches are never converted to older formats"},
	{"log.message.timestamp.difference.max.ms", "use log.message.timestamp.before.max.ms and log.message.timestamp.after.max.ms"},
	{"message.timestamp.difference.max.ms", "use message.timestamp.before.max.ms and message.timestamp.after.max.ms"},
	{"broker.id.generation.enable", "set node.id"},
	{"reserved.broker.max.id", "set node.id"},
	{"offsets.commit.required.acks", "commits are always acknowledged by every replica in sync"},
	{"quota.producer.default", "use client quotas"},
	{"quota.consumer.default", "use client quotas"},
	{"log.cleaner.hash.algorithm", "leave it out"},
	{"password.encoder.", "leave it out"},
	{"migration.", "there is no ZooKeeper to migrate from"},
}

func removedWhy(name string) string {
	for _, r := range removed {
		if name == r.prefix || strings.HasSuffix(r.prefix, ".") && strings.HasPrefix(name, r.prefix) {
			return r.why
		}
	}
	return ""
}

// plugin reports whether the name belongs to something outside Kafka's own table that a file may well hold: a listener's own
// copy of a setting, a plug-in's settings, logging.
func plugin(name string) bool {
	if s, base := brokerSetting(name); s != nil && base != name {
		return true
	}
	for _, prefix := range []string{"rlmm.config.", "rsm.config.", "log4j", "kafka.logger", "config.providers."} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}
