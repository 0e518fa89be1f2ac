-- Training on a plain scan of a datahike table reads the rows of the sample alone, and gives the forest that reading all of them does.
SELECT * FROM no_plan();
SET datahike.vectorized_min_rows = 0;
CREATE TABLE t (id int, a float8, b int, c numeric) USING datahike;
INSERT INTO t SELECT i, sin(i), nullif(i % 17, 3), i / 7.0 FROM generate_series(1, 60000) i;
CREATE FUNCTION forest_of(query text, rows bool DEFAULT true) RETURNS text LANGUAGE plpgsql AS $$
DECLARE before int8; r record;
BEGIN
  before := (SELECT seq_tup_read FROM pg_stat_xact_user_tables WHERE relname = 't');
  PERFORM datahike.create_model('m', query, n_trees => 10, sample_size => 100, contamination => 0.1, seed => 7, replace => true);
  SELECT md5(forest) AS forest, (SELECT seq_tup_read FROM pg_stat_xact_user_tables WHERE relname = 't') - before AS read INTO r FROM datahike_models.m;
  RETURN r.forest || CASE WHEN rows THEN ' ' || r.read ELSE '' END;
END $$;
-- Both in one order: that of the table.
CREATE FUNCTION same(query text, condition text, what text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE drawn text := forest_of(query); all_rows text := forest_of(query || condition); rows int8 := split_part(all_rows, ' ', 2);
BEGIN
  RETURN NEXT is(split_part(drawn, ' ', 1), split_part(all_rows, ' ', 1), what || ': the same forest');
  RETURN NEXT ok(split_part(drawn, ' ', 2)::int8 = least(rows, 1000), what || ': only the sample is read, of ' || rows);
  RETURN NEXT is((SELECT training_rows FROM datahike.models WHERE model_name = 'm'), rows, what || ': which is of all rows');
END $$;
SELECT same('SELECT a, b, c FROM t', ' WHERE true IS NOT NULL OR id > 0 AND id = id', 'loaded');
SELECT same('SELECT a * 2 AS x, b + id AS y, coalesce(c, 0)::float8 FROM t AS x', ' WHERE id = id', 'expressions');
DELETE FROM t WHERE id % 3 = 0 OR id BETWEEN 20000 AND 30000;
SELECT same('SELECT a, b, c FROM t', ' WHERE id = id', 'deleted rows');
SELECT datahike.commit_id() AS first \gset
SELECT same('SELECT a, b, c FROM t', ' WHERE id = id', 'folded');
UPDATE t SET a = a + 1 WHERE id % 100 = 1;
SELECT same('SELECT a, b, c FROM t', ' WHERE id = id', 'updated rows');
BEGIN;
SELECT same('SELECT a, b, c FROM t', ' WHERE id = id', 'in a transaction');
INSERT INTO t SELECT i, cos(i), i % 5, i FROM generate_series(1, 5000) i;
DELETE FROM t WHERE id < 3000;
SELECT same('SELECT a, b, c FROM t', ' WHERE id = id', 'own changes');
SAVEPOINT s;
DELETE FROM t WHERE id % 1000 <> 7;
SELECT same('SELECT a, b, c FROM t', ' WHERE id = id', 'few rows are left');
ROLLBACK TO s;
SELECT same('SELECT a, b, c FROM t', ' WHERE id = id', 'and back');
ROLLBACK;
SELECT datahike.create_branch('side');
SET datahike.branch = 'side';
DELETE FROM t WHERE a > 0;
SELECT same('SELECT a, b, c FROM t', ' WHERE id = id', 'a branch');
RESET datahike.branch;
SELECT same('SELECT a, b, c FROM t', ' WHERE id = id', 'the default branch');
SET datahike.commit_id = :'first';
SELECT set_eq($$SELECT * FROM datahike.detect_anomalies('SELECT a, b, c FROM t', 0.1, 10, 100)$$, $$SELECT * FROM datahike.detect_anomalies('SELECT a, b, c FROM t WHERE id = id', 0.1, 10, 100)$$, 'an older commit');
RESET datahike.commit_id;
SELECT is(forest_of(format('SELECT a, b, c FROM datahike.at(NULL::t, %L)', :'first'), false), forest_of(format('SELECT a, b, c FROM datahike.at(NULL::t, %L) WHERE id = id', :'first'), false), 'at()');
SELECT ok(datahike.purge('t', 'id = 1') IS NOT NULL, 'an erased row');
SELECT same('SELECT a, b, c FROM t', ' WHERE id = id', 'without an erased row');
ALTER TABLE t ADD d int DEFAULT 5;
SELECT same('SELECT a, d FROM t', ' WHERE id = id', 'an added column');

-- What is more than a scan is read to its end.
CREATE FUNCTION all_are_read(query text, rows int8, what text) RETURNS text LANGUAGE sql AS $$
  SELECT ok(split_part(forest_of(query), ' ', 2)::int8 >= rows, what) $$;
SELECT count(*) AS rows FROM t \gset
SELECT all_are_read('SELECT a, b FROM t WHERE id > 5', :rows, 'a condition');
SELECT all_are_read('SELECT a, random() AS r FROM t', :rows, 'a volatile function');
SELECT all_are_read('SELECT DISTINCT a, b FROM t', :rows, 'DISTINCT');
SELECT all_are_read('SELECT a, (SELECT 1) AS one FROM t', :rows, 'a subquery');
SELECT all_are_read('SELECT max(a) AS a FROM t GROUP BY id', 1, 'an aggregate');
SELECT is(split_part(forest_of('SELECT a, b FROM t LIMIT 50', false), ' ', 1), forest_of('SELECT a, b FROM (SELECT * FROM t LIMIT 50) x', false), 'a limit');
CREATE TABLE child () INHERITS (t) USING datahike;
INSERT INTO child SELECT * FROM t LIMIT 700;
SELECT is(forest_of('SELECT a, b FROM t', false), forest_of('SELECT a, b FROM t WHERE id = id', false), 'children');
SELECT is((SELECT training_rows FROM datahike.models WHERE model_name = 'm'), :rows + 700::int8, '... count');
SELECT is(split_part(forest_of('SELECT a, b FROM ONLY t'), ' ', 2), '1000', 'a scan of the parent only');
DROP TABLE child;
SET datahike.history = on;
SELECT is((SELECT count(*) FROM (SELECT * FROM datahike.detect_anomalies('SELECT a, b FROM t', 0.1, 10, 100)) x), (SELECT count(*) FROM t), 'history');
RESET datahike.history;

-- Errors and privileges are those of the query.
SELECT throws_ok($$SELECT datahike.create_model('x', 'SELECT a / 0 AS a FROM t')$$, '22012', NULL, 'an error of an expression');
SELECT throws_ok($$SELECT datahike.create_model('x', 'SELECT a, a FROM t')$$, '42701', NULL, 'two columns of one name');
SELECT throws_ok($$SELECT datahike.create_model('x', 'SELECT id::text FROM t')$$, '42804', NULL, 'a column that is not numeric');
CREATE TABLE none (a int) USING datahike;
SELECT throws_ok($$SELECT datahike.create_model('x', 'SELECT a FROM none')$$, '22023', 'the training query returned no rows', 'an empty table');
CREATE FUNCTION secret(float8) RETURNS float8 LANGUAGE sql IMMUTABLE AS 'SELECT $1';
REVOKE EXECUTE ON FUNCTION secret FROM PUBLIC;
CREATE ROLE drawing_user;
SET ROLE drawing_user;
SELECT throws_ok($$SELECT datahike.create_model('x', 'SELECT a FROM t')$$, '42501', 'permission denied for table t', 'a table that one may not read');
RESET ROLE;
GRANT SELECT (a, b) ON t TO drawing_user;
SET ROLE drawing_user;
SELECT throws_ok($$SELECT datahike.create_model('x', 'SELECT a, c FROM t')$$, '42501', 'permission denied for table t', 'a column that one may not read');
SELECT throws_ok($$SELECT datahike.create_model('x', 'SELECT secret(a) FROM t')$$, '42501', NULL, 'a function that one may not call');
SELECT is(datahike.create_model('theirs', 'SELECT a, b FROM t', n_trees => 5), 'theirs', 'columns that one may read');
RESET ROLE;
ALTER TABLE t ENABLE ROW LEVEL SECURITY;
CREATE POLICY few ON t USING (id < 100);
SET ROLE drawing_user;
RESET ROLE;
GRANT SELECT ON t TO drawing_user;
SET ROLE drawing_user;
SELECT is(datahike.create_model('theirs', 'SELECT a, b FROM t', n_trees => 5, replace => true), 'theirs', 'row security');
RESET ROLE;
SELECT is((SELECT training_rows FROM datahike.models WHERE model_name = 'theirs'), (SELECT count(*) FROM t WHERE id < 100), '... leaves rows out');
DROP TABLE datahike_models.theirs;
REVOKE ALL ON t FROM drawing_user;
DROP ROLE drawing_user;
SELECT * FROM finish();
