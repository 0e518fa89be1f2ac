-- The plans that PostgreSQL makes for our tables: every kind of scan is there.
CREATE TABLE plans (id int PRIMARY KEY, g int, tags int[]);
INSERT INTO plans SELECT i, i % 100, ARRAY[i % 10] FROM generate_series(1, 5000) i;
CREATE INDEX plans_g ON plans (g);
CREATE INDEX plans_tags ON plans USING gin (tags);
ANALYZE plans;
EXPLAIN (COSTS OFF) SELECT * FROM plans;
EXPLAIN (COSTS OFF) SELECT * FROM plans WHERE id = 7;
EXPLAIN (COSTS OFF) SELECT * FROM plans WHERE ctid = '(0,1)';
SET enable_seqscan = off;
SET enable_indexscan = off;
EXPLAIN (COSTS OFF) SELECT * FROM plans WHERE g = 7;
EXPLAIN (COSTS OFF) SELECT * FROM plans WHERE tags @> '{3}';
RESET enable_seqscan;
RESET enable_indexscan;
SELECT reltuples FROM pg_class WHERE relname = 'plans';
DROP TABLE plans;
