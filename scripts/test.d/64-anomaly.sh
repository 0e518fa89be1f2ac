# Isolation forests find what is anomalous in labelled data sets as well as scikit-learn's do, with the same parameters: the means over ten
# seeds (three, of the largest set, unless ANOMALY_SEEDS says otherwise) of area under the ROC curve and average precision are at most 0.01 below those of baselines.csv.
dir=$TEST_TMP/anomaly
data=${ANOMALY_DATA:-$root/../shared/data/anomaly}
[ -e "$data/baselines.csv" ] || { skip "no $data/baselines.csv"; return; }
need_cluster "$dir/cluster" || return
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
