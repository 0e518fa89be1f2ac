# The server dies after TRUNCATE, within its transaction or behind it: indexes have what they should, also where new files are
# not in the WAL (wal_level = minimal).
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Cluster;
use Test::More;

plan tests => 16;

for my $level ('replica', 'minimal') {
    my $c = Cluster->new('fsync = off', "wal_level = $level", 'max_wal_senders = 0', 'autovacuum = off');
    my $rows = 'SELECT count(*), min(id), max(id) FROM t';
    my $by_index = 'SET enable_seqscan = off; SELECT count(*) FROM t WHERE upper(v) = \'ROW 30\'; SELECT count(*) FROM t WHERE id = 30';
    $c->sql(<<'SQL');
CREATE EXTENSION amcheck;
CREATE TABLE t (id int PRIMARY KEY, v text);
CREATE INDEX t_e ON t (upper(v));
INSERT INTO t SELECT g, 'row ' || g FROM generate_series(1, 2000) g;
CHECKPOINT;
SQL
    my $session = $c->session;
    $c->tell($session, "BEGIN; TRUNCATE t; INSERT INTO t SELECT g, 'row ' || g FROM generate_series(20, 40) g; TRUNCATE t; INSERT INTO t SELECT g, 'row ' || g FROM generate_series(25, 5000) g;");
    $c->sql('CHECKPOINT');
    $c->kill_everything;
    ok($c->start, "$level: the server starts after it died within the transaction");
    is($c->sql($rows), '2000|1|2000', "$level: nothing has happened");
    is($c->sql($by_index), "1\n1", "$level: rows are found by index");

    $c->sql("BEGIN; TRUNCATE t; INSERT INTO t SELECT g, 'row ' || g FROM generate_series(20, 3000) g; COMMIT");
    $c->kill_everything;
    ok($c->start, "$level: it starts after it died behind it");
    is($c->sql($rows), '2981|20|3000', "$level: what was committed is there");
    is($c->sql($by_index), "1\n1", "$level: by index");
    $c->sql('TRUNCATE t');
    $c->kill_everything;
    $c->start;
    is($c->sql($by_index), "0\n0", "$level: an empty table stays empty");
    is($c->sql(q{SELECT bt_index_check('t_pkey'), bt_index_check('t_e')}), '|', "$level: the indexes are sound");
}
