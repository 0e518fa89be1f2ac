# statement_timeout and pg_cancel_backend find statements at any point: what was cancelled has changed nothing, the session
# goes on, and no row lock stays. What succeeded is done to a heap table as well, and the two are compared each time.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Cluster;
use Test::More;

plan skip_all => 'compares with heap' if $Cluster::am eq 'heap';
plan tests => 13;

my $rounds = $ENV{ROUNDS} // 400;
srand($ENV{SEED} // 20);

my $c = Cluster->new('datahike.fold_delay = 20ms');
$c->sql(<<'SQL');
CREATE SCHEMA d;
CREATE SCHEMA h;
CREATE TABLE d.t (id int PRIMARY KEY, n int, v text);
CREATE INDEX t_n ON d.t (n);
CREATE TABLE h.t (id int PRIMARY KEY, n int, v text) USING heap;
CREATE INDEX t_n ON h.t (n);
CREATE TABLE h.done (round int) USING heap;
CREATE TABLE h.branches (name text) USING heap;
CREATE TABLE h.target (pid int, ended bool) USING heap;
INSERT INTO d.t SELECT g, g % 97, md5(g::text) FROM generate_series(1, 2000) g;
INSERT INTO h.t SELECT * FROM d.t;
CREATE FUNCTION digest(tbl text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE answer text;
BEGIN
  EXECUTE format('SELECT count(*) || '' '' || coalesce(sum(hashtextextended(t::text, 0)), 0) FROM %s t', tbl) INTO answer;
  RETURN answer;
END $$;
SELECT datahike.commit_id();
SQL

sub rows_from { my ($round) = @_; return "SELECT g, g % 97, md5(g::text) FROM generate_series($round * 1000, $round * 1000 + 599) g" }

sub rows_file {
    my ($round) = @_;
    my $name = "$c->{home}/rows-$round";
    open my $file, '>', $name or die $!;
    print $file join("\t", $round * 1000 + $_, $_ % 97, "copied $_"), "\n" for 0 .. 599;
    close $file;
    chmod 0644, $name;
    return $name;
}

# What is cancelled: [kind, statement...]; more than one are a transaction. Each leads to the same rows on heap.
my @kinds = (
    ['INSERT', sub { 'INSERT INTO t (id, n, v) ' . rows_from(@_) }],
    ['COPY', sub { "COPY t (id, n, v) FROM '" . rows_file(@_) . "'" }],
    ['UPDATE', sub { "UPDATE t SET n = n + 1, v = md5(v) WHERE abs(id) % 3 = $_[0] % 3" }],
    ['UPDATE of the key', sub { "UPDATE t SET id = -id WHERE abs(id) % 5 = $_[0] % 5" }],
    ['DELETE', sub { "DELETE FROM t WHERE abs(id) / 3 % 2 = $_[0] % 2" }],
    ['ON CONFLICT', sub { 'INSERT INTO t (id, n, v) ' . rows_from($_[0] - 2) . ' ON CONFLICT (id) DO UPDATE SET n = t.n + 1' }],
    ['sequential scan', sub { 'SELECT count(*), sum(length(a.v)) FROM t a JOIN t b ON a.v = b.v' }],
    ['index scan', sub { 'SELECT sum(length(v)) FROM t WHERE n >= 0' }, 'SET enable_seqscan = off; SET enable_bitmapscan = off'],
    ['CREATE INDEX', sub { 'CREATE INDEX IF NOT EXISTS t_v ON t (v, n)' }],
    ['DROP INDEX', sub { 'DROP INDEX IF EXISTS t_v' }],
    ['REINDEX', sub { 'REINDEX TABLE t' }],
    ['another type', sub { 'ALTER TABLE t ALTER COLUMN n TYPE ' . qw(bigint numeric int)[$_[0] % 3] }],
    ['ADD COLUMN', sub { "ALTER TABLE t ADD COLUMN IF NOT EXISTS added int DEFAULT $_[0]" }],
    ['DROP COLUMN', sub { 'ALTER TABLE t DROP COLUMN IF EXISTS added' }],
    ['VACUUM FULL', sub { 'VACUUM FULL t' }],
    ['TRUNCATE and rollback', sub { ('TRUNCATE t', 'INSERT INTO t (id, n, v) ' . rows_from(@_), 'ROLLBACK') }],
    ['TRUNCATE', sub { ('TRUNCATE t', 'INSERT INTO t (id, n, v) ' . rows_from(@_)) }],
    ['row locks', sub { ('SELECT * FROM t FOR UPDATE', "UPDATE t SET n = n - 1 WHERE id % 7 = 0", 'SELECT * FROM t FOR SHARE') }],
    ['savepoints', sub { (
        'SAVEPOINT a', 'UPDATE t SET n = n + 1', 'ROLLBACK TO a',
        'INSERT INTO t (id, n, v) ' . rows_from(@_),
        'SAVEPOINT b', 'DELETE FROM t WHERE id % 2 = 0', 'INSERT INTO t (id, n, v) VALUES (0, 0, NULL)', 'ROLLBACK TO b',
        'SAVEPOINT c', "DELETE FROM t WHERE abs(id) / 7 % 3 = $_[0] % 3", 'RELEASE c',
    ) }],
    ['caught', sub { "DO \$\$ BEGIN
        BEGIN
          UPDATE t SET n = n + 1;
          RAISE EXCEPTION 'enough';
        EXCEPTION WHEN raise_exception OR query_canceled THEN NULL;
        END;
        UPDATE t SET n = n + 1 WHERE abs(id) % 3 = $_[0] % 3;
      END \$\$" }],
);
my $script = '';

sub under_fire {
    my ($setup, $statements) = @_;
    my $timeout = rand() < 0.6 ? 1 + int(30 * rand() ** 2) : 1000;
    # While the session has the advisory lock it is not cancelled. To get it is, so it takes some attempts.
    $script .= "SET statement_timeout = $timeout; $setup;\nSELECT pg_advisory_unlock_all();\n$statements"
        . "SET statement_timeout = 0;\n" x 2 . "SELECT pg_advisory_lock(1);\n" x 4 . "SET statement_timeout = 0;\n"
        . "RESET enable_seqscan; RESET enable_bitmapscan;\n";
}

sub statement_round {
    my ($round, $kind, $make, $setup) = @_;
    my @statements = $make->($round);
    my $last = $statements[-1] eq 'ROLLBACK' ? '' : 'COMMIT;';
    my $all = join '', map { "$_;\n" } @statements;
    if (@statements > 1) {
        # BEGIN may be what is cancelled: then the rest would be so many transactions of their own.
        under_fire($setup // '', "BEGIN;\n\\if :ERROR\n\\else\nINSERT INTO h.done VALUES ($round);\n$all$last\n\\endif\n" . "ROLLBACK;\n" x 2);
        $script .= "SELECT NOT EXISTS (SELECT FROM h.done WHERE round = $round) AS failed \\gset\n";
        $all = "BEGIN; $all$last";
    } else {
        under_fire($setup // '', "$all\\set failed :ERROR\n");
    }
    # A rolled back transaction counts as failed, that it leaves nothing is what matters.
    $script .= "\\if :failed\n\\warn failed: $kind\n\\else\n\\warn succeeded: $kind\nSET search_path = h, public;\n$all\n"
        . "SET search_path = d, public;\n\\endif\n"
        . "SELECT digest('d.t') = digest('h.t') AS same \\gset\n\\if :same\n\\else\n\\warn differs: round $round $kind\n\\endif\n";
}

sub branch_round {
    my ($round) = @_;
    my %after = (create => "INSERT INTO h.branches VALUES ('b$round')", delete => "DELETE FROM h.branches WHERE name = 'b$round'");
    for my $what (qw(create delete)) {
        under_fire('', "INSERT INTO t (id) VALUES ($round * 1000 + 999); DELETE FROM t WHERE id = $round * 1000 + 999;\n"
            . "SELECT datahike.${what}_branch('b$round');\n\\set failed :ERROR\n");
        $script .= "DELETE FROM t WHERE id = $round * 1000 + 999;\n";
        $script .= "\\if :failed\n\\warn failed: $what branch\n\\else\n\\warn succeeded: $what branch\n$after{$what};\n\\endif\n"
            . "SELECT array(SELECT b FROM datahike.branches() b ORDER BY b COLLATE \"C\") ="
            . " array(SELECT name FROM (SELECT name FROM h.branches UNION ALL SELECT 'db') b ORDER BY name COLLATE \"C\") AS same \\gset\n"
            . "\\if :same\n\\else\n\\warn differs: round $round $what branch\n\\endif\n";
        # What is not there cannot be deleted.
        $script .= "\\if :failed\n\\else\n" if $what eq 'create';
    }
    $script .= "\\endif\n";
    under_fire('', "SELECT datahike.commit_id();\n");
}

my $locks = 'SELECT count(*) FROM (SELECT FROM d.t FOR UPDATE NOWAIT) x';
$script .= <<'SQL';
SET client_min_messages = error;
\set VERBOSITY sqlstate
SELECT pg_advisory_lock(1);
INSERT INTO h.target VALUES (pg_backend_pid(), false);
SET search_path = d, public;
SQL
for my $round (3 .. $rounds + 2) {
    if ($round % 12 == 0) { branch_round($round) }
    else { statement_round($round, @{ $kinds[rand @kinds] }) }
    # The session is still there, and holds nothing.
    $script .= "\\! @{[$c->command]} -c '$locks' >/dev/null\n" if $round % 60 == 0;
}
$script .= "\\! @{[$c->command]} -c '$locks' >/dev/null\nUPDATE h.target SET ended = true;\n\\warn the end\n";

my $file = "$c->{home}/script.sql";
open my $out, '>', $file or die $!;
print $out $script;
close $out;

my $before = $c->sql('SELECT readers FROM datahike.stats()');
my $psql = $c->command;
my $canceller = fork // die $!;
unless ($canceller) {
    exec("$psql >$c->{home}/canceller.out 2>&1 -c " . q{"DO \$\$
      DECLARE sent int := 0; target int; over bool := false;
      BEGIN
        WHILE over IS NOT TRUE LOOP
          SELECT pid, ended INTO target, over FROM h.target;
          IF target IS NOT NULL THEN
            PERFORM pg_advisory_lock(1);
            PERFORM pg_cancel_backend(target);
            PERFORM pg_advisory_unlock(1);
          END IF;
          COMMIT;
          PERFORM pg_sleep(0.07 * random());
        END LOOP;
      END \$\$"});
}
my $report = `timeout 150 $psql -v ON_ERROR_STOP=0 -f $file 2>&1 >/dev/null`;
my $finished = $report =~ /^the end$/m;
$c->sql('UPDATE h.target SET ended = true; INSERT INTO h.target SELECT 0, true WHERE NOT EXISTS (SELECT FROM h.target)');
waitpid $canceller, 0;

sub lines { my ($pattern) = @_; return join "\n", grep { /$pattern/ } split /\n/, $report }

sub count { my ($pattern) = @_; return scalar(grep { /$pattern/ } split /\n/, $report) }

if ($ENV{SHOW}) { my %n; $n{$_}++ for grep { /^(failed|succeeded)/ } split /\n/, $report; note("$_: $n{$_}") for sort keys %n }
ok($finished, 'the session sees the end') or diag(substr $report, -2000);
is(lines(qr/differs/), '', 'what was cancelled changed nothing, what succeeded all that it should');
# 25P02, 3B001: later statements of a transaction that was cancelled
is(join("\n", grep { !/57014|25P02|3B001/ } split /\n/, lines(qr/ERROR|FATAL|PANIC|connection/)), '', 'no other errors');
cmp_ok(count(qr/^failed/), '>', $rounds / 10, 'many were cancelled');
cmp_ok(count(qr/^succeeded/), '>', $rounds / 10, 'and many succeeded');
note(count(qr/^failed/) . ' failed, ' . count(qr/^succeeded/) . ' succeeded');
is($c->sql("SELECT digest('d.t') = digest('h.t')"), 't', 'both tables hold the same');
my $index = $c->sql("SET enable_seqscan = off; SET enable_bitmapscan = off; SELECT digest('(SELECT * FROM d.t WHERE id > -2147483648)')");
is($index, $c->sql("SELECT digest('d.t')"), 'by the primary key too');
$index = $c->sql("SET enable_seqscan = off; SET enable_bitmapscan = off; SELECT digest('(SELECT * FROM d.t WHERE n > -1000)')");
is($index, $c->sql("SELECT digest('(SELECT * FROM h.t WHERE n > -1000)')"), 'and by another index');
my @branches = split /\n/, $c->sql('SELECT name FROM h.branches');
is($c->sql(join ' ', map { "SET datahike.branch = '$_'; SELECT FROM d.t WHERE v IS NULL AND id < -2147483647;" } @branches), '', 'branches can be read');
like($c->sql('SELECT datahike.commit_id()'), qr/^[0-9a-f-]{36}$/, 'the worker folds');
is($c->sql('SELECT worker_error FROM datahike.stats()'), '', 'without an error');
cmp_ok($c->sql('SELECT readers FROM datahike.stats()'), '<=', $before + 2, 'no reader slots are left in use');
is($c->sql("SELECT count(*) FROM pg_locks WHERE locktype IN ('relation', 'transactionid', 'advisory') AND pid <> pg_backend_pid()
    AND pid IN (SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend')"), 0, 'nor locks');
