# backup() while rows are written, what it refuses, and a store put back from one; compact() beside readers and writers.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Cluster;
use Test::More;
use Time::HiRes qw(sleep time);

plan skip_all => 'heap has no store' if $Cluster::am eq 'heap';
plan tests => 26;

my $c = Cluster->new('restart_after_crash = on', 'datahike.fold_delay = 5ms', 'autovacuum = off');
my $to = "$c->{dir}/backups";
mkdir $to or die $!;
chmod 0777, $to;
$c->sql(<<'END');
CREATE TABLE t (id int PRIMARY KEY, n int, pad text);
CREATE TABLE h (id int PRIMARY KEY, n int, pad text) USING heap;
INSERT INTO t SELECT g, 0, repeat('x', 100) FROM generate_series(1, 2000) g;
INSERT INTO h SELECT * FROM t;
SELECT datahike.create_branch('side');
CREATE PROCEDURE work(rounds int) LANGUAGE plpgsql AS $$
BEGIN
  FOR i IN 1..rounds LOOP
    UPDATE t SET n = n + 1 WHERE id % 20 = i % 20;
    UPDATE h SET n = n + 1 WHERE id % 20 = i % 20;
    COMMIT;
  END LOOP;
END $$;
CALL work(50);
END
my $differs = 'SELECT (SELECT count(*) FROM (TABLE t EXCEPT TABLE h) x) + (SELECT count(*) FROM (TABLE h EXCEPT TABLE t) x)';
my $damage = "SELECT count(*) FROM datahike.verify(true) WHERE status <> 'ok'";
my $ways = 'SET enable_seqscan = off; SET enable_bitmapscan = off;';
sub log_of { my ($from) = @_; return $c->sql("SELECT md5(string_agg(commit_id || status, ',' ORDER BY commit_id)) FROM $from") }

# While it is written.
my $session = $c->session;
print {$session->{to}} "CALL work(100000);\n";
sleep 0.5;
for my $i (1 .. 3) {
    like($c->sql("SELECT datahike.backup('$to/busy$i')"), qr/^\d+$/, "backup $i while rows are written");
    is($c->sql("SELECT count(*) FROM datahike.verify_backup('$to/busy$i', true) WHERE status <> 'ok'"), '0', "backup $i verifies");
}
cmp_ok($c->sql("SELECT count(*) FROM datahike.verify_backup('$to/busy3')"), '>', $c->sql("SELECT count(*) FROM datahike.verify_backup('$to/busy1')"),
    'a later one has more commits');
$c->sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'CALL work(100000)%'");
close $session->{to};

# What it refuses.
like($c->sql("SELECT datahike.backup('$to/busy1')"), qr/58P02/, 'a path that exists');
like($c->sql("SELECT datahike.backup('relative')"), qr/42602/, 'a relative path');
like($c->sql("SELECT datahike.backup('/proc/nowhere/b')"), qr/58030/, 'a directory that cannot be made');
like($c->sql("SELECT * FROM datahike.verify_backup('$to/none')"), qr/ERROR/, 'no backup, nothing to verify');
$c->sql('CREATE ROLE nobody LOGIN; CREATE ROLE somebody LOGIN; GRANT pg_write_server_files TO somebody');
like($c->sql("SET ROLE nobody; SELECT datahike.backup('$to/nobody')"), qr/42501/, 'without the role for it');
like($c->sql("SET ROLE somebody; SELECT datahike.backup('$to/somebody')"), qr/^\d+$/, 'which a member needs alone');
like($c->sql("SET ROLE somebody; SELECT count(*) FROM datahike.verify_backup('$to/somebody')"), qr/42501/, 'to read it takes another');

# One that is put back.
$c->sql("SELECT datahike.backup('$to/quiet')");
is(log_of("datahike.verify_backup('$to/quiet', true)"), log_of('datahike.verify(true)'), 'a backup has the commits of the store');
my $oid = $c->sql("SELECT oid FROM pg_database WHERE datname = 'test'");
my $before = $c->sql('SELECT md5(string_agg(t::text, $$,$$ ORDER BY id)) FROM t');
$c->stop;
my $store = "$c->{dir}/data/datahike/$oid";
rename $store, "$to/lost" or die $!;
system('cp', '-a', "$to/quiet", $store) == 0 or die;
ok($c->start, 'the server starts with a backup in the place of its store');
is($c->sql('SELECT md5(string_agg(t::text, $$,$$ ORDER BY id)) FROM t'), $before, 'rows are read from it');
is($c->sql($damage), '0', 'it verifies');
is($c->sql("$ways SELECT count(*) FROM t JOIN h USING (id, n) WHERE id > 0"), '2000', 'indexes go with it');
$c->sql('CALL work(20)');
is($c->sql($differs), '0', 'and it is written');

# compact() beside a reader and a writer.
$c->sql("INSERT INTO t SELECT g, 0, string_agg(md5(g::text || i), '') FROM generate_series(10001, 14000) g, generate_series(1, 40) i GROUP BY g");
$c->sql("SELECT datahike.create_branch('kept'); DELETE FROM t WHERE id > 10000; SELECT datahike.delete_branch('kept')");
$c->sql("SELECT datahike.gc(now(), '0'); CALL work(5); SELECT datahike.gc(now(), '0'); CALL work(5)");
my $disk = $c->sql('SELECT file_bytes FROM datahike.stats()');
like($c->sql("BEGIN; SELECT count(*) FROM t; SELECT datahike.compact(); SELECT count(*) FROM t; COMMIT"), qr/^2000\n\d+\n2000$/, 'compact() within a reader');
cmp_ok($c->sql('SELECT file_bytes FROM datahike.stats()'), '<', $disk - 2_000_000, 'the file takes less of the disk');
is($c->sql($damage), '0', 'the store verifies');
$session = $c->session;
print {$session->{to}} "CALL work(100000);\n";
for my $i (1 .. 10) { $c->sql("SELECT datahike.compact(), datahike.gc(now(), '0')") }
is($c->sql($damage), '0', 'also beside a writer');
$c->kill_everything;
close $session->{to};
ok($c->start, 'after kill -9 the server starts');
is($c->sql($damage) . $c->sql($differs), '00', 'and no row is lost');
