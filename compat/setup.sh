#!/usr/bin/env bash
# setup.sh: what `make compat` needs besides Go: kcat, a Java runtime, and Kafka's jars. Does only what is not done yet.
# The jars come from Maven by name into $XDG_CACHE_HOME/millrace-compat (default ~/.cache), one folder for each release, with all
# it depends on: the server is 4.4.0, the command line tools are published up to 4.3.1, and the two must not share a class path.
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

jars() { # ARTIFACT VERSION
  local dir=$cache/$1-$2
  [ -f "$dir/.complete" ] && return
  package mvn maven
  echo "compat: fetching org.apache.kafka:$1:$2 and what it needs" >&2
  rm -rf "$dir"; mkdir -p "$dir"
  cat > "$dir/pom.xml" <<POM
<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>compat</groupId><artifactId>compat</artifactId><version>1</version><dependencies>
<dependency><groupId>org.apache.kafka</groupId><artifactId>$1</artifactId><version>$2</version></dependency>
<dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version></dependency>
</dependencies></project>
POM
  local try
  for try in 1 2 3; do
    timeout 600 mvn -q -B -f "$dir/pom.xml" dependency:copy-dependencies -DoutputDirectory="$dir/lib" >"$dir/maven.log" 2>&1 && break
    [ "$try" != 3 ] || { tail -n 5 "$dir/maven.log" >&2; echo "compat: Maven could not fetch org.apache.kafka:$1:$2" >&2; exit 1; }
  done
  touch "$dir/.complete"
}

package kcat kcat
package java default-jre-headless
jars kafka_2.13 4.4.0
jars kafka-tools 4.3.1
