# Datalog over other stores: another cluster's, a backup, another database of the cluster, beside this database in one query.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Cluster;
use Test::More;

plan skip_all => 'heap has no store' if $Cluster::am eq 'heap';
plan tests => 40;

my $far = Cluster->new('datahike.fold_delay = 5ms', 'autovacuum = off');
my $c = Cluster->new('datahike.fold_delay = 5ms', 'autovacuum = off');
$far->sql(<<'END');
CREATE TYPE mood AS ENUM ('sad', 'glad');
CREATE SCHEMA hq;
CREATE TABLE person (id int PRIMARY KEY, name text, pay numeric(8,2), tags text[], born date, code char(5));
INSERT INTO person VALUES (1, 'Ann', 10.50, '{a,b}', '2000-01-01', 'x'), (2, 'Bob', 20, NULL, NULL, 'yy'), (3, NULL, 30, '{}', NULL, NULL);
CREATE TABLE hq.room (id int, person int);
INSERT INTO hq.room VALUES (7, 1), (8, 2), (9, 2);
CREATE TABLE state (id int, m mood);
INSERT INTO state VALUES (1, 'glad');
CREATE TABLE catalog (id int, tables regclass[]);
INSERT INTO catalog VALUES (1, '{state}');
END
$far->sql(q{SELECT datahike.transact('[{:db/ident :crew/name :db/valueType :db.type/string :db/unique :db.unique/identity}
  {:db/ident :crew/likes :db/valueType :db.type/string :db/cardinality :db.cardinality/many} {:db/ident :crew/boss :db/valueType :db.type/ref}
  {:db/id 100 :crew/name "Ada" :crew/likes ["x" "y"]} {:db/id 101 :crew/name "Bob" :crew/boss 100}]')});
my $tx = $far->sql('SELECT max(tx) FROM datahike.log()');
my $commit = $far->sql('SELECT datahike.commit_id()');
$far->sql(<<'END');
SELECT datahike.create_branch('side');
UPDATE person SET pay = 11 WHERE id = 1;
DELETE FROM person WHERE id = 3;
ALTER TABLE person ADD COLUMN kind text DEFAULT 'old';
INSERT INTO person VALUES (4, 'Cy', 40, NULL, NULL, NULL, 'new');
SET datahike.branch = 'side';
UPDATE person SET pay = 99 WHERE id = 1;
SELECT datahike.transact('[[:db/retract 100 :crew/likes "x"]]');
END
my $oid = $far->sql("SELECT oid FROM pg_database WHERE datname = 'test'");
my $store = "$far->{dir}/data/datahike/$oid";
$c->sql(<<"END");
CREATE SERVER far FOREIGN DATA WRAPPER datahike OPTIONS (store '$store');
CREATE SERVER earlier FOREIGN DATA WRAPPER datahike OPTIONS (store '$store', as_of '$tx');
CREATE SERVER here FOREIGN DATA WRAPPER datahike OPTIONS (branch 'db');
CREATE FOREIGN DATA WRAPPER other;
CREATE SERVER other FOREIGN DATA WRAPPER other;
CREATE TABLE person (id int PRIMARY KEY, name text);
INSERT INTO person VALUES (1, 'Ann'), (2, 'Bert'), (5, 'Eve');
END
sub q_json { my ($query, @inputs) = @_; return $c->sql("SELECT datahike.q_json('$query'" . join('', map { ", $_" } @inputs) . ')') }
my $far_db = "datahike.foreign_db('far')";
my $pays = '[:find ?i ?p :in $ :where [?e :person/id ?i] [?e :person/pay ?p] :order-by [?i]]';

ok($c->wait_for(sub { q_json($pays, $far_db) eq '[[1, 11.00], [2, 20.00], [4, 40.00]]' }), 'rows of another store') or diag(q_json($pays, $far_db));
is(q_json($pays, "datahike.foreign_db('earlier')"), '[[1, 10.50], [2, 20.00], [3, 30.00]]', 'as of a time that the server names');
is(q_json($pays, "datahike.as_of($far_db, $tx)"), '[[1, 10.50], [2, 20.00], [3, 30.00]]', 'that the query names');
is(q_json($pays, "datahike.foreign_db('far', '$commit')"), '[[1, 10.50], [2, 20.00], [3, 30.00]]', 'of a commit');
ok($c->wait_for(sub { q_json($pays, "datahike.foreign_db('far', 'side')") eq '[[1, 99.00], [2, 20.00], [3, 30.00]]' }), 'of a branch');
is(q_json('[:find ?i ?here ?there :in $ $far :where [?e :person/id ?i] [?e :person/name ?here] [$far ?f :person/id ?i] [$far ?f :person/name ?there] :order-by [?i]]',
  'datahike.db()', $far_db), '[[1, "Ann", "Ann"], [2, "Bert", "Bob"]]', 'beside this database in one query');
is(q_json('[:find ?i ?old ?new :in $old $new :where [$old ?e :person/pay ?old] [$new ?e :person/pay ?new] [(not= ?old ?new)] [$new ?e :person/id ?i]]',
  "datahike.foreign_db('earlier')", $far_db), '[[1, 10.50, 11.00]]', 'rows keep their entities through updates there');
is(q_json('[:find ?n ?r :in $ :where [?e :person/id ?i] [?e :person/name ?n] [?x :hq.room/person ?i] [?x :hq.room/id ?r] :order-by [?r]]', $far_db),
  '[["Ann", 7], ["Bob", 8], ["Bob", 9]]', 'a table of another schema');
is(q_json('[:find ?t ?b ?c :in $ :where [?e :person/id 1] [?e :person/tags ?t] [?e :person/born ?b] [?e :person/code ?c]]', $far_db),
  '[[["a", "b"], "2000-01-01T00:00:00.000-00:00", "x"]]', 'values of several types');
is(q_json('[:find ?i ?k :in $ :where [?e :person/id ?i] [?e :person/kind ?k] :order-by [?i]]', $far_db), '[[1, "old"], [2, "old"], [4, "new"]]', 'a column that was added');
is(q_json('[:find ?i ?k :in $ :where [?e :person/id ?i] [?e :person/kind ?k]]', "datahike.foreign_db('earlier')"), '[]', 'which was not there then');
is(q_json('[:find [?i ...] :in $ :where [?e :person/id ?i] (not [?e :person/name]) :order-by [?i]]', "datahike.foreign_db('earlier')"), '[3]', 'NULL is no fact');

# Facts there.
is(q_json('[:find ?n ?l :in $ :where [?e :crew/name ?n] [?e :crew/likes ?l] :order-by [?l]]', $far_db), '[["Ada", "x"], ["Ada", "y"]]', 'facts');
is(q_json('[:find ?n ?l :in $ :where [?e :crew/name ?n] [?e :crew/likes ?l] :order-by [?l]]', "datahike.foreign_db('far', 'side')"), '[["Ada", "y"]]', 'of a branch');
is(q_json('[:find ?e . :in $ :where [?e :crew/boss [:crew/name "Ada"]]]', $far_db), '101', 'a lookup ref to facts');
is(q_json('[:find ?added . :in $ :where [101 :crew/name _ ?tx ?added]]', $far_db), 'true', 'their tx and added');
is($c->sql("SELECT datahike.pull('[:crew/name :crew/likes {:crew/_boss [:crew/name]}]', 100, $far_db)"),
  '{":crew/name": "Ada", ":crew/_boss": [{":crew/name": "Bob"}], ":crew/likes": ["x", "y"]}', 'pull');
is(q_json('[:find ?b . :in $ % :where (over ?a ?b) [?a :crew/name "Bob"]]', $far_db, "'[[(over ?a ?b) [?a :crew/boss ?b]]]'"), '100', 'rules');
is(q_json('[:find ?n ?i :in $ $far :where [$far _ :crew/name ?n] [?e :person/name ?n] [?e :person/id ?i]]', 'datahike.db()', $far_db), '[]', 'facts there beside rows here');

# What cannot be.
like(q_json('[:find ?m :in $ :where [_ :state/m ?m]]', $far_db), qr/0A000.*mood/, 'a type of the other cluster');
like(q_json('[:find ?t :in $ :where [_ :catalog/tables ?t]]', $far_db), qr/0A000.*regclass/, 'a type whose values are objects of the other database');
like(q_json('[:find ?t :in $ :where [_ :person/id _ ?t]]', $far_db), qr/0A000/, 'tx of rows');
like(q_json('[:find ?n . :in $ :where [[:person/id 1] :person/name ?n]]', $far_db), qr/0A000/, 'lookup refs to rows');
like(q_json($pays, "datahike.history($far_db)"), qr/0A000/, 'history');
like(q_json($pays, "datahike.since($far_db, $tx)"), qr/0A000/, 'since');
like(q_json($pays, "datahike.foreign_db('here')"), qr/22023/, 'a server that names a view of this database');
like(q_json($pays, "datahike.foreign_db('other')"), qr/42809/, 'a server of another wrapper');
like(q_json($pays, "datahike.foreign_db('nowhere')"), qr/42704/, 'no server');
like(q_json($pays, "datahike.foreign_db('far', 'nowhere')"), qr/42704/, 'no branch');
like(q_json($pays, "datahike.foreign_db('earlier', 'side')"), qr/22023/, 'a branch of a server that names a time');
like($c->sql("SELECT datahike.pull('[*]', 1, datahike.foreign_db(NULL))"), qr/22004/, 'no server is not the session\'s database');

# Rights.
$c->sql('CREATE ROLE reader; GRANT USAGE ON SCHEMA datahike TO reader');
like($c->sql("SET ROLE reader; SELECT datahike.q_json('$pays', $far_db)"), qr/42501/, 'who has not USAGE on the server is refused');
$c->sql('GRANT USAGE ON FOREIGN SERVER far TO reader');
is($c->sql("SET ROLE reader; SELECT datahike.q_json('$pays', $far_db)"), '[[1, 11.00], [2, 20.00], [4, 40.00]]', 'who has it reads');

# Another database of the cluster; whoever reads it may connect to it.
(my $second = $c->command) =~ s/ test$/ second/;
$c->sql('CREATE DATABASE second');
my $made = `$second -c 'CREATE EXTENSION datahike' -c 'CREATE TABLE person (id int, pay int) USING datahike' -c 'INSERT INTO person VALUES (7, 1), (8, 2)' 2>&1`;
$c->sql("CREATE SERVER second FOREIGN DATA WRAPPER datahike OPTIONS (database 'second'); GRANT USAGE ON FOREIGN SERVER second TO reader");
ok($c->wait_for(sub { q_json($pays, "datahike.foreign_db('second')") eq '[[7, 1], [8, 2]]' }), 'another database of the cluster') or diag($made);
is(q_json('[:find ?h ?f ?s :in $ $f $s :where [?x :person/id ?h] [(inc ?h) ?f] [$f ?y :person/id ?f] [(+ ?f 5) ?s] [$s ?z :person/id ?s]]',
  'datahike.db()', $far_db, "datahike.foreign_db('second')"), '[[1, 2, 7]]', 'three stores in one query');
$c->sql('REVOKE CONNECT ON DATABASE second FROM PUBLIC');
like($c->sql("SET ROLE reader; SELECT datahike.q_json('$pays', datahike.foreign_db('second'))"), qr/42501/, 'whoever may not connect to it is refused');

# What is tested before rows are decoded: the same answers as of the database itself.
$far->sql(<<'END');
CREATE TABLE num (id int, big bigint, small smallint, at timestamptz, local timestamp, day date, t text, part numeric);
INSERT INTO num SELECT i, nullif(i, 50) * 10000000000, i % 100, '2020-01-01Z'::timestamptz + i * interval '1 hour', '2020-01-01'::timestamp + i * interval '1 hour', '2020-01-01'::date + i % 40, nullif('t' || i % 9, 't4'), i / 4.0
  FROM generate_series(1, 700) i;
INSERT INTO num SELECT id + 700, -big, small, at + interval '1 year', 'infinity', '-infinity', t, part FROM num;
UPDATE num SET t = 'changed', small = 500 WHERE id % 97 = 3;
DELETE FROM num WHERE id % 101 = 5;
END
my @wheres = ('[?e :num/big ?i] [(< ?i 100000000000)]', '[?e :num/big ?i] [(> ?i 6900000000000)]', '[?e :num/small 7] [?e :num/id ?i]', '[?e :num/small 7.0] [?e :num/id ?i]',
  '[?e :num/at ?a] [(< ?a #inst "2020-01-01T05:00:00Z")] [?e :num/id ?i]', '[?e :num/local ?a] [(> ?a #inst "2020-01-29")] [?e :num/id ?i]', '[?e :num/at #inst "2020-01-02"] [?e :num/id ?i]',
  '[?e :num/day #inst "2020-01-03"] [?e :num/id ?i]', '[?e :num/t "changed"] [?e :num/id ?i]', '[?e :num/t "t3"] [?e :num/small ?s] [(<= 30 ?s 40)] [?e :num/id ?i]', '[?e :num/t 5] [?e :num/id ?i]',
  '[?e :num/id ?i] [(< 100 ?i 110.5)]', '[?e :num/part 2.5] [?e :num/id ?i]', '[?e :num/id 12] [?e :num/small ?s] [?f :num/small ?s] [?f :num/id ?i]', '[?e :num/id ?i] [(= ?i 12)]', '[?e :num/id ?i] (not [?e :num/t])',
  '[?e :num/id 13] [?e :num/at ?a] [?e :num/big ?i]', '[?e :num/day ?d] [(< ?d #inst "2019-01-01")] [?e :num/id ?i]', '[?e :num/id ?i] [(< ?i 9223372036854775807)] [(> ?i 1390)]', '[?e :num/id ?i] [(>= ?i 9223372036854775807)]');
my $all = '[:find (count ?i) . :in $ :where [_ :num/id ?i]]';
ok($c->wait_for(sub { q_json($all, $far_db) eq $far->sql("SELECT datahike.q_json('$all', datahike.db())") }), 'all of a table');
my @different;
for my $where (@wheres) {
  my $query = "[:find [?i ...] :in \$ :where $where :order-by [?i]]";
  my ($there, $itself) = (q_json($query, $far_db), $far->sql("SELECT datahike.q_json('$query', datahike.db())"));
  push @different, "$where: $there, and itself $itself" if $there ne $itself || $there !~ /^\[/;
}
is(join("\n", @different), '', 'answers under conditions are those of the database itself');

$c->sql('CREATE SCHEMA far; IMPORT FOREIGN SCHEMA public LIMIT TO (num) FROM SERVER far INTO far');
@different = ();
for my $where ('id = 7', 'id < 7', '7 < id AND big < 0', 'big >= 100000000000', 'small = 500', "at < '2020-01-01 05:00Z'", "local = 'infinity'", "day <= '2020-01-03'", "t = 't3'", "t = 't3' AND id < 50",
    "t = 'nothing'", 'big IS NULL', 'id > 2147483646', 'id::bigint = 7', 'part = 2.5', 'small < id', "at = '2020-01-02Z' OR id = 3", "t || '' = 't3'", 'id = (SELECT 9)', 'big <> 10000000000') {
  my $query = "SELECT count(*) || ' ' || coalesce(sum(hashtext(x::text)), 0) FROM %s x WHERE $where";
  my ($there, $itself) = ($c->sql(sprintf $query, 'far.num'), $far->sql(sprintf $query, 'num'));
  push @different, "$where: $there, and itself $itself" if $there ne $itself || $there !~ /^\d/;
}
is(join("\n", @different), '', 'and of foreign tables');

# Its server is stopped.
$far->stop;
is(q_json($pays, $far_db), '[[1, 11.00], [2, 20.00], [4, 40.00]]', 'after its server was stopped');
