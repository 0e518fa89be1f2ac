# datahike.keep_history for a whole server; horizons and VACUUM over kill -9; prepared transactions that make branches.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Cluster;
use Test::More;
use Time::HiRes qw(sleep time);

plan skip_all => 'heap keeps no history' if $Cluster::am eq 'heap';
plan tests => 24;

my $c = Cluster->new('datahike.fold_delay = 5ms', 'autovacuum_naptime = 1s', 'fsync = on');

sub entries { my ($index) = @_; return $c->sql("SELECT entries('$index')") }
sub head { return $c->sql('SELECT datahike.commit_id()') }
my $ways = 'SET enable_seqscan = off; SET enable_bitmapscan = off;';
# what a reading of a commit gives by sequential and by index scan; a refusal shows as its SQLSTATE
sub at_commit {
    my ($commit) = @_;
    my $rows = 'SELECT count(*), sum(v) FROM t WHERE id > 0';
    my ($seq, $index) = map { $c->sql("SET datahike.commit_id = '$commit'; $_ $rows") } 'SET enable_indexscan = off; SET enable_bitmapscan = off;', $ways;
    $_ =~ s/.*ERROR:\s+(\w+):.*/$1/s for $seq, $index;
    return $seq eq $index ? $seq : "sequential $seq, by index $index";
}

# The setting holds for all tables but those that have their own.
$c->sql(<<'END');
CREATE EXTENSION pageinspect;
CREATE FUNCTION entries(index regclass) RETURNS bigint LANGUAGE sql AS $$
  SELECT coalesce(sum(coalesce(cardinality(i.tids), 1)), 0)
  FROM generate_series(1, pg_relation_size(index) / 8192 - 1) p
  CROSS JOIN LATERAL bt_page_stats(index::text, p) s
  CROSS JOIN LATERAL (SELECT * FROM bt_page_items(index::text, p) WHERE s.type = 'l') i
  WHERE s.type = 'l' AND (i.itemoffset > 1 OR s.btpo_next = 0)
$$;
CREATE TABLE t (id int PRIMARY KEY, v int);
CREATE TABLE own (id int PRIMARY KEY, v int);
SELECT datahike.set_keep_history('own', 'all');
INSERT INTO t SELECT g, 0 FROM generate_series(1, 200) g;
INSERT INTO own SELECT g, 0 FROM generate_series(1, 200) g;
END
my $first = head();
$c->configure("datahike.keep_history = 'none'");
ok($c->wait_for(sub { $c->sql('SHOW datahike.keep_history') eq 'none' }), 'a reload changes the setting');
is($c->sql("SELECT datahike.keep_history('t'), datahike.keep_history('own')"), 'none|all', 'for tables without one of their own');
$c->sql('UPDATE t SET v = 1; UPDATE own SET v = 1');
# What autovacuum's ANALYZE may still see is kept until it has ended.
ok($c->wait_for(sub { $c->sql('VACUUM t, own'); entries('t_pkey') == 200 }), 'VACUUM collects');
is(entries('own_pkey'), 400, 'what may be collected');
is(at_commit($first), '72000', 'the old commit is refused');
is($c->sql("SET datahike.commit_id = '$first'; SELECT sum(v) FROM own"), '0', 'but for the other table');
$c->configure("datahike.keep_history = 'nonsense'");
sleep 0.3;
is($c->sql('SHOW datahike.keep_history'), 'none', 'a value that is none changes nothing');
$c->configure("datahike.keep_history = 'none'");
like($c->sql("SELECT set_config('datahike.keep_history', 'all', false)"), qr/55P02/, 'no session sets it');

# A branch that a prepared transaction makes is there when that commits, whatever was collected meanwhile.
$c->sql('UPDATE t SET v = 2');
my $prepared = head();
$c->sql("BEGIN; SELECT datahike.create_branch('later', '$prepared'); PREPARE TRANSACTION 'p'");
$c->sql('UPDATE t SET v = 3; UPDATE t SET v = 4; VACUUM t');
is($c->sql("COMMIT PREPARED 'p'; SET datahike.branch = 'later'; $ways SELECT count(*), sum(v) FROM t WHERE id > 0"), '200|400',
    'a branch out of a prepared transaction has its rows by index');
$c->sql('VACUUM t');
is($c->sql("SET datahike.branch = 'later'; $ways SELECT count(*), sum(v) FROM t WHERE id > 0"), '200|400', 'and keeps them');
$c->sql("SELECT datahike.delete_branch('later')");

# Autovacuum does it by itself.
$c->sql("ALTER TABLE t SET (autovacuum_vacuum_threshold = 50, autovacuum_vacuum_scale_factor = 0)");
$c->sql('UPDATE t SET v = 5; UPDATE t SET v = 6');
ok($c->wait_for(sub { $c->sql("SELECT autovacuum_count > 0 FROM pg_stat_user_tables WHERE relname = 't'") eq 't' && entries('t_pkey') eq '200' }, 40), 'autovacuum')
    or diag entries('t_pkey');
$c->sql("ALTER TABLE own SET (autovacuum_vacuum_threshold = 50, autovacuum_vacuum_scale_factor = 0)");
$c->sql('UPDATE own SET v = 2');
my $visits = sub { $c->sql("SELECT autovacuum_count FROM pg_stat_user_tables WHERE relname = 'own'") };
ok($c->wait_for(sub { $visits->() > 0 }, 40), 'autovacuum comes to a table that keeps all');
sleep 3;  # for what statistics came in after it
my $before = $visits->();
sleep 4;
is($visits->(), $before, 'and does not come again and again');
$c->configure('autovacuum = off');

# The worker dies when a horizon has moved in the store, before anybody knows.
$c->sql('UPDATE t SET v = 7');
my $old = head();
$c->configure("datahike.crash_point = 'after_horizon'");
$c->sql('UPDATE t SET v = 8');
ok($c->wait_for(sub { $c->log_has('stopping at crash point after_horizon') }), 'the worker is killed behind a moved horizon');
$c->configure("datahike.crash_point = ''");
ok($c->wait_for(sub { $c->alive }), 'the server is back');
is($c->sql("$ways SELECT count(*), sum(v) FROM t WHERE id > 0"), '200|1600', 'nothing is lost');
is(at_commit($old), '72000', 'the horizon holds');
$c->sql('VACUUM t');
is(entries('t_pkey'), 200, 'VACUUM goes on from there');

# The whole server dies in the middle of VACUUMs and updates, again and again.
$c->sql("SELECT datahike.create_branch('side')");
my ($lost, $wrong) = (0, '');
for my $round (1 .. 4) {
    my @work = map {
        my $statement = $_;
        my $pid = fork // die $!;
        unless ($pid) {
            open my $to, '|-', $c->command . " >/dev/null 2>&1";
            local $SIG{PIPE} = 'IGNORE';
            print {$to} "$statement\n" for 1 .. 3000;
            exit 0;
        }
        $pid;
    } "UPDATE t SET v = v + 1 WHERE id <= 50; SELECT pg_sleep(0.001);", "SET datahike.branch = 'side'; UPDATE t SET v = v + 1 WHERE id > 150;", 'VACUUM t;';
    sleep 1 + rand 1;
    $c->kill_everything;
    kill 'TERM', @work;
    waitpid $_, 0 for @work;
    $c->start or die 'no start';
    for my $branch ('db', 'side') {
        my ($seq, $index) = map { $c->sql("SET datahike.branch = '$branch'; $_ SELECT count(*), sum(v), count(DISTINCT v) FROM t WHERE id > 0") }
            'SET enable_indexscan = off; SET enable_bitmapscan = off;', $ways;
        $wrong .= "round $round, $branch: sequential $seq, by index $index\n" if $seq ne $index || $seq !~ /^200\|/;
    }
}
is($wrong, '', 'index and sequential scans agree on every branch after each crash');
$c->sql("UPDATE t SET v = 0; SET datahike.branch = 'side'; UPDATE t SET v = 0;");
$c->sql('VACUUM t');
is(entries('t_pkey'), 400, 'and VACUUM leaves what is live');
like($c->sql('INSERT INTO t VALUES (7, 0)'), qr/23505/, 'unique checks find what is live');
is($c->sql('DELETE FROM t WHERE id = 7; INSERT INTO t VALUES (7, 0); SELECT count(*) FROM t'), '200', 'and nothing else');

# Row versions that died with their transactions.
$c->sql("SELECT datahike.set_keep_history('t', 'all')");
$c->sql("BEGIN; INSERT INTO t SELECT g, 0 FROM generate_series(1000, 1999) g; ROLLBACK;");
$c->sql('VACUUM t');
is(entries('t_pkey') < 410 ? 'few' : entries('t_pkey'), 'few', 'VACUUM removes entries of rolled back rows also where all history is kept');
is($c->sql('SELECT count(*) FROM t'), '200', 'nothing else goes');
