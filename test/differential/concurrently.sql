-- CREATE INDEX, REINDEX and DROP INDEX CONCURRENTLY
CREATE TABLE t (id int, a int, b text);
INSERT INTO t SELECT g, g % 50, 'b' || (g % 20) FROM generate_series(1, 2000) g;
UPDATE t SET a = a + 1 WHERE id % 3 = 0;
DELETE FROM t WHERE id % 17 = 0;
SET enable_seqscan = off;
CREATE INDEX CONCURRENTLY t_multi ON t (b, a, id);
SELECT b, a, id FROM t WHERE b = 'b1' ORDER BY b, a, id LIMIT 5;
REINDEX INDEX CONCURRENTLY t_multi;
SELECT b, a, id FROM t WHERE b = 'b1' ORDER BY b, a, id LIMIT 5;
CREATE UNIQUE INDEX CONCURRENTLY t_id ON t (id);
INSERT INTO t VALUES (1);
SELECT a FROM t WHERE id = 1000;
DROP INDEX CONCURRENTLY t_multi;
SELECT count(*) FROM t WHERE b = 'b1';
