# Indexes built by several processes have every row version, whatever the log and the writers do meanwhile.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Cluster;
use Test::More;
use Time::HiRes qw(sleep time);

plan tests => 21;
my $heap = $Cluster::am eq 'heap';

my $c = Cluster->new('min_parallel_table_scan_size = 0', 'max_parallel_maintenance_workers = 2', 'maintenance_work_mem = 128MB',
    'max_parallel_workers_per_gather = 0', $heap ? () : 'datahike.fold_delay = 10ms');
$c->sql('CREATE EXTENSION amcheck');
$c->sql('CREATE TABLE t (id int, k int, v text)');
$c->sql("INSERT INTO t SELECT i, i * 7 % 10007, 'value ' || i FROM generate_series(1, 100000) i");
my $first = $heap ? '' : $c->sql('SELECT datahike.commit_id()');
$c->sql("UPDATE t SET k = k + 1 WHERE id % 3 = 0; DELETE FROM t WHERE id % 10 = 0");
unless ($heap) {
    $c->sql("SELECT datahike.create_branch('b')");
    $c->sql("SET datahike.branch = 'b'; DELETE FROM t WHERE id > 50000; INSERT INTO t SELECT i, i, 'on b' FROM generate_series(1, 5000) i");
    $c->configure('datahike.fold_delay = 60s');    # what follows stays in the log
    sleep 0.5;
}
$c->sql("INSERT INTO t SELECT i, i * 7 % 10007, 'late' FROM generate_series(100001, 110000) i; UPDATE t SET k = -k WHERE id % 100 = 1");

sub builds { my ($statement, $name) = @_; like($c->sql("SET client_min_messages = debug1; $statement"), qr/request for 2 parallel workers/, $name) }
my $by_table = 'SET enable_indexscan = off; SET enable_bitmapscan = off; SET enable_indexonlyscan = off;';
my $by_index = 'SET enable_seqscan = off; SET enable_bitmapscan = off;';
sub agrees {
    my ($table, $setting, $name) = @_;
    my $query = "SELECT count(*), sum(k), sum(length(v)) FROM $table WHERE k > -1000000";
    like($c->sql("$setting $by_index EXPLAIN $query"), qr/Index Scan/, "$name: by index") unless $setting;
    is($c->sql("$setting $by_index $query"), $c->sql("$setting $by_table $query"), "$name: the index agrees with the table");
}

builds('CREATE INDEX t_k ON t (k)', 'CREATE INDEX');
agrees('t', '', 'default branch');
SKIP: {
    skip 'heap has no branches', 2 if $heap;
    agrees('t', "SET datahike.branch = 'b';", 'other branch');
    agrees('t', "SET datahike.commit_id = '$first';", 'first commit');
}
is($c->sql("SELECT bt_index_check('t_k', true)"), '', 'amcheck finds nothing');
builds('REINDEX INDEX t_k', 'REINDEX');
agrees('t', '', 'rebuilt');

# Unique indexes: workers compare with one another.
$c->sql('CREATE TABLE u (id int, k int, v text)');
$c->sql("INSERT INTO u SELECT i, i, 'value' FROM generate_series(1, 100000) i; UPDATE u SET v = 'new' WHERE id % 5 = 0");
if ($heap) {
    pass('heap has no branches');
    builds('CREATE UNIQUE INDEX u_id ON u (id)', 'UNIQUE');
} else {
    unlike($c->sql('SET client_min_messages = debug1; CREATE UNIQUE INDEX u_id ON u (id)'), qr/parallel workers/, 'one process where another branch is to be compared');
    $c->sql("DROP INDEX u_id; SELECT datahike.delete_branch('b')");
    builds('CREATE UNIQUE INDEX u_id ON u (id)', 'several where there is none');
}
is($c->sql("SELECT bt_index_check('u_id', true)"), '', 'amcheck finds nothing');
$c->sql("INSERT INTO u SELECT i, i + 1000000, 'twice' FROM generate_series(90001, 90002) i") =~ /23505/ or fail('a duplicate goes in');
$c->sql("DROP INDEX u_id; INSERT INTO u VALUES (17, 0, 'twice')");
like($c->sql('CREATE UNIQUE INDEX u_id ON u (id)'), qr/23505.*\(id\)=\(17\)/s, 'a duplicate is found');
$c->sql("DELETE FROM u WHERE v = 'twice'");

# Writers go on beside CREATE INDEX CONCURRENTLY.
$c->configure('datahike.fold_delay = 10ms') unless $heap;
$c->sql('CREATE TABLE stop (a int) USING heap');
my @writers;
for my $n (0 .. 1) {
    my $pid = fork // die $!;
    unless ($pid) {
        open STDOUT, '>', "$c->{home}/writer$n.out" or die $!;
        open STDERR, '>&', \*STDOUT or die $!;
        exec('timeout', '60', split(' ', $c->command), '-c', "DO \$\$ BEGIN FOR i IN 1 .. 1000000 LOOP
            UPDATE u SET v = 'w' || i, k = k + 200000 WHERE id = i * 31 % 40000 * 2 + $n;
            INSERT INTO u VALUES (200000 + i * 2 + $n, -i, 'in'); COMMIT;
            EXIT WHEN EXISTS (SELECT FROM stop); END LOOP; END \$\$");
    }
    push @writers, $pid;
}
$c->sql('CREATE INDEX u_find ON u (id)');
sleep 1;
my $before = $c->sql('SELECT count(*) FROM u');
builds('CREATE INDEX CONCURRENTLY u_k ON u (k)', 'CREATE INDEX CONCURRENTLY beside writers');
builds('CREATE UNIQUE INDEX CONCURRENTLY u_unique ON u (id)', 'a unique one');
cmp_ok($c->sql('SELECT count(*) FROM u'), '>', $before, 'the writers have gone on');
$c->sql('INSERT INTO stop VALUES (1)');
waitpid $_, 0 for @writers;
is(join('', map { `cat $c->{home}/writer$_.out` } 0 .. 1), '', 'without errors');
agrees('u', '', 'built beside writers');
is($c->sql("SELECT indexrelid::regclass FROM pg_index WHERE indrelid = 'u'::regclass AND NOT indisvalid"), '', 'all are valid');
is($c->sql("SELECT bt_index_check(oid, true) FROM pg_class WHERE relname IN ('u_k', 'u_unique', 'u_find')") =~ s/\s//gr, '', 'amcheck finds nothing');
