-- Aggregates that are computed column by column give what PostgreSQL's executor gives: for each query its answer on the
-- datahike table t with datahike.vectorized on and off, and on the heap table h with the same rows.
SELECT * FROM no_plan();
SET work_mem = '256MB';  -- what needs more is PostgreSQL's
SET datahike.vectorized_min_rows = 0;
SET cpu_tuple_cost = 1000;  -- so that a few rows are worth it, too
SET jit = off;  -- which such costs would call for in every query

-- Whether the plan of a query has a node of ours.
CREATE FUNCTION vectorized(query text) RETURNS bool LANGUAGE plpgsql AS $$
DECLARE line text;
BEGIN
  FOR line IN EXECUTE 'EXPLAIN (COSTS off) ' || query LOOP
    IF line LIKE '%Datahike Aggregate%' THEN RETURN true; END IF;
  END LOOP;
  RETURN false;
END $$;
-- The rows of a query as text, sorted; an error's SQLSTATE and message. Floats: to 10 digits, for PostgreSQL may sort before it adds.
CREATE FUNCTION answer(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE result text;
BEGIN
  EXECUTE format('SELECT coalesce(string_agg(r, E''\n'' ORDER BY r COLLATE "C"), ''none'') FROM (SELECT q::text AS r FROM (%s) q) x', query) INTO result;
  RETURN result;
EXCEPTION WHEN OTHERS THEN RETURN SQLSTATE || ' ' || SQLERRM;
END $$;
CREATE FUNCTION same(query text, must bool DEFAULT true) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE ours text; rows text; heap text;
BEGIN
  SET LOCAL datahike.vectorized = on;
  IF must IS NOT NULL AND vectorized(query) IS DISTINCT FROM must THEN
    RETURN NEXT fail(query || CASE WHEN must THEN ' is not vectorized' ELSE ' is vectorized' END);
    RETURN;
  END IF;
  ours := answer(query);
  SET LOCAL datahike.vectorized = off;
  rows := answer(query);
  heap := answer(regexp_replace(query, '\mt\M', 'h', 'g'));
  SET LOCAL datahike.vectorized = on;
  IF ours IS DISTINCT FROM rows THEN RETURN NEXT is(ours, rows, query); ELSE RETURN NEXT is(ours, heap, query); END IF;
END $$;

CREATE TABLE t (id int8, a int4, s int2, b int8, f float8, g float4, d date, ts timestamp, ok bool, name text, v varchar(20), n numeric(10, 2));
CREATE TABLE h (LIKE t) USING heap;
SELECT extra_float_digits FROM (SELECT set_config('extra_float_digits', '-5', false) AS extra_float_digits) x \g /dev/null

-- Empty tables.
SELECT same('SELECT count(*), count(a), sum(a), sum(b), avg(a), min(f), max(d), stddev(f), count(DISTINCT name) FROM t');
SELECT same('SELECT a, count(*) FROM t GROUP BY a');

SELECT setseed(0.5) \g /dev/null
INSERT INTO h SELECT i, CASE WHEN i % 11 = 0 THEN NULL ELSE (random() * 100)::int - 50 END, (random() * 10)::int,
    CASE WHEN i % 7 = 0 THEN NULL ELSE (random() * 9e18)::int8 - 4500000000000000000 END, random() * 1000 - 500, random() * 10,
    DATE '2020-01-01' + (random() * 1000)::int, TIMESTAMP '2020-01-01' + i * INTERVAL '1 minute', CASE WHEN i % 3 = 0 THEN NULL ELSE i % 2 = 0 END,
    CASE WHEN i % 13 = 0 THEN NULL ELSE 'name ' || (random() * 50)::int END, 'v' || i % 5, (random() * 1000)::numeric(10, 2)
  FROM generate_series(1, 3000) i;
INSERT INTO t SELECT * FROM h ORDER BY id;
SELECT pg_sleep(0.3) \g /dev/null

CREATE TABLE queries (id serial, query text);
INSERT INTO queries (query) VALUES
  ('SELECT count(*) FROM t'),
  ('SELECT count(*), count(a), count(name), count(n), count(ok) FROM t'),
  ('SELECT sum(a), sum(s), sum(b), avg(a), avg(s), avg(b) FROM t'),
  ('SELECT sum(f), avg(f), min(f), max(f), avg(g), min(g), max(g) FROM t'),
  ('SELECT min(a), max(a), min(b), max(b), min(s), max(s), min(d), max(d), min(ts), max(ts) FROM t'),
  ('SELECT stddev(f), variance(f), stddev_pop(f), var_pop(f), stddev_samp(g), var_samp(g) FROM t'),
  ('SELECT corr(f, g), corr(a, s), corr(f, b) FROM t'),
  ('SELECT sum(a * 2 + s), sum(b / 3), sum(a % 7), max(a - s), min(a * s) FROM t'),
  ('SELECT sum(f * g), sum(f * (1 - g)), sum(f / (g + 1)), sum(f + a), sum(f - b) FROM t'),
  ('SELECT sum(length(name)), avg(length(v)) FROM t'),
  ('SELECT count(DISTINCT a), count(DISTINCT name), count(DISTINCT f), count(DISTINCT d), count(DISTINCT v) FROM t'),
  ('SELECT a, count(*), sum(b), avg(f), min(d) FROM t GROUP BY a'),
  ('SELECT a, s, count(*), sum(f) FROM t GROUP BY a, s'),
  ('SELECT name, count(*), sum(a) FROM t GROUP BY name'),
  ('SELECT v, name, avg(f), count(DISTINCT s) FROM t GROUP BY 1, 2'),
  ('SELECT d, ok, count(*) FROM t GROUP BY 1, 2'),
  ('SELECT b, count(*) FROM t GROUP BY b'),
  ('SELECT f, count(*) FROM t GROUP BY f'),
  ('SELECT g, f, ts, count(*) FROM t GROUP BY 1, 2, 3'),
  ('SELECT a % 5 AS m, count(*) FROM t GROUP BY m'),
  ('SELECT a + 1, a + 1 + count(*) FROM t GROUP BY a + 1'),
  ('SELECT name FROM t GROUP BY name'),
  ('SELECT a FROM t GROUP BY a HAVING count(*) > 30 AND sum(f) > 0'),
  ('SELECT count(*) FROM t GROUP BY name HAVING max(a) > 48'),
  ('SELECT max(a) - min(s), count(*) * 2 FROM t GROUP BY v'),
  ('SELECT count(*) FROM t WHERE a > 10'),
  ('SELECT count(*) FROM t WHERE a >= 10 AND a < 20 AND s <> 5'),
  ('SELECT count(*) FROM t WHERE a BETWEEN -5 AND 5'),
  ('SELECT count(*) FROM t WHERE 7 < a'),
  ('SELECT count(*) FROM t WHERE a = 3::int8'),
  ('SELECT count(*) FROM t WHERE a IN (1, 2, 3, -4)'),
  ('SELECT count(*) FROM t WHERE name IN (''name 1'', ''name 7'', ''no'')'),
  ('SELECT count(*) FROM t WHERE a = ANY (ARRAY[1, NULL, 3])'),
  ('SELECT count(*) FROM t WHERE f > 0 AND f <= 250.5'),
  ('SELECT count(*) FROM t WHERE g >= 5 AND g <> 7'),
  ('SELECT count(*) FROM t WHERE a IS NULL'),
  ('SELECT count(*) FROM t WHERE name IS NOT NULL AND n IS NOT NULL'),
  ('SELECT count(*) FROM t WHERE ok'),
  ('SELECT count(*) FROM t WHERE NOT ok'),
  ('SELECT count(*) FROM t WHERE d >= ''2021-01-01'' AND d < DATE ''2022-01-01'''),
  ('SELECT count(*) FROM t WHERE ts < ''2020-01-02'''),
  ('SELECT count(*) FROM t WHERE name = ''name 4'''),
  ('SELECT count(*) FROM t WHERE name <> ''name 4'''),
  ('SELECT count(*) FROM t WHERE v = ''v3'''),
  ('SELECT count(*) FROM t WHERE name LIKE ''%4%'''),
  ('SELECT count(*) FROM t WHERE name NOT LIKE ''%me%1%'''),
  ('SELECT v, count(*) FROM t WHERE name LIKE ''%'' || ''2'' || ''%'' GROUP BY v'),
  ('SELECT count(*) FROM t WHERE a * s > 100 AND f < 0'),
  ('SELECT count(*), sum(a) FROM t WHERE a > 1000'),
  ('SELECT a, count(*) FROM t WHERE a > 1000 GROUP BY a'),
  ('SELECT count(*) FILTER (WHERE a > 0) FROM t'),
  ('SELECT sum(n), avg(n) FROM t'),
  ('SELECT count(*) FROM t WHERE n > 10'),
  ('SELECT count(*) FROM t WHERE a > 0 OR s > 5'),
  ('SELECT count(*) FROM t WHERE id > 2000 AND id <= 2500');
SELECT same(query) FROM queries ORDER BY id;

-- What is PostgreSQL's own to compute.
SELECT same(query, false) FROM (VALUES
  ('SELECT sum(DISTINCT f) FROM t'),
  ('SELECT string_agg(v, '','' ORDER BY id) FROM t'),
  ('SELECT max(name || v) FROM t'),
  ('SELECT count(*) FROM t WHERE name > ''name 3'''),
  ('SELECT count(*) FROM t WHERE name LIKE ''name_4%'''),
  ('SELECT count(*) FROM t WHERE random() >= 0'),
  ('SELECT a, s, count(*) FROM t GROUP BY GROUPING SETS ((a), (s))'),
  ('SELECT sum(g + 1::float4) FROM t'),
  ('SELECT regr_count(f, f) FROM t'),
  ('SELECT count(*) FROM t TABLESAMPLE BERNOULLI (100)'),
  ('SELECT count(*) FROM t x, t y WHERE x.id < y.id AND y.id < 9'),
  ('SELECT count(t.*) FROM t')) q(query);

-- Deleted and updated rows, unfolded and folded; several commits.
DELETE FROM t WHERE id % 10 = 3;
DELETE FROM h WHERE id % 10 = 3;
UPDATE t SET a = a + 1, name = 'updated' WHERE id % 17 = 0;
UPDATE h SET a = a + 1, name = 'updated' WHERE id % 17 = 0;
SELECT same(query) FROM queries ORDER BY id;
SELECT pg_sleep(0.3) \g /dev/null
SELECT same(query) FROM queries ORDER BY id;

-- Own changes, of earlier commands only; savepoints.
BEGIN;
INSERT INTO t SELECT id + 10000, a, s, b, f, g, d, ts, ok, name || ' own', v, n FROM t WHERE id < 500;
INSERT INTO h SELECT id + 10000, a, s, b, f, g, d, ts, ok, name || ' own', v, n FROM h WHERE id < 500;
SAVEPOINT one;
DELETE FROM t WHERE a = 4;
UPDATE t SET s = 77 WHERE a = 5;
SELECT is((SELECT count(*) FROM t WHERE a = 4), 0::bigint, 'own removals are seen');
ROLLBACK TO one;
DELETE FROM t WHERE id BETWEEN 10100 AND 10200 OR id < 50;
DELETE FROM h WHERE id BETWEEN 10100 AND 10200 OR id < 50;
SELECT same(query) FROM queries ORDER BY id;
WITH added AS (INSERT INTO t (id, a) VALUES (99999, 1) RETURNING 1) SELECT is((SELECT count(*) FROM t WHERE id = 99999), 0::bigint, 'not those of the command itself') FROM added;
DECLARE c CURSOR FOR SELECT count(*) FROM t WHERE id = 88888;
INSERT INTO t (id) VALUES (88888);
FETCH c \gset
SELECT is(:'count'::text, '0', 'a cursor sees what was there when it was declared');
ROLLBACK;
SELECT same(query) FROM queries WHERE id < 12;

-- TRUNCATE, in the transaction and after it.
BEGIN;
TRUNCATE t;
SELECT is((SELECT count(*) FROM t), 0::bigint, 'TRUNCATE');
INSERT INTO t (id, a) VALUES (1, 5), (2, 6);
SELECT is((SELECT sum(a) FROM t), 11::bigint, 'rows after TRUNCATE');
ROLLBACK;

-- NaN, infinities, -0, extremes.
CREATE TABLE edge_rows (f float8, g float4, k float8, b int8) USING heap;
INSERT INTO edge_rows VALUES ('NaN', 'NaN', 'NaN', 9223372036854775807), ('-0', '-0', '-0', -9223372036854775808), ('0', '0', '0', 9223372036854775807),
  ('Infinity', 'Infinity', 1, 9223372036854775807), (NULL, NULL, NULL, NULL), (1.5, 2.5, 'NaN', 0), ('-0', '-0', '-0', -1);
CREATE FUNCTION edges(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE source text;
BEGIN
  FOREACH source IN ARRAY ARRAY['true', 'f < ''Infinity''', 'false', 'f = ''NaN''', 'f = 0', 'f < ''NaN'' AND b > -5'] LOOP
    EXECUTE 'TRUNCATE t, h';
    EXECUTE 'INSERT INTO h (id, f, g, b) SELECT row_number() OVER (), f, g, b FROM edge_rows WHERE ' || source;
    EXECUTE 'INSERT INTO t SELECT * FROM h ORDER BY id';
    RETURN QUERY SELECT same(query);
  END LOOP;
END $$;
BEGIN;
SELECT edges(query) FROM (VALUES
  ('SELECT sum(f), avg(f), min(f), max(f), count(f) FROM t'),
  ('SELECT sum(g), avg(g), min(g), max(g), count(g) FROM t'),
  ('SELECT sum(b), avg(b), min(b), max(b) FROM t'),
  ('SELECT stddev(f), var_pop(f), corr(f, g), corr(f, b) FROM t'),
  ('SELECT f, count(*) FROM t GROUP BY f'),
  ('SELECT g, f, min(b) FROM t GROUP BY 1, 2'),
  ('SELECT count(DISTINCT f), count(DISTINCT g) FROM t'),
  ('SELECT count(*) FROM t WHERE f > 1'), ('SELECT count(*) FROM t WHERE f >= ''NaN'''), ('SELECT count(*) FROM t WHERE f < ''NaN'''),
  ('SELECT count(*) FROM t WHERE f <= ''NaN'''), ('SELECT count(*) FROM t WHERE f > ''NaN'''), ('SELECT count(*) FROM t WHERE f = ''NaN'''),
  ('SELECT count(*) FROM t WHERE f <> ''NaN'''), ('SELECT count(*) FROM t WHERE f = 0'), ('SELECT count(*) FROM t WHERE f <> 0'),
  ('SELECT count(*) FROM t WHERE f <= ''Infinity'''), ('SELECT count(*) FROM t WHERE g IN (''NaN'', 2.5)'),
  ('SELECT sum(f * f), min(f * g), max(f + g), min(f - g) FROM t'),
  ('SELECT sum(b + 1) FROM t'), ('SELECT sum(b * 2) FROM t'), ('SELECT sum(b - 2) FROM t'), ('SELECT min(b / -1) FROM t'), ('SELECT min(b % -1) FROM t'),
  ('SELECT sum(b / 0) FROM t'), ('SELECT sum(b % 0) FROM t'), ('SELECT sum(f / 0) FROM t')) q(query);
ROLLBACK;

-- Errors are PostgreSQL's, and raised only for rows that count.
CREATE FUNCTION with_rows(row_values text, query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE 'TRUNCATE t, h';
  EXECUTE 'INSERT INTO h (id, a, s, b, f) VALUES ' || row_values;
  INSERT INTO t SELECT * FROM h ORDER BY id;
  RETURN QUERY SELECT same(query);
END $$;
\set extremes '(1, 2147483647, 32767, 1, 1e308), (2, 1, 1, 1, 1e308), (3, -2147483648, -32768, 2, -1e308)'
BEGIN;
SELECT with_rows(:'extremes', query) FROM (VALUES ('SELECT sum(a + 1) FROM t'), ('SELECT sum(a * a) FROM t WHERE id = 2'), ('SELECT sum(s + s) FROM t'), ('SELECT sum(a - s) FROM t'),
  ('SELECT sum(f) FROM t'), ('SELECT avg(f) FROM t'), ('SELECT stddev(f) FROM t'), ('SELECT id, avg(f) FROM t GROUP BY id'), ('SELECT sum(a * 2::int8), min(f * 10) FROM t')) q(query);
SELECT with_rows(row_values, query) FROM (VALUES
  ('(1, 1, 1, 1, 1e200), (2, 1, 1, 1, -1e200)', 'SELECT avg(f) FROM t'),
  ('(1, 1, 1, 1, 1e150), (2, 1, 1, 1, 3)', 'SELECT avg(f), sum(f) FROM t'),
  ('(1, 1, 1, 1, 1e-200), (2, 1, 1, 1, 0)', 'SELECT sum(f * f) FROM t'),
  ('(1, 1, 0, 1, 1), (2, 6, 2, 1, 1)', 'SELECT sum(a / s) FROM t WHERE s <> 0'),
  ('(1, 1, 0, 1, 1), (2, 6, 2, 1, 1)', 'SELECT sum(a / s) FROM t'),
  ('(1, -2147483648, -1, 1, 1)', 'SELECT sum(a / s) FROM t'),
  ('(1, -2147483648, -1, 1, 1)', 'SELECT sum(a % s) FROM t')) q(row_values, query);
ROLLBACK;

-- Many rows: several segments, zone maps, keys out of the range of the first rows.
INSERT INTO h SELECT i, i / 100, i % 10, i::int8 * 1000003, i / 7.0, i % 3, DATE '2000-01-01' + i / 1000, TIMESTAMP '2000-01-01' + i * INTERVAL '1 s', i % 2 = 0, 'text ' || i % 1000, 'w', 1
  FROM generate_series(100001, 250000, 3) i;
INSERT INTO t SELECT * FROM h WHERE id BETWEEN 100001 AND 150000 ORDER BY id;
INSERT INTO t SELECT * FROM h WHERE id BETWEEN 150001 AND 200000 ORDER BY id;
INSERT INTO t SELECT * FROM h WHERE id > 200000 ORDER BY id;
SELECT pg_sleep(0.5) \g /dev/null
INSERT INTO t (id, a, name) VALUES (7000000, 5000000, 'far'), (7000001, -5000000, 'far');
INSERT INTO h (id, a, name) VALUES (7000000, 5000000, 'far'), (7000001, -5000000, 'far');
SELECT same(query) FROM queries ORDER BY id;
SELECT same('SELECT a, count(*), sum(b) FROM t WHERE id BETWEEN 180000 AND 190000 GROUP BY a');
SELECT same('SELECT id % 100000, count(*), count(DISTINCT a) FROM t GROUP BY 1');
SELECT same('SELECT a, name, s, count(*), max(f) FROM t GROUP BY 1, 2, 3');

-- Branches, commits and times; prepared statements across them.
SELECT datahike.create_branch('side') \g /dev/null
SELECT datahike.commit_id() AS pinned \gset
PREPARE p(int) AS SELECT count(*), sum(a) FROM t WHERE a > $1;
SET plan_cache_mode = force_generic_plan;
CREATE FUNCTION executed(value text) RETURNS text LANGUAGE plpgsql AS $$ DECLARE c bigint; BEGIN EXECUTE format('EXECUTE p(%s)', value) INTO c; RETURN c; END $$;
SELECT is(executed('1000'), (SELECT count(*)::text FROM h WHERE a > 1000), 'prepared');
SELECT is(executed('NULL'), '0', 'with NULL');
SET datahike.branch = 'side';
DELETE FROM t WHERE id > 200000;
SELECT is(executed('1000'), (SELECT count(*)::text FROM h WHERE a > 1000 AND id <= 200000), 'on another branch');
INSERT INTO t (id, a) SELECT i, 2000 FROM generate_series(1, 10) i;
SELECT is(executed('1000'), (SELECT (count(*) + 10)::text FROM h WHERE a > 1000 AND id <= 200000), 'with changes there');
RESET datahike.branch;
SELECT same(query) FROM queries WHERE id < 20;
SET datahike.commit_id = :'pinned';
SELECT is(executed('1000'), (SELECT count(*)::text FROM h WHERE a > 1000), 'at a commit');
SELECT same(query) FROM queries WHERE id < 20;
RESET datahike.commit_id;
RESET plan_cache_mode;
DELETE FROM t WHERE id % 2 = 0;
SELECT datahike.commit_id() \g /dev/null
SET datahike.commit_id = :'pinned';
SELECT same(query) FROM queries WHERE id < 20;
RESET datahike.commit_id;
SET datahike.history = on;
SELECT is((SELECT count(*) FROM t), (SELECT count(*) FROM (SELECT * FROM t OFFSET 0) x), 'history has all versions');
RESET datahike.history;
SELECT is((SELECT count(*) FROM datahike.at(NULL::t, :'pinned')), (SELECT count(*) FROM h), 'at()');
DELETE FROM h WHERE id % 2 = 0;

-- Columns that were added, dropped, or had another type.
ALTER TABLE t ADD COLUMN x int DEFAULT 7, ADD COLUMN y text DEFAULT 'why', ADD COLUMN z float8, ADD COLUMN w float4 DEFAULT 1.5;
ALTER TABLE h ADD COLUMN x int DEFAULT 7, ADD COLUMN y text DEFAULT 'why', ADD COLUMN z float8, ADD COLUMN w float4 DEFAULT 1.5;
INSERT INTO t (id, x, y, z) VALUES (1, 8, 'new', 1), (2, NULL, NULL, NULL);
INSERT INTO h (id, x, y, z) VALUES (1, 8, 'new', 1), (2, NULL, NULL, NULL);
SELECT same(query) FROM (VALUES ('SELECT sum(x), count(x), count(y), sum(z), count(z), max(w), sum(w) FROM t'), ('SELECT x, y, z, w, count(*) FROM t GROUP BY 1, 2, 3, 4'),
  ('SELECT count(*) FROM t WHERE x = 7'), ('SELECT count(*) FROM t WHERE y = ''why'' AND w > 1'), ('SELECT count(*) FROM t WHERE z IS NULL'),
  ('SELECT count(*) FROM t WHERE y LIKE ''%h%'''), ('SELECT sum(length(y)) FROM t'), ('SELECT count(*) FROM t WHERE x IS NOT NULL'), ('SELECT count(DISTINCT y), count(DISTINCT x) FROM t')) q(query);
ALTER TABLE t DROP COLUMN s;
ALTER TABLE h DROP COLUMN s;
SELECT same(query) FROM queries WHERE query !~ '\ms\M' ORDER BY id;
ALTER TABLE t ALTER COLUMN a TYPE int8, ALTER COLUMN name TYPE varchar(30);
ALTER TABLE h ALTER COLUMN a TYPE int8, ALTER COLUMN name TYPE varchar(30);
SELECT same(query) FROM queries WHERE query !~ '\ms\M' ORDER BY id;
SET datahike.commit_id = :'pinned';
SELECT is((SELECT sum(a) FROM t WHERE id > 240000), (SELECT sum(a) FROM (SELECT * FROM t WHERE id > 240000 OFFSET 0) x), 'rows of another type at an old commit');
SELECT is((SELECT string_agg(q::text, ',' ORDER BY q::text) FROM (SELECT a, name, x, count(*) FROM t WHERE id > 249900 GROUP BY 1, 2, 3) q),
  (SELECT string_agg(q::text, ',' ORDER BY q::text) FROM (SELECT a, name, x, count(*) FROM (SELECT * FROM t OFFSET 0) y WHERE id > 249900 GROUP BY 1, 2, 3) q), 'grouped');
RESET datahike.commit_id;

-- Rescans with parameters, row security, privileges, EXPLAIN.
SELECT is((SELECT string_agg(c::text, ',') FROM generate_series(0, 2) i, LATERAL (SELECT count(*) AS c FROM t WHERE a > i * 900) x),
  (SELECT string_agg(c::text, ',') FROM generate_series(0, 2) i, LATERAL (SELECT count(*) AS c FROM h WHERE a > i * 900) x), 'rescans with parameters');
SELECT is((SELECT string_agg((SELECT count(*) FROM t WHERE a > i.i)::text, ',') FROM (VALUES (0), (1000), (NULL), (2000)) i(i)),
  (SELECT string_agg((SELECT count(*) FROM h WHERE a > i.i)::text, ',') FROM (VALUES (0), (1000), (NULL), (2000)) i(i)), 'a correlated subquery');
SELECT is((SELECT string_agg((SELECT count(*) FROM t WHERE name = i.i AND f > i.f)::text, ',') FROM (VALUES ('text 1', 1.0::float8), (NULL, 1), ('far', 'NaN'), ('text 77', NULL)) i(i, f)),
  (SELECT string_agg((SELECT count(*) FROM h WHERE name = i.i AND f > i.f)::text, ',') FROM (VALUES ('text 1', 1.0::float8), (NULL, 1), ('far', 'NaN'), ('text 77', NULL)) i(i, f)), 'by text');
SELECT is((SELECT count(*) FROM t WHERE a > (SELECT max(id) / 200 FROM h WHERE id < 300000)), (SELECT count(*) FROM h WHERE a > (SELECT max(id) / 200 FROM h WHERE id < 300000)), 'a condition on a subquery');
CREATE ROLE tap_limited;
GRANT SELECT ON t TO tap_limited;
CREATE POLICY mine ON t USING (a > 2000);
ALTER TABLE t ENABLE ROW LEVEL SECURITY;
SET ROLE tap_limited;
SELECT count(*) AS limited FROM t \gset
RESET ROLE;
SELECT is(:'limited'::bigint, (SELECT count(*) FROM h WHERE a > 2000), 'row security');
REVOKE SELECT ON t FROM tap_limited;
SET ROLE tap_limited;
\set ON_ERROR_STOP off
SELECT count(*) FROM t \g /dev/null
\set code :SQLSTATE
\set ON_ERROR_STOP on
RESET ROLE;
SELECT is(:'code'::text, '42501', 'privileges');
ALTER TABLE t DISABLE ROW LEVEL SECURITY;
CREATE FUNCTION plan_of(query text) RETURNS text LANGUAGE plpgsql AS $$ DECLARE line text; plan text := ''; BEGIN
  FOR line IN EXECUTE 'EXPLAIN (ANALYZE, COSTS off, TIMING off, SUMMARY off) ' || query LOOP plan := plan || line || E'\n'; END LOOP; RETURN plan; END $$;
SELECT matches(plan_of('SELECT name, count(*) FROM t WHERE id < 150000 AND a > 3 GROUP BY name'),
  'Datahike Aggregate\) on t .*Group Key: name.*Scan Filter: .*id < 150000.*Segments: \d+.*Segments Pruned: \d+.*Rows Filtered: \d+', 'EXPLAIN');
SELECT is((SELECT count(*) FROM (SELECT a FROM t GROUP BY a LIMIT 3) x), 3::bigint, 'LIMIT');

-- Inside functions, with errors that are caught.
CREATE FUNCTION caught() RETURNS text LANGUAGE plpgsql AS $$ BEGIN PERFORM sum(a / (a - a)) FROM t; RETURN 'no error'; EXCEPTION WHEN division_by_zero THEN RETURN 'caught'; END $$;
SELECT is(caught(), 'caught', 'an error is caught') FROM generate_series(1, 3);
SELECT is((SELECT count(*) FROM t), (SELECT count(*) FROM h), 'and the session goes on');

-- WHERE CURRENT OF does not take groups for rows.
BEGIN;
DECLARE groups CURSOR FOR SELECT count(*) FROM t;
FETCH groups \g /dev/null
SELECT throws_ok('DELETE FROM t WHERE CURRENT OF groups', '24000', NULL, 'WHERE CURRENT OF a cursor over groups');
COMMIT;

-- The order in which conditions are tested, casts to types with an equality of their own, NaN as a bound, grouping in history.
CREATE EXTENSION citext;
CREATE TABLE odd (a int, t text, f float8);
INSERT INTO odd VALUES (0, 'a', 5), (10, 'a ', 3), (20, 'A', 'NaN'), (30, 'b', 7);
CREATE FUNCTION alike(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$ DECLARE mine text; theirs text; BEGIN
  EXECUTE format('SELECT string_agg(q::text, '';'' ORDER BY q::text) FROM (%s) q', query) INTO mine;
  SET LOCAL datahike.vectorized = off;
  EXECUTE format('SELECT string_agg(q::text, '';'' ORDER BY q::text) FROM (%s) q', query) INTO theirs;
  SET LOCAL datahike.vectorized = on;
  RETURN NEXT is(mine, theirs, query); END $$;
SELECT alike(query) FROM (VALUES
  ('SELECT count(*) FROM odd WHERE 100 / a > 1 AND a <> 0'),
  ('SELECT count(*) FROM odd WHERE a > 0 AND 100 / a > 1 AND a < 30'),
  ('SELECT t::bpchar, count(*) FROM odd GROUP BY t::bpchar'),
  ('SELECT count(DISTINCT t::bpchar) FROM odd'),
  ('SELECT t::citext, count(*) FROM odd GROUP BY t::citext'),
  ('SELECT count(*) FROM odd WHERE f <= ''NaN'' AND f = 5'),
  ('SELECT count(*) FROM odd WHERE f = 5 AND f <= ''NaN'''),
  ('SELECT count(*) FROM odd WHERE f >= 3 AND f < ''NaN'' AND f <= 5')) q(query);
UPDATE odd SET a = a + 1 WHERE t = 'b';
SET datahike.history = on;
SELECT alike(query) FROM (VALUES
  ('SELECT a, count(*) FROM odd GROUP BY a'),
  ('SELECT a, t, count(*) FROM odd GROUP BY a, t'),
  ('SELECT a, t, f, count(*) FROM odd GROUP BY 1, 2, 3')) q(query);
RESET datahike.history;

-- Which tables are small, where nobody says so.
RESET datahike.vectorized_min_rows;
RESET cpu_tuple_cost;
CREATE TABLE small AS SELECT generate_series(1, 24000) AS id;
CREATE TABLE large AS SELECT generate_series(1, 26000) AS id;
ANALYZE small, large;
SELECT ok(NOT vectorized('SELECT id % 100, count(*) FROM small GROUP BY 1'), '24 000 rows are left to PostgreSQL');
SELECT ok(vectorized('SELECT id % 100, count(*) FROM large GROUP BY 1'), '26 000 are not');
SET datahike.vectorized_min_rows = 20000;
SELECT ok(vectorized('SELECT id % 100, count(*) FROM small GROUP BY 1'), 'unless the setting says so');

SELECT * FROM finish();
