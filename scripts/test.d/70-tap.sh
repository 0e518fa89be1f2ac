# Crash and restart: plain Perl with Test::More, one file a scenario; each makes its cluster with test/cluster.sh. Three run at a
# time, for they wait more than they compute, and those first that take long.
dir=$TEST_TMP/tap
need_extension || return
run_tap() {
  local name
  name=$(basename "$1" .pl)
  timeout 240 perl "$1" >"$dir/$name.out" 2>&1
  echo $? >"$dir/$name.status"
}
files=()
for name in idle_worker vacuum_and_purge foreign_datalog foreign_stores branch_compliance connections backup timeouts collected_history erased_bytes million_rows; do
  [ ! -e "$root/test/tap/$name.pl" ] || files+=("$root/test/tap/$name.pl")
done
for file in "$root"/test/tap/*.pl; do
  [ -e "$file" ] || { skip "test/tap is empty"; return; }
  [[ " ${files[*]} " == *" $file "* ]] || files+=("$file")
done
for file in "${files[@]}"; do
  [ "$(jobs -rp | wc -l)" -lt 3 ] || wait -n
  run_tap "$file" &
done
wait
for file in "${files[@]}"; do
  name=$(basename "$file" .pl)
  from_tap "$name" "$(cat "$dir/$name.status")" "$dir/$name.out"
done
