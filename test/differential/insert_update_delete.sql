-- the three of them with RETURNING, joins and odd sets of rows
CREATE TABLE t (id int PRIMARY KEY, n int, s text DEFAULT 'none');
INSERT INTO t VALUES (1, 10, 'one'), (2, 20, 'two'), (3, 30, DEFAULT);
INSERT INTO t (id) VALUES (4);
INSERT INTO t DEFAULT VALUES;
INSERT INTO t (id, n) SELECT g, g * g FROM generate_series(5, 12) g RETURNING *;
INSERT INTO t VALUES (13, 1, 'x') RETURNING id + 1 AS next, upper(s);
SELECT * FROM t ORDER BY id;
UPDATE t SET n = n + 1 WHERE id <= 3 RETURNING *;
UPDATE t SET id = id + 100 WHERE id = 13;
UPDATE t SET s = 'nobody' WHERE id = 9999;
UPDATE t SET n = n, s = s;
SELECT * FROM t ORDER BY id;
-- every key moves; uniqueness is checked row by row, so the direction matters
UPDATE t SET id = id + 1000;
SELECT min(id), max(id), count(*) FROM t;
UPDATE t SET id = id - 1000;
SELECT min(id), max(id), count(*) FROM t;
-- the same row many times
UPDATE t SET n = 0 WHERE id = 1;
UPDATE t SET n = n + 1 WHERE id = 1;
UPDATE t SET n = n + 1 WHERE id = 1;
UPDATE t SET n = n + 1 WHERE id = 1;
SELECT * FROM t WHERE id = 1;
-- UPDATE ... FROM, DELETE ... USING
CREATE TABLE delta (id int, d int);
INSERT INTO delta VALUES (1, 100), (2, 200), (77, 7);
WITH u AS (UPDATE t SET n = n + d FROM delta WHERE t.id = delta.id RETURNING t.id, t.n, d) SELECT * FROM u ORDER BY id;
-- several matches: one of them wins, and the row is updated once
INSERT INTO delta VALUES (3, 1), (3, 1);
UPDATE t SET n = coalesce(n, 0) + d FROM delta WHERE t.id = delta.id AND t.id = 3;
SELECT * FROM t WHERE id = 3;
WITH u AS (DELETE FROM t USING delta WHERE t.id = delta.id AND d >= 100 RETURNING t.*, d) SELECT * FROM u ORDER BY id;
WITH u AS (DELETE FROM t WHERE id IN (SELECT id FROM t WHERE id > 5 ORDER BY id LIMIT 2) RETURNING id) SELECT * FROM u ORDER BY id;
SELECT id FROM t ORDER BY id;
-- updates that read the table they change
UPDATE t SET n = (SELECT count(*) FROM t) WHERE id < 6;
UPDATE t SET n = u.n + 1 FROM t u WHERE u.id = t.id + 1;
INSERT INTO t SELECT id + 500, n, s FROM t;
SELECT * FROM t ORDER BY id;
UPDATE t SET (n, s) = (SELECT max(id), 'subselect' FROM t) WHERE id = 4;
SELECT * FROM t WHERE id = 4;
DELETE FROM t;
SELECT count(*) FROM t;
INSERT INTO t SELECT g FROM generate_series(1, 5000) g;
UPDATE t SET n = id % 7;
DELETE FROM t WHERE n = 3;
SELECT n, count(*), sum(id) FROM t GROUP BY n ORDER BY n;
-- data-modifying CTEs see one snapshot
WITH moved AS (DELETE FROM t WHERE n = 1 RETURNING *),
     added AS (INSERT INTO t SELECT id + 10000, 99, 'moved' FROM moved RETURNING id)
SELECT (SELECT count(*) FROM moved), (SELECT count(*) FROM added), (SELECT count(*) FROM t);
SELECT n, count(*) FROM t GROUP BY n ORDER BY n;
WITH u AS (UPDATE t SET n = 50 WHERE n = 99 RETURNING n) SELECT count(*), min(n) FROM u;
-- the same row changed twice in one statement
WITH a AS (UPDATE t SET n = 1 WHERE id = 2 RETURNING n), b AS (UPDATE t SET n = 2 WHERE id = 2 RETURNING n)
SELECT (SELECT count(*) FROM a) + (SELECT count(*) FROM b);
