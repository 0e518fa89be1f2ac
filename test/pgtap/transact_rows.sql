-- Rows of tables as entities of transact(): INSERT, UPDATE and DELETE of the table, with all that belongs to them.
SELECT plan(79);
SET default_table_access_method = datahike;

CREATE FUNCTION t(text) RETURNS jsonb LANGUAGE sql VOLATILE AS $$ SELECT datahike.transact($1) $$;
-- The datoms of a report as lines, rows by name, without tx and without what the transaction says of itself.
CREATE FUNCTION lines(jsonb) RETURNS text[] LANGUAGE sql AS $$
  SELECT coalesce(array_agg(concat_ws(' ', CASE WHEN (d->>4)::bool THEN '+' ELSE '-' END, d->>1, d->2) ORDER BY n), '{}')
  FROM jsonb_array_elements($1->'tx_data') WITH ORDINALITY x(d, n) WHERE d->>1 <> ':db/txInstant' $$;
CREATE TABLE person (id serial PRIMARY KEY, name text NOT NULL, age int CHECK (age >= 0), email varchar(20) UNIQUE, born date,
  tags text[], about jsonb, at timestamptz, kind text DEFAULT 'human', low int, high int, CHECK (low < high),
  loud text GENERATED ALWAYS AS (upper(name)) STORED);
CREATE TABLE pet (id int PRIMARY KEY, owner int REFERENCES person ON DELETE CASCADE, name text);
CREATE FUNCTION entity(person) RETURNS int8 LANGUAGE sql AS $$
  SELECT datahike.q_json('[:find ?e . :in $ ?i :where [?e :person/id ?i]]', $1.id)::int8 $$;

-- INSERT
SELECT t('[{:db/id "a" :person/name "Ada" :person/age 36 :person/email "ada@x"}]') AS r \gset
SELECT is(lines(:'r'), '{"+ :person/id 1","+ :person/name \"Ada\"","+ :person/age 36","+ :person/email \"ada@x\"","+ :person/kind \"human\"","+ :person/loud \"ADA\""}'::text[],
  'a map of a table''s columns is a new row, with its defaults');
SELECT is((:'r'::jsonb->'tempids'->>'a')::int8, (SELECT entity(p) FROM person p), 'whose entity is reported');
SELECT is((SELECT jsonb_agg(DISTINCT d->0) FROM jsonb_array_elements(:'r'::jsonb->'tx_data') d WHERE d->>1 LIKE ':person/%'), jsonb_build_array(:'r'::jsonb->'tempids'->'a'), 'in its datoms, too');
SELECT is(datahike.q_json('[:find ?n . :in $ ?e :where [?e :person/name ?n]]', (:'r'::jsonb->'tempids'->>'a')::int8), '"Ada"', 'and is the one of Datalog');
SELECT ok(datahike.commit_tx((:'r'::jsonb->>'tx')::int8) > 0, 'the transaction has become a commit');
SELECT is(lines(t('[{:person/name "Bob" :person/born #inst "1990-05-17" :person/tags ["x" "y z"] :person/about {:k [1 2]} :person/low 1 :person/high 2}]')),
  '{"+ :person/id 2","+ :person/name \"Bob\"","+ :person/born \"1990-05-17\"","+ :person/tags [\"x\", \"y z\"]","+ :person/about {\":k\": [1, 2]}","+ :person/kind \"human\"","+ :person/low 1","+ :person/high 2","+ :person/loud \"BOB\""}'::text[],
  'values are of the columns'' types');
SELECT datahike.transact('[{"person/name": "Cyd", "person/born": "2001-02-03", "person/at": "2025-01-01T00:00:00Z"}]'::jsonb) \g /dev/null
SELECT is((SELECT ROW(born, at)::text FROM person WHERE name = 'Cyd'), ROW('2001-02-03'::date, '2025-01-01 00:00:00+00'::timestamptz)::text, 'in JSON');
SELECT is((SELECT count(*) FROM person), 3::bigint, 'three rows');
SELECT throws_ok($$SELECT t('[{:person/age 1}]')$$, '23502', NULL, 'NOT NULL');
SELECT throws_ok($$SELECT t('[{:person/name "X" :person/age -1}]')$$, '23514', NULL, 'CHECK');
SELECT throws_ok($$SELECT t('[{:person/name "X" :person/email "ada@x"}]')$$, '23505', NULL, 'UNIQUE');
SELECT throws_ok($$SELECT t('[{:person/name "X" :person/id 1}]')$$, '23505', NULL, 'PRIMARY KEY: no upsert');
SELECT throws_ok($$SELECT t('[{:pet/id 1 :pet/owner 99}]')$$, '23503', NULL, 'FOREIGN KEY');
SELECT throws_ok($$SELECT t('[{:person/name "X" :person/email "123456789012345678901"}]')$$, '22001', NULL, 'varchar(20)');
SELECT throws_ok($$SELECT t('[{:person/name "X" :person/age "old"}]')$$, '22P02', NULL, 'a value of another type');
SELECT throws_ok($$SELECT t('[{:person/name "X" :person/loud "x"}]')$$, '428C9', NULL, 'a generated column');
SELECT throws_ok($$SELECT t('[{:person/name "X" :person/size 1}]')$$, '42704', 'attribute :person/size is not defined', 'no such column');
SELECT throws_ok($$SELECT t('[{:person/name nil}]')$$, '22023', NULL, 'nil');
SELECT is((SELECT count(*) FROM person), 3::bigint, 'nothing of these stays');

-- UPDATE
SELECT entity(p) AS ada FROM person p WHERE name = 'Ada' \gset
SELECT entity(p) AS bob FROM person p WHERE name = 'Bob' \gset
SELECT is(lines(t(format('[{:db/id %s :person/name "Ada L." :person/age 37}]', :ada))),
  '{"- :person/name \"Ada\"","- :person/age 36","- :person/loud \"ADA\"","+ :person/name \"Ada L.\"","+ :person/age 37","+ :person/loud \"ADA L.\""}'::text[], 'a map of a row updates it');
SELECT is((SELECT entity(p) FROM person p WHERE name = 'Ada L.'), :ada::int8, 'it is the same entity');
SELECT is(lines(t(format('[[:db/add %s :person/age 38]]', :ada))), '{"- :person/age 37","+ :person/age 38"}'::text[], ':db/add');
SELECT xmin AS before FROM person WHERE id = 1 \gset
SELECT is(lines(t(format('[{:db/id %s :person/age 38 :person/name "Ada L."}]', :ada))), '{}'::text[], 'what is true already is not written');
SELECT is((SELECT xmin FROM person WHERE id = 1), :'before'::xid, 'there is no UPDATE');
SELECT is(lines(t(format('[{:db/id %s :person/low 5 :person/high 9}]', :bob))), '{"- :person/low 1","- :person/high 2","+ :person/low 5","+ :person/high 9"}'::text[], 'columns of a row change together');
SELECT is(lines(t(format('[[:db/retract %s :person/age 99]]', :ada))), '{}'::text[], 'what is not true is not retracted');
SELECT is(lines(t(format('[[:db/retract %s :person/age 38]]', :ada))), '{"- :person/age 38"}'::text[], ':db/retract makes it NULL');
SELECT is((SELECT age FROM person WHERE id = 1), NULL, 'in the table');
SELECT is(lines(t(format('[[:db/retract %s :person/tags]]', :bob))), '{"- :person/tags [\"x\", \"y z\"]"}'::text[], 'whatever it is');
SELECT throws_ok(format($$SELECT t('[[:db/retract %s :person/name]]')$$, :ada), '23502', NULL, 'not of a column that is NOT NULL');
SELECT is(lines(t('[{:db/id [:person/email "ada@x"] :person/age 40}]')), '{"+ :person/age 40"}'::text[], 'a lookup ref by a unique column');
SELECT is(lines(t('[[:db/add [:person/id 2] :person/age 41]]')), '{"+ :person/age 41"}'::text[], 'or the primary key');
SELECT throws_ok($$SELECT t('[[:db/add [:person/email "no@x"] :person/age 41]]')$$, '02000', 'Nothing found for entity id [:person/email "no@x"]', 'that finds nothing');
SELECT throws_ok($$SELECT t('[[:db/add [:person/name "Bob"] :person/age 41]]')$$, '22023', NULL, 'by a column that is not unique');
SELECT throws_ok($$SELECT t('[[:db/add 4398046511104 :person/age 41]]')$$, '02000', NULL, 'a row that there is not');
SELECT throws_ok($$SELECT t('[[:db/add 77 :person/age 41]]')$$, '22023', 'entity 77 is no row of a table, so it has no :person/age', 'an entity that is no row');
SELECT throws_ok(format($$SELECT t('[[:db/add %s :pet/name "Rex"]]')$$, :ada), '02000', NULL, 'a row of another table');

-- compare and swap
SELECT is(lines(t(format('[[:db/cas %s :person/age 40 50]]', :ada))), '{"- :person/age 40","+ :person/age 50"}'::text[], ':db/cas');
SELECT throws_ok(format($$SELECT t('[[:db/cas %s :person/age 40 51]]')$$, :ada), '40001', format(':db.fn/cas failed on datom [%s :person/age 50], expected 40', :ada), 'that fails');
SELECT is(lines(t(format('[[:db/cas %s :person/born nil "1815-12-10"]]', :ada))), '{"+ :person/born \"1815-12-10\""}'::text[], 'that expects nothing');
SELECT is(lines(t(format('[[:db/add %s :person/age 51] [:db/cas %s :person/age 51 52]]', :ada, :ada))), '{"- :person/age 50","+ :person/age 52"}'::text[], 'after what the transaction has said');

-- rows and facts
SELECT t('[{:db/ident :note/text :db/valueType :db.type/string} {:db/ident :note/about :db/valueType :db.type/ref}
  {:db/ident :note/part :db/valueType :db.type/ref :db/isComponent true}]') \g /dev/null
SELECT t('[{:db/id "n" :note/text "new" :note/about "d"} {:db/id "d" :person/name "Dee"} [:db/add :db/current-tx :db/doc "hired"]]') AS r \gset
SELECT is(datahike.q_json('[:find ?t ?n :where [?x :note/about ?p] [?x :note/text ?t] [?p :person/name ?n]]'), '[["new", "Dee"]]', 'facts refer to rows of the same transaction');
SELECT is((SELECT v FROM datahike.datoms('eavt', (:'r'::jsonb->>'tx')::int8, 'db/doc')), '"hired"', 'of which there are facts');
SELECT t('[{:note/text "old" :note/about [:person/email "ada@x"]} {:person/name "Eve" :note/_about [{:note/text "reverse"}]}]') \g /dev/null
SELECT is(datahike.q_json('[:find ?t ?n :where [?x :note/about ?p] [?x :note/text ?t] [?p :person/name ?n] :order-by [?t]]'), '[["new", "Dee"], ["old", "Ada L."], ["reverse", "Eve"]]', 'by lookup ref, and reverse');
SELECT throws_ok($$SELECT t('[{:db/id "x" :person/name "X" :note/text "x"}]')$$, '22023', 'temporary id "x" would be a row of a table and have facts', 'a row has no facts');
SELECT throws_ok($$SELECT t('[{:db/id "x" :person/name "X" :pet/name "x"}]')$$, '22023', NULL, 'nor columns of another table');
SELECT throws_ok(format($$SELECT t('[[:db/add %s :note/text "x"]]')$$, :ada), '0A000', NULL, 'not later either');
SELECT is(lines(t('[[:db/retractEntity [:person/email "ada@x"]]]')),
  ('{"- :person/id 1","- :person/name \"Ada L.\"","- :person/age 52","- :person/email \"ada@x\"","- :person/born \"1815-12-10\"","- :person/kind \"human\"","- :person/loud \"ADA L.\"","- :note/about '
  || :ada || '"}')::text[], ':db/retractEntity deletes the row, and what refers to it');
SELECT is((SELECT count(*) FROM person WHERE id = 1), 0::bigint, 'it is gone');
SELECT throws_ok(format($$SELECT t('[[:db/retractEntity %s]]')$$, :ada), '02000', format('Nothing found for entity id %s', :ada), 'and cannot be found');
INSERT INTO pet VALUES (1, 2, 'Rex');
SELECT t(format('[[:db/retractEntity %s]]', :bob)) \g /dev/null
SELECT is((SELECT count(*) FROM pet), 0::bigint, 'foreign keys cascade');
SELECT t('[{:db/id 900 :note/part "p"} {:db/id "p" :pet/id 5 :pet/name "part"}]') \g /dev/null
SELECT t('[[:db/retractEntity 900]]') \g /dev/null
SELECT is((SELECT count(*) FROM pet), 0::bigint, 'components go with what they are part of');
SELECT is(lines(t('[{:db/id "a" :pet/id 7} [:db/add "a" :pet/name "one"] [:db/add "a" :pet/name "two"] {:pet/id 8}]')), '{"+ :pet/id 7","+ :pet/name \"two\"","+ :pet/id 8"}'::text[], 'a row is written once');

-- the SQL transaction, speculation, branches, views
BEGIN;
SELECT t('[{:pet/id 9}]') \g /dev/null
SELECT is((SELECT count(*) FROM pet), 3::bigint, 'a transaction sees its rows');
ROLLBACK;
SELECT is((SELECT count(*) FROM pet), 2::bigint, 'ROLLBACK undoes them');
SELECT is(lines(datahike.with_tx('[{:pet/id 9}]')), '{"+ :pet/id 9"}'::text[], 'with_tx() reports');
SELECT is((SELECT count(*) FROM pet), 2::bigint, 'and changes nothing');
SELECT datahike.create_branch('b') \g /dev/null
SET datahike.branch = 'b';
SELECT t('[{:pet/id 9} {:db/id [:pet/id 7] :pet/name "branch"}]') \g /dev/null
RESET datahike.branch;
SELECT is((SELECT string_agg(id || coalesce(name, ''), ',' ORDER BY id) FROM pet), '7two,8', 'a branch''s rows are its own');
SELECT status FROM datahike.merge('b') \g /dev/null
SELECT t('[{:db/id [:pet/id 7] :pet/name "merged"} [:db/retractEntity [:pet/id 9]]]') \g /dev/null
SELECT is((SELECT string_agg(id || coalesce(name, ''), ',' ORDER BY id) FROM pet), '7merged,8', 'rows that a merge has brought are found');
SET datahike.as_of = '2001-01-01';
SELECT throws_ok($$SELECT t('[{:pet/id 10}]')$$, '25006', NULL, 'the past is not written');
RESET datahike.as_of;

-- triggers, privileges, policies
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.name = 'no' THEN RETURN NULL; END IF; NEW.name := NEW.name || '!'; RETURN NEW; END $$;
CREATE TRIGGER touch BEFORE INSERT OR UPDATE ON pet FOR EACH ROW EXECUTE FUNCTION touch();
SELECT is(lines(t('[{:db/id [:pet/id 7] :pet/name "hey"}]')), '{"- :pet/name \"merged\"","+ :pet/name \"hey!\""}'::text[], 'triggers fire');
SELECT is(t('[{:db/id "x" :pet/id 11 :pet/name "no"}]')->'tempids', '{}', 'what a trigger keeps makes no row');
CREATE ROLE clerk;
GRANT EXECUTE ON FUNCTION datahike.transact(text) TO clerk;
GRANT SELECT ON pet TO clerk;
GRANT UPDATE (name) ON pet TO clerk;
GRANT SELECT ON datahike.facts TO clerk;
SET ROLE clerk;
SELECT throws_ok($$SELECT datahike.transact('[{:pet/id 12}]')$$, '42501', 'permission denied for table pet', 'INSERT takes the privilege');
SELECT lives_ok($$SELECT datahike.transact('[{:db/id [:pet/id 7] :pet/name "mine"}]')$$, 'UPDATE of the column that may be changed');
SELECT throws_ok($$SELECT datahike.transact('[{:db/id [:pet/id 7] :pet/owner 3}]')$$, '42501', NULL, 'not of another');
SELECT throws_ok($$SELECT datahike.transact('[[:db/retractEntity [:pet/id 7]]]')$$, '42501', NULL, 'nor DELETE');
RESET ROLE;
GRANT ALL ON pet TO clerk;
ALTER TABLE pet ENABLE ROW LEVEL SECURITY;
CREATE POLICY seven ON pet TO clerk USING (id = 7) WITH CHECK (id <= 7);
SELECT datahike.q_json('[:find ?e . :where [?e :pet/id 8]]') AS hidden \gset
SET ROLE clerk;
SELECT throws_ok(format($$SELECT datahike.transact('[{:db/id %s :pet/name "x"}]')$$, :hidden), '02000', NULL, 'a row that a policy hides is not there');
SELECT throws_ok($$SELECT datahike.transact('[{:pet/id 13}]')$$, '42501', NULL, 'nor can one be made against it');
RESET ROLE;
DROP OWNED BY clerk; DROP ROLE clerk;

-- partitions, children, other schemas, tables that have no entities, attributes of the same name
CREATE TABLE event (at int, what text) PARTITION BY RANGE (at);
CREATE TABLE event_low PARTITION OF event FOR VALUES FROM (0) TO (10);
CREATE TABLE event_high PARTITION OF event FOR VALUES FROM (10) TO (20);
SELECT t('[{:db/id "e" :event/at 1 :event/what "begin"} {:event/at 11 :event/what "end"}]')->'tempids'->>'e' AS e \gset
SELECT is(lines(t(format('[{:db/id %s :event/what "start"}]', :e))), '{"- :event/what \"begin\"","+ :event/what \"start\""}'::text[], 'a row of a partition');
SELECT is(lines(t(format('[{:db/id %s :event/at 12}]', :e))), '{"- :event/at 1","- :event/what \"start\"","+ :event/at 12","+ :event/what \"start\""}'::text[], 'that moves to another partition is another entity');
SELECT is((SELECT string_agg(tableoid::regclass || what, ',' ORDER BY what) FROM event), 'event_highend,event_highstart', 'the rows are there');
CREATE SCHEMA other;
CREATE TABLE other.thing ("Odd name" text UNIQUE, "the" int);
SELECT is(lines(t('[{:other.thing/the 1}]')), '{"+ :other.thing/the 1"}'::text[], 'a table outside the search path');
SELECT is(lines(datahike.transact('[{"other.thing/Odd name": "x", "other.thing/the": 2}]'::jsonb)), '{"+ :other.thing/Odd name \"x\"","+ :other.thing/the 2"}'::text[], 'names that need quotes');
CREATE TABLE plain (n int) USING heap;
SELECT throws_ok($$SELECT t('[{:plain/n 1}]')$$, '42809', NULL, 'a heap table has no entities');
SELECT t('[{:db/ident :pet/name :db/valueType :db.type/string}]') \g /dev/null
SELECT is(jsonb_array_length(t('[{:pet/name "a fact"}]')->'tx_data'), 2, 'an attribute of facts goes before a column of its name');
SELECT throws_ok($$SELECT t('[{:datahike.facts/e 1}]')$$, '42704', NULL, 'the facts'' own table is none');
CREATE TABLE measure (id int PRIMARY KEY, f float8);
INSERT INTO measure VALUES (1, 1.0001), (2, 1);
SET extra_float_digits = -12;
SELECT throws_ok($$SELECT datahike.transact('[[:db/cas [:measure/id 1] :measure/f 1.0 6.0]]')$$, '40001', NULL, 'cas compares values, not what a setting shows of them');
SELECT is(jsonb_array_length(datahike.transact('[[:db/add [:measure/id 2] :measure/f 1.0001]]')->'tx_data'), 3, 'a change behind the digits that are shown: old value, new value and time');
RESET extra_float_digits;
SELECT is((SELECT array_agg(f ORDER BY id) FROM measure), '{1.0001,1.0001}'::float8[], 'is made');
SELECT * FROM finish();
