-- Values of old commits in columns that have changed their type since: of many types, of types that are gone.
SELECT plan(13);
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE TYPE pair AS (a int, b text);
CREATE DOMAIN small AS int CHECK (VALUE < 100);
CREATE TABLE t (id int PRIMARY KEY, m mood, p pair, d int, arr int[], ts timestamptz, j json, n numeric(10, 3), c char(10), b bytea, i interval, u uuid);
INSERT INTO t VALUES
  (1, 'ok', '(1,x)', 5, '{1,2}', '2020-01-01 00:00Z', '{"a": 1}', 1.234, 'abc', '\x01', '1 day', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'),
  (2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
  (3, 'happy', '(2,y)', 500, '{}', 'infinity', '[1]', 9999.999, '', '\x', '1 mon', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11');
SELECT datahike.commit_id() AS before \gset
CREATE TABLE h USING heap AS TABLE t;
\set change 'ALTER m TYPE text, ALTER p TYPE text USING p::text, ALTER arr TYPE text[], ALTER ts TYPE date, ALTER j TYPE jsonb, ALTER n TYPE float8, ALTER c TYPE varchar(3), ALTER i TYPE text, ALTER u TYPE text'
ALTER TABLE t :change;
ALTER TABLE h :change;
SELECT results_eq('SELECT * FROM t ORDER BY id', 'SELECT * FROM h ORDER BY id', 'as heap converts them');
SET datahike.commit_id = :'before';
SELECT results_eq('SELECT * FROM t ORDER BY id', 'SELECT * FROM h ORDER BY id', 'and so in a commit from before');
RESET datahike.commit_id;
-- a domain that an old value violates
UPDATE t SET d = 7 WHERE d = 500;
ALTER TABLE t ALTER d TYPE small;
SET datahike.commit_id = :'before';
SELECT results_eq('SELECT id, m FROM t ORDER BY id', $$VALUES (1, 'ok'), (2, NULL), (3, 'happy')$$, 'columns before it');
SELECT is((SELECT d::int FROM t WHERE id = 1), 5, 'a value that fits');
SELECT throws_ok('SELECT d FROM t', '23514', 'value for domain small violates check constraint "small_check"', 'and one that does not');
RESET datahike.commit_id;
-- a type that has been dropped
DROP TYPE mood;
SET datahike.commit_id = :'before';
SELECT results_eq('SELECT id FROM t ORDER BY id', 'VALUES (1), (2), (3)', 'columns before it');
SELECT throws_ok('SELECT m FROM t', '42704', NULL, 'a value of a type that is gone');
SELECT results_eq('SELECT m FROM t WHERE id = 2', 'VALUES (NULL::text)', 'NULL has none');
RESET datahike.commit_id;
-- no cast at all
ALTER TABLE t DROP COLUMN m, ALTER b TYPE point USING point(1, 2);
SET datahike.commit_id = :'before';
SELECT throws_ok('SELECT b FROM t', '42846', NULL, 'no cast');
SELECT results_eq('SELECT c FROM t WHERE id = 1', $$VALUES ('abc'::varchar(3))$$, 'columns before it');
RESET datahike.commit_id;
-- REFRESH ... WITH NO DATA empties the view on the session's branch
CREATE MATERIALIZED VIEW v AS SELECT id FROM t;
SELECT datahike.create_branch('b') \g /dev/null
SET datahike.branch = 'b';
REFRESH MATERIALIZED VIEW v WITH NO DATA;
SET datahike.branch = 'db';
REFRESH MATERIALIZED VIEW v;
SELECT results_eq('SELECT id FROM v ORDER BY id', 'VALUES (1), (2), (3)', 'refreshed');
SET datahike.branch = 'b';
SELECT is_empty('TABLE v', 'emptied');
SET datahike.branch = 'db';
ALTER MATERIALIZED VIEW v SET ACCESS METHOD heap;
SELECT results_eq('SELECT id FROM v ORDER BY id', 'VALUES (1), (2), (3)', 'a view may become a heap table');
SELECT * FROM finish();
