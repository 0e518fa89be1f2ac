# Autovacuum and autoanalyze come to a table as they do on heap: after changes to a part of it, and leave the counters so
# that they do not come again.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Cluster;
use Test::More tests => 9;

my $c = Cluster->new('autovacuum_naptime = 1s', 'autovacuum_vacuum_threshold = 50', 'autovacuum_analyze_threshold = 50',
    'autovacuum_vacuum_insert_threshold = 500', 'autovacuum_vacuum_cost_delay = 0');
$c->sql('CREATE TABLE t (id int PRIMARY KEY, v text)');
my $counters = sub {
    return $c->sql("SELECT $_[0] FROM pg_stat_user_tables WHERE relname = 't'");
};
my $comes = sub {
    my ($counter, $above) = @_;
    return $c->wait_for(sub { $counters->($counter) > $above }, 40);
};
$c->sql(q{INSERT INTO t SELECT g, 'v' || g FROM generate_series(1, 1000) g});
ok($comes->('autoanalyze_count', 0), 'rows are analyzed');
is($c->sql(q{SELECT reltuples FROM pg_class WHERE relname = 't'}), 1000, 'all of them');
is($c->sql(q{SELECT n_distinct FROM pg_stats WHERE tablename = 't' AND attname = 'id'}), -1, 'their values are known');
ok($comes->('autovacuum_count', 0), 'inserts bring autovacuum');
is($counters->('n_ins_since_vacuum'), 0, 'which counts them as done');

my $vacuums = $counters->('autovacuum_count');
my $analyzes = $counters->('autoanalyze_count');
$c->sql(q{UPDATE t SET v = 'x' WHERE id <= 600; DELETE FROM t WHERE id > 900;});
ok($comes->('autovacuum_count', $vacuums), 'dead rows bring it again');
ok($comes->('autoanalyze_count', $analyzes), 'and ANALYZE');
is($counters->('n_dead_tup || \' \' || n_live_tup || \' \' || n_mod_since_analyze'), '0 900 0', 'the counters are settled');
my $settled = $counters->('autovacuum_count + autoanalyze_count');
sleep 4;
is($counters->('autovacuum_count + autoanalyze_count'), $settled, 'and nothing comes without need');
