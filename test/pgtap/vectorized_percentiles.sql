-- percentile_cont, percentile_disc and mode by column.
SET datahike.vectorized_min_rows = 0;
SELECT * FROM no_plan();
SET jit = off;
SET max_parallel_workers_per_gather = 0;
SET enable_sort = off;
CREATE TABLE t (id int8, k int4, c text, a int4, s int2, b int8, n numeric(12,4), f float8, g float4, d date, ts timestamp, tz timestamptz, q bool);
CREATE TABLE h (LIKE t) USING heap;
INSERT INTO h SELECT i, i * 7919 % 40, 'c' || i % 5, CASE WHEN i % 11 > 0 THEN i * 7919 % 1009 - 500 END, i % 300 - 100, i::int8 * i * 1000003 % 1000000007, CASE WHEN i % 50 > 0 THEN (i::int8 * 104729 % 99999) / 100.0 - 300 END,
  i * 7919 % 10007 / 13.0 - 100, i % 17 / 4.0 + 0.25, DATE '2020-01-01' + i % 97, TIMESTAMP '2020-01-01' + i % 1013 * INTERVAL '1 hour', TIMESTAMPTZ '2020-01-01' + i % 1013 * INTERVAL '1 hour', i % 3 = 0 FROM generate_series(1, 30000) i;
INSERT INTO h (id, k) VALUES (30001, 100), (30002, 100), (30003, 101);
INSERT INTO h (id, k, a, s, b, n, f, g, d, ts) VALUES (30004, 102, 2147483647, 32767, 9223372036854775807, 99999999.9999, 'Infinity', 'Infinity', 'infinity', 'infinity'), (30005, 102, -2147483648, -32768, -9223372036854775808, 'NaN', 'NaN', 'NaN', '-infinity', '-infinity'), (30006, 102, 5, 5, 5, 5, '-Infinity', 5, '2020-02-02', '2020-02-02'),
  (30007, 103, 1, 1, 1, 'NaN', 'NaN', 'NaN', NULL, NULL), (30008, 103, 1, 1, 1, 'NaN', 'NaN', 'NaN', NULL, NULL), (30009, 104, 1, 1, 1, 1, 'Infinity', 1, NULL, NULL), (30010, 104, 1, 1, 1, 1, 'Infinity', 1, NULL, NULL), (30011, 105, 1, 1, 1, 1, '-0', '-0', NULL, NULL);
INSERT INTO t SELECT * FROM h ORDER BY id;
SELECT pg_sleep(0.5) \g /dev/null
ANALYZE t; ANALYZE h;
\ir include/same_as_heap.inc
SELECT same(format('SELECT percentile_cont(%s) WITHIN GROUP (ORDER BY %s) FROM t', p, v)) FROM unnest(ARRAY['0.5', '0', '1', '0.123', '1.0/3', '0.999']) p, unnest(ARRAY['f', 'a', 's DESC', 'b', 'g', 'n', 'n DESC', 'a * 2 + s', 'f / 3 DESC', 'n * 2']) v;
SELECT same(format('SELECT k, percentile_cont(%s) WITHIN GROUP (ORDER BY %s) FROM t GROUP BY k', p, v)) FROM unnest(ARRAY['0.5', '0', '1', '0.123', '0.999']) p, unnest(ARRAY['f', 'a', 's DESC', 'b NULLS FIRST', 'g', 'n', 'n DESC', 'f / 3 DESC']) v;
SELECT same(format('SELECT k, percentile_disc(%s) WITHIN GROUP (ORDER BY %s) FROM t GROUP BY k', p, v)) FROM unnest(ARRAY['0.5', '0', '1', '0.123', '0.999']) p, unnest(ARRAY['f', 'a', 's', 'b DESC', 'g', 'n', 'n DESC', 'n + a', 'd', 'd DESC', 'ts', 'tz', 'q', 'q DESC', 'length(c)']) v;
SELECT same(format('SELECT percentile_disc(%s) WITHIN GROUP (ORDER BY %s), count(*) FROM t', p, v)) FROM unnest(ARRAY['0.5', '0', '1', '0.123']) p, unnest(ARRAY['f', 'a', 'b DESC', 'n', 'd DESC', 'ts', 'q']) v;
SELECT same(format('SELECT mode() WITHIN GROUP (ORDER BY %s) FROM t', v)) FROM unnest(ARRAY['f', 'a', 's', 'b DESC', 'g', 'n', 'n DESC', 'd', 'd DESC', 'ts', 'tz', 'q']) v;
SELECT same(format('SELECT k, c, mode() WITHIN GROUP (ORDER BY %s) FROM t GROUP BY k, c', v)) FROM unnest(ARRAY['f', 'a', 's', 'b DESC', 'g', 'n', 'n DESC', 'd', 'd DESC', 'ts', 'tz', 'q']) v;
-- Many groups, conditions, several on one value, other aggregates beside them, and above them.
SELECT same('SELECT id / 2, percentile_cont(0.5) WITHIN GROUP (ORDER BY f), mode() WITHIN GROUP (ORDER BY a DESC), sum(a) FROM t GROUP BY 1');
SELECT same('SELECT c, percentile_cont(0.25) WITHIN GROUP (ORDER BY f), percentile_cont(0.5) WITHIN GROUP (ORDER BY f), percentile_cont(0.75) WITHIN GROUP (ORDER BY f DESC), percentile_disc(0.9) WITHIN GROUP (ORDER BY f), mode() WITHIN GROUP (ORDER BY f), count(*), max(n), avg(a) FROM t WHERE id <= 30003 GROUP BY c');
SELECT same('SELECT c, percentile_cont(0.5) WITHIN GROUP (ORDER BY f) FILTER (WHERE a > 0), percentile_disc(0.5) WITHIN GROUP (ORDER BY d) FILTER (WHERE a > 1000), percentile_disc(0.5) WITHIN GROUP (ORDER BY d) FROM t WHERE n > 0 GROUP BY c');
SELECT same('SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY f), mode() WITHIN GROUP (ORDER BY a), percentile_disc(0.1) WITHIN GROUP (ORDER BY d) FROM t WHERE id < 0');
SELECT same('SELECT k, percentile_cont(0.5) WITHIN GROUP (ORDER BY f) FROM t WHERE id < 0 GROUP BY k');
SELECT same('SELECT k, round(percentile_cont(0.5) WITHIN GROUP (ORDER BY f)::numeric, 2) AS m FROM t WHERE id <= 30000 GROUP BY k HAVING percentile_disc(0.5) WITHIN GROUP (ORDER BY a) > 0');
SELECT same('SELECT c, percentile_cont(NULL) WITHIN GROUP (ORDER BY f), percentile_disc(NULL) WITHIN GROUP (ORDER BY a) FROM t GROUP BY c');
-- A fraction that is none is PostgreSQL's error, also where there are no values.
SELECT same(format('SELECT percentile_%s(%s) WITHIN GROUP (ORDER BY a) FROM t WHERE id < %s', k, p, i)) FROM unnest(ARRAY['cont', 'disc']) k, unnest(ARRAY['1.5', '-0.1', '''NaN''']) p, unnest(ARRAY[0, 100]) i;
SELECT throws_ok('SELECT percentile_cont(1.5) WITHIN GROUP (ORDER BY f) FROM t', '22003', 'percentile value 1.5 is not between 0 and 1');
-- Parameters, joins, rows that are not committed and of a branch.
PREPARE p(float8, int4) AS SELECT k, percentile_cont($1) WITHIN GROUP (ORDER BY f), percentile_disc($1) WITHIN GROUP (ORDER BY a / $2) FROM t GROUP BY k;
SET plan_cache_mode = force_generic_plan;
CREATE TEMP TABLE got AS EXECUTE p(0.3, 7);
SELECT bag_eq('SELECT * FROM got', 'SELECT k, percentile_cont(0.3) WITHIN GROUP (ORDER BY f), percentile_disc(0.3) WITHIN GROUP (ORDER BY a / 7) FROM h GROUP BY k');
SELECT throws_ok('EXECUTE p(2, 7)', '22003', 'percentile value 2 is not between 0 and 1');
RESET plan_cache_mode;
CREATE TABLE u (k int4, name text, w float8);
INSERT INTO u SELECT i, 'g' || i % 3, i / 7.0 FROM generate_series(0, 60) i;
ANALYZE u;
SELECT same('SELECT name, percentile_cont(0.5) WITHIN GROUP (ORDER BY f), percentile_disc(0.5) WITHIN GROUP (ORDER BY w) FROM t JOIN u USING (k) GROUP BY name');
SELECT same('SELECT name, mode() WITHIN GROUP (ORDER BY a), percentile_cont(0.9) WITHIN GROUP (ORDER BY w) FILTER (WHERE a > 3) FROM t LEFT JOIN u USING (k) GROUP BY name');
BEGIN;
DELETE FROM t WHERE id % 7 = 0; DELETE FROM h WHERE id % 7 = 0;
UPDATE t SET f = f + 1, a = NULL WHERE id % 5 = 0; UPDATE h SET f = f + 1, a = NULL WHERE id % 5 = 0;
SELECT same('SELECT k, percentile_cont(0.5) WITHIN GROUP (ORDER BY f), mode() WITHIN GROUP (ORDER BY a) FROM t GROUP BY k');
ROLLBACK;
-- Values beyond the memory: in several passes with keys; without them by PostgreSQL's executor.
SET work_mem = '64kB';
SELECT same('SELECT k, percentile_cont(0.5) WITHIN GROUP (ORDER BY f), count(*) FROM t WHERE id % 9 = 0 GROUP BY k');
SELECT same('SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY f) FROM t', false);
RESET work_mem;
-- What is PostgreSQL's own to compute.
SELECT same(query, false) FROM (VALUES ('SELECT percentile_cont(ARRAY[0.1, 0.5]) WITHIN GROUP (ORDER BY f) FROM t'), ('SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY c) FROM t'), ('SELECT mode() WITHIN GROUP (ORDER BY c) FROM t'),
  ('SELECT k, percentile_disc(k / 200.0) WITHIN GROUP (ORDER BY a) FROM t GROUP BY k'), ('SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY ts - TIMESTAMP ''2020-01-01'') FROM t WHERE id < 30004'), ('SELECT rank(5) WITHIN GROUP (ORDER BY a) FROM t')) q(query);
SELECT * FROM finish();
