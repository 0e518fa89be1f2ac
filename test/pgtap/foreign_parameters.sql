-- Conditions of foreign scans whose values are known when they run: parameters, rows of other relations, subqueries. The local table, of which
-- the store is a backup, has the answers.
SELECT * FROM no_plan();
SET datahike.vectorized = off;
SET jit = off;

CREATE FUNCTION plan(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE line text; lines text := '';
BEGIN
  FOR line IN EXECUTE 'EXPLAIN (COSTS off) ' || query LOOP lines := lines || line || E'\n'; END LOOP;
  RETURN lines;
END $$;
CREATE FUNCTION answer(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE result text;
BEGIN
  EXECUTE format('SELECT coalesce(string_agg(q::text, E''\n'' ORDER BY q::text COLLATE "C"), ''none'') FROM (%s) q', query) INTO result;
  RETURN result;
EXCEPTION WHEN OTHERS THEN RETURN SQLSTATE || ' ' || SQLERRM;
END $$;
CREATE FUNCTION executed(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE r record; result text := '';
BEGIN
  FOR r IN EXECUTE statement LOOP result := result || r::text || ' '; END LOOP;
  RETURN result;
EXCEPTION WHEN OTHERS THEN RETURN SQLSTATE || ' ' || SQLERRM;
END $$;

CREATE TABLE t (id int8, a int4, s int2, d date, ts timestamp, name text, v varchar(20), w int4);
INSERT INTO t SELECT i, i % 50, i % 7, DATE '2020-01-01' + i, TIMESTAMP '2020-01-01' + i * INTERVAL '1 hour', CASE WHEN i % 13 = 0 THEN NULL ELSE 'name ' || i % 40 END, 'v' || i % 5, i FROM generate_series(1, 3000) i;
DELETE FROM t WHERE id % 17 = 0;
INSERT INTO t SELECT i, i % 50, i % 7, NULL, NULL, 'late', 'v9', NULL FROM generate_series(3001, 3200) i;
CREATE TABLE few (x int8, y int4, word text);
INSERT INTO few VALUES (1, 1, 'name 1'), (2, 52, 'name 2'), (34, 34, 'name 34'), (3100, 0, 'late'), (NULL, 3, NULL), (9000000000, 4, 'nowhere');
ANALYZE few;
SELECT datahike.commit_id() \g /dev/null
SELECT current_setting('data_directory') || '/copy_for_foreign_parameters' AS copy \gset
SELECT datahike.backup(:'copy') \g /dev/null
SELECT format('CREATE SERVER far FOREIGN DATA WRAPPER datahike OPTIONS (store %L)', :'copy') \gexec
CREATE SCHEMA far;
IMPORT FOREIGN SCHEMA public FROM SERVER far INTO far;

-- Parameters of prepared statements.
SET plan_cache_mode = force_generic_plan;
CREATE TABLE statements (n serial, arguments text, body text, used text[]);
INSERT INTO statements (arguments, body, used) VALUES
  ('int8', 'SELECT id, name FROM %st WHERE id = $1', '{7,17,3100,NULL,-1,9223372036854775807}'),
  ('int4', 'SELECT id FROM %st WHERE id = $1 AND s < 5', '{7,17,3100,NULL}'),
  ('int8', 'SELECT id FROM %st WHERE s = $1 AND id < 20', '{3,70000,NULL,-9223372036854775808}'),
  ('int8', 'SELECT count(*) FROM %st WHERE $1 >= id', '{7,2000,NULL,-9223372036854775808,9223372036854775807}'),
  ('int8', 'SELECT count(*) FROM %st WHERE id < $1', '{7,NULL,-9223372036854775808}'),
  ('int8', 'SELECT count(*) FROM %st WHERE id > $1', '{7,NULL,9223372036854775807}'),
  ('text', 'SELECT count(*), min(id) FROM %st WHERE name = $1', '{late,"name 3",nobody,NULL}'),
  ('text', 'SELECT count(*), min(id) FROM %st WHERE v = $1', '{v1,v9,NULL}'),
  ('date', 'SELECT count(*), max(id) FROM %st WHERE d > $1', '{2021-01-01,infinity,-infinity,NULL}'),
  ('timestamp', 'SELECT count(*), max(id) FROM %st WHERE ts BETWEEN $1 AND $1 + interval ''10 days''', '{2020-02-01 00:30,infinity,NULL}'),
  ('int', 'SELECT count(*) FROM %st WHERE a = $1 * 2 - 1', '{4,2000000000}'),
  ('int', 'SELECT count(*) FROM %st WHERE a = $1 OR name = ''late''', '{4,NULL}');
CREATE FUNCTION prepared() RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE s record; v text;
BEGIN
  FOR s IN SELECT * FROM statements ORDER BY n LOOP
    EXECUTE format('PREPARE here%s (%s) AS ', s.n, s.arguments) || format(s.body, '');
    EXECUTE format('PREPARE far%s (%s) AS ', s.n, s.arguments) || format(s.body, 'far.');
    FOREACH v IN ARRAY s.used LOOP
      RETURN NEXT is(executed(format('EXECUTE far%s (%L)', s.n, v)), executed(format('EXECUTE here%s (%L)', s.n, v)), format('%s, %s', s.body, v));
    END LOOP;
  END LOOP;
END $$;
SELECT prepared();
SELECT matches(plan('EXECUTE far1 (1)'), 'Filter: \(id = \$1\)\n.*Tested Columns: id\n', 'EXPLAIN of a parameter');
SELECT matches(plan('EXECUTE far12 (1)'), 'Relation: public.t\n$', 'what cannot be tested by column');
RESET plan_cache_mode;

-- Rows of other relations.
SET enable_hashjoin = off;
SET enable_mergejoin = off;
SET enable_material = off;
SET enable_memoize = off;
SELECT matches(plan('SELECT t.id FROM few JOIN far.t ON t.id = few.x WHERE t.s > 1'),
  'Nested Loop\n *->  Seq Scan on few\n *->  Foreign Scan on t\n *Filter: \(\(s > 1\) AND \(few.x = id\)\)\n.*\n.*\n *Tested Columns: s, id\n', 'EXPLAIN of a nested loop');
CREATE TABLE queries (n serial, query text);
INSERT INTO queries (query) VALUES
  ('SELECT t.id, name, few.* FROM few JOIN %1$st ON t.id = few.x'),
  ('SELECT t.id, few.* FROM few LEFT JOIN %1$st ON t.id = few.x AND t.a = few.y'),
  ('SELECT t.id, few.* FROM few LEFT JOIN %1$st ON t.name = few.word AND t.id < 100'),
  ('SELECT few.* FROM few WHERE EXISTS (SELECT FROM %1$st WHERE t.w = few.y)'),
  ('SELECT few.* FROM few WHERE NOT EXISTS (SELECT FROM %1$st WHERE t.w = few.y)'),
  ('SELECT few.x, l.* FROM few, LATERAL (SELECT id, ts FROM %1$st WHERE t.a = few.y ORDER BY id LIMIT 2) l'),
  ('SELECT few.x, (SELECT name FROM %1$st WHERE t.id = few.x) FROM few'),
  ('SELECT few.x, (SELECT count(*) FROM %1$st WHERE t.id > few.x AND t.s = few.y) FROM few'),
  ('SELECT u.id, t.id FROM %1$st u JOIN %1$st t ON t.id = u.w + 1 WHERE u.id < 20'),
  ('SELECT u.id, t.id FROM %1$st u JOIN %1$st t ON t.id = u.id AND t.a = u.a JOIN few ON few.x = u.id'),
  ('SELECT u.id, t.d FROM %1$st u JOIN %1$st t ON t.d = u.d + 10 WHERE u.id BETWEEN 5 AND 15'),
  ('SELECT id FROM %1$st WHERE id > (SELECT max(id) - 5 FROM %1$st)'),
  ('SELECT id FROM %1$st WHERE id = (SELECT x FROM few WHERE x IS NULL)'),
  ('SELECT id FROM %1$st WHERE id = (SELECT x FROM few)'),
  ('SELECT count(*) FROM %1$st WHERE d < current_date - 1000'),
  ('SELECT count(*) FROM %1$st WHERE ts < now() - interval ''1 day'''),
  ('SELECT count(*) FROM %1$st WHERE id = (SELECT 1 / 0)'),
  ('SELECT few.x, t.id FROM few JOIN %1$st ON t.id = 10 / few.y WHERE few.y > 0');
CREATE FUNCTION same(query text) RETURNS SETOF text LANGUAGE sql AS $$ SELECT is(answer(format(query, 'far.')), answer(format(query, '')), query) $$;
SELECT same(query) FROM queries ORDER BY n;
RESET enable_hashjoin; RESET enable_mergejoin; RESET enable_material; RESET enable_memoize;
SELECT same(query) FROM queries ORDER BY n;
SELECT is(answer('SELECT count(*) FROM far.t WHERE id = (random() * 0)::int8'), '(0)', 'a volatile value');
SELECT ok(plan('SELECT count(*) FROM far.t WHERE id = (random() * 0)::int8') !~ 'Tested', 'is computed for each row');

-- A cursor that goes back and forth.
BEGIN;
DECLARE c SCROLL CURSOR FOR SELECT t.id FROM few JOIN far.t ON t.w = few.y WHERE few.y < 100;
SELECT is(executed('FETCH FORWARD 2 FROM c'), '(1) (52) ', 'a cursor');
SELECT is(executed('FETCH BACKWARD 1 FROM c'), '(1) ', 'goes back');
SELECT is(executed('FETCH LAST FROM c'), '(4) ', 'and to the end');
COMMIT;

-- ANALYZE reads the rows of its sample.
ANALYZE far.t;
SELECT is((SELECT reltuples::int FROM pg_class WHERE oid = 'far.t'::regclass), (SELECT count(*)::int FROM t), 'ANALYZE counts the rows');
SET default_statistics_target = 1;
ANALYZE far.t (w);
SELECT is((SELECT reltuples::int FROM pg_class WHERE oid = 'far.t'::regclass), (SELECT count(*)::int FROM t), 'also of a sample');
SELECT ok((SELECT abs(null_frac - (SELECT count(*) FILTER (WHERE w IS NULL)::float / count(*) FROM t)) < 0.1 AND n_distinct < -0.8 AND correlation > 0.99 FROM pg_stats WHERE schemaname = 'far' AND attname = 'w'), 'a sample is one of all rows, in their order')
  FROM (SELECT 1) x;
ANALYZE far.few;
SELECT is((SELECT count(*)::int FROM pg_stats WHERE schemaname = 'far' AND tablename = 'few'), 3, 'a few rows');

SELECT * FROM finish();
