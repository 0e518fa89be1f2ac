# Operator new fails at one point after another of statements and transactions: the statement fails with 53200 or what it was
# doing goes on without, the server stays up, and a heap table changed by the same transactions agrees.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Faults;
use Test::More;

plan skip_all => 'heap has no C++' if $Cluster::am eq 'heap';
# TABLE stands for both tables in turn
my %statements = (
    insert => 'INSERT INTO TABLE SELECT g, repeat(\'x\', g % 40) FROM generate_series(KEY, KEY + 20) g',
    update => 'UPDATE TABLE SET v = v || \'u\' WHERE id % 50 < 3',
    'update of keys' => 'UPDATE TABLE SET id = -id WHERE id BETWEEN KEY - 30 AND KEY',
    delete => 'DELETE FROM TABLE WHERE id % 90 = 7',
    upsert => 'INSERT INTO TABLE SELECT g, \'new\' FROM generate_series(KEY - 5, KEY + 5) g ON CONFLICT (id) DO UPDATE SET v = \'upserted\'',
    'row locks' => 'SELECT count(*) FROM (SELECT FROM TABLE WHERE id % 20 = 3 FOR UPDATE) s',
    scan => 'SELECT count(*), sum(length(v)) FROM TABLE',
    'index scan' => 'SET LOCAL enable_seqscan = off; SELECT count(v) FROM TABLE WHERE id < 500',
    savepoints => 'SAVEPOINT a; DELETE FROM TABLE WHERE id % 70 = 1; ROLLBACK TO a; SAVEPOINT b; UPDATE TABLE SET v = \'s\' WHERE id % 80 = 2; RELEASE b',
    index => 'CREATE INDEX KIND_idx ON TABLE (v); DROP INDEX KIND_idx',
    truncate => 'SAVEPOINT a; TRUNCATE TABLE; INSERT INTO TABLE VALUES (1, \'t\'); ROLLBACK TO a',
    'add a column' => 'ALTER TABLE TABLE ADD COLUMN w int DEFAULT (random() < 2)::int; ALTER TABLE TABLE DROP COLUMN w',
);
my @names = sort keys %statements;
plan tests => 3 * @names + 5;

my $c = Faults->new('datahike.fold_delay = 5ms', 'restart_after_crash = on');
$c->sql('CREATE TABLE t (id int PRIMARY KEY, v text); CREATE TABLE h (id int PRIMARY KEY, v text) USING heap;
    INSERT INTO t SELECT g, g FROM generate_series(1, 1000) g; INSERT INTO h TABLE t; SELECT datahike.commit_id()');
my $psql = $c->command;
$psql =~ s/ON_ERROR_STOP=1/ON_ERROR_STOP=0/;
my $key = 10000;

sub run {
    my ($script) = @_;
    open my $out, '>', "$c->{home}/faults.sql" or die $!;
    print $out $script;
    close $out;
    return `$psql -f $c->{home}/faults.sql 2>&1`;
}

my $same = 'SELECT (SELECT count(*) FROM (TABLE t EXCEPT TABLE h) x), (SELECT count(*) FROM (TABLE h EXCEPT TABLE t) x)';
for my $name (@names) {
    my $script = '';
    for my $skip (0 .. 25, map { 26 + int(rand 400) } 1 .. 15) {
        $key += 100;
        my ($on_heap, $on_datahike) = map {
            my ($table, $s) = ($_, $statements{$name});
            $s =~ s/\bTABLE (?=TABLE\b)/TABLE\0/g;
            $s =~ s/\bTABLE\b(?!\0)/$table/g;
            $s =~ s/\0/ /g;
            $s =~ s/\bKEY\b/$key/g;
            $s =~ s/KIND/$table/g;
            $s;
        } qw(h t);
        $script .= "BEGIN;\n$on_heap;\nSELECT fail_new(pg_backend_pid(), $skip, 1);\n$on_datahike;\nCOMMIT;\nSELECT fail_new(0, 0, 0);\n";
    }
    my $answer = run($script);
    my $failed = () = $answer =~ /ERROR:  53200/g;
    my @other = grep { /ERROR|FATAL|PANIC|server closed/ && !/53200|25P02/ } split /\n/, $answer;
    cmp_ok($failed, '>', 0, "$name: memory ran out");
    is(join("\n", @other[0 .. ($#other > 3 ? 3 : $#other)]), '', "$name: and nothing else happened");
    is($c->sql($same), '0|0', "$name: heap agrees");
}

# At the end of transactions: before the commit record it is an error, after it nobody may notice.
my $script = '';
for my $skip (0 .. 60) {
    $key += 100;
    my $both = join ' ', map { "INSERT INTO $_ VALUES ($key, 'c'); UPDATE $_ SET v = v || 'c' WHERE id % 300 = 5; SAVEPOINT s; DELETE FROM $_ WHERE id = 6; ROLLBACK TO s;" } qw(t h);
    $script .= "BEGIN; $both SELECT fail_new(pg_backend_pid(), $skip, 1);\n COMMIT;\nSELECT fail_new(0, 0, 0);\n";
}
my $answer = run($script);
like($answer, qr/ERROR:  53200/, 'COMMIT: memory ran out');
is(join("\n", grep { /ERROR|FATAL|PANIC|WARNING/ && !/53200/ } split /\n/, $answer), '', 'COMMIT: and nothing else happened');
is($c->sql($same), '0|0', 'COMMIT: heap agrees');

# In the fold worker
my $worker = "(SELECT pid FROM pg_stat_activity WHERE backend_type = 'datahike fold worker')";
$script = '';
for my $skip (0 .. 40, map { 41 + int(rand 400) } 1 .. 20) {
    $key += 100;
    $script .= "INSERT INTO h VALUES ($key, 'w'); SELECT fail_new($worker, $skip, 1); INSERT INTO t VALUES ($key, 'w'); SELECT datahike.commit_id();\n";
}
run($script);
$c->sql('SELECT fail_new(0, 0, 0)');
ok($c->wait_for(sub { $c->sql('SELECT datahike.commit_id() IS NOT NULL') eq 't' }), 'worker: folds go on');
is($c->sql("$same; SELECT 'crashed'" . ' WHERE false') . ($c->log_has(qr/was terminated by signal|PANIC/) ? ' crashed' : ''), '0|0', 'worker: heap agrees, and no process died');
