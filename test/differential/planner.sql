-- what the planner knows of a table is what it knows of heap's: pages, rows, and with them the plans
SET datahike.vectorized = off;  -- heap has no such plans
CREATE FUNCTION rows_of(query text) RETURNS float8 LANGUAGE plpgsql AS $$
DECLARE plan json;
BEGIN
  EXECUTE 'EXPLAIN (FORMAT json) ' || query INTO plan;
  RETURN plan->0->'Plan'->>'Plan Rows';
END $$;
CREATE FUNCTION plan_of(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
  RETURN QUERY EXECUTE 'EXPLAIN (COSTS OFF) ' || query;
END $$;
-- never analyzed: a small table is taken for ten pages, a larger one for full pages of rows of the types' widths
CREATE TABLE narrow (id int) WITH (autovacuum_enabled = off);
CREATE TABLE wide (id int, a text, b numeric, c timestamptz) WITH (autovacuum_enabled = off);
SELECT rows_of('SELECT * FROM narrow'), rows_of('SELECT * FROM wide');
INSERT INTO narrow SELECT generate_series(1, 100);
INSERT INTO wide SELECT g, 'text of row ' || g, g * 1.5, '2026-01-01' FROM generate_series(1000, 1099) g;
SELECT rows_of('SELECT * FROM narrow'), rows_of('SELECT * FROM wide');
INSERT INTO narrow SELECT generate_series(101, 20000);
INSERT INTO wide SELECT g, 'text of row ' || g, g * 1.5, '2026-01-01' FROM generate_series(1100, 9999) g;
SELECT rows_of('SELECT * FROM narrow'), rows_of('SELECT * FROM wide');
-- what CREATE INDEX, ANALYZE and VACUUM record
CREATE INDEX narrow_id ON narrow (id);
SELECT relname, relpages, reltuples FROM pg_class WHERE relname IN ('narrow', 'wide') ORDER BY 1;
ANALYZE narrow, wide;
SELECT relname, relpages, reltuples FROM pg_class WHERE relname IN ('narrow', 'wide') ORDER BY 1;
VACUUM narrow;
VACUUM ANALYZE wide;
SELECT relname, relpages, reltuples FROM pg_class WHERE relname IN ('narrow', 'wide') ORDER BY 1;
SELECT attname, n_distinct, null_frac, avg_width, most_common_vals IS NULL AS unique_values, histogram_bounds IS NULL AS none
  FROM pg_stats WHERE tablename = 'wide' ORDER BY 1;
-- estimates grow with the table, and obey pg_class
INSERT INTO narrow SELECT generate_series(1, 20000);
SELECT rows_of('SELECT * FROM narrow');
UPDATE pg_class SET reltuples = 100 WHERE relname = 'wide';
SELECT rows_of('SELECT * FROM wide');
UPDATE pg_class SET reltuples = 200, relpages = pg_relation_size('wide') / 8192 WHERE relname = 'wide';
SELECT rows_of('SELECT * FROM wide');
ANALYZE wide;
CREATE TABLE filled (id int, v text) WITH (fillfactor = 20, autovacuum_enabled = off);
INSERT INTO filled SELECT g, 'x' FROM generate_series(1, 5000) g;
ANALYZE filled;
SELECT relpages, reltuples FROM pg_class WHERE relname = 'filled';
TRUNCATE filled;
SELECT relpages, reltuples FROM pg_class WHERE relname = 'filled';
SELECT rows_of('SELECT * FROM filled');
-- extended statistics: dependent columns, distinct combinations, common values
CREATE TABLE dependent (a int, b int, c int) WITH (autovacuum_enabled = off);
INSERT INTO dependent SELECT g % 100, g % 50, g % 25 FROM generate_series(1, 5000) g;
ANALYZE dependent;
SELECT rows_of('SELECT * FROM dependent WHERE a = 1 AND b = 1 AND c = 1'), rows_of('SELECT a, b FROM dependent GROUP BY a, b');
CREATE STATISTICS s (ndistinct, dependencies, mcv) ON a, b, c FROM dependent;
ANALYZE dependent;
SELECT rows_of('SELECT * FROM dependent WHERE a = 1 AND b = 1 AND c = 1'), rows_of('SELECT a, b FROM dependent GROUP BY a, b');
SELECT stxdndistinct, stxddependencies FROM pg_statistic_ext_data JOIN pg_statistic_ext ON oid = stxoid WHERE stxname = 's';
-- a sample is not led astray by a pattern in the order of the rows
CREATE TABLE pattern (id int, grp int, v text) WITH (autovacuum_enabled = off);
INSERT INTO pattern SELECT g, g % 1000, CASE WHEN g % 2 = 0 THEN repeat('w', 200) END FROM generate_series(1, 120000) g;
SET default_statistics_target = 10;
ANALYZE pattern;
SELECT abs(relpages - 1900) < 150 AS pages, abs(reltuples - 120000) < 12000 AS rows FROM pg_class WHERE relname = 'pattern';
SELECT attname, CASE attname WHEN 'grp' THEN n_distinct BETWEEN 850 AND 1150 WHEN 'v' THEN abs(null_frac - 0.5) < 0.06 END AS close
  FROM pg_stats WHERE tablename = 'pattern' AND attname IN ('grp', 'v') ORDER BY 1;
RESET default_statistics_target;
-- plans
CREATE TABLE big (id int PRIMARY KEY, grp int, v text) WITH (autovacuum_enabled = off);
INSERT INTO big SELECT g, g % 500, repeat('v', 100) FROM generate_series(1, 20000) g;
CREATE INDEX big_grp ON big (grp);
VACUUM ANALYZE big;
SET max_parallel_workers_per_gather = 0;
SELECT plan_of('SELECT * FROM big WHERE id = 5');
SELECT plan_of('SELECT * FROM big WHERE grp = 5');
SELECT plan_of('SELECT * FROM big WHERE grp < 400');
SELECT plan_of('SELECT count(*) FROM big WHERE id < 1000');
SELECT plan_of('SELECT * FROM big JOIN narrow USING (id) WHERE grp = 7');
SELECT plan_of('SELECT * FROM big JOIN narrow USING (id)');
SELECT plan_of('SELECT grp, count(*) FROM big GROUP BY grp ORDER BY grp');
SELECT plan_of('SELECT * FROM big ORDER BY id LIMIT 10');
SELECT plan_of('SELECT max(grp) FROM big');
SELECT plan_of('SELECT * FROM big WHERE id = ANY (ARRAY[1, 2, 3]) OR grp = 3');
-- index-only plans look at each row all the same: what has just been deleted is not seen
DELETE FROM big WHERE id < 10;
SET enable_seqscan = off;
SET enable_bitmapscan = off;
SELECT plan_of('SELECT id FROM big WHERE id < 20');
SELECT id FROM big WHERE id < 20;
BEGIN;
UPDATE big SET id = -id WHERE id IN (12, 14);
SELECT id FROM big WHERE id < 20;
ROLLBACK;
SELECT id FROM big WHERE id < 20;
