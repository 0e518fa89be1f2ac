# pgTAP tests, each file in a fresh database. Two clusters take the files, each the next one when it is done: roles belong to a
# cluster, so the files of one may not run beside one another.
dir=$TEST_TMP/pgtap
need_extension || return

# pgtap_file FILE: its TAP, exit status and trouble beside the tests themselves into $dir
pgtap_file() {
  local out=$dir/$(basename "$1" .sql)
  if ! { cluster_database pgtap && "$PGBIN/psql" -Xqd pgtap -c 'CREATE EXTENSION pgtap'; } >"$out.out" 2>&1; then
    cp "$out.out" "$out.trouble"
  else
    timeout 120 "$PGBIN/psql" -XqAt -P pager=off -v ON_ERROR_STOP=1 -d pgtap -f "$1" >"$out.out" 2>&1
    echo $? >"$out.status"
  fi
  cluster_alive
  "$PGBIN/psql" -Xqd postgres -c 'DROP DATABASE IF EXISTS pgtap WITH (FORCE)' >>"$out.drop" 2>&1 || cp "$out.drop" "$out.trouble"
}

# pgtap_lane N: a cluster of its own and the files that the other lane has not taken
pgtap_lane() {
  cluster_create "$dir/cluster$1" >"$dir/cluster$1.log" 2>&1 || { touch "$dir/cluster$1.failed"; return; }
  local file
  for file in "${files[@]}"; do
    mkdir "$dir/$(basename "$file" .sql).taken" 2>/dev/null && pgtap_file "$file"
  done
  cluster_stop "$dir/cluster$1"
}

files=("$root"/test/pgtap/*.sql)
pgtap_lane 0 &
pgtap_lane 1 &
wait
for lane in 0 1; do [ ! -e "$dir/cluster$lane.failed" ] || not_ok "no cluster" "$dir/cluster$lane.log"; done
for file in "${files[@]}"; do
  name=$(basename "$file" .sql)
  [ ! -s "$dir/$name.trouble" ] || not_ok "$name: its database" "$dir/$name.trouble"
  if [ -e "$dir/$name.status" ]; then
    from_tap "$name" "$(cat "$dir/$name.status")" "$dir/$name.out"
  elif [ ! -e "$dir/$name.trouble" ]; then
    not_ok "$name: did not run"
  fi
done
