# pg_dump -j: every job reads the one exported snapshot while others write; what is restored is consistent. A second
# session that imports a snapshot sees what the first one sees, and a branch is dumped when it is asked for.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Cluster;
use Test::More tests => 10;

my $c = Cluster->new('datahike.fold_delay = 10ms');
$c->sql(<<'SQL');
CREATE TABLE a (id int PRIMARY KEY, n int);
CREATE TABLE b (id int PRIMARY KEY, n int REFERENCES a);
CREATE TABLE c (id int, n int) USING heap;
CREATE INDEX a_brin ON a USING brin (n);
CREATE MATERIALIZED VIEW m AS SELECT count(*) FROM a;
INSERT INTO a SELECT g, 0 FROM generate_series(1, 2000) g;
INSERT INTO b SELECT g, g FROM generate_series(1, 2000) g;
INSERT INTO c SELECT g, 0 FROM generate_series(1, 2000) g;
SELECT datahike.create_branch('other');
SET datahike.branch = 'other';
INSERT INTO a VALUES (999999, 0);
SQL

# each transaction moves one from table to table, and adds a parent and its child
open my $script, '>', "$c->{home}/writer.sql" or die $!;
print $script <<'SQL';
\set id random(1, 2000)
BEGIN;
UPDATE a SET n = n + 1 WHERE id = :id;
UPDATE c SET n = n - 1 WHERE id = :id;
INSERT INTO a SELECT max(id) + 1 + :client_id, 0 FROM a ON CONFLICT DO NOTHING;
INSERT INTO b SELECT max(id), max(id) FROM a ON CONFLICT DO NOTHING;
COMMIT;
SQL
close $script;
my $writers = fork // die $!;
if (!$writers) { exec "pgbench -n -h $c->{dir}/socket -U postgres -c 3 -T 60 --max-tries=10 -f $c->{home}/writer.sql test >/dev/null 2>&1" or exit 1 }
ok($c->wait_for(sub { $c->sql('SELECT sum(n) FROM a') > 20 }), 'others write');

my @importing = ($c->session);
$c->sql('CREATE TABLE snapshot (name text, total bigint, rows bigint) USING heap');
ok($c->tell($importing[0], <<'SQL'), 'a snapshot is exported');
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT pg_export_snapshot() AS name, sum(n) AS total, count(*) AS rows FROM a \gset
\! sleep 0.5
INSERT INTO c VALUES (-1, 0);
SQL
print {$importing[0]{to}} "\\o $c->{home}/exported\nSELECT :'name', :total, :rows;\n\\o\n";
ok($c->tell($importing[0], 'SELECT 1;'), 'and named');
open my $exported, '<', "$c->{home}/exported" or die $!;
my ($name, $total, $rows) = split /\||\n/, <$exported>;
is($c->sql("BEGIN ISOLATION LEVEL REPEATABLE READ; SET TRANSACTION SNAPSHOT '$name'; SELECT sum(n), count(*) FROM a; COMMIT;"), "$total|$rows", 'who imports it sees the same');
isnt($c->sql('SELECT sum(n) FROM a'), $total, 'which is not what there is by now');
$c->tell($importing[0], 'ROLLBACK;');

my $connect = "-h $c->{dir}/socket -U postgres";
is(system("pg_dump $connect -Fd -j 3 -f $c->{home}/dump test"), 0, 'pg_dump -j 3');
kill 'TERM', $writers;
waitpid $writers, 0;
system("psql -Xq $connect -d postgres -c \"CREATE DATABASE restored\"");
is(system("pg_restore $connect -j 3 -d restored $c->{home}/dump"), 0, 'pg_restore -j 3');
my $restored = "psql -XAt $connect -d restored -c";
is(`$restored "SELECT (SELECT sum(n) FROM a) + (SELECT sum(n) FROM c)"`, "0\n", 'the tables are of one moment');
is(`$restored "SELECT amname FROM pg_class c JOIN pg_am a ON a.oid = relam WHERE relname = 'a'"`, "$Cluster::am\n", 'in their access method');

system("PGOPTIONS='-c datahike.branch=other' pg_dump $connect -t a -a -f $c->{home}/other.sql test");
like(`cat $c->{home}/other.sql`, qr/^999999\t0$/m, 'the dump of a branch has its rows');
