#!/usr/bin/env bash
# setup.sh: what `make compat` needs besides Go: kcat, a Java compiler and runtime, and Kafka's jars. Does only what is not done yet.
# The jars come from Maven by name into $XDG_CACHE_HOME/millrace-compat (default ~/.cache), one folder for each release of Kafka, with
# all they depend on: the server, the command line tools, Streams and Connect share one class path.
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

package kcat kcat
package javac default-jdk-headless
jars 4.4.0 kafka_2.13 kafka-tools kafka-streams connect-runtime
