#!/usr/bin/env bash
# setup.sh: what `make compat` needs besides Go: kcat, a Java compiler and runtime, Kafka's jars, and the clients of compat/clients with what
# they are built from: a C compiler, Node 20 with npm, Python 3; and Chromium, for the benchmark report. Does only what is not done yet.
# The jars come from Maven by name into $XDG_CACHE_HOME/millrace-compat (default ~/.cache), one folder for each release of Kafka, with
# all they depend on: the server, the command line tools, Streams and Connect share one class path. `setup.sh kafka` gets those only.
set -euo pipefail
cache=${XDG_CACHE_HOME:-$HOME/.cache}/millrace-compat

package() { # COMMAND PACKAGE
  command -v "$1" >/dev/null && return
  echo "compat: installing $2 (for $1)" >&2
  local sudo=()
  if [ "$(id -u)" != 0 ]; then
    sudo -n true 2>/dev/null || { echo "compat: $1 is missing and this user may not install it: apt-get install $2" >&2; exit 1; }
    sudo=(sudo -n)
  fi
  export DEBIAN_FRONTEND=noninteractive
  timeout 600 "${sudo[@]}" apt-get install -y --no-install-recommends "$2" >/dev/null 2>&1 ||
    { timeout 300 "${sudo[@]}" apt-get update >/dev/null && timeout 600 "${sudo[@]}" apt-get install -y --no-install-recommends "$2" >/dev/null; } ||
    { echo "compat: apt-get could not install $2, which has $1" >&2; exit 1; }
}

jars() { # VERSION ARTIFACT...
  local version=$1 dir=$cache/kafka-$1 artifact wanted=
  shift
  [ "$(cat "$dir/.complete" 2>/dev/null)" != "$*" ] || return 0
  package mvn maven
  echo "compat: fetching $* of org.apache.kafka $version and what they need" >&2
  rm -rf "$dir"; mkdir -p "$dir"
  for artifact; do
    wanted+="<dependency><groupId>org.apache.kafka</groupId><artifactId>$artifact</artifactId><version>$version</version></dependency>"
  done
  cat > "$dir/pom.xml" <<POM
<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>compat</groupId><artifactId>compat</artifactId><version>1</version><dependencies>
$wanted
<dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version></dependency>
</dependencies></project>
POM
  local try
  for try in 1 2 3; do
    timeout 600 mvn -q -B -f "$dir/pom.xml" dependency:copy-dependencies -DoutputDirectory="$dir/lib" >"$dir/maven.log" 2>&1 && break
    [ "$try" != 3 ] || { tail -n 5 "$dir/maven.log" >&2; echo "compat: Maven could not fetch $* of org.apache.kafka $version" >&2; exit 1; }
  done
  echo "$*" > "$dir/.complete"
}

here=$(cd "$(dirname "$0")" && pwd)
tries() { # WHAT COMMAND...: says what it does, and how it failed the third time
  local what=$1 try log; shift; log=$(mktemp)
  echo "compat: $what" >&2
  for try in 1 2 3; do "$@" >"$log" 2>&1 && { rm -f "$log"; return; }; done
  tail -n 8 "$log" >&2; rm -f "$log"; echo "compat: failed: $what" >&2; exit 1
}
stamp() { cat "$@" | sha256sum | cut -c1-32; } # of the files that decide what is installed
same() { [ "$(cat "$cache/$1/.complete" 2>/dev/null)" = "$2" ]; }

clients_go() { # one of them compiles against a C library that its module brings along: minutes the first time, seconds after that
  package gcc gcc; [ -e /usr/include/stdlib.h ] || package no-c-headers libc6-dev
  mkdir -p "$cache/clients-go"; rm -f "$cache/clients-go/.complete"
  (cd "$here/clients/go" && CGO_ENABLED=1 GOFLAGS=-mod=readonly tries "building the Go clients" timeout 900 go build -o "$cache/clients-go/" ./...)
  touch "$cache/clients-go/.complete"
}

clients_node() {
  local want; package node nodejs; package npm npm
  case $(node --version) in v1?.* | v[0-9].*) echo "compat: Node $(node --version) is too old: the clients need 20.19 or later" >&2; exit 1 ;; esac
  want=$(stamp "$here/clients/node/package.json"; node --version); same clients-node "$want" && return
  rm -rf "$cache/clients-node"; mkdir -p "$cache/clients-node"; cp "$here/clients/node/package.json" "$cache/clients-node/"
  tries "installing the Node clients" timeout 300 npm --prefix "$cache/clients-node" install --no-audit --no-fund --no-package-lock --ignore-scripts
  echo "$want" > "$cache/clients-node/.complete"
}

clients_python() {
  local want; package python3 python3
  python3 -c 'import ensurepip, venv' 2>/dev/null || package no-ensurepip python3-venv
  want=$(stamp "$here/clients/python/requirements.txt"; python3 --version); same clients-python "$want" && return
  rm -rf "$cache/clients-python"; python3 -m venv "$cache/clients-python"
  tries "installing the Python clients" timeout 300 "$cache/clients-python/bin/pip" install -q --only-binary :all: -r "$here/clients/python/requirements.txt"
  echo "$want" > "$cache/clients-python/.complete"
}

kafka() {
  package javac default-jdk-headless
  jars 4.4.0 kafka_2.13 kafka-tools kafka-streams connect-runtime
}

if [ "${1:-}" = kafka ]; then kafka; exit; fi # Kafka itself and its tools, nothing else
package kcat kcat
package chromium chromium
kafka
clients_go
clients_node
clients_python
