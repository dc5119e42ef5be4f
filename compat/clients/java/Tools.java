package compat;

import static compat.Steps.equal;
import static compat.Steps.eventually;
import static compat.Steps.that;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;

/** Kafka's command line tools, with a look at what they print. */
final class Tools {
    private static final String TOPICS = "TopicCommand";
    private static final String GROUPS = "consumer.group.ConsumerGroupCommand";
    private static final String CONFIGS = "ConfigCommand";
    private static final int MANY = 20_000; // records for the perf tools

    private final String bootstrap;

    private Tools(String bootstrap) {
        this.bootstrap = bootstrap;
    }

    static void run(Steps steps, String bootstrap, String[] args) throws Exception {
        Tools t = new Tools(bootstrap);
        steps.step("kafka-topics", t::topics);
        steps.step("kafka-console-producer and consumer", t::console);
        steps.step("kafka-consumer-groups list and describe", t::groupsDescribed);
        steps.step("kafka-consumer-groups reset-offsets", t::groupsReset);
        steps.step("kafka-consumer-groups delete", t::groupsDeleted);
        steps.step("kafka-groups", t::groups);
        steps.step("kafka-configs of topics", t::topicConfigs);
        steps.step("kafka-configs of brokers", t::brokerConfigs);
        steps.step("kafka-get-offsets", t::offsets);
        steps.step("kafka-delete-records", t::deleteRecords);
        steps.step("kafka-log-dirs", t::logDirs);
        steps.step("kafka-producer-perf-test and consumer-perf-test", t::perf);
        steps.step("kafka-verifiable-producer and consumer", t::verifiable);
        steps.step("kafka-broker-api-versions", t::apiVersions);
        steps.step("kafka-cluster and features", t::cluster);
        steps.step("kafka-streams-application-reset", t::streamsReset);
    }

    private String[] with(String... args) {
        String[] all = Arrays.copyOf(args, args.length + 2);
        all[args.length] = "--bootstrap-server";
        all[args.length + 1] = bootstrap;
        return all;
    }

    private Tool tool(String main, String... args) throws Exception {
        return Tool.run(main, with(args));
    }

    private Tool fails(String main, String... args) throws Exception {
        return Tool.read("", main, with(args)).ends(1);
    }

    private void topics() throws Exception {
        String topic = Steps.name("tool-topics");
        tool(TOPICS, "--create", "--topic", topic, "--partitions", "3", "--replication-factor", "1", "--config", "retention.ms=100000")
            .saysOnly(List.of("Created topic " + topic + "."));
        eventually("it is listed", 20, () -> tool(TOPICS, "--list").lines().contains(topic));
        fails(TOPICS, "--create", "--topic", topic).tells("Topic '" + topic + "' already exists.");
        tool(TOPICS, "--create", "--topic", topic, "--if-not-exists");
        tool(TOPICS, "--describe", "--topic", topic)
            .says("Topic: " + topic + "\tTopicId: [\\w-]{22}\tPartitionCount: 3\tReplicationFactor: 1\tConfigs: .*\\bretention.ms=100000.*")
            .says("\tTopic: " + topic + "\tPartition: 0\tLeader: (\\d+)\tReplicas: \\1\tIsr: \\1\tElr: ?\tLastKnownElr:")
            .says("\tTopic: " + topic + "\tPartition: 2\tLeader: (\\d+)\tReplicas: \\1\tIsr: \\1\tElr: ?\tLastKnownElr:");
        tool(TOPICS, "--describe", "--topics-with-overrides").says("Topic: " + topic + "\t.*");
        tool(TOPICS, "--describe", "--under-replicated-partitions").saysNot(".*" + topic + ".*");
        tool(TOPICS, "--describe", "--unavailable-partitions").saysNot(".*" + topic + ".*");
        tool(TOPICS, "--alter", "--topic", topic, "--partitions", "5");
        eventually("there are five partitions", 20,
            () -> tool(TOPICS, "--describe", "--topic", topic).lines().stream().filter(l -> l.startsWith("\t")).count() == 5);
        fails(TOPICS, "--alter", "--topic", topic, "--partitions", "5").tells("topic");
        fails(TOPICS, "--describe", "--topic", topic + "-none").tells("does not exist");
        fails(TOPICS, "--create", "--topic", topic + "-none", "--replication-factor", "3").tells("replication factor");
        fails(TOPICS, "--create", "--topic", topic + "-none", "--config", "retention.ms=soon").tells("retention.ms");
        tool(TOPICS, "--delete", "--topic", topic);
        eventually("it is not listed", 20, () -> !tool(TOPICS, "--list").lines().contains(topic));
    }

    private void console() throws Exception {
        String topic = Producers.create(bootstrap, Steps.name("tool-console"), 3, Map.of());
        String keyed = IntStream.range(0, 300).mapToObj(i -> "h1:v1,h2:v" + i + "\tkey-" + i % 7 + "\tvalue " + i + "\n").collect(Collectors.joining());
        Tool.read(keyed, "ConsoleProducer", with("--topic", topic, "--compression-codec", "zstd", "--reader-property", "parse.key=true",
            "--reader-property", "parse.headers=true")).ends(0);
        Tool all = tool("consumer.ConsoleConsumer", "--topic", topic, "--from-beginning", "--max-messages", "300", "--timeout-ms", "20000",
            "--formatter-property", "print.key=true", "--formatter-property", "print.headers=true");
        all.saysOnly(keyed.lines().collect(Collectors.toList())).tells("Processed a total of 300 messages");

        // In a group, in two runs: the second goes on where the first stopped.
        List<String> got = new ArrayList<>();
        for (int run = 0; run < 2; run++) {
            got.addAll(tool("consumer.ConsoleConsumer", "--topic", topic, "--group", topic, "--from-beginning", "--max-messages", "150",
                "--timeout-ms", "20000").lines());
        }
        equal("values read by the group", IntStream.range(0, 300).mapToObj(i -> "value " + i).sorted().collect(Collectors.toList()),
            got.stream().sorted().collect(Collectors.toList()));
        tool("consumer.ConsoleConsumer", "--topic", topic, "--partition", "1", "--offset", "latest", "--max-messages", "1", "--timeout-ms", "300")
            .tells("Processed a total of 0 messages");
        String group = topic + "-by-file";
        tool("consumer.ConsoleConsumer", "--include", topic + ".*", "--group", group, "--max-messages", "1", "--timeout-ms", "20000",
            "--command-property", "auto.offset.reset=earliest").tells("Processed a total of 1 messages");
    }

    private String pair(String topic) {
        return Pattern.quote(topic) + "  " + Pattern.quote(topic);
    }

    /** A topic of two partitions with 50 records each, and a group of the same name that has read them. */
    private String read(String name) throws Exception {
        String topic = Producers.create(bootstrap, Steps.name(name), 2, Map.of());
        try (var p = Producers.producer(bootstrap)) {
            for (int i = 0; i < 100; i++) {
                p.send(new org.apache.kafka.clients.producer.ProducerRecord<>(topic, i % 2, Steps.PAST + i, null, Producers.bytes("value-" + i)));
            }
        }
        Member.Log log = new Member.Log();
        try (Member m = new Member(bootstrap, topic, topic, log)) {
            eventually("the group has read all", 20, () -> log.size() == 100 && m.owned().size() == 2);
        }
        return topic;
    }

    private void groupsDescribed() throws Exception {
        String group = read("tool-groups");
        String described = "Consumer group '" + group + "' has no active members.";
        tool(GROUPS, "--list").says(group);
        tool(GROUPS, "--list", "--state").says(group + "  Empty");
        tool(GROUPS, "--list", "--state", "stable").saysNot(group + "  .*");
        tool(GROUPS, "--list", "--type").says(group + "  Classic");
        tool(GROUPS, "--describe", "--group", group).tells(described)
            .says("GROUP  TOPIC  PARTITION  CURRENT-OFFSET  LOG-END-OFFSET  LAG  CONSUMER-ID  HOST  CLIENT-ID")
            .says(pair(group) + "  0  50  50  0  -  -  -").says(pair(group) + "  1  50  50  0  -  -  -");
        tool(GROUPS, "--describe", "--group", group, "--state").tells(described).says(group + "  " + bootstrap + "  \\(\\d+\\)  -  Empty  0");
        tool(GROUPS, "--describe", "--group", group, "--members", "--verbose").tells(described);
        try (Member m = new Member(bootstrap, group, group, new Member.Log(), "client.id", "someone", "group.instance.id", "first")) {
            eventually("there is a member", 20, () -> m.owned().size() == 2);
            Consumers.send(bootstrap, group, 100, 130);
            eventually("what comes is committed", 20,
                () -> tool(GROUPS, "--describe", "--group", group).lines().stream().filter(l -> l.matches(".*\\s0\\s+first-\\S+\\s+/127.0.0.1\\s+someone")).count() == 2);
            tool(GROUPS, "--describe", "--group", group, "--offsets", "--verbose").says(pair(group) + "  0  0  \\d+  \\d+  0  first-\\S+  /127.0.0.1  someone");
            tool(GROUPS, "--describe", "--group", group, "--state").says(group + "  " + bootstrap + "  \\(\\d+\\)  range  Stable  1");
            tool(GROUPS, "--describe", "--all-groups", "--members", "--verbose")
                .says(group + "  first-\\S+  first  /127.0.0.1  someone  2  -  " + Pattern.quote(group) + ":0,1  -  -");
            tool(GROUPS, "--list", "--state", "stable").says(group + "  Stable");
        }
        tool(GROUPS, "--describe", "--group", group + "-none").tells("not found");
    }

    private void groupsReset() throws Exception {
        String group = read("tool-reset");
        String[] of = {"--reset-offsets", "--group", group, "--topic", group};
        reset(of, "--to-earliest").says(pair(group) + "  0  0").says(pair(group) + "  1  0");
        reset(of, "--to-latest").says(pair(group) + "  0  50").says(pair(group) + "  1  50");
        reset(of, "--to-offset", "20").says(pair(group) + "  0  20").says(pair(group) + "  1  20");
        reset(of, "--shift-by", "7").says(pair(group) + "  0  27");
        reset(of, "--shift-by", "-20").says(pair(group) + "  1  7");
        reset(of, "--shift-by", "1000").says(pair(group) + "  0  50"); // not beyond the end
        reset(of, "--to-datetime", java.time.Instant.ofEpochMilli(Steps.PAST + 51).toString()).says(pair(group) + "  0  26").says(pair(group) + "  1  25");
        reset(of, "--to-current").says(pair(group) + "  0  26").says(pair(group) + "  1  25");
        reset(of, "--by-duration", "P20000D").says(pair(group) + "  0  0");
        Path plan = Files.createTempFile("offsets", ".csv");
        Tool exported = tool(GROUPS, "--reset-offsets", "--group", group, "--topic", group + ":1", "--to-offset", "33", "--export", "--dry-run");
        exported.says("\"?" + group + "\"?,1,33");
        Files.writeString(plan, exported.out);
        tool(GROUPS, "--reset-offsets", "--group", group, "--from-file", plan.toString(), "--execute").says(pair(group) + "  1  33");
        Files.delete(plan);
        tool(GROUPS, "--reset-offsets", "--group", group, "--all-topics", "--to-earliest", "--dry-run").says(pair(group) + "  0  0");
        tool(GROUPS, "--describe", "--group", group).says(pair(group) + "  0  0  50  50  -  -  -").says(pair(group) + "  1  33  50  17  -  -  -");
        Member.Log log = new Member.Log();
        try (Member m = new Member(bootstrap, group, group, log)) {
            eventually("the group reads from there", 20, () -> log.size() == 67);
            tool(GROUPS, "--reset-offsets", "--group", group, "--topic", group, "--to-earliest", "--execute").tells("inactive");
            equal("partitions", 2, m.owned().size());
        }
    }

    private Tool reset(String[] of, String... to) throws Exception {
        String[] all = Arrays.copyOf(of, of.length + to.length + 1);
        System.arraycopy(to, 0, all, of.length, to.length);
        all[all.length - 1] = "--execute";
        return tool(GROUPS, all);
    }

    private void groupsDeleted() throws Exception {
        String group = read("tool-delete");
        tool(GROUPS, "--delete-offsets", "--group", group, "--topic", group + ":0").tells("Request succeeded for deleting offsets from group " + group)
            .says(group + "  0  Successful");
        tool(GROUPS, "--describe", "--group", group).saysNot(pair(group) + "  0  50  .*").says(pair(group) + "  1  50  .*");
        tool(GROUPS, "--delete-offsets", "--group", group + "-none", "--topic", group + ":0").tells("does not exist");
        try (Member m = new Member(bootstrap, group, group, new Member.Log())) {
            eventually("there is a member", 20, () -> m.owned().size() == 2);
            tool(GROUPS, "--delete", "--group", group).tells("not empty");
        }
        tool(GROUPS, "--delete", "--group", group).says("Deletion of requested consumer groups \\('" + group + "'\\) was successful.");
        tool(GROUPS, "--list").saysNot(group);
        tool(GROUPS, "--delete", "--group", group).tells("could not be deleted");
    }

    private void groups() throws Exception {
        String group = read("tool-kinds");
        tool("GroupsCommand", "--list").says(group + "  Classic  consumer");
        tool("GroupsCommand", "--list", "--consumer").says(group + "  Classic  consumer");
        tool("GroupsCommand", "--list", "--share").saysNot(group + "  .*");
    }

    private void topicConfigs() throws Exception {
        String topic = Producers.create(bootstrap, Steps.name("tool-configs"), 1, Map.of());
        String[] of = {"--entity-type", "topics", "--entity-name", topic};
        config(of, "--alter", "--add-config", "retention.ms=5000,cleanup.policy=[compact,delete]").says("Completed updating config for topic " + topic + ".");
        eventually("it is shown", 20, () -> config(of, "--describe").out.contains("  retention.ms=5000 sensitive=false synonyms={DYNAMIC_TOPIC_CONFIG:retention.ms=5000"));
        config(of, "--describe").says("Dynamic configs for topic " + topic + " are:").says("  cleanup.policy=compact,delete sensitive=false .*");
        config(of, "--describe", "--all").says("  max.message.bytes=1048588 sensitive=false synonyms=\\{DEFAULT_CONFIG:message.max.bytes=1048588\\}");
        config(of, "--alter", "--delete-config", "retention.ms").says("Completed updating config for topic " + topic + ".");
        eventually("it is gone", 20, () -> !config(of, "--describe").out.contains("retention.ms"));
        failsConfig(of, "--alter", "--add-config", "retention.ms=soon").tells("retention.ms");
        failsConfig(of, "--alter", "--add-config", "no.such.setting=1").tells("no.such.setting");
        failsConfig(new String[] {"--entity-type", "topics", "--entity-name", topic + "-none"}, "--alter", "--add-config", "retention.ms=1");
    }

    private String[] join(String[] a, String... b) {
        String[] all = Arrays.copyOf(a, a.length + b.length);
        System.arraycopy(b, 0, all, a.length, b.length);
        return all;
    }

    private Tool config(String[] of, String... args) throws Exception {
        return tool(CONFIGS, join(of, args));
    }

    private Tool failsConfig(String[] of, String... args) throws Exception {
        return fails(CONFIGS, join(of, args));
    }

    private void brokerConfigs() throws Exception {
        String[] all = {"--entity-type", "brokers", "--entity-default"};
        String[] one = {"--entity-type", "brokers", "--entity-name", "1"};
        config(all, "--alter", "--add-config", "log.retention.ms=7000000").says("Completed updating default config for brokers in the cluster.");
        config(one, "--alter", "--add-config", "log.retention.ms=8000000").says("Completed updating config for broker 1.");
        eventually("both are shown", 20, () -> config(one, "--describe").out.contains("log.retention.ms=8000000 sensitive=false"
            + " synonyms={DYNAMIC_BROKER_CONFIG:log.retention.ms=8000000, DYNAMIC_DEFAULT_BROKER_CONFIG:log.retention.ms=7000000"));
        config(all, "--describe").says("Default configs for brokers in the cluster are:").says("  log.retention.ms=7000000 .*");
        config(one, "--describe", "--all").says("  node.id=1 sensitive=false .*").says("  num.partitions=\\d+ sensitive=false .*");
        config(one, "--alter", "--delete-config", "log.retention.ms");
        config(all, "--alter", "--delete-config", "log.retention.ms");
        eventually("both are gone", 20,
            () -> !config(one, "--describe").out.contains("log.retention.ms=") && !config(all, "--describe").out.contains("log.retention.ms="));
        failsConfig(one, "--alter", "--add-config", "log.dirs=elsewhere").tells("log.dirs");
    }

    private void offsets() throws Exception {
        String topic = read("tool-offsets");
        tool("GetOffsetShell", "--topic", topic).saysOnly(List.of(topic + ":0:50", topic + ":1:50"));
        for (String earliest : List.of("-2", "earliest", "-4", "earliest-local")) {
            tool("GetOffsetShell", "--topic", topic, "--time", earliest).saysOnly(List.of(topic + ":0:0", topic + ":1:0"));
        }
        tool("GetOffsetShell", "--topic", topic, "--time", "max-timestamp").saysOnly(List.of(topic + ":0:49", topic + ":1:49"));
        tool("GetOffsetShell", "--topic", topic, "--time", Long.toString(Steps.PAST + 50)).saysOnly(List.of(topic + ":0:25", topic + ":1:25"));
        tool("GetOffsetShell", "--topic-partitions", Pattern.quote(topic) + ":1", "--time", "latest").saysOnly(List.of(topic + ":1:50"));
        tool("GetOffsetShell", "--exclude-internal-topics").says(topic + ":0:50").saysNot("__consumer_offsets:.*");
        tool("GetOffsetShell").says("__consumer_offsets:\\d+:\\d+");
        fails("GetOffsetShell", "--topic", topic + "-none").tells("Could not match any topic-partitions");
    }

    private void deleteRecords() throws Exception {
        String topic = read("tool-delete-records");
        Path plan = Files.createTempFile("delete", ".json");
        Files.writeString(plan, "{\"version\":1,\"partitions\":[{\"topic\":\"" + topic + "\",\"partition\":0,\"offset\":30},{\"topic\":\"" + topic
            + "\",\"partition\":1,\"offset\":-1}]}");
        tool("DeleteRecordsCommand", "--offset-json-file", plan.toString()).says("partition: " + topic + "-0\tlow_watermark: 30")
            .says("partition: " + topic + "-1\tlow_watermark: 50");
        tool("GetOffsetShell", "--topic", topic, "--time", "earliest").saysOnly(List.of(topic + ":0:30", topic + ":1:50"));
        Files.writeString(plan, "{\"version\":1,\"partitions\":[{\"topic\":\"" + topic + "\",\"partition\":0,\"offset\":51}]}");
        tool("DeleteRecordsCommand", "--offset-json-file", plan.toString()).tells("partition: " + topic + "-0\terror: ");
        Files.delete(plan);
    }

    private void logDirs() throws Exception {
        String topic = Producers.create(bootstrap, Steps.name("tool-dirs"), 1, Map.of());
        try (var p = Producers.producer(bootstrap)) {
            p.send(new org.apache.kafka.clients.producer.ProducerRecord<>(topic, new byte[5_000])).get();
        }
        Tool t = tool("LogDirsCommand", "--describe", "--topic-list", topic);
        Matcher m = Pattern.compile("\"partition\":\"" + topic + "-0\",\"size\":(\\d+),\"offsetLag\":0,\"isFuture\":false").matcher(t.out);
        that(m.find() && 5_000 < Integer.parseInt(m.group(1)) && Integer.parseInt(m.group(1)) < 5_200, "it prints " + t.out);
        that(t.out.contains("\"error\":null,\"logDir\":\"/"), "it prints " + t.out);
    }

    private void perf() throws Exception {
        String topic = Producers.create(bootstrap, Steps.name("tool-perf"), 3, Map.of());
        tool("ProducerPerformance", "--topic", topic, "--num-records", Integer.toString(MANY), "--record-size", "100", "--throughput", "-1",
            "--command-property", "acks=all", "compression.type=lz4").says(MANY + " records sent, .* records/sec .*");
        tool("GetOffsetShell", "--topic", topic).says(topic + ":0:\\d+");
        List<String> last = tool("ConsumerPerformance", "--topic", topic, "--num-records", Integer.toString(MANY), "--group", topic, "--timeout", "20000").lines();
        equal("records the consumer counts", Integer.toString(MANY), last.get(last.size() - 1).split(", ")[4]);
    }

    private void verifiable() throws Exception {
        String topic = Producers.create(bootstrap, Steps.name("tool-verify"), 1, Map.of());
        Tool sent = Tool.alone("VerifiableProducer", with("--topic", topic, "--max-messages", "1000", "--acks", "-1"));
        equal("records acknowledged", 1_000L, sent.lines().stream().filter(l -> l.contains("\"producer_send_success\"")).count());
        sent.tells("\"sent\":1000,\"acked\":1000");
        Tool read = Tool.alone("VerifiableConsumer", with("--topic", topic, "--group-id", topic, "--max-messages", "1000", "--reset-policy", "earliest",
            "--assignment-strategy", "org.apache.kafka.clients.consumer.RoundRobinAssignor"));
        read.says(".*\"name\":\"offsets_committed\",.*\"success\":true\\}").saysNot(".*\"success\":false.*");
        tool(GROUPS, "--describe", "--group", topic).says(pair(topic) + "  0  1000  1000  0  -  -  -");
    }

    private void apiVersions() throws Exception {
        Tool t = tool("BrokerApiVersionsCommand");
        // What a client of one broker needs, in Kafka 4.4's ranges.
        for (String line : List.of("Produce(0): 0 to 13", "Fetch(1): 4 to 18", "ListOffsets(2): 1 to 11", "Metadata(3): 0 to 13", "OffsetCommit(8): 2 to 10",
                "OffsetFetch(9): 1 to 10", "FindCoordinator(10): 0 to 6", "JoinGroup(11): 0 to 9", "Heartbeat(12): 0 to 4", "LeaveGroup(13): 0 to 5",
                "SyncGroup(14): 0 to 5", "DescribeGroups(15): 0 to 6", "ListGroups(16): 0 to 5", "ApiVersions(18): 0 to 5", "CreateTopics(19): 2 to 7",
                "DeleteTopics(20): 1 to 6", "DeleteRecords(21): 0 to 2", "InitProducerId(22): 0 to 5", "OffsetForLeaderEpoch(23): 2 to 4",
                "DescribeConfigs(32): 1 to 4", "AlterConfigs(33): 0 to 2", "DescribeLogDirs(35): 1 to 5", "CreatePartitions(37): 0 to 3",
                "DeleteGroups(42): 0 to 3", "IncrementalAlterConfigs(44): 0 to 1", "OffsetDelete(47): 0", "DescribeCluster(60): 0 to 2",
                "ConsumerGroupDescribe(69): 0 to 1", "DescribeTopicPartitions(75): 0")) {
            t.says("\t" + Pattern.quote(line) + " \\[usable: \\d+\\],?");
        }
    }

    private void cluster() throws Exception {
        tool("ClusterTool", "cluster-id").says("Cluster ID: \\S{22}");
        tool("ClusterTool", "list-endpoints").says("1  127.0.0.1  " + bootstrap.split(":")[1] + "  null  unfenced  broker");
        Tool.run("FeatureCommand", "--bootstrap-server", bootstrap, "describe").says("Feature: metadata.version\\s.*FinalizedVersionLevel: 4.4-IV\\d\\s.*");
    }

    private void streamsReset() throws Exception {
        String group = read("tool-streams");
        tool("StreamsResetter", "--application-id", group, "--input-topics", group, "--to-offset", "12").says("Topic: " + group + " Partition: 0 Offset: 12")
            .says("Topic: " + group + " Partition: 1 Offset: 12");
        try (var admin = org.apache.kafka.clients.admin.Admin.create(Producers.properties(bootstrap))) {
            for (OffsetAndMetadata o : admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get().values()) {
                equal("offset after the reset", 12L, o.offset());
            }
        }
    }
}
