-- The first rows by rank() and dense_rank(), and those of ORDER BY ... LIMIT, without sorting: as heap's, where the order leaves no choice.
SET datahike.vectorized_min_rows = 0;
SELECT * FROM no_plan();
SET jit = off;
SET max_parallel_workers_per_gather = 0;
SET extra_float_digits = 3;
CREATE TABLE t (id int8, k int4, b int8, f float8, g float4, name text, n int2, d date, ts timestamptz, ok bool, price numeric(10,2), wide numeric, j jsonb);
CREATE TABLE h (LIKE t) USING heap;
INSERT INTO h SELECT i, CASE WHEN i % 101 = 0 THEN NULL ELSE i * 7919 % 700 END, CASE WHEN i % 77 = 0 THEN NULL WHEN i % 1000 = 1 THEN 9223372036854775807 WHEN i % 1000 = 2 THEN -9223372036854775808 ELSE i * 7919 % 2500 END,
    CASE WHEN i % 50 = 0 THEN 'NaN' WHEN i % 51 = 0 THEN '-0' WHEN i % 52 = 0 THEN '0' WHEN i % 53 = 0 THEN '-Infinity' WHEN i % 54 = 0 THEN NULL ELSE i % 200 / 8.0 - 10 END, i % 30 / 3.0,
    CASE WHEN i % 777 = 0 THEN NULL ELSE 'name ' || i * 31 % 220 END, i % 11, DATE '2020-01-01' + i % 300, '2020-01-01 00:00+00'::timestamptz + i % 999 * interval '1 h', i % 3 = 0, CASE WHEN i % 1500 = 0 THEN 'NaN' WHEN i % 70 = 0 THEN NULL ELSE i * 7919 % 4001 / 100.0 END, i, jsonb_build_object('i', i) FROM generate_series(1, 12000) i;
INSERT INTO t SELECT * FROM h ORDER BY id;
SELECT pg_sleep(0.5) \g /dev/null
ANALYZE t; ANALYZE h;
CREATE FUNCTION plan_of(query text) RETURNS text LANGUAGE plpgsql AS $$ DECLARE line text; plan text := ''; BEGIN
  FOR line IN EXECUTE 'EXPLAIN (ANALYZE, COSTS off, TIMING off, SUMMARY off) ' || query LOOP plan := plan || line || E'\n'; END LOOP; RETURN plan; END $$;
-- Rows in the order in which they come, or in any.
CREATE FUNCTION rows_of(query text, ordered bool) RETURNS text LANGUAGE plpgsql AS $$ DECLARE r text; BEGIN
  EXECUTE format('SELECT count(*) || '' '' || coalesce(md5(string_agg(q::text, '','' ORDER BY %s)), '''') FROM (SELECT *, row_number() OVER () AS place FROM (%s) q OFFSET 0) q', CASE WHEN ordered THEN 'place' ELSE '(q::text COLLATE "C")' END, query) INTO r;
  RETURN r; END $$;
CREATE FUNCTION any_order(query text) RETURNS text LANGUAGE plpgsql AS $$ DECLARE r text; BEGIN
  EXECUTE format('SELECT count(*) || '' '' || coalesce(sum(hashtextextended(q::text, 0)), 0) FROM (%s) q', query) INTO r; RETURN r; END $$;
CREATE FUNCTION same(query text, ordered bool, memory text DEFAULT '200kB') RETURNS SETOF text LANGUAGE plpgsql AS $$ DECLARE one text; many text; little text; heap text; BEGIN
  SET LOCAL work_mem = '64MB';
  heap := CASE WHEN ordered THEN rows_of(regexp_replace(query, '\mt\M', 'h', 'g'), true) ELSE any_order(regexp_replace(query, '\mt\M', 'h', 'g')) END;
  SET LOCAL datahike.threads = 1;
  one := CASE WHEN ordered THEN rows_of(query, true) ELSE any_order(query) END;
  SET LOCAL datahike.threads = 0;
  many := CASE WHEN ordered THEN rows_of(query, true) ELSE any_order(query) END;
  PERFORM set_config('work_mem', memory, true);
  little := CASE WHEN ordered THEN rows_of(query, true) ELSE any_order(query) END;
  SET LOCAL work_mem = '64MB';
  IF one <> many THEN RETURN NEXT is(many, one, query || ': threads'); RETURN; END IF;
  IF one <> little THEN RETURN NEXT is(little, one, query || ': little memory'); RETURN; END IF;
  IF NOT plan_of(query) ~ 'Datahike First Rows' THEN RETURN NEXT fail(query || ' is not vectorized'); RETURN; END IF;
  RETURN NEXT is(many, heap, query); END $$;
SELECT same(format('SELECT * FROM (SELECT id, k, f, price, name, %s() OVER (%s) rn FROM t %s) x WHERE rn %s', r, w, c, l), false)
  FROM unnest(ARRAY['rank', 'dense_rank']) r, unnest(ARRAY['PARTITION BY k ORDER BY f', 'PARTITION BY n ORDER BY f DESC NULLS LAST', 'PARTITION BY n ORDER BY b NULLS FIRST, f', 'PARTITION BY name, ok ORDER BY d DESC, n', 'PARTITION BY n ORDER BY price DESC', 'ORDER BY price, ok', 'ORDER BY g DESC']) w,
  (VALUES ('', '<= 3'), ('WHERE f > 0', '< 2'), ('', '= 1'), ('WHERE price IN (1, 2.5, 7.25)', '<= 40'), ('WHERE id < 0', '<= 2')) q(c, l);
SELECT same('SELECT * FROM (SELECT id, ts, rank() OVER (PARTITION BY k % 10 ORDER BY ts DESC) rn, j FROM t) x WHERE rn <= 1000', false);
SELECT same('SELECT k, count(*), max(rn) FROM (SELECT k, dense_rank() OVER (PARTITION BY k ORDER BY id % 7) + 0 AS m, dense_rank() OVER (PARTITION BY k ORDER BY id % 7) rn FROM t) x WHERE rn <= 2 AND 3 > rn GROUP BY k', false);
SELECT same('SELECT * FROM (SELECT id, row_number() OVER (PARTITION BY n ORDER BY price DESC, id) rn FROM t) x WHERE rn <= 20', false);
SELECT same('SELECT n, min(rn) FROM (SELECT n, row_number() OVER (PARTITION BY n ORDER BY price NULLS FIRST) rn FROM t) x WHERE rn <= 20 GROUP BY n', false);
SELECT matches(plan_of('SELECT * FROM (SELECT id, rank() OVER (PARTITION BY n ORDER BY f) rn FROM t) x WHERE rn <= 2'), 'First Rows.*Ranking: rank\s+First Rows: 2', 'EXPLAIN');
-- Tops.
SELECT same(query, true) FROM unnest(ARRAY['SELECT * FROM t ORDER BY f, id LIMIT 10', 'SELECT * FROM t ORDER BY f DESC, id DESC LIMIT 100', 'SELECT * FROM t ORDER BY f DESC NULLS LAST, id LIMIT 1000', 'SELECT * FROM t ORDER BY b NULLS FIRST, id LIMIT 5 OFFSET 20',
  'SELECT name, j, id FROM t WHERE n = 3 AND f > 2 ORDER BY price DESC, d, id LIMIT 7', 'SELECT id * 2, upper(name) FROM t ORDER BY ts DESC, id % 100, id LIMIT 30', 'SELECT name FROM t WHERE name LIKE ''%1%'' ORDER BY id LIMIT 3', 'SELECT * FROM t WHERE id < 0 ORDER BY id LIMIT 3',
  'SELECT * FROM t WHERE id < 4 ORDER BY id DESC LIMIT 10', 'SELECT id, price FROM t ORDER BY price DESC, id LIMIT 10', 'SELECT id, price * 2 AS p FROM t ORDER BY p, id LIMIT 10', 'SELECT * FROM (SELECT id, k FROM t ORDER BY ok DESC, g, id LIMIT 50) x', 'SELECT k, d FROM t ORDER BY id DESC OFFSET 990 LIMIT 10',
  'SELECT sum(id) FROM (SELECT id FROM t ORDER BY b DESC, id LIMIT 100) x', '(SELECT id FROM t ORDER BY f, id LIMIT 3) UNION ALL (SELECT id FROM t ORDER BY f DESC, id LIMIT 3)', 'SELECT i, x.id FROM generate_series(1, 3) i, LATERAL (SELECT id FROM t WHERE n = i ORDER BY f, id LIMIT 2) x',
  'SELECT i, x.id FROM generate_series(1, 3) i, LATERAL (SELECT id FROM t ORDER BY f, id LIMIT 2) x', 'SELECT id FROM t WHERE k = 5 ORDER BY k, f, id LIMIT 9']) query;
SELECT is((SELECT count(*) FROM (SELECT id FROM t ORDER BY f LIMIT 0) x), 0::bigint, 'none');
SELECT matches(plan_of('SELECT * FROM t WHERE n = 3 ORDER BY f DESC NULLS LAST, id LIMIT 10 OFFSET 5'), 'Limit.*Datahike First Rows.* on t .*Order By: t?.?f DESC NULLS LAST, t?.?id\s+First Rows: 15\s+Scan Filter: \(n = 3\)', 'EXPLAIN of a top');
-- Of equal rows some, and the same ones with any number of threads.
SELECT is(rows_of('SELECT n FROM t ORDER BY n LIMIT 1000', true), rows_of('SELECT n FROM h ORDER BY n LIMIT 1000', true), 'equal rows');
SET datahike.threads = 1;
CREATE TABLE one USING heap AS SELECT id FROM t ORDER BY n LIMIT 1000;
SET datahike.threads = 0;
SELECT results_eq('SELECT id FROM t ORDER BY n LIMIT 1000', 'TABLE one', 'the same of equal ones');
SELECT is((SELECT string_agg(q, E'\n') FROM unnest(ARRAY['SELECT id FROM t ORDER BY name LIMIT 3', 'SELECT id FROM t ORDER BY f FETCH FIRST 3 ROWS WITH TIES', 'SELECT id FROM t ORDER BY f LIMIT 5000', 'SELECT id FROM t ORDER BY f LIMIT (SELECT 3)', 'SELECT DISTINCT f FROM t ORDER BY f LIMIT 3', 'SELECT id FROM t ORDER BY wide LIMIT 3', 'SELECT id FROM t ORDER BY random() LIMIT 3',
  'SELECT id, random() FROM t ORDER BY f LIMIT 3', 'SELECT ctid FROM t ORDER BY f LIMIT 3', 'SELECT t FROM t ORDER BY f LIMIT 3', 'SELECT id FROM t ORDER BY f LIMIT 3 FOR UPDATE', 'SELECT id, generate_series(1, 2) FROM t ORDER BY f LIMIT 3', 'SELECT id, sum(k) OVER (ORDER BY id) FROM t ORDER BY f LIMIT 3', 'SELECT f, count(*) FROM t GROUP BY f ORDER BY f LIMIT 3', 'SELECT id FROM t ORDER BY f']) q WHERE plan_of(q) ~ 'First Rows'), NULL, 'PostgreSQL''s');
-- Cursors, parameters, own changes, another branch, policies.
BEGIN;
DECLARE c SCROLL CURSOR FOR SELECT id FROM t ORDER BY b DESC NULLS LAST, id LIMIT 5;
MOVE 4 FROM c;
DELETE FROM t WHERE n = 5; DELETE FROM h WHERE n = 5;
SELECT same('SELECT * FROM t ORDER BY f, id LIMIT 500', true);
SELECT same('SELECT * FROM (SELECT id, n, dense_rank() OVER (PARTITION BY k ORDER BY n) r FROM t) x WHERE r <= 2', false);
MOVE BACKWARD 2 FROM c;
FETCH 1 FROM c \g /dev/null
ROLLBACK;
PREPARE p (int) AS SELECT id FROM t WHERE n < $1 ORDER BY f, id LIMIT 5;
SET plan_cache_mode = force_generic_plan;
SELECT results_eq('EXECUTE p(3)', 'SELECT id FROM h WHERE n < 3 ORDER BY f, id LIMIT 5', 'a parameter');
SELECT results_eq('EXECUTE p(NULL)', 'SELECT id FROM h WHERE false', 'NULL');
RESET plan_cache_mode;
SELECT datahike.create_branch('side') \g /dev/null
SET datahike.branch = 'side';
DELETE FROM t WHERE id % 3 = 0; ALTER TABLE t ADD late text DEFAULT 'then', ADD l2 int4; UPDATE t SET l2 = id, late = 'now' WHERE id % 5 = 0;
ALTER TABLE h ADD late text DEFAULT 'then', ADD l2 int4;
CREATE TABLE h2 USING heap AS SELECT * FROM h WHERE id % 3 > 0; UPDATE h2 SET l2 = id, late = 'now' WHERE id % 5 = 0;
SELECT results_eq('SELECT * FROM t ORDER BY l2 DESC NULLS FIRST, id LIMIT 40', 'SELECT * FROM h2 ORDER BY l2 DESC NULLS FIRST, id LIMIT 40', 'on a branch');
SELECT results_eq('SELECT * FROM (SELECT id, late, l2, rank() OVER (PARTITION BY late ORDER BY n) r FROM t) x WHERE r < 5 ORDER BY id', 'SELECT * FROM (SELECT id, late, l2, rank() OVER (PARTITION BY late ORDER BY n) r FROM h2) x WHERE r < 5 ORDER BY id', 'ranks on a branch');
RESET datahike.branch;
SELECT same('SELECT * FROM t ORDER BY l2, id LIMIT 40', true);
CREATE ROLE reader; GRANT SELECT ON t TO reader; ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON t USING (n = 1);
SET ROLE reader;
SELECT is((SELECT count(*) FROM (SELECT n FROM t ORDER BY f, id LIMIT 100) x WHERE n <> 1), 0::bigint, 'policies hold');
RESET ROLE;
DROP POLICY p ON t; REVOKE ALL ON t FROM reader; DROP ROLE reader;
SELECT * FROM finish();
