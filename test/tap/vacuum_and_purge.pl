# The log is purged while VACUUM waits, what was purged is reclaimed, and then the server is left alone.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Cluster;
use Test::More;
use Time::HiRes qw(sleep time);

plan skip_all => 'heap has no log' if $Cluster::am eq 'heap';
plan tests => 10;

my $c = Cluster->new('datahike.fold_delay = 5ms', 'autovacuum_naptime = 1s', 'autovacuum_vacuum_threshold = 20',
    'autovacuum_vacuum_scale_factor = 0', 'wal_level = minimal', 'max_wal_senders = 0');

sub commits { my ($count) = @_; $c->sql("DO \$\$ BEGIN FOR i IN 1 .. $count LOOP INSERT INTO t VALUES (i); COMMIT; END LOOP; END \$\$; SELECT datahike.commit_id()") }
sub rows_of { my ($table) = @_; return $c->sql("SELECT count(*) FROM $table") }

# VACUUM takes its snapshot, then waits for the lock.
$c->sql('CREATE TABLE t (id int)');
commits(300);
my $locker = $c->session;
$c->tell($locker, 'BEGIN; LOCK TABLE t IN SHARE UPDATE EXCLUSIVE MODE;');
my $out = "$c->{home}/vacuum.out";
my $vacuum = fork // die $!;
exec("PGAPPNAME=waiting timeout 90 @{[$c->command]} -c 'VACUUM t' >$out 2>&1") unless $vacuum;
ok($c->wait_for(sub { $c->sql("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'waiting' AND wait_event_type = 'Lock'") eq '1' }), 'VACUUM waits');
commits(300);
ok($c->wait_for(sub { commits(1); rows_of('datahike.tx_log') < 100 && rows_of('datahike.heads') < 50 }), 'the log is purged meanwhile');
$c->sql('VACUUM datahike.heads; VACUUM datahike.tx_log');
$c->tell($locker, 'COMMIT;');
waitpid $vacuum, 0;
is(-s $out, 0, 'VACUUM goes through') or diag `cat $out`;
cmp_ok($c->sql("SELECT reltuples FROM pg_class WHERE relname = 't'"), '>', 600, 'with a count of the newest state');

# A snapshot in use is not purged behind.
my $held = $c->session;
$c->tell($held, 'BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM t;');
my $count = rows_of('t');
commits(1) for 1 .. 100;
sleep 11;
commits(1);
sleep 1;
cmp_ok(rows_of('datahike.tx_log'), '>=', 100, 'log rows that an old snapshot needs stay');
$c->tell($held, "SELECT 'held', count(*) FROM t; COMMIT;");
like(`cat $c->{home}/session.out`, qr/held\|$count$/m, 'and it reads what it did');

ok($c->wait_for(sub { rows_of('datahike.tx_log') == 0 && rows_of('datahike.heads') == 1 }, 40), 'in the end the whole log is purged, without further commits');
my $statistics = "FROM pg_stat_all_tables WHERE schemaname = 'datahike' AND relname IN ('tx_log', 'heads')";
ok($c->wait_for(sub { $c->sql("SELECT max(n_dead_tup) <= 20 AND min(autovacuum_count) > 0 $statistics") eq 't' }, 40),
    'autovacuum reclaims it') or diag $c->sql("SELECT relname, n_dead_tup, autovacuum_count $statistics");

# Nothing more happens in a database that nobody writes to.
$c->configure('autovacuum = off');
$c->sql('CHECKPOINT');
sleep 1;
$c->sql('CHECKPOINT');
my ($store) = glob "$c->{dir}/data/datahike/*/data.mdb";
my $written = sub { $c->sql("SELECT pg_current_wal_insert_lsn(), pg_current_xact_id_if_assigned() IS NULL, txid_snapshot_xmax(txid_current_snapshot())") . ' ' . join ' ', (stat $store)[7, 9, 12] };
my $before = $written->();
sleep 23;
is($written->(), $before, 'an idle database is not written to');
like($c->sql('SELECT count(*) FROM t; SELECT datahike.commit_id()'), qr/^\d+\n[0-9a-f-]{36}$/, 'and reads as before');
