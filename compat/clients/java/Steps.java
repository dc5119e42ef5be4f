package compat;

import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/**
 * Runs a suite's steps one after the other in one Java machine, because starting one costs more than a step, and tells of each in
 * a line on stdout:
 *
 *   step<TAB>ok or fail<TAB>name<TAB>milliseconds<TAB>why it failed, on one line
 *
 * A step that takes too long ends the whole run, with the stack of where it hangs.
 */
final class Steps {
    interface Body {
        void run() throws Exception;
    }

    interface Suite {
        void run(Steps steps, String bootstrap, String[] args) throws Exception;
    }

    private static final Map<String, Suite> SUITES = Map.of(
        "producers", Producers::run,
        "consumers", Consumers::run,
        "admins", Admins::run,
        "tools", Tools::run,
        "words", Words::run,
        "pipes", Pipes::run);

    private static final String RUN = "-" + Long.toString(System.currentTimeMillis(), 36);
    /** The time of the first records: not so long ago that retention would take them. */
    static final long PAST = System.currentTimeMillis() / 1_000 * 1_000 - 3_600_000;

    private static final int LIMIT_SECONDS = 60;

    // The tools' steps take System.out away for a while; the lines are for the reader of the process.
    private final PrintStream out = new PrintStream(new FileOutputStream(FileDescriptor.out), true, StandardCharsets.UTF_8);
    private int failed;

    public static void main(String[] args) throws Exception {
        if (args.length < 2 || !SUITES.containsKey(args[0])) {
            System.err.println("usage: compat.Steps " + String.join("|", SUITES.keySet()) + " BOOTSTRAP [ARGUMENT...]");
            System.exit(2);
        }
        Steps steps = new Steps();
        SUITES.get(args[0]).run(steps, args[1], java.util.Arrays.copyOfRange(args, 2, args.length));
        Runtime.getRuntime().halt(steps.failed == 0 ? 0 : 1);
    }

    /** A topic's or a group's name that no other run on the same broker has. */
    static String name(String of) {
        return "java-" + of + RUN;
    }

    void step(String name, Body body) {
        long start = System.nanoTime();
        FutureTask<Void> task = new FutureTask<>(() -> {
            body.run();
            return null;
        });
        Thread thread = new Thread(task, name);
        thread.setDaemon(true);
        thread.start();
        Throwable why = null;
        boolean hangs = false;
        try {
            task.get(LIMIT_SECONDS, TimeUnit.SECONDS);
        } catch (ExecutionException e) {
            why = e.getCause();
        } catch (TimeoutException e) {
            hangs = true;
            why = new AssertionError("not done after " + LIMIT_SECONDS + " s");
            why.setStackTrace(thread.getStackTrace());
        } catch (InterruptedException e) {
            why = e;
        }
        long millis = (System.nanoTime() - start) / 1_000_000;
        if (why == null) {
            out.printf("step\tok\t%s\t%d\t%n", name, millis);
            return;
        }
        failed++;
        out.printf("step\tfail\t%s\t%d\t%s%n", name, millis, story(why).replace("\t", " ").replace("\n", "\\n"));
        if (hangs) {
            Runtime.getRuntime().halt(1);
        }
    }

    private static String story(Throwable e) {
        StringBuilder s = new StringBuilder(e.toString());
        int frames = 0;
        for (StackTraceElement f : e.getStackTrace()) {
            if (f.getClassName().startsWith("compat.") || frames < 3) {
                s.append("\n  at ").append(f);
            }
            if (++frames == 40) {
                break;
            }
        }
        if (e.getCause() != null && e.getCause() != e) {
            s.append("\nbecause of ").append(story(e.getCause()));
        }
        return s.toString();
    }

    /** Polls until ready says yes: for what the broker shows after it has answered, and for what the group decides in its own time. */
    static void eventually(String what, int seconds, Callable<Boolean> ready) throws Exception {
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(seconds);
        while (!ready.call()) {
            if (System.nanoTime() > deadline) {
                throw new AssertionError("not within " + seconds + " s: " + what);
            }
            TimeUnit.MILLISECONDS.sleep(20);
        }
    }

    static void equal(String what, Object want, Object got) {
        if (!java.util.Objects.deepEquals(want, got)) {
            throw new AssertionError(what + " is " + got + ", want " + want);
        }
    }

    static void that(boolean holds, String what) {
        if (!holds) {
            throw new AssertionError(what);
        }
    }

    /** The failure that a call has to end with, as an exception's cause or itself. */
    static <E extends Throwable> E fails(Class<E> with, Callable<?> call) throws Exception {
        Object got;
        try {
            got = call.call();
        } catch (Throwable e) {
            for (Throwable t = e; t != null; t = t.getCause()) {
                if (with.isInstance(t)) {
                    return with.cast(t);
                }
            }
            throw new AssertionError("failed, but not with " + with.getSimpleName(), e);
        }
        throw new AssertionError("got " + got + ", want a " + with.getSimpleName());
    }
}
