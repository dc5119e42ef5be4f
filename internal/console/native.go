package console

import (
	"github.com/millrace/millrace/broker"
)

// native puts what the node is and has done, under names of our own.
func native(out *sink, n *broker.NodeStats, all *totals) {
	out.gauge("millrace_build_info", "1, with the version of the binary.", 1, "version", n.Version)
	out.gauge("millrace_durability_info", "1, with the durability mode of topics that do not set their own.", 1, "mode", n.Durability)
	out.gauge("millrace_cluster_brokers", "Brokers of the cluster that are registered.", float64(len(n.Brokers)))
	out.gauge("millrace_controller_active", "1 when this node is the controller, else 0.", truth(n.Controller == n.ID))

	const partitions = "Partitions that this broker leads, by state; one may be in several."
	out.gauge("millrace_partitions", partitions, float64(all.led), "state", "leader")
	out.gauge("millrace_partitions", partitions, float64(all.sum.UnderReplicated), "state", "under_replicated")
	out.gauge("millrace_partitions", partitions, float64(all.sum.UnderMinISR), "state", "under_min_isr")
	out.gauge("millrace_partitions", partitions, float64(all.sum.AtMinISR), "state", "at_min_isr")
	out.gauge("millrace_partitions", partitions, float64(offline(n, all)), "state", "offline")
	// One node is the whole ISR and the only candidate: these cannot happen to it.
	out.counter("millrace_isr_shrinks_total", "Times a replica has left the ISR of a partition that this broker leads.", 0)
	out.counter("millrace_isr_expands_total", "Times a replica has joined the ISR of a partition that this broker leads.", 0)
	out.counter("millrace_unclean_elections_total", "Leaders elected from outside of the ISR.", 0)

	out.gauge("millrace_raft_leader", "Node that leads the metadata quorum.", float64(n.Metadata.Leader))
	out.gauge("millrace_raft_epoch", "Term of the metadata quorum.", float64(n.Metadata.Epoch))
	out.gauge("millrace_raft_log_end_offset", "End of the metadata log; all below it is durable and applied.", float64(n.Metadata.LogEnd))
	out.histogram("millrace_raft_commit_seconds", "Time from a decision of the controller until it is durable.", &n.Metadata.Commits)

	out.gauge("millrace_log_directory_offline", "1 when the log directory is offline after an I/O error, else 0.", truth(n.Offline))
	if n.DiskTotal >= 0 {
		out.gauge("millrace_disk_size_bytes", "Size of the volume that holds the log directory.", float64(n.DiskTotal))
		out.gauge("millrace_disk_free_bytes", "Bytes of that volume that are free for the broker.", float64(n.DiskFree))
	}
	out.histogram("millrace_fsync_seconds", "Time a flush of a partition took: one fdatasync for all that was appended before it.", &n.Flushes)
	const waiting = "Requests that wait: fetches for bytes or their time, produce requests for the high watermark."
	out.gauge("millrace_purgatory_size", waiting, float64(n.ParkedFetches), "api", "Fetch")
	out.gauge("millrace_purgatory_size", waiting, float64(n.WaitingProduces), "api", "Produce")
}

// network puts what connections have cost, and who serves them.
func network(out *sink, n *broker.NodeStats, from, now *moment) {
	for _, l := range n.Listeners {
		out.gauge("millrace_connections", "Connections that are open.", float64(l.Connections), "listener", l.Name)
	}
	s := &n.Net
	out.counter("millrace_connections_accepted_total", "Connections accepted.", float64(s.Accepted))
	out.counter("millrace_connections_refused_total", "Connections refused: beyond a limit, or for want of descriptors.", float64(s.Refused))
	const bytes = "Bytes on connections of clients."
	out.counter("millrace_network_bytes_total", bytes, float64(s.BytesIn), "dir", "in")
	out.counter("millrace_network_bytes_total", bytes, float64(s.BytesOut), "dir", "out")
	out.counter("millrace_sendfile_bytes_total", "Bytes of log files that the kernel has sent by itself.", float64(s.Sendfile.Bytes))
	const path = "Ranges of log files sent to clients: by the kernel itself, or from memory together with the bytes around them."
	out.counter("millrace_fetch_path_total", path, float64(s.Sendfile.Slices), "path", "sendfile")
	out.counter("millrace_fetch_path_total", path, float64(s.Copied.Slices), "path", "copy")
	out.counter("millrace_socket_stalls_total", "Times a client's socket was full.", float64(s.Stalls))
	out.gauge("millrace_request_memory_bytes", "Memory held by requests and by answers that have not left, as counted against queued.max.request.bytes.", float64(s.Reserved))
	out.gauge("millrace_request_memory_waiters", "Connections that are not read because that memory is spent.", float64(s.BudgetWaiters))
	out.counter("millrace_loop_wakeups_total", "Times event loops were woken.", float64(s.Passes))
	for i, busy := range n.Busy {
		out.counter("millrace_loop_busy_seconds_total", "Time an event loop has worked.", busy.Seconds(), "loop", number(i))
		out.gauge("millrace_loop_busy_ratio", "Share of the last minutes that an event loop has worked.", 1-from.idle(now, i), "loop", number(i))
	}
}

// offline is how many partitions nobody can use: those without a leader, and with the log directory offline all.
func offline(n *broker.NodeStats, all *totals) int {
	if n.Offline {
		return n.Partitions
	}
	return n.Partitions - all.led // the rest is led by nobody: there is one broker
}
