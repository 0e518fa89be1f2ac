-- Joins that feed aggregates and are computed by column give what PostgreSQL's executor gives: for each query its answer with
-- datahike.vectorized on and off, and with heap tables (h for t, hs for s, hm for m) that have the same rows.
SELECT * FROM no_plan();
SET work_mem = '256MB';  -- what needs more is PostgreSQL's
SET datahike.vectorized_min_rows = 0;
SET cpu_tuple_cost = 1000;  -- so that a few rows are worth it, too
SET jit = off;
SET extra_float_digits = -5;

CREATE FUNCTION vectorized(query text) RETURNS bool LANGUAGE plpgsql AS $$
DECLARE line text; ours bool := false;
BEGIN
  FOR line IN EXECUTE 'EXPLAIN (COSTS off) ' || query LOOP
    IF line ~ 'Join Type:' THEN ours := true; END IF;
  END LOOP;
  RETURN ours;
END $$;
CREATE FUNCTION answer(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE result text;
BEGIN
  EXECUTE format('SELECT coalesce(string_agg(r, E''\n'' ORDER BY r COLLATE "C"), ''none'') FROM (SELECT q::text AS r FROM (%s) q) x', query) INTO result;
  RETURN result;
EXCEPTION WHEN OTHERS THEN RETURN SQLSTATE || ' ' || SQLERRM;
END $$;
CREATE FUNCTION same(query text, must bool DEFAULT true) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE ours text; one text; rows text; heap text;
BEGIN
  SET LOCAL datahike.vectorized = on;
  IF vectorized(query) IS DISTINCT FROM must THEN
    RETURN NEXT fail(query || CASE WHEN must THEN ' is not vectorized' ELSE ' is vectorized' END);
    RETURN;
  END IF;
  ours := answer(query);
  SET LOCAL datahike.threads = 1;
  one := answer(query);
  SET LOCAL datahike.threads = 4;
  SET LOCAL datahike.vectorized = off;
  rows := answer(query);
  heap := answer(regexp_replace(regexp_replace(query, '\mt\M', 'h', 'g'), '\m([smp])\M(?! *\.)', 'h\1 AS \1', 'g'));
  SET LOCAL datahike.vectorized = on;
  IF ours IS DISTINCT FROM one THEN RETURN NEXT is(ours, one, query || ' with one thread');
  ELSIF ours IS DISTINCT FROM rows THEN RETURN NEXT is(ours, rows, query);
  ELSE RETURN NEXT is(ours, heap, query); END IF;
END $$;

-- t is scanned by column. Its keys have NULLs, extremes, and values without a match; s has each key once, m several times.
CREATE TABLE t (id int8, k int4, k2 int2, b int8, f float8, g float4, d date, ts timestamp, name text, v varchar(20), n numeric(10, 2));
CREATE TABLE h (LIKE t) USING heap;
CREATE TABLE s (k int4, b int8, f float8, d date, name text, w int4, label text, n numeric);
CREATE TABLE hs (LIKE s) USING heap;
CREATE TABLE m (k int8, k2 int4, name varchar(20), w int4, g float4, label text);
CREATE TABLE hm (LIKE m) USING heap;
INSERT INTO h SELECT i, CASE WHEN i % 11 = 0 THEN NULL WHEN i = 77 THEN 2147483647 WHEN i = 78 THEN -2147483648 ELSE i % 150 - 20 END, i % 7,
    CASE WHEN i % 5 = 0 THEN 9223372036854775807 WHEN i % 5 = 1 THEN -9223372036854775808 ELSE i % 5 END,
    CASE i % 9 WHEN 0 THEN 'NaN' WHEN 1 THEN '-0' WHEN 2 THEN 'Infinity' WHEN 3 THEN NULL ELSE (i % 9)::float8 END, i % 4,
    DATE '2020-01-01' + i % 40, TIMESTAMP '2020-01-01' + i % 60 * INTERVAL '1 minute',
    CASE WHEN i % 13 = 0 THEN NULL ELSE 'name ' || i % 70 END, 'v' || i % 5, i % 100
  FROM generate_series(1, 2000) i;
INSERT INTO t SELECT * FROM h ORDER BY id;
INSERT INTO hs SELECT i, CASE WHEN i % 4 = 0 THEN NULL ELSE i % 5 END, i, DATE '2020-01-01' + i, 'name ' || i, i * 10, 'label ' || i % 3, i FROM generate_series(0, 99) i
  UNION ALL VALUES (NULL::int, 9223372036854775807, 'NaN'::float8, NULL::date, NULL::text, NULL::int, NULL::text, NULL::numeric), (2147483647, -9223372036854775808, '0', '2020-01-01', '', 1, '', 0);
INSERT INTO s SELECT * FROM hs;
INSERT INTO hm SELECT CASE WHEN i % 10 = 0 THEN NULL ELSE i % 40 END, i % 6, CASE WHEN i % 8 = 0 THEN NULL ELSE 'name ' || i % 20 END, i, i % 3, 'm' || i % 4 FROM generate_series(1, 500) i;
INSERT INTO m SELECT * FROM hm;
SELECT pg_sleep(0.3) \g /dev/null
ANALYZE t; ANALYZE s; ANALYZE m; ANALYZE h; ANALYZE hs; ANALYZE hm;

CREATE TABLE queries (id serial, query text);
INSERT INTO queries (query) VALUES
  ('SELECT count(*), sum(t.k), sum(s.w), count(s.b), count(s.n), avg(s.f), min(s.d), max(s.f) FROM t JOIN s ON t.k = s.k'),
  ('SELECT count(*), sum(t.k), sum(s.w), count(s.b), count(s.n), sum(t.id) FROM t LEFT JOIN s ON t.k = s.k'),
  ('SELECT count(*), sum(t.id), sum(m.w), avg(m.w), sum(t.id * m.w) FROM t JOIN m ON t.k = m.k'),
  ('SELECT count(*), sum(t.id), sum(m.w), count(m.name) FROM t LEFT JOIN m ON t.k = m.k AND t.k2 = m.k2'),
  ('SELECT count(*), sum(t.id), sum(m.w) FROM t JOIN m ON t.k = m.k AND t.k2 = m.k2'),
  ('SELECT count(*), sum(t.id), sum(m.w) FROM t JOIN m ON t.name = m.name'),
  ('SELECT count(*), sum(t.id), sum(m.w) FROM t LEFT JOIN m ON t.name = m.name AND m.k = t.k'),
  ('SELECT count(*), sum(t.id), sum(s.w) FROM t JOIN s ON t.name = s.name'),
  ('SELECT count(*), sum(t.id), sum(s.w) FROM t JOIN s ON t.d = s.d'),
  ('SELECT count(*), sum(t.id), sum(s.w) FROM t JOIN s ON t.b = s.b'),
  ('SELECT count(*), sum(t.id), sum(s.w) FROM t LEFT JOIN s ON t.f = s.f'),
  ('SELECT count(*), sum(t.id), sum(m.w) FROM t JOIN m ON t.g = m.g'),
  ('SELECT count(*), sum(t.id), sum(s.w) FROM t JOIN s ON t.k + 1 = s.k'),
  ('SELECT count(*), sum(s.w) FROM t JOIN s ON length(t.name) = s.k'),
  ('SELECT s.label, count(*), sum(t.id), avg(t.f) FROM t JOIN s ON t.k = s.k GROUP BY s.label'),
  ('SELECT s.label, t.k2, count(*) FROM t LEFT JOIN s ON t.k = s.k GROUP BY 1, 2'),
  ('SELECT m.label, t.name, count(*), max(m.w) FROM t JOIN m ON t.k = m.k GROUP BY 1, 2'),
  ('SELECT s.w, count(*), sum(t.id) FROM t LEFT JOIN s ON t.k = s.k GROUP BY s.w'),
  ('SELECT s.k, count(*) FROM t JOIN s ON t.k = s.k GROUP BY s.k'),
  ('SELECT t.k + s.w, count(*) FROM t JOIN s ON t.k = s.k GROUP BY t.k + s.w HAVING count(*) > 30'),
  ('SELECT m.g, count(DISTINCT m.label), count(DISTINCT t.name), count(DISTINCT m.w) FROM t JOIN m ON t.k = m.k GROUP BY m.g'),
  ('SELECT count(DISTINCT s.label), sum(length(s.label)), count(s.label) FROM t LEFT JOIN s ON t.k = s.k'),
  ('SELECT count(*), sum(s.w) FROM t JOIN s ON t.k = s.k WHERE t.id < 1500 AND t.k2 <> 3 AND s.w > 100'),
  ('SELECT count(*), sum(s.w), sum(t.id) FROM t LEFT JOIN s ON t.k = s.k AND s.w > 100 WHERE t.name LIKE ''%1%'''),
  ('SELECT count(*), sum(s.w) FROM t LEFT JOIN s ON t.k = s.k WHERE s.w > 100'),
  ('SELECT count(*), sum(s.w) FROM t JOIN s ON t.k = s.k WHERE t.id < 0'),
  ('SELECT count(*), sum(x.w), sum(t.k) FROM t LEFT JOIN (SELECT k, w FROM s WHERE k > 30) x ON t.k = x.k'),
  ('SELECT count(*), sum(t.id) FROM t WHERE EXISTS (SELECT 1 FROM m WHERE m.k = t.k)'),
  ('SELECT count(*), sum(t.id) FROM t WHERE EXISTS (SELECT 1 FROM m WHERE m.k = t.k AND m.w > 300 AND m.k2 = t.k2)'),
  ('SELECT t.k2, count(*), sum(t.id) FROM t WHERE NOT EXISTS (SELECT 1 FROM m WHERE m.k = t.k) GROUP BY t.k2'),
  ('SELECT count(*), sum(t.id) FROM t WHERE t.name IN (SELECT m.name FROM m WHERE m.w < 100)'),
  ('SELECT count(*), sum(t.id), count(m.w) FROM t LEFT JOIN m ON t.k = m.k WHERE m.k IS NULL'),
  ('SELECT count(*), sum(x.total) FROM t JOIN (SELECT k, sum(w) AS total FROM m GROUP BY k OFFSET 0) x ON t.k = x.k'),
  ('SELECT count(*), sum(x.i) FROM t JOIN generate_series(1, 50) x(i) ON t.k = x.i'),
  ('SELECT count(*), sum(x.b) FROM t JOIN (VALUES (1, 10::int8), (2, 20), (2, NULL), (NULL, 5)) x(a, b) ON t.k = x.a'),
  ('SELECT count(*), sum(x.id) FROM t JOIN (SELECT k, id FROM t OFFSET 0) x ON t.k = x.k WHERE t.id < 200'),
  ('SELECT count(*), sum(a.id), sum(t.id) FROM t JOIN t a ON t.id = a.k'),
  ('SELECT max(t.k / (s.k - 5)) FROM t JOIN s ON t.k = s.k'),
  ('SELECT sum(t.b + s.b) FROM t JOIN s ON t.k = s.k'),
  ('SELECT sum(s.w + 2147483647) FROM t LEFT JOIN s ON t.k = s.k');
SELECT same(query) FROM queries ORDER BY id;
-- Keys of numerics of any scale, also such as no value of the table can have.
CREATE TABLE p (n numeric, e numeric(12, 4), w int4, label text);
INSERT INTO p SELECT i / 2.0, i / 2.0, i, 'p' || i % 4 FROM generate_series(-20, 150) i UNION ALL VALUES (5.00000, 5.5, 1, NULL), (5.001, 1, 2, NULL), ('NaN', 'NaN', 3, NULL), ('Infinity', NULL, 4, NULL), (1e40, 1, 5, NULL), (-1e-40, 1, 6, NULL), (NULL, NULL, 7, NULL);
CREATE TABLE hp USING heap AS TABLE p;
ALTER TABLE t ADD z numeric(10, 2); ALTER TABLE h ADD z numeric(10, 2);
UPDATE t SET z = CASE id % 5 WHEN 0 THEN 'NaN' WHEN 1 THEN NULL ELSE n / 4 END; UPDATE h SET z = CASE id % 5 WHEN 0 THEN 'NaN' WHEN 1 THEN NULL ELSE n / 4 END;
ANALYZE t; ANALYZE p; ANALYZE h; ANALYZE hp;
SELECT same(format(query, k)) FROM (VALUES ('SELECT count(*), sum(t.id), sum(p.w), sum(t.z) FROM t JOIN p ON t.z = p.%1$s'), ('SELECT p.label, count(*), sum(t.id), count(p.%1$s) FROM t LEFT JOIN p ON p.%1$s = t.z GROUP BY p.label'), ('SELECT count(*), sum(t.id) FROM t WHERE EXISTS (SELECT FROM p WHERE p.%1$s = t.z + 1)'),
  ('SELECT t.k2, count(*) FROM t WHERE NOT EXISTS (SELECT FROM p WHERE p.%1$s = t.z AND p.w > 3) GROUP BY t.k2'), ('SELECT count(*), sum(p.w) FROM t JOIN p ON t.k = p.%1$s'), ('SELECT count(*), sum(p.w) FROM t JOIN p ON t.z * 2 = p.%1$s'),
  ('SELECT t.z, count(*), min(p.w) FROM t JOIN p ON t.z = p.%1$s GROUP BY t.z'), ('SELECT count(*), sum(x.w) FROM t JOIN (SELECT %1$s, w FROM p OFFSET 0) x ON t.z = x.%1$s')) q(query), unnest(ARRAY['n', 'e']) k;
SELECT same(query, false) FROM (VALUES ('SELECT sum(p.e) FROM t JOIN p ON t.z = p.e'), ('SELECT count(*) FROM t JOIN p ON t.z = p.n * 2'), ('SELECT count(*) FROM t JOIN p ON t.n = p.n AND t.z = p.n'), ('SELECT count(*) FROM t JOIN p ON t.n * t.z = p.n')) q(query);

-- What is PostgreSQL's own to compute.
SELECT same(query, false) FROM (VALUES
  ('SELECT count(*) FROM t JOIN s ON t.k < s.k'),
  ('SELECT count(*) FROM t JOIN s ON t.k = s.k AND t.id > s.w'),
  ('SELECT count(*) FROM t LEFT JOIN s ON t.k = s.k AND t.id > 10'),
  ('SELECT count(*) FROM t LEFT JOIN s ON t.k = s.k WHERE s.w IS NULL OR s.w > t.id'),
  ('SELECT count(*) FROM t FULL JOIN s ON t.k = s.k'),
  ('SELECT count(*), sum(t.id) FROM s LEFT JOIN t ON t.n = s.n'),
  ('SELECT count(*) FROM t CROSS JOIN (SELECT 1 FROM s LIMIT 3) x'),
  ('SELECT count(*) FROM t JOIN s ON t.name::bpchar = s.name::bpchar')) q(query);

-- Several relations are joined first, also those that only the table joins.
INSERT INTO queries (query) VALUES
  ('SELECT count(*), sum(t.id), sum(s.w), sum(m.w) FROM t JOIN s ON t.k = s.k JOIN m ON m.k = s.k'),
  ('SELECT s.label, m.label, count(*), sum(t.id), min(s.w), max(m.w) FROM t JOIN s ON t.k = s.k JOIN m ON m.k2 = t.k2 AND m.name = s.name GROUP BY 1, 2'),
  ('SELECT s.label, m.label, count(*), sum(t.id), sum(m.w + s.w) FROM t JOIN s ON t.k = s.k JOIN m ON m.k2 = t.k2 WHERE m.w < 8 AND s.w BETWEEN 30 AND 60 GROUP BY 1, 2'),
  ('SELECT s.label, p.label, count(*), sum(t.id), percentile_disc(0.5) WITHIN GROUP (ORDER BY s.w) FROM t, s, p WHERE t.d = s.d AND t.z = p.n AND p.w < 15 AND s.w < 200 GROUP BY 1, 2'),
  ('SELECT s.w, p.w, count(*) FILTER (WHERE t.k > 30 AND p.label = ''p1'') FROM t, s, p WHERE t.name = s.name AND t.z = p.n AND s.w = 50 GROUP BY 1, 2'),
  ('SELECT count(*), count(DISTINCT s.label), sum(x.total) FROM t JOIN s ON t.k = s.k JOIN (SELECT k2, sum(w) AS total FROM m GROUP BY k2) x ON x.k2 = t.k2'),
  ('SELECT count(*), sum(t.id), sum(p.w) FROM t, s, m, p WHERE t.k = s.k AND s.w = m.w * 10 AND m.k2 = t.k2 AND p.w = m.w'),
  ('SELECT count(*), sum(t.id) FROM t, s, p WHERE t.k = s.k AND t.z = p.n AND s.w < 0'),
  ('SELECT sum(t.k / (s.w - p.w)) FROM t, s, p WHERE t.k = s.k AND t.z = p.n AND p.w BETWEEN 1 AND 5 AND s.w < 60'),
  ('SELECT a.k2, count(*), sum(a.id + b.id) FROM t a, (SELECT id, k, k2 FROM t WHERE id < 50) b, s WHERE a.k = b.k AND b.k2 = s.k GROUP BY a.k2');
SELECT same(query) FROM queries WHERE id > 40 ORDER BY id;
SELECT same(query, false) FROM (VALUES ('SELECT count(*) FROM t LEFT JOIN s ON t.k = s.k JOIN m ON m.k2 = t.k2'), ('SELECT count(*) FROM t, s, m WHERE t.k = s.k AND t.k2 = m.k2 AND t.id > s.w + m.w'), ('SELECT count(*) FROM t, s, m, p WHERE t.k = s.k AND t.k2 = m.k2 AND t.z = p.n'),
  ('SELECT count(*) FROM t JOIN s ON t.k = s.k WHERE EXISTS (SELECT FROM m WHERE m.k2 = t.k2)')) q(query);

-- Deleted and updated rows on both sides, unfolded and folded; own changes.
DELETE FROM t WHERE id % 10 = 3; DELETE FROM h WHERE id % 10 = 3;
UPDATE t SET k = 5, name = 'updated' WHERE id % 17 = 0; UPDATE h SET k = 5, name = 'updated' WHERE id % 17 = 0;
DELETE FROM s WHERE k = 4; DELETE FROM hs WHERE k = 4;
UPDATE m SET name = 'updated' WHERE w % 50 = 0; UPDATE hm SET name = 'updated' WHERE w % 50 = 0;
SELECT same(query) FROM queries WHERE id % 3 = 0 ORDER BY id;
SELECT pg_sleep(0.3) \g /dev/null
BEGIN;
INSERT INTO t SELECT id + 10000, k, k2, b, f, g, d, ts, name || ' own', v, n FROM t WHERE id < 500;
INSERT INTO h SELECT id + 10000, k, k2, b, f, g, d, ts, name || ' own', v, n FROM h WHERE id < 500;
INSERT INTO s VALUES (4, 4, 4, NULL, 'name 4 own', 1, 'own', 0), (5, 5, 5, NULL, 'again', 1, 'own', 0);
INSERT INTO hs VALUES (4, 4, 4, NULL, 'name 4 own', 1, 'own', 0), (5, 5, 5, NULL, 'again', 1, 'own', 0);
DELETE FROM m WHERE w > 400; DELETE FROM hm WHERE w > 400;
SELECT same(query) FROM queries ORDER BY id;
ROLLBACK;

-- No rows on one side or the other.
BEGIN;
TRUNCATE s, hs;
SELECT same(query) FROM queries WHERE query ~ '\ms\M' AND id % 2 = 1 ORDER BY id;
ROLLBACK;
BEGIN;
TRUNCATE t, h;
SELECT same(query) FROM queries WHERE query ~ '\ms\M' AND id % 2 = 1 ORDER BY id;
ROLLBACK;

-- Many rows in several segments, and many keys: no array of them.
INSERT INTO h SELECT i, i % 90000, i % 7, i::int8 * 1000003, i, i % 3, DATE '2000-01-01' + i % 5000, TIMESTAMP '2000-01-01' + i * INTERVAL '1 s', 'text ' || i % 30000, 'w', 1 FROM generate_series(100001, 200000) i;
INSERT INTO t SELECT * FROM h WHERE id > 100000 ORDER BY id;
INSERT INTO hm SELECT i::int8 * 1000003, i % 4, 'text ' || i, i, i, 'x' || i % 2 FROM generate_series(100001, 110000) i;
INSERT INTO m SELECT * FROM hm WHERE w > 100000;
SELECT pg_sleep(0.5) \g /dev/null
SELECT same(query) FROM (VALUES
  ('SELECT count(*), sum(t.id), sum(m.w) FROM t JOIN m ON t.b = m.k'),
  ('SELECT m.label, count(*), sum(t.id), sum(m.w) FROM t LEFT JOIN m ON t.b = m.k GROUP BY m.label'),
  ('SELECT m.label, count(*), sum(t.id), sum(t.f) FROM t JOIN m ON t.name = m.name WHERE t.id > 100000 GROUP BY m.label'),
  ('SELECT m.w, count(*), sum(t.id) FROM t JOIN m ON t.name = m.name AND t.k2 = m.k2 GROUP BY m.w'),
  ('SELECT count(*), sum(t.id) FROM t WHERE NOT EXISTS (SELECT 1 FROM m WHERE m.k = t.b)'),
  ('SELECT count(*), sum(t.id) FROM t WHERE t.id > 100000 AND EXISTS (SELECT 1 FROM m WHERE m.w = t.k)')) q(query);

-- Branches, commits and times; parameters; rescans.
SELECT datahike.commit_id() AS pinned \gset
CREATE FUNCTION total(query text) RETURNS text LANGUAGE plpgsql AS $$ DECLARE r text; BEGIN EXECUTE query INTO r; RETURN r; END $$;
\set joined 'SELECT (count(*), sum(t.id), sum(s.w))::text FROM t JOIN s ON t.k = s.k WHERE t.id < 2000'
\set heap_joined 'SELECT (count(*), sum(t.id), sum(s.w))::text FROM h t JOIN hs s ON t.k = s.k WHERE t.id < 2000'
SELECT ok(vectorized(:'joined'), 'by column');
SELECT datahike.create_branch('side') \g /dev/null
SET datahike.branch = 'side';
DELETE FROM s WHERE k < 50;
SELECT is(total(:'joined'), total(:'heap_joined' || ' AND s.k >= 50'), 'on a branch');
RESET datahike.branch;
SELECT is(total(:'joined'), total(:'heap_joined'), 'not on the other');
DELETE FROM s WHERE k = 60;
DELETE FROM t WHERE id < 100;
SELECT is(total(:'joined'), total(:'heap_joined' || ' AND s.k <> 60 AND t.id >= 100'), 'changed');
SET datahike.commit_id = :'pinned';
SELECT ok(vectorized(:'joined'), 'by column at a commit, too');
SELECT is(total(:'joined'), total(:'heap_joined'), 'at a commit');
RESET datahike.commit_id;
SELECT ok(vectorized(format('SELECT count(*) FROM t JOIN datahike.at(NULL::s, %L) s ON t.k = s.k', :'pinned')), 'at() is a build side');
SELECT is(total(format('SELECT (count(*), sum(t.id), sum(s.w))::text FROM t JOIN datahike.at(NULL::s, %L) s ON t.k = s.k WHERE t.id < 2000', :'pinned')), total(:'heap_joined' || ' AND t.id >= 100'), 'at() as build side');
SET datahike.history = on;
SELECT is(total('SELECT (count(*), sum(t.id), sum(s.w))::text FROM t JOIN s ON t.k = s.k'), total('SELECT (count(*), sum(x.id), sum(y.w))::text FROM (SELECT * FROM t OFFSET 0) x JOIN (SELECT * FROM s OFFSET 0) y ON x.k = y.k'), 'history');
RESET datahike.history;
DELETE FROM hs WHERE k = 60;
DELETE FROM h WHERE id < 100;
PREPARE p(int, text) AS SELECT count(*), sum(s.w) FROM t JOIN s ON t.k + $1 = s.k WHERE s.label <> $2 AND t.id < 2000;
SET plan_cache_mode = force_generic_plan;
CREATE FUNCTION executed(a text, b text) RETURNS text LANGUAGE plpgsql AS $$ DECLARE r record; BEGIN EXECUTE format('EXECUTE p(%s, %s)', a, b) INTO r; RETURN r; END $$;
SELECT is(executed(x.p1, quote_nullable(x.p2)), (SELECT r::text FROM (SELECT count(*), sum(s.w) FROM h t JOIN hs s ON t.k + nullif(x.p1, 'NULL')::int = s.k WHERE s.label <> x.p2 AND t.id < 2000) r), 'prepared')
  FROM (VALUES ('0', 'label 1'), ('3', ''), ('3', NULL), ('NULL', 'label 1')) x(p1, p2);
RESET plan_cache_mode;
SELECT is((SELECT string_agg(x::text, ',' ORDER BY i) FROM generate_series(0, 3) i, LATERAL (SELECT count(*), sum(s.w) FROM t JOIN s ON t.k = s.k WHERE s.w > i * 100 AND t.id < 2000) x),
  (SELECT string_agg(x::text, ',' ORDER BY i) FROM generate_series(0, 3) i, LATERAL (SELECT count(*), sum(s.w) FROM h t JOIN hs s ON t.k = s.k WHERE s.w > i * 100 AND t.id < 2000) x), 'rescans of the build side');
SELECT is((SELECT string_agg(x::text, ',' ORDER BY i) FROM generate_series(0, 3) i, LATERAL (SELECT count(*), sum(s.w) FROM t JOIN s ON t.k = s.k WHERE t.id < i * 400) x),
  (SELECT string_agg(x::text, ',' ORDER BY i) FROM generate_series(0, 3) i, LATERAL (SELECT count(*), sum(s.w) FROM h t JOIN hs s ON t.k = s.k WHERE t.id < i * 400) x), 'rescans of the probe side');
SELECT is((SELECT string_agg((SELECT sum(s.w) FROM t JOIN s ON t.k = s.k WHERE t.k2 = i)::text, ',' ORDER BY i) FROM generate_series(0, 8) i),
  (SELECT string_agg((SELECT sum(s.w) FROM h t JOIN hs s ON t.k = s.k WHERE t.k2 = i)::text, ',' ORDER BY i) FROM generate_series(0, 8) i), 'a correlated subquery');

-- Columns that were added, or had another type.
ALTER TABLE t ADD COLUMN x int DEFAULT 7, ADD COLUMN y text DEFAULT 'name 3'; ALTER TABLE h ADD COLUMN x int DEFAULT 7, ADD COLUMN y text DEFAULT 'name 3';
INSERT INTO t (id, x, y) VALUES (1, 8, 'name 9'), (2, NULL, NULL); INSERT INTO h (id, x, y) VALUES (1, 8, 'name 9'), (2, NULL, NULL);
ALTER TABLE t ALTER COLUMN k TYPE int8; ALTER TABLE h ALTER COLUMN k TYPE int8;
SELECT same(query) FROM (VALUES ('SELECT count(*), sum(s.w) FROM t JOIN s ON t.x = s.k'), ('SELECT count(*), sum(m.w) FROM t LEFT JOIN m ON t.y = m.name'), ('SELECT s.label, count(*), sum(t.x) FROM t JOIN s ON t.k = s.k GROUP BY 1')) q(query);

-- Row security, privileges, EXPLAIN, a query that is cancelled.
CREATE ROLE tap_joiner;
GRANT SELECT ON t, s TO tap_joiner;
CREATE POLICY mine ON s USING (w > 500);
ALTER TABLE s ENABLE ROW LEVEL SECURITY;
SET ROLE tap_joiner;
SELECT (count(*), sum(s.w))::text AS limited FROM t JOIN s ON t.k = s.k \gset
RESET ROLE;
SELECT is(:'limited'::text, (SELECT (count(*), sum(s.w))::text FROM h t JOIN hs s ON t.k = s.k WHERE s.w > 500), 'row security of the build side');
ALTER TABLE s DISABLE ROW LEVEL SECURITY;
REVOKE SELECT ON s FROM tap_joiner;
SET ROLE tap_joiner;
\set ON_ERROR_STOP off
SELECT count(*) FROM t JOIN s ON t.k = s.k \g /dev/null
\set code :SQLSTATE
\set ON_ERROR_STOP on
RESET ROLE;
SELECT is(:'code'::text, '42501', 'privileges');
CREATE FUNCTION plan_of(query text) RETURNS text LANGUAGE plpgsql AS $$ DECLARE line text; plan text := ''; BEGIN
  FOR line IN EXECUTE 'EXPLAIN (ANALYZE, COSTS off, TIMING off, SUMMARY off) ' || query LOOP plan := plan || line || E'\n'; END LOOP; RETURN plan; END $$;
SELECT matches(plan_of('SELECT s.label, count(*) FROM t JOIN s ON t.k = s.k WHERE t.id < 120000 GROUP BY 1'),
  'Datahike Aggregate\) on t .*Group Key: s.label.*Join Type: Inner.*Hash Cond: \(.*t.k.* = .*s.k.*\).*Scan Filter: .*t.id < 120000.*Segments: \d+.*->  Seq Scan on s', 'EXPLAIN');
SELECT matches(plan_of('SELECT * FROM (SELECT s.label, count(*) FROM t JOIN s ON t.k = s.k GROUP BY 1 OFFSET 0) x JOIN (SELECT m.label, sum(t.k) FROM t JOIN m ON t.k = m.k GROUP BY 1 OFFSET 0) y USING (label)'),
  'Group Key: m.label.*Hash Cond: .*m.k', 'EXPLAIN of subqueries');
SET statement_timeout = '300ms';
\set ON_ERROR_STOP off
SELECT count(*), sum(m.w) FROM t JOIN (SELECT 1 AS k, w FROM m) m ON t.k2 = m.k \g /dev/null
\set code :SQLSTATE
\set ON_ERROR_STOP on
SELECT is(:'code'::text, '57014', 'many matches are cancelled');
RESET statement_timeout;

-- Numerics of the build side that have other digits than the table's are scaled one by one: that leaves no memory behind.
CREATE TABLE scaled (n numeric(12,2)); CREATE TABLE unscaled (n numeric) USING heap;
INSERT INTO scaled SELECT i / 100.0 FROM generate_series(1, 30000) i; INSERT INTO unscaled SELECT i / 1000.0 FROM generate_series(1, 30000) i;
ANALYZE scaled, unscaled;
BEGIN;
DECLARE counted CURSOR FOR SELECT count(*), sum(a.n) FROM scaled a JOIN unscaled b ON a.n = b.n;
FETCH counted \g /dev/null
SELECT cmp_ok((SELECT sum(total_bytes) FROM pg_backend_memory_contexts WHERE name = 'datahike aggregate'), '<', 1000000::numeric, 'memory of a build side with numerics');
COMMIT;

SELECT * FROM finish();
