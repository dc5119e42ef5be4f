package compat;

import static compat.Steps.equal;
import static compat.Steps.eventually;
import static compat.Steps.that;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import java.util.stream.Stream;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.Config;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.serialization.LongDeserializer;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.CloseOptions;
import org.apache.kafka.streams.CloseOptions.GroupMembershipOperation;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.processor.StateRestoreListener;
import org.apache.kafka.streams.state.KeyValueStore;

/**
 * Kafka Streams counts words: through a repartition topic, which it purges by DeleteRecords, into a store with a changelog topic, which is
 * compacted. One instance, two, one that lost its state, and one that comes back to it; the counts are right all the way.
 */
final class Words {
    private static final int PARTITIONS = 4;
    private static final int LINES = 1_000; // of five words, in each of four parts: 20,000 words

    private final String bootstrap;
    private final String app = Steps.name("words");
    private final String lines = app + "-lines";
    private final String counts = app + "-counts";
    private final Map<String, Long> want = new HashMap<>();
    private final Path state;
    private int sent;
    private KafkaStreams one;
    private KafkaStreams two;

    private Words(String bootstrap) throws IOException {
        this.bootstrap = bootstrap;
        state = Files.createTempDirectory("words");
    }

    static void run(Steps steps, String bootstrap, String[] args) throws Exception {
        Words w = new Words(bootstrap);
        Producers.create(bootstrap, w.lines, PARTITIONS, Map.of());
        Producers.create(bootstrap, w.counts, PARTITIONS, Map.of("cleanup.policy", "compact"));
        steps.step("one instance counts", w::oneInstance);
        steps.step("the internal topics", w::internalTopics);
        steps.step("a second instance takes half of the tasks", w::secondInstance);
        steps.step("the first goes, the second takes all", w::firstGoes);
        steps.step("an instance comes back to its state", w::comesBack);
        try (Stream<Path> all = Files.walk(w.state)) {
            all.sorted(Comparator.reverseOrder()).forEach(p -> p.toFile().delete());
        }
    }

    private KafkaStreams start(String instance, AtomicLong restored) {
        StreamsBuilder b = new StreamsBuilder();
        b.stream(lines, Consumed.with(Serdes.ByteArray(), Serdes.String()))
            .flatMapValues(line -> Arrays.asList(line.split(" ")))
            .groupBy((key, word) -> word, Grouped.with("by-word", Serdes.String(), Serdes.String()))
            .count(Materialized.<String, Long, KeyValueStore<Bytes, byte[]>>as("counts").withKeySerde(Serdes.String()).withValueSerde(Serdes.Long()))
            .toStream()
            .to(counts, Produced.with(Serdes.String(), Serdes.Long()));
        Properties p = Producers.properties(bootstrap, "application.id", app, "client.id", instance, "state.dir", state.resolve(instance).toString(),
            "processing.guarantee", "at_least_once", "commit.interval.ms", "100", "num.stream.threads", "1", "repartition.purge.interval.ms", "200",
            "statestore.cache.max.bytes", "100000", "consumer.auto.offset.reset", "earliest", "consumer.heartbeat.interval.ms", "300",
            "probing.rebalance.interval.ms", "60000", "acceptable.recovery.lag", "100000000");
        KafkaStreams s = new KafkaStreams(b.build(), p);
        s.setGlobalStateRestoreListener(new StateRestoreListener() {
            @Override
            public void onRestoreStart(TopicPartition tp, String store, long from, long to) { }

            @Override
            public void onBatchRestored(TopicPartition tp, String store, long to, long n) { }

            @Override
            public void onRestoreEnd(TopicPartition tp, String store, long n) {
                restored.addAndGet(n);
            }
        });
        s.start();
        return s;
    }

    private void send() {
        try (KafkaProducer<byte[], byte[]> p = Producers.producer(bootstrap)) {
            for (int end = sent + LINES; sent < end; sent++) {
                StringBuilder line = new StringBuilder();
                for (int i = 0; i < 5; i++) {
                    String word = "word" + (sent * 31 + i * i * 7) % 499;
                    want.merge(word, 1L, Long::sum);
                    line.append(i == 0 ? "" : " ").append(word);
                }
                p.send(new ProducerRecord<>(lines, Producers.bytes("line-" + sent), Producers.bytes(line.toString())));
            }
        }
    }

    /** The last count of each word, once it is what was sent. */
    private void counted() throws Exception {
        Map<String, Long> got = new HashMap<>();
        eventually("all is counted", 40, () -> {
            got.clear();
            LongDeserializer number = new LongDeserializer();
            for (List<ConsumerRecord<byte[], byte[]>> partition : Producers.readAll(bootstrap, counts).values()) {
                for (ConsumerRecord<byte[], byte[]> r : partition) {
                    Long before = got.put(new String(r.key()), number.deserialize(counts, r.value()));
                    that(before == null || before < got.get(new String(r.key())), "the count of a word falls: " + r);
                }
            }
            return sum(got) >= sum(want);
        });
        equal("counts", want, got);
    }

    private static long sum(Map<String, Long> m) {
        return m.values().stream().mapToLong(Long::longValue).sum();
    }

    private static long active(KafkaStreams s) {
        return s.metadataForLocalThreads().stream().mapToLong(t -> t.activeTasks().size()).sum();
    }

    /** Closes an instance that leaves its group, so that nobody has to wait for the end of its session. */
    private static void leave(KafkaStreams s) {
        that(s.close(CloseOptions.timeout(Duration.ofSeconds(20)).withGroupMembershipOperation(GroupMembershipOperation.LEAVE_GROUP)),
            "an instance does not close");
    }

    private void oneInstance() throws Exception {
        send();
        one = start("one", new AtomicLong());
        counted();
        equal("tasks", 2L * PARTITIONS, active(one));
    }

    private void internalTopics() throws Exception {
        String repartition = app + "-by-word-repartition";
        try (Admin admin = Admin.create(Producers.properties(bootstrap))) {
            equal("changelog", "compact", setting(admin, app + "-counts-changelog", "cleanup.policy"));
            equal("repartition", "delete", setting(admin, repartition, "cleanup.policy"));
            equal("retention of the repartition topic", "-1", setting(admin, repartition, "retention.ms"));
            eventually("what was repartitioned is purged", 20, () -> {
                for (int p = 0; p < PARTITIONS; p++) {
                    TopicPartition tp = new TopicPartition(repartition, p);
                    if (admin.listOffsets(Map.of(tp, OffsetSpec.earliest())).partitionResult(tp).get().offset()
                            != admin.listOffsets(Map.of(tp, OffsetSpec.latest())).partitionResult(tp).get().offset()) {
                        return false;
                    }
                }
                return true;
            });
        }
    }

    private static String setting(Admin admin, String topic, String name) throws Exception {
        ConfigResource r = new ConfigResource(ConfigResource.Type.TOPIC, topic);
        Config c = admin.describeConfigs(List.of(r)).all().get(20, TimeUnit.SECONDS).get(r);
        return c.get(name).value();
    }

    private void secondInstance() throws Exception {
        AtomicLong restored = new AtomicLong();
        two = start("two", restored);
        send();
        eventually("each has half of the tasks", 40, () -> active(one) == PARTITIONS && active(two) == PARTITIONS);
        eventually("both run", 40, () -> one.state() == KafkaStreams.State.RUNNING && two.state() == KafkaStreams.State.RUNNING);
        counted();
        that(restored.get() > 0, "the second restored nothing from the changelog");
    }

    private void firstGoes() throws Exception {
        leave(one);
        send();
        eventually("the second has all", 40, () -> active(two) == 2L * PARTITIONS && two.state() == KafkaStreams.State.RUNNING);
        counted();
        leave(two);
    }

    private void comesBack() throws Exception {
        AtomicLong restored = new AtomicLong();
        try (KafkaStreams again = start("two", restored)) {
            send();
            counted();
            equal("records restored by an instance that closed in order", 0L, restored.get());
            leave(again);
        }
    }
}
