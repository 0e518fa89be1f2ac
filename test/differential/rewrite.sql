-- VACUUM FULL, CLUSTER, and other commands that write a table anew
CREATE TABLE t (id int PRIMARY KEY, g int, s text);
INSERT INTO t SELECT i, i % 10, 'x' || i % 3 FROM generate_series(1, 10000) i;
DELETE FROM t WHERE g < 5;
UPDATE t SET s = 'z' WHERE id % 100 = 6;
VACUUM FULL t;
SELECT s, count(*), sum(id) FROM t GROUP BY s ORDER BY s;
CREATE INDEX t_s ON t (s, id);
CLUSTER t USING t_s;
SELECT s, count(*), sum(id) FROM t GROUP BY s ORDER BY s;
CREATE DOMAIN small AS int CHECK (VALUE < 10);
ALTER TABLE t ADD COLUMN i small DEFAULT 3;
SELECT sum(i) FROM t;
ALTER TABLE t ADD COLUMN stamp int DEFAULT (random() * 0)::int;
SELECT sum(stamp), count(*) FROM t;
ALTER TABLE t ADD COLUMN doubled bigint GENERATED ALWAYS AS (g * 2) STORED;
SELECT sum(doubled) FROM t;
ALTER TABLE t SET ACCESS METHOD heap;
SELECT count(*), sum(id) FROM t;
SHOW default_table_access_method \gset
ALTER TABLE t SET ACCESS METHOD :default_table_access_method;
SELECT count(*), sum(id) FROM t;
