package console

import (
	"bytes"
	"os"
	"strconv"

	"github.com/millrace/millrace/broker"
)

// mbeans puts what the node is under the names that the JMX exporter gives to Kafka's MBeans. What needs a second node has the value that is true of one.
func mbeans(out *sink, n *broker.NodeStats, all *totals, from, now *moment) {
	out.gauge("kafka_controller_kafkacontroller_activecontrollercount", "1 when this node is the controller, else 0.", truth(n.Controller == n.ID))
	out.gauge("kafka_controller_kafkacontroller_offlinepartitionscount", "Partitions that nobody leads or can use.", float64(offline(n, all)))
	out.gauge("kafka_controller_kafkacontroller_globaltopiccount", "Topics of the cluster.", float64(n.Topics))
	out.gauge("kafka_controller_kafkacontroller_globalpartitioncount", "Partitions of the cluster.", float64(n.Partitions))
	out.counter("kafka_controller_controllerstats_uncleanleaderelections_total", "Leaders elected from outside of the ISR.", 0)

	out.gauge("kafka_server_replicamanager_leadercount", "Partitions that this broker leads.", float64(all.led))
	out.gauge("kafka_server_replicamanager_partitioncount", "Partitions that this broker has a replica of.", float64(all.led))
	out.gauge("kafka_server_replicamanager_underreplicatedpartitions", "Partitions led here of which replicas are not in sync.", float64(all.sum.UnderReplicated))
	out.gauge("kafka_server_replicamanager_underminisrpartitioncount", "Partitions led here whose ISR is smaller than min.insync.replicas.", float64(all.sum.UnderMinISR))
	out.gauge("kafka_server_replicamanager_atminisrpartitioncount", "Partitions led here whose ISR is as large as min.insync.replicas asks for.", float64(all.sum.AtMinISR))
	out.gauge("kafka_server_replicamanager_offlinereplicacount", "Replicas here that cannot be used.", float64(offline(n, all)))
	out.counter("kafka_server_replicamanager_isrshrinks_total", "Times a replica has left an ISR.", 0)
	out.counter("kafka_server_replicamanager_isrexpands_total", "Times a replica has joined an ISR.", 0)
	out.gauge("kafka_log_logmanager_offlinelogdirectorycount", "Log directories that are offline after an I/O error.", truth(n.Offline))

	for _, l := range n.Listeners {
		out.gauge("kafka_server_socket_server_metrics_connection_count", "Connections that are open.", float64(l.Connections), "listener", l.Name)
	}
	var idle float64
	for i := range n.Busy {
		idle += from.idle(now, i) / float64(len(n.Busy))
	}
	// The same loops read from the network and handle requests.
	out.gauge("kafka_network_socketserver_networkprocessoravgidle_percent", "Share of the last minutes that the event loops had nothing to do, from 0 to 1.", idle)
	out.gauge("kafka_server_kafkarequesthandlerpool_requesthandleravgidle_percent", "Share of the last minutes that the event loops had nothing to do, from 0 to 1.", idle)
	if read, written, ok := diskBytes(); ok {
		out.gauge("kafka_server_kafkaserver_linux_disk_read_bytes", "Bytes that the process has made the disk read.", float64(read))
		out.gauge("kafka_server_kafkaserver_linux_disk_write_bytes", "Bytes that the process has made the disk write.", float64(written))
	}
	raft(out, n, from, now)
}

func raft(out *sink, n *broker.NodeStats, from, now *moment) {
	state := "follower"
	if n.Metadata.Leader == n.ID {
		state = "leader"
	}
	out.gauge("kafka_server_raftmetrics_current_state", "1, with the state of this node in the metadata quorum.", 1, "current_state", state)
	out.gauge("kafka_server_raftmetrics_current_leader", "Node that leads the metadata quorum.", float64(n.Metadata.Leader))
	out.gauge("kafka_server_raftmetrics_current_epoch", "Term of the metadata quorum.", float64(n.Metadata.Epoch))
	out.gauge("kafka_server_raftmetrics_high_watermark", "First offset of the metadata log that is not durable.", float64(n.Metadata.LogEnd))
	out.gauge("kafka_server_raftmetrics_log_end_offset", "End of the metadata log.", float64(n.Metadata.LogEnd))
	commits := now.commits.Since(&from.commits)
	some := commits.Count() > 0
	mean := commits.Sum / max(commits.Count(), 1)
	out.gauge("kafka_server_raftmetrics_commit_latency_avg", "Mean time until a decision was durable, in milliseconds, over the last minutes.", milliseconds(mean, some))
	rate := 0.0
	if took := (now.at - from.at).Seconds(); took > 0 {
		rate = float64(now.logEnd-from.logEnd) / took
	}
	out.gauge("kafka_server_raftmetrics_append_records_rate", "Records a second that were appended to the metadata log, over the last minutes.", rate)
	out.gauge("kafka_server_raftmetrics_fetch_records_rate", "Records a second that this node has fetched from the quorum's leader.", 0) // it is the leader
}

// diskBytes is what the process has made the disk do, as Kafka takes it from /proc.
func diskBytes() (read, written int64, ok bool) {
	text, err := os.ReadFile("/proc/self/io")
	if err != nil {
		return 0, 0, false
	}
	for line := range bytes.Lines(text) {
		name, value, _ := bytes.Cut(bytes.TrimSpace(line), []byte(": "))
		n, err := strconv.ParseInt(string(value), 10, 64)
		switch {
		case err != nil:
		case string(name) == "read_bytes":
			read = n
		case string(name) == "write_bytes":
			written, ok = n, true
		}
	}
	return read, written, ok
}
