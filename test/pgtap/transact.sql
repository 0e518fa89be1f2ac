-- What transact() makes of each form of transaction data, and what it refuses.
SELECT plan(94);

CREATE FUNCTION t(text) RETURNS jsonb LANGUAGE sql VOLATILE AS $$ SELECT datahike.transact($1) $$;
-- The datoms of a report as lines, without tx and without what the transaction says of itself.
CREATE FUNCTION lines(jsonb) RETURNS text[] LANGUAGE sql AS $$
  SELECT coalesce(array_agg(concat_ws(' ', CASE WHEN (d->>4)::bool THEN '+' ELSE '-' END, d->>0, d->>1, d->2) ORDER BY n), '{}')
  FROM jsonb_array_elements($1->'tx_data') WITH ORDINALITY x(d, n) WHERE d->>1 <> ':db/txInstant' $$;
CREATE FUNCTION tl(text) RETURNS text[] LANGUAGE sql VOLATILE AS $$ SELECT lines(datahike.transact($1)) $$;
CREATE FUNCTION of(bigint) RETURNS text[] LANGUAGE sql AS $$
  SELECT coalesce(array_agg(a || ' ' || v ORDER BY a, v::text), '{}') FROM datahike.datoms('eavt', $1) $$;

-- the schema is facts
SELECT is(tl($$[{:db/ident :p/name :db/valueType :db.type/string :db/unique :db.unique/identity}]$$),
  '{"+ 1 :db/ident \":p/name\"","+ 1 :db/unique \":db.unique/identity\"","+ 1 :db/valueType \":db.type/string\""}'::text[], 'attributes are facts');
SELECT t($$[{:db/ident :p/age :db/valueType :db.type/long :db/cardinality :db.cardinality/one :db/doc "in years"}
  {:db/ident :p/likes :db/valueType :db.type/string :db/cardinality :db.cardinality/many}
  {:db/ident :p/friend :db/valueType :db.type/ref :db/cardinality :db.cardinality/many}
  {:db/ident :p/house :db/valueType :db.type/ref :db/isComponent true}
  {:db/ident :p/email :db/valueType :db.type/string :db/unique :db.unique/value}
  {:db/ident :h/street :db/valueType :db.type/string}
  {:db/ident :p/color :db/valueType :db.type/ref}
  {:db/ident :color/red}]$$) \g /dev/null
SELECT is((SELECT array_agg(id || ident || value_type || cardinality || coalesce("unique", '') ORDER BY id) FROM datahike.schema() WHERE id < 4),
  '{1:p/name:db.type/string:db.cardinality/one:db.unique/identity,2:p/age:db.type/long:db.cardinality/one,3:p/likes:db.type/string:db.cardinality/many}'::text[],
  'schema() lists them');
SELECT is((SELECT doc FROM datahike.schema() WHERE ident = ':p/age'), 'in years', 'with their docs');
SELECT is((SELECT count(*) FROM datahike.schema() WHERE ident = ':color/red'), 0::bigint, 'an ident alone is no attribute');

-- maps
SELECT is(tl('[{:p/name "Ivan" :p/age 15}]'), '{"+ 10 :p/age 15","+ 10 :p/name \"Ivan\""}'::text[], 'a map makes an entity');
SELECT is(tl('[{:db/id 10 :p/age 16}]'), '{"- 10 :p/age 15","+ 10 :p/age 16"}'::text[], 'a map of an entity changes it');
SELECT is(tl('[{:db/id 10 :p/likes ["pizza" "beer"]}]'), '{"+ 10 :p/likes \"pizza\"","+ 10 :p/likes \"beer\""}'::text[], 'a collection adds each of its values');
SELECT is(tl('[{:db/id 10 :p/likes #{"tea"}}]'), '{"+ 10 :p/likes \"tea\""}'::text[], 'a set too');
SELECT is(tl('[{:db/id 10 :p/likes "wine"}]'), '{"+ 10 :p/likes \"wine\""}'::text[], 'one value is one');
SELECT is(tl('[{:p/name "Petr" :p/house {:h/street "Oak"}}]'), '{"+ 11 :h/street \"Oak\"","+ 12 :p/house 11","+ 12 :p/name \"Petr\""}'::text[], 'a map within a map is an entity of its own');
SELECT is(tl('[{:p/name "Oleg" :p/_friend 10}]'), '{"+ 10 :p/friend 13","+ 13 :p/name \"Oleg\""}'::text[], 'a reverse attribute');
SELECT is(tl('[{:p/name "Anna" :p/_friend [10 12]}]'), '{"+ 10 :p/friend 14","+ 12 :p/friend 14","+ 14 :p/name \"Anna\""}'::text[], 'of several entities');
SELECT is(tl('[{:db/id 14 :p/color :color/red}]'), '{"+ 14 :p/color 9"}'::text[], 'a keyword is the entity with that ident');
SELECT is(tl('[{:p/name "Anna" :p/age 30}]'), '{"+ 14 :p/age 30"}'::text[], 'upsert by an identity');
SELECT is(tl('[{:db/id [:p/name "Anna"] :p/age 31}]'), '{"- 14 :p/age 30","+ 14 :p/age 31"}'::text[], 'a lookup ref as an entity');
SELECT is(tl('[{:db/id 10 :p/friend [:p/name "Petr"]}]'), '{"+ 10 :p/friend 12"}'::text[], 'a lookup ref as a value');
SELECT is(tl('[{:db/id 10 :p/friend [[:p/name "Petr"] [:p/name "Anna"]]}]'), '{}'::text[], 'several, which are true already');

-- operations
SELECT is(tl('[[:db/add 10 :p/age 17]]'), '{"- 10 :p/age 16","+ 10 :p/age 17"}'::text[], ':db/add');
SELECT is(tl('[[:db/retract 10 :p/age 17]]'), '{"- 10 :p/age 17"}'::text[], ':db/retract of a value');
SELECT is(tl('[[:db/retract 10 :p/age 17]]'), '{}'::text[], 'of one that is not there');
SELECT is((SELECT array_agg(l ORDER BY l) FROM unnest(tl('[[:db/retract 10 :p/likes]]')) l), '{"- 10 :p/likes \"beer\"","- 10 :p/likes \"pizza\"","- 10 :p/likes \"tea\"","- 10 :p/likes \"wine\""}'::text[], 'of all values') ;
SELECT is(tl('[{:db/id 10 :p/likes ["a" "b"]}]'), '{"+ 10 :p/likes \"a\"","+ 10 :p/likes \"b\""}'::text[], 'values to retract');
SELECT is(tl('[[:db.fn/retractAttribute 10 :p/likes]]'), '{"- 10 :p/likes \"a\"","- 10 :p/likes \"b\""}'::text[], ':db.fn/retractAttribute');
SELECT is(tl('[[:db/retract 999 :p/age]]'), '{}'::text[], 'of an entity without facts');
SELECT is(tl('[[:db/cas 14 :p/age 31 32]]'), '{"- 14 :p/age 31","+ 14 :p/age 32"}'::text[], ':db/cas');
SELECT throws_ok($$SELECT t('[[:db.fn/cas 14 :p/age 31 33]]')$$, '40001', ':db.fn/cas failed on datom [14 :p/age 32], expected 31', 'that fails');
SELECT is(tl('[[:db/cas 10 :p/age nil 18]]'), '{"+ 10 :p/age 18"}'::text[], 'that expects nothing');
SELECT throws_ok($$SELECT t('[[:db/cas 10 :p/age nil 19]]')$$, '40001', ':db.fn/cas failed on datom [10 :p/age 18], expected nil', 'and finds something');
SELECT throws_ok($$SELECT t('[[:db/cas 13 :p/age 1 2]]')$$, '40001', ':db.fn/cas failed on datom [13 :p/age nil], expected 1', 'that finds nothing');
SELECT is(tl('[[:db/cas [:p/name "Anna"] :p/age 32 32]]'), '{}'::text[], 'that changes nothing');

-- retracting entities: components go with them, references to them are retracted
SELECT is((SELECT array_agg(l ORDER BY l) FROM unnest(tl('[[:db/retractEntity [:p/name "Petr"]]]')) l),
  '{"- 10 :p/friend 12","- 11 :h/street \"Oak\"","- 12 :p/friend 14","- 12 :p/house 11","- 12 :p/name \"Petr\""}'::text[], ':db/retractEntity');
SELECT is(of(11), '{}'::text[], 'leaves nothing');
SELECT is(of(12), '{}'::text[], 'of components either');
SELECT is(tl('[[:db.fn/retractEntity 12]]'), '{}'::text[], 'twice is once');

-- one after the other
SELECT is(tl('[[:db/add 13 :p/age 1] [:db/retract 13 :p/age 1]]'), '{}'::text[], 'added and retracted is absent');
SELECT is(of(13), '{":p/name \"Oleg\""}'::text[], 'as if nothing had been');
SELECT is(tl('[[:db/retract 13 :p/name "Oleg"] [:db/add 13 :p/name "Oleg"]]'), '{}'::text[], 'retracted and added is present');
SELECT is(of(13), '{":p/name \"Oleg\""}'::text[], 'as before');
SELECT is(tl('[[:db/add 13 :p/age 1] [:db/add 13 :p/age 2]]'), '{"+ 13 :p/age 2"}'::text[], 'the last value of cardinality one counts');
SELECT is(tl('[[:db/add 13 :p/age 2] {:db/id 13 :p/age 2}]'), '{}'::text[], 'a redundant assertion writes nothing');
SELECT t('[[:db/add 13 :p/age 3]]')->'tx' AS before \gset
SELECT t('[[:db/add 13 :p/age 3]]')->'tx' AS after \gset
SELECT is(:after, :before, 'and has no transaction of its own');
SELECT is((SELECT tx FROM datahike.datoms('eavt', 13, 'p/age')), :before::bigint, 'the datom keeps its tx');

-- temporary ids
SELECT is(t('[[:db/add -1 :p/name "A"] [:db/add "b" :p/name "B"] [:db/add -1 :p/friend "b"]]')->'tempids', '{"b": 16, "-1": 15}', 'numbers and strings');
SELECT is(of(15), '{":p/friend 16",":p/name \"A\""}'::text[], 'which are the same entity throughout');
SELECT is(t('[{:db/id -1 :p/name "A" :p/age 1}]')->'tempids', '{"-1": 15}', 'they stand for an entity that is there, by its identity');
SELECT is(tl('[{:db/id -1 :p/name "C"} {:db/id -2 :p/name "C" :p/age 2}]'), '{"+ 17 :p/name \"C\"","+ 17 :p/age 2"}'::text[], 'two with the same identity are one');
SELECT throws_ok($$SELECT t('[{:db/id -1 :p/name "A"} {:db/id -1 :p/name "B"}]')$$, '23505', NULL, 'one cannot be two entities');
SELECT throws_ok($$SELECT t('[[:db/add 15 :p/friend -5]]')$$, '22023', NULL, 'one that is a value only is refused');
SELECT is(tl('[{:db/id -1 :p/name "D" :p/friend -1}]'), '{"+ 18 :p/friend 18","+ 18 :p/name \"D\""}'::text[], 'an entity may refer to itself');

-- the transaction is an entity
SELECT (t('[[:db/add :db/current-tx :db/doc "why"] {:p/name "E"}]')->>'tx')::bigint AS tx \gset
SELECT is((SELECT v FROM datahike.datoms('eavt', :tx, 'db/doc')), '"why"', ':db/current-tx');
SELECT is((SELECT tx FROM datahike.datoms('avet', 'p/name', 'E')), :tx::bigint, 'is the tx of its datoms');
SELECT is((SELECT count(*) FROM datahike.datoms('eavt', :tx, 'db/txInstant')), 1::bigint, 'and has a time');
SELECT is((t('{:tx-data [{:p/name "E2"}] :tx-meta {:db/doc "how"}}')->'tx_data') @> '[[":db/doc"]]', true, ':tx-meta') ;
SELECT is((SELECT count(*) FROM datahike.datoms('aevt', 'db/doc') WHERE v = '"how"'), 1::bigint, 'is facts of the transaction');

-- unique attributes
SELECT t('[{:db/id 15 :p/email "a@x"}]') \g /dev/null
SELECT throws_ok($$SELECT t('[{:db/id 16 :p/email "a@x"}]')$$, '23505', 'cannot add [16 :p/email "a@x"]: the attribute is unique, and entity 15 has that value', ':db.unique/value');
SELECT throws_ok($$SELECT t('[{:p/name "F" :p/email "a@x"}]')$$, '23505', NULL, 'does not upsert');
SELECT throws_ok($$SELECT t('[{:db/id 16 :p/name "A"}]')$$, '23505', NULL, 'an identity of another entity');
SELECT throws_ok($$SELECT t('[[:db/add 16 :p/email "q"] [:db/add 17 :p/email "q"]]')$$, '23505', NULL, 'twice in a transaction');
SELECT is(tl('[[:db/retract 15 :p/email "a@x"] [:db/add 16 :p/email "a@x"]]'), '{"- 15 :p/email \"a@x\"","+ 16 :p/email \"a@x\""}'::text[], 'a value can go to another entity');
SELECT t('[[:db/add 15 :p/email "b@x"]]') \g /dev/null
SELECT is(tl('[[:db/retract 15 :p/email "b@x"] [:db/add 16 :p/email "b@x"] [:db/add 15 :p/email "a@x"]]'),
  '{"- 15 :p/email \"b@x\"","+ 15 :p/email \"a@x\"","- 16 :p/email \"a@x\"","+ 16 :p/email \"b@x\""}'::text[], 'two entities can exchange theirs');

-- errors
SELECT throws_ok($$SELECT t('[[:db/add 15 :p/nothing 1]]')$$, '42704', 'attribute :p/nothing is not defined', 'unknown attribute');
SELECT throws_ok($$SELECT t('[[:db/add 15 :color/red 1]]')$$, '42704', 'attribute :color/red is not defined', 'an ident without a type');
SELECT throws_ok($$SELECT t('[[:db/add 15 :p/age "old"]]')$$, '22023', 'cannot store "old" in :p/age: it is no :db.type/long', 'a value of another type');
SELECT throws_ok($$SELECT t('[[:db/add 15 :p/age nil]]')$$, '22023', NULL, 'nil');
SELECT throws_ok($$SELECT t('[[:db/add [:p/name "Nobody"] :p/age 1]]')$$, '02000', 'Nothing found for entity id [:p/name "Nobody"]', 'a lookup ref that finds nothing');
SELECT throws_ok($$SELECT t('[[:db/add [:p/age 3] :p/age 1]]')$$, '22023', NULL, 'a lookup ref by what is not unique');
SELECT throws_ok($$SELECT t('[[:db/frobnicate 15]]')$$, '22023', NULL, 'an unknown operation');
SELECT throws_ok($$SELECT t('[[:db/add 15 :p/age]]')$$, '22023', NULL, 'too few arguments');
SELECT throws_ok($$SELECT t('[17]')$$, '22023', NULL, 'what is no form');
SELECT throws_ok($$SELECT t('{:p/name "x"}')$$, '22023', NULL, 'a map that is no transaction data');
SELECT throws_ok($$SELECT t('[{:p/name "x"')$$, '22P02', NULL, 'what is no EDN');
SELECT throws_ok($$SELECT t('[{}]')$$, '22023', NULL, 'an empty map');
SELECT throws_ok($$SELECT t('[{:p/name "x"} [:db.purge/entity 15]]')$$, '0A000', NULL, 'purging beside other changes is refused by name');
SELECT throws_ok($$SELECT t('[[:db.fn/call f 15]]')$$, '42883', NULL, 'a function that there is not');
SELECT throws_ok(format($$SELECT t('[[:db/add %s :p/age 1]]')$$, 1::bigint << 42), '0A000', NULL, 'rows of tables');
SELECT throws_ok(format($$SELECT t('[[:db/add %s :p/age 1]]')$$, (1::bigint << 44) + 1), '0A000', NULL, 'built-in attributes');
SELECT throws_ok(format($$SELECT t('[[:db/add %s :p/age 1]]')$$, (1::bigint << 41)), '22023', NULL, 'ids out of range');

-- entity ids that users choose
SELECT t('[[:db/add 1000 :p/name "Thousand"]]') \g /dev/null
SELECT is(tl('[{:p/name "Next"}]'), '{"+ 1001 :p/name \"Next\""}'::text[], 'a chosen id is never drawn');
SELECT t('[[:db/add 1001 :p/friend 2000]]') \g /dev/null
SELECT is(tl('[{:p/name "Then"}]'), '{"+ 2001 :p/name \"Then\""}'::text[], 'nor one that is referred to');

-- JSON
SELECT is(lines(datahike.transact('[{"p/name": "Json", "p/age": 5, "p/likes": ["x", "y"], "p/friend": [["p/name", "A"]]}]'::jsonb)),
  '{"+ 2002 :p/age 5","+ 2002 :p/friend 15","+ 2002 :p/likes \"x\"","+ 2002 :p/likes \"y\"","+ 2002 :p/name \"Json\""}'::text[], 'a map in JSON');
SELECT is(lines(datahike.transact('[["db/add", ["p/name", "Json"], ":p/age", 6], [":db/retract", 2002, "p/likes", "x"]]'::jsonb)),
  '{"- 2002 :p/age 5","+ 2002 :p/age 6","- 2002 :p/likes \"x\""}'::text[], 'operations');
SELECT is(datahike.transact('[{"db/id": "new", "p/name": "New"}]'::jsonb)->'tempids', '{"new": 2003}', 'temporary ids');

-- speculation
SELECT is(lines(datahike.with_tx('[{:p/name "Maybe" :p/age 1}]')), '{"+ 2004 :p/age 1","+ 2004 :p/name \"Maybe\""}'::text[], 'with_tx() reports');
SELECT is((SELECT count(*) FROM datahike.datoms('avet', 'p/name', 'Maybe')), 0::bigint, 'and changes nothing');
-- the SQL transaction
BEGIN;
SELECT t('[{:p/name "Rolled back"}]') \g /dev/null
SELECT is((SELECT count(*) FROM datahike.datoms('avet', 'p/name', 'Rolled back')), 1::bigint, 'a transaction sees its facts');
ROLLBACK;
SELECT is((SELECT count(*) FROM datahike.datoms('avet', 'p/name', 'Rolled back')), 0::bigint, 'ROLLBACK undoes them');
BEGIN;
SELECT t('[{:p/name "One"}]')->'tx' AS one \gset
SAVEPOINT s;
SELECT t('[{:p/name "Two"}]')->'tx' AS two \gset
ROLLBACK TO s;
SELECT t('[{:p/name "Three"}]')->'tx' AS three \gset
COMMIT;
SELECT is(ARRAY[:two, :three], ARRAY[:one, :one]::bigint[], 'an SQL transaction is one transaction of facts');
SELECT is((SELECT array_agg(v ORDER BY e) FROM datahike.datoms('aevt', 'p/name') WHERE tx = :one), '{"\"One\"","\"Three\""}'::jsonb[], 'savepoints take back what came after them');
SELECT is(datahike.commit_tx(:one), (SELECT tx FROM datahike.commit_info()), 'and one commit');
-- the largest id that users choose, and those that are drawn behind it
SELECT datahike.transact('[{:db/ident :edge/n :db/valueType :db.type/long}]') \g /dev/null
SELECT lives_ok($$SELECT datahike.transact('[[:db/add 2199023255551 :edge/n 1]]')$$, 'the largest id of one''s own');
SELECT datahike.transact('[[:db/add "new" :edge/n 2]]')->'tempids'->>'new' AS drawn \gset
SELECT lives_ok(format($$SELECT datahike.transact('[[:db/add %s :edge/n 3]]')$$, :drawn), 'ids that are drawn behind it can be changed');
SELECT throws_ok(format($$SELECT datahike.transact('[[:db/add %s :edge/n 3]]')$$, :drawn + 1000), '22023', NULL, 'not chosen');
SELECT (datahike.transact('[[:db/add 1 :edge/n 1]]')->>'tx') AS old_tx \gset
SELECT throws_ok(format($$SELECT datahike.transact('[[:db/retractEntity %s]]')$$, :old_tx), '22023', NULL, 'the time of a past transaction stays');
SELECT ok((SELECT count(*) FROM datahike.seek_datoms('eavt', -9223372036854775807)) > 0, 'the order of ids does not overflow');
SELECT * FROM finish();
