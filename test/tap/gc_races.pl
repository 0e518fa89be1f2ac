# Garbage collection beside sessions that name commits which nothing else does: to read them, as tags, as branches' new places, as parents.
# Either they are told that the commit has gone, or it stays.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Cluster;
use Test::More;
use Time::HiRes qw(sleep time);

plan skip_all => 'heap has no commits' if $Cluster::am eq 'heap';
plan tests => 18;

my $c = Cluster->new('datahike.fold_delay = 2ms', 'deadlock_timeout = 100ms', 'autovacuum = off',
    'wal_level = minimal', 'max_wal_senders = 0');  # else LOCK TABLE takes an xid, which holds horizons back
# Runs a script in a process of its own; the answer is in a file.
my %running;
sub begin {
    my ($name, $statements) = @_;
    open my $out, '>', "$c->{home}/$name" or die $!;
    print $out $statements;
    close $out;
    my $pid = fork // die $!;
    if (!$pid) { exec 'sh', '-c', $c->command . " -f $c->{home}/$name >$c->{home}/$name.out 2>&1" or die }
    $running{$name} = $pid;
}
sub finish {
    my ($name) = @_;
    waitpid delete $running{$name}, 0;
    open my $in, '<', "$c->{home}/$name.out" or die $!;
    my $answer = join '', <$in>;
    chomp $answer;
    return $answer;
}
sub waiting { my ($for) = @_; return sub { $c->sql("SELECT count(*) FROM pg_locks WHERE NOT granted AND $for") > 0 } }

$c->sql(<<'END');
CREATE TABLE t (id int PRIMARY KEY, v int);
INSERT INTO t SELECT g, 0 FROM generate_series(1, 20) g;
CREATE TABLE commits (id text) USING heap;
END
# A commit of a deleted branch, and one that has merged it.
sub forsaken {
    my ($name) = @_;
    my $id = $c->sql(<<"END");
SELECT FROM datahike.create_branch('$name');
SET datahike.branch = '$name';
UPDATE t SET v = 7 WHERE id = 1;
SELECT datahike.commit_id();
RESET datahike.branch;
SELECT FROM datahike.delete_branch('$name');
INSERT INTO t SELECT max(id) + 1, 0 FROM t;
END
    ($id) = $id =~ /([0-9a-f-]{36})/ or die $id;
    return $id;
}
my $gone = qr/72000|has been collected/;

# Parents that force_branch() was given, while it waits for the branch.
my $parent = forsaken('x');
$c->sql("SELECT datahike.create_branch('b')");
my $writer = $c->session;
$c->tell($writer, "BEGIN; SET datahike.branch = 'b'; INSERT INTO t VALUES (1000, 0);");
begin('force', "SELECT FROM datahike.force_branch('b', 'db', ARRAY['$parent']);");
ok($c->wait_for(waiting("locktype = 'object'")), 'force_branch() waits for a writer');
like($c->sql("SELECT commits FROM datahike.gc(min_age => '0')"), qr/^\d+$/, 'gc runs meanwhile');
$c->tell($writer, 'COMMIT;');
is(finish('force'), '', 'the branch is set');
is($c->sql("SELECT datahike.is_ancestor('$parent', 'b')"), 't', 'its commit has the parent');
is($c->sql("SET datahike.commit_id = '$parent'; SELECT v FROM t WHERE id = 1"), '7', 'which can be read');
is($c->sql("SELECT count(*) FROM datahike.gc(min_age => '0')"), '1', 'gc again');
is($c->sql("SET datahike.commit_id = '$parent'; SELECT v FROM t WHERE id = 1"), '7', 'and stays as long as the branch');

# A merge's source, from when it is named.
my $source = forsaken('y');
$c->tell($writer, "RESET datahike.branch; BEGIN; SELECT FROM datahike.merge_parent('$source');");
$c->sql("SELECT FROM datahike.gc(min_age => '0')");
$c->tell($writer, "UPDATE t SET v = 8 WHERE id = 2; COMMIT;");
is($c->sql("SELECT datahike.is_ancestor('$source', 'db')"), 't', 'what merge_parent() was given is there once it is committed');

# What a reader's pin spares keeps what its ancestry needs.
my $merged = $c->sql(<<"END");
SELECT FROM datahike.create_branch('side');
SELECT FROM datahike.create_branch('trunk');
SET datahike.branch = 'side';
UPDATE t SET v = 1 WHERE id = 3;
SET datahike.branch = 'trunk';
UPDATE t SET v = 1 WHERE id = 4;
SELECT status FROM datahike.merge('side');
UPDATE t SET v = 2 WHERE id = 4;
SELECT datahike.commit_id();
RESET datahike.branch;
SELECT FROM datahike.delete_branch('side');
SELECT FROM datahike.delete_branch('trunk');
UPDATE t SET v = 3 WHERE id = 5;
END
($merged) = $merged =~ /([0-9a-f-]{36})/ or die $merged;
$c->tell($writer, "BEGIN; SET LOCAL datahike.commit_id = '$merged'; SELECT count(*) FROM t; SET LOCAL datahike.commit_id = '';");
like($c->sql("SELECT commits > 0 FROM datahike.gc(now(), '0')"), qr/^t$/, 'a reader has pinned a commit that nothing names');
$c->tell($writer, "SELECT status || ' ' || updated AS pinned FROM datahike.merge('$merged'); COMMIT;");
open my $said, '<', $writer->{out} or die $!;
is(scalar(grep { /^merged 2$/ } <$said>), 1, 'and merges it: base and further parents are there');

# A table of the extension is locked where the worker needs it: nobody else waits for more than that.
$c->sql("CREATE TABLE f (id int); INSERT INTO f VALUES (1); SELECT datahike.set_keep_history('f', 'none')");
my $now = $c->sql("INSERT INTO t VALUES (2000, 0); SELECT datahike.commit_id()");
$c->tell($writer, 'BEGIN; LOCK TABLE datahike.tag IN ACCESS EXCLUSIVE MODE;');
$c->sql('UPDATE f SET id = 2');
ok($c->wait_for(waiting("relation = 'datahike.tag'::regclass")), 'the worker waits for a table');
begin('reader', "SET datahike.commit_id = '$now'; SELECT count(*) > 0 FROM t;");
my $done = $c->wait_for(sub { open my $in, '<', "$c->{home}/reader.out" or return 0; return scalar grep { /^[tf]$|ERROR/ } <$in> }, 10);
$c->tell($writer, 'COMMIT;');
ok($done, 'a session that pins a commit does not');
finish('reader');
$c->sql('DROP TABLE f');

# All at once.
$c->sql(<<'END');
TRUNCATE t;
INSERT INTO t SELECT g, 0 FROM generate_series(1, 20) g;
SELECT FROM datahike.force_branch('b', 'db');
SELECT FROM datahike.create_branch('m');
INSERT INTO commits SELECT datahike.commit_id();
CREATE TABLE wrong (who text, what text) USING heap;
CREATE SEQUENCE numbers;
CREATE FUNCTION any_commit() RETURNS text LANGUAGE sql AS 'SELECT id FROM (SELECT id, row_number() OVER (ORDER BY ctid DESC) n FROM commits) c ORDER BY random() * n LIMIT 1';
CREATE PROCEDURE look(who text) LANGUAGE plpgsql AS $$
DECLARE found text;
BEGIN
  SELECT count(*) || ' ' || sum(v) INTO found FROM t;
  IF found <> '20 0' THEN INSERT INTO wrong VALUES (who, found); END IF;
END $$;
CREATE PROCEDURE move() LANGUAGE plpgsql AS $$
DECLARE one int := (random() * 9)::int; other int := (random() * 9)::int;
BEGIN
  UPDATE t SET v = v + CASE id WHEN one + 1 THEN 1 ELSE -1 END WHERE id IN (one + 1, other + 11);
END $$;
CREATE PROCEDURE aside(name text) LANGUAGE plpgsql AS $$
BEGIN
  PERFORM set_config('datahike.branch', name, false);
  FOR i IN 1..3 LOOP
    CALL move();
    COMMIT;
    INSERT INTO commits SELECT datahike.commit_id();
  END LOOP;
  PERFORM set_config('datahike.branch', 'db', false);
END $$;
END
sub repeat { my ($n, $statements) = @_; return "\\set ON_ERROR_STOP 0\n" . $statements x $n }
my %scripts = (
    writer => repeat(150, "CALL move();\nINSERT INTO commits SELECT datahike.commit_id();\n"),
    aside => repeat(40, "SELECT 'a' || nextval('numbers') AS name \\gset\nSELECT FROM datahike.create_branch(:'name');\nCALL aside(:'name');\nRESET datahike.branch;\nSELECT FROM datahike.delete_branch(:'name');\n"),
    reader => repeat(100, "BEGIN; SELECT any_commit() AS id \\gset\nSET LOCAL datahike.commit_id = :'id'; CALL look('reader'); SELECT pg_sleep(0.01); CALL look('reader, again'); COMMIT;\n"),
    history => repeat(40, "SELECT count(*) FROM datahike.versions(NULL::t, any_commit());\n"),
    tagger => repeat(80, "SELECT FROM datahike.tag('t' || nextval('numbers'), any_commit());\n"),
    forcer => repeat(60, "SELECT FROM datahike.force_branch('b', any_commit(), ARRAY[any_commit(), any_commit()]);\n"),
    parent => repeat(60, "BEGIN; SELECT FROM datahike.merge_parent(any_commit()); SELECT pg_sleep(0.005); CALL move(); COMMIT;\n"),
    merger => "SET datahike.branch = 'm';\n" . repeat(40, "SELECT status FROM datahike.merge(any_commit(), 'ours');\n"),
    gc => repeat(25, "SELECT FROM datahike.gc(min_age => '0');\nSELECT FROM datahike.gc(now() - interval '100 milliseconds', '0');\n"),
);
begin($_, $scripts{$_}) for sort keys %scripts;
my (%errors);
for my $name (sort keys %scripts) {
    for (split /\n/, finish($name)) { /ERROR:\s+(\w+)/ and ++$errors{"$name $1"} }
}
note "$_: $errors{$_}" for sort keys %errors;
# 55006: of a branch that is being written; 25P02: what follows an error in its transaction
is(join(', ', grep { !/ (72000|42704|40001|40P01|25P02|55006)$/ } sort keys %errors), '', 'nobody meets another error than that a commit has gone, or to try again');
is($c->sql('SELECT who, what, count(*) FROM wrong GROUP BY 1, 2'), '', 'every commit that can be read has all rows');
is($c->sql(q{DO $$ DECLARE n text; BEGIN FOR n IN SELECT name FROM datahike.tags() LOOP
  PERFORM set_config('datahike.commit_id', (SELECT commit_id::text FROM datahike.commit_info(n)), true); CALL look('tag ' || n); END LOOP; END $$;
  SELECT who, what FROM wrong}), '', 'every tag can be read');
is($c->sql(q{SELECT count(*) FROM datahike.branches() b(name), LATERAL datahike.log(b.name) l, LATERAL unnest(l.parents[2:]) p, LATERAL datahike.is_ancestor(p::text, b.name) a WHERE NOT a}),
    '0', 'all that merges name is there');
is($c->sql("SELECT count(*) FROM datahike.verify(true) WHERE status <> 'ok'"), '0', 'the store verifies');
is($c->sql("SELECT coalesce(worker_error, '') FROM datahike.stats()"), '', 'the worker has no complaint');
