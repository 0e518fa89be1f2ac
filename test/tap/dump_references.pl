# Facts that refer to rows over a dump: the dump has the rows' keys, restored facts are refused by name until relink_rows() has
# looked them up, and then refer to the rows that they referred to. Plain, in parallel and by INSERT; a dump of what is not linked
# yet; branches made meanwhile; rows that are missing, or several; rows that were gone before; erasing.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Cluster;
use Test::More;

plan skip_all => 'heap has no facts' if $Cluster::am eq 'heap';
plan tests => 55;

my $c = Cluster->new('datahike.fold_delay = 5ms');
my $connect = "-h $c->{dir}/socket -U postgres";

sub in { return $c->in(@_) }

sub run { my ($command) = @_; return system("$command >$c->{home}/out 2>&1") }

is(in('test', <<'SQL'), '', 'there are tables and attributes');
\o /dev/null
CREATE SCHEMA "Odd ""one""";
CREATE TABLE person (id int PRIMARY KEY, name text);
CREATE TABLE "Odd ""one""".thing (at timestamptz, k text, "A b" numeric, label text, PRIMARY KEY (at, k, "A b"));
CREATE TABLE event (day date, id int, what text, PRIMARY KEY (day, id)) PARTITION BY RANGE (day);
CREATE TABLE event_old PARTITION OF event FOR VALUES FROM ('2000-01-01') TO ('2020-01-01');
CREATE TABLE event_new PARTITION OF event FOR VALUES FROM ('2020-01-01') TO ('2040-01-01');
CREATE TABLE note (body text, x float8, nothing int, twice text GENERATED ALWAYS AS (body || body) STORED);
CREATE TABLE child (extra int) INHERITS (note);
CREATE TABLE long (k text PRIMARY KEY, v int);
CREATE TABLE kind (of regclass PRIMARY KEY, word text);
INSERT INTO kind VALUES ('person', 'people');
CREATE MATERIALIZED VIEW unfilled AS SELECT id FROM person WITH NO DATA;
CREATE MATERIALIZED VIEW many AS SELECT g AS n FROM generate_series(1, 5) g;
INSERT INTO person SELECT g, 'before ' || g FROM generate_series(1, 3000) g;
DELETE FROM person WHERE id <= 1000;
INSERT INTO person SELECT g, 'person ' || g FROM generate_series(1, 1000) g;
UPDATE person SET name = name || '!' WHERE id % 2 = 0;
DELETE FROM person WHERE id > 1500;
INSERT INTO "Odd ""one""".thing VALUES ('2024-02-29 12:00:00.123456+05:30', E'a\\b\t''"é', 1.50, 'thing 1'), ('infinity', '', 'NaN', 'thing 2');
INSERT INTO event VALUES ('2019-12-31', 1, 'old'), ('2020-01-01', 1, 'new');
INSERT INTO note VALUES ('one', 0.1::float8 + 0.2), ('two', '-5e-324'), ('two', 'NaN'), (NULL, 3);
INSERT INTO child (body, x, extra) VALUES ('one', 0.1::float8 + 0.2, 7);
INSERT INTO long SELECT repeat(md5(g::text), 100) || g, g FROM generate_series(1, 3) g;
SELECT datahike.transact('[
  {:db/ident :v/name :db/valueType :db.type/string :db/unique :db.unique/identity}
  {:db/ident :v/day :db/valueType :db.type/long}
  {:db/ident :v/one :db/valueType :db.type/ref}
  {:db/ident :v/many :db/valueType :db.type/ref :db/cardinality :db.cardinality/many}
  {:db/ident :v/badge :db/valueType :db.type/ref :db/unique :db.unique/value}
  {:db/ident :v/pair :db/valueType :db.type/tuple :db/tupleTypes [:db.type/ref :db.type/long]}
  {:db/ident :v/key :db/valueType :db.type/tuple :db/tupleAttrs [:v/one :v/day] :db/unique :db.unique/identity}]');
SQL

# Entities of rows that no lookup ref finds: by what a query says of them.
sub entity { my ($where) = @_; return in('test', "SELECT datahike.q_json('[:find ?e :where $where]')->0->>0") }
my ($old, $new) = (entity('[?e :event/what "old"]'), entity('[?e :event/what "new"]'));
my ($nan, $null) = (entity('[?e :note/body "two"] [?e :note/x ?x] [(< ?x 1)]'), entity('[?e :note/x 3.0]'));
my ($one, $long, $kind) = (entity('[?e :long/v 3]'), entity('[?e :long/v 2]'), entity('[?e :kind/word "people"]'));
like("$old $new $nan $null $one $long $kind", qr/^\d+ \d+ \d+ \d+ \d+ \d+ \d+$/, 'rows are entities') or diag "$old, $new, $nan, $null, $one, $long, $kind";
is(in('test', <<SQL), '', 'facts refer to rows');
\\o /dev/null
SET search_path = "Odd ""one""", public;
SELECT datahike.transact('[{:v/name "a" :v/day 1 :v/one [:person/id 5] :v/many [[:person/id 6] [:person/id 7] $old]}
  {:v/name "b" :v/day 1 :v/one $new :v/badge [:person/id 9] :v/many [$nan $null $kind]}
  {:v/name "c" :v/day 2 :v/one $one :v/pair [$long 3]}
  {:v/name "d" :v/one [:person/id 1500] :v/many [[:person/id 1401] [:person/id 1402] [:person/id 1403]]}
  {:v/name "f" :v/one [:person/id 1401]}
  {:v/name "e" :v/one [:v/name "a"] :v/pair [1 4]}]');
SELECT datahike.transact('[{:v/name "t" :v/many [' || string_agg(e::text, ' ') || ']}]') FROM (
  SELECT jsonb_array_elements(datahike.q_json('[:find ?e :where [?e :thing/label ?l]]'))->>0 AS e) x;
SQL
in('test', 'DELETE FROM person WHERE id IN (1401, 1402)');    # two references to one, one to another, are of no row

# What the facts say, with rows by what they hold; references of no row only by how many they are.
my $answers = <<'SQL';
SET search_path = "Odd ""one""", public;
SELECT jsonb_agg(x ORDER BY x) FROM (
  SELECT jsonb_array_elements(datahike.q_json('[:find ?n ?w :where (or [?v :v/one ?p] [?v :v/many ?p] [?v :v/badge ?p]) [?v :v/name ?n] [?p :person/name ?w]]')) x
  UNION ALL SELECT jsonb_array_elements(datahike.q_json('[:find ?n ?w :where [?v :v/name ?n] (or [?v :v/one ?p] [?v :v/many ?p]) [?p :event/what ?w]]'))
  UNION ALL SELECT jsonb_array_elements(datahike.q_json('[:find ?n ?w :where [?v :v/name ?n] [?v :v/many ?p] [?p :note/x ?w]]'))
  UNION ALL SELECT jsonb_array_elements(datahike.q_json('[:find ?n ?w :where [?v :v/name ?n] [?v :v/one ?p] [?p :long/v ?w]]'))
  UNION ALL SELECT jsonb_array_elements(datahike.q_json('[:find ?n ?w :where [?v :v/name ?n] [?v :v/many ?p] [?p :kind/word ?w]]'))
  UNION ALL SELECT jsonb_array_elements(datahike.q_json('[:find ?n ?w :where [?v :v/name ?n] [?v :v/many ?p] [?p :thing/label ?w]]'))) y;
SELECT datahike.pull('[:v/name :v/badge {:v/one [:person/name]}]', '[:v/name "a"]') - ':v/badge';
SELECT datahike.q_json('[:find ?n ?w ?i :where [?v :v/name ?n] [?v :v/pair ?t] [(untuple ?t) [?p ?i]] [?p :long/v ?w]]');
SELECT datahike.q_json('[:find ?n . :where [?v :v/badge ?p] [?p :person/id 9] [?v :v/name ?n]]');
SELECT datahike.entity(format('[:v/key [%s 1]]', e)) ->> ':v/name' FROM (SELECT datahike.q_json('[:find ?e . :where [?e :person/id 5]]') #>> '{}' AS e) x;
SELECT string_agg(d.n::text, ',' ORDER BY d.n) FROM (SELECT count(*) AS n FROM datahike.datoms('eavt') WHERE a IN (':v/one', ':v/many') AND datahike.pull('[:person/id :note/x :event/id :long/v :kind/word :thing/label :v/name]', v::text::int8) IS NULL GROUP BY v) d;
SQL
my $truth = in('test', $answers);
like($truth, qr/person 6!.*\n.*person 5.*\n.*"c".*\n"b"\na\n1,2$/s, 'as asked') or diag $truth;

my $refused = qr/ERROR:  55000: .*SELECT datahike\.relink_rows\(\)/s;
sub restored_is_refused {
    my ($db) = @_;
    like(in($db, "SELECT * FROM datahike.datoms('aevt', ':v/one')"), $refused, "$db: datoms() is refused");
    like(in($db, q{SELECT datahike.q_json('[:find ?n ?w :where [?v :v/name ?n] [?v :v/one ?p] [?p :person/name ?w]]')}), $refused, "$db: a query is");
    like(in($db, q{SELECT datahike.pull('[*]', '[:v/name "a"]')}), $refused, "$db: pull is");
    like(in($db, q{SELECT datahike.datoms('vaet', (datahike.q_json('[:find ?e . :where [?e :person/id 5]]') #>> '{}')::int8)}), $refused, "$db: what refers to a row is");
    like(in($db, q{SELECT datahike.transact('[[:db/retractEntity [:person/id 5]]]')}), $refused, "$db: a transaction that would retract references is");
    like(in($db, q{SELECT datahike.transact('[{:v/name "z" :v/badge [:person/id 9]}]')}), $refused, "$db: and one that has to look for a unique reference");
    is(in($db, q{SELECT datahike.entity('[:v/name "e"]') ->> ':v/name'}), 'e', "$db: entities without such references are read");
}

is(run("pg_dump $connect -f $c->{home}/plain.sql test"), 0, 'pg_dump');
is(run("pg_dump $connect --inserts --quote-all-identifiers -f $c->{home}/inserts.sql test"), 0, 'pg_dump --inserts --quote-all-identifiers');
is(run("pg_dump $connect -Fd -j 2 -f $c->{home}/jobs test"), 0, 'pg_dump -Fd -j2');
in('postgres', "CREATE DATABASE $_") for qw(plain inserts jobs again lost);
is(run("psql -Xq $connect -d plain -v ON_ERROR_STOP=1 -f $c->{home}/plain.sql"), 0, 'restored by psql');
is(run("psql -Xq $connect -d inserts -v ON_ERROR_STOP=1 -f $c->{home}/inserts.sql"), 0, 'restored by INSERT');
is(run("pg_restore $connect -d jobs -j 2 $c->{home}/jobs"), 0, 'restored by two jobs');

# plain: linked at once
restored_is_refused('plain');
like(in('plain', 'SELECT datahike.relink_rows()'), qr/^\d\d$/, 'plain: references are linked');
is(in('plain', $answers), $truth, 'plain: the answers are those of the original');
is(in('plain', 'SELECT datahike.relink_rows()'), '0', 'plain: there is nothing left to link');
is(in('plain', "SET datahike.history = on; SELECT count(*) FROM datahike.datoms('aevt', ':v/one') WHERE NOT added"), '0', 'plain: history begins with the linked facts');
is(in('plain', q{SELECT datahike.transact('[[:db/retractEntity [:person/id 5]]]') IS NOT NULL; SELECT datahike.entity('[:v/name "a"]') ? ':v/one'}), "t\nf", 'plain: retracting a row retracts its references');
like(in('plain', q{SELECT count(*) FROM datahike.tx_datoms((SELECT d FROM datahike.log() l, LATERAL (SELECT l.commit_id::text AS d) x ORDER BY l.tx LIMIT 1))}), $refused, 'plain: changes across the linking are refused');
like(in('plain', "SELECT versions > 10 FROM datahike.purge('datahike.facts', 'r = -1')"), qr/^t$/, 'plain: until what the dump said is erased');
like(in('plain', q{SELECT count(*) FROM datahike.tx_datoms((SELECT d FROM datahike.log() l, LATERAL (SELECT l.commit_id::text AS d) x ORDER BY l.tx LIMIT 1))}), qr/^\d+$/, 'plain: then they are read');
is(in('plain', q{SELECT count(*) FROM datahike.verify(true) WHERE status NOT IN ('ok', 'redacted')}), '0', 'plain: the store is sound');

# inserts: the rest after a dump of what is not linked
is(in('inserts', q{SELECT count(*) > 10 FROM datahike.facts WHERE r = -1}), 't', 'inserts: facts are there');
is(run("pg_dump $connect -Fc -f $c->{home}/again inserts"), 0, 'inserts: dumped once more');
is(run("pg_restore $connect -d again $c->{home}/again"), 0, 'again: restored');
restored_is_refused('again');
like(in('again', 'SELECT datahike.relink_rows()'), qr/^\d\d$/, 'again: references are linked');
is(in('again', $answers), $truth, 'again: the answers are those of the original');
is(run("pg_dump $connect -Fc -f $c->{home}/linked again"), 0, 'again: dumped when linked');
is(run("psql -Xq $connect -d lost -c 'CREATE EXTENSION datahike; CREATE TABLE person (id int PRIMARY KEY, name text) USING datahike'; (pg_restore $connect -d lost $c->{home}/linked || true)"), 0, 'lost: restored where a table is in the way');

# jobs: branches made before are linked by themselves
in('jobs', "SELECT datahike.create_branch('other')");
like(in('jobs', 'SELECT datahike.relink_rows()'), qr/^\d\d$/, 'jobs: references are linked');
is(in('jobs', $answers), $truth, 'jobs: the answers are those of the original');
like(in('jobs', "SET datahike.branch = 'other'; $answers"), $refused, 'jobs: not yet on a branch');
is(in('jobs', "SET datahike.branch = 'other'; \\o /dev/null\nSELECT datahike.relink_rows();\n\\o\n$answers"), $truth, 'jobs: when that has linked its own');
is(in('jobs', q{SELECT m.conflicts FROM datahike.merge('other') m}), '3', 'jobs: and both say the same, but for what refers to no row, by a new entity each');

# same store: a copy of the database has the same entities
in('postgres', 'CREATE DATABASE copy TEMPLATE test');
is(in('copy', $answers), $truth, 'copy: nothing is to be linked');

# rows that are missing or not to be told apart
in('lost', 'DELETE FROM person WHERE id = 1403');
like(in('lost', 'SELECT datahike.relink_rows()'), qr/ERROR:  02000: Nothing found for public\.person with \(id\) = \(1403\)/, 'lost: a row that is missing is named');
in('lost', "INSERT INTO person VALUES (1403, 'again')");
in('lost', "INSERT INTO note VALUES (NULL, 3)");
like(in('lost', 'SELECT datahike.relink_rows()'), qr/ERROR:  21000: several rows are public\.note with \(body, x, nothing\) = \(NULL, 3, NULL\)/, 'lost: so are several rows');
like(in('lost', $answers), $refused, 'lost: nothing was linked');
in('lost', 'DROP TABLE event');
like(in('lost', 'SELECT datahike.relink_rows()'), qr/ERROR:  02000: Nothing found for public\.event with/, 'lost: and a table that is missing');
in('lost', 'CREATE ROLE somebody; GRANT USAGE ON SCHEMA datahike TO somebody; GRANT ALL ON datahike.facts TO somebody');
like(in('lost', 'SET ROLE somebody; SELECT datahike.relink_rows()'), qr/ERROR:  42501: must be owner of table facts/, 'lost: only who owns the facts links them');

# erasing: the fact's older versions go with it, and nothing goes as long as it is not known what refers to the row
like(in('inserts', q{SELECT datahike.transact('[[:db/purge [:v/name "f"] :v/one 4398046511105]]')}), $refused, 'inserts: a reference that is not linked is not purged');
in('inserts', 'SELECT datahike.relink_rows()');
is(in('inserts', $answers), $truth, 'inserts: the answers are those of the original');
is(in('inserts', q{SELECT (datahike.transact(format('[[:db/purge [:v/name "b"] :v/badge %s]]', datahike.q_json('[:find ?e . :where [?e :person/id 9]]') #>> '{}'))->>'purged')::int >= 2}), 't', 'inserts: a fact is purged with what it was before');
is(in('inserts', q{SELECT count(*) FROM datahike.versions(NULL::datahike.facts) v WHERE (v.row).a = (SELECT id FROM datahike.schema() WHERE ident = ':v/badge')}), '0', 'inserts: nothing of it is left');
