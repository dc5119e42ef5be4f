package compat;

import static compat.Steps.equal;
import static compat.Steps.fails;
import static compat.Steps.that;

import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.InvalidTopicException;
import org.apache.kafka.common.errors.RecordTooLargeException;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.utils.Utils;

/** What Java's producer sends arrives as it was: keys, values, headers, timestamps, partitions and offsets, in every codec. */
final class Producers {
    static final int PARTITIONS = 3;
    private static final int EACH = 4_000; // records for each of five codecs: 20,000

    static void run(Steps steps, String bootstrap, String[] args) throws Exception {
        for (String codec : List.of("none", "gzip", "snappy", "lz4", "zstd")) {
            steps.step("idempotent " + codec, () -> idempotent(bootstrap, codec));
        }
        steps.step("acks 0 and 1", () -> acks(bootstrap));
        steps.step("nulls and empties", () -> nulls(bootstrap));
        steps.step("records without a key are spread", () -> spread(bootstrap));
        steps.step("log append time", () -> logAppendTime(bootstrap));
        steps.step("too large", () -> tooLarge(bootstrap));
        steps.step("a topic is created by the first record", () -> autoCreate(bootstrap));
        steps.step("bad topic names", () -> badNames(bootstrap));
    }

    static KafkaProducer<byte[], byte[]> producer(String bootstrap, String... config) {
        Properties p = properties(bootstrap, config);
        p.putIfAbsent("linger.ms", "5");
        p.putIfAbsent("delivery.timeout.ms", "30000");
        p.putIfAbsent("request.timeout.ms", "20000");
        return new KafkaProducer<>(p, new ByteArraySerializer(), new ByteArraySerializer());
    }

    static Properties properties(String bootstrap, String... config) {
        Properties p = new Properties();
        p.put("bootstrap.servers", bootstrap);
        for (int i = 0; i < config.length; i += 2) {
            p.put(config[i], config[i + 1]);
        }
        return p;
    }

    static byte[] bytes(String s) {
        return s == null ? null : s.getBytes(StandardCharsets.UTF_8);
    }

    static String create(String bootstrap, String topic, int partitions, Map<String, String> config) throws Exception {
        try (Admin admin = Admin.create(properties(bootstrap))) {
            admin.createTopics(List.of(new NewTopic(topic, partitions, (short) 1).configs(config))).all().get(20, TimeUnit.SECONDS);
            // Kafka answers before its brokers lead the partitions. An idempotent producer that sends into this gap may have its second
            // batch taken before its first, and then does not come out of it.
            Map<TopicPartition, OffsetSpec> ends = new HashMap<>();
            for (int p = 0; p < partitions; p++) {
                ends.put(new TopicPartition(topic, p), OffsetSpec.latest());
            }
            Steps.eventually("the partitions of " + topic + " have leaders", 20, () -> {
                try {
                    admin.listOffsets(ends).all().get();
                    return true;
                } catch (ExecutionException e) {
                    that(e.getCause() instanceof UnknownTopicOrPartitionException, "the offsets of " + topic + " end with " + e.getCause());
                    return false;
                }
            });
        }
        return topic;
    }

    /** All records of a topic, read without a group up to the ends that it has now, by partition in the order of arrival. */
    static Map<Integer, List<ConsumerRecord<byte[], byte[]>>> readAll(String bootstrap, String topic) {
        Map<Integer, List<ConsumerRecord<byte[], byte[]>>> read = new HashMap<>();
        try (KafkaConsumer<byte[], byte[]> c =
                new KafkaConsumer<>(properties(bootstrap), new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            List<TopicPartition> all = new ArrayList<>();
            c.partitionsFor(topic).forEach(p -> all.add(new TopicPartition(topic, p.partition())));
            c.assign(all);
            c.seekToBeginning(all);
            Map<TopicPartition, Long> ends = c.endOffsets(all);
            all.forEach(p -> read.put(p.partition(), new ArrayList<>()));
            long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(40);
            while (!all.stream().allMatch(p -> c.position(p) >= ends.get(p))) {
                that(System.nanoTime() < deadline, topic + " is not read to its ends " + ends);
                c.poll(Duration.ofMillis(200)).forEach(r -> read.get(r.partition()).add(r));
            }
        }
        return read;
    }

    private static ProducerRecord<byte[], byte[]> record(String topic, int i) {
        ProducerRecord<byte[], byte[]> r = new ProducerRecord<>(topic, null, Steps.PAST + i, bytes("customer-" + i % 113),
            bytes("{\"order\":" + i + ",\"item\":\"" + "x".repeat(i % 97) + "\"}"));
        r.headers().add("trace", bytes("id-" + i)).add("trace", bytes("again")).add("none", null).add("empty", new byte[0]);
        return r;
    }

    private static void idempotent(String bootstrap, String codec) throws Exception {
        String topic = create(bootstrap, Steps.name("producer-" + codec), PARTITIONS, Map.of("segment.bytes", "1048576"));
        List<Future<RecordMetadata>> sent = new ArrayList<>();
        // Two producers, the second where the first stopped: another producer id goes on in the same partitions.
        for (int half = 0; half < 2; half++) {
            try (KafkaProducer<byte[], byte[]> p = producer(bootstrap, "enable.idempotence", "true", "acks", "all", "compression.type", codec)) {
                for (int i = 0; i < EACH / 2; i++) {
                    sent.add(p.send(record(topic, half * EACH / 2 + i)));
                }
            }
        }
        Map<Integer, List<ConsumerRecord<byte[], byte[]>>> read = readAll(bootstrap, topic);
        for (int i = 0; i < EACH; i++) {
            ProducerRecord<byte[], byte[]> want = record(topic, i);
            RecordMetadata m = sent.get(i).get();
            equal("partition of record " + i, Utils.toPositive(Utils.murmur2(want.key())) % PARTITIONS, m.partition());
            ConsumerRecord<byte[], byte[]> got = read.get(m.partition()).get((int) m.offset());
            equal("offset of record " + i, m.offset(), got.offset());
            that(Arrays.equals(want.key(), got.key()) && Arrays.equals(want.value(), got.value()), "record " + i + " has other bytes: " + got);
            equal("headers of record " + i, List.of(want.headers().toArray()), List.of(got.headers().toArray()));
            equal("timestamp of record " + i, want.timestamp(), got.timestamp());
            equal("timestamp of the answer to " + i, want.timestamp(), m.timestamp());
            equal("timestamp type of record " + i, TimestampType.CREATE_TIME, got.timestampType());
        }
        equal("records in the topic", EACH, read.values().stream().mapToInt(List::size).sum());
    }

    private static void acks(String bootstrap) throws Exception {
        String topic = create(bootstrap, Steps.name("producer-acks"), 1, Map.of());
        for (String acks : List.of("0", "1")) {
            try (KafkaProducer<byte[], byte[]> p = producer(bootstrap, "acks", acks, "enable.idempotence", "false")) {
                for (int i = 0; i < 500; i++) {
                    p.send(record(topic, i));
                }
            }
            int want = acks.equals("0") ? 500 : 1_000;
            Steps.eventually(want + " records are there", 20, () -> readAll(bootstrap, topic).get(0).size() == want);
        }
    }

    private static void nulls(String bootstrap) throws Exception {
        String topic = create(bootstrap, Steps.name("producer-nulls"), 1, Map.of());
        List<ProducerRecord<byte[], byte[]>> want = new ArrayList<>();
        for (String key : Arrays.asList(null, "", "key")) {
            for (String value : Arrays.asList(null, "", "value")) {
                want.add(new ProducerRecord<>(topic, 0, bytes(key), bytes(value), List.of(new RecordHeader("", (byte[]) null))));
            }
        }
        try (KafkaProducer<byte[], byte[]> p = producer(bootstrap)) {
            want.forEach(p::send);
        }
        List<ConsumerRecord<byte[], byte[]>> got = readAll(bootstrap, topic).get(0);
        equal("records", want.size(), got.size());
        for (int i = 0; i < want.size(); i++) {
            that(Arrays.equals(want.get(i).key(), got.get(i).key()) && Arrays.equals(want.get(i).value(), got.get(i).value()),
                "record " + i + " is " + got.get(i) + ", want " + want.get(i));
            Header h = got.get(i).headers().toArray()[0];
            that(h.key().isEmpty() && h.value() == null, "header is " + h);
        }
    }

    private static void spread(String bootstrap) throws Exception {
        String topic = create(bootstrap, Steps.name("producer-spread"), PARTITIONS, Map.of());
        Set<Integer> used = new HashSet<>();
        try (KafkaProducer<byte[], byte[]> p = producer(bootstrap, "batch.size", "1024")) {
            equal("partitions", PARTITIONS, p.partitionsFor(topic).size());
            List<Future<RecordMetadata>> sent = new ArrayList<>();
            for (int i = 0; i < 2_000; i++) {
                sent.add(p.send(new ProducerRecord<>(topic, new byte[200])));
            }
            for (Future<RecordMetadata> f : sent) {
                used.add(f.get().partition());
            }
        }
        equal("partitions that were used", PARTITIONS, used.size());
    }

    private static void logAppendTime(String bootstrap) throws Exception {
        String topic = create(bootstrap, Steps.name("producer-time"), 1, Map.of("message.timestamp.type", "LogAppendTime"));
        long before = System.currentTimeMillis();
        long answered;
        try (KafkaProducer<byte[], byte[]> p = producer(bootstrap, "compression.type", "lz4")) {
            answered = p.send(record(topic, 7)).get().timestamp();
        }
        that(before <= answered && answered <= System.currentTimeMillis(), "the answer's time is " + answered + ", sent at " + before);
        ConsumerRecord<byte[], byte[]> got = readAll(bootstrap, topic).get(0).get(0);
        equal("time of the record", answered, got.timestamp());
        equal("type of its time", TimestampType.LOG_APPEND_TIME, got.timestampType());
    }

    private static void tooLarge(String bootstrap) throws Exception {
        String topic = create(bootstrap, Steps.name("producer-large"), 1, Map.of());
        try (KafkaProducer<byte[], byte[]> p = producer(bootstrap, "max.request.size", "4000000", "buffer.memory", "16000000")) {
            equal("offset of a record of 900 KB", 0L, p.send(new ProducerRecord<>(topic, new byte[900_000])).get().offset());
            fails(RecordTooLargeException.class, () -> p.send(new ProducerRecord<>(topic, new byte[2_000_000])).get());
            equal("offset of the record behind it", 1L, p.send(new ProducerRecord<>(topic, new byte[10])).get().offset());
        }
    }

    private static void autoCreate(String bootstrap) throws Exception {
        try (KafkaProducer<byte[], byte[]> p = producer(bootstrap)) {
            equal("offset", 0L, p.send(new ProducerRecord<>(Steps.name("producer-auto"), bytes("first"))).get().offset());
        }
    }

    private static void badNames(String bootstrap) throws Exception {
        try (KafkaProducer<byte[], byte[]> p = producer(bootstrap, "max.block.ms", "10000")) {
            fails(InvalidTopicException.class, () -> p.send(new ProducerRecord<>("no spaces, please", bytes("x"))).get());
        }
    }
}
