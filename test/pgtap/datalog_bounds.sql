-- What a query may not do is refused by name: unbound variables, sources that are none, nesting and sizes without bound.
SELECT plan(30);
SET jit = off;

SELECT throws_ok($$SELECT datahike.q_json('[:find ?x ?y :in $d :where [$d ?x _] (not [$d ?y ?x])]', '[[1,2]]'::jsonb)$$, '42P10', NULL, 'a variable that only not names');
SELECT throws_ok($$SELECT datahike.q_json('[:find ?x ?y :in $ % :where (r ?x ?y)]', '[[1,2]]'::jsonb, '[[(r ?x ?y) [?x _] (not [?y ?x])]]')$$, '42P10', NULL, 'in a rule');
SELECT is(datahike.q_json('[:find ?x ?y :in $ % ?y :where (r ?x ?y)]', '[[1,2]]'::jsonb, '[[(r ?x ?y) [?x _] (not [?y ?x])]]', 1), '[[1, 1]]', 'unless the call binds it');
SELECT throws_ok($$SELECT datahike.q_json('[:find ?x ?y :in $ :where (or-join [?x ?y] (and [?x _] (not [?y ?x])) [?x ?y])]', '[[1,2]]'::jsonb)$$, '42P10', NULL, 'in a branch of or-join');
SELECT throws_ok($$SELECT datahike.q_json('[:find ?x :in $d :where [$d ?x]]', 5)$$, '42804', NULL, 'a number is no source');
SELECT throws_ok($$SELECT datahike.q_json('[:find ?x :in $d :where [$d ?x]]', NULL::jsonb)$$, '42804', NULL, 'nor is NULL');
SELECT throws_ok($$SELECT datahike.q_json('[:find ?x :in $ :where [?x]]', NULL::datahike.db)$$, '22004', NULL, 'nor a database that is NULL');
SELECT throws_ok($$SELECT datahike.q_json('[:find ?x :in $ $s % :where (r ?x)]', '[[1]]'::jsonb, '[[1]]'::jsonb, '[[(r ?x) ($s or (r ?x) (r ?x))]]')$$, '54001', NULL, 'a disjunction of another source in a recursion');
CREATE FUNCTION chain(length int, call text) RETURNS text LANGUAGE sql AS $$
  SELECT '[[(r0 ?x) [?x]] ' || string_agg(format('[(r%s ?x) [?x] ' || call || ']', i, i - 1), ' ') || ']' FROM generate_series(1, length) i $$;
SELECT is(datahike.q_json('[:find ?x :in $ % :where (r100 ?x)]', '[[1]]'::jsonb, chain(100, '(r%s ?x)')), '[[1]]', 'a chain of rules');
SELECT throws_ok($$SELECT datahike.q_json('[:find ?x :in $ % :where (r5000 ?x)]', '[[1]]'::jsonb, chain(5000, '(r%s ?x)'))$$, '54001', NULL, 'too long a chain of rules');
SELECT is(datahike.q_json('[:find ?x :in $ % :where (r100 ?x)]', '[[1]]'::jsonb, chain(100, '(not (r%s ?x))')), '[[1]]', 'of negations');
SELECT throws_ok($$SELECT datahike.q_json('[:find ?x :in $ % :where (r2000 ?x)]', '[[1]]'::jsonb, chain(2000, '(not (r%s ?x))'))$$, '54001', NULL, 'too long a chain of negations');
SELECT is(datahike.q_json('[:find ?x :in $ $s % :where (a ?x)]', '[[1, 1], [2, 2]]'::jsonb, '[[2, 0], [3, 0]]'::jsonb, '[[(a ?x) [?x _] ($s b ?x)] [(b ?x) [?x _]]]'), '[[2]]', 'a rule''s call of another source within a rule');

-- Sizes.
CREATE FUNCTION doubled(f text) RETURNS text LANGUAGE sql AS $$
  SELECT '[:find ?a40 . :in ?a0 :where ' || string_agg(format('[(%s ?a%s ?a%s) ?a%s]', f, i - 1, i - 1, i), ' ') || ']' FROM generate_series(1, 40) i $$;
SELECT throws_ok(format('SELECT datahike.q_json(%L, 1)', doubled('vector')), '54000', NULL, 'a collection that shares its parts');
SELECT throws_ok(format('SELECT datahike.q_json(%L, 1)', doubled('list')), '54000', NULL, 'a list');
SET work_mem = '256kB';
SELECT throws_ok(format('SELECT datahike.q_json(%L, %L)', doubled('str'), 'ab'), '53200', NULL, 'a text');
RESET work_mem;
SELECT throws_ok($$SELECT datahike.q_json('[:find (count ?r) . :in [?i ...] :where [(range ?i 900000) ?r]]', (SELECT jsonb_agg(i) FROM generate_series(1, 500) i))$$, '53200', NULL, 'a large collection for each row');
SELECT is(datahike.q_json('[:find (sum ?n) . :in ?i :where [(range ?i) [?n ...]]]', 10000), '49995000', 'one of them');

-- Keywords are in the order of facts that are stored: by namespace, then by name.
SELECT is(datahike.q_json('[:find [?k ...] :in [?k ...] :order-by [?k]]', '[":a-b/c", ":a/z", ":z", ":a/b"]'::jsonb), '[":a-b/c", ":a/b", ":a/z", ":z"]', 'text');
SELECT is(datahike.q_json('[:find ?c . :where [(ground :a/z) ?a] [(ground :a-b/c) ?b] [(compare ?a ?b) ?c]]'), '-1', 'keywords');
SELECT is(datahike.q_json('[:find ?c . :where [(ground :z) ?a] [(ground :a/b) ?b] [(compare ?a ?b) ?c]]'), '-1', 'without a namespace first');

-- A composite value with a NULL in it is a fact.
CREATE TYPE pair AS (a int, b int);
CREATE TABLE composite (id int PRIMARY KEY, p pair) USING datahike;
INSERT INTO composite VALUES (1, ROW(1, NULL)), (2, NULL), (3, ROW(1, 2));
SELECT is(datahike.q_json('[:find (count ?e) . :where [?e :composite/p]]'), '2', 'a composite value with a NULL');

-- A table of another kind, or a schema that may not be used, hides no facts.
SELECT lives_ok($$SELECT datahike.transact('[{:db/ident :book/title :db/valueType :db.type/string :db/cardinality :db.cardinality/one}
  {:db/ident :closed.book/title :db/valueType :db.type/string :db/cardinality :db.cardinality/one}]')$$, 'attributes');
SELECT lives_ok($$SELECT datahike.transact('[{:book/title "SICP"} {:closed.book/title "Alice"}]')$$, 'facts');
CREATE TEMP TABLE book (title text, pages int) USING heap;
SELECT is(datahike.q_json('[:find ?t . :where [_ :book/title ?t]]'), '"SICP"', 'facts behind a temporary table');
SELECT throws_ok($$SELECT datahike.q_json('[:find ?t . :where [_ :book/pages ?t]]')$$, '42809', NULL, 'what facts do not have either');
CREATE SCHEMA closed;
CREATE TABLE closed.book (title text, pages int) USING datahike;
CREATE ROLE datalog_bounded;
GRANT SELECT ON datahike.facts TO datalog_bounded;
SET ROLE datalog_bounded;
SELECT is(datahike.q_json('[:find ?t . :where [_ :closed.book/title ?t]]'), '"Alice"', 'facts behind a closed schema');
SELECT throws_ok($$SELECT datahike.q_json('[:find ?t . :where [_ :closed.book/pages ?t]]')$$, '42501', NULL, 'what facts do not have either');
RESET ROLE;

-- Functions with defaults that are not IMMUTABLE.
CREATE FUNCTION later(i int, t timestamptz DEFAULT clock_timestamp()) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT t > ''2000-01-01''';
CREATE FUNCTION plus(i int, j int DEFAULT 40 + 2) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT i + j';
SELECT throws_ok($$SELECT datahike.q_json('[:find ?x . :where [(ground 1) ?i] [(later ?i) ?x]]')$$, '0A000', NULL, 'a default that is not IMMUTABLE');
SELECT is(datahike.q_json('[:find ?x . :where [(ground 1) ?i] [(plus ?i) ?x]]'), '43', 'one that is');
SELECT * FROM finish();
DROP OWNED BY datalog_bounded;
DROP ROLE datalog_bounded;
