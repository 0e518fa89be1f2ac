-- Tables as facts: patterns, functions, inputs and results in SQL.
SELECT plan(61);

CREATE TABLE dept (id int PRIMARY KEY, name text NOT NULL) USING datahike;
CREATE TABLE person (id int PRIMARY KEY, name text, age int, dept_id int REFERENCES dept, salary numeric(10,2),
  born date, tags text[], active bool, boss_id int REFERENCES person) USING datahike;
INSERT INTO dept VALUES (1, 'Sales'), (2, 'Research');
INSERT INTO person VALUES
  (1, 'Ann', 40, 1, 100.50, '1985-03-01', '{a,b}', true, NULL),
  (2, 'Bob', 17, 1, 20.25, '2008-01-02', NULL, false, 1),
  (3, 'Cy', 31, 2, 75, '1994-12-31', '{c}', true, 1),
  (4, 'Di', NULL, 2, NULL, NULL, '{}', NULL, 3);

-- Shapes of results.
SELECT results_eq($$SELECT * FROM datahike.q('[:find ?n :where [_ :person/name ?n] :order-by [?n :asc]]') AS t(n text)$$,
  ARRAY['Ann', 'Bob', 'Cy', 'Di'], 'a relation of one column');
SELECT results_eq($$SELECT * FROM datahike.q('[:find [?n ...] :where [_ :person/name ?n] :order-by [?n :desc]]') AS t(n text)$$,
  ARRAY['Di', 'Cy', 'Bob', 'Ann'], 'a collection');
SELECT results_eq($$SELECT * FROM datahike.q('[:find ?a . :where [?p :person/name "Ann"] [?p :person/age ?a]]') AS t(a int)$$,
  ARRAY[40], 'a scalar');
SELECT results_eq($$SELECT * FROM datahike.q('[:find [?n ?a] :where [?p :person/id 2] [?p :person/name ?n] [?p :person/age ?a]]') AS t(n text, a bigint)$$,
  $$VALUES ('Bob'::text, 17::bigint)$$, 'a tuple');
SELECT is(datahike.q_json('[:find ?n ?a :keys name age :where [?p :person/name ?n] [?p :person/age ?a] :order-by [?a]]'),
  '[{"name": "Bob", "age": 17}, {"name": "Cy", "age": 31}, {"name": "Ann", "age": 40}]', 'maps');
SELECT is(datahike.q_json('[:find ?a . :where [?p :person/name "Nobody"] [?p :person/age ?a]]'), 'null', 'a scalar of nothing');
SELECT is(datahike.q_json('[:find ?a :where [?p :person/name "Nobody"] [?p :person/age ?a]]'), '[]', 'a relation of nothing');
SELECT is(datahike.q_json('{:find [?n] :where [[_ :person/name ?n]] :order-by [?n] :limit 2 :offset 1}'), '[["Bob"], ["Cy"]]', 'limit and offset');

-- NULL is no fact.
SELECT is(datahike.q_json('[:find (count ?p) . :where [?p :person/age]]'), '3', 'a NULL is no fact');
SELECT is(datahike.q_json('[:find [?n ...] :where [?p :person/name ?n] (not [?p :person/age])]'), '["Di"]', 'and can be asked for');
SELECT is(datahike.q_json('[:find [?n ...] :where [?p :person/name ?n] [(missing? $ ?p :person/born)]]'), '["Di"]', 'with missing?, too');

-- Types.
SELECT results_eq($$SELECT * FROM datahike.q('[:find ?s ?b ?t ?x :where [?p :person/id 1] [?p :person/salary ?s] [?p :person/born ?b] [?p :person/tags ?t] [?p :person/active ?x]]')
  AS t(s numeric, b date, t text[], x bool)$$, $$VALUES (100.50::numeric, '1985-03-01'::date, '{a,b}'::text[], true)$$, 'numeric, date, array, boolean');
SELECT is(datahike.q_json('[:find ?s ?b ?t :where [?p :person/id 1] [?p :person/salary ?s] [?p :person/born ?b] [?p :person/tags ?t]]'),
  '[[100.50, "1985-03-01T00:00:00.000-00:00", ["a", "b"]]]', 'as JSON');
SELECT is(datahike.q_json('[:find [?n ...] :where [?p :person/born ?b] [(after? ?b #inst "1990")] [?p :person/name ?n] :order-by [?n]]'), '["Bob", "Cy"]', 'after?');
SELECT is(datahike.q_json('[:find (sum ?s) . :where [_ :person/salary ?s]]'), '195.75', 'a sum of numerics is exact');
SELECT is(datahike.q_json('[:find [?n ...] :where [?p :person/salary 75] [?p :person/name ?n]]'), '["Cy"]', 'a number is found by its worth');
SELECT is(datahike.q_json('[:find [?n ...] :where [?p :person/age 31.0] [?p :person/name ?n]]'), '["Cy"]', 'a double, too');
SELECT is(datahike.q_json('[:find ?p :where [?p :person/age "31"]]'), '[]', 'but no text');
SELECT throws_ok($$SELECT * FROM datahike.q('[:find ?n :where [_ :person/name ?n]]') AS t(n int)$$, '22P02', NULL, 'a value that is none of the column''s type');
SELECT throws_ok($$SELECT * FROM datahike.q('[:find ?n :where [_ :person/name ?n]]') AS t(n text, m int)$$, '42804', NULL, 'too many columns');

-- Joins.
SELECT is(datahike.q_json('[:find ?n ?d :where [?p :person/name ?n] [?p :person/dept_id ?i] [?e :dept/id ?i] [?e :dept/name ?d] :order-by [?n]]'),
  '[["Ann", "Sales"], ["Bob", "Sales"], ["Cy", "Research"], ["Di", "Research"]]', 'a join of two tables by value');
SELECT is(datahike.q_json('[:find ?n ?m :where [?p :person/boss_id ?b] [?q :person/id ?b] [?p :person/name ?n] [?q :person/name ?m] :order-by [?n]]'),
  '[["Bob", "Ann"], ["Cy", "Ann"], ["Di", "Cy"]]', 'of a table with itself');
SELECT is(datahike.q_json('[:find ?d (count ?p) (avg ?a) :where [?p :person/age ?a] [?p :person/dept_id ?d] :order-by [?d]]'),
  '[[1, 2, 28.5], [2, 1, 31]]', 'aggregates by group');
SELECT is(datahike.q_json('[:find ?a ?n :where [?p ?a ?n] [?p :person/id 4] [(= ?n 3)]]'), '[[":person/boss_id", 3]]', 'an attribute that is asked for');

-- Predicates and functions.
SELECT is(datahike.q_json('[:find [?n ...] :where [?p :person/age ?a] [(<= 18 ?a 35)] [?p :person/name ?n]]'), '["Cy"]', 'a range');
SELECT is(datahike.q_json('[:find [?x ...] :where [?p :person/id 2] [?p :person/age ?a] [(+ ?a 1) ?x]]'), '[18]', 'arithmetic');
SELECT is(datahike.q_json('[:find [?x ...] :where [?p :person/id 2] [?p :person/name ?n] [(str ?n "!") ?x]]'), '["Bob!"]', 'str');
SELECT is(datahike.q_json('[:find [?x ...] :where [?p :person/id 2] [?p :person/name ?n] [(upper ?n) ?x]]'), '["BOB"]', 'an SQL function');
SELECT is(datahike.q_json('[:find [?x ...] :where [?p :person/id 2] [?p :person/name ?n] [(pg_catalog/substr ?n 2 1) ?x]]'), '["o"]', 'of a schema, with integers');
SELECT is(datahike.q_json('[:find [?n ...] :where [_ :person/name ?n] [(textlike ?n "%n%")]]'), '["Ann"]', 'as a predicate');
SELECT throws_ok($$SELECT datahike.q_json('[:find ?x :where [_ :person/name ?n] [(random) ?x]]')$$, '0A000', NULL, 'no VOLATILE function');
SELECT throws_ok($$SELECT datahike.q_json('[:find ?x :where [_ :person/name ?n] [(no_such ?n) ?x]]')$$, '42883', 'there is no function no_such that queries may call', 'no function that is not there');
SELECT throws_ok($$SELECT datahike.q_json('[:find ?n :where [_ :person/name ?n] [(< ?n 3)]]')$$, '42804', NULL, 'text and numbers have no order');
SELECT is(datahike.q_json('[:find ?n ?a :where [?p :person/name ?n] [(get-else $ ?p :person/age 0) ?a] [(< ?a 20)] :order-by [?n]]'), '[["Bob", 17], ["Di", 0]]', 'get-else');
SELECT is(datahike.q_json('[:find ?m . :where [(q [:find (max ?a) . :where [_ :person/age ?a]] $) ?m]]'), '40', 'a query in a query');

-- Inputs.
SELECT is(datahike.q_json('[:find [?n ...] :in $ ?min :where [?p :person/age ?a] [(>= ?a ?min)] [?p :person/name ?n] :order-by [?n]]', 31), '["Ann", "Cy"]', 'a scalar');
SELECT is(datahike.q_json('[:find [?a ...] :in $ [?n ...] :where [?p :person/name ?n] [?p :person/age ?a] :order-by [?a]]', ARRAY['Ann', 'Bob', 'Zoe']), '[17, 40]', 'a collection');
SELECT is(datahike.q_json('[:find ?n ?v :in $ [[?n ?v]] :where [_ :person/name ?n] :order-by [?n]]', '[["Ann", 1], ["Di", true]]'::jsonb), '[["Ann", 1], ["Di", true]]', 'a relation');
SELECT is(datahike.q_json('[:find ?a . :in $ [?n _] :where [?p :person/name ?n] [?p :person/age ?a]]', '["Cy", 0]'::jsonb), '31', 'a tuple');
SELECT is(datahike.q_json('[:find ?n ?c :in $ $c :where [?p :person/name ?n] [$c ?n ?c]]', '[["Ann", "red"]]'::jsonb), '[["Ann", "red"]]', 'tuples as a source');
SELECT is(datahike.q_json('[:find (sum ?x) . :in [?x ...]]', ARRAY[1, 2, 3]), '6', 'no source');
SELECT is(datahike.q_json('[:find ?x . :in ?x]', ':a'::datahike.edn), '":a"', 'EDN');
SELECT throws_ok($$SELECT datahike.q_json('[:find ?x :in ?x ?y :where [_ ?x ?y]]', 1)$$, '42601', NULL, 'too few');
SELECT is(datahike.q_json('[:find [?n ...] :in $ % :where (minor ?p) [?p :person/name ?n]]', '[[(minor ?p) [?p :person/age ?a] [(< ?a 18)]]]'), '["Bob"]', 'rules');
SELECT is(datahike.q_json('[:find [?n ...] :in $ % ?top :where [?t :person/name ?top] [?t :person/id ?i] (under ?i ?j) [?p :person/id ?j] [?p :person/name ?n] :order-by [?n]]',
  '[[(under ?a ?b) [?p :person/boss_id ?a] [?p :person/id ?b]] [(under ?a ?b) (under ?a ?c) (under ?c ?b)]]', 'Ann'), '["Bob", "Cy", "Di"]', 'recursive rules');

-- Errors.
SELECT throws_ok($$SELECT datahike.q_json('[:find ?x')$$, '22P02', '"[" is not closed by "]" at offset 0', 'malformed EDN');
SELECT throws_ok($$SELECT datahike.q_json('[:find ?x :where [?p :person/name ?n]]')$$, '42P10', NULL, 'an unbound variable');
SELECT throws_ok($$SELECT datahike.q_json('[:where [?p :person/name ?n]]')$$, '42601', NULL, 'no :find');
SELECT throws_ok($$SELECT datahike.q_json(NULL)$$, '22004', NULL, 'no query');
SELECT is(datahike.q_json('[:find ?x :where [_ :person/no_such ?x]]'), '[]', 'an attribute that nothing has');

-- The transaction's own rows, and names of tables.
BEGIN;
INSERT INTO person VALUES (5, 'Eve', 50);
UPDATE person SET name = 'Anne' WHERE id = 1;
SELECT is(datahike.q_json('[:find ?n ?a :where [?p :person/name ?n] [?p :person/age ?a] [(>= ?a 40)] :order-by [?n]]'), '[["Anne", 40], ["Eve", 50]]', 'rows that are not committed');
ROLLBACK;
CREATE SCHEMA other;
CREATE TABLE other.person (name text) USING datahike;
INSERT INTO other.person VALUES ('Out');
SELECT is(datahike.q_json('[:find [?n ...] :where [_ :other.person/name ?n]]'), '["Out"]', 'a table outside of the search path');
CREATE TABLE plain (n int) USING heap;
SELECT throws_ok($$SELECT datahike.q_json('[:find ?n :where [_ :plain/n ?n]]')$$, '42809', NULL, 'a heap table has no entities');

-- Privileges and row security.
CREATE ROLE datalog_reader;
GRANT SELECT (id, name) ON person TO datalog_reader;
SET ROLE datalog_reader;
SELECT is(datahike.q_json('[:find (count ?n) . :where [_ :person/name ?n]]'), '4', 'a column that may be read');
SELECT throws_ok($$SELECT datahike.q_json('[:find ?a :where [_ :person/age ?a]]')$$, '42501', NULL, 'a column that may not');
RESET ROLE;
ALTER TABLE person ENABLE ROW LEVEL SECURITY;
CREATE POLICY adults ON person USING (id > 2);
GRANT SELECT ON person TO datalog_reader;
SET ROLE datalog_reader;
SELECT is(datahike.q_json('[:find [?n ...] :where [?p :person/name ?n] [?p :person/id ?i] :order-by [?n]]'), '["Cy", "Di"]', 'row security');
RESET ROLE;

-- Pull.
SELECT is(datahike.pull('[:person/name {:person/dept_id [:dept/name]}]', '[:person/id 2]'), '{":person/name": "Bob", ":person/dept_id": {":dept/name": "Sales"}}', 'pull follows a foreign key');
SELECT is(datahike.pull('[:dept/name {:person/_dept_id [:person/name]}]', '[:dept/id 1]'), '{":dept/name": "Sales", ":person/_dept_id": [{":person/name": "Ann"}, {":person/name": "Bob"}]}', 'and back');
SELECT is(datahike.pull('[:person/age]', '[:person/id 4]'), NULL, 'of nothing');
SELECT is((SELECT datahike.pull_many('[:person/name]', array_agg(e)) FROM datahike.q('[:find ?p ?i :where [?p :person/id ?i] :order-by [?i]]') AS t(e bigint, i int)),
  '[{":person/name": "Ann"}, {":person/name": "Bob"}, {":person/name": "Cy"}, {":person/name": "Di"}]', 'pull_many');

SELECT isnt_empty($$SELECT datahike.explain_q('[:find ?n :where [_ :person/name ?n]]')$$, 'explain_q tells the steps');
SELECT * FROM finish();
DROP OWNED BY datalog_reader;
DROP ROLE datalog_reader;
