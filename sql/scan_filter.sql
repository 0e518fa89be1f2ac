-- Which conditions of a sequential scan are tested by column.
CREATE TABLE filtered (id int, k int, t text, v float8);
INSERT INTO filtered SELECT i, i % 100, 'text ' || i % 10, i / 8.0 FROM generate_series(1, 20000) i;
SELECT datahike.commit_id() IS NOT NULL AS folded;
SET max_parallel_workers_per_gather = 0;
SET client_min_messages = debug1;
SELECT string_agg(id::text, ',') FROM filtered WHERE k = 7 AND id < 500 AND t LIKE '%7%';
SELECT string_agg(id::text, ',') FROM filtered WHERE k + 1 = 8 AND id < 500;  -- may overflow
SELECT string_agg(id::text, ',') FROM filtered WHERE k + 1 = 8 AND v + 1 < 40;
SELECT string_agg(id::text, ',') FROM filtered WHERE random() >= 0 AND id = 7;
PREPARE named(text, int) AS SELECT string_agg(id::text, ',') FROM filtered WHERE t = $1 AND k = $2 AND id < 500;
EXECUTE named('text 7', 17);
SET datahike.vectorized = off;
EXECUTE named('text 7', 17);
RESET datahike.vectorized;
RESET client_min_messages;
-- The plan is PostgreSQL's.
EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) SELECT string_agg(id::text, ',') FROM filtered WHERE k = 7 AND id < 500;
DROP TABLE filtered;
