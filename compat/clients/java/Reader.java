package compat;

import java.io.BufferedOutputStream;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Collection;
import java.util.List;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;

/**
 * A member of a group as a process of its own: Reader BOOTSTRAP GROUP TOPIC. It prints what happens, a line each:
 *
 *   assigned<TAB>partitions, separated by blanks
 *   record<TAB>partition<TAB>offset<TAB>key<TAB>value
 *
 * A record is printed before it is committed; commits are rare, so that a kill finds records which are not. SIGTERM ends it in order.
 */
final class Reader {
    private static final int COMMIT_EVERY = 500;

    public static void main(String[] args) throws Exception {
        Properties p = Producers.properties(args[0], "group.id", args[1], "auto.offset.reset", "earliest", "enable.auto.commit", "false",
            "session.timeout.ms", "6000", "heartbeat.interval.ms", "500", "max.poll.records", "100");
        PrintStream out = new PrintStream(new BufferedOutputStream(new FileOutputStream(FileDescriptor.out), 1 << 16), false, StandardCharsets.UTF_8);
        KafkaConsumer<String, String> c = new KafkaConsumer<>(p, new StringDeserializer(), new StringDeserializer());
        CountDownLatch term = new CountDownLatch(1);
        CountDownLatch closed = new CountDownLatch(1);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            term.countDown();
            try {
                closed.await();
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
        }));
        c.subscribe(List.of(args[2]), new ConsumerRebalanceListener() {
            private void tell() {
                StringBuilder s = new StringBuilder("assigned\t");
                c.assignment().stream().mapToInt(TopicPartition::partition).sorted().forEach(n -> s.append(n).append(' '));
                out.println(s.toString().stripTrailing());
                out.flush();
            }

            @Override
            public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
                tell();
            }

            @Override
            public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
                c.commitSync();
            }
        });
        try (c) {
            int uncommitted = 0;
            while (term.getCount() > 0) {
                ConsumerRecords<String, String> records = c.poll(Duration.ofMillis(100));
                for (ConsumerRecord<String, String> r : records) {
                    out.println("record\t" + r.partition() + "\t" + r.offset() + "\t" + r.key() + "\t" + r.value());
                }
                out.flush();
                uncommitted += records.count();
                if (uncommitted >= COMMIT_EVERY) {
                    c.commitSync();
                    uncommitted = 0;
                }
            }
            c.commitSync();
        } finally {
            closed.countDown();
        }
    }
}
