# Garbage collection in the background while rows are updated: the store stays bounded and whole over kill -9 at any point,
# and VACUUM takes the index entries of rows that are gone.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Cluster;
use Test::More;
use Time::HiRes qw(sleep time);

plan skip_all => 'heap has no store' if $Cluster::am eq 'heap';
my @points = qw(before_gc_commit after_gc_commit);
my $kills = 4;
plan tests => 8 + 5 * @points + 4 * $kills;

my $c = Cluster->new('restart_after_crash = on', 'datahike.fold_delay = 5ms', 'datahike.gc_min_age = 0',
    "datahike.gc_older_than = '100 milliseconds'", 'autovacuum = off');
$c->sql(<<'END');
CREATE EXTENSION pageinspect;
CREATE FUNCTION entries(index regclass) RETURNS bigint LANGUAGE sql AS $$
  SELECT coalesce(sum(coalesce(cardinality(i.tids), 1)), 0)
  FROM generate_series(1, pg_relation_size(index) / 8192 - 1) p
  CROSS JOIN LATERAL bt_page_stats(index::text, p) s
  CROSS JOIN LATERAL (SELECT * FROM bt_page_items(index::text, p) WHERE s.type = 'l') i
  WHERE s.type = 'l' AND (i.itemoffset > 1 OR s.btpo_next = 0)
$$;
CREATE TABLE t (id int PRIMARY KEY, n int, pad text);
CREATE TABLE h (id int PRIMARY KEY, n int, pad text) USING heap;
INSERT INTO t SELECT g, 0, repeat('x', 100) FROM generate_series(1, 500) g;
INSERT INTO h SELECT * FROM t;
CREATE PROCEDURE work(rounds int) LANGUAGE plpgsql AS $$
BEGIN
  FOR i IN 1..rounds LOOP
    UPDATE t SET n = n + 1 WHERE id % 50 = i % 50;
    UPDATE h SET n = n + 1 WHERE id % 50 = i % 50;
    COMMIT;
  END LOOP;
END $$;
END
my $differs = 'SELECT (SELECT count(*) FROM (TABLE t EXCEPT TABLE h) x) + (SELECT count(*) FROM (TABLE h EXCEPT TABLE t) x)';
my $damage = "SELECT count(*) FROM datahike.verify(true) WHERE status <> 'ok'";
my $ways = 'SET enable_seqscan = off; SET enable_bitmapscan = off;';
sub runs { return $c->sql('SELECT gc_runs FROM datahike.stats()') }

# Bounded under constant updates.
$c->configure('datahike.gc_interval = 1');
ok($c->wait_for(sub { $c->sql('CALL work(50)'); runs() > 0 }), 'gc runs in the background');
my ($most, $first);
for my $round (1 .. 8) {
    $c->sql('CALL work(100)');
    my $runs = runs();
    $c->wait_for(sub { $c->sql('CALL work(1)'); runs() > $runs });
    my $used = $c->sql('SELECT used_bytes FROM datahike.stats()');
    $first = $used if $round == 2;
    $most = $used if !defined $most || $used > $most;
}
cmp_ok($most, '<', 3 * $first, 'the store does not grow with the updates');
cmp_ok($c->sql('SELECT commits FROM datahike.stats()'), '<', 400, 'nor do the commits');
is($c->sql($differs), '0', 'the table is as heap has it');
is($c->sql($damage), '0', 'the store verifies');
$c->configure('datahike.gc_interval = 0');
sleep 0.3;
$c->sql("SELECT datahike.gc(now(), '0'); VACUUM t");
cmp_ok($c->sql("SELECT entries('t_pkey')"), '<', 4000, 'VACUUM takes the index entries of rows that are gone');
is($c->sql("$ways SELECT count(*) FROM t JOIN h USING (id, n) WHERE id > 0"), '500', 'the index finds what is there');
like($c->sql("SELECT datahike.gc(now(), '0', true)"), qr/^\(\d+,\d+,\d+,\d+,\d+\)$/, 'a dry run');

# The worker dies at each point between the batches.
for my $point (@points) {
    $c->sql('CALL work(60)');
    my $before = $c->log_has(qr/stopping at crash point $point/);
    $c->configure("datahike.crash_point = '$point'");
    sleep 0.2;
    $c->sql("SELECT datahike.gc(now(), '0')");
    ok($c->wait_for(sub { $c->log_has(qr/stopping at crash point $point/) > $before }), "$point: the worker stops there");
    $c->configure("datahike.crash_point = ''");
    ok($c->wait_for(sub { $c->alive }), "$point: the server comes back");
    is($c->sql($damage), '0', "$point: the store verifies");
    is($c->sql($differs), '0', "$point: no row is lost");
    like($c->sql("SELECT commits + nodes > 0 FROM datahike.gc(now(), '0')"), qr/^[tf]$/, "$point: the next run goes through");
}

# Everything dies in the middle.
$c->configure('datahike.gc_interval = 1');
for my $kill (1 .. $kills) {
    my $session = $c->session;
    print {$session->{to}} "CALL work(100000);\n";
    sleep 1 + rand 1.5;
    $c->kill_everything;
    close $session->{to};
    ok($c->start, "kill $kill: the server starts");
    is($c->sql($damage), '0', "kill $kill: the store verifies");
    is($c->sql($differs), '0', "kill $kill: no row is lost");
    is($c->sql("$ways SELECT count(*) FROM t WHERE id > 0"), '500', "kill $kill: the index finds all");
}
