-- a sequential scan gives a session's rows in the order in which they were written, as heap does while it reuses no space
CREATE TABLE t (n int);
BEGIN;
INSERT INTO t VALUES (1), (2);
SAVEPOINT a;
INSERT INTO t VALUES (3);
RELEASE a;
INSERT INTO t VALUES (4);
SAVEPOINT b;
INSERT INTO t VALUES (100);
ROLLBACK TO b;
INSERT INTO t VALUES (5);
COMMIT;
SELECT * FROM t;
INSERT INTO t SELECT generate_series(6, 400);
INSERT INTO t VALUES (401);
DO $$
BEGIN
  FOR i IN 402..440 LOOP
    BEGIN
      INSERT INTO t VALUES (i);
      IF i % 3 = 0 THEN RAISE division_by_zero; END IF;
    EXCEPTION WHEN division_by_zero THEN INSERT INTO t VALUES (-i);
    END;
    IF i % 5 = 0 THEN INSERT INTO t VALUES (i * 10); END IF;
  END LOOP;
END $$;
SELECT array_agg(n) FROM t;
UPDATE t SET n = n + 10000 WHERE n % 100 = 0;
SELECT array_agg(n) FROM t WHERE n > 390;
