# Crash and restart: plain Perl with Test::More, one file a scenario; each makes its cluster with test/cluster.sh. Two run at a
# time: they wait more than they compute.
dir=$TEST_TMP/tap
need_extension || return
run_tap() {
  local name
  name=$(basename "$1" .pl)
  timeout 240 perl "$1" >"$dir/$name.out" 2>&1
  echo $? >"$dir/$name.status"
}
for file in "$root"/test/tap/*.pl; do
  [ -e "$file" ] || { skip "test/tap is empty"; return; }
  [ "$(jobs -rp | wc -l)" -lt 2 ] || wait -n
  run_tap "$file" &
done
wait
for file in "$root"/test/tap/*.pl; do
  name=$(basename "$file" .pl)
  from_tap "$name" "$(cat "$dir/$name.status")" "$dir/$name.out"
done
