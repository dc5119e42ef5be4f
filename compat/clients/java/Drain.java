package compat;

import java.util.Collection;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import org.apache.kafka.common.config.ConfigDef;
import org.apache.kafka.connect.connector.Task;
import org.apache.kafka.connect.sink.SinkConnector;
import org.apache.kafka.connect.sink.SinkRecord;
import org.apache.kafka.connect.sink.SinkTask;

/** A sink for Kafka Connect that keeps what it is given for the test. */
public final class Drain extends SinkConnector {
    static final Queue<String> VALUES = new ConcurrentLinkedQueue<>();

    @Override
    public void start(Map<String, String> props) { }

    @Override
    public Class<? extends Task> taskClass() {
        return DrainTask.class;
    }

    @Override
    public List<Map<String, String>> taskConfigs(int tasks) {
        return Collections.nCopies(tasks, Map.of());
    }

    @Override
    public void stop() { }

    @Override
    public ConfigDef config() {
        return new ConfigDef();
    }

    @Override
    public String version() {
        return "1";
    }

    /** One of the sink's tasks. */
    public static final class DrainTask extends SinkTask {
        @Override
        public void start(Map<String, String> props) { }

        @Override
        public void put(Collection<SinkRecord> records) {
            records.forEach(r -> VALUES.add((String) r.value()));
        }

        @Override
        public void stop() { }

        @Override
        public String version() {
            return "1";
        }
    }
}
