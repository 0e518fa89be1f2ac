-- min and max of text, and sums of different values, by column: what PostgreSQL's executor gives on heap.
SET datahike.vectorized_min_rows = 0;
SELECT * FROM no_plan();
SET jit = off;
SET max_parallel_workers_per_gather = 0;
SET enable_sort = off; SET cpu_tuple_cost = 1000;
SET extra_float_digits = -5;
CREATE COLLATION loose (provider = icu, locale = 'und-u-ks-level1', deterministic = false);
CREATE TABLE t (id int8, k int4, a int4, s int2, b int8, n numeric(12,4), name text, code varchar(20), c text COLLATE "C", i text COLLATE "en-x-icu", l text COLLATE loose);
CREATE TABLE h (LIKE t) USING heap;
INSERT INTO h SELECT i, i % 37, i * 7919 % 1009, i % 77 - 30, (i % 100 - 50) * 92233720368547758, CASE WHEN i % 50 = 0 THEN NULL ELSE (i % 999) / 100.0 END, x, x, x, x, x
  FROM (SELECT i, CASE WHEN i % 13 = 0 THEN NULL WHEN i % 7 = 0 THEN (ARRAY['', 'a', 'A', 'ä', 'Z', 'z', 'ab', 'a b', 'éa', 'E'])[1 + i % 10] ELSE (ARRAY['x', 'X', 'ß', 'o', 'Ö'])[1 + i % 5] || i * 31 % 4999 END x FROM generate_series(1, 6000) i) y;
INSERT INTO t SELECT * FROM h ORDER BY id;
SELECT pg_sleep(0.5) \g /dev/null
ANALYZE t; ANALYZE h;
\ir include/same_as_heap.inc
CREATE TABLE queries (id serial, query text);
INSERT INTO queries (query) VALUES ('SELECT min(name), max(name), min(code), max(code), min(c), max(c), min(i), max(i) FROM t'), ('SELECT k, min(name), max(code), min(c), max(c), min(i), max(i), count(DISTINCT i) FROM t GROUP BY k'),
  ('SELECT name, min(c), max(i), max(name) FROM t GROUP BY name'), ('SELECT a, min(c), max(i) FROM t GROUP BY a'), ('SELECT min(c) FILTER (WHERE k > 5 AND c > ''''), max(i) FILTER (WHERE k = 3) FROM t'),
  ('SELECT min(c) FILTER (WHERE a > 500), max(i) FILTER (WHERE k = 3), max(name) FROM t WHERE b >= 0'), ('SELECT min(c), max(i) FROM t WHERE id < 0'), ('SELECT s, min(c), max(i) FROM t WHERE id % 13 = 0 GROUP BY s'), ('SELECT min(name COLLATE "C"), max(name COLLATE "en-x-icu"), max(c COLLATE "de-x-icu") FROM t'),
  ('SELECT max(DISTINCT c), min(DISTINCT i) FROM t'), ('SELECT k, max(c) FROM t GROUP BY k HAVING max(i) > ''x'' ORDER BY 2, 1 LIMIT 5'),
  ('SELECT sum(DISTINCT a), avg(DISTINCT a), sum(DISTINCT s), avg(DISTINCT s), sum(DISTINCT b), avg(DISTINCT b), sum(DISTINCT n), avg(DISTINCT n) FROM t'), ('SELECT k, sum(DISTINCT a), avg(DISTINCT s), sum(DISTINCT b), avg(DISTINCT n), count(DISTINCT n), sum(n) FROM t GROUP BY k'),
  ('SELECT name, sum(DISTINCT a), sum(DISTINCT n) FROM t GROUP BY name'), ('SELECT min(DISTINCT a), max(DISTINCT b), min(DISTINCT n), max(DISTINCT n) FROM t'), ('SELECT k, sum(DISTINCT a) FILTER (WHERE s > 0), sum(DISTINCT n * 2 + a) FROM t GROUP BY k'), ('SELECT sum(DISTINCT a), avg(DISTINCT n) FROM t WHERE id < 0');
UPDATE queries SET query = replace(query, 'AND c > ''''', '') WHERE query ~ 'AND c >';
UPDATE queries SET query = replace(query, 'id % 13 = 0', 'name IS NULL') WHERE query ~ 'id % 13';
SELECT same(query) FROM queries ORDER BY id;
BEGIN;
DELETE FROM t WHERE id % 5 = 1 OR name = 'a'; DELETE FROM h WHERE id % 5 = 1 OR name = 'a';
UPDATE t SET n = 'NaN', c = 'éé', i = 'Ab', b = -b WHERE id % 11 = 3; UPDATE h SET n = 'NaN', c = 'éé', i = 'Ab', b = -b WHERE id % 11 = 3;
INSERT INTO t (id, k, a, name, c, i) SELECT g, g % 3, -g, 'new', '!' || g, 'zzz' || g FROM generate_series(10000, 10100) g; INSERT INTO h (id, k, a, name, c, i) SELECT g, g % 3, -g, 'new', '!' || g, 'zzz' || g FROM generate_series(10000, 10100) g;
SELECT same(query) FROM queries ORDER BY id;
COMMIT;
SET work_mem = '64kB'; SET hash_mem_multiplier = 1;
SELECT is(rows_of('SELECT a, min(c), max(i), sum(DISTINCT n), min(name) FROM t GROUP BY a'), rows_of('SELECT a, min(c), max(i), sum(DISTINCT n), min(name) FROM h GROUP BY a'), 'with little memory');
RESET work_mem; RESET hash_mem_multiplier;
ALTER TABLE t ADD COLUMN late text DEFAULT 'm'; ALTER TABLE h ADD COLUMN late text DEFAULT 'm';
UPDATE t SET late = 'k' || id WHERE id % 3 = 0; UPDATE h SET late = 'k' || id WHERE id % 3 = 0;
SELECT same('SELECT k, min(late), max(late COLLATE "C"), min(late COLLATE "en-x-icu") FROM t GROUP BY k');
-- By a collation each different string is kept and compared: where there are many of them, rows are quicker.
ALTER TABLE t ADD COLUMN few text COLLATE "en-x-icu" DEFAULT 'f'; ALTER TABLE h ADD COLUMN few text COLLATE "en-x-icu" DEFAULT 'f';
ANALYZE t; RESET cpu_tuple_cost;
SELECT same('SELECT max(i) FROM t', false); SELECT same('SELECT id % 3, min(i) FROM t GROUP BY 1', false);
SELECT same('SELECT max(i COLLATE "C") FROM t'); SELECT same('SELECT max(few) FROM t'); SELECT same('SELECT k, min(few) FROM t GROUP BY k');
SET cpu_tuple_cost = 1000;
-- What is PostgreSQL's own to compute.
SELECT same(query, false) FROM (VALUES ('SELECT max(l) FROM t WHERE l < ''b'''), ('SELECT sum(DISTINCT a::float8) FROM t'), ('SELECT stddev(DISTINCT a) FROM t'), ('SELECT max(c || ''x'') FROM t'), ('SELECT sum(DISTINCT n * n * n) FROM t'), ('SELECT max(x.c) FROM t LEFT JOIN (SELECT c, a AS y FROM t LIMIT 5) x ON a = y')) q(query);
SELECT * FROM finish();
