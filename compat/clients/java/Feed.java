package compat;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.apache.kafka.common.config.ConfigDef;
import org.apache.kafka.connect.connector.Task;
import org.apache.kafka.connect.data.Schema;
import org.apache.kafka.connect.source.SourceConnector;
import org.apache.kafka.connect.source.SourceRecord;
import org.apache.kafka.connect.source.SourceTask;

/** A source of numbered records for Kafka Connect: its tasks share the numbers below a limit that the test raises. */
public final class Feed extends SourceConnector {
    static final AtomicInteger LIMIT = new AtomicInteger();
    private Map<String, String> config;

    @Override
    public void start(Map<String, String> props) {
        config = props;
    }

    @Override
    public Class<? extends Task> taskClass() {
        return FeedTask.class;
    }

    @Override
    public List<Map<String, String>> taskConfigs(int tasks) {
        return IntStream.range(0, tasks).mapToObj(i -> Map.of("topic", config.get("topic"), "number", Integer.toString(i), "of", Integer.toString(tasks)))
            .collect(Collectors.toList());
    }

    @Override
    public void stop() { }

    @Override
    public ConfigDef config() {
        return new ConfigDef().define("topic", ConfigDef.Type.STRING, ConfigDef.Importance.HIGH, "where the records go");
    }

    @Override
    public String version() {
        return "1";
    }

    /** Goes on where its stored offset says. */
    public static final class FeedTask extends SourceTask {
        private String topic;
        private int of;
        private int next;
        private Map<String, ?> partition;

        @Override
        public void start(Map<String, String> props) {
            topic = props.get("topic");
            of = Integer.parseInt(props.get("of"));
            partition = Map.of("task", props.get("number"));
            Map<String, Object> stored = context.offsetStorageReader().offset(partition);
            next = stored == null ? Integer.parseInt(props.get("number")) : Math.toIntExact((Long) stored.get("next"));
        }

        @Override
        public List<SourceRecord> poll() throws InterruptedException {
            List<SourceRecord> records = new ArrayList<>();
            for (; next < LIMIT.get() && records.size() < 200; next += of) {
                records.add(new SourceRecord(partition, Map.of("next", next + of), topic, null, Schema.STRING_SCHEMA, "key-" + next % 50,
                    Schema.STRING_SCHEMA, Integer.toString(next)));
            }
            if (records.isEmpty()) {
                TimeUnit.MILLISECONDS.sleep(20); // a source that waits for data, as Connect wants it
                return null;
            }
            return records;
        }

        @Override
        public void stop() { }

        @Override
        public String version() {
            return "1";
        }
    }
}
