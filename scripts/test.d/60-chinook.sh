# The Chinook sample database loads unchanged, and its dump is that of heap.
dir=$TEST_TMP/chinook
file=${CHINOOK:-$root/../shared/data/chinook/Chinook_PostgreSql.sql.gz}
[ -e "$file" ] || { skip "no $file"; return; }
need_cluster "$dir/cluster" || return
for side in reference tested; do
  am=heap
  [ $side = reference ] || am=$AM
  if ! { cluster_database $side "$am" && gzip -dc "$file" | grep -vE '^(DROP|CREATE) DATABASE|^\\c ' |
    "$PGBIN/psql" -XqAt -v ON_ERROR_STOP=1 -d $side; } >"$dir/load.log" 2>&1; then
    not_ok "loads on $am" "$dir/load.log"
    return
  fi
  ok "loads on $am"
  # What may differ: comments, the access method's name, the extension itself with its facts (none), pg_dump's random restrict
  # key, and the order of a table's rows (heap puts a short row on an earlier page with room).
  "$PGBIN/pg_dump" -d $side 2>"$dir/dump.log" |
    grep -vE '^(--|$|SET default_table_access_method|(CREATE|COMMENT ON) EXTENSION|(CREATE|ALTER) SCHEMA datahike|\\(un)?restrict |SELECT pg_catalog.setval\('"'"'datahike\.)' |
    perl -0pe 's/^COPY datahike\.facts [^\n]*\n\\\.\n//m' |
    perl -ne 'if (/^COPY /) { print; $in = 1 } elsif (/^\\\.$/) { print sort(@rows), $_; @rows = (); $in = 0 }
      elsif ($in) { push @rows, $_ } else { print }' >"$dir/$side.dump"
  [ ! -s "$dir/dump.log" ] || not_ok "pg_dump on $am" "$dir/dump.log"
done
if [ "$(grep -c '^COPY ' "$dir/tested.dump")" = 11 ]; then ok "eleven tables"; else not_ok "eleven tables"; fi
if diff "$dir/reference.dump" "$dir/tested.dump" >"$dir/diff"; then ok "dump equals heap's"; else not_ok "dump equals heap's" "$dir/diff"; fi
cluster_stop "$dir/cluster"
