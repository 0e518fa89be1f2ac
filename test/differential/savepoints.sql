-- transactions, savepoints and nesting: what is rolled back leaves nothing
CREATE TABLE t (id int PRIMARY KEY, v text);
INSERT INTO t VALUES (1, 'base'), (2, 'base'), (3, 'base');
BEGIN;
INSERT INTO t VALUES (4, 'tx');
UPDATE t SET v = 'tx' WHERE id = 1;
DELETE FROM t WHERE id = 2;
SELECT * FROM t ORDER BY id;
ROLLBACK;
SELECT * FROM t ORDER BY id;
BEGIN;
UPDATE t SET v = 'outer' WHERE id = 1;
SAVEPOINT a;
UPDATE t SET v = 'a' WHERE id = 1;
INSERT INTO t VALUES (10, 'a');
SAVEPOINT b;
UPDATE t SET v = 'b' WHERE id = 1;
DELETE FROM t WHERE id = 10;
INSERT INTO t VALUES (11, 'b');
SELECT * FROM t ORDER BY id;
ROLLBACK TO b;
SELECT * FROM t ORDER BY id;
UPDATE t SET v = 'b again' WHERE id = 1;
RELEASE b;
SELECT * FROM t ORDER BY id;
SAVEPOINT c;
DELETE FROM t;
SELECT count(*) FROM t;
ROLLBACK TO c;
ROLLBACK TO a;
SELECT * FROM t ORDER BY id;
INSERT INTO t VALUES (10, 'after rollback to a');
COMMIT;
SELECT * FROM t ORDER BY id;
-- an error inside a savepoint
BEGIN;
INSERT INTO t VALUES (20, 'keep');
SAVEPOINT s;
INSERT INTO t VALUES (21, 'lost');
INSERT INTO t VALUES (20, 'duplicate');
SELECT 1;
ROLLBACK TO s;
INSERT INTO t VALUES (21, 'kept');
COMMIT;
SELECT * FROM t WHERE id >= 20 ORDER BY id;
-- the same savepoint many times, and the same name twice
BEGIN;
SAVEPOINT s;
INSERT INTO t VALUES (30, '1');
ROLLBACK TO s;
INSERT INTO t VALUES (30, '2');
ROLLBACK TO s;
INSERT INTO t VALUES (30, '3');
SAVEPOINT s;
UPDATE t SET v = '4' WHERE id = 30;
ROLLBACK TO s;
RELEASE s;
SELECT v FROM t WHERE id = 30;
ROLLBACK TO s;
SELECT v FROM t WHERE id = 30;
COMMIT;
-- delete and insert the same key in one transaction, in and out of savepoints
BEGIN;
DELETE FROM t WHERE id = 1;
INSERT INTO t VALUES (1, 'reborn');
SAVEPOINT s;
DELETE FROM t WHERE id = 1;
INSERT INTO t VALUES (1, 'reborn twice');
ROLLBACK TO s;
SELECT * FROM t WHERE id = 1;
INSERT INTO t VALUES (1, 'no');
ROLLBACK TO s;
UPDATE t SET id = 99 WHERE id = 1;
INSERT INTO t VALUES (1, 'free again');
COMMIT;
SELECT * FROM t ORDER BY id;
-- deep nesting through plpgsql: 30 levels, every third fails
CREATE FUNCTION nest(level int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO t VALUES (1000 + level, 'level');
  UPDATE t SET v = v || '.' WHERE id BETWEEN 1000 AND 1000 + level;
  IF level > 0 THEN
    BEGIN
      PERFORM nest(level - 1);
      IF level % 3 = 0 THEN RAISE 'away'; END IF;
    EXCEPTION WHEN raise_exception THEN NULL;
    END;
  END IF;
END $$;
SELECT nest(30);
SELECT * FROM t WHERE id >= 1000 ORDER BY id;
-- many savepoints in one transaction
DO $$
BEGIN
  FOR i IN 1..300 LOOP
    BEGIN
      INSERT INTO t VALUES (5000 + i, 'sub');
      IF i % 4 = 0 THEN RAISE division_by_zero; END IF;
    EXCEPTION WHEN division_by_zero THEN NULL;
    END;
  END LOOP;
END $$;
SELECT count(*), sum(id) FROM t WHERE id > 5000;
-- isolation levels, read only
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT count(*) FROM t;
UPDATE t SET v = 'rr' WHERE id = 3;
SELECT v FROM t WHERE id = 3;
COMMIT;
BEGIN READ ONLY;
INSERT INTO t VALUES (1, 'x');
ROLLBACK;
BEGIN;
INSERT INTO t VALUES (7000, 'chain');
COMMIT AND CHAIN;
INSERT INTO t VALUES (7001, 'chain');
ROLLBACK AND CHAIN;
INSERT INTO t VALUES (7002, 'chain');
COMMIT;
SELECT id FROM t WHERE id >= 7000 ORDER BY id;
-- ON COMMIT of a temporary table beside changes of ordinary ones
CREATE TEMP TABLE scratch (a int) ON COMMIT DELETE ROWS;
BEGIN;
INSERT INTO scratch VALUES (1);
INSERT INTO t VALUES (8000, 'with scratch');
COMMIT;
SELECT (SELECT count(*) FROM scratch), (SELECT count(*) FROM t WHERE id = 8000);
