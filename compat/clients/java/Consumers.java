package compat;

import static compat.Steps.equal;
import static compat.Steps.eventually;
import static compat.Steps.fails;
import static compat.Steps.that;

import java.time.Duration;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Properties;
import java.util.Set;
import java.util.concurrent.atomic.AtomicReference;
import java.util.regex.Pattern;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.consumer.CommitFailedException;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.CooperativeStickyAssignor;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.NoOffsetForPartitionException;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.consumer.OffsetAndTimestamp;
import org.apache.kafka.clients.consumer.RangeAssignor;
import org.apache.kafka.clients.consumer.RoundRobinAssignor;
import org.apache.kafka.clients.consumer.StickyAssignor;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.GroupState;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.FencedInstanceIdException;
import org.apache.kafka.common.errors.GroupIdNotFoundException;
import org.apache.kafka.common.errors.InvalidGroupIdException;
import org.apache.kafka.common.errors.OffsetMetadataTooLarge;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/** Java's consumer: groups of all four assignors, static members, commits, positions. */
final class Consumers {
    private static final int PARTITIONS = 6;
    private static final int EACH = 5_000; // records for each of four assignors: 20,000

    static void run(Steps steps, String bootstrap, String[] args) throws Exception {
        steps.step("group with range", () -> group(bootstrap, "range", RangeAssignor.class));
        steps.step("group with round robin", () -> group(bootstrap, "roundrobin", RoundRobinAssignor.class));
        steps.step("group with sticky", () -> group(bootstrap, "sticky", StickyAssignor.class));
        steps.step("group with cooperative sticky", () -> group(bootstrap, "cooperative", CooperativeStickyAssignor.class));
        steps.step("static members", () -> staticMembers(bootstrap));
        steps.step("no common assignor", () -> inconsistent(bootstrap));
        steps.step("commits", () -> commits(bootstrap));
        steps.step("automatic commit", () -> automaticCommit(bootstrap));
        steps.step("a commit after the member was put out", () -> lateCommit(bootstrap));
        steps.step("positions and times", () -> positions(bootstrap));
        steps.step("pattern", () -> pattern(bootstrap));
    }

    static KafkaConsumer<byte[], byte[]> consumer(String bootstrap, String... config) {
        Properties p = Producers.properties(bootstrap, config);
        p.putIfAbsent("auto.offset.reset", "earliest");
        p.putIfAbsent("enable.auto.commit", "false");
        p.putIfAbsent("default.api.timeout.ms", "20000");
        return new KafkaConsumer<>(p, new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }

    static void send(String bootstrap, String topic, int from, int to) {
        try (KafkaProducer<byte[], byte[]> p = Producers.producer(bootstrap)) {
            for (int i = from; i < to; i++) {
                p.send(new ProducerRecord<>(topic, null, Steps.PAST + i, Producers.bytes("key-" + i), Producers.bytes("value-" + i)));
            }
        }
    }

    private static void group(String bootstrap, String name, Class<?> assignor) throws Exception {
        String topic = Producers.create(bootstrap, Steps.name("group-" + name), PARTITIONS, Map.of());
        String[] config = {"partition.assignment.strategy", assignor.getName()};
        Member.Log log = new Member.Log();
        send(bootstrap, topic, 0, EACH / 4);
        Member a = new Member(bootstrap, topic, topic, log, config);
        eventually("one member reads all", 20, () -> a.owned().size() == PARTITIONS && log.size() == EACH / 4);

        Member b = new Member(bootstrap, topic, topic, log, config);
        Member c = new Member(bootstrap, topic, topic, log, config);
        eventually("three members share", 20, () -> shared(2, a, b, c));
        send(bootstrap, topic, EACH / 4, EACH / 2);
        eventually("three members read on", 20, () -> log.size() == EACH / 2);

        c.close();
        eventually("the two that stay share", 20, () -> shared(3, a, b));
        send(bootstrap, topic, EACH / 2, EACH * 3 / 4);
        eventually("two members read on", 20, () -> log.size() == EACH * 3 / 4);
        a.close();
        b.close();

        send(bootstrap, topic, EACH * 3 / 4, EACH);
        try (Admin admin = Admin.create(Producers.properties(bootstrap)); Member d = new Member(bootstrap, topic, topic, log, config)) {
            eventually("a member that comes later reads the rest", 20, () -> d.owned().size() == PARTITIONS && log.size() == EACH);
            eventually("all is committed", 20, () -> admin.listConsumerGroupOffsets(topic).partitionsToOffsetAndMetadata().get().values().stream()
                .mapToLong(OffsetAndMetadata::offset).sum() >= EACH * 3 / 4);
        }
        log.check();
        equal("records", EACH, log.size());
    }

    private static boolean shared(int each, Member... members) {
        Set<Integer> all = new HashSet<>();
        for (Member m : members) {
            if (m.owned().size() != each) {
                return false;
            }
            all.addAll(m.owned());
        }
        return all.size() == PARTITIONS;
    }

    private static void staticMembers(String bootstrap) throws Exception {
        String topic = Producers.create(bootstrap, Steps.name("group-static"), PARTITIONS, Map.of());
        Member.Log log = new Member.Log();
        String[] one = {"group.instance.id", "one", "session.timeout.ms", "30000"};
        String[] two = {"group.instance.id", "two", "session.timeout.ms", "30000"};
        send(bootstrap, topic, 0, 300);
        try (Member a = new Member(bootstrap, topic, topic, log, one)) {
            Set<Integer> had;
            int rebalances;
            try (Member b = new Member(bootstrap, topic, topic, log, two)) {
                eventually("two members share", 20, () -> shared(3, a, b));
                eventually("they read", 20, () -> log.size() == 300);
                had = b.owned();
                rebalances = a.assignments.get();
            }
            // It has gone without leaving: its partitions wait for it, and so do their records.
            send(bootstrap, topic, 300, 600);
            Member b = new Member(bootstrap, topic, topic, log, two);
            eventually("the member has its partitions back", 20, () -> b.owned().equals(had));
            eventually("they read on", 20, () -> log.size() == 600);
            equal("rebalances that the other saw", rebalances, a.assignments.get());
            log.check();
            try (Member again = new Member(bootstrap, topic, topic, new Member.Log(), two)) {
                eventually("a second holder of the name takes over", 20, () -> again.owned().equals(had));
                that(causedBy(b.failure(), FencedInstanceIdException.class), "the first holder ends with " + b.failure());
                equal("rebalances that the other saw", rebalances, a.assignments.get());
            }
        }
    }

    private static boolean causedBy(Throwable e, Class<?> what) {
        for (; e != null; e = e.getCause()) {
            if (what.isInstance(e)) {
                return true;
            }
        }
        return false;
    }

    private static void inconsistent(String bootstrap) throws Exception {
        String topic = Producers.create(bootstrap, Steps.name("group-inconsistent"), PARTITIONS, Map.of());
        try (Member a = new Member(bootstrap, topic, topic, new Member.Log(), "partition.assignment.strategy", RangeAssignor.class.getName())) {
            eventually("a member is in", 20, () -> a.owned().size() == PARTITIONS);
            Member b = new Member(bootstrap, topic, topic, new Member.Log(), "partition.assignment.strategy", RoundRobinAssignor.class.getName());
            that(causedBy(b.failure(), org.apache.kafka.common.errors.InconsistentGroupProtocolException.class), "it ends with " + b.failure());
            equal("partitions of the first", PARTITIONS, a.owned().size());
        }
        Member bad = new Member(bootstrap, topic, topic, new Member.Log(), "session.timeout.ms", "1000");
        that(causedBy(bad.failure(), org.apache.kafka.common.errors.InvalidSessionTimeoutException.class), "a session of 1 s ends with " + bad.failure());
    }

    private static void commits(String bootstrap) throws Exception {
        String topic = Producers.create(bootstrap, Steps.name("commits"), 2, Map.of());
        TopicPartition p0 = new TopicPartition(topic, 0);
        TopicPartition p1 = new TopicPartition(topic, 1);
        send(bootstrap, topic, 0, 1_000);
        try (KafkaConsumer<byte[], byte[]> c = consumer(bootstrap, "group.id", topic)) {
            c.assign(List.of(p0, p1)); // a simple consumer: it commits without being a member
            equal("commit of nothing", java.util.Arrays.asList(null, null),
                java.util.Arrays.asList(c.committed(Set.of(p0, p1)).get(p0), c.committed(Set.of(p0, p1)).get(p1)));
            c.commitSync(Map.of(p0, new OffsetAndMetadata(17, Optional.of(0), "seventeen"), p1, new OffsetAndMetadata(5)));
            equal("commit", new OffsetAndMetadata(17, Optional.of(0), "seventeen"), c.committed(Set.of(p0)).get(p0));
            equal("commit", new OffsetAndMetadata(5), c.committed(Set.of(p1)).get(p1));
            AtomicReference<Object> answer = new AtomicReference<>();
            c.commitAsync(Map.of(p1, new OffsetAndMetadata(6, "six")), (offsets, e) -> answer.set(e == null ? offsets : e));
            eventually("the commit is answered", 20, () -> {
                c.poll(Duration.ofMillis(20));
                return answer.get() != null;
            });
            equal("answer", Map.of(p1, new OffsetAndMetadata(6, "six")), answer.get());
            equal("commit", new OffsetAndMetadata(6, "six"), c.committed(Set.of(p1)).get(p1));
            fails(OffsetMetadataTooLarge.class, () -> {
                c.commitSync(Map.of(p0, new OffsetAndMetadata(1, "x".repeat(4097))));
                return null;
            });
            equal("commit", 17L, c.committed(Set.of(p0)).get(p0).offset());
            c.commitSync(Map.of(p0, new OffsetAndMetadata(3, ""))); // back, as a replay wants it
        }
        try (KafkaConsumer<byte[], byte[]> c = consumer(bootstrap, "group.id", topic)) {
            c.assign(List.of(p0, p1));
            equal("position", 3L, c.position(p0));
            equal("position", 6L, c.position(p1));
        }
        try (KafkaConsumer<byte[], byte[]> c = consumer(bootstrap)) {
            c.assign(List.of(p0));
            fails(InvalidGroupIdException.class, () -> c.committed(Set.of(p0)));
        }
    }

    private static void automaticCommit(String bootstrap) throws Exception {
        String topic = Producers.create(bootstrap, Steps.name("auto-commit"), 1, Map.of());
        send(bootstrap, topic, 0, 100);
        TopicPartition p0 = new TopicPartition(topic, 0);
        try (KafkaConsumer<byte[], byte[]> c = consumer(bootstrap, "group.id", topic, "enable.auto.commit", "true", "auto.commit.interval.ms", "50")) {
            c.subscribe(List.of(topic));
            eventually("it is committed on the way", 20, () -> {
                c.poll(Duration.ofMillis(20));
                OffsetAndMetadata at = c.committed(Set.of(p0)).get(p0);
                return at != null && at.offset() == 100;
            });
            send(bootstrap, topic, 100, 150);
            eventually("the rest is read", 20, () -> {
                c.poll(Duration.ofMillis(20));
                return c.position(p0) == 150;
            });
        }
        try (KafkaConsumer<byte[], byte[]> c = consumer(bootstrap, "group.id", topic)) {
            equal("commit at closing", 150L, c.committed(Set.of(p0)).get(p0).offset());
        }
    }

    private static void lateCommit(String bootstrap) throws Exception {
        String topic = Producers.create(bootstrap, Steps.name("late-commit"), 1, Map.of());
        send(bootstrap, topic, 0, 10);
        try (Admin admin = Admin.create(Producers.properties(bootstrap));
                KafkaConsumer<byte[], byte[]> c = consumer(bootstrap, "group.id", topic, "max.poll.interval.ms", "700", "heartbeat.interval.ms", "200")) {
            c.subscribe(List.of(topic));
            eventually("it reads", 20, () -> !c.poll(Duration.ofMillis(100)).isEmpty());
            eventually("a member that does not poll leaves", 20,
                () -> admin.describeConsumerGroups(List.of(topic)).all().get().get(topic).groupState() == GroupState.EMPTY);
            fails(CommitFailedException.class, () -> {
                c.commitSync();
                return null;
            });
            eventually("it comes back and reads again", 20, () -> !c.poll(Duration.ofMillis(100)).isEmpty());
            c.commitSync();
        }
    }

    private static void positions(String bootstrap) throws Exception {
        String topic = Producers.create(bootstrap, Steps.name("positions"), 1, Map.of());
        send(bootstrap, topic, 0, 1_000);
        TopicPartition p0 = new TopicPartition(topic, 0);
        try (KafkaConsumer<byte[], byte[]> c = consumer(bootstrap, "group.id", topic, "isolation.level", "read_committed", "max.poll.records", "10")) {
            equal("first offsets", Map.of(p0, 0L), c.beginningOffsets(List.of(p0)));
            equal("end offsets", Map.of(p0, 1_000L), c.endOffsets(List.of(p0)));
            Map<TopicPartition, OffsetAndTimestamp> at = c.offsetsForTimes(Map.of(p0, Steps.PAST + 500));
            equal("offset for a time", 500L, at.get(p0).offset());
            equal("its time", Steps.PAST + 500, at.get(p0).timestamp());
            equal("offset for a time to come", null, c.offsetsForTimes(Map.of(p0, Steps.PAST + 1_000_000_000L)).get(p0));
            c.assign(List.of(p0));
            c.seek(p0, 321);
            equal("record at 321", "value-321", first(c));
            c.seekToBeginning(List.of(p0));
            equal("first record", "value-0", first(c));
            c.seekToEnd(List.of(p0));
            equal("position at the end", 1_000L, c.position(p0));
            that(c.poll(Duration.ofMillis(50)).isEmpty(), "there is something behind the end");
            c.seek(p0, new OffsetAndMetadata(999, Optional.of(0), ""));
            equal("last record", "value-999", first(c));
            c.seek(p0, 5_000); // out of range: reset to the earliest
            equal("record after a reset", "value-0", first(c));
            c.seek(p0, 50);
            c.pause(List.of(p0));
            that(c.poll(Duration.ofMillis(50)).isEmpty(), "a paused partition gives records");
            c.resume(List.of(p0));
            equal("record after the pause", "value-50", first(c));
            equal("lag", 1_000L - c.position(p0), c.currentLag(p0).getAsLong());
        }
        try (KafkaConsumer<byte[], byte[]> c = consumer(bootstrap, "group.id", topic + "-none", "auto.offset.reset", "none")) {
            c.assign(List.of(p0));
            fails(NoOffsetForPartitionException.class, () -> c.poll(Duration.ofSeconds(5)));
        }
        try (KafkaConsumer<byte[], byte[]> c = consumer(bootstrap, "group.id", topic + "-latest", "auto.offset.reset", "latest")) {
            c.assign(List.of(p0));
            equal("position", 1_000L, c.position(p0));
        }
        try (KafkaConsumer<byte[], byte[]> c = consumer(bootstrap, "auto.offset.reset", "by_duration:P20000D")) {
            c.assign(List.of(p0));
            equal("position of the last 20,000 days", 0L, c.position(p0));
        }
    }

    private static String first(KafkaConsumer<byte[], byte[]> c) throws Exception {
        List<ConsumerRecord<byte[], byte[]>> got = new ArrayList<>();
        eventually("a record comes", 20, () -> {
            ConsumerRecords<byte[], byte[]> polled = c.poll(Duration.ofMillis(100));
            polled.forEach(got::add);
            return !got.isEmpty();
        });
        return new String(got.get(0).value());
    }

    private static void pattern(String bootstrap) throws Exception {
        String prefix = Steps.name("pattern");
        Producers.create(bootstrap, prefix + "-a", 1, Map.of());
        try (KafkaConsumer<byte[], byte[]> c = consumer(bootstrap, "group.id", prefix, "metadata.max.age.ms", "300", "heartbeat.interval.ms", "200")) {
            c.subscribe(Pattern.compile(Pattern.quote(prefix) + "-."));
            eventually("the topic that is there is assigned", 20, () -> polled(c) == 1);
            Producers.create(bootstrap, prefix + "-b", 2, Map.of());
            eventually("a topic that comes is assigned", 20, () -> polled(c) == 3);
            try (Admin admin = Admin.create(Producers.properties(bootstrap))) {
                admin.deleteTopics(List.of(prefix + "-a")).all().get();
                eventually("a topic that goes is given back", 20, () -> polled(c) == 2);
                c.unsubscribe();
                eventually("the group is empty", 20,
                    () -> admin.describeConsumerGroups(List.of(prefix)).all().get().get(prefix).groupState() == GroupState.EMPTY);
                fails(GroupIdNotFoundException.class, () -> admin.describeConsumerGroups(List.of(prefix + "-none")).all().get());
            }
        }
    }

    private static int polled(KafkaConsumer<byte[], byte[]> c) {
        c.poll(Duration.ofMillis(50));
        return c.assignment().size();
    }
}
