-- a few hundred thousand rows, changed all over
CREATE TABLE t (id int PRIMARY KEY, a int, b bigint, c text, d date, f float8, n numeric);
INSERT INTO t SELECT g, g % 1000, g::bigint * 7919 % 1000003, 'c' || g % 77, '2000-01-01'::date + g % 5000, g / 7.0, g / 100.0
  FROM generate_series(1, 150000) g;
SELECT count(*), sum(a), sum(b), count(DISTINCT c), min(d), max(d), sum(n) FROM t;
CREATE INDEX ON t (a);
CREATE INDEX ON t (c, d);
UPDATE t SET a = a + 1 WHERE id % 10 = 0;
DELETE FROM t WHERE id % 10 = 1;
INSERT INTO t SELECT id + 200000, a, b, c, d, f, n FROM t WHERE id <= 20000;
SELECT count(*), sum(a), sum(b), count(DISTINCT c), min(d), max(d), sum(n) FROM t;
SELECT a % 10 AS k, count(*), sum(b), round(avg(n), 6) FROM t GROUP BY 1 ORDER BY 1;
SELECT c, min(f), max(f) FROM t WHERE c IN ('c1', 'c50', 'c76') GROUP BY c ORDER BY c;
SELECT count(*) FROM t WHERE a = 500;
SELECT count(*), sum(id) FROM t WHERE c = 'c33' AND d BETWEEN '2003-01-01' AND '2004-12-31';
SELECT id, c FROM t WHERE id IN (1, 10, 11, 149999, 150000, 200010, 200011) ORDER BY id;
SELECT count(*) FROM t x JOIN t y ON x.id = y.id - 200000;
BEGIN;
UPDATE t SET b = -1;
SELECT count(*) FROM t WHERE b = -1;
SAVEPOINT s;
DELETE FROM t WHERE a < 500;
SELECT count(*) FROM t;
ROLLBACK TO s;
SELECT count(*) FROM t;
ROLLBACK;
SELECT count(*) FROM t WHERE b = -1;
UPDATE t SET c = upper(c) WHERE a BETWEEN 100 AND 300;
SELECT count(*) FROM t WHERE c LIKE 'C%';
DELETE FROM t WHERE id > 1000;
SELECT count(*), sum(a), sum(b), count(DISTINCT c), sum(n) FROM t;
-- many small transactions
DO $$ BEGIN FOR i IN 1..500 LOOP INSERT INTO t (id, a) VALUES (300000 + i, i); UPDATE t SET a = a + 1 WHERE id = 300000 + i; COMMIT; END LOOP; END $$;
SELECT count(*), sum(a) FROM t WHERE id > 300000;
-- one hot row
DO $$ BEGIN FOR i IN 1..500 LOOP UPDATE t SET a = a + 1 WHERE id = 1000; COMMIT; END LOOP; END $$;
SELECT id, a FROM t WHERE id = 1000;
