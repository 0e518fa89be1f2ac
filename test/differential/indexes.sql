-- btree, hash, GIN and GiST, before and after loading; expressions, partial, unique, INCLUDE, DESC, many columns
CREATE TABLE t (id int, a int, b text, j jsonb, tags text[]);
CREATE INDEX t_a_before ON t (a);
INSERT INTO t SELECT g, g % 50, 'b' || (g % 20), jsonb_build_object('n', g % 9), ARRAY['t' || g % 5, 'u' || g % 3] FROM generate_series(1, 2000) g;
CREATE INDEX t_a_after ON t (a DESC NULLS LAST);
CREATE INDEX t_b_hash ON t USING hash (b);
CREATE INDEX t_j ON t USING gin (j jsonb_path_ops);
CREATE INDEX t_tags ON t USING gin (tags);
CREATE INDEX t_expr ON t (lower(b), (a + id));
CREATE INDEX t_partial ON t (id) WHERE a = 7;
CREATE UNIQUE INDEX t_id ON t (id) INCLUDE (a);
CREATE INDEX t_multi ON t (b, a, id);
UPDATE t SET a = a + 1 WHERE id % 3 = 0;
DELETE FROM t WHERE id % 17 = 0;
INSERT INTO t SELECT g, NULL, NULL, NULL, NULL FROM generate_series(2001, 2020) g;
SET enable_seqscan = off;
SELECT count(*), sum(id) FROM t WHERE a = 8;
SELECT count(*), sum(id) FROM t WHERE a IS NULL;
SELECT count(*), sum(id) FROM t WHERE b = 'b7';
SELECT count(*), sum(id) FROM t WHERE j @> '{"n": 4}';
SELECT count(*), sum(id) FROM t WHERE tags @> '{t1,u1}';
SELECT count(*), sum(id) FROM t WHERE lower(b) = 'b3' AND a + id > 500;
SELECT count(*), sum(id) FROM t WHERE a = 7 AND id < 1000;
SELECT id, a FROM t WHERE id = 1234;
SELECT b, a, id FROM t WHERE b = 'b1' ORDER BY b, a, id LIMIT 5;
SELECT a FROM t WHERE a IS NOT NULL ORDER BY a DESC LIMIT 3;
SELECT min(a), max(a), min(id), max(id) FROM t;
INSERT INTO t (id) VALUES (1);
INSERT INTO t (id) VALUES (17);
\set VERBOSITY sqlstate
CREATE UNIQUE INDEX fails ON t (a);
\set VERBOSITY verbose
CREATE UNIQUE INDEX t_null ON t (a) WHERE a IS NULL;
-- reindex, drop, rebuild after many changes
REINDEX TABLE t;
SELECT count(*), sum(id) FROM t WHERE a = 8;
REINDEX INDEX t_tags;
SELECT count(*), sum(id) FROM t WHERE tags @> '{t1,u1}';
DROP INDEX t_multi;
CREATE INDEX t_multi ON t (b, a, id);
SELECT b, a, id FROM t WHERE b = 'b1' ORDER BY b, a, id LIMIT 5;
-- an index made in the transaction that changed the rows
BEGIN;
CREATE TABLE own (id int, v int);
INSERT INTO own SELECT g, g FROM generate_series(1, 100) g;
UPDATE own SET v = v + 1000 WHERE id <= 50;
DELETE FROM own WHERE id > 90;
CREATE UNIQUE INDEX own_v ON own (v);
SELECT count(*), sum(id) FROM own WHERE v > 1000;
SELECT id FROM own WHERE v = 1001;
SELECT id FROM own WHERE v = 1;
INSERT INTO own VALUES (1, 1);
SAVEPOINT s;
INSERT INTO own VALUES (1, 1001);
ROLLBACK TO s;
COMMIT;
SELECT count(*), sum(v) FROM own WHERE v > 0;
