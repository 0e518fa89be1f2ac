# Merges of random branches beside the same merges in plain SQL: the same seeds each time and some that nobody has seen.
need_extension || return
[ "$AM" != heap ] || { skip "branches need datahike"; return; }
merges() {
  local name=$1 limit=$2; shift 2
  if env -u PGHOST timeout "$limit" "$root/test/merge/run" "$@" >"$TEST_TMP/merge.out" 2>&1; then
    ok "$name"
  else
    not_ok "$name" "$TEST_TMP/merge.out" 200
  fi
}
merges "the same merges" 240 --seed 1 --count 12
if [ "$FULL" = 1 ]; then merges "ten minutes" 900 --count 1000000 --minutes 10; else merges "seeds of its own" 240 --count 5; fi
