-- Many groups: the same answers from one thread and several, and where they need more memory than they may and are computed in passes.
SET datahike.vectorized_min_rows = 0;
SELECT * FROM no_plan();
SET jit = off;
SET max_parallel_workers_per_gather = 0;
CREATE TABLE t (id int8, k int4, b int8, f float8, g float4, name text, other text, n int4);
CREATE TABLE h (LIKE t) USING heap;
CREATE TABLE s (k int4, label text) USING heap;
INSERT INTO h SELECT i, CASE WHEN i % 1001 = 0 THEN NULL ELSE i * 7919 % 30000 END, i::int8 * 7919 % 25000 * 100000000003, CASE WHEN i % 500 = 0 THEN 'NaN' WHEN i % 501 = 0 THEN '-0' ELSE i % 20000 / 8.0 END, i % 3 / 3.0,
    CASE WHEN i % 777 = 0 THEN NULL ELSE 'name ' || i * 31 % 22000 END, 'few ' || i % 5, i % 11 FROM generate_series(1, 40000) i;
INSERT INTO t SELECT * FROM h ORDER BY id;
INSERT INTO s SELECT i, 'label ' || i % 9000 FROM generate_series(0, 14999) i;
SELECT pg_sleep(0.5) \g /dev/null
ANALYZE t; ANALYZE h; ANALYZE s;
SET extra_float_digits = -5;

CREATE FUNCTION plan_of(query text) RETURNS text LANGUAGE plpgsql AS $$ DECLARE line text; plan text := ''; BEGIN
  FOR line IN EXECUTE 'EXPLAIN (ANALYZE, COSTS off, TIMING off, SUMMARY off) ' || query LOOP plan := plan || line || E'\n'; END LOOP; RETURN plan; END $$;
CREATE FUNCTION digest(query text) RETURNS text LANGUAGE plpgsql AS $$ DECLARE r text; BEGIN
  EXECUTE format('SELECT count(*) || '' '' || coalesce(sum(hashtextextended(q::text, 0)), 0) FROM (%s) q', query) INTO r; RETURN r; END $$;
-- The exact rows with each number of threads, and to 10 digits what heap gives.
CREATE FUNCTION same(query text, memory text) RETURNS SETOF text LANGUAGE plpgsql AS $$ DECLARE one text; many text; passes text; heap text; BEGIN
  SET LOCAL work_mem = '512MB';
  heap := digest(regexp_replace(query, '\mt\M', 'h', 'g'));
  SET LOCAL extra_float_digits = 3;
  SET LOCAL datahike.threads = 1;
  one := digest(query);
  SET LOCAL datahike.threads = 4;
  many := digest(query);
  PERFORM set_config('work_mem', memory, true);
  passes := digest(query);
  SET LOCAL work_mem = '512MB';
  IF one <> many THEN RETURN NEXT is(many, one, query || ': threads'); RETURN; END IF;
  IF one <> passes THEN RETURN NEXT is(passes, one, query || ': passes'); RETURN; END IF;
  SET LOCAL extra_float_digits = -5;
  IF NOT plan_of(query) ~ 'Datahike Aggregate' THEN RETURN NEXT fail(query || ' is not vectorized'); RETURN; END IF;
  RETURN NEXT is(digest(query), heap, query);
END $$;
CREATE TABLE queries (id serial, query text);
INSERT INTO queries (query) VALUES
  ('SELECT k, count(*), sum(b), sum(f), avg(f) FROM t GROUP BY k'),
  ('SELECT b, count(*), min(f), max(name IS NULL)::text FROM (SELECT * FROM t OFFSET 0) t GROUP BY b'),
  ('SELECT b, k, sum(f), count(name), count(DISTINCT n) FROM t GROUP BY b, k'),
  ('SELECT name, count(*), sum(f), stddev(n::float8) FROM t GROUP BY name'),
  ('SELECT name, other, f, count(*) FROM t WHERE n <> 3 GROUP BY 1, 2, 3'),
  ('SELECT f, count(*), sum(g) FROM t GROUP BY f'),
  ('SELECT k - k % 3, count(*), sum(id) FROM t GROUP BY 1 HAVING count(*) > 2'),
  ('SELECT k, count(DISTINCT name), sum(g) FROM t GROUP BY k'),
  ('SELECT n, count(DISTINCT name), count(DISTINCT b), sum(f) FROM t GROUP BY n'),
  ('SELECT count(DISTINCT name), count(DISTINCT b), sum(f) FROM t'),
  ('SELECT s.label, count(*), sum(t.f) FROM t JOIN s ON t.k = s.k GROUP BY s.label'),
  ('SELECT s.label, t.name, sum(t.f) FROM t LEFT JOIN s ON t.k = s.k GROUP BY 1, 2');
DELETE FROM queries WHERE query ~ 'IS NULL';
SELECT same(query, '1MB') FROM queries ORDER BY id;

-- ORDER BY a count LIMIT: only the first groups become rows. Which of groups with equal counts are among them is not PostgreSQL's business, but not that of
-- the number of threads either.
CREATE FUNCTION top(query text, must bool DEFAULT true) RETURNS SETOF text LANGUAGE plpgsql AS $$ DECLARE one text; many text; passes text; counts text; heap text; plan text; BEGIN
  plan := plan_of(query);
  IF must <> (plan ~ 'Top Groups' AND plan !~ 'Sort') THEN RETURN NEXT fail(query || E'\n' || plan); RETURN; END IF;
  EXECUTE format('SELECT string_agg(c::text, '','' ORDER BY i) FROM (SELECT c, row_number() OVER () AS i FROM (%s) q) x', query) INTO counts;
  EXECUTE format('SELECT string_agg(c::text, '','' ORDER BY i) FROM (SELECT c, row_number() OVER () AS i FROM (%s) q) x', regexp_replace(query, '\mt\M', 'h', 'g')) INTO heap;
  IF counts IS DISTINCT FROM heap THEN RETURN NEXT is(counts, heap, query); RETURN; END IF;
  SET LOCAL datahike.threads = 1;
  EXECUTE format('SELECT string_agg(q::text, '','') FROM (%s) q', query) INTO one;
  SET LOCAL datahike.threads = 4;
  EXECUTE format('SELECT string_agg(q::text, '','') FROM (%s) q', query) INTO many;
  IF must AND one IS DISTINCT FROM many THEN RETURN NEXT is(many, one, query || ': threads'); RETURN; END IF;
  SET LOCAL work_mem = '512kB';
  EXECUTE format('SELECT string_agg(c::text, '','' ORDER BY i) FROM (SELECT c, row_number() OVER () AS i FROM (%s) q) x', query) INTO passes;
  SET LOCAL work_mem = '512MB';
  RETURN NEXT is(passes, heap, query);
END $$;
SET work_mem = '512MB';
SELECT top(query) FROM (VALUES
  ('SELECT k, count(*) c FROM t GROUP BY k ORDER BY c DESC LIMIT 10'),
  ('SELECT k, count(*) c FROM t GROUP BY k ORDER BY c LIMIT 10'),
  ('SELECT name, count(*) c, sum(f) FROM t GROUP BY name ORDER BY 2 DESC LIMIT 10'),
  ('SELECT n, other, count(k) c, count(*) FROM t GROUP BY 1, 2 ORDER BY c DESC LIMIT 5 OFFSET 3'),
  ('SELECT n, count(DISTINCT name) c, avg(b) FROM t GROUP BY n ORDER BY c DESC NULLS LAST LIMIT 4'),
  ('SELECT n + 1 AS m, count(*) + 1 AS c, count(*) FROM t GROUP BY n ORDER BY count(*) DESC LIMIT 100'),
  ('SELECT s.label, count(*) c FROM t JOIN s ON t.k = s.k GROUP BY s.label ORDER BY c DESC LIMIT 3'),
  ('SELECT f, count(*) c FROM t WHERE id < 0 GROUP BY f ORDER BY c DESC LIMIT 3')) q(query);
SELECT top(query, false) FROM (VALUES
  ('SELECT n, count(*) c FROM t GROUP BY n HAVING count(*) > 5 ORDER BY c DESC LIMIT 10'),
  ('SELECT n, count(*) c FROM t GROUP BY n ORDER BY c DESC, n LIMIT 10'),
  ('SELECT n, count(*) c FROM t GROUP BY n ORDER BY c DESC FETCH FIRST 2 ROWS WITH TIES'),
  ('SELECT n, count(*) c, row_number() OVER () FROM t GROUP BY n ORDER BY c DESC LIMIT 3'),
  ('SELECT DISTINCT n % 3, count(*) c FROM t GROUP BY n ORDER BY c DESC LIMIT 3')) q(query);
SELECT is((SELECT string_agg(c::text, ',' ORDER BY i, c) FROM generate_series(1, 3) i, LATERAL (SELECT count(*) AS c FROM t WHERE n <> i GROUP BY n ORDER BY 1 DESC LIMIT 2) x),
  (SELECT string_agg(c::text, ',' ORDER BY i, c) FROM generate_series(1, 3) i, LATERAL (SELECT count(*) AS c FROM h WHERE n <> i GROUP BY n ORDER BY 1 DESC LIMIT 2) x), 'rescans of the first groups');

-- The planner did not know: all groups come from an expression it has no statistics of.
SET work_mem = '128kB';
SET datahike.threads = 4;
SELECT matches(plan_of('SELECT (k + n) % 15000, count(*) FROM t GROUP BY 1'), 'Passes: \d+', 'passes');
SELECT is(digest('SELECT (k + n) % 15000, count(*) FROM t GROUP BY 1'), digest('SELECT (k + n) % 15000, count(*) FROM h GROUP BY 1'), 'in passes');
-- A rescan begins with the first of them again.
SELECT is((SELECT string_agg(c::text, ',') FROM generate_series(1, 2) i, LATERAL (SELECT count(*) AS c FROM (SELECT (k + n) % 15000 AS x, count(*) FROM t WHERE id > i GROUP BY 1) y) z),
  (SELECT string_agg(c::text, ',') FROM generate_series(1, 2) i, LATERAL (SELECT count(*) AS c FROM (SELECT (k + n) % 15000 AS x, count(*) FROM h WHERE id > i GROUP BY 1) y) z), 'rescans');
BEGIN;
DECLARE c SCROLL CURSOR FOR SELECT (k + n) % 15000, count(*) FROM t GROUP BY 1;
MOVE ALL FROM c;
SELECT is((SELECT count(*) FROM t), 40000::bigint, 'another query meanwhile');
COMMIT;

-- On a branch, with own changes.
SELECT datahike.create_branch('side') \g /dev/null
SET datahike.branch = 'side';
DELETE FROM t WHERE id % 3 = 0;
DELETE FROM h WHERE id % 3 = 0;
BEGIN;
INSERT INTO t SELECT id + 1000000, k + 100000, b, f, g, name || ' own', other, n FROM t WHERE id < 20000;
INSERT INTO h SELECT id + 1000000, k + 100000, b, f, g, name || ' own', other, n FROM h WHERE id < 20000;
SELECT same(query, '1MB') FROM queries WHERE id % 3 = 1;
COMMIT;

SELECT * FROM finish();
