-- Variances of integers and numerics, from exact sums, with PostgreSQL's digits; covariances and regressions of pairs.
SET datahike.vectorized_min_rows = 0;
SELECT * FROM no_plan();
SET jit = off;
SET max_parallel_workers_per_gather = 0;
SET enable_sort = off;
SET extra_float_digits = -5;
CREATE TABLE t (id int8, k int4, a int4, s int2, b int8, n numeric(12,4), w numeric(18,0), z numeric(6,6), f float8, g float4);
CREATE TABLE h (LIKE t) USING heap;
-- Groups of two and more rows of all magnitudes: their roots are rounded in every way.
INSERT INTO h SELECT i, i / 3, (i::int8 * 7919 % 100003 * (10 ^ (i / 3 % 5))::int8 % 2000000000)::int4, i % 300 - 100, i::int8 * i * (10 ^ (i / 3 % 10))::int8, CASE WHEN i % 50 = 0 THEN NULL ELSE (i::int8 * 104729 % 99999999) / 10000.0 * 10 ^ (i / 3 % 4)::numeric END,
  i::int8 * 99991 * (10 ^ (i / 3 % 8))::int8, i % 997 / 1000.0, i * 7919 % 10007 / 13.0, i % 17 / 4.0 FROM generate_series(1, 6000) i;
INSERT INTO h (id, k, a, s, b, n, w) VALUES (10001, -1, 2147483647, 32767, 9223372036854775807, 99999999.9999, 999999999999999999), (10002, -1, -2147483648, -32768, -9223372036854775808, -99999999.9999, -999999999999999999), (10003, -2, 5, 5, 5, 5, 5), (10004, -3, 7, 7, -9223372036854775808, 7, 7), (10005, -3, 7, 7, -9223372036854775808, 7, 7), (10006, -4, NULL, NULL, NULL, NULL, NULL);
INSERT INTO t SELECT * FROM h ORDER BY id;
SELECT pg_sleep(0.5) \g /dev/null
ANALYZE t; ANALYZE h;
\ir include/same_as_heap.inc
SELECT same(format('SELECT k, var_pop(%1$s), var_samp(%1$s), variance(%1$s), stddev_pop(%1$s), stddev_samp(%1$s), stddev(%1$s) FROM t GROUP BY k', c)) FROM unnest(ARRAY['a', 's', 'b', 'n', 'w', 'z']) c;
SELECT same(format('SELECT var_pop(%1$s), var_samp(%1$s), stddev_pop(%1$s), stddev(%1$s) FROM t WHERE id <> 3000', c)) FROM unnest(ARRAY['a', 's', 'b', 'n', 'w', 'z', 'a::int8 * 2 + s', 'n * 2', 'n - z']) c;
SELECT same(format('SELECT s, stddev(%1$s) FILTER (WHERE a > 50000), count(*), var_pop(%1$s) FROM t GROUP BY s', c)) FROM unnest(ARRAY['a', 'b', 'n']) c;
SELECT same('SELECT stddev(a), variance(b) FROM t WHERE id < 0');
SELECT same(format('SELECT k / 500, %s(f, g) FROM t GROUP BY 1', f)) FROM unnest(ARRAY['corr', 'covar_pop', 'covar_samp', 'regr_sxx', 'regr_syy', 'regr_sxy', 'regr_avgx', 'regr_avgy', 'regr_r2', 'regr_slope', 'regr_intercept']) f;
SELECT same(format('SELECT %1$s(f, a), %1$s(s, f), %1$s(s, 3) FROM t', f)) FROM unnest(ARRAY['corr', 'covar_pop', 'covar_samp', 'regr_sxx', 'regr_syy', 'regr_sxy', 'regr_avgx', 'regr_avgy', 'regr_r2', 'regr_slope', 'regr_intercept']) f;
SELECT same(format('SELECT k, %s(f, g) FROM t WHERE k < 1 GROUP BY k', f)) FROM unnest(ARRAY['corr', 'covar_pop', 'covar_samp', 'regr_sxx', 'regr_syy', 'regr_avgx', 'regr_r2', 'regr_slope', 'regr_intercept']) f;
UPDATE t SET n = 'NaN', f = 'Infinity' WHERE id % 1000 = 1; UPDATE h SET n = 'NaN', f = 'Infinity' WHERE id % 1000 = 1;
SELECT same('SELECT k / 100, stddev(n), var_pop(n), covar_pop(f, g), regr_slope(f, g) FROM t GROUP BY 1');
SELECT same('SELECT k, stddev(n), var_samp(n) FROM t GROUP BY 1');
-- What is PostgreSQL's own to compute.
SELECT same(query, false) FROM (VALUES ('SELECT stddev(n * w) FROM t'), ('SELECT regr_count(f, g) FROM t'), ('SELECT stddev(n::numeric / 3) FROM t')) q(query);
SELECT * FROM finish();
