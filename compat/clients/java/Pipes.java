package compat;

import static compat.Steps.equal;
import static compat.Steps.eventually;
import static compat.Steps.that;

import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.time.Duration;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.common.GroupState;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.connect.cli.ConnectDistributed;
import org.apache.kafka.connect.runtime.Connect;

/**
 * Kafka Connect, distributed: workers are a group that is none of consumers, and keep connectors, tasks and offsets in compacted topics. A
 * source with two tasks and a sink with two go on while workers come and go.
 */
final class Pipes {
    private static final int EACH = 4_000; // records in each of five parts: 20,000
    private static final Pattern TASK = Pattern.compile("\"id\":\\d+,\"state\":\"(\\w+)\",\"worker_id\":\"([^\"]+)\"");

    private final HttpClient http = HttpClient.newHttpClient();
    private final String bootstrap;
    private final String cluster = Steps.name("connect");
    private final String topic = cluster + "-numbers";
    private Connect<?> one;
    private Connect<?> two;

    private Pipes(String bootstrap) {
        this.bootstrap = bootstrap;
    }

    static void run(Steps steps, String bootstrap, String[] args) throws Exception {
        Pipes p = new Pipes(bootstrap);
        Producers.create(bootstrap, p.topic, 3, Map.of());
        steps.step("a worker starts", p::starts);
        steps.step("a source and a sink run", p::runs);
        steps.step("a second worker takes tasks", p::secondWorker);
        steps.step("the first worker goes", p::firstGoes);
        steps.step("a worker comes after all have gone", p::comesBack);
        steps.step("connectors are deleted", p::deleted);
    }

    private Connect<?> worker() {
        Map<String, String> c = new HashMap<>();
        c.put("bootstrap.servers", bootstrap);
        c.put("group.id", cluster);
        c.put("listeners", "http://127.0.0.1:0");
        c.put("key.converter", "org.apache.kafka.connect.storage.StringConverter");
        c.put("value.converter", "org.apache.kafka.connect.storage.StringConverter");
        for (String kind : List.of("config", "offset", "status")) {
            c.put(kind + ".storage.topic", cluster + "-" + kind);
            c.put(kind + ".storage.replication.factor", "1");
        }
        c.put("offset.storage.partitions", "5");
        c.put("offset.flush.interval.ms", "500");
        c.put("plugin.discovery", "service_load"); // META-INF beside these sources; to look through all jars takes seconds
        c.put("scheduled.rebalance.max.delay.ms", "0");
        c.put("heartbeat.interval.ms", "300");
        c.put("consumer.heartbeat.interval.ms", "300");
        return new ConnectDistributed().startConnect(c);
    }

    private String call(Connect<?> worker, String method, String path, String body, int status) throws Exception {
        HttpRequest r = HttpRequest.newBuilder(URI.create(worker.rest().serverUrl().toString().replaceAll("/$", "") + path))
            .timeout(Duration.ofSeconds(30)).header("Content-Type", "application/json")
            .method(method, HttpRequest.BodyPublishers.ofString(body)).build();
        HttpResponse<String> a = http.send(r, HttpResponse.BodyHandlers.ofString());
        // 409: the workers are at a rebalance; 404: they have not yet taken in what was asked of another. The call is to be made again.
        for (int again = 0; (a.statusCode() == 409 || a.statusCode() == 404) && a.statusCode() != status && again < 400; again++) {
            TimeUnit.MILLISECONDS.sleep(50);
            a = http.send(r, HttpResponse.BodyHandlers.ofString());
        }
        equal("status of " + method + " " + path + ": " + a.body(), status, a.statusCode());
        return a.body();
    }

    private void starts() throws Exception {
        one = worker();
        eventually("the worker answers", 40, () -> call(one, "GET", "/connectors", "", 200).equals("[]"));
        try (Admin admin = Admin.create(Producers.properties(bootstrap))) {
            for (String kind : List.of("config", "offset", "status")) {
                ConfigResource r = new ConfigResource(ConfigResource.Type.TOPIC, cluster + "-" + kind);
                equal("policy of " + r.name(), "compact", admin.describeConfigs(List.of(r)).all().get().get(r).get("cleanup.policy").value());
            }
            equal("partitions of the offsets", 5, admin.describeTopics(List.of(cluster + "-offset")).allTopicNames().get().values().iterator().next()
                .partitions().size());
        }
    }

    /** The workers that run the tasks of both connectors; null as long as not all of the four run. */
    private Set<String> workers(Connect<?> ask) throws Exception {
        Set<String> ids = new HashSet<>();
        int running = 0;
        for (String connector : List.of("feed", "drain")) {
            Matcher m = TASK.matcher(call(ask, "GET", "/connectors/" + connector + "/status", "", 200));
            while (m.find()) {
                running += m.group(1).equals("RUNNING") ? 1 : 0;
                ids.add(m.group(2));
            }
        }
        return running == 4 ? ids : null;
    }

    private static String id(Connect<?> worker) {
        URI u = worker.rest().advertisedUrl();
        return u.getHost() + ":" + u.getPort();
    }

    private void more() throws Exception {
        int limit = Feed.LIMIT.addAndGet(EACH);
        eventually(limit + " records have come through", 40, () -> new HashSet<>(Drain.VALUES).size() == limit);
    }

    private void runs() throws Exception {
        call(one, "PUT", "/connectors/feed/config", "{\"connector.class\":\"compat.Feed\",\"tasks.max\":\"2\",\"topic\":\"" + topic + "\"}", 201);
        call(one, "PUT", "/connectors/drain/config", "{\"connector.class\":\"compat.Drain\",\"tasks.max\":\"2\",\"topics\":\"" + topic + "\"}", 201);
        eventually("four tasks run", 40, () -> Set.of(id(one)).equals(workers(one)));
        more();
    }

    private void secondWorker() throws Exception {
        two = worker();
        eventually("tasks run on both", 40, () -> Set.of(id(one), id(two)).equals(workers(one)));
        more();
    }

    private void firstGoes() throws Exception {
        one.stop();
        one.awaitStop();
        eventually("all tasks run on the second", 40, () -> Set.of(id(two)).equals(workers(two)));
        more();
    }

    private void comesBack() throws Exception {
        two.stop();
        two.awaitStop();
        one = worker();
        eventually("all tasks run on the new one", 40, () -> Set.of(id(one)).equals(workers(one)));
        more();
        more();
        // All workers went in order, so the source's offsets were stored and nothing was sent twice.
        Set<String> sent = new HashSet<>();
        Producers.readAll(bootstrap, topic).values().forEach(l -> l.forEach(r -> that(sent.add(new String(r.value())), r + " is there twice")));
        equal("records in the topic", Feed.LIMIT.get(), sent.size());
        equal("records that the sink got", Feed.LIMIT.get(), Drain.VALUES.size());
    }

    private void deleted() throws Exception {
        call(one, "DELETE", "/connectors/feed", "", 204);
        call(one, "DELETE", "/connectors/drain", "", 204);
        eventually("there is none", 20, () -> call(one, "GET", "/connectors", "", 200).equals("[]"));
        try (Admin admin = Admin.create(Producers.properties(bootstrap))) {
            eventually("the sink's group is empty", 20, () ->
                admin.describeConsumerGroups(List.of("connect-drain")).all().get().get("connect-drain").groupState() == GroupState.EMPTY);
            admin.deleteConsumerGroups(List.of("connect-drain")).all().get();
            that(admin.listGroups().all().get().stream().anyMatch(g -> g.groupId().equals(cluster) && g.protocol().equals("connect")),
                "the workers' group is not listed");
        }
        one.stop();
        one.awaitStop();
    }
}
