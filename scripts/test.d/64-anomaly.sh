# Isolation forests find what is anomalous in labelled data sets as well as scikit-learn's do, with the same parameters: the means over ten
# seeds (three, of the largest set, unless ANOMALY_SEEDS says otherwise) of area under the ROC curve and average precision are at most 0.01 below those of baselines.csv.
dir=$TEST_TMP/anomaly
need_cluster "$dir/cluster" || return

# pg_dump takes models along, and who may use them.
cluster_database dumped datahike >"$dir/dump.log" 2>&1
"$PGBIN/psql" -Xqd dumped -v ON_ERROR_STOP=1 >>"$dir/dump.log" 2>&1 <<'SQL'
CREATE TABLE t AS SELECT i, sin(i) AS a, i % 17 AS b FROM generate_series(1, 1000) i;
SELECT datahike.create_model('dumped', 'SELECT a, b FROM t', contamination => 0.05);
CREATE VIEW scores AS SELECT i, anomaly_score('dumped') AS s FROM t;
CREATE ROLE model_reader;
GRANT SELECT ON datahike_models.dumped TO model_reader;
SQL
"$PGBIN/psql" -Xqd postgres -c 'CREATE DATABASE restored TEMPLATE template0' >>"$dir/dump.log" 2>&1
"$PGBIN/pg_dump" -d dumped 2>>"$dir/dump.log" | "$PGBIN/psql" -Xqd restored -v ON_ERROR_STOP=1 >>"$dir/dump.log" 2>&1
for database in dumped restored; do
  "$PGBIN/psql" -XAtqd $database -c "SELECT md5(string_agg(i || ' ' || s, ',' ORDER BY i)), count(*) FROM scores" \
    -c "SELECT count(*) FROM t WHERE anomaly_predict('dumped')" \
    -c "SELECT has_table_privilege('model_reader', 'datahike_models.dumped', 'SELECT')" >"$dir/$database.out" 2>>"$dir/dump.log"
done
if [ "$(wc -l <"$dir/restored.out")" = 3 ] && cmp -s "$dir/dumped.out" "$dir/restored.out"; then
  ok "pg_dump takes models along"
else
  not_ok "pg_dump takes models along" <(cat "$dir/dump.log" "$dir/dumped.out" "$dir/restored.out")
fi

data=${ANOMALY_DATA:-$root/../shared/data/anomaly}
[ -e "$data/baselines.csv" ] || { skip "no $data/baselines.csv"; cluster_stop "$dir/cluster"; return; }
while IFS=, read -r name rows _ _ _ auc _ _ _ ap _; do
  [ "$name" != dataset ] || continue
  features=$(zcat "$data/$name.csv.gz" | head -1 | tr -d '\r' | sed 's/,label$//')
  "$PGBIN/psql" -Xqd postgres -c 'DROP DATABASE IF EXISTS anomaly' 2>"$dir/drop.log"
  if ! { cluster_database anomaly datahike && "$PGBIN/psql" -Xqd anomaly -c "CREATE TABLE d (${features//,/ float8, } float8, label int)" &&
    zcat "$data/$name.csv.gz" | "$PGBIN/psql" -Xqd anomaly -c '\copy d FROM STDIN (FORMAT csv, HEADER)'; } >"$dir/$name.log" 2>&1; then
    not_ok "$name is loaded" "$dir/$name.log"
    continue
  fi
  # The largest set takes most of the time.
  seeds=${ANOMALY_SEEDS:-$([ "$rows" -gt 200000 ] && echo 3 || echo 10)}
  measured=$("$PGBIN/psql" -XqAt -F' ' -v ON_ERROR_STOP=1 -v features="$features" -v seeds="$seeds" -d anomaly -f "$root/test/anomaly/accuracy.sql" 2>"$dir/$name.err" | tail -1)
  echo "$name: AUC, AP here $measured; scikit-learn $auc $ap; $seeds seeds" >>"$dir/figures"
  if awk -v m="$measured" -v auc="$auc" -v ap="$ap" 'BEGIN { split(m, v, " "); exit !(v[1] >= auc - 0.01 && v[2] >= ap - 0.01) }'; then
    ok "$name"
  else
    not_ok "$name" <(echo "AUC and AP: $measured here, $auc $ap scikit-learn"; cat "$dir/$name.err")
  fi
done <"$data/baselines.csv"
cluster_stop "$dir/cluster"
