#!/usr/bin/env bash
# kafka.sh: Apache Kafka beside Millrace and the floor, in turns on one machine, in one sitting.
#
#   kafka.sh [DIR]                            the matrix: results below DIR (default dist/bench-kafka), taken up again where it was interrupted
#   kafka.sh start DIR PORT [PROPERTY=VALUE]  one such broker in the foreground, its data in DIR; PORT+1 is its controller's
#   kafka.sh format DIR PORT [PROPERTY=VALUE] makes DIR, which start does otherwise
#
# Kafka runs twice: with its default settings, and tuned for two cores (socket buffers left to the kernel, fewer threads). Each has a
# heap of 1 GiB and the collector of its own start script. All delete what is to be deleted half a second later, and are warmed up first,
# by the same rule. Needs Maven and Java, or says what it lacks and ends with 0. Variables: CELLS="P1-64k L1-10k" for some cells only,
# SUITE=smoke, BLOCKS, SUITEFLAGS for whatever else `millrace bench suite` takes.
set -euo pipefail
unset MILLRACE_BROKERS # every broker here is named
here=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$here")
version=4.4.0
lib=${XDG_CACHE_HOME:-$HOME/.cache}/millrace-compat/kafka-$version/lib

kafka() { # start|format DIR PORT [PROPERTY=VALUE...]
  local what=$1; shift
  local dir=$1 port=$2; shift 2
  mkdir -p "$dir"; dir=$(cd "$dir" && pwd)
  local jvm=(-Xms1g -Xmx1g -server -XX:+UseG1GC -XX:MaxGCPauseMillis=20 -XX:InitiatingHeapOccupancyPercent=35 -XX:+ExplicitGCInvokesConcurrent
    -Djava.awt.headless=true -Dorg.slf4j.simpleLogger.defaultLogLevel=warn -cp "$lib/*")
  if [ ! -f "$dir/server.properties" ]; then
    printf '%s\n' process.roles=broker,controller node.id=1 "controller.quorum.voters=1@127.0.0.1:$((port + 1))" \
      "listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$((port + 1))" "advertised.listeners=PLAINTEXT://127.0.0.1:$port" \
      controller.listener.names=CONTROLLER listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT "log.dirs=$dir/data" \
      offsets.topic.replication.factor=1 transaction.state.log.replication.factor=1 transaction.state.log.min.isr=1 \
      share.coordinator.state.topic.replication.factor=1 share.coordinator.state.topic.min.isr=1 "$@" > "$dir/new.properties"
    local id; id=k$(head -c 15 /dev/urandom | base64 | tr '+/' 'ab')x # 22 letters, the first no dash
    java "${jvm[@]}" kafka.tools.StorageTool format -t "$id" -c "$dir/new.properties" > "$dir/format.log" 2>&1 || { cat "$dir/format.log" >&2; exit 1; }
    mv "$dir/new.properties" "$dir/server.properties"
  fi
  [ "$what" = start ] || return 0
  exec java "${jvm[@]}" kafka.Kafka "$dir/server.properties"
}

fetch() { "$root/compat/setup.sh" kafka; }

case ${1:-} in start | format)
  [ $# -ge 3 ] || { sed -n '4,6p' "$0" >&2; exit 2; }
  kafka "$@"
  exit ;;
esac

out=${1:-dist/bench-kafka}
fetch || { echo "bench-kafka: skipped, without Maven, Java and Kafka's jars there is no Apache Kafka to compare with"; exit 0; }
millrace=$root/bin/millrace
[ -x "$millrace" ] || { echo "bench-kafka: $millrace is missing: make build" >&2; exit 1; }
# The topic of a run is deleted between two runs: a minute later, which is the default, its gigabytes would be unlinked in the middle of another.
soon=log.segment.delete.delay.ms=500
tuned=("$soon" socket.send.buffer.bytes=-1 socket.receive.buffer.bytes=-1 num.network.threads=1 num.io.threads=2)
mkdir -p "$out"
work=$(mktemp -d)
pids=()
finish() {
  local pid
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  for _ in $(seq 1 60); do kill -0 "${pids[@]}" 2>/dev/null || break; sleep 0.5; done
  for pid in "${pids[@]}"; do kill -9 "$pid" 2>/dev/null || true; done
  rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT TERM

taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
ports() { # of which the next one is free, too; below those that the kernel deals out
  local port
  while port=$((16000 + RANDOM % 16000)); taken "$port" || taken "$((port + 1))"; do :; done
  echo "$port"
}
up() { # NAME PORT PID: waits until it answers
  local n
  for n in $(seq 1 240); do
    "$millrace" topic list -b "127.0.0.1:$2" >/dev/null 2>&1 && return
    kill -0 "$3" 2>/dev/null || break
    sleep 0.5
  done
  echo "bench-kafka: $1 did not start; the end of its log:" >&2; tail -n 20 "$work/$1.log" >&2; exit 1
}
targets=()
broker() { # NAME COMMAND...: with PORT and DIR in it
  local name=$1 port dir words=() word; shift
  port=$(ports); dir=$work/${name//\//-}
  for word; do word=${word//PORT/$port}; words+=("${word//DIR/$dir}"); done
  "${words[@]}" > "$work/${name//\//-}.log" 2>&1 &
  pids+=($!)
  up "${name//\//-}" "$port" $!
  targets+=(--target "$name=127.0.0.1:$port")
}
for variant in pwrite+sendfile copy+sendfile direct+sendfile pwrite+mapping copy+mapping direct+mapping; do
  broker "floor/$variant" "$millrace" bench floor-server --variant "$variant" --port PORT --ports-file DIR.ports --data-dir DIR
done
broker kafka "$here/kafka.sh" start DIR PORT "$soon"
broker kafka-tuned "$here/kafka.sh" start DIR PORT "${tuned[@]}"
broker millrace "$millrace" server --data-dir DIR --port PORT --ports-file DIR.ports -o "$soon"

flags=(--warm --settle 2s --dir "$out" --resume --html "$out/report.html")
[ -z "${BLOCKS:-}" ] || flags+=(--blocks "$BLOCKS")
for cell in ${CELLS:-}; do flags+=(--cell "$cell"); done
# shellcheck disable=SC2086  # SUITEFLAGS are words
"$millrace" bench suite "${SUITE:-matrix}" "${targets[@]}" "${flags[@]}" \
  --start "kafka=$here/kafka.sh format {dir} {port} -- $here/kafka.sh start {dir} {port}" \
  --start "kafka-tuned=$here/kafka.sh format {dir} {port} ${tuned[*]} -- $here/kafka.sh start {dir} {port}" \
  --start "millrace=$millrace server --data-dir {dir} --port {port}" ${SUITEFLAGS:-}
