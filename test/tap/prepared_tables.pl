# Blocks of rowids of tables that prepared transactions make: those of transactions that are rolled back go from shared memory,
# those of others stay.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Cluster;
use Test::More;

plan skip_all => 'rowids' if $Cluster::am eq 'heap';
plan tests => 17;

my $c = Cluster->new('fsync = on', 'max_prepared_transactions = 20', 'datahike.fold_delay = 20ms');
sub blocks { return $c->sql('SELECT rowid_blocks FROM datahike.stats()') }
sub blocks_become { my ($count) = @_; return $c->wait_for(sub { blocks() eq $count }, 20) }
my $prepare = sub { my ($name, $statements) = @_; return $c->sql("BEGIN;\n$statements;\nPREPARE TRANSACTION '$name'") };

$c->sql('CREATE TABLE t (id int); INSERT INTO t VALUES (1)');
my $before = blocks();
$prepare->('rows', 'CREATE TABLE rows (id int); INSERT INTO rows VALUES (1)');
$prepare->('empty', 'CREATE TABLE empty (id int)');
$prepare->('savepoint', 'SAVEPOINT s; CREATE TABLE a (id int); RELEASE s; SAVEPOINT s; CREATE TABLE b (id int); ROLLBACK TO s; CREATE TABLE d (id int)');
$prepare->('stays', 'CREATE TABLE stays (id int)');
is(blocks(), $before + 5, 'each table that is being made has a block');
like($prepare->('stays', 'CREATE TABLE twice (id int)'), qr/42710/, 'a name that is taken');
is(blocks(), $before + 5, 'is not prepared, and leaves nothing');

$c->sql("ROLLBACK PREPARED 'empty'");
ok(blocks_become($before + 4), 'rolled back without rows: the block goes');
$c->sql("ROLLBACK PREPARED 'rows'");
ok(blocks_become($before + 3), 'and with some');
$c->sql("ROLLBACK PREPARED 'savepoint'");
ok(blocks_become($before + 1), 'and of a savepoint');
$c->sql("COMMIT PREPARED 'stays'");
$prepare->('after', 'CREATE TABLE after (id int)');
$c->sql("ROLLBACK PREPARED 'after'");  # a sweep that comes after the commit
ok(blocks_become($before + 1), 'of a committed one it stays');
is($c->sql('INSERT INTO stays VALUES (1) RETURNING ctid'), '(0,1)', 'for its first row');
$c->sql('DROP TABLE stays');
ok(blocks_become($before), 'until the table is dropped');
$prepare->('dropped', 'CREATE TABLE dropped (id int); DROP TABLE dropped');
is(blocks(), $before, 'a table that is dropped again has none');
$c->sql("COMMIT PREPARED 'dropped'");

$prepare->('lost', 'CREATE TABLE lost (id int); INSERT INTO lost VALUES (1)');
$prepare->('kept', 'CREATE TABLE kept (id int); INSERT INTO kept VALUES (1)');
$prepare->('kept empty', 'CREATE TABLE kept_empty (id int)');
$c->kill_everything;
ok($c->start, 'the server starts again after kill -9');
$c->sql("ROLLBACK PREPARED 'lost'");
$c->sql("COMMIT PREPARED '$_'") for 'kept', 'kept empty';
is($c->sql('INSERT INTO kept VALUES (2); SELECT id FROM kept ORDER BY id'), "1\n2", 'a table that was committed has its rows');
is($c->sql('INSERT INTO kept_empty VALUES (2) RETURNING id'), '2', 'and gets new ones');
ok(blocks_become(2), 'and blocks; what was rolled back has none');
$c->sql('INSERT INTO t VALUES (2)');
ok(blocks_become(3), 'like a table from before');
is($c->sql('SELECT count(*) FROM pg_prepared_xacts'), '0', 'nothing is left');
is($c->sql("SELECT count(*) FROM pg_class WHERE relname IN ('rows', 'empty', 'a', 'b', 'd', 'lost')"), '0', 'of what was rolled back');
