# pgTAP tests, each file in a fresh database.
dir=$TEST_TMP/pgtap
need_cluster "$dir/cluster" || return
for file in "$root"/test/pgtap/*.sql; do
  [ -e "$file" ] || { skip "test/pgtap is empty"; return; }
  name=$(basename "$file" .sql)
  if ! { cluster_database pgtap && "$PGBIN/psql" -Xqd pgtap -c 'CREATE EXTENSION pgtap'; } >"$dir/$name.out" 2>&1; then
    not_ok "$name: no database" "$dir/$name.out"
    cluster_alive
    "$PGBIN/psql" -Xqd postgres -c 'DROP DATABASE IF EXISTS pgtap WITH (FORCE)'
    continue
  fi
  timeout 120 "$PGBIN/psql" -XqAt -P pager=off -v ON_ERROR_STOP=1 -d pgtap -f "$file" >"$dir/$name.out" 2>&1
  from_tap "$name" $? "$dir/$name.out"
  cluster_alive
  "$PGBIN/psql" -Xqd postgres -c 'DROP DATABASE pgtap WITH (FORCE)' >"$dir/drop.log" 2>&1 || not_ok "$name: the database cannot be dropped" "$dir/drop.log"
done
cluster_stop "$dir/cluster"
