# Scans that errors leave open go with their subtransaction, not with the transaction: memory of one with many stays flat. And
# cursors that an error of an inner subtransaction meets are what they are on heap.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Cluster;
use Test::More tests => 6;

my $c = Cluster->new();
$c->sql(<<'SQL' =~ s/FOLD/$Cluster::am eq 'heap' ? '' : 'SELECT datahike.commit_id();'/er);
CREATE TABLE t (id int PRIMARY KEY, v text);
INSERT INTO t SELECT g, g FROM generate_series(1, 1000) g;
CREATE TABLE h USING heap AS TABLE t;
FOLD
CREATE FUNCTION resident() RETURNS int LANGUAGE sql AS $$
    SELECT substring(pg_read_file('/proc/self/status') FROM 'VmRSS:\s+(\d+) kB')::int $$;
CREATE FUNCTION fail(query text, times int) RETURNS int LANGUAGE plpgsql AS $$
DECLARE failed int := 0;
BEGIN
    FOR i IN 1 .. times LOOP
        BEGIN
            EXECUTE query;
        EXCEPTION WHEN division_by_zero THEN
            failed := failed + 1;
        END;
    END LOOP;
    RETURN failed;
END $$;
CREATE FUNCTION growth(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE before int; failed int;
BEGIN
    PERFORM fail(query, 1000);
    before := resident();
    failed := fail(query, 20000);
    RETURN failed || ' ' || (resident() - before) / 1024;
END $$;
SQL

# MB; 8 kB for each scan would make it 160
for my $query ('SELECT 1 / (id - 5) FROM t', 'SELECT 1 / (a.id - b.id) FROM t a, t b', 'SELECT 1 / (id - 5) FROM t TABLESAMPLE BERNOULLI (100)') {
    my $answer = $c->sql("BEGIN; INSERT INTO t VALUES (-1, 'own'); SELECT growth('$query'); ROLLBACK");
    my ($failed, $growth) = $answer =~ /^(\d+) (-?\d+)$/;
    ok(defined $failed && $failed == 20000 && $growth < 30, "$query: memory stays") or diag $answer;
}

my $cursors = <<'SQL';
\set ON_ERROR_STOP off
\set VERBOSITY terse
BEGIN;
DECLARE outside CURSOR FOR SELECT id FROM TABLE ORDER BY ctid;
DECLARE failing CURSOR FOR SELECT id, 1 / (id - 3) FROM TABLE;
DECLARE held SCROLL CURSOR WITH HOLD FOR SELECT id FROM TABLE WHERE id < 9;
FETCH 2 FROM outside; FETCH 2 FROM failing;
SAVEPOINT a;
DECLARE inside CURSOR FOR SELECT id FROM TABLE;
FETCH 2 FROM inside; FETCH 2 FROM outside; FETCH 2 FROM held;
FETCH 2 FROM failing;
ROLLBACK TO a;
FETCH 2 FROM outside; FETCH 2 FROM held;
FETCH 1 FROM failing;
ROLLBACK TO a;
CLOSE failing;
SAVEPOINT b;
DECLARE kept CURSOR FOR SELECT id FROM TABLE WHERE id > 20;
DECLARE kept_and_held CURSOR WITH HOLD FOR SELECT id FROM TABLE WHERE id > 30;
FETCH 2 FROM kept;
SAVEPOINT c;
SELECT count(1 / (id - 7)) FROM TABLE;
ROLLBACK TO c;
FETCH 2 FROM kept; FETCH 2 FROM kept_and_held;
RELEASE b;
SAVEPOINT d;
FETCH 2 FROM kept; FETCH 2 FROM kept_and_held;
CLOSE kept;
SELECT 1 / 0;
ROLLBACK TO d;
FETCH 2 FROM outside;
FETCH 2 FROM inside;
ROLLBACK TO d;
FETCH 2 FROM kept;
COMMIT;
FETCH 2 FROM held; FETCH BACKWARD 2 FROM held; FETCH 3 FROM kept_and_held;
FETCH 1 FROM outside;
SQL
my ($datahike, $heap) = map {
    my $answer = $c->sql($cursors =~ s/TABLE/$_/gr);
    $answer =~ s/^psql:\S+ //gm;
    $answer
} qw(t h);
is($datahike, $heap, 'cursors of and around failed subtransactions');
like($datahike, qr/division by zero/, 'that did fail');
ok($c->alive && !$c->log_has(qr/terminated by signal|leak/), 'no process died');
