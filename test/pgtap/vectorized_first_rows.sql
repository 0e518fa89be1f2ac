-- The first rows of each group by row_number(): the same as heap's, where the order leaves no choice between rows; else as good ones, and always the same.
SET datahike.vectorized_min_rows = 0;
SELECT * FROM no_plan();
SET jit = off;
SET max_parallel_workers_per_gather = 0;
SET extra_float_digits = 3;
CREATE TABLE t (id int8, k int4, b int8, f float8, g float4, name text, n int2, d date, ts timestamptz, ok bool, price numeric(10,2), u uuid, j jsonb, a int4[]);
CREATE TABLE h (LIKE t) USING heap;
INSERT INTO h SELECT i, CASE WHEN i % 101 = 0 THEN NULL ELSE i * 7919 % 3000 END, CASE WHEN i % 77 = 0 THEN NULL WHEN i % 1000 = 1 THEN 9223372036854775807 WHEN i % 1000 = 2 THEN -9223372036854775808 ELSE i * 7919 % 2500 END,
    CASE WHEN i % 50 = 0 THEN 'NaN' WHEN i % 51 = 0 THEN '-0' WHEN i % 52 = 0 THEN '0' WHEN i % 53 = 0 THEN '-Infinity' WHEN i % 54 = 0 THEN NULL ELSE i % 2000 / 8.0 - 50 END, i % 30 / 3.0,
    CASE WHEN i % 777 = 0 THEN NULL ELSE 'name ' || i * 31 % 220 END, i % 11, DATE '2020-01-01' + i % 300, '2020-01-01 00:00+00'::timestamptz + i % 999 * interval '1 h', i % 3 = 0, i / 100.0, md5(i::text)::uuid,
    jsonb_build_object('i', i), ARRAY[i, NULL, i + 1] FROM generate_series(1, 20000) i;
INSERT INTO t SELECT * FROM h ORDER BY id;
SELECT pg_sleep(0.5) \g /dev/null
ANALYZE t; ANALYZE h;

CREATE FUNCTION plan_of(query text) RETURNS text LANGUAGE plpgsql AS $$ DECLARE line text; plan text := ''; BEGIN
  FOR line IN EXECUTE 'EXPLAIN (ANALYZE, COSTS off, TIMING off, SUMMARY off) ' || query LOOP plan := plan || line || E'\n'; END LOOP; RETURN plan; END $$;
CREATE FUNCTION digest(query text) RETURNS text LANGUAGE plpgsql AS $$ DECLARE r text; BEGIN
  EXECUTE format('SELECT count(*) || '' '' || coalesce(sum(hashtextextended(q::text, 0)), 0) FROM (%s) q', query) INTO r; RETURN r; END $$;
CREATE FUNCTION same(query text, memory text DEFAULT '300kB') RETURNS SETOF text LANGUAGE plpgsql AS $$ DECLARE one text; many text; passes text; heap text; BEGIN
  SET LOCAL work_mem = '64MB';
  heap := digest(regexp_replace(query, '\mt\M', 'h', 'g'));
  SET LOCAL datahike.threads = 1;
  one := digest(query);
  SET LOCAL datahike.threads = 0;
  many := digest(query);
  PERFORM set_config('work_mem', memory, true);
  passes := digest(query);
  SET LOCAL work_mem = '64MB';
  IF one <> many THEN RETURN NEXT is(many, one, query || ': threads'); RETURN; END IF;
  IF one <> passes THEN RETURN NEXT is(passes, one, query || ': passes'); RETURN; END IF;
  IF NOT plan_of(query) ~ 'Datahike First Rows' THEN RETURN NEXT fail(query || ' is not vectorized'); RETURN; END IF;
  RETURN NEXT is(many, heap, query);
END $$;
CREATE TABLE queries (id serial, query text);
-- The rows' ids are unique, so that rows are determined.
INSERT INTO queries (query) VALUES
  ('SELECT * FROM (SELECT *, row_number() OVER (PARTITION BY k ORDER BY id) rn FROM t) x WHERE rn <= 2'),
  ('SELECT * FROM (SELECT id, k, f, row_number() OVER (PARTITION BY k ORDER BY f DESC, id) rn FROM t WHERE f IS NOT NULL) x WHERE rn < 3'),
  ('SELECT * FROM (SELECT id, k, f, row_number() OVER (PARTITION BY k ORDER BY f, id DESC) rn FROM t) x WHERE rn = 1'),
  ('SELECT * FROM (SELECT id, f, row_number() OVER (PARTITION BY k ORDER BY f NULLS FIRST, id DESC) rn FROM t) x WHERE rn <= 3'),
  ('SELECT * FROM (SELECT id, f, row_number() OVER (PARTITION BY k ORDER BY f DESC NULLS LAST, id DESC) rn FROM t) x WHERE 4 > rn'),
  ('SELECT * FROM (SELECT id, b, row_number() OVER (PARTITION BY n ORDER BY b NULLS FIRST, id DESC) rn FROM t) x WHERE 10 >= rn'),
  ('SELECT * FROM (SELECT id, b, row_number() OVER (PARTITION BY n ORDER BY b NULLS LAST, id DESC) rn FROM t) x WHERE rn <= 700'),
  ('SELECT * FROM (SELECT id, b, row_number() OVER (PARTITION BY n ORDER BY b DESC NULLS LAST, id) rn FROM t) x WHERE rn <= 700 AND rn < 600'),
  ('SELECT * FROM (SELECT id, name, price, u, j, a, row_number() OVER (PARTITION BY name ORDER BY ts DESC, id) rn FROM t) x WHERE rn <= 2'),
  ('SELECT * FROM (SELECT id, name, row_number() OVER (PARTITION BY name, n, ok ORDER BY d, ts, g DESC, id) rn FROM t WHERE n <> 3) x WHERE rn <= 2'),
  ('SELECT * FROM (SELECT id, row_number() OVER (ORDER BY f, ok DESC, id) rn FROM t) x WHERE rn <= 100'),
  ('SELECT * FROM (SELECT id, row_number() OVER (ORDER BY b DESC, id) rn FROM t WHERE f > 3) x WHERE rn <= 100'),
  ('SELECT * FROM (SELECT id, f, row_number() OVER (PARTITION BY f ORDER BY id) rn FROM t) x WHERE rn <= 1'),
  ('SELECT * FROM (SELECT id + 1 AS i, upper(name), row_number() OVER (PARTITION BY k % 10 ORDER BY id % 7 DESC, id) + 5 AS m, row_number() OVER (PARTITION BY k % 10 ORDER BY id % 7 DESC, id) rn FROM t) x WHERE rn <= 2'),
  ('SELECT count(*), min(rn) FROM (SELECT row_number() OVER (PARTITION BY k ORDER BY b) rn FROM t) x WHERE rn <= 2'),
  ('SELECT k, b, rn FROM (SELECT k, b, row_number() OVER (PARTITION BY k ORDER BY b DESC) rn FROM t) x WHERE rn <= 2'),
  ('SELECT k, f::numeric, rn FROM (SELECT k, f, row_number() OVER (PARTITION BY k ORDER BY f) rn FROM t) x WHERE rn <= 2 AND f <> ''-Infinity'''),
  ('SELECT n, count(*) FROM (SELECT n, row_number() OVER (PARTITION BY n) rn FROM t) x WHERE rn <= 5 GROUP BY n'),
  ('SELECT y.* FROM h JOIN (SELECT * FROM (SELECT id, k, row_number() OVER (PARTITION BY k ORDER BY id) rn FROM t) x WHERE rn <= 2) y ON h.id = y.id WHERE h.n = 2'),
  ('SELECT * FROM (SELECT id, row_number() OVER (PARTITION BY k ORDER BY id) rn FROM t WHERE id < 0) x WHERE rn <= 2');
SELECT same(query) FROM queries ORDER BY id;
SELECT matches(plan_of('SELECT id6, v3 FROM (SELECT k id6, f v3, row_number() OVER (PARTITION BY k ORDER BY f DESC) rn FROM t WHERE f IS NOT NULL) x WHERE rn <= 2'),
  'Datahike First Rows.* on t .*Partition Key: t.k\s+Order By: t.f DESC\s+First Rows: 2\s+Scan Filter: \(t.f IS NOT NULL\)\s+Segments: \d+\s+Segments Pruned: 0\s+Rows Filtered: \d+', 'EXPLAIN');
SET work_mem = '200kB';
SELECT matches(plan_of('SELECT * FROM (SELECT id, row_number() OVER (PARTITION BY (k + n) % 5000 ORDER BY id) rn FROM t) x WHERE rn <= 20'), 'Passes: \d+', 'passes');
RESET work_mem;
-- Not these.
SELECT is((SELECT string_agg(q, E'\n') FROM unnest(ARRAY[
  'SELECT * FROM (SELECT id, rank() OVER (PARTITION BY k) rn FROM t) x WHERE rn <= 2',
  'SELECT * FROM (SELECT id, rank() OVER (PARTITION BY k ORDER BY f) rn, row_number() OVER (PARTITION BY k ORDER BY f) FROM t) x WHERE rn <= 2',
  'SELECT * FROM (SELECT id, percent_rank() OVER (PARTITION BY k ORDER BY f) rn FROM t) x WHERE rn <= 0.1',
  'SELECT * FROM (SELECT id, row_number() OVER (PARTITION BY k ORDER BY f) rn FROM t) x WHERE rn >= 2',
  'SELECT * FROM (SELECT id, row_number() OVER (PARTITION BY k ORDER BY f) rn FROM t) x WHERE rn <= 0',
  'SELECT * FROM (SELECT id, row_number() OVER (PARTITION BY k ORDER BY f) rn FROM t) x WHERE rn <= 100000',
  'SELECT * FROM (SELECT id, row_number() OVER (PARTITION BY k ORDER BY name) rn FROM t) x WHERE rn <= 2',
  'SELECT * FROM (SELECT id, row_number() OVER (PARTITION BY j ORDER BY f) rn FROM t) x WHERE rn <= 2',
  'SELECT * FROM (SELECT id, sum(id) OVER (PARTITION BY k), row_number() OVER (PARTITION BY k ORDER BY f) rn FROM t) x WHERE rn <= 2',
  'SELECT * FROM (SELECT ctid, row_number() OVER (PARTITION BY k ORDER BY f) rn FROM t) x WHERE rn <= 2',
  'SELECT * FROM (SELECT t, row_number() OVER (PARTITION BY k ORDER BY f) rn FROM t) x WHERE rn <= 2',
  'SELECT * FROM (SELECT random(), row_number() OVER (PARTITION BY k ORDER BY f) rn FROM t) x WHERE rn <= 2',
  'SELECT * FROM (SELECT k, count(*), row_number() OVER (PARTITION BY k ORDER BY k) rn FROM t GROUP BY k) x WHERE rn <= 2']) q WHERE plan_of(q) ~ 'First Rows'), NULL, 'PostgreSQL''s');
SELECT is(digest('SELECT id, f, rn FROM (SELECT id, f, row_number() OVER (PARTITION BY k ORDER BY name, id) rn FROM t) x WHERE rn <= 2'), digest('SELECT id, f, rn FROM (SELECT id, f, row_number() OVER (PARTITION BY k ORDER BY name, id) rn FROM h) x WHERE rn <= 2'), 'which answers as ever');
-- Of equal rows always the same, in the same order, with any number of threads.
SET datahike.threads = 1;
CREATE TABLE one USING heap AS SELECT id, n, ok, rn FROM (SELECT id, n, ok, row_number() OVER (PARTITION BY n ORDER BY ok) rn FROM t) x WHERE rn <= 50;
SET datahike.threads = 0;
SELECT results_eq('SELECT id, n, ok, rn FROM (SELECT id, n, ok, row_number() OVER (PARTITION BY n ORDER BY ok) rn FROM t) x WHERE rn <= 50', 'SELECT * FROM one', 'of equal rows the first');
SELECT is((SELECT count(*) FROM (SELECT n, array_agg(id ORDER BY rn) = array_agg(id ORDER BY ok, id) AS ordered FROM one GROUP BY n) x WHERE NOT ordered), 0::bigint, 'in the order of the table');
-- Rescans, with and without other parameters; cursors; prepared statements.
SELECT is((SELECT string_agg(s::text, ',' ORDER BY i) FROM generate_series(1, 3) i, LATERAL (SELECT sum(id) AS s FROM (SELECT id, row_number() OVER (PARTITION BY k ORDER BY id) rn FROM t WHERE n <> i) x WHERE rn <= 2) y),
  (SELECT string_agg(s::text, ',' ORDER BY i) FROM generate_series(1, 3) i, LATERAL (SELECT sum(id) AS s FROM (SELECT id, row_number() OVER (PARTITION BY k ORDER BY id) rn FROM h WHERE n <> i) x WHERE rn <= 2) y), 'rescans');
SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_material = off;
SELECT is((SELECT sum(x.id * i.i) FROM generate_series(1, 3) i JOIN (SELECT id, row_number() OVER (PARTITION BY n ORDER BY id) rn FROM t) x ON rn <= 2 AND x.id % 2 = i.i % 2),
  (SELECT sum(x.id * i.i) FROM generate_series(1, 3) i JOIN (SELECT id, row_number() OVER (PARTITION BY n ORDER BY id) rn FROM h) x ON rn <= 2 AND x.id % 2 = i.i % 2), 'rescans of the same');
RESET enable_hashjoin; RESET enable_mergejoin; RESET enable_material;
BEGIN;
DECLARE c SCROLL CURSOR FOR SELECT id, rn FROM (SELECT id, row_number() OVER (PARTITION BY n ORDER BY id) rn FROM t) x WHERE rn <= 2;
MOVE 3 FROM c;
DELETE FROM t WHERE n = 5;
SELECT is((SELECT count(*) FROM (SELECT row_number() OVER (PARTITION BY n ORDER BY id) rn FROM t) x WHERE rn <= 2), 20::bigint, 'own deletions');
MOVE ALL FROM c;
FETCH BACKWARD 1 FROM c \g /dev/null
ROLLBACK;
PREPARE p (int) AS SELECT count(*), sum(id) FROM (SELECT id, row_number() OVER (PARTITION BY k ORDER BY id) rn FROM t WHERE n < $1) x WHERE rn <= 2;
PREPARE q (int) AS SELECT count(*), sum(id) FROM (SELECT id, row_number() OVER (PARTITION BY k ORDER BY id) rn FROM h WHERE n < $1) x WHERE rn <= 2;
SET plan_cache_mode = force_generic_plan;
SELECT results_eq('EXECUTE p(7)', 'EXECUTE q(7)', 'a generic plan');
SELECT results_eq('EXECUTE p(NULL)', 'EXECUTE q(NULL)', 'with NULL');
RESET plan_cache_mode;
-- On a branch, with columns added and of other types, own changes that are not committed, and deleted rows.
SELECT datahike.create_branch('side') \g /dev/null
SET datahike.branch = 'side';
DELETE FROM t WHERE id % 3 = 0; DELETE FROM h WHERE id % 3 = 0;
ALTER TABLE t ADD COLUMN late text DEFAULT 'then', ADD COLUMN l2 int4; ALTER TABLE h ADD COLUMN late text DEFAULT 'then', ADD COLUMN l2 int4;
UPDATE t SET l2 = id, late = 'now ' || id WHERE id % 5 = 0; UPDATE h SET l2 = id, late = 'now ' || id WHERE id % 5 = 0;
INSERT INTO queries (query) VALUES ('SELECT * FROM (SELECT id, late, l2, k, row_number() OVER (PARTITION BY late, n ORDER BY l2 DESC, id) rn FROM t) x WHERE rn <= 3');
BEGIN;
INSERT INTO t SELECT id + 1000000, k + 1000, b, f, g, name || ' own', n FROM t WHERE id < 3000;
INSERT INTO h SELECT id + 1000000, k + 1000, b, f, g, name || ' own', n FROM h WHERE id < 3000;
DELETE FROM t WHERE id % 4 = 0; DELETE FROM h WHERE id % 4 = 0;
SELECT same(query) FROM queries WHERE id % 4 = 1;
COMMIT;
ALTER TABLE t ALTER COLUMN n TYPE int8; ALTER TABLE h ALTER COLUMN n TYPE int8;
SELECT same(query) FROM queries WHERE id % 4 = 2;
RESET datahike.branch;
SELECT is((SELECT count(*) FROM (SELECT late, row_number() OVER (PARTITION BY k ORDER BY id) rn FROM t) x WHERE rn <= 1 AND late IS NOT NULL), (SELECT count(*) FROM (SELECT DISTINCT k FROM t) x), 'on the other branch all rows are from before');
-- Row security.
CREATE ROLE reader; GRANT SELECT ON t TO reader; ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON t USING (n = 1);
SET ROLE reader;
SELECT is((SELECT count(*) FROM (SELECT row_number() OVER (PARTITION BY k % 10 ORDER BY id) rn FROM t) x WHERE rn <= 2), 22::bigint, 'policies hold');
RESET ROLE;
-- Who may not call what numbers the rows.
REVOKE EXECUTE ON FUNCTION row_number(), rank() FROM PUBLIC;
SET ROLE reader;
SELECT throws_ok(format('SELECT * FROM (SELECT id, %s() OVER (PARTITION BY k ORDER BY id) rn FROM t) x WHERE rn <= 2', f), '42501', 'permission denied for function ' || f) FROM unnest(ARRAY['row_number', 'rank']) f;
SELECT lives_ok('SELECT * FROM (SELECT id, dense_rank() OVER (PARTITION BY k ORDER BY id) rn FROM t) x WHERE rn <= 2');
RESET ROLE;
GRANT EXECUTE ON FUNCTION row_number(), rank() TO PUBLIC;
DROP POLICY p ON t; REVOKE ALL ON t FROM reader; DROP ROLE reader;

SELECT * FROM finish();
