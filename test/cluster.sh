#!/bin/bash
# Private PostgreSQL clusters for tests: one directory each, reached by unix socket only.
#
# Sourced by the stages of scripts/test, by test/differential/run and by stress tests. Tests in other languages
# run it:
#   test/cluster.sh create DIR [CONF LINE]...   initdb, configure, start
#   test/cluster.sh start DIR                   start again (after stop or a crash); waits until it accepts
#   test/cluster.sh stop DIR [fast|immediate]
#   test/cluster.sh database DIR NAME [AM]      fresh database, AM (default $AM) the default access method
# DIR/socket is the PGHOST, DIR/data the PGDATA, DIR/log the server log; the superuser is postgres.
#
# A cluster runs as the invoking user, or as $PGOSUSER where that is root; DIR's parents must be open to it.
# AM=heap tests the tests: no extension is loaded then. CLUSTER_CONF=FILE: more configuration for every cluster;
# with test/parallel.conf every plan that can be is parallel.

AM=${AM:-datahike}
PGOSUSER=${PGOSUSER:-postgres}
PGBIN=${PGBIN:-/usr/lib/postgresql/15/bin}
unset PGSERVICE PGOPTIONS PGPASSWORD PGDATABASE PGSSLMODE PGAPPNAME PGCLIENTENCODING PGTZ PGDATESTYLE

# as_pg COMMAND...: run as the servers' owner
as_pg() {
  if [ "$(id -u)" = 0 ]; then (cd / && exec runuser -u "$PGOSUSER" -- "$@"); else "$@"; fi
}

cluster_env() {
  export PGHOST=$1/socket PGPORT=5432 PGUSER=postgres PGDATABASE=postgres
}

# cluster_create DIR [CONF LINE]...
cluster_create() {
  local dir=$1; shift
  rm -rf "$dir"
  mkdir -p "$dir/socket"
  if [ "$(id -u)" = 0 ]; then chown "$PGOSUSER:" "$dir" "$dir/socket"; fi
  as_pg "$PGBIN/initdb" -D "$dir/data" -U postgres -A trust -E UTF8 --locale=C --no-sync >"$dir/initdb.log" 2>&1 ||
    { cat "$dir/initdb.log" >&2; return 1; }
  {
    echo "listen_addresses = ''"
    echo "unix_socket_directories = '$dir/socket'"
    echo "unix_socket_permissions = 0700"
    echo "fsync = off"
    echo "max_connections = 60"
    echo "max_worker_processes = 16"
    echo "max_prepared_transactions = 10"
    echo "shared_buffers = 64MB"
    echo "timezone = 'UTC'"
    echo "log_line_prefix = '%m [%p] %d %a '"
    [ "$AM" = heap ] || echo "shared_preload_libraries = 'datahike'"
    local line
    for line; do echo "$line"; done
    [ -z "${CLUSTER_CONF:-}" ] || cat "$CLUSTER_CONF"
  } | as_pg tee -a "$dir/data/postgresql.conf" >/dev/null
  cluster_start "$dir"
}

cluster_start() {
  cluster_env "$1"
  as_pg "$PGBIN/pg_ctl" -D "$1/data" -l "$1/log" -w -t 60 start >/dev/null 2>&1 ||
    { echo "the server in $1 does not start:" >&2; tail -20 "$1/log" >&2; return 1; }
}

cluster_stop() {
  local pid
  pid=$(head -1 "$1/data/postmaster.pid" 2>/dev/null) || return 0
  as_pg "$PGBIN/pg_ctl" -D "$1/data" -m "${2:-fast}" -w -t 30 stop >/dev/null 2>&1 && return 0
  as_pg "$PGBIN/pg_ctl" -D "$1/data" -m immediate -w -t 20 stop >/dev/null 2>&1 && return 0
  # Last resort: the postmaster that this directory names, if the process is still that one. Its children leave by themselves.
  if [ "$(readlink "/proc/$pid/cwd" 2>/dev/null)" = "$1/data" ]; then kill -9 "$pid"; fi
}

# cluster_alive: waits for a server that recovers from a crash of a backend
cluster_alive() {
  local i
  for i in {1..100}; do
    "$PGBIN/psql" -XAtqc 'SELECT 1' >/dev/null 2>&1 && return 0
    sleep 0.2
  done
  return 1
}

# cluster_database NAME [AM]: a fresh database in the cluster that PGHOST names, with the extension where AM needs it
cluster_database() {
  local am=${2:-$AM}
  "$PGBIN/psql" -Xq -v ON_ERROR_STOP=1 -d postgres -c "CREATE DATABASE $1 TEMPLATE template0" || return
  if [ "$am" != heap ]; then
    "$PGBIN/psql" -Xq -v ON_ERROR_STOP=1 -d "$1" -c "CREATE EXTENSION datahike" || return
  fi
  PGOPTIONS="-c client_min_messages=warning" "$PGBIN/psql" -Xq -v ON_ERROR_STOP=1 -d postgres \
    -c "ALTER DATABASE $1 SET default_table_access_method = $am" || return
  # A test that silently ran on heap would prove nothing.
  local got
  got=$("$PGBIN/psql" -XAtq -v ON_ERROR_STOP=1 -d "$1" -c 'BEGIN' -c 'CREATE TABLE am_probe (a int)' \
    -c "SELECT amname FROM pg_class c JOIN pg_am a ON a.oid = c.relam WHERE relname = 'am_probe'" -c 'ROLLBACK') || return
  [ "$got" = "$am" ] || { echo "CREATE TABLE in database $1 used '$got', not '$am'" >&2; return 1; }
}

if [ "${BASH_SOURCE[0]}" = "$0" ]; then
  set -eu
  command=${1:?create, start, stop or database}; shift
  case $command in
    create) cluster_create "$@" ;;
    start) cluster_start "$@" ;;
    stop) cluster_stop "$@" ;;
    database) cluster_env "$1"; shift; cluster_database "$@" ;;
    *) echo "unknown command: $command" >&2; exit 2 ;;
  esac
fi
