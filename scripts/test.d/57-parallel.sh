# The SQL of the differential stage once more, with every plan parallel that can be.
dir=$TEST_TMP/parallel
need_extension || return
CLUSTER_CONF=$root/test/parallel.conf AM2=$AM CLUSTER_DIR=$dir/cluster timeout 600 "$root/test/differential/run" >"$dir/out" 2>&1
from_tap parallel $? "$dir/out"
