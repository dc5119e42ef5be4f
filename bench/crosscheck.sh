#!/usr/bin/env bash
# crosscheck.sh HOST:PORT: drives one broker with the bench, with Kafka's own kafka-producer-perf-test and with librdkafka's
# rdkafka_performance, one after the other and the bench once more, and holds the figures against each other:
#   steady: RATE records/s (default 1000), one record a request. Throughput within 15 %, p50 within 1 ms.
#   full:   as fast as it goes, 16 records a batch. Throughput within 15 % where the broker is the limit, which it is when it syncs.
# SECONDS_EACH (default 15) is how long each is measured, after WARMUP (default 10) seconds: a Java client is compiled meanwhile, and what it has
# fallen behind by then it still has to catch up. rdkafka_performance waits after each send, so on a busy machine it asks for less than
# RATE. Exit code 1: they do not agree.
#
# The jars come as for `make compat`, librdkafka's sources from the npm package that brings them along; both stay in the same cache.
set -euo pipefail
export LC_ALL=C
here=$(cd "$(dirname "$0")" && pwd)
broker=${1:?"usage: $0 HOST:PORT"}
rate=${RATE:-1000} seconds=${SECONDS_EACH:-15} warmup=${WARMUP:-10} size=1000 batch=16
millrace=${MILLRACE:-$here/../bin/millrace}
[ -x "$millrace" ] || make -C "$here/.." build >&2
"$here/../compat/setup.sh" kafka

cache=${XDG_CACHE_HOME:-$HOME/.cache}/millrace-compat
rdkafka=$cache/node-rdkafka-3.6.1/package/deps/librdkafka
if [ ! -x "$rdkafka/perf" ]; then
  for tool in npm gcc make; do
    command -v "$tool" >/dev/null || { echo "crosscheck: $tool is missing: it fetches or builds librdkafka" >&2; exit 1; }
  done
  echo "crosscheck: fetching and building librdkafka (two minutes)" >&2
  rm -rf "$cache/node-rdkafka-3.6.1"; mkdir -p "$cache/node-rdkafka-3.6.1"
  (
    cd "$cache/node-rdkafka-3.6.1"
    timeout 300 npm pack --silent node-rdkafka@3.6.1 >/dev/null
    tar xzf node-rdkafka-3.6.1.tgz
    cd "$rdkafka"
    ./configure --disable-ssl --disable-gssapi --disable-sasl --disable-curl --disable-zstd --disable-zlib --disable-lz4-ext
    timeout 1800 make -C src librdkafka.a
    gcc -O2 -I src -o perf examples/rdkafka_performance.c src/librdkafka.a -lpthread -lrt -lm -ldl
  ) >"$cache/rdkafka.log" 2>&1 || { tail -n 8 "$cache/rdkafka.log" >&2; echo "crosscheck: librdkafka could not be built" >&2; exit 1; }
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Each prints: records/s and p50 in ms.
bench() { # ARGUMENTS
  "$millrace" bench run -b "$broker" --mode kgo --size $size --warmup ${warmup}s --duration "${seconds}s" --consume after \
    --live off --allow-disturbed --json "$work/bench.json" "$@" >"$work/bench.txt" 2>&1 || true # saturated is no error here
  [ -s "$work/bench.json" ] || { cat "$work/bench.txt" >&2; exit 1; }
  python3 -c 'import json, sys; r = json.load(open(sys.argv[1])); print(r["load"]["achieved_per_second"], r["latency"]["produce"]["p50_ms"])' "$work/bench.json"
}
topic() { # NAME: one like the bench's own
  "$millrace" topic create "$1" -b "$broker" --partitions 1 >/dev/null
}
drop() { "$millrace" topic delete "$1" -b "$broker" --yes >/dev/null; }
java_perf() { # RECORDS RATE BATCH_BYTES
  local topic=crosscheck-java-$RANDOM$RANDOM
  topic $topic
  timeout 600 java -Xmx512m -cp "$cache/kafka-4.4.0/lib/*" org.apache.kafka.tools.ProducerPerformance --bootstrap-server "$broker" --topic $topic \
    --num-records "$1" --throughput "$2" --record-size $size --warmup-records $(($1 * warmup / (warmup + seconds))) \
    --command-property acks=all linger.ms=0 batch.size="$3" enable.idempotence=false max.in.flight.requests.per.connection=5 \
    >"$work/java.txt" 2>&1 || { tail -n 5 "$work/java.txt" >&2; exit 1; }
  drop $topic
  tail -n 1 "$work/java.txt" | sed -E 's/.* ([0-9.]+) records\/sec.* ([0-9]+) ms 50th.*/\1 \2/'
}
rdkafka_perf() { # RECORDS RATE BATCH_RECORDS
  local topic=crosscheck-rdkafka-$RANDOM$RANDOM pace=()
  topic $topic
  [ "$2" = -1 ] || pace=(-r "$2")
  timeout 600 "$rdkafka/perf" -P -t $topic -p 0 -b "$broker" -s $size -c "$1" -a -1 "${pace[@]}" -l -A "$work/latencies" -X linger.ms=0 \
    -X batch.num.messages="$3" -X max.in.flight.requests.per.connection=5 -X enable.idempotence=false >"$work/rdkafka.txt" 2>&1 || { tail -n 5 "$work/rdkafka.txt" >&2; exit 1; }
  drop $topic
  local sent
  sent=$(grep -oE '[0-9]+ msgs/s' "$work/rdkafka.txt" | tail -n 1 | cut -d' ' -f1)
  tail -n +$(($1 * warmup / (warmup + seconds))) "$work/latencies" | sort -n | awk -v sent="$sent" '{ v[NR] = $1 } END { printf "%s %.3f\n", sent, v[int((NR + 1) / 2)] / 1000 }'
}

line() { printf '%-8s %-28s %10.0f records/s   p50 %9.3f ms\n' "$@"; }
wrong=0
holds() { # WHAT LIMIT EXPRESSION: an awk expression of the figure
  local value
  value=$(awk "BEGIN { v = $3; print (v < 0 ? -v : v) }")
  awk "BEGIN { exit !($value <= $2) }" || { echo "crosscheck: $1 differs by $value, the limit is $2" >&2; wrong=1; }
}
mean() { awk "BEGIN { print ($1 + $2) / 2 }"; }

compare() { # CELL: runs the three and the first again. Needs rate, bytes, records set
  local a j r b
  a=($(bench "${bench_arguments[@]}")); line "$1" "millrace bench" "${a[@]}"
  j=($(java_perf "$records" "$pace" "$bytes")); line "$1" kafka-producer-perf-test "${j[@]}"
  r=($(rdkafka_perf "$records" "$pace" "$of_batch")); line "$1" rdkafka_performance "${r[@]}"
  b=($(bench "${bench_arguments[@]}")); line "$1" "millrace bench, again" "${b[@]}"
  local ours p50
  ours=$(mean "${a[0]}" "${b[0]}") p50=$(mean "${a[1]}" "${b[1]}")
  holds "$1: throughput of kafka-producer-perf-test" 0.15 "${j[0]} / $ours - 1"
  holds "$1: throughput of rdkafka_performance" 0.15 "${r[0]} / $ours - 1"
  if [ "$1" = steady ]; then # at full speed both tools count the time in their own queue, which is as long as it is large
    holds "$1: p50 of kafka-producer-perf-test, ms" 1 "${j[1]} - $p50"
    holds "$1: p50 of rdkafka_performance, ms" 1 "${r[1]} - $p50"
  fi
  last=$ours
}

bench_arguments=(--rate "$rate" --batch-records 1) records=$((rate * (warmup + seconds))) pace=$rate bytes=0 of_batch=1
compare steady
bench_arguments=(--batch-records $batch)
a=($(bench "${bench_arguments[@]}")) # how much the tools have to send to run as long
records=$(awk "BEGIN { print int(${a[0]} * ($warmup + $seconds)) }") pace=-1 bytes=$((batch * (size + 24))) of_batch=$batch
compare full
exit $wrong
