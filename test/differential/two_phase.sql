-- PREPARE TRANSACTION and what may follow it
\set SHOW_CONTEXT never
CREATE TABLE t (id int PRIMARY KEY, v text, n int);
INSERT INTO t VALUES (6, 'six', 6);
BEGIN;
INSERT INTO t VALUES (10, 'prepared', 10);
PREPARE TRANSACTION 'one';
SELECT id FROM t ORDER BY id;
COMMIT PREPARED 'one';
SELECT id FROM t ORDER BY id;
BEGIN;
UPDATE t SET n = 11 WHERE id = 10;
INSERT INTO t VALUES (11, 'never', 11);
PREPARE TRANSACTION 'two';
ROLLBACK PREPARED 'two';
SELECT * FROM t ORDER BY id;
BEGIN;
SAVEPOINT s;
DELETE FROM t WHERE id = 10;
ROLLBACK TO s;
DELETE FROM t WHERE id = 6;
PREPARE TRANSACTION 'three';
BEGIN;
SET LOCAL lock_timeout = '100ms';
UPDATE t SET n = 0 WHERE id = 6;
ROLLBACK;
SELECT * FROM t ORDER BY id;
COMMIT PREPARED 'three';
SELECT * FROM t ORDER BY id;

-- only locks: each keeps its mode, those of savepoints too
INSERT INTO t SELECT g, 'row', g FROM generate_series(20, 25) g;
BEGIN;
SELECT id FROM t WHERE id = 20 FOR KEY SHARE;
SELECT id FROM t WHERE id = 21 FOR SHARE;
SAVEPOINT a;
SELECT id FROM t WHERE id = 22 FOR NO KEY UPDATE;
SELECT id FROM t WHERE id = 20 FOR SHARE;
SAVEPOINT b;
SELECT id FROM t WHERE id = 23 FOR UPDATE;
ROLLBACK TO b;
SELECT id FROM t WHERE id = 24 FOR UPDATE;
PREPARE TRANSACTION 'locks';
SELECT id FROM t WHERE id >= 20 ORDER BY id FOR KEY SHARE SKIP LOCKED;
SELECT id FROM t WHERE id >= 20 ORDER BY id FOR SHARE SKIP LOCKED;
SELECT id FROM t WHERE id >= 20 ORDER BY id FOR NO KEY UPDATE SKIP LOCKED;
SELECT id FROM t WHERE id >= 20 ORDER BY id FOR UPDATE SKIP LOCKED;
SELECT id FROM t WHERE id = 24 FOR KEY SHARE NOWAIT;
ROLLBACK PREPARED 'locks';
SELECT id FROM t WHERE id >= 20 ORDER BY id FOR UPDATE NOWAIT;

-- unique keys: of a prepared row, of a row that is being removed, after rollback
SET lock_timeout = '100ms';
BEGIN;
INSERT INTO t VALUES (30, 'prepared', 30);
DELETE FROM t WHERE id = 20;
UPDATE t SET id = 31 WHERE id = 21;
SAVEPOINT c;
INSERT INTO t VALUES (32, 'rolled back', 32);
ROLLBACK TO c;
PREPARE TRANSACTION 'keys';
INSERT INTO t VALUES (30, 'waits', 0);
INSERT INTO t VALUES (20, 'waits', 0);
INSERT INTO t VALUES (21, 'waits', 0);
INSERT INTO t VALUES (31, 'waits', 0);
INSERT INTO t VALUES (30, 'waits', 0) ON CONFLICT DO NOTHING;
INSERT INTO t VALUES (32, 'there', 32);
COMMIT PREPARED 'keys';
INSERT INTO t VALUES (30, 'duplicate', 0);
INSERT INTO t VALUES (31, 'duplicate', 0);
INSERT INTO t VALUES (20, 'again', 20), (21, 'again', 21);
INSERT INTO t VALUES (30, 'conflict', 0) ON CONFLICT (id) DO UPDATE SET v = 'updated';
SELECT * FROM t ORDER BY id;

-- several prepared at once, ended in another order; on top of each other after the first has ended
BEGIN; UPDATE t SET n = n + 1 WHERE id = 22; PREPARE TRANSACTION 'a';
BEGIN; UPDATE t SET n = n + 10 WHERE id = 23; INSERT INTO t VALUES (40, 'b', 40); PREPARE TRANSACTION 'b';
BEGIN; UPDATE t SET n = n + 100 WHERE id = 24; INSERT INTO t VALUES (41, 'c', 41); PREPARE TRANSACTION 'c';
UPDATE t SET n = n + 1000 WHERE id = 25;
SELECT gid FROM pg_prepared_xacts ORDER BY gid;
COMMIT PREPARED 'c';
SELECT * FROM t WHERE id >= 22 ORDER BY id;
UPDATE t SET n = n + 5 WHERE id = 24;
ROLLBACK PREPARED 'b';
UPDATE t SET n = n + 5 WHERE id = 23;
COMMIT PREPARED 'a';
UPDATE t SET n = n + 5 WHERE id = 22;
SELECT * FROM t WHERE id >= 22 ORDER BY id;

-- foreign keys
CREATE TABLE child (id int PRIMARY KEY, parent int REFERENCES t ON UPDATE CASCADE);
BEGIN;
INSERT INTO child VALUES (1, 22);
PREPARE TRANSACTION 'child';
UPDATE t SET n = 0 WHERE id = 22;
DELETE FROM t WHERE id = 22;
UPDATE t SET id = 122 WHERE id = 22;
COMMIT PREPARED 'child';
DELETE FROM t WHERE id = 22;
UPDATE t SET id = 122 WHERE id = 22;
TABLE child;

-- deferred constraints are checked by PREPARE
CREATE TABLE d (id int PRIMARY KEY DEFERRABLE INITIALLY DEFERRED, parent int REFERENCES t DEFERRABLE INITIALLY DEFERRED);
BEGIN;
INSERT INTO d VALUES (1, 999);
PREPARE TRANSACTION 'bad';
COMMIT PREPARED 'bad';
BEGIN;
INSERT INTO d VALUES (1, 23), (1, 24);
PREPARE TRANSACTION 'bad';
BEGIN;
INSERT INTO d VALUES (1, 23), (2, 24);
UPDATE d SET id = 3 - id;
PREPARE TRANSACTION 'good';
DELETE FROM t WHERE id = 24;
COMMIT PREPARED 'good';
SELECT * FROM d ORDER BY id;

-- tables: made, emptied, dropped
BEGIN;
CREATE TABLE made (id int PRIMARY KEY, v text);
INSERT INTO made SELECT g, 'v' || g FROM generate_series(1, 1000) g;
DELETE FROM made WHERE id % 2 = 0;
TRUNCATE child;
INSERT INTO child VALUES (7, 23);
PREPARE TRANSACTION 'tables';
SELECT count(*) FROM child;
DROP TABLE child;
COMMIT PREPARED 'tables';
SELECT count(*), sum(id), min(v), max(v) FROM made;
TABLE child;
BEGIN;
DROP TABLE made;
PREPARE TRANSACTION 'drop';
SELECT count(*) FROM made;
ROLLBACK PREPARED 'drop';
SELECT count(*) FROM made;
BEGIN;
INSERT INTO made VALUES (2000, 'gone');
DROP TABLE made;
PREPARE TRANSACTION 'drop';
COMMIT PREPARED 'drop';
SELECT count(*) FROM made;

-- much: rows that go to the log before PREPARE, changed and removed again
CREATE TABLE big (id int PRIMARY KEY, v text);
INSERT INTO big SELECT g, repeat('x', 100) FROM generate_series(1, 1000) g;
BEGIN;
INSERT INTO big SELECT g, repeat(md5(g::text), 3) FROM generate_series(1001, 60000) g;
DELETE FROM big WHERE id % 3 = 0;
UPDATE big SET v = 'changed' WHERE id % 7 = 0;
PREPARE TRANSACTION 'big';
INSERT INTO big VALUES (59000, 'waits');
UPDATE big SET v = 'waits' WHERE id = 7;
UPDATE big SET v = 'free' WHERE id = 8;
SELECT count(*), sum(id) FROM big;
COMMIT PREPARED 'big';
SELECT count(*), sum(id), sum(length(v)) FROM big;

-- what cannot be prepared
BEGIN;
INSERT INTO t VALUES (50, 'held', 50);
DECLARE held CURSOR WITH HOLD FOR SELECT id FROM t;
PREPARE TRANSACTION 'held';
BEGIN;
CREATE TEMPORARY TABLE tt (id int);
INSERT INTO t VALUES (51, 'temporary', 51);
PREPARE TRANSACTION 'temporary';
BEGIN;
INSERT INTO t VALUES (52, 'same', 52);
PREPARE TRANSACTION 'same';
BEGIN;
INSERT INTO t VALUES (53, 'same', 53);
PREPARE TRANSACTION 'same';
INSERT INTO t VALUES (53, 'free', 53);
COMMIT PREPARED 'same';
SELECT id FROM t WHERE id >= 50 ORDER BY id;
SELECT gid FROM pg_prepared_xacts;
