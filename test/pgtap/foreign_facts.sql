-- Facts as foreign tables: a namespace's attributes as columns, and the indexes' datoms, at any view.
SELECT plan(49);

CREATE FUNCTION t(text) RETURNS jsonb LANGUAGE sql VOLATILE AS $$ SELECT datahike.transact($1) $$;
CREATE FUNCTION plan_of(text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE line text; all_lines text := '';
BEGIN FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || $1 LOOP all_lines := all_lines || line || E'\n'; END LOOP; RETURN all_lines; END $$;
SELECT t($$[{:db/ident :person/name :db/valueType :db.type/string :db/unique :db.unique/identity}
  {:db/ident :person/age :db/valueType :db.type/long}
  {:db/ident :person/likes :db/valueType :db.type/string :db/cardinality :db.cardinality/many}
  {:db/ident :person/friend :db/valueType :db.type/ref :db/cardinality :db.cardinality/many}
  {:db/ident :person/boss :db/valueType :db.type/ref}
  {:db/ident :person/born :db/valueType :db.type/instant}
  {:db/ident :person/secret :db/valueType :db.type/string}
  {:db/ident :thing/weight :db/valueType :db.type/double} {:db/ident :thing/price :db/valueType :db.type/bigdec}
  {:db/ident :thing/code :db/valueType :db.type/uuid} {:db/ident :thing/kind :db/valueType :db.type/keyword}
  {:db/ident :thing/raw :db/valueType :db.type/bytes} {:db/ident :thing/ok :db/valueType :db.type/boolean}
  {:db/ident :thing/at :db/valueType :db.type/tuple :db/tupleTypes [:db.type/long :db.type/string]}]$$) \g /dev/null
SELECT t($$[{:db/id 100 :person/name "Ada" :person/age 36 :person/likes ["numbers" "music"] :person/born #inst "1815-12-10"}
  {:db/id 101 :person/name "Bob" :person/friend [100 102] :person/boss 100}
  {:db/id 102 :person/name "Cyd" :person/age 36 :person/secret "s"}
  {:db/id 103 :thing/weight 1.5 :thing/price 2.50M :thing/code #uuid "11111111-2222-3333-4444-555555555555" :thing/kind :a/b :thing/ok true :thing/at [1 "x"]}
  {:db/id 104 :person/age 99}]$$)->'tx' AS first \gset
SELECT datahike.tag('start') \g /dev/null
SELECT commit_id AS start FROM datahike.tags() WHERE name = 'start' \gset

CREATE SERVER here FOREIGN DATA WRAPPER datahike OPTIONS (branch 'db');
CREATE SCHEMA f;
IMPORT FOREIGN SCHEMA datahike FROM SERVER here INTO f;
SELECT is((SELECT string_agg(relname, ',' ORDER BY relname) FROM pg_class WHERE relnamespace = 'f'::regnamespace), 'aevt,avet,eavt,person,thing,vaet', 'a table for each namespace and index');
SELECT is((SELECT string_agg(attname || ' ' || format_type(atttypid, -1), ',' ORDER BY attname) FROM pg_attribute WHERE attrelid = 'f.person'::regclass AND attnum > 0),
  'age bigint,born timestamp with time zone,boss bigint,db_id bigint,friend bigint[],likes text[],name text,secret text', 'columns are of the attributes'' types');
SELECT results_eq('SELECT db_id, name, age, likes, friend, boss FROM f.person ORDER BY db_id',
  $$VALUES (100::int8, 'Ada', 36::int8, '{music,numbers}'::text[], NULL::int8[], NULL::int8), (101, 'Bob', NULL, NULL, '{100,102}', 100), (102, 'Cyd', 36, NULL, NULL, NULL), (104, NULL, 99, NULL, NULL, NULL)$$,
  'entities are rows');
SELECT results_eq('SELECT weight, price, code, kind, raw, ok, "at" FROM f.thing',
  $$VALUES (1.5::float8, 2.5, '11111111-2222-3333-4444-555555555555'::uuid, 'a/b', NULL::bytea, true, '[1, "x"]'::jsonb)$$, 'of all types');
SELECT is((SELECT count(*) FROM f.person), 4::bigint, 'without any column');
SELECT is((SELECT count(name) FROM f.person), 3::bigint, 'a column that some have not');
SELECT is((SELECT db_id FROM f.person WHERE name = 'Bob'), 101::bigint, 'looked up by a value');
SELECT ok(plan_of($$SELECT * FROM f.person WHERE name = 'Bob' AND age > 3$$) ~ 'Lookup: name = ''Bob''', 'EXPLAIN says so');
SELECT ok(plan_of('SELECT * FROM f.person') ~ 'Foreign Scan on f?\.?person.*View: branch db.*Namespace: person', 'and the view and the namespace');
SELECT results_eq('SELECT db_id, likes FROM f.person WHERE age = 36 ORDER BY db_id', $$VALUES (100::int8, '{music,numbers}'::text[]), (102, NULL)$$, 'by one that several have');
SELECT results_eq('SELECT name FROM f.person WHERE db_id = 104', $$VALUES (NULL::text)$$, 'by entity');
SELECT is((SELECT count(*) FROM f.person WHERE db_id = 103), 0::bigint, 'that is none of the namespace');
SELECT is((SELECT count(*) FROM f.person WHERE name = 'Nobody'), 0::bigint, 'that nobody has');
SELECT is((SELECT count(*) FROM f.person WHERE age = 36 AND name = 'Cyd' AND born IS NULL), 1::bigint, 'several conditions');
SELECT is((SELECT count(*) FROM f.person WHERE likes = '{music,numbers}'), 1::bigint, 'a condition on several values');
SELECT is((SELECT count(*) FROM f.thing WHERE price = 2.500 AND kind = 'a/b' AND weight = 1.5), 1::bigint, 'numbers and keywords');
SELECT is((SELECT string_agg(p.name || b.name, ',') FROM f.person p JOIN f.person b ON b.db_id = p.boss), 'BobAda', 'joined');
SELECT is((SELECT sum(age) FROM f.person), 171::numeric, 'aggregated');
ANALYZE f.person;
SELECT is((SELECT reltuples FROM pg_class WHERE oid = 'f.person'::regclass), 4::real, 'ANALYZE');

-- datoms
SELECT results_eq($$SELECT e, a, v, tx, added FROM f.eavt WHERE a LIKE ':person/%'$$, $$SELECT e, a, v, tx, added FROM datahike.datoms('eavt') WHERE a LIKE ':person/%'$$, 'eavt');
SELECT results_eq('SELECT * FROM f.aevt', $$SELECT * FROM datahike.datoms('aevt')$$, 'aevt');
SELECT results_eq('SELECT * FROM f.avet', $$SELECT * FROM datahike.datoms('avet')$$, 'avet');
SELECT results_eq($$SELECT e, v FROM f.avet WHERE a = ':person/age'$$, $$VALUES (100::int8, '36'::jsonb), (102, '36'), (104, '99')$$, 'of an attribute, by value');
SELECT results_eq('SELECT a, v FROM f.eavt WHERE e = 101', $$SELECT a, v FROM datahike.datoms('eavt', 101)$$, 'of an entity');
SELECT is((SELECT count(*) FROM f.vaet WHERE v = '100'), 2::bigint, 'references to an entity');
SELECT ok(plan_of('SELECT * FROM f.person WHERE 101 = db_id') ~ 'Lookup: db_id = ''101''', 'EXPLAIN of an entity');
SELECT is((SELECT count(*) FROM f.eavt WHERE a = ':no/such'), 0::bigint, 'of an attribute that is not there');
SELECT ok(plan_of('SELECT * FROM f.eavt WHERE e = 101') ~ 'Index of Facts: eavt.*Lookup: e = ''101''', 'EXPLAIN of an index');

-- other views
SELECT t('[[:db/add 101 :person/age 50] [:db/retractEntity 104] {:db/ident :person/later :db/valueType :db.type/long} [:db/add 100 :person/later 7]]') \g /dev/null
SELECT format('CREATE SERVER back FOREIGN DATA WRAPPER datahike OPTIONS (commit_id %L)', :'start') \gexec
CREATE SERVER past FOREIGN DATA WRAPPER datahike OPTIONS (as_of '2000-01-01');
CREATE SCHEMA b;
IMPORT FOREIGN SCHEMA datahike LIMIT TO (person) FROM SERVER back INTO b;
SELECT results_eq('SELECT db_id, age FROM b.person ORDER BY 1', 'VALUES (100::int8, 36::int8), (101, NULL), (102, 36), (104, 99)', 'at a commit');
SELECT is((SELECT count(*) FROM pg_attribute WHERE attrelid = 'b.person'::regclass AND attname = 'later'), 0::bigint, 'with the attributes of then');
SELECT results_eq('SELECT db_id, age FROM f.person ORDER BY 1', 'VALUES (100::int8, 36::int8), (101, 50), (102, 36)', 'and now');
SELECT results_eq('SELECT n.db_id, b.age, n.age FROM f.person n JOIN b.person b USING (db_id) WHERE n.age IS DISTINCT FROM b.age', 'VALUES (101::int8, NULL::int8, 50::int8)', 'compared');
SELECT datahike.create_branch('side') \g /dev/null
CREATE SERVER side FOREIGN DATA WRAPPER datahike OPTIONS (branch 'side');
CREATE SCHEMA s;
IMPORT FOREIGN SCHEMA datahike FROM SERVER side INTO s;
BEGIN;
SET LOCAL datahike.branch = 'side';
SELECT t('[[:db/add 100 :person/age 37]]') \g /dev/null
SELECT is((SELECT age FROM s.person WHERE name = 'Ada'), 37::bigint, 'what the transaction has written to the branch is there');
SELECT is((SELECT age FROM f.person WHERE name = 'Ada'), 36::bigint, 'on that branch alone');
COMMIT;
SELECT is((SELECT s.age - f.age FROM s.person s JOIN f.person f USING (db_id) WHERE s.name = 'Ada'), 1::bigint, 'two branches in one query');

-- hints
SELECT datahike.set_hint('person/name', 'column', 'full name') \g /dev/null
SELECT datahike.set_hint(':person/secret', 'hidden', 'true') \g /dev/null
SELECT datahike.set_hint('person/friend', 'references', 'person/name') \g /dev/null
SELECT datahike.set_hint('person/boss', 'references', 'person/name') \g /dev/null
SELECT datahike.set_hint('thing/price', 'table', 'price list') \g /dev/null
CREATE SCHEMA h;
IMPORT FOREIGN SCHEMA datahike EXCEPT (aevt, avet, vaet, eavt) FROM SERVER here INTO h;
SELECT is((SELECT string_agg(c.relname || '.' || attname || ' ' || format_type(atttypid, -1), ',' ORDER BY c.relname, attname) FROM pg_attribute a JOIN pg_class c ON c.oid = attrelid
  WHERE relnamespace = 'h'::regnamespace AND attnum > 0 AND relname <> 'thing'),
  'person.age bigint,person.born timestamp with time zone,person.boss text,person.db_id bigint,person.friend text[],person.full name text,person.later bigint,person.likes text[],price list.db_id bigint,price list.price numeric',
  'hints name, hide, follow and move columns');
SELECT results_eq('SELECT "full name", friend, boss FROM h.person ORDER BY db_id', $$VALUES ('Ada', NULL::text[], NULL), ('Bob', '{Ada,Cyd}', 'Ada'), ('Cyd', NULL, NULL)$$, 'references by a value of what they refer to');
SELECT is((SELECT price FROM h."price list"), 2.5, 'an attribute in another table');
SELECT datahike.set_hint('person/secret', 'hidden', NULL) \g /dev/null
SELECT is((SELECT count(*) FROM datahike.datoms('aevt', 'db.sql/hidden')), 0::bigint, 'a hint is taken back');
SELECT throws_ok($$SELECT datahike.set_hint('person/name', 'colour', 'red')$$, '22023', NULL, 'an unknown hint');
SELECT throws_ok($$SELECT datahike.set_hint('person/none', 'column', 'x')$$, '42704', NULL, 'an unknown attribute');

-- errors and rights
SELECT throws_ok($$INSERT INTO f.person (name) VALUES ('x')$$, '55000', NULL, 'tables of facts are not written');
SELECT throws_ok($$CREATE FOREIGN TABLE x (a int) SERVER here OPTIONS (index 'abc')$$, '22023', NULL, 'no such index');
CREATE FOREIGN TABLE wrong (db_id int8, age text) SERVER here OPTIONS (namespace 'person');
SELECT throws_ok('SELECT * FROM wrong', '42804', 'column "age" must be of type bigint', 'a column of another type');
CREATE FOREIGN TABLE few (name text, nothing int) SERVER here OPTIONS (namespace 'person');
SELECT results_eq('SELECT name, nothing FROM few ORDER BY name', $$VALUES ('Ada', NULL::int), ('Bob', NULL), ('Cyd', NULL)$$, 'a column without an attribute is NULL');
CREATE ROLE clerk;
GRANT USAGE ON SCHEMA f TO clerk;
GRANT SELECT ON f.person TO clerk;
SET ROLE clerk;
SELECT throws_ok('SELECT * FROM f.person', '42501', 'permission denied for table facts', 'it takes SELECT on the facts');
RESET ROLE;
DROP OWNED BY clerk; DROP ROLE clerk;
-- Names that columns cannot share.
SELECT t('[{:db/ident :clash/db_id :db/valueType :db.type/long} {:db/ident :clash/one :db/valueType :db.type/long} {:db/ident :clash/two :db/valueType :db.type/long}]') \g /dev/null
SELECT t('[{:db/id 900 :clash/db_id 1 :clash/one 2 :clash/two 3}]') \g /dev/null
SELECT datahike.set_hint('clash/one', 'column', 'same'), datahike.set_hint('clash/two', 'column', 'same') \g /dev/null
CREATE SCHEMA c;
SELECT lives_ok('IMPORT FOREIGN SCHEMA datahike LIMIT TO (clash) FROM SERVER here INTO c', 'attributes that would have one name');
SELECT is((SELECT string_agg(attname, ',' ORDER BY attname) FROM pg_attribute WHERE attrelid = 'c.clash'::regclass AND attnum > 0), 'db_id,db_id_1,same,same_1', 'get different ones');
SELECT results_eq('SELECT db_id, db_id_1, same + same_1 FROM c.clash', 'VALUES (900::int8, 1::int8, 5::int8)', 'and are read by them');
SELECT * FROM finish();
