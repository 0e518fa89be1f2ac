# The differential fuzzers: the same seeds each time, so that a run says something about the change at hand; with --full, half an hour of others.
# Two run at a time, each in a cluster of its own.
dir=$TEST_TMP/fuzz
need_extension || return

# fuzz NAME LIMIT PROGRAM ARGUMENT...
fuzz() {
  local name=$1 limit=$2 program=$root/test/fuzz/$3; shift 3
  [ "$(jobs -rp | wc -l)" -lt 2 ] || wait -n
  {
    if timeout "$limit" "$program" "$@" >"$dir/$name.out" 2>&1; then
      ok "$name"
    else
      not_ok "$name" <(grep -v '^seed [0-9]*: [a-z]*, ' "$dir/$name.out") 200
    fi
  } &
}

statements=(--am "$AM" --output "$dir")
fuzz "one session" 240 run "${statements[@]}" --seed 1 --count 15 --kind one
fuzz "two sessions" 240 run "${statements[@]}" --seed 101 --count 6 --kind two
if [ "$AM" != heap ]; then fuzz "branches" 240 run "${statements[@]}" --seed 201 --count 4 --kind branches; fi
if [ "$FULL" = 1 ]; then
  fuzz "half an hour" 2400 run "${statements[@]}" --minutes 30
else
  fuzz "two more sessions" 240 run "${statements[@]}" --seed 301 --count 3
fi
# Aggregates that are computed column by column; Datalog over tables against SQL, rules against WITH RECURSIVE.
if [ "$AM" != heap ]; then
  if [ "$FULL" = 1 ]; then
    fuzz "half an hour of aggregates" 2400 aggregates --minutes 30
    fuzz "half an hour of foreign aggregates" 2400 aggregates --foreign --minutes 30
    fuzz "half an hour of Datalog" 2400 datalog --minutes 30
  else
    fuzz "aggregates" 240 aggregates --seed 1 --count 10
    fuzz "foreign aggregates" 240 aggregates --foreign --seed 3 --count 4
    fuzz "Datalog" 240 datalog --seed 1 --count 12
  fi
fi
wait
