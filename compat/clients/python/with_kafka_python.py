"""Drives kafka-python; see ../README.md."""

import sys

from kafka import ConsumerRebalanceListener, KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.coordinator.assignors.range import RangePartitionAssignor
from kafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from kafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from kafka.errors import CommitFailedError, IllegalGenerationError, KafkaError, RebalanceInProgressError, UnknownMemberIdError
from kafka.structs import OffsetAndMetadata

import contract
from contract import Reading, say, say_refused

PATIENCE = 20

# The group has begun a new generation without us, or is about to: a later commit counts, or what is lost is read again.
MOVED = (CommitFailedError, IllegalGenerationError, RebalanceInProgressError, UnknownMemberIdError)
ASSIGNORS = {"range": RangePartitionAssignor, "roundrobin": RoundRobinPartitionAssignor, "sticky": StickyPartitionAssignor}


def produce(flags):
    p = KafkaProducer(
        bootstrap_servers=flags["bootstrap"], compression_type=None if flags["codec"] == "none" else flags["codec"], enable_idempotence=flags.true("idempotent"), acks="all",
        linger_ms=5, batch_size=65536, max_in_flight_requests_per_connection=1, max_block_ms=30_000,
    )
    sent = [p.send(flags["topic"], value=value, key=key, headers=headers, timestamp_ms=timestamp) for timestamp, key, value, headers in contract.read_input(flags["in"])]
    p.flush(timeout=60)
    for s in sent:
        s.get(timeout=PATIENCE)
    say("done", len(sent))
    p.close()


def fields(m):
    return m.partition, m.offset, m.timestamp, m.key, m.value, m.headers


def new_consumer(flags, **more):
    return KafkaConsumer(
        bootstrap_servers=flags["bootstrap"], group_id=flags["group"] or None, enable_auto_commit=False, auto_offset_reset="earliest", session_timeout_ms=6000,
        heartbeat_interval_ms=1000, metadata_max_age_ms=1000, fetch_max_wait_ms=50, **more,
    )


class Listener(ConsumerRebalanceListener):
    """Is called while poll waits, and must not wait itself: what is revoked was committed before poll."""

    def __init__(self, reading):
        self.reading, self.owned = reading, set()

    def on_partitions_assigned(self, assigned):
        self.owned.update(assigned)
        contract.say_assigned(self.owned)

    def on_partitions_revoked(self, revoked):
        self.on_partitions_lost(revoked)

    def on_partitions_lost(self, lost):
        self.owned.difference_update(lost)
        self.reading.lost(p.partition for p in lost)
        contract.say_assigned(self.owned)


def consume(flags):
    more = {"partition_assignment_strategy": [ASSIGNORS.get(flags["assignor"], CooperativeStickyAssignor)]}
    if flags["instance"]:
        more["group_instance_id"] = flags["instance"]
    c, topic, reading, stopped = new_consumer(flags, **more), flags["topic"], Reading(flags), []

    def commit(strict=False):
        if not reading.pending:
            return
        try:
            c.commit({TopicPartition(topic, p): OffsetAndMetadata(o, "", -1) for p, o in reading.pending.items()})
        except MOVED as e:
            if strict or reading.done():
                raise
            print("commit:", e, file=sys.stderr)
            return
        reading.committed()

    c.subscribe([topic], listener=Listener(reading))
    if not reading.count:
        contract.when_stopped(lambda: stopped.append(True))
    while not reading.done():
        if stopped:
            commit(strict=True)
            break
        contract.flush()
        # A poll that runs out while the member joins forgets the answer (3.0.12): the member then owns nothing and believes it has joined.
        for records in c.poll(timeout_ms=2000).values():
            for m in records:
                if not reading.done() and reading.add(*fields(m)):
                    commit()
        if not reading.count:
            commit()
    c.close()


def read_one(c):
    while True:
        for records in c.poll(timeout_ms=PATIENCE * 1000, max_records=1).values():
            contract.say_record(*fields(records[0]))
            return records[0]
        sys.exit("no record")


def assign(flags):
    c, end = new_consumer(flags), -1
    partition = TopicPartition(flags["topic"], flags.int("partition"))
    c.assign([partition])
    if flags.int("offset") >= 0:
        c.seek(partition, flags.int("offset"))
    for _ in range(flags.int("count")):
        end = read_one(c).offset + 1
    c.commit({partition: OffsetAndMetadata(end, "", -1)})
    say("committed", partition.partition, end)
    c.close()


def seek(flags):
    c, topic = new_consumer(flags), flags["topic"]
    found = c.offsets_for_times({TopicPartition(topic, p): flags.int("timestamp") for p in c.partitions_for_topic(topic)})
    for p, at in found.items():
        say("offset", topic, p.partition, -1 if at is None else at.offset)
    for p, at in found.items():
        if at is not None:
            c.assign([p])
            c.seek(p, at.offset)
            read_one(c)
    c.close()


def offsets(flags):
    for p, o in KafkaAdminClient(bootstrap_servers=flags["bootstrap"]).list_group_offsets(flags["group"])[flags["group"]].items():
        say("offset", p.topic, p.partition, o.offset)


def describe(flags):
    g = KafkaAdminClient(bootstrap_servers=flags["bootstrap"]).describe_groups([flags["group"]])[flags["group"]]
    if g["error"]:
        sys.exit(g["error"])
    say("group", g["group_state"], g["protocol_data"], len(g["members"]))


def groups(flags):
    for g in KafkaAdminClient(bootstrap_servers=flags["bootstrap"]).list_groups():
        say("name", g["group_id"])


def delete_group(flags):
    answer = KafkaAdminClient(bootstrap_servers=flags["bootstrap"]).delete_groups([flags["group"]])[flags["group"]]
    if answer != "OK":
        say_refused(answer)
        return
    say("deleted")


def transact(flags):
    try:
        p = KafkaProducer(bootstrap_servers=flags["bootstrap"], transactional_id="kafka-python-" + flags["topic"], max_block_ms=PATIENCE * 1000)
        p.init_transactions()
        p.begin_transaction()
        p.send(flags["topic"], b"in a transaction").get(timeout=PATIENCE)
        p.commit_transaction()
    except KafkaError as e:
        say_refused(e)
        return
    say("committed")


contract.main({
    "produce": produce, "consume": consume, "assign": assign, "seek": seek,
    "offsets": offsets, "describe": describe, "groups": groups, "delete-group": delete_group, "transact": transact,
})
