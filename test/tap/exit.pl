# exit() of a backend in the middle of a statement, which VACUUM calls where it finds the postmaster dead, and FATAL while
# other threads count: the transaction is aborted before anything that this needs is destroyed, and the other sessions go on.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Faults;
use Test::More tests => 8;

$SIG{PIPE} = 'IGNORE';    # of a psql whose server has gone
my $c = Faults->new('restart_after_crash = on', 'max_parallel_workers_per_gather = 0');
$c->sql('CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT g, g FROM generate_series(1, 1000) g;');
my $other = $c->session;
$c->tell($other, 'CREATE TEMP TABLE mine (id int);');
my %exits = (
    'which reads' => 'SELECT exit_now(1) FROM t a JOIN t b ON a.id < b.id JOIN t c ON c.id > b.id',
    'with cursors and changes' => "BEGIN; INSERT INTO t VALUES (2000, 'never'); UPDATE t SET v = 'never' WHERE id < 10;
        DECLARE c SCROLL CURSOR FOR SELECT * FROM t; FETCH 3 FROM c; DECLARE d CURSOR FOR SELECT * FROM t ORDER BY id; FETCH 3 FROM d;
        SAVEPOINT s; DELETE FROM t WHERE exit_now(1) IS NULL",
    'which writes' => 'UPDATE t SET v = exit_now(1)::text WHERE id = 5',
    'which counts by column' => 'SET datahike.vectorized_min_rows = 0; SELECT count(*), exit_now(1) FROM t',
);
for my $exit (sort keys %exits) {
    like($c->sql($exits{$exit}), qr/server closed the connection/, "a session $exit ends");
}
# FATAL does not unwind the process: the threads that count with it must have stopped before what they read goes.
$c->sql('CREATE TABLE many (id int, v text); INSERT INTO many SELECT g, g % 100 FROM generate_series(1, 300000) g;');
my $ended = 0;
for (1 .. 10) {
    my $counting = $c->session;
    print {$counting->{to}} 'SET datahike.threads = 4; DO $$ BEGIN FOR i IN 1 .. 1000 LOOP
        PERFORM sum(s) FROM (SELECT v, sum(id) s, avg(id) FROM many GROUP BY v) x; END LOOP; END $$;' . "\n";
    my $its = "FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'DO %'";
    $c->wait_for(sub { $c->sql("SELECT count(*) $its") eq '1' });
    $c->sql("SELECT pg_sleep(0.1 * random()), pg_terminate_backend(pid) $its");
    $ended += $c->wait_for(sub { $c->sql("SELECT count(*) $its") eq '0' });
    close $counting->{to};
}
is($ended, 10, 'sessions that count with several threads end when they are told to');
$c->wait_for(sub { $c->sql("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'") eq '2' });
ok($c->tell($other, 'TABLE mine;') && !$c->log_has(qr/terminated by signal|all server processes terminated/), 'and no other session with it');
is($c->sql("SELECT count(*), count(*) FILTER (WHERE v = 'never') FROM t"), '1000|0', 'nothing of its transaction shows');
is($c->sql("SET lock_timeout = '5s'; ALTER TABLE t ADD COLUMN w int; UPDATE t SET w = id; SELECT sum(w) FROM t"), '500500', 'its locks are free');
