package compat;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.InputStream;
import java.io.PrintStream;
import java.lang.reflect.InvocationTargetException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.TimeUnit;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.apache.kafka.common.utils.internals.Exit;

/** One of Kafka's command line tools, run in this Java machine with streams of its own, and what came of it. */
final class Tool {
    private static final class Exited extends RuntimeException {
        private static final long serialVersionUID = 1;
    }

    // This machine goes on where a tool ends its own. A tool may catch what its exit throws and exit again: the first code counts.
    private static final List<Integer> EXITS = new CopyOnWriteArrayList<>();
    private static final List<Runnable> HOOKS = new CopyOnWriteArrayList<>();

    static {
        Exit.Procedure exit = (code, message) -> {
            EXITS.add(code);
            throw new Exited();
        };
        Exit.setExitProcedure(exit);
        Exit.setHaltProcedure(exit);
        Exit.setShutdownHookAdder((name, hook) -> HOOKS.add(hook));
    }

    private final String command;
    final int code;
    final String out;
    final String err;

    private Tool(String command, int code, String out, String err) {
        this.command = command;
        this.code = code;
        this.out = out;
        this.err = err;
    }

    /** Runs a tool's main class, named below org.apache.kafka.tools, and expects a good end. */
    static Tool run(String main, String... args) throws Exception {
        return read("", main, args).ends(0);
    }

    static Tool read(String stdin, String main, String... args) throws Exception {
        InputStream in = System.in;
        PrintStream out = System.out;
        PrintStream err = System.err;
        ByteArrayOutputStream o = new ByteArrayOutputStream();
        ByteArrayOutputStream e = new ByteArrayOutputStream();
        EXITS.clear();
        HOOKS.clear();
        try {
            System.setIn(new ByteArrayInputStream(stdin.getBytes(StandardCharsets.UTF_8)));
            System.setOut(new PrintStream(o, true, StandardCharsets.UTF_8));
            System.setErr(new PrintStream(e, true, StandardCharsets.UTF_8));
            try {
                Class.forName("org.apache.kafka.tools." + main).getMethod("main", String[].class).invoke(null, (Object) args);
            } catch (InvocationTargetException x) {
                if (!(x.getCause() instanceof Exited)) {
                    throw x;
                }
            }
            HOOKS.forEach(Runnable::run);
        } finally {
            System.out.flush();
            System.err.flush();
            System.setIn(in);
            System.setOut(out);
            System.setErr(err);
        }
        int code = EXITS.isEmpty() ? 0 : EXITS.get(0);
        return new Tool(main + " " + String.join(" ", args), code, o.toString(StandardCharsets.UTF_8), e.toString(StandardCharsets.UTF_8));
    }

    /** Runs a tool that ends its Java machine itself, and has its last word then, in a machine of its own. */
    static Tool alone(String main, String... args) throws Exception {
        List<String> argv = new ArrayList<>(List.of(ProcessHandle.current().info().command().orElse("java"), "-Xmx200m", "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", System.getProperty("java.class.path"),
            "org.apache.kafka.tools." + main));
        argv.addAll(List.of(args));
        Process p = new ProcessBuilder(argv).redirectError(ProcessBuilder.Redirect.INHERIT).start();
        try {
            Thread killer = new Thread(() -> {
                try {
                    if (!p.waitFor(40, TimeUnit.SECONDS)) {
                        p.destroyForcibly();
                    }
                } catch (InterruptedException e) {
                    p.destroyForcibly();
                }
            });
            killer.setDaemon(true);
            killer.start();
            String out = new String(p.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
            return new Tool(main + " " + String.join(" ", args), p.waitFor(), out, "").ends(0);
        } finally {
            p.destroyForcibly();
        }
    }

    private AssertionError wrong(String what) {
        return new AssertionError(command + "\n" + what + "; exit code " + code + ", it printed:\n" + out + "and on stderr:\n" + err);
    }

    Tool ends(int want) {
        if (code != want) {
            throw wrong("does not end with " + want);
        }
        return this;
    }

    /** Some whole line of the output matches the pattern; two blanks in it stand for any white space, as between columns. */
    Tool says(String pattern) {
        Pattern p = Pattern.compile(pattern.replace("  ", "\\s+"));
        if (lines().stream().noneMatch(l -> p.matcher(l).matches())) {
            throw wrong("does not print a line like " + pattern);
        }
        return this;
    }

    Tool saysNot(String pattern) {
        Pattern p = Pattern.compile(pattern.replace("  ", "\\s+"));
        if (lines().stream().anyMatch(l -> p.matcher(l).matches())) {
            throw wrong("prints a line like " + pattern);
        }
        return this;
    }

    /** The output holds these lines and no others, in any order. */
    Tool saysOnly(List<String> want) {
        List<String> got = new ArrayList<>(lines());
        got.removeIf(String::isEmpty);
        if (!got.stream().sorted().collect(Collectors.toList()).equals(want.stream().sorted().collect(Collectors.toList()))) {
            throw wrong("does not print exactly " + want);
        }
        return this;
    }

    /** Output on either stream, for tools that tell of failures now here and now there. */
    Tool tells(String part) {
        if (!(out + err).contains(part)) {
            throw wrong("does not tell " + part);
        }
        return this;
    }

    List<String> lines() {
        return out.lines().map(String::stripTrailing).collect(Collectors.toList());
    }
}
