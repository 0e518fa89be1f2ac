# A branch is set to older commits again and again while sessions move amounts between rows, read, keep cursors open and ask
# for commits. Each commit has all rows and the same total; so does whatever anybody sees.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Cluster;
use Test::More;
use Time::HiRes qw(time);

plan skip_all => 'heap has no branches' if $Cluster::am eq 'heap';
plan tests => 7;

my $c = Cluster->new('datahike.fold_delay = 2ms', 'deadlock_timeout = 100ms');
$c->sql(<<'SQL');
CREATE TABLE t (id int PRIMARY KEY, v int);
INSERT INTO t SELECT g, 0 FROM generate_series(1, 20) g;
CREATE TABLE commits (id text) USING heap;
INSERT INTO commits SELECT datahike.commit_id();
CREATE TABLE wrong (who text, what text) USING heap;
CREATE PROCEDURE look(who text) LANGUAGE plpgsql AS $$
DECLARE found text;
BEGIN
  SET LOCAL enable_bitmapscan = off;
  SET LOCAL enable_indexscan = off;
  SELECT count(*) || ' ' || sum(v) INTO found FROM t;
  IF found <> '20 0' THEN INSERT INTO wrong VALUES (who, 'in order: ' || found); END IF;
  SET LOCAL enable_indexscan = on;
  SET LOCAL enable_seqscan = off;
  SELECT count(*) || ' ' || sum(v) INTO found FROM t WHERE id > 0;
  IF found <> '20 0' THEN INSERT INTO wrong VALUES (who, 'by index: ' || found); END IF;
END $$;
-- A statement that waits for a reset does not find rows that this has replaced: then nothing is moved.
CREATE PROCEDURE move() LANGUAGE plpgsql AS $$
DECLARE
  from_id int := (random() * 19)::int + 1;
  to_id int := (random() * 19)::int + 1;
  taken int;
  given int;
BEGIN
  UPDATE t SET v = v - 1 WHERE id = from_id;
  GET DIAGNOSTICS taken = ROW_COUNT;
  UPDATE t SET v = v + 1 WHERE id = to_id;
  GET DIAGNOSTICS given = ROW_COUNT;
  IF taken <> 1 OR given <> 1 THEN RAISE EXCEPTION 'rows are gone' USING ERRCODE = '40001'; END IF;
END $$;
SQL
sub repeat { my ($n, $statements) = @_; return "\\set ON_ERROR_STOP 0\n" . $statements x $n }
my %scripts = (
    writer1 => repeat(100, "CALL move();\n"),
    writer2 => repeat(50, "BEGIN; CALL move(); SAVEPOINT s; CALL move(); ROLLBACK TO s; CALL move(); COMMIT;\n"),
    writer3 => repeat(50, "BEGIN ISOLATION LEVEL REPEATABLE READ; CALL look('writer'); CALL move(); COMMIT;\n"),
    reader => repeat(100, "BEGIN; CALL look('reader'); COMMIT;\n"),
    snapshot => repeat(40, "BEGIN ISOLATION LEVEL REPEATABLE READ; CALL look('snapshot'); SELECT pg_sleep(0.01); CALL look('snapshot, again'); COMMIT;\n"),
    cursor => repeat(40, "BEGIN; DECLARE c CURSOR FOR SELECT v FROM t; FETCH 3 FROM c; SELECT pg_sleep(0.01); FETCH ALL FROM c; COMMIT;\n"),
    asker => repeat(40, "INSERT INTO commits SELECT datahike.commit_id();\n"),
    setter => repeat(40, "SELECT datahike.force_branch('db', (SELECT id FROM commits ORDER BY random() LIMIT 1)); SELECT pg_sleep(0.01);\n")
        . repeat(20, "BEGIN; SELECT datahike.force_branch('db', (SELECT id FROM commits ORDER BY random() LIMIT 1)); CALL look('setter'); CALL move(); CALL look('setter, later'); COMMIT;\n"),
);
my %pids;
for my $name (sort keys %scripts) {
    open my $out, '>', "$c->{home}/$name" or die $!;
    print $out $scripts{$name};
    close $out;
    my $pid = fork // die $!;
    if (!$pid) { exec 'sh', '-c', $c->command . " -f $c->{home}/$name >$c->{home}/$name.out 2>&1" or die }
    $pids{$name} = $pid;
}
waitpid $_, 0 for values %pids;

my (%errors, $fetched, $rounds);
for my $name (sort keys %scripts) {
    open my $in, '<', "$c->{home}/$name.out" or die $!;
    my ($n, $sum) = (0, 0);
    while (<$in>) {
        /ERROR:\s+(\w+)/ and ++$errors{"$name $1"};
        $name eq 'cursor' && /^(-?\d+)$/ and ($n, $sum) = ($n + 1, $sum + $1);
    }
    ($fetched, $rounds) = ("$n $sum", 20 * 40) if $name eq 'cursor';
}
note "$_: $errors{$_}" for sort keys %errors;
# 25P02 and 3B001: what follows an error in its transaction
is(join(', ', grep { !/ (40001|40P01|25P02|3B001)$/ } sort keys %errors), '', 'nobody meets another error than to try again');
is($c->sql('SELECT who, what, count(*) FROM wrong GROUP BY 1, 2'), '', 'everybody sees all rows and the total');
is($fetched, "$rounds 0", 'cursors too');
cmp_ok($c->sql("SELECT count(*) FROM datahike.reflog('db') WHERE operation = 'reset'"), '>', 20, 'with many resets');
$c->sql("DO \$\$ DECLARE i text; BEGIN FOR i IN SELECT id FROM commits LOOP PERFORM set_config('datahike.commit_id', i, true); CALL look('commit'); END LOOP; END \$\$");
is($c->sql('SELECT who, what, count(*) FROM wrong GROUP BY 1, 2'), '', 'every commit has them');
is($c->sql("SELECT count(*) FROM datahike.reflog('db') a JOIN datahike.reflog('db') b ON a.new = b.new AND a.tx <> b.tx"), '0', 'a commit has one transaction number');
is($c->sql("SELECT coalesce(worker_error, '') FROM datahike.stats()"), '', 'the worker has no complaint');
