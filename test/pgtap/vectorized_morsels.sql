-- Groups of tables of several morsels: the same rows in the same order, to the last digit, from one thread and several, and heap's answers.
SET datahike.vectorized_min_rows = 0;
SELECT * FROM no_plan();
SET jit = off;
SET max_parallel_workers_per_gather = 0;
SET work_mem = '64MB';
CREATE TABLE t (id int4, k int4, late int4, name text, zero float8, f float8, n int4, d numeric(8,2));
CREATE TABLE h (LIKE t) USING heap;
-- Some groups come late, some early only, some begin with another zero or NaN than they go on with.
INSERT INTO h SELECT i, CASE WHEN i % 1001 = 0 THEN NULL ELSE i::int8 * 7919 % 3000 END, i / 300, CASE WHEN i % 777 = 0 THEN NULL ELSE 'name ' || i % (1000 + i / 100) END,
    CASE WHEN i % 2000 < 2 THEN CASE WHEN i / 90000 % 2 = i % 2 THEN '-0'::float8 ELSE 0 END ELSE i % 2000 END,
    (i % 20011) / 8.1 - 1000, i % 11, CASE WHEN i % 5000 = 0 THEN 'NaN' ELSE i % 90000 / 100.0 END FROM generate_series(1, 200000) i;
INSERT INTO t SELECT * FROM h ORDER BY id;
SELECT pg_sleep(0.5) \g /dev/null
ANALYZE t; ANALYZE h;
CREATE FUNCTION plan_of(query text) RETURNS text LANGUAGE plpgsql AS $$ DECLARE line text; plan text := ''; BEGIN
  FOR line IN EXECUTE 'EXPLAIN (COSTS off) ' || query LOOP plan := plan || line || E'\n'; END LOOP; RETURN plan; END $$;
-- Of all rows, in their order.
CREATE FUNCTION digest(query text) RETURNS text LANGUAGE plpgsql AS $$ DECLARE r text; BEGIN
  EXECUTE format('SELECT count(*) || '' '' || md5(coalesce(string_agg(q::text, '',''), '''')) FROM (%s) q', query) INTO r; RETURN r; END $$;
CREATE FUNCTION sorted(query text) RETURNS text LANGUAGE plpgsql AS $$ DECLARE r text; BEGIN
  EXECUTE format('SELECT count(*) || '' '' || coalesce(sum(hashtextextended(q::text, 0)), 0) FROM (%s) q', query) INTO r; RETURN r; END $$;
CREATE FUNCTION same(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$ DECLARE one text; many text; BEGIN
  IF NOT plan_of(query) ~ 'Datahike (Aggregate|First Rows)' THEN RETURN NEXT fail(query || ' is not vectorized'); RETURN; END IF;
  SET LOCAL datahike.threads = 1;
  one := digest(query);
  SET LOCAL datahike.threads = 0;
  FOR i IN 1..3 LOOP
    many := digest(query);
    IF many <> one THEN RETURN NEXT is(many, one, query || ': threads'); RETURN; END IF;
  END LOOP;
  SET LOCAL extra_float_digits = -5;
  RETURN NEXT is(sorted(query), sorted(regexp_replace(query, '\mt\M', 'h', 'g')), query);
END $$;
SELECT same(query) FROM (VALUES
  ('SELECT k, count(*), sum(f), avg(f), sum(n), sum(d) FROM t GROUP BY k'),
  ('SELECT name, count(*), sum(f), max(k), min(f), max(f) FROM t GROUP BY name'),
  ('SELECT late, n, avg(f), count(*) FILTER (WHERE k > 500), sum(f) FILTER (WHERE f > 0) FROM t WHERE id < 190000 GROUP BY 1, 2'),
  ('SELECT zero, count(*), min(zero), max(zero) FROM t GROUP BY zero'),
  ('SELECT n, min(name), max(name), sum(f) FROM t GROUP BY n'),
  ('SELECT k % 1000, stddev(f), corr(f, id), var_pop(n) FROM t GROUP BY 1'),
  ('SELECT k, stddev(d), avg(d) FROM t GROUP BY k'),
  ('SELECT count(*), sum(f), stddev(f), min(name), max(f) FROM t'),
  ('SELECT name, n % 2, sum(f) FROM t GROUP BY 1, 2'),
  ('SELECT n, late % 1000 AS l, min(id), max(id) FROM t GROUP BY 1, 2'),
  -- Few different values are merged, several sums of integers share a word, and computed keys lie in steps.
  ('SELECT k, count(DISTINCT id % 2), sum(DISTINCT n % 2), sum(f) FROM t GROUP BY k'),
  ('SELECT name, count(DISTINCT k % 1), count(DISTINCT id % 2) FILTER (WHERE n > 5) FROM t GROUP BY name'),
  ('SELECT k - k % 60, sum(n), count(*), avg(n), sum(late), sum(f) FROM t GROUP BY 1'),
  ('SELECT late / 7 * 7 AS l, count(*), sum(n), sum(k), sum(id), avg(late) FROM t WHERE n <> 3 GROUP BY 1'),
  ('SELECT late, sum(n), sum(id), count(*), sum(n) FILTER (WHERE k > 100) FROM t GROUP BY 1'),
  ('SELECT id - id % 3, sum(n), count(*), sum(late) FROM t GROUP BY 1 HAVING count(*) < 3')) q(query);
-- Which of rows that are equal by the order are first depends on the table alone.
CREATE FUNCTION first_rows(threads int) RETURNS text LANGUAGE plpgsql AS $$ BEGIN
  PERFORM set_config('datahike.threads', threads::text, true);
  RETURN (SELECT count(*) || ' ' || sum(hashtextextended(x::text, 0)) FROM (SELECT id, k, r FROM (SELECT id, k, row_number() OVER (PARTITION BY k ORDER BY n DESC) r FROM t) x WHERE r <= 3) x);
END $$;
SELECT matches(plan_of('SELECT id, k, r FROM (SELECT id, k, row_number() OVER (PARTITION BY k ORDER BY n DESC) r FROM t) x WHERE r <= 3'), 'Datahike First Rows', 'first rows');
SELECT is(first_rows(0), first_rows(1), 'first rows: threads');
SELECT is(first_rows(0), (SELECT count(*) || ' ' || sum(hashtextextended(x::text, 0)) FROM (SELECT id, k, r FROM (SELECT id, k, row_number() OVER (PARTITION BY k ORDER BY n DESC, id) r FROM h) x WHERE r <= 3) x), 'those that come first');
-- Little memory: the same digits with any number of threads.
SET work_mem = '2MB';
SELECT same('SELECT k, sum(f), avg(f) FROM t GROUP BY k');
SET work_mem = '64kB';
SELECT is(sorted('SELECT k, count(*), max(name), sum(n) FROM t GROUP BY k'), sorted('SELECT k, count(*), max(name), sum(n) FROM h GROUP BY k'), 'in passes');
-- What is not finite in a morsel is computed row by row.
SET work_mem = '64MB';
UPDATE t SET f = 'Infinity' WHERE id = 150000;
UPDATE h SET f = 'Infinity' WHERE id = 150000;
SELECT same('SELECT k, sum(f), avg(f) FROM t GROUP BY k');
SELECT throws_ok('SELECT k, sum(f * 1e308) FROM t WHERE id <> 150000 GROUP BY k', '22003', NULL, 'an overflow');
SELECT throws_ok('SELECT k, sum(n / (id - 160000)) FROM t GROUP BY k', '22012', NULL, 'division by zero');
SELECT * FROM finish();
