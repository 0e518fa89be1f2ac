-- Window functions by column: heap's answers, row by row in heap's order, or by row where they would need too much memory.
SET datahike.vectorized_min_rows = 0;
SELECT * FROM no_plan();
SET jit = off;
SET max_parallel_workers_per_gather = 0;
SET client_min_messages = warning;
CREATE TABLE t (id int4, i2 int2, n int4, b int8, r float4, f float8, d numeric(8,2), w numeric(18,0), day date, ts timestamptz, s text, c char(3), v varchar(9), ok bool, late int4);
CREATE TABLE h (LIKE t) USING heap;
INSERT INTO h SELECT i, i % 5, CASE WHEN i % 13 = 0 THEN NULL ELSE i::int8 * 7919 % 1009 - 500 END, CASE WHEN i % 17 = 0 THEN NULL ELSE (i % 3) * 4000000000000000000 + i END,
    CASE i % 50 WHEN 1 THEN 'NaN' WHEN 2 THEN '-0' WHEN 3 THEN '0' WHEN 4 THEN 'Infinity' WHEN 5 THEN NULL ELSE i % 7 / 4.0 END,
    CASE i % 60 WHEN 1 THEN 'NaN' WHEN 2 THEN '-0' WHEN 3 THEN '0' WHEN 4 THEN '-Infinity' WHEN 5 THEN NULL ELSE i::int8 * 31 % 997 / 8.0 - 30 END,
    CASE i % 40 WHEN 1 THEN 'NaN' WHEN 2 THEN NULL ELSE i::int8 * 37 % 90001 / 100.0 - 400 END, CASE WHEN i % 9 = 0 THEN NULL ELSE 999999999999999999 - i % 4 END,
    CASE WHEN i % 31 = 0 THEN 'infinity' WHEN i % 37 = 0 THEN NULL ELSE DATE '2000-01-01' + i % 50 END, '2000-01-01 00:00+00'::timestamptz + i % 500 * INTERVAL '7 min',
    CASE WHEN i % 11 = 0 THEN NULL ELSE (ARRAY['', 'a', 'B', 'ab', 'é', 'Z'])[1 + i % 6] || i % 4 END, 'c' || i % 3, 'v' || i % 90, i % 3 = 0, NULL FROM generate_series(1, 6000) i;
INSERT INTO t SELECT * FROM h ORDER BY id;
SELECT pg_sleep(0.4) \g /dev/null
ANALYZE t; ANALYZE h;
CREATE FUNCTION plan_of(query text) RETURNS text LANGUAGE plpgsql AS $$ DECLARE line text; plan text := ''; BEGIN
  FOR line IN EXECUTE 'EXPLAIN (COSTS off) ' || query LOOP plan := plan || line || E'\n'; END LOOP; RETURN plan; END $$;
CREATE FUNCTION digest(query text) RETURNS text LANGUAGE plpgsql AS $$ DECLARE r text; BEGIN
  EXECUTE format('SELECT count(*) || '' '' || md5(coalesce(string_agg(q::text, '',''), '''')) FROM (%s) q', query) INTO r; RETURN r; END $$;
CREATE FUNCTION same(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$ BEGIN
  IF NOT plan_of(query) ~ 'Datahike Window' THEN RETURN NEXT fail(query || ' is not computed by column'); RETURN; END IF;
  RETURN NEXT is(digest(query), digest(regexp_replace(query, '\mt\M', 'h', 'g')), query);
END $$;
-- Of every window with the id last rows have one order alone.
SELECT same(format('SELECT id, %s FROM t WINDOW w AS (%s)', functions, of_window)) FROM (VALUES
  ('row_number() OVER w, rank() OVER w, dense_rank() OVER w, n, s'),
  ('percent_rank() OVER w, cume_dist() OVER w, ntile(1) OVER w, ntile(4) OVER w, ntile(7000) OVER w, nth_value(n, 1) OVER w, nth_value(s, 3) OVER w, nth_value(d, 99) OVER w'),
  ('lag(n) OVER w, lead(n) OVER w, lag(n, 3) OVER w, lead(n, 2, -7) OVER w, lag(s) OVER w, lead(s, 1, ''none''::text) OVER w, lag(c) OVER w'),
  ('lag(f, 0) OVER w, lag(f, -2) OVER w, lead(d, 5, 1.5::numeric) OVER w, lag(r) OVER w, lag(day, 1, DATE ''1999-01-01'') OVER w, lead(ok) OVER w, lag(b) OVER w, lead(v) OVER w, lag(ts) OVER w'),
  ('first_value(n) OVER w, last_value(n) OVER w, first_value(s) OVER w, last_value(d) OVER w, first_value(f) OVER w, last_value(r) OVER w'),
  ('sum(n) OVER w, sum(i2) OVER w, sum(b) OVER w, sum(d) OVER w, sum(w) OVER w, sum(late) OVER w'),
  ('avg(n) OVER w, avg(i2) OVER w, avg(b) OVER w, avg(d) OVER w, avg(w) OVER w, avg(late) OVER w'),
  ('min(n) OVER w, max(n) OVER w, min(b) OVER w, max(d) OVER w, min(d) OVER w, min(day) OVER w, max(day) OVER w, max(ts) OVER w, max(late) OVER w'),
  ('min(f) OVER w, max(f) OVER w, min(r) OVER w, max(r) OVER w'),
  ('count(*) OVER w, count(n) OVER w, count(s) OVER w, count(f) OVER w, count(1) OVER w'),
  ('sum(n + 1) OVER w, sum(n * i2) OVER w, avg(b / 3) OVER w, sum(n::float8) OVER w, lag(n % 7) OVER w, max(length(s)) OVER w, sum(d * 2) OVER w, lag(d + d) OVER w')) f(functions), (VALUES
  ('PARTITION BY i2 ORDER BY n, id'), ('ORDER BY s DESC, id DESC'), ('PARTITION BY s, ok ORDER BY f DESC NULLS LAST, id'),
  ('PARTITION BY day ORDER BY d NULLS FIRST, id ROWS UNBOUNDED PRECEDING'), ('PARTITION BY f ORDER BY id ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING'),
  ('PARTITION BY r, c ORDER BY ts, id RANGE BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING'), ('ORDER BY b DESC, id')) o(of_window) WHERE NOT of_window ~ 'c ORDER';
SELECT same('SELECT id, sum(n) OVER w, count(*) OVER w, last_value(id) OVER w, first_value(s) OVER w FROM t WINDOW w AS (PARTITION BY r ORDER BY ts, id GROUPS UNBOUNDED PRECEDING)');
SELECT same('SELECT id, row_number() OVER w, v FROM t WINDOW w AS (ORDER BY id)');
-- Frames whose ends are so many rows away.
SELECT same(format('SELECT id, %s FROM t WINDOW w AS (%s %s)', functions, of_window, frame)) FROM (VALUES
  ('sum(n) OVER w, sum(b) OVER w, sum(d) OVER w, avg(n) OVER w, avg(d) OVER w, avg(w) OVER w, count(*) OVER w, count(s) OVER w'),
  ('sum(f) OVER w, sum(r) OVER w, avg(f) OVER w, avg(r) OVER w, min(f) OVER w, max(f) OVER w, min(r) OVER w, max(r) OVER w'),
  ('min(n) OVER w, max(n) OVER w, min(d) OVER w, max(d) OVER w, max(day) OVER w, min(ts) OVER w, sum(late) OVER w, min(late) OVER w'),
  ('first_value(n) OVER w, last_value(d) OVER w, nth_value(s, 2) OVER w, nth_value(f, 1) OVER w, last_value(s) OVER w, lag(n) OVER w, row_number() OVER w, rank() OVER w')) q(functions), (VALUES
  ('PARTITION BY i2 ORDER BY n, id'), ('ORDER BY id DESC'), ('PARTITION BY day, ok ORDER BY id')) o(of_window), (VALUES
  ('ROWS 3 PRECEDING'), ('ROWS BETWEEN 2 PRECEDING AND 2 FOLLOWING'), ('ROWS BETWEEN CURRENT ROW AND 4 FOLLOWING'), ('ROWS BETWEEN 5 PRECEDING AND 2 PRECEDING'), ('ROWS BETWEEN 1 FOLLOWING AND 6 FOLLOWING'),
  ('ROWS BETWEEN 2 FOLLOWING AND 1 FOLLOWING'), ('ROWS BETWEEN 2 PRECEDING AND 3 PRECEDING'), ('ROWS BETWEEN UNBOUNDED PRECEDING AND 2 PRECEDING'), ('ROWS BETWEEN UNBOUNDED PRECEDING AND 3 FOLLOWING'), ('ROWS BETWEEN CURRENT ROW AND CURRENT ROW'),
  ('ROWS BETWEEN 0 PRECEDING AND 0 FOLLOWING'), ('ROWS BETWEEN 1000000 PRECEDING AND 1 FOLLOWING')) e(frame);
SELECT same(format('SELECT id, sum(n) OVER w, sum(f) OVER w, max(n) OVER w, count(n) OVER w, first_value(s) OVER w FROM t WHERE id < 900 WINDOW w AS (PARTITION BY i2 ORDER BY n, id %s)', frame)) FROM (VALUES
  ('ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING'), ('ROWS BETWEEN 40 PRECEDING AND UNBOUNDED FOLLOWING'), ('ROWS BETWEEN 3 FOLLOWING AND UNBOUNDED FOLLOWING'), ('RANGE BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING'), ('GROUPS BETWEEN CURRENT ROW AND CURRENT ROW'), ('RANGE CURRENT ROW')) e(frame);
SELECT throws_ok('SELECT sum(n) OVER (ORDER BY id ROWS -1 PRECEDING) FROM t', '22013', NULL, 'heap''s error of an offset');
SELECT throws_ok('SELECT sum(n) OVER (ORDER BY id ROWS NULL PRECEDING) FROM t', '22004', NULL, 'and of no offset');
-- FILTER.
SELECT same(format('SELECT id, sum(n) FILTER (WHERE i2 > 1) OVER w, count(*) FILTER (WHERE s = ''a1'' OR n > 100) OVER w, avg(d) FILTER (WHERE ok) OVER w, max(f) FILTER (WHERE f <> ''NaN'') OVER w, count(s) FILTER (WHERE late IS NULL) OVER w, min(b) FILTER (WHERE false) OVER w, sum(f) FILTER (WHERE NOT ok) OVER w, count(*) FILTER (WHERE i2 > 1) OVER w FROM t WINDOW w AS (%s)', of_window)) FROM (VALUES
  ('PARTITION BY i2, ok ORDER BY n, id'), ('ORDER BY id ROWS BETWEEN 3 PRECEDING AND 2 FOLLOWING'), ('PARTITION BY day ORDER BY id ROWS UNBOUNDED PRECEDING'), ('PARTITION BY r ORDER BY id ROWS BETWEEN 3 FOLLOWING AND 5 FOLLOWING')) o(of_window);
SELECT same('SELECT id, sum(100 / n) FILTER (WHERE n <> 0) OVER (ORDER BY id) FROM t WHERE id < 500');  -- arguments of rows that do not count
-- Several windows: each is sorted for, and rows come in the order of PostgreSQL's last one.
SELECT same(format('SELECT id, %s FROM t WINDOW u AS (%s), v AS (%s), w AS (%s)', functions, a, b, c)) FROM (VALUES
  ('row_number() OVER u, rank() OVER v, dense_rank() OVER w, n, s'), ('sum(n) OVER u, sum(b) OVER v, avg(d) OVER u, sum(d) OVER w, avg(f) OVER v, sum(f) OVER w'),
  ('lag(s) OVER u, lead(c) OVER v, lag(d) OVER u, first_value(w) OVER v, last_value(f) OVER v, lag(ok) OVER u, lead(i2, 1, 7::int2) OVER v, lag(d, 1, 2.50) OVER v, lag(s, 1, ''x''::text) OVER u, lag(n) OVER w'),
  ('count(*) FILTER (WHERE ok) OVER u, count(s) OVER v, min(d) OVER u, max(d) OVER v, percent_rank() OVER u, cume_dist() OVER v, ntile(7) OVER u, nth_value(d, 2) OVER v, sum(late) OVER u, sum(b) OVER w')) q(functions), (VALUES
  ('PARTITION BY i2 ORDER BY n, id', 'ORDER BY id DESC', 'PARTITION BY s, ok ORDER BY id'), ('ORDER BY id', 'PARTITION BY i2 ORDER BY id', 'PARTITION BY i2, ok ORDER BY id ROWS 2 PRECEDING'),
  ('PARTITION BY i2 ORDER BY id', 'PARTITION BY i2 ORDER BY id ROWS BETWEEN 3 PRECEDING AND 1 FOLLOWING', 'PARTITION BY i2 ORDER BY id DESC'), ('PARTITION BY f ORDER BY d, id', 'PARTITION BY day ORDER BY d, id ROWS 4 PRECEDING', 'ORDER BY s DESC, id')) o(a, b, c);
SELECT same('SELECT id, sum(n) OVER (PARTITION BY i2 ORDER BY id) + count(*) OVER (PARTITION BY ok), n - lag(n) OVER (ORDER BY id), avg(sum) OVER (PARTITION BY ok ORDER BY id) FROM (SELECT *, n + 1 AS sum FROM t WHERE id > 100) q');
SELECT same('SELECT * FROM (SELECT id, i2, n, row_number() OVER (PARTITION BY i2 ORDER BY n, id) x, row_number() OVER (ORDER BY n, id) y FROM t) q WHERE x < y AND i2 > 0 ORDER BY i2, x');
SELECT same('SELECT id, sum(n) OVER (PARTITION BY i2), avg(n) OVER (PARTITION BY ok), count(*) OVER () FROM t WHERE id < 0 ORDER BY id');
SELECT matches(plan_of('SELECT rank() OVER (PARTITION BY i2, s ORDER BY d DESC, n NULLS FIRST), sum(n) OVER (ORDER BY id), count(*) OVER () FROM t'), 'Windows: \(ORDER BY id\), \(PARTITION BY i2, s ORDER BY d DESC, n NULLS FIRST\), \(\)', 'EXPLAIN of several');
-- Rows that are equal by the order: what does not depend on which comes first.
CREATE FUNCTION same_set(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$ BEGIN
  IF NOT plan_of(query) ~ 'Datahike Window' THEN RETURN NEXT fail(query || ' is not computed by column'); RETURN; END IF;
  RETURN NEXT is(digest(format('SELECT * FROM (%s) x ORDER BY 1', query)), digest(format('SELECT * FROM (%s) x ORDER BY 1', regexp_replace(query, '\mt\M', 'h', 'g'))), query);
END $$;
SELECT same_set(format('SELECT id, %s FROM t WINDOW w AS (%s)', functions, of_window)) FROM (VALUES
  ('rank() OVER w, dense_rank() OVER w, percent_rank() OVER w, cume_dist() OVER w, count(*) OVER w, count(d) OVER w, sum(n) OVER w, sum(d) OVER w, avg(b) OVER w, min(f) OVER w = max(f) OVER w, max(day) OVER w, min(w) OVER w')) f(functions), (VALUES
  ('PARTITION BY i2 ORDER BY n'), ('PARTITION BY f'), ('ORDER BY r'), ('ORDER BY f DESC'), (''), ('PARTITION BY s ORDER BY day DESC NULLS LAST, ok'), ('PARTITION BY d ORDER BY s'), ('ORDER BY late'), ('PARTITION BY late, i2 ORDER BY i2')) o(of_window);
-- Windows of expressions, which are computed once: with a sort above as well.
SELECT same('SELECT id, n, n % 7, sum(n) OVER w, lag(n % 7) OVER w, d * 2 FROM t WINDOW w AS (PARTITION BY n % 7, d * 2 ORDER BY b / 3, f * 2, id)');
SELECT same('SELECT id, row_number() OVER w FROM t WINDOW w AS (PARTITION BY n % 7 ORDER BY (b - n) DESC, id)');
SELECT same('SELECT n % 7 + 1, row_number() OVER w FROM t WINDOW w AS (PARTITION BY n % 7 ORDER BY id) ORDER BY id');
-- Conditions, expressions of functions, what is above.
SELECT same('SELECT id, n - lag(n) OVER w AS change, row_number() OVER w || s FROM t WHERE n > 0 AND s <> ''a1'' AND d < 300 WINDOW w AS (PARTITION BY i2 ORDER BY id)');
SELECT same('SELECT * FROM (SELECT id, i2, sum(n) OVER (PARTITION BY i2 ORDER BY id) x FROM t WHERE id BETWEEN 500 AND 5000) q WHERE x > 0 ORDER BY id');
SELECT same('SELECT i2, max(x), count(*) FROM (SELECT i2, n - lag(n, 1, 0) OVER (PARTITION BY i2 ORDER BY id) x FROM t) q GROUP BY 1 ORDER BY 1');
SELECT same('SELECT id, rank() OVER (ORDER BY n, id) FROM t WHERE id < 0');
SELECT same('SELECT id, row_number() OVER (ORDER BY n, id) FROM t ORDER BY n, id LIMIT 20');
SELECT same('SELECT h2.id, q.x FROM h h2 JOIN LATERAL (SELECT max(x) x FROM (SELECT sum(n) OVER (ORDER BY id) x FROM t WHERE i2 = h2.i2 AND id < 100) y) q ON true WHERE h2.id < 9 ORDER BY 1');
-- Whether the order is that which was asked for, without a sort above.
SELECT doesnt_match(plan_of('SELECT id, row_number() OVER (PARTITION BY i2 ORDER BY n, id) FROM t ORDER BY i2, n, id'), 'Sort.*Datahike Window', 'no sort above');
SELECT same('SELECT id, row_number() OVER (PARTITION BY i2 ORDER BY n, id) FROM t ORDER BY i2, n, id');
-- Nor is one left out that an index makes needless for PostgreSQL's plan alone.
CREATE INDEX by_more ON t (i2, n, id DESC);
SET enable_sort = off;
SELECT is(digest('SELECT id, rank() OVER (PARTITION BY i2 ORDER BY n) FROM t ORDER BY i2, n, id DESC'), digest('SELECT id, rank() OVER (PARTITION BY i2 ORDER BY n) FROM h ORDER BY i2, n, id DESC'), 'a longer order above');
RESET enable_sort;
SET enable_seqscan = off;
SELECT is(digest('SELECT id, rank() OVER (PARTITION BY i2 ORDER BY n) FROM t ORDER BY i2, n, id DESC'), digest('SELECT id, rank() OVER (PARTITION BY i2 ORDER BY n) FROM h ORDER BY i2, n, id DESC'), 'and without sequential scans');
RESET enable_seqscan;
DROP INDEX by_more;
-- What is not computed by column.
SELECT is((SELECT count(*) FROM (VALUES ('sum(n) OVER (ORDER BY id RANGE 3 PRECEDING)'), ('sum(n) OVER (ORDER BY id GROUPS 3 PRECEDING)'), ('sum(n) OVER (ORDER BY id ROWS 2000000000 PRECEDING)'), ('sum(n) FILTER (WHERE s ~ ''a'') OVER (ORDER BY id)'), ('ntile(i2) OVER (ORDER BY id)'), ('ntile(0) OVER (ORDER BY id)'), ('nth_value(n, i2) OVER (ORDER BY id)'), ('lag(n, i2) OVER (ORDER BY id)'), ('lag(n, 1, i2) OVER (ORDER BY id)'),
    ('lag(n, NULL) OVER (ORDER BY id)'), ('sum(n) OVER (ORDER BY id RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW EXCLUDE TIES)'), ('row_number() OVER (ORDER BY id), row_number() OVER (ORDER BY c)'), ('row_number() OVER (ORDER BY id), sum(n) OVER (ORDER BY n RANGE 1 PRECEDING)'), ('row_number() OVER (ORDER BY s COLLATE "en-x-icu")'),
    ('row_number() OVER (ORDER BY c)'), ('max(s) OVER (ORDER BY id)'), ('sum(random()) OVER (ORDER BY id)'), ('sum(extract(year FROM ts)) OVER (ORDER BY id)')) q(f) WHERE plan_of('SELECT id, ' || f || ' FROM t') ~ 'Datahike Window'), 0::bigint, 'PostgreSQL''s');
SELECT is(digest('SELECT id, sum(n) OVER (ORDER BY id RANGE 3 PRECEDING), row_number() OVER (PARTITION BY c ORDER BY s COLLATE "en-x-icu", id) FROM t'), digest('SELECT id, sum(n) OVER (ORDER BY id RANGE 3 PRECEDING), row_number() OVER (PARTITION BY c ORDER BY s COLLATE "en-x-icu", id) FROM h'), 'and its answers');
-- Errors are those of the executor.
SELECT throws_ok('SELECT sum(x) OVER (ORDER BY id) FROM (SELECT id, 1e308::float8 * i2 AS x FROM t OFFSET 0) q', '22003', NULL, 'heap''s');
UPDATE t SET f = 1.5e308 WHERE id IN (10, 20); UPDATE h SET f = 1.5e308 WHERE id IN (10, 20);
SELECT pg_sleep(0.2) \g /dev/null
SELECT matches(plan_of('SELECT sum(f) OVER (PARTITION BY i2 ORDER BY id) FROM t WHERE f < 1.7e308 AND f > -1'), 'Datahike Window', 'sums that overflow');
SELECT throws_ok('SELECT sum(f) OVER (PARTITION BY i2 ORDER BY id) FROM t WHERE f < 1.7e308 AND f > -1', '22003', 'value out of range: overflow', 'sum');
SELECT throws_ok('SELECT avg(f) OVER (PARTITION BY i2 ORDER BY id) FROM t WHERE f < 1.7e308 AND f > -1', '22003', 'value out of range: overflow', 'average');
SELECT throws_ok('SELECT sum(f) OVER (PARTITION BY i2 ORDER BY id) FROM h WHERE f < 1.7e308 AND f > -1', '22003', 'value out of range: overflow', 'heap');
SELECT throws_ok('SELECT count(*) OVER (PARTITION BY 5 / (n - 500)) FROM t', '22012', 'division by zero', 'in a key');
SELECT throws_ok('SELECT lag(n / i2) OVER (ORDER BY id) FROM t', '22012', 'division by zero', 'division');
SELECT throws_ok('SELECT sum(n * 2000000000) OVER (ORDER BY id) FROM t', '22003', 'integer out of range', 'integers');
-- Where not all rows are wanted, PostgreSQL computes arguments only as far as the frames of those go that are: where one fails, its plan takes over.
CREATE FUNCTION first_of(query text) RETURNS text LANGUAGE plpgsql AS $$ DECLARE r record; BEGIN
  FOR r IN EXECUTE query LOOP RETURN r::text; END LOOP; END $$;
SELECT is(first_of('SELECT id, lag(100 / (id - 500)) OVER (ORDER BY id) FROM t WHERE id > 0'), '(1,)', 'a loop that ends early');
SELECT is(first_of('SELECT id, sum(1000 / (id - 501)) OVER (ORDER BY id) FROM t WHERE id > 0'), '(1,-2)', 'with a running sum');
SELECT ok(EXISTS (SELECT sum(100 / (id - 5)) OVER (ORDER BY id) FROM t WHERE id > 0 OFFSET 0), 'EXISTS');
SELECT ok(NOT EXISTS (SELECT FROM h WHERE h.id < 3 AND h.id NOT IN (SELECT id FROM (SELECT id, sum(100 / (id - 5)) OVER (ORDER BY id) AS x FROM t WHERE id > 0 LIMIT 3) q)), 'IN');
SELECT is(first_of('SELECT id, sum(f) OVER (PARTITION BY i2 ORDER BY id DESC), sum(f) OVER (PARTITION BY i2 ORDER BY id DESC ROWS UNBOUNDED PRECEDING) FROM t WHERE f < 1.7e308 AND f > -1'), first_of('SELECT id, sum(f) OVER (PARTITION BY i2 ORDER BY id DESC), sum(f) OVER (PARTITION BY i2 ORDER BY id DESC ROWS UNBOUNDED PRECEDING) FROM h WHERE f < 1.7e308 AND f > -1'), 'a sum that overflows far behind the first row, of the first of two windows');
SELECT results_eq('SELECT id, lag(100 / (id - 5)) OVER (ORDER BY id) FROM t WHERE id > 0 LIMIT 2', 'VALUES (1, NULL), (2, -25)', 'an argument that fails behind the LIMIT');
SELECT results_eq('SELECT id, sum(100 / (id - 5)) OVER (ORDER BY id) FROM t WHERE id > 0 LIMIT 2', 'VALUES (1, -25::int8), (2, -58)', 'and of a running sum');
SELECT results_eq('SELECT q.id, x FROM (SELECT id, lag(100 / (id - 5)) OVER (ORDER BY id) FROM t WHERE id > 0) q CROSS JOIN generate_series(1, 2) x LIMIT 1', 'VALUES (1, 1)', 'within a query with a LIMIT');
SELECT throws_ok('SELECT id, sum(100 / (id - 5)) OVER (ORDER BY id) FROM t WHERE id > 0 LIMIT 5', '22012', NULL, 'within it');
SELECT is(digest('SELECT id, first_value(100 / (id - 20)) OVER (PARTITION BY i2 ORDER BY id), lead(100 / (id - 1)) OVER (PARTITION BY i2 ORDER BY id) FROM t WHERE id BETWEEN 1 AND 30'), digest('SELECT id, first_value(100 / (id - 20)) OVER (PARTITION BY i2 ORDER BY id), lead(100 / (id - 1)) OVER (PARTITION BY i2 ORDER BY id) FROM h WHERE id BETWEEN 1 AND 30'), 'arguments of rows that no row returns');
SELECT matches(plan_of('SELECT id, lag(100 / n) OVER (PARTITION BY n % 7 ORDER BY id) FROM t WHERE id > 0 LIMIT 2'), 'Datahike Window', 'by column nevertheless');
-- More rows than the memory holds, which the planner did not expect: by row, the same answers.
CREATE FUNCTION strategy(query text) RETURNS text LANGUAGE plpgsql AS $$ DECLARE line text; found text; BEGIN
  FOR line IN EXECUTE 'EXPLAIN (ANALYZE, COSTS off, TIMING off, SUMMARY off) ' || query LOOP IF line ~ 'Strategy' THEN found := trim(line); END IF; END LOOP; RETURN found; END $$;
SELECT is(strategy('SELECT id, sum(n) OVER (ORDER BY id) FROM t'), 'Strategy: by column', 'by column');
SELECT is(strategy('SELECT id, first_value(100 / (id - 20)) OVER (PARTITION BY i2 ORDER BY id) FROM t WHERE id BETWEEN 1 AND 30'), 'Strategy: by row, for an error', 'by row');
SET work_mem = '64kB'; SET hash_mem_multiplier = 1;
SELECT doesnt_match(plan_of('SELECT id, sum(n) OVER (ORDER BY id) FROM t'), 'Datahike Window', 'too many rows by estimate');
SELECT is(strategy('SELECT id, sum(n) OVER (ORDER BY id) FROM t WHERE i2 < 5 AND i2 >= 0 AND n > -600 AND id < 100000 AND day > ''1990-01-01'' AND ts > ''1990-01-01'' AND length(s) < 9 AND length(s) > 0 AND length(s) <> 7 AND length(s) <> 8 AND n <> 7000 AND id <> -5 AND i2 <> 9 AND b <> 3 AND b > -4 AND n * 2 < 90000 AND n + i2 < 9999 AND id + 1 > 0 AND id * 3 > 0'), 'Strategy: by row, beyond the memory', 'by row');
SELECT same('SELECT id, sum(n) OVER (ORDER BY n, id), sum(d) OVER (ORDER BY id), d FROM t WHERE i2 < 5 AND i2 >= 0 AND n > -600 AND id < 100000 AND day > ''1990-01-01'' AND ts > ''1990-01-01'' AND length(s) < 9 AND length(s) > 0 AND length(s) <> 7 AND length(s) <> 8 AND n <> 7000 AND id <> -5 AND i2 <> 9 AND b <> 3 AND b > -4 AND n * 2 < 90000 AND n + i2 < 9999 AND id + 1 > 0 AND id * 3 > 0');
SELECT same('SELECT id, sum(n) OVER (ORDER BY id), lag(s) OVER (ORDER BY id), d FROM t WHERE i2 < 5 AND i2 >= 0 AND n > -600 AND id < 100000 AND day > ''1990-01-01'' AND ts > ''1990-01-01'' AND length(s) < 9 AND length(s) > 0 AND length(s) <> 7 AND length(s) <> 8 AND n <> 7000 AND id <> -5 AND i2 <> 9 AND b <> 3 AND b > -4 AND n * 2 < 90000 AND n + i2 < 9999 AND id + 1 > 0 AND id * 3 > 0');
RESET work_mem; RESET hash_mem_multiplier;
-- Prepared, with parameters that change between executions; a cursor that goes back; a table that has changed.
PREPARE p(int) AS SELECT sum(x) FROM (SELECT row_number() OVER (ORDER BY n DESC, id) * n AS x FROM t WHERE id < $1) q;
SET plan_cache_mode = force_generic_plan;
CREATE TEMP TABLE results (k int, x numeric) USING heap;
EXECUTE p(100) \gset first_
EXECUTE p(3000) \gset second_
SELECT is(:first_sum::numeric, (SELECT sum(x) FROM (SELECT row_number() OVER (ORDER BY n DESC, id) * n AS x FROM h WHERE id < 100) q), 'prepared');
SELECT is(:second_sum::numeric, (SELECT sum(x) FROM (SELECT row_number() OVER (ORDER BY n DESC, id) * n AS x FROM h WHERE id < 3000) q), 'with another parameter');
PREPARE filtered(int) AS SELECT sum(x + y) FROM (SELECT count(*) FILTER (WHERE n > $1) OVER (ORDER BY id ROWS 5 PRECEDING) AS x, sum(n) FILTER (WHERE n < $1) OVER (PARTITION BY i2) AS y FROM t) q;
EXECUTE filtered(10) \gset first_
EXECUTE filtered(-100) \gset second_
SELECT is(:first_sum::numeric, (SELECT sum(x + y) FROM (SELECT count(*) FILTER (WHERE n > 10) OVER (ORDER BY id ROWS 5 PRECEDING) AS x, sum(n) FILTER (WHERE n < 10) OVER (PARTITION BY i2) AS y FROM h) q), 'prepared, with FILTER');
SELECT is(:second_sum::numeric, (SELECT sum(x + y) FROM (SELECT count(*) FILTER (WHERE n > -100) OVER (ORDER BY id ROWS 5 PRECEDING) AS x, sum(n) FILTER (WHERE n < -100) OVER (PARTITION BY i2) AS y FROM h) q), 'with another parameter');
RESET plan_cache_mode;
BEGIN;
DECLARE back SCROLL CURSOR FOR SELECT id, row_number() OVER (ORDER BY id DESC) FROM t;
FETCH 3 FROM back \g /dev/null
FETCH BACKWARD 1 FROM back \gset back_
SELECT is(:back_row_number::int, 2, 'a cursor goes back');
COMMIT;
BEGIN;
DELETE FROM t WHERE id % 10 = 0; DELETE FROM h WHERE id % 10 = 0; INSERT INTO t (id, n) VALUES (-1, 5); INSERT INTO h (id, n) VALUES (-1, 5);
SELECT same('SELECT id, sum(n) OVER (PARTITION BY i2 ORDER BY id), lag(s) OVER (PARTITION BY i2 ORDER BY id) FROM t');
ROLLBACK;
ALTER TABLE t ADD COLUMN more int4 DEFAULT 5; ALTER TABLE h ADD COLUMN more int4 DEFAULT 5;
SELECT same('SELECT id, sum(more) OVER (PARTITION BY more, i2 ORDER BY id) FROM t');
SELECT datahike.create_branch('other') \g /dev/null
SET datahike.branch = 'other';
DELETE FROM t WHERE id % 3 = 0;
SELECT is(digest('SELECT id, sum(n) OVER (PARTITION BY i2 ORDER BY id) FROM t'), digest('SELECT id, sum(n) OVER (PARTITION BY i2 ORDER BY id) FROM h WHERE id % 3 <> 0'), 'on a branch');
RESET datahike.branch;
-- Who may not execute the function.
REVOKE EXECUTE ON FUNCTION rank() FROM PUBLIC;
CREATE ROLE tap_window;
GRANT SELECT ON t TO tap_window;
SET ROLE tap_window;
SELECT throws_ok('SELECT rank() OVER (ORDER BY id) FROM t', '42501', NULL, 'privileges');
RESET ROLE;
GRANT EXECUTE ON FUNCTION rank() TO PUBLIC;
SELECT matches(plan_of('SELECT rank() OVER (PARTITION BY i2, s ORDER BY d DESC, n NULLS FIRST) FROM t WHERE id > 5'), 'Partition Key: i2, s.*Order By: d DESC, n NULLS FIRST.*Scan Filter: \(id > 5\)', 'EXPLAIN');
SELECT * FROM finish();
