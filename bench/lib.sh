# Shared by bench/oltp, bench/load and bench/soak: the private cluster, timing, the table of results. Sourced, never run.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$root/test/cluster.sh"

RUNS=${RUNS:-3}
DURATION=${DURATION:-15}

die() { echo "error: $*" >&2; exit 1; }
progress() { echo "$*" >&2; }

# bench_begin [OUTPUT]: a cluster with the settings below, stopped and removed at the end
bench_begin() {
  output=${1:-}
  [ -x "$PGBIN/pgbench" ] || die "$PGBIN/pgbench is missing: install postgresql-15"
  [ -e "$("$PGBIN/pg_config" --sharedir)/extension/datahike.control" ] || die "install the extension first: make && make install"
  work=$(mktemp -d "${TMPDIR:-/tmp}/datahike-bench.XXXXXX")
  chmod 755 "$work"
  results=$work/results.csv
  echo "query,ours,peer,ratio" >"$results"
  trap bench_end EXIT
  trap 'exit 130' INT TERM
  cluster_create "$work/cluster" "fsync = on" "shared_buffers = ${SHARED_BUFFERS:-512MB}" "max_wal_size = 8GB" \
    "checkpoint_timeout = 1h" "maintenance_work_mem = 256MB" "wal_compression = off" || die "no cluster"
}

bench_end() {
  trap - EXIT INT TERM
  cluster_stop "$work/cluster"
  rm -rf "$work"
}

# query DATABASE SQL...: unaligned output
query() {
  local database=$1 arguments=() sql; shift
  for sql; do arguments+=(-c "$sql"); done
  "$PGBIN/psql" -XAtq -v ON_ERROR_STOP=1 -d "$database" "${arguments[@]}"
}

# seconds COMMAND...: how long it takes; its standard output is dropped
seconds() {
  local from=$EPOCHREALTIME
  "$@" >/dev/null || return
  awk -v a="$from" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.6f\n", b - a }'
}

# median: of the numbers on standard input
median() { sort -g | awk '{ v[NR] = $1 } END { if (NR) print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'; }

# result NAME OURS PEER: one line of the table; ratio = ours / peer
result() {
  awk -v name="$1" -v ours="$2" -v peer="$3" 'function n(x) { return x == "" ? "" : sprintf((x >= 1000) ? "%.0f" : "%.4g", x) }
    BEGIN { printf "\"%s\",%s,%s,%s\n", name, n(ours), n(peer), ours == "" || peer + 0 == 0 ? "" : sprintf("%.3g", ours / peer) }' >>"$results"
  progress "$(tail -1 "$results")"
}

# bench_report: the table, and its copy as CSV where an output path was given
bench_report() {
  awk 'NR == 1 { printf "%-52s %12s %12s %8s\n", "query", "ours", "peer", "ratio"; next }
    { split($0, part, "\""); split(part[3], v, ","); printf "%-52s %12s %12s %8s\n", part[2], v[2], v[3], v[4] }' "$results"
  [ -z "$output" ] || cp "$results" "$output"
}
