package compat;

import static compat.Steps.that;

import java.time.Duration;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Queue;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.ConcurrentMap;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.kafka.clients.consumer.CommitFailedException;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.RetriableCommitFailedException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.RebalanceInProgressException;
import org.apache.kafka.common.errors.WakeupException;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/** One member of a group in a thread of its own. It commits what it has read when it is told to give partitions back. */
final class Member implements AutoCloseable {
    /** Every record the group's members read, by partition, in the order of reading. */
    static final class Log {
        final ConcurrentMap<Integer, Queue<Long>> offsets = new java.util.concurrent.ConcurrentHashMap<>();

        void add(ConsumerRecord<?, ?> r) {
            offsets.computeIfAbsent(r.partition(), p -> new ConcurrentLinkedQueue<>()).add(r.offset());
        }

        int size() {
            return offsets.values().stream().mapToInt(Queue::size).sum();
        }

        /** Each partition was read from its first record to its last, each once, in order. */
        void check() {
            offsets.forEach((partition, read) -> {
                long next = 0;
                for (long offset : read) {
                    that(offset == next, "partition " + partition + " gave offset " + offset + " where " + next + " was due");
                    next++;
                }
            });
        }
    }

    final KafkaConsumer<byte[], byte[]> consumer;
    final AtomicInteger assignments = new AtomicInteger(); // rebalances that gave this member something, or nothing
    private final Log log;
    private final Thread thread;
    private volatile Set<Integer> owned = Set.of();
    private volatile boolean leaving;
    private volatile Throwable failure;

    Member(String bootstrap, String group, String topic, Log log, String... config) {
        Properties p = Producers.properties(bootstrap, config);
        p.put("group.id", group);
        p.putIfAbsent("auto.offset.reset", "earliest");
        p.putIfAbsent("enable.auto.commit", "false");
        p.putIfAbsent("heartbeat.interval.ms", "300");
        p.putIfAbsent("session.timeout.ms", "10000");
        this.log = log;
        consumer = new KafkaConsumer<>(p, new ByteArrayDeserializer(), new ByteArrayDeserializer());
        consumer.subscribe(List.of(topic), new ConsumerRebalanceListener() {
            @Override
            public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
                keep();
                assignments.incrementAndGet();
            }

            @Override
            public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
                consumer.commitSync(Duration.ofSeconds(10));
                Set<Integer> left = new TreeSet<>(owned);
                partitions.forEach(tp -> left.remove(tp.partition()));
                owned = left;
            }

            @Override
            public void onPartitionsLost(Collection<TopicPartition> partitions) {
                failure = new AssertionError("lost " + partitions);
            }
        });
        thread = new Thread(this::loop, group);
        thread.setDaemon(true);
        thread.start();
    }

    private void keep() {
        Set<Integer> now = new TreeSet<>();
        consumer.assignment().forEach(tp -> now.add(tp.partition()));
        owned = now;
    }

    private void loop() {
        try (consumer) {
            for (int round = 0; !leaving; round++) {
                ConsumerRecords<byte[], byte[]> records = consumer.poll(Duration.ofMillis(100));
                records.forEach(log::add);
                if (!records.isEmpty() && round % 2 == 0) {
                    consumer.commitAsync(this::committed);
                } else if (!records.isEmpty()) {
                    commit();
                }
            }
            // Closing gives the partitions back, and so commits; a static member keeps them.
            consumer.commitSync(Duration.ofSeconds(10));
        } catch (WakeupException e) {
            if (!leaving) {
                failure = e;
            }
        } catch (Throwable e) {
            failure = e;
        }
    }

    private void commit() {
        try {
            consumer.commitSync(Duration.ofSeconds(10));
        } catch (RebalanceInProgressException e) {
            committed(null, e);
        }
    }

    private void committed(Map<TopicPartition, ?> offsets, Exception e) {
        // A commit that crosses a rebalance is refused, and the one before giving back makes up for it.
        if (e != null && !(e instanceof RetriableCommitFailedException) && !(e instanceof CommitFailedException)
                && !(e instanceof RebalanceInProgressException)) {
            failure = e;
        }
    }

    Set<Integer> owned() {
        if (failure != null) {
            throw new AssertionError("a member of the group failed", failure);
        }
        return owned;
    }

    Throwable failure() throws InterruptedException {
        thread.join(TimeUnit.SECONDS.toMillis(20));
        return failure;
    }

    /** Leaves without a look at how it went: for a member that somebody puts out on the way. */
    void leave() throws InterruptedException {
        leaving = true;
        thread.join(TimeUnit.SECONDS.toMillis(20));
    }

    @Override
    public void close() throws Exception {
        leaving = true;
        thread.join(TimeUnit.SECONDS.toMillis(20));
        that(!thread.isAlive(), "a member does not leave");
        owned();
    }
}
