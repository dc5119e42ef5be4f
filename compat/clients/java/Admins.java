package compat;

import static compat.Steps.equal;
import static compat.Steps.eventually;
import static compat.Steps.fails;
import static compat.Steps.that;

import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.AlterConfigsOptions;
import org.apache.kafka.clients.admin.ClassicGroupDescription;
import org.apache.kafka.clients.admin.Config;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.ConfigEntry.ConfigSource;
import org.apache.kafka.clients.admin.ConsumerGroupDescription;
import org.apache.kafka.clients.admin.CreatePartitionsOptions;
import org.apache.kafka.clients.admin.CreateTopicsOptions;
import org.apache.kafka.clients.admin.CreateTopicsResult;
import org.apache.kafka.clients.admin.DescribeClusterResult;
import org.apache.kafka.clients.admin.DescribeConfigsOptions;
import org.apache.kafka.clients.admin.FeatureMetadata;
import org.apache.kafka.clients.admin.GroupListing;
import org.apache.kafka.clients.admin.ListConsumerGroupOffsetsSpec;
import org.apache.kafka.clients.admin.ListGroupsOptions;
import org.apache.kafka.clients.admin.ListOffsetsResult.ListOffsetsResultInfo;
import org.apache.kafka.clients.admin.ListTopicsOptions;
import org.apache.kafka.clients.admin.LogDirDescription;
import org.apache.kafka.clients.admin.MemberDescription;
import org.apache.kafka.clients.admin.MemberToRemove;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.admin.RemoveMembersFromConsumerGroupOptions;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.ClassicGroupState;
import org.apache.kafka.common.GroupState;
import org.apache.kafka.common.GroupType;
import org.apache.kafka.common.KafkaFuture;
import org.apache.kafka.common.TopicCollection;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.TopicPartitionInfo;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.GroupIdNotFoundException;
import org.apache.kafka.common.errors.GroupNotEmptyException;
import org.apache.kafka.common.errors.GroupSubscribedToTopicException;
import org.apache.kafka.common.errors.InvalidConfigurationException;
import org.apache.kafka.common.errors.InvalidPartitionsException;
import org.apache.kafka.common.errors.InvalidReplicationFactorException;
import org.apache.kafka.common.errors.InvalidRequestException;
import org.apache.kafka.common.errors.InvalidTopicException;
import org.apache.kafka.common.errors.OffsetOutOfRangeException;
import org.apache.kafka.common.errors.RecordTooLargeException;
import org.apache.kafka.common.errors.TopicExistsException;
import org.apache.kafka.common.errors.UnknownMemberIdException;
import org.apache.kafka.common.errors.UnknownTopicIdException;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;

/** Java's Admin: every call that one broker can answer, and its answers in full. */
final class Admins {
    private final Admin admin;
    private final String bootstrap;

    private Admins(String bootstrap) {
        this.bootstrap = bootstrap;
        admin = Admin.create(Producers.properties(bootstrap, "default.api.timeout.ms", "20000", "request.timeout.ms", "15000"));
    }

    static void run(Steps steps, String bootstrap, String[] args) throws Exception {
        Admins a = new Admins(bootstrap);
        steps.step("cluster", a::cluster);
        steps.step("features", a::features);
        steps.step("topics", a::topics);
        steps.step("topics refused", a::topicsRefused);
        steps.step("partitions", a::partitions);
        steps.step("topic settings", a::topicSettings);
        steps.step("settings take effect", a::settingsTakeEffect);
        steps.step("broker settings", a::brokerSettings);
        steps.step("records deleted", a::recordsDeleted);
        steps.step("offsets", a::offsets);
        steps.step("log directories", a::logDirectories);
        steps.step("groups", a::groups);
        steps.step("group offsets", a::groupOffsets);
        steps.step("members removed", a::membersRemoved);
        a.admin.close();
    }

    private static <T> T get(KafkaFuture<T> f) throws Exception {
        return f.get(30, TimeUnit.SECONDS);
    }

    private void cluster() throws Exception {
        DescribeClusterResult c = admin.describeCluster();
        that(get(c.clusterId()).length() == 22, "cluster id is " + get(c.clusterId()));
        equal("nodes", 1, get(c.nodes()).size());
        equal("controller", get(c.nodes()).iterator().next().id(), get(c.controller()).id());
        equal("address", bootstrap, get(c.controller()).host() + ":" + get(c.controller()).port());
        equal("operations that nobody asked for", null, get(c.authorizedOperations()));
    }

    private void features() throws Exception {
        FeatureMetadata f = get(admin.describeFeatures().featureMetadata());
        // The level that 4.4 finalizes; what is built on it decides which clients try newer things.
        equal("level of the metadata", (short) 33, f.finalizedFeatures().get("metadata.version").maxVersionLevel());
        f.finalizedFeatures().forEach((name, range) -> that(f.supportedFeatures().containsKey(name), name + " is finalized but not supported"));
    }

    private void topics() throws Exception {
        String topic = Steps.name("admin-topics");
        NewTopic wanted = new NewTopic(topic, 3, (short) 1).configs(Map.of("retention.ms", "3600000", "cleanup.policy", "compact,delete"));
        admin.createTopics(List.of(wanted), new CreateTopicsOptions().validateOnly(true)).all().get();
        that(!get(admin.listTopics().names()).contains(topic), "validation created the topic");

        CreateTopicsResult made = admin.createTopics(List.of(wanted));
        Uuid id = get(made.topicId(topic));
        that(!id.equals(Uuid.ZERO_UUID), "the topic has no id");
        equal("partitions", 3, get(made.numPartitions(topic)));
        equal("replicas", 1, get(made.replicationFactor(topic)));
        equal("retention", "3600000", get(made.config(topic)).get("retention.ms").value());
        equal("source of the retention", ConfigSource.DYNAMIC_TOPIC_CONFIG, get(made.config(topic)).get("retention.ms").source());
        equal("source of the segment size", ConfigSource.DEFAULT_CONFIG, get(made.config(topic)).get("segment.bytes").source());
        eventually("the topic is shown", 20, () -> admin.listTopics().names().get().contains(topic));
        equal("id in the listing", id, get(admin.listTopics().namesToListings()).get(topic).topicId());

        for (TopicDescription d : List.of(get(admin.describeTopics(List.of(topic)).allTopicNames()).get(topic),
                get(admin.describeTopics(TopicCollection.ofTopicIds(List.of(id))).allTopicIds()).get(id))) {
            equal("name", topic, d.name());
            equal("id", id, d.topicId());
            equal("internal", false, d.isInternal());
            equal("partitions", List.of(0, 1, 2), d.partitions().stream().map(TopicPartitionInfo::partition).collect(Collectors.toList()));
            for (TopicPartitionInfo p : d.partitions()) {
                that(p.leader() != null && p.replicas().equals(List.of(p.leader())) && p.isr().equals(p.replicas()), "partition is " + p);
            }
        }
        fails(UnknownTopicOrPartitionException.class, () -> get(admin.describeTopics(List.of(topic + "-none")).allTopicNames()));
        fails(UnknownTopicIdException.class, () -> get(admin.describeTopics(TopicCollection.ofTopicIds(List.of(Uuid.randomUuid()))).allTopicIds()));

        String other = topic + "-other";
        get(admin.createTopics(List.of(new NewTopic(other, Map.of(0, List.of(get(admin.describeCluster().controller()).id()))))).all());
        eventually("it is shown", 20, () -> admin.listTopics().names().get().contains(other));
        get(admin.deleteTopics(List.of(other)).all());
        get(admin.deleteTopics(TopicCollection.ofTopicIds(List.of(id))).all());
        eventually("they are gone", 20, () -> java.util.Collections.disjoint(admin.listTopics().names().get(), Set.of(topic, other)));
        fails(UnknownTopicOrPartitionException.class, () -> get(admin.deleteTopics(List.of(topic)).all()));
        fails(UnknownTopicIdException.class, () -> get(admin.deleteTopics(TopicCollection.ofTopicIds(List.of(id))).all()));

        get(admin.createTopics(List.of(new NewTopic(topic, java.util.Optional.empty(), java.util.Optional.empty()))).all());
        eventually("it is shown again", 20, () -> admin.listTopics().names().get().contains(topic));
        that(!get(admin.listTopics().namesToListings()).get(topic).topicId().equals(id), "a new topic has the old one's id");
        get(admin.deleteTopics(List.of(topic)).all());
    }

    private void topicsRefused() throws Exception {
        String topic = Producers.create(bootstrap, Steps.name("admin.refused"), 1, Map.of());
        fails(TopicExistsException.class, () -> create(new NewTopic(topic, 1, (short) 1)));
        fails(InvalidTopicException.class, () -> create(new NewTopic(topic.replace('.', '_'), 1, (short) 1)));
        fails(InvalidTopicException.class, () -> create(new NewTopic("a/b", 1, (short) 1)));
        fails(InvalidTopicException.class, () -> create(new NewTopic("..", 1, (short) 1)));
        fails(InvalidTopicException.class, () -> create(new NewTopic("x".repeat(250), 1, (short) 1)));
        fails(InvalidPartitionsException.class, () -> create(new NewTopic(topic + "-none", 0, (short) 1)));
        fails(InvalidReplicationFactorException.class, () -> create(new NewTopic(topic + "-none", 1, (short) 2)));
        fails(InvalidConfigurationException.class, () -> create(new NewTopic(topic + "-none", 1, (short) 1).configs(Map.of("retention.ms", "soon"))));
        fails(InvalidConfigurationException.class, () -> create(new NewTopic(topic + "-none", 1, (short) 1).configs(Map.of("no.such.setting", "1"))));
    }

    private Void create(NewTopic t) throws Exception {
        return get(admin.createTopics(List.of(t)).all());
    }

    private void partitions() throws Exception {
        String topic = Producers.create(bootstrap, Steps.name("admin-partitions"), 2, Map.of());
        get(admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(5)), new CreatePartitionsOptions().validateOnly(true)).all());
        equal("partitions after a validation", 2, get(admin.describeTopics(List.of(topic)).allTopicNames()).get(topic).partitions().size());
        get(admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(5))).all());
        eventually("five partitions are shown", 20,
            () -> admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic).partitions().size() == 5);
        try (KafkaProducer<byte[], byte[]> p = Producers.producer(bootstrap)) {
            equal("offset in the new partition", 0L, p.send(new ProducerRecord<>(topic, 4, null, Producers.bytes("new"))).get().offset());
        }
        fails(InvalidPartitionsException.class, () -> get(admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(5))).all()));
        fails(InvalidPartitionsException.class, () -> get(admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(1))).all()));
        fails(UnknownTopicOrPartitionException.class, () -> get(admin.createPartitions(Map.of(topic + "-none", NewPartitions.increaseTo(5))).all()));
    }

    private Config describe(ConfigResource r) throws Exception {
        return get(admin.describeConfigs(List.of(r)).all()).get(r);
    }

    private void alter(ConfigResource r, AlterConfigOp... ops) throws Exception {
        get(admin.incrementalAlterConfigs(Map.of(r, List.of(ops))).all());
    }

    private static AlterConfigOp op(AlterConfigOp.OpType type, String name, String value) {
        return new AlterConfigOp(new ConfigEntry(name, value), type);
    }

    private void topicSettings() throws Exception {
        String topic = Producers.create(bootstrap, Steps.name("admin-settings"), 1, Map.of("retention.ms", "1000000"));
        ConfigResource r = new ConfigResource(ConfigResource.Type.TOPIC, topic);
        alter(r, op(AlterConfigOp.OpType.SET, "max.message.bytes", "2000000"), op(AlterConfigOp.OpType.APPEND, "cleanup.policy", "compact"),
            op(AlterConfigOp.OpType.DELETE, "retention.ms", null));
        eventually("the change is shown", 20, () -> "2000000".equals(describe(r).get("max.message.bytes").value()));
        equal("cleanup policy", "delete,compact", describe(r).get("cleanup.policy").value());
        equal("retention", "604800000", describe(r).get("retention.ms").value());
        alter(r, op(AlterConfigOp.OpType.SUBTRACT, "cleanup.policy", "delete"));
        eventually("one policy is left", 20, () -> "compact".equals(describe(r).get("cleanup.policy").value()));

        ConfigEntry e = get(admin.describeConfigs(List.of(r), new DescribeConfigsOptions().includeSynonyms(true).includeDocumentation(true)).all())
            .get(r).get("max.message.bytes");
        equal("source", ConfigSource.DYNAMIC_TOPIC_CONFIG, e.source());
        equal("type", ConfigEntry.ConfigType.INT, e.type());
        equal("first synonym", List.of("max.message.bytes", "2000000"), List.of(e.synonyms().get(0).name(), e.synonyms().get(0).value()));
        equal("last synonym", ConfigSource.DEFAULT_CONFIG, e.synonyms().get(e.synonyms().size() - 1).source());
        that(!e.isReadOnly() && !e.isSensitive() && e.documentation() != null, "entry is " + e);
        for (String name : List.of("cleanup.policy", "compression.type", "delete.retention.ms", "file.delete.delay.ms", "flush.messages", "flush.ms",
                "follower.replication.throttled.replicas", "index.interval.bytes", "leader.replication.throttled.replicas", "max.compaction.lag.ms",
                "max.message.bytes", "message.timestamp.after.max.ms", "message.timestamp.before.max.ms", "message.timestamp.type",
                "min.cleanable.dirty.ratio", "min.compaction.lag.ms", "min.insync.replicas", "preallocate", "retention.bytes", "retention.ms",
                "segment.bytes", "segment.index.bytes", "segment.jitter.ms", "segment.ms", "unclean.leader.election.enable")) {
            that(describe(r).get(name) != null, name + " is not shown");
        }

        fails(InvalidConfigurationException.class, () -> set(r, "retention.ms", "soon"));
        fails(InvalidConfigurationException.class, () -> set(r, "no.such.setting", "1"));
        fails(InvalidConfigurationException.class, () -> set(r, "cleanup.policy", "burn"));
        fails(Exception.class, () -> set(new ConfigResource(ConfigResource.Type.TOPIC, topic + "-none"), "retention.ms", "1"));
        fails(UnknownTopicOrPartitionException.class, () -> describe(new ConfigResource(ConfigResource.Type.TOPIC, topic + "-none")));
        get(admin.incrementalAlterConfigs(Map.of(r, List.of(op(AlterConfigOp.OpType.SET, "retention.ms", "77"))),
            new AlterConfigsOptions().validateOnly(true)).all());
        equal("retention after a validation", "604800000", describe(r).get("retention.ms").value());
    }

    private Void set(ConfigResource r, String name, String value) throws Exception {
        alter(r, op(AlterConfigOp.OpType.SET, name, value));
        return null;
    }

    private void settingsTakeEffect() throws Exception {
        String topic = Producers.create(bootstrap, Steps.name("admin-effect"), 1, Map.of());
        ConfigResource r = new ConfigResource(ConfigResource.Type.TOPIC, topic);
        try (KafkaProducer<byte[], byte[]> p = Producers.producer(bootstrap)) {
            p.send(new ProducerRecord<>(topic, new byte[50_000])).get();
            set(r, "max.message.bytes", "10000");
            eventually("a large record is refused", 20, () -> {
                try {
                    p.send(new ProducerRecord<>(topic, new byte[50_000])).get();
                    return false;
                } catch (java.util.concurrent.ExecutionException e) {
                    that(e.getCause() instanceof RecordTooLargeException, "it is refused with " + e.getCause());
                    return true;
                }
            });
            set(r, "message.timestamp.type", "LogAppendTime");
            eventually("records get the broker's time", 20, () -> p.send(new ProducerRecord<>(topic, null, 5L, null, new byte[1])).get().timestamp() != 5);
            set(r, "cleanup.policy", "compact");
            eventually("a record without a key is refused", 20, () -> {
                try {
                    p.send(new ProducerRecord<>(topic, new byte[1])).get();
                    return false;
                } catch (java.util.concurrent.ExecutionException e) {
                    that(e.getCause() instanceof org.apache.kafka.common.InvalidRecordException, "it is refused with " + e.getCause());
                    return true;
                }
            });
        }
    }

    private void brokerSettings() throws Exception {
        String id = Integer.toString(get(admin.describeCluster().controller()).id());
        ConfigResource broker = new ConfigResource(ConfigResource.Type.BROKER, id);
        ConfigResource all = new ConfigResource(ConfigResource.Type.BROKER, "");
        equal("node id", id, describe(broker).get("node.id").value());
        that(describe(broker).get("node.id").isReadOnly(), "node.id may be changed");
        ConfigEntry before = describe(broker).get("log.cleaner.backoff.ms");
        String topic = Producers.create(bootstrap, Steps.name("admin-broker"), 1, Map.of());
        ConfigResource ofTopic = new ConfigResource(ConfigResource.Type.TOPIC, topic);
        try {
            set(all, "log.retention.ms", "7200000");
            eventually("the cluster's default reaches the topic", 20, () -> "7200000".equals(describe(ofTopic).get("retention.ms").value()));
            equal("its source", ConfigSource.DYNAMIC_DEFAULT_BROKER_CONFIG, describe(ofTopic).get("retention.ms").source());
            equal("the cluster's default", "7200000", describe(all).get("log.retention.ms").value());
            set(broker, "log.retention.ms", "3600000");
            eventually("the broker's own value wins", 20, () -> "3600000".equals(describe(ofTopic).get("retention.ms").value()));
            equal("its source", ConfigSource.DYNAMIC_BROKER_CONFIG, describe(ofTopic).get("retention.ms").source());
            fails(InvalidRequestException.class, () -> set(broker, "node.id", "9"));
            fails(InvalidRequestException.class, () -> set(broker, "log.retention.ms", "soon"));
        } finally {
            alter(broker, op(AlterConfigOp.OpType.DELETE, "log.retention.ms", null));
            alter(all, op(AlterConfigOp.OpType.DELETE, "log.retention.ms", null));
        }
        eventually("Kafka's default is back", 20, () -> "604800000".equals(describe(ofTopic).get("retention.ms").value()));
        equal("a setting that was not touched", before.value(), describe(broker).get("log.cleaner.backoff.ms").value());
    }

    private ListOffsetsResultInfo offset(TopicPartition p, OffsetSpec of) throws Exception {
        return get(admin.listOffsets(Map.of(p, of)).partitionResult(p));
    }

    private void recordsDeleted() throws Exception {
        String topic = Producers.create(bootstrap, Steps.name("admin-delete"), 2, Map.of());
        TopicPartition p0 = new TopicPartition(topic, 0);
        TopicPartition p1 = new TopicPartition(topic, 1);
        try (KafkaProducer<byte[], byte[]> p = Producers.producer(bootstrap)) {
            for (int i = 0; i < 200; i++) {
                p.send(new ProducerRecord<>(topic, i % 2, null, Producers.bytes("value-" + i)));
            }
        }
        var done = admin.deleteRecords(Map.of(p0, RecordsToDelete.beforeOffset(30), p1, RecordsToDelete.beforeOffset(-1))).lowWatermarks();
        equal("new first offset", 30L, get(done.get(p0)).lowWatermark());
        equal("new first offset", 100L, get(done.get(p1)).lowWatermark());
        equal("first offset", 30L, offset(p0, OffsetSpec.earliest()).offset());
        equal("first offset", 100L, offset(p1, OffsetSpec.earliest()).offset());
        Map<Integer, ?> left = Producers.readAll(bootstrap, topic);
        equal("records that are left", List.of(70, 0), List.of(((Collection<?>) left.get(0)).size(), ((Collection<?>) left.get(1)).size()));
        equal("first offset after a smaller one", 30L,
            get(admin.deleteRecords(Map.of(p0, RecordsToDelete.beforeOffset(10))).lowWatermarks().get(p0)).lowWatermark());
        fails(OffsetOutOfRangeException.class, () -> get(admin.deleteRecords(Map.of(p0, RecordsToDelete.beforeOffset(101))).all()));
    }

    private void offsets() throws Exception {
        String topic = Producers.create(bootstrap, Steps.name("admin-offsets"), 1, Map.of());
        TopicPartition p0 = new TopicPartition(topic, 0);
        equal("latest of nothing", 0L, offset(p0, OffsetSpec.latest()).offset());
        equal("largest time of nothing", -1L, offset(p0, OffsetSpec.maxTimestamp()).offset());
        try (KafkaProducer<byte[], byte[]> p = Producers.producer(bootstrap, "batch.size", "0")) {
            for (long time : List.of(1_000L, 3_000L, 9_000L, 5_000L)) { // its largest time is not its last
                p.send(new ProducerRecord<>(topic, 0, Steps.PAST + time, null, Producers.bytes("at " + time))).get();
            }
        }
        equal("earliest", 0L, offset(p0, OffsetSpec.earliest()).offset());
        equal("latest", 4L, offset(p0, OffsetSpec.latest()).offset());
        equal("largest time", List.of(2L, Steps.PAST + 9_000),
            List.of(offset(p0, OffsetSpec.maxTimestamp()).offset(), offset(p0, OffsetSpec.maxTimestamp()).timestamp()));
        equal("a time", List.of(1L, Steps.PAST + 3_000), List.of(offset(p0, OffsetSpec.forTimestamp(Steps.PAST + 2_000)).offset(),
            offset(p0, OffsetSpec.forTimestamp(Steps.PAST + 2_000)).timestamp()));
        equal("a time to come", -1L, offset(p0, OffsetSpec.forTimestamp(Steps.PAST + 1_000_000_000L)).offset());
        equal("earliest local", 0L, offset(p0, OffsetSpec.earliestLocal()).offset());
        equal("latest tiered", -1L, offset(p0, OffsetSpec.latestTiered()).offset());
        equal("earliest pending upload", -1L, offset(p0, OffsetSpec.earliestPendingUpload()).offset());
        equal("epoch of the first record", 0, offset(p0, OffsetSpec.earliest()).leaderEpoch().get());
    }

    private void logDirectories() throws Exception {
        String topic = Producers.create(bootstrap, Steps.name("admin-dirs"), 1, Map.of());
        try (KafkaProducer<byte[], byte[]> p = Producers.producer(bootstrap)) {
            p.send(new ProducerRecord<>(topic, 0, null, new byte[100_000])).get();
        }
        int id = get(admin.describeCluster().controller()).id();
        Map<String, LogDirDescription> dirs = get(admin.describeLogDirs(List.of(id)).allDescriptions()).get(id);
        equal("directories", 1, dirs.size());
        LogDirDescription d = dirs.values().iterator().next();
        equal("error", null, d.error());
        that(d.totalBytes().getAsLong() > d.usableBytes().getAsLong() && d.usableBytes().getAsLong() > 0, "directory is " + d);
        var replica = d.replicaInfos().get(new TopicPartition(topic, 0));
        that(replica.size() > 100_000 && replica.size() < 101_000 && replica.offsetLag() == 0 && !replica.isFuture(), "replica is " + replica);
    }

    private Member member(String group, String topic, String... config) throws Exception {
        Member m = new Member(bootstrap, group, topic, new Member.Log(), config);
        int partitions = get(admin.describeTopics(List.of(topic)).allTopicNames()).get(topic).partitions().size();
        eventually("the member has its partitions", 20, () -> m.owned().size() == partitions);
        return m;
    }

    private void groups() throws Exception {
        String topic = Producers.create(bootstrap, Steps.name("admin-groups"), 2, Map.of());
        Consumers.send(bootstrap, topic, 0, 100);
        try (Member m = member(topic, topic, "client.id", "someone", "group.instance.id", "number-one")) {
            GroupListing g = get(admin.listGroups().all()).stream().filter(l -> l.groupId().equals(topic)).findFirst().orElseThrow();
            equal("listing", List.of("consumer", GroupType.CLASSIC, GroupState.STABLE), List.of(g.protocol(), g.type().get(), g.groupState().get()));
            that(listedAsConsumers(topic), "it is not among the groups of consumers");
            that(named(new ListGroupsOptions().inGroupStates(Set.of(GroupState.STABLE)), topic), "it is not listed by its state");
            that(!named(new ListGroupsOptions().inGroupStates(Set.of(GroupState.EMPTY, GroupState.DEAD)), topic), "it is listed by another state");
            that(named(new ListGroupsOptions().withTypes(Set.of(GroupType.CLASSIC)), topic), "it is not listed by its type");
            that(!named(new ListGroupsOptions().withTypes(Set.of(GroupType.CONSUMER)), topic), "it is listed by another type");
            that(!named(new ListGroupsOptions().withProtocolTypes(Set.of("connect")), topic), "it is listed by another protocol");

            ConsumerGroupDescription d = get(admin.describeConsumerGroups(List.of(topic)).all()).get(topic);
            equal("state", GroupState.STABLE, d.groupState());
            equal("type", GroupType.CLASSIC, d.type());
            equal("assignor", "range", d.partitionAssignor());
            equal("coordinator", get(admin.describeCluster().controller()).id(), d.coordinator().id());
            equal("simple", false, d.isSimpleConsumerGroup());
            equal("members", 1, d.members().size());
            MemberDescription md = d.members().iterator().next();
            equal("client", "someone", md.clientId());
            equal("instance", "number-one", md.groupInstanceId().get());
            equal("host", "/127.0.0.1", md.host());
            that(md.consumerId().startsWith("number-one-"), "member id is " + md.consumerId());
            equal("assignment", Set.of(new TopicPartition(topic, 0), new TopicPartition(topic, 1)), md.assignment().topicPartitions());

            ClassicGroupDescription c = get(admin.describeClassicGroups(List.of(topic)).all()).get(topic);
            equal("classic description", List.of("consumer", "range", ClassicGroupState.STABLE, 1),
                List.of(c.protocol(), c.protocolData(), c.state(), c.members().size()));
            fails(GroupNotEmptyException.class, () -> get(admin.deleteConsumerGroups(List.of(topic)).all()));
        }
        // A static member goes without a word, and its group is not empty before its session has ended or it is removed.
        get(admin.removeMembersFromConsumerGroup(topic, new RemoveMembersFromConsumerGroupOptions(Set.of(new MemberToRemove("number-one")))).all());
        eventually("the group is empty", 20, () -> admin.describeConsumerGroups(List.of(topic)).all().get().get(topic).groupState() == GroupState.EMPTY);
        that(named(new ListGroupsOptions().inGroupStates(Set.of(GroupState.EMPTY)), topic), "an empty group is not listed");
        get(admin.deleteConsumerGroups(List.of(topic)).all());
        that(!named(new ListGroupsOptions(), topic), "a deleted group is listed");
        fails(GroupIdNotFoundException.class, () -> get(admin.deleteConsumerGroups(List.of(topic)).all()));
        fails(GroupIdNotFoundException.class, () -> get(admin.describeClassicGroups(List.of(topic)).all()));
    }

    @SuppressWarnings("removal") // what programs of today call
    private boolean listedAsConsumers(String group) throws Exception {
        return get(admin.listConsumerGroups().all()).stream().anyMatch(l -> l.groupId().equals(group));
    }

    private boolean named(ListGroupsOptions o, String group) throws Exception {
        return get(admin.listGroups(o).all()).stream().anyMatch(l -> l.groupId().equals(group));
    }

    private void groupOffsets() throws Exception {
        String topic = Producers.create(bootstrap, Steps.name("admin-group-offsets"), 2, Map.of());
        TopicPartition p0 = new TopicPartition(topic, 0);
        TopicPartition p1 = new TopicPartition(topic, 1);
        Consumers.send(bootstrap, topic, 0, 100);
        Map<TopicPartition, OffsetAndMetadata> given = Map.of(p0, new OffsetAndMetadata(11, "eleven"), p1, new OffsetAndMetadata(12));
        get(admin.alterConsumerGroupOffsets(topic, given).all());
        equal("offsets", given, get(admin.listConsumerGroupOffsets(topic).partitionsToOffsetAndMetadata()));
        that(get(admin.describeConsumerGroups(List.of(topic)).all()).get(topic).isSimpleConsumerGroup(), "it is not a simple group");
        Map<TopicPartition, OffsetAndMetadata> some = new HashMap<>();
        some.put(p1, new OffsetAndMetadata(12));
        some.put(new TopicPartition(topic + "-none", 3), null);
        ListConsumerGroupOffsetsSpec asked = new ListConsumerGroupOffsetsSpec().topicPartitions(new ArrayList<>(some.keySet()));
        Map<String, ListConsumerGroupOffsetsSpec> both = Map.of(topic, asked, topic + "-none", new ListConsumerGroupOffsetsSpec());
        equal("offsets that were asked for", some, get(admin.listConsumerGroupOffsets(both).partitionsToOffsetAndMetadata(topic)));
        equal("offsets of no group", Map.of(), get(admin.listConsumerGroupOffsets(both).partitionsToOffsetAndMetadata(topic + "-none")));

        get(admin.deleteConsumerGroupOffsets(topic, Set.of(p0)).all());
        equal("offsets after a deletion", Set.of(p1), get(admin.listConsumerGroupOffsets(topic).partitionsToOffsetAndMetadata()).keySet());
        fails(GroupIdNotFoundException.class, () -> get(admin.deleteConsumerGroupOffsets(topic + "-none", Set.of(p0)).all()));
        try (Member m = member(topic, topic)) {
            fails(UnknownMemberIdException.class, () -> get(admin.alterConsumerGroupOffsets(topic, given).all()));
            fails(GroupSubscribedToTopicException.class, () -> get(admin.deleteConsumerGroupOffsets(topic, Set.of(p1)).all()));
        }
        // A topic that goes takes its offsets along; the last of them takes the empty group.
        get(admin.deleteTopics(List.of(topic)).all());
        eventually("the topic's offsets are gone", 20, () -> admin.listConsumerGroupOffsets(topic).partitionsToOffsetAndMetadata().get().isEmpty());
    }

    private void membersRemoved() throws Exception {
        String topic = Producers.create(bootstrap, Steps.name("admin-members"), 2, Map.of());
        Member one = member(topic, topic);
        get(admin.removeMembersFromConsumerGroup(topic, new RemoveMembersFromConsumerGroupOptions()).all());
        fails(UnknownMemberIdException.class, () -> get(admin.removeMembersFromConsumerGroup(topic,
            new RemoveMembersFromConsumerGroupOptions(Set.of(new MemberToRemove("nobody")))).memberResult(new MemberToRemove("nobody"))));
        one.leave();
        eventually("the group is empty", 20, () -> admin.describeConsumerGroups(List.of(topic)).all().get().get(topic).groupState() == GroupState.EMPTY);
    }
}
