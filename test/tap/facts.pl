# Facts over a crash, a prepared transaction, a dump and its restoration, and a new installation.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Cluster;
use Test::More;

plan skip_all => 'heap has no extension' if $Cluster::am eq 'heap';
plan tests => 16;

my $c = Cluster->new("max_prepared_transactions = 2\ndatahike.fold_delay = 5ms");
my $facts = q{SELECT string_agg(concat_ws(' ', e, a, v), ', ' ORDER BY e, a, v::text) FROM datahike.datoms('eavt') WHERE a LIKE ':c/%'};
$c->sql(q{SELECT datahike.transact('[{:db/ident :c/name :db/valueType :db.type/string :db/unique :db.unique/identity} {:db/ident :c/n :db/valueType :db.type/long :db/cardinality :db.cardinality/many}]')});
my $tx = $c->sql(q{SELECT datahike.transact('[{:c/name "a" :c/n [1 2]}]')->'tx'});
my $before = '3 :c/n 1, 3 :c/n 2, 3 :c/name "a"';
is($c->sql($facts), $before, 'facts are there');

$c->sql(q{BEGIN; SELECT datahike.transact('[{:c/name "prepared"}]'); PREPARE TRANSACTION 'p'});
is($c->sql($facts), $before, 'those of a prepared transaction are not yet');
$c->kill_everything;
ok($c->start, 'the server starts after kill -9');
is($c->sql($facts), $before, 'with what was committed');
$c->sql("COMMIT PREPARED 'p'");
is($c->sql($facts), "$before, 4 :c/name \"prepared\"", 'and what was prepared');
my $ids = $c->sql(q{SELECT datahike.transact('[{:db/id "x" :c/name "new"}]')->'tempids'->'x'});
cmp_ok($ids, '>', 4, 'entity ids are not drawn twice');
is($c->sql("SET datahike.as_of = $tx; $facts"), $before, 'a transaction from before the crash is a point in time');
is($c->sql(q{SELECT count(*) FROM datahike.verify(true) WHERE status <> 'ok'}), '0', 'the store is sound');

my $now = $c->sql($facts);
my $connect = "-h $c->{dir}/socket -U postgres";
is(system("pg_dump $connect -f $c->{home}/dump.sql test"), 0, 'pg_dump');
is(system("psql -Xqd postgres $connect -c 'CREATE DATABASE copy'"), 0, 'a new database');
is(system("psql -Xqd copy $connect -v ON_ERROR_STOP=1 -f $c->{home}/dump.sql >$c->{home}/restored 2>&1"), 0, 'takes it');
my $in_copy = sub { my ($sql) = @_; my $answer = qx{psql -XqAtd copy $connect -c "$sql" 2>&1}; chomp $answer; return $answer };
(my $quoted = $facts) =~ s/"/\\"/g;
is($in_copy->($quoted), $now, 'the facts are those of the original');
cmp_ok($in_copy->(q{SELECT datahike.transact('[{:db/id -1 :c/n 5}]')->'tempids'->'-1'}), '>', $ids, 'new entities come after them');
is($in_copy->(q{SELECT count(*) FROM datahike.datoms('aevt', 'db/txInstant') WHERE e <> tx OR tx IS NULL}), '0', 'transactions are their own');

$c->sql('SET client_min_messages = warning; DROP EXTENSION datahike CASCADE; CREATE EXTENSION datahike');
is($c->sql($facts), '', 'a new installation has no facts');
is($c->sql(q{SELECT datahike.transact('[[:db/add "x" :db/ident :c/name]]')->'tempids'}), '{"x": 1}', 'and begins with entity 1');
