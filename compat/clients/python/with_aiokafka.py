"""Drives aiokafka; see ../README.md."""

import asyncio
import sys

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from aiokafka.errors import CommitFailedError, IllegalGenerationError, IllegalStateError, KafkaError, RebalanceInProgressError, UnknownMemberIdError

import contract
from contract import Reading, say, say_refused

PATIENCE = 20

# The group has begun a new generation without us, or is about to: a later commit counts, or what is lost is read again.
MOVED = (CommitFailedError, IllegalGenerationError, IllegalStateError, RebalanceInProgressError, UnknownMemberIdError)
ASSIGNORS = {"range": RangePartitionAssignor, "roundrobin": RoundRobinPartitionAssignor}


async def produce(flags):
    p = AIOKafkaProducer(
        bootstrap_servers=flags["bootstrap"], compression_type=None if flags["codec"] == "none" else flags["codec"], enable_idempotence=flags.true("idempotent"), acks="all",
        linger_ms=5, max_batch_size=65536,
    )
    async with p:
        sent = [await p.send(flags["topic"], value=value, key=key, headers=headers, timestamp_ms=timestamp) for timestamp, key, value, headers in contract.read_input(flags["in"])]
        await asyncio.gather(*sent)
    say("done", len(sent))


def fields(m):
    return m.partition, m.offset, m.timestamp, m.key, m.value, m.headers


def new_consumer(flags, *topics, **more):
    return AIOKafkaConsumer(
        *topics, bootstrap_servers=flags["bootstrap"], group_id=flags["group"] or None, enable_auto_commit=False, auto_offset_reset="earliest", session_timeout_ms=6000,
        heartbeat_interval_ms=1000, metadata_max_age_ms=1000, fetch_max_wait_ms=50, **more,
    )


class Listener(ConsumerRebalanceListener):
    def __init__(self, reading, commit):
        self.reading, self.commit = reading, commit
        self.owned = set()
        self.revocations = 0

    async def on_partitions_assigned(self, assigned):
        self.owned = set(assigned)
        contract.say_assigned(self.owned)

    async def on_partitions_revoked(self, revoked):
        self.revocations += 1
        if not self.reading.stay:
            await self.commit()
        self.owned -= set(revoked)
        self.reading.lost(p.partition for p in revoked)
        contract.say_assigned(self.owned)


async def consume(flags):
    more = {"partition_assignment_strategy": [ASSIGNORS.get(flags["assignor"], StickyPartitionAssignor)]}
    if flags["instance"]:
        more["group_instance_id"] = flags["instance"]
    c, topic, reading, stopped = new_consumer(flags, **more), flags["topic"], Reading(flags), []

    async def commit(strict=False):
        offsets = dict(reading.pending)  # the loop and the listener may both be here
        if not offsets:
            return
        try:
            await c.commit({TopicPartition(topic, p): (o, "") for p, o in offsets.items()})
        except MOVED as e:
            if strict or reading.done():
                raise
            print("commit:", e, file=sys.stderr)
            return
        reading.committed(offsets)

    listener = Listener(reading, commit)
    c.subscribe([topic], listener=listener)
    if not reading.count:
        contract.when_stopped(lambda: stopped.append(True))
    async with c:
        while not reading.done():
            if stopped:
                await commit(strict=True)
                break
            contract.flush()
            polled, revocations = await c.getmany(timeout_ms=200, max_records=500), listener.revocations
            for m in (m for records in polled.values() for m in records):
                if listener.revocations != revocations:
                    break  # a rebalance has begun while we committed: what is still ours comes again, from the committed offset
                if not reading.done() and reading.add(*fields(m)):
                    await commit()


async def read_one(c, *partitions):
    m = await asyncio.wait_for(c.getone(*partitions), PATIENCE)
    contract.say_record(*fields(m))
    return m


async def assign(flags):
    end = -1
    async with new_consumer(flags) as c:
        partition = TopicPartition(flags["topic"], flags.int("partition"))
        c.assign([partition])
        if flags.int("offset") >= 0:
            c.seek(partition, flags.int("offset"))
        for _ in range(flags.int("count")):
            end = (await read_one(c)).offset + 1
        await c.commit({partition: (end, "")})
    say("committed", partition.partition, end)


async def seek(flags):
    topic = flags["topic"]
    async with new_consumer(flags, topic) as c:  # without a group it has all partitions
        found = await c.offsets_for_times({p: flags.int("timestamp") for p in c.assignment()})
        for p, at in found.items():
            say("offset", topic, p.partition, -1 if at is None else at.offset)
        for p, at in found.items():
            if at is not None:
                c.seek(p, at.offset)
                await read_one(c, p)


async def ask(flags, question):
    a = AIOKafkaAdminClient(bootstrap_servers=flags["bootstrap"])
    await a.start()
    try:
        return await question(a)
    finally:
        await a.close()


async def offsets(flags):
    for p, o in (await ask(flags, lambda a: a.list_consumer_group_offsets(flags["group"]))).items():
        say("offset", p.topic, p.partition, o.offset)


async def describe(flags):
    for answer in await ask(flags, lambda a: a.describe_consumer_groups([flags["group"]])):
        for error, _, state, _, protocol, members, *_ in answer.groups:
            if error:
                sys.exit(f"error {error}")
            say("group", state, protocol, len(members))


async def groups(flags):
    for g in await ask(flags, lambda a: a.list_consumer_groups()):
        say("name", g[0])


async def transact(flags):
    p = AIOKafkaProducer(bootstrap_servers=flags["bootstrap"], transactional_id="aiokafka-" + flags["topic"])
    try:
        await p.start()
        async with p.transaction():
            await p.send_and_wait(flags["topic"], b"in a transaction")
    except KafkaError as e:
        say_refused(e)
        return
    finally:
        await p.stop()
    say("committed")


def run(command):
    return lambda flags: asyncio.run(command(flags))


contract.main({name: run(command) for name, command in {
    "produce": produce, "consume": consume, "assign": assign, "seek": seek, "offsets": offsets, "describe": describe, "groups": groups, "transact": transact,
}.items()})
