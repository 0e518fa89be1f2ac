# Suites that others wrote: PostgreSQL's own regression and isolation tests with datahike as the default access method, and
# a kill -9 torture. Runners come from the folder SUITES (default: ../shared/suites beside this repository), PostgreSQL's
# source as its runners want it (PGSRC, PGSRC_DIR or PGSRC_TARBALL); with --full they may fetch it with apt. Without either
# this stage is skipped.
#
# Every test must pass but those that docs/compatibility.md lists with a reason; none may bring a crash or a hang, and none
# an unexpected error but where the reason begins with "N errors".
dir=$TEST_TMP/suites
suites=${SUITES:-$root/../shared/suites}
[ -x "$suites/pgregress/run.sh" ] || { skip "no folder of suites (SUITES)"; return; }
if [ "$FULL" = 0 ] && [ -z "${PGSRC:-}${PGSRC_DIR:-}${PGSRC_TARBALL:-}" ]; then
  skip "PostgreSQL's source is not given (PGSRC)"
  return
fi
need_extension || return
export SUITES_TMP=$dir/work
mkdir -p "$SUITES_TMP"

# reason SUITE TEST: why docs/compatibility.md says that it differs; nothing where it does not say so
reason() { sed -n "s/^| $1 | $2 | \(.*\) |$/\1/p" "$root/docs/compatibility.md"; }

# figure NAME FILE: a figure of a runner's last line
figure() { tail -n 1 "$2" | tr ' ' '\n' | sed -n "s/^$1=//p"; }

# judge SUITE: one result for each test of the suite, and one for each figure that must be 0
judge() {
  local table=$SUITES_TMP/$1-$AM/results.tsv out=$dir/$1.out name status errors why allowed figure
  [ -s "$table" ] || { not_ok "$1: no result" <(tail -20 "$out"); return; }
  while IFS=$'\t' read -r name status _ errors _; do
    why=$(reason "$1" "$name")
    allowed=$(sed -nE 's/^([0-9]+) errors?:.*/\1/p' <<<"$why")
    if [ "$status" = ok ] || { [ -n "$why" ] && [ "$errors" -le "${allowed:-0}" ]; }; then
      ok "$1: $name"
    else
      not_ok "$1: $name" <(diff -U3 "$SUITES_TMP/$1-heap/results/$name.out" "$SUITES_TMP/$1-$AM/results/$name.out")
    fi
  done < <(tail -n +2 "$table")
  for figure in crashes hangs timed_out; do
    if [ "$(figure "$figure" "$out")" = 0 ]; then ok "$1: $figure"; else not_ok "$1: $figure" <(tail -40 "$out"); fi
  done
}

for suite in pgregress isolation; do
  AM=$AM "$suites/$suite/run.sh" >"$dir/$suite.out" 2>&1
  judge "$suite"
done
rounds=3
[ "$FULL" = 0 ] || rounds=50
if AM=$AM ROUNDS=$rounds "$suites/crash/run.sh" >"$dir/crash.out" 2>&1; then
  ok "crash"
else
  not_ok "crash" <(tail -30 "$dir/crash.out")
fi
