-- Many row locks of one transaction: modes, savepoints, other holders. Prepared transactions stand for other sessions.
\set SHOW_CONTEXT never
CREATE TABLE t (id int PRIMARY KEY, n int);
INSERT INTO t SELECT g, 0 FROM generate_series(1, 6000) g;
\set key_share 'SELECT count(*), sum(id) FROM (SELECT id FROM t FOR KEY SHARE SKIP LOCKED) x;'
\set share 'SELECT count(*), sum(id) FROM (SELECT id FROM t FOR SHARE SKIP LOCKED) x;'
\set no_key_update 'SELECT count(*), sum(id) FROM (SELECT id FROM t FOR NO KEY UPDATE SKIP LOCKED) x;'
\set update 'SELECT count(*), sum(id) FROM (SELECT id FROM t FOR UPDATE SKIP LOCKED) x;'

-- stronger locks over weaker ones, rolled back in part
BEGIN;
SELECT count(*) FROM (SELECT id FROM t WHERE id % 3 = 0 FOR SHARE) x;
SELECT count(*) FROM (SELECT id FROM t WHERE id <= 2000 FOR KEY SHARE) x;
SAVEPOINT a;
SELECT count(*) FROM (SELECT id FROM t WHERE id BETWEEN 1000 AND 3000 FOR UPDATE) x;
SAVEPOINT b;
SELECT count(*) FROM (SELECT id FROM t WHERE id BETWEEN 500 AND 4500 FOR UPDATE) x;
DELETE FROM t WHERE id BETWEEN 1500 AND 5500;
ROLLBACK TO b;
SELECT count(*) FROM (SELECT id FROM t WHERE id % 7 = 0 FOR NO KEY UPDATE) x;
RELEASE a;
SELECT count(*) FROM (SELECT id FROM t WHERE id % 511 < 2 FOR UPDATE) x;
PREPARE TRANSACTION 'modes';
:key_share
:share
:no_key_update
:update
COMMIT PREPARED 'modes';
:update

-- sharers go one after the other
BEGIN; SELECT count(*) FROM (SELECT id FROM t WHERE id <= 4000 FOR KEY SHARE) x; PREPARE TRANSACTION 'one';
BEGIN; SELECT count(*) FROM (SELECT id FROM t WHERE id >= 2000 FOR KEY SHARE) x; PREPARE TRANSACTION 'two';
BEGIN; SELECT count(*) FROM (SELECT id FROM t WHERE id % 5 = 0 FOR SHARE) x; PREPARE TRANSACTION 'three';
:key_share
:share
:no_key_update
:update
BEGIN; UPDATE t SET n = n + 1 WHERE id % 5 = 1; PREPARE TRANSACTION 'four';
:key_share
:share
:update
ROLLBACK PREPARED 'one';
:no_key_update
:update
COMMIT PREPARED 'three';
ROLLBACK PREPARED 'four';
:share
:update
COMMIT PREPARED 'two';
:update

-- updates and deletes in order and in none, with keys that come free or do not
SET lock_timeout = '100ms';
BEGIN;
UPDATE t SET n = n + 1 WHERE id <= 3000;
UPDATE t SET n = n + 1 WHERE id IN (SELECT id FROM t WHERE id % 2 = 0 ORDER BY md5(id::text));
SAVEPOINT a;
UPDATE t SET n = n + 100;
SAVEPOINT b;
DELETE FROM t WHERE id % 3 = 0;
ROLLBACK TO a;
DELETE FROM t WHERE id % 100 = 0;
PREPARE TRANSACTION 'changes';
-- (FOR KEY SHARE SKIP LOCKED waits on heap where a row's newer version was rolled back)
:share
:update
INSERT INTO t VALUES (100, 0);
INSERT INTO t VALUES (101, 0);
INSERT INTO t VALUES (3, 0);
COMMIT PREPARED 'changes';
INSERT INTO t VALUES (100, 0);
SELECT count(*), sum(n), sum(id) FROM t;
:update

-- a subtransaction for each of many rows
DO $$
BEGIN
  FOR i IN 1..3000 LOOP
    BEGIN
      UPDATE t SET n = n + 1 WHERE id = i;
      IF i % 3 = 0 THEN RAISE division_by_zero; END IF;
    EXCEPTION WHEN division_by_zero THEN
      PERFORM FROM t WHERE id = i + 3000 FOR SHARE;
    END;
  END LOOP;
END $$;
SELECT count(*), sum(n) FROM t;
:update
BEGIN;
DO $$
BEGIN
  FOR i IN 1..3000 LOOP
    BEGIN
      PERFORM FROM t WHERE id = i FOR UPDATE;
      IF i % 3 = 0 THEN RAISE division_by_zero; END IF;
    EXCEPTION WHEN division_by_zero THEN
    END;
  END LOOP;
END $$;
PREPARE TRANSACTION 'loop';
:update
ROLLBACK PREPARED 'loop';
:update
