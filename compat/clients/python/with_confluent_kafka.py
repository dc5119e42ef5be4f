"""Drives confluent-kafka with the librdkafka in its wheel; see ../README.md."""

import sys

import confluent_kafka as ck
from confluent_kafka.admin import AdminClient

import contract
from contract import Reading, say, say_refused

PATIENCE = 20

# The group has begun a new generation without us, or is about to: a later commit counts, or what is lost is read again.
MOVED = {ck.KafkaError.REBALANCE_IN_PROGRESS, ck.KafkaError.ILLEGAL_GENERATION, ck.KafkaError.UNKNOWN_MEMBER_ID}


def produce(flags):
    p = ck.Producer({
        "bootstrap.servers": flags["bootstrap"], "compression.codec": flags["codec"], "enable.idempotence": flags.true("idempotent"), "acks": "all", "max.in.flight": 1,
        "queue.buffering.max.messages": 1_000_000, "message.timeout.ms": 60_000,
    })
    acknowledged = []

    def done(err, message):
        if err is not None:
            sys.exit(f"not delivered: {err}")
        acknowledged.append(message.offset())

    for timestamp, key, value, headers in contract.read_input(flags["in"]):
        p.produce(flags["topic"], value=value, key=key, headers=headers, timestamp=timestamp, on_delivery=done)
        p.poll(0)
    if p.flush(60):
        sys.exit("not all is delivered after a minute")
    say("done", len(acknowledged))


def fields(m):
    return m.partition(), m.offset(), m.timestamp()[1], m.key(), m.value(), m.headers()


def new_consumer(flags, **more):
    return ck.Consumer({
        "bootstrap.servers": flags["bootstrap"], "group.id": flags["group"], "enable.auto.commit": False, "auto.offset.reset": "earliest", "check.crcs": True,
        "session.timeout.ms": 6000, "heartbeat.interval.ms": 1000, "topic.metadata.refresh.interval.ms": 1000, **{k.replace("_", "."): v for k, v in more.items()},
    })


def commit(c, topic, offsets):
    for p in c.commit(offsets=[ck.TopicPartition(topic, p, o) for p, o in offsets.items()], asynchronous=False):
        if p.error:
            raise ck.KafkaException(p.error)


def consume(flags):
    more = {"partition_assignment_strategy": "cooperative-sticky" if flags["assignor"] in ("", "cooperative") else flags["assignor"]}
    if flags["instance"]:
        more["group_instance_id"] = flags["instance"]
    c, topic, reading, owned, stopped = new_consumer(flags, **more), flags["topic"], Reading(flags), set(), []

    def commit_pending(strict=False):
        if not reading.pending:
            return
        try:
            commit(c, topic, reading.pending)
        except ck.KafkaException as e:
            if strict or reading.done() or e.args[0].code() not in MOVED:
                raise
            print("commit:", e, file=sys.stderr)
            return
        reading.committed()

    def assigned(_, partitions):
        owned.update((p.topic, p.partition) for p in partitions)
        contract.say_assigned(owned)

    def lost(_, partitions):
        owned.difference_update((p.topic, p.partition) for p in partitions)
        reading.lost(p.partition for p in partitions)
        contract.say_assigned(owned)

    def revoked(c, partitions):
        if not reading.stay:
            commit_pending()
        lost(c, partitions)

    c.subscribe([topic], on_assign=assigned, on_revoke=revoked, on_lost=lost)
    if not reading.count:
        contract.when_stopped(lambda: stopped.append(True))
    while not reading.done():
        if stopped:
            commit_pending(strict=True)
            break
        contract.flush()
        for m in c.consume(500, timeout=0.1):
            if m.error():
                if m.error().code() == ck.KafkaError.UNKNOWN_TOPIC_OR_PART:
                    continue
                raise ck.KafkaException(m.error())
            if reading.done():
                break
            if reading.add(*fields(m)):
                commit_pending()
    c.close()


def read_one(c):
    m = c.poll(PATIENCE)
    if m is None or m.error():
        sys.exit(f"no record: {m and m.error()}")
    contract.say_record(*fields(m))
    return m


def assign(flags):
    c, partition, end = new_consumer(flags), flags.int("partition"), -1
    at = flags.int("offset")
    c.assign([ck.TopicPartition(flags["topic"], partition, ck.OFFSET_STORED if at < 0 else at)])
    for _ in range(flags.int("count")):
        end = read_one(c).offset() + 1
    commit(c, flags["topic"], {partition: end})
    say("committed", partition, end)
    c.close()


def seek(flags):
    c, topic = new_consumer({**flags, "group": "seek"}), flags["topic"]
    partitions = c.list_topics(topic, timeout=PATIENCE).topics[topic].partitions
    found = c.offsets_for_times([ck.TopicPartition(topic, p, flags.int("timestamp")) for p in partitions], timeout=PATIENCE)
    for p in found:
        say("offset", topic, p.partition, -1 if p.offset == ck.OFFSET_END else p.offset)
    for p in found:
        if p.offset != ck.OFFSET_END:
            c.assign([p])
            read_one(c)
    c.close()


# Its answers come only as long as somebody holds it.
def admin(flags):
    return AdminClient({"bootstrap.servers": flags["bootstrap"]})


def offsets(flags):
    a = admin(flags)
    all_of = a.list_consumer_group_offsets([ck.ConsumerGroupTopicPartitions(flags["group"])])
    for p in all_of[flags["group"]].result(PATIENCE).topic_partitions:
        if p.error:
            raise ck.KafkaException(p.error)
        say("offset", p.topic, p.partition, p.offset)


def describe(flags):
    a = admin(flags)
    g = a.describe_consumer_groups([flags["group"]])[flags["group"]].result(PATIENCE)
    say("group", g.state.name.title().replace("_", ""), g.partition_assignor, len(g.members))


def groups(flags):
    a = admin(flags)
    got = a.list_consumer_groups().result(PATIENCE)
    for e in got.errors:
        raise e
    for g in got.valid:
        say("name", g.group_id)


def delete_group(flags):
    a = admin(flags)
    try:
        a.delete_consumer_groups([flags["group"]])[flags["group"]].result(PATIENCE)
    except ck.KafkaException as e:
        say_refused(e)
        return
    say("deleted")


def transact(flags):
    p = ck.Producer({"bootstrap.servers": flags["bootstrap"], "transactional.id": "confluent-kafka-" + flags["topic"]})
    try:
        p.init_transactions(PATIENCE)
        p.begin_transaction()
        p.produce(flags["topic"], b"in a transaction")
        p.commit_transaction(PATIENCE)
    except ck.KafkaException as e:
        say_refused(e)
        return
    say("committed")


contract.main({
    "produce": produce, "consume": consume, "assign": assign, "seek": seek,
    "offsets": offsets, "describe": describe, "groups": groups, "delete-group": delete_group, "transact": transact,
})
