"""The command line that the programs of compat/clients share; ../README.md describes it."""

import base64
import os
import sys
import threading


def main(commands):
    """Runs the command that the arguments name and ends the process."""
    if len(sys.argv) < 2 or sys.argv[1] not in commands:
        sys.exit(f"no such command: {sys.argv[1:]}")
    names, values = sys.argv[2::2], sys.argv[3::2]
    if len(names) != len(values) or not all(n.startswith("--") for n in names):
        sys.exit(f"flags come as --name value, not as {sys.argv[2:]}")
    flags = Flags({n[2:]: v for n, v in zip(names, values)})
    commands[sys.argv[1]](flags)
    sys.stdout.flush()


class Flags(dict):
    """A command's flags, by name; the empty string for one that is not given."""

    def __missing__(self, name):
        return ""

    def int(self, name):
        return int(self[name] or 0)

    def true(self, name):
        return self[name] == "true"


def _text(b):
    return "-" if b is None else base64.b64encode(b).decode()


def _bytes(s):
    return None if s == "-" else base64.b64decode(s)


def read_input(path):
    """The records of an input file: timestamp, key, value, headers."""
    with open(path) as f:
        for line in f:
            timestamp, key, value, headers = line.rstrip("\n").split("\t")
            pairs = [h.split("=", 1) for h in headers.split(",")] if headers else []
            yield int(timestamp), _bytes(key), _bytes(value), [(name, _bytes(v)) for name, v in pairs]


_lock = threading.Lock()


def say(event, *fields):
    """Prints an event at once."""
    with _lock:
        sys.stdout.write("\t".join([event, *map(str, fields)]) + "\n")
        sys.stdout.flush()


def say_record(partition, offset, timestamp, key, value, headers):
    """Prints a record that the application has read; written out at the next flush."""
    pairs = ",".join(f"{name}={_text(v)}" for name, v in headers or ())
    with _lock:
        sys.stdout.write(f"record\t{partition}\t{offset}\t{timestamp}\t{_text(key)}\t{_text(value)}\t{pairs}\n")


def flush():
    """Writes out what is printed: called before the program waits."""
    with _lock:
        sys.stdout.flush()


def say_assigned(partitions):
    """Prints the partitions that a member owns now, as pairs of topic and number."""
    say("assigned", ",".join(f"{t}:{p}" for t, p in sorted(partitions)))


def say_refused(error):
    say("refused", " ".join(repr(error).split()))


def when_stopped(stop):
    """Calls stop when stdin ends: whoever started the program asks it to stop."""

    def wait():
        while os.read(0, 4096):
            pass
        stop()

    threading.Thread(target=wait, daemon=True).start()


class Reading:
    """Counts what a member of a group has read and says when to commit."""

    def __init__(self, flags):
        self.count, self.every, self.stay = flags.int("count"), max(flags.int("every"), 1), flags.true("stay")
        self.pending = {}  # to commit: the next offset of each partition read since the last commit
        self.read = 0  # records so far; one that comes again after a rebalance is the same one
        self.next = {}  # behind the last record of each partition so far
        self.since = 0  # records since the last commit

    def done(self):
        """Tells whether all is read and committed that the command asks for."""
        return 0 < self.count <= self.read and not self.stay

    def add(self, partition, offset, timestamp, key, value, headers):
        """Prints one record and tells whether a commit of pending is due now."""
        say_record(partition, offset, timestamp, key, value, headers)
        if offset >= self.next.get(partition, 0):
            self.read += 1
            self.next[partition] = offset + 1
        if self.stay and self.read > self.count:
            return False  # the last commit is behind us
        self.since += 1
        self.pending[partition] = offset + 1
        return self.since >= self.every or self.read == self.count

    def committed(self, offsets=None):
        """Prints the offsets that were committed, all of pending unless others are given, as acknowledged; what was read since is still to commit."""
        offsets = self.pending if offsets is None else offsets
        for partition, offset in offsets.items():
            say("committed", partition, offset)
        self.since, self.pending = 0, {p: o for p, o in self.pending.items() if o != offsets.get(p)}

    def lost(self, partitions):
        """Forgets what was read of partitions that are no longer ours."""
        for p in partitions:
            self.pending.pop(p, None)
