-- functions that write: exception blocks in loops, own writes seen by volatile and not by stable functions, procedures
CREATE TABLE t (id int PRIMARY KEY, v int NOT NULL);
CREATE FUNCTION upsert(k int, x int) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  LOOP
    UPDATE t SET v = v + x WHERE id = k;
    IF FOUND THEN RETURN 'updated'; END IF;
    BEGIN
      INSERT INTO t VALUES (k, x);
      RETURN 'inserted';
    EXCEPTION WHEN unique_violation THEN RAISE NOTICE 'again';
    END;
  END LOOP;
END $$;
SELECT upsert(1, 1), upsert(1, 1), upsert(2, 5);
SELECT upsert(g % 7, 1) FROM generate_series(1, 14) g;
SELECT * FROM t ORDER BY id;
DO $$
DECLARE good int := 0; bad int := 0; state text;
BEGIN
  FOR i IN 1..1000 LOOP
    BEGIN
      INSERT INTO t VALUES (i % 500, i);
      good := good + 1;
    EXCEPTION WHEN OTHERS THEN
      GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE;
      bad := bad + 1;
    END;
  END LOOP;
  RAISE NOTICE 'good % bad % state %', good, bad, state;
END $$;
SELECT count(*), sum(v) FROM t;
CREATE FUNCTION failing(n int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  UPDATE t SET v = -1 WHERE id = 1;
  INSERT INTO t VALUES (n, NULL);
END $$;
SELECT failing(2000);
SELECT v FROM t WHERE id = 1;
DO $$
BEGIN
  PERFORM failing(2001);
EXCEPTION WHEN not_null_violation THEN
  RAISE NOTICE 'v is still %', (SELECT v FROM t WHERE id = 1);
END $$;
-- visibility inside one statement
CREATE FUNCTION seen_volatile() RETURNS bigint LANGUAGE sql VOLATILE AS 'SELECT count(*) FROM t';
CREATE FUNCTION seen_stable() RETURNS bigint LANGUAGE sql STABLE AS 'SELECT count(*) FROM t';
CREATE FUNCTION add_row(k int) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO t VALUES (k, 0);
  RETURN seen_volatile() || ' ' || seen_stable();
END $$;
TRUNCATE t;
SELECT add_row(1), seen_volatile(), seen_stable();
SELECT add_row(g) FROM generate_series(2, 4) g;
SELECT g, (SELECT add_row(g)), (SELECT count(*) FROM t) FROM generate_series(10, 12) g;
INSERT INTO t SELECT id + 100, seen_volatile() FROM t ORDER BY id;
SELECT * FROM t ORDER BY id;
UPDATE t SET v = seen_stable();
SELECT DISTINCT v FROM t;
-- a function that changes the row that the statement is about to change
CREATE FUNCTION bump(k int) RETURNS int LANGUAGE sql VOLATILE AS 'UPDATE t SET v = v + 1 WHERE id = k RETURNING v';
SELECT bump(1), bump(1), bump(1);
UPDATE t SET v = bump(id) WHERE id = 2;
SELECT * FROM t WHERE id <= 2 ORDER BY id;
-- result sets while writing
DO $$
DECLARE r record; n int := 0;
BEGIN
  FOR r IN SELECT * FROM t ORDER BY id LOOP
    INSERT INTO t VALUES (r.id + 1000, r.v);
    DELETE FROM t WHERE id = r.id;
    n := n + 1;
  END LOOP;
  RAISE NOTICE '% rows', n;
END $$;
SELECT min(id), count(*) FROM t;
-- procedures that commit
CREATE PROCEDURE batches() LANGUAGE plpgsql AS $$
BEGIN
  FOR i IN 1..10 LOOP
    INSERT INTO t VALUES (i, i);
    IF i % 2 = 0 THEN COMMIT; ELSE ROLLBACK; END IF;
  END LOOP;
END $$;
CALL batches();
SELECT id FROM t WHERE id < 100 ORDER BY id;
CREATE PROCEDURE walk() LANGUAGE plpgsql AS $$
DECLARE r record;
BEGIN
  FOR r IN SELECT id FROM t WHERE id < 100 ORDER BY id LOOP
    UPDATE t SET v = v * 10 WHERE id = r.id;
    COMMIT;
  END LOOP;
END $$;
CALL walk();
SELECT * FROM t WHERE id < 100 ORDER BY id;
-- SQL functions with several statements, set returning
CREATE FUNCTION swap(a int, b int) RETURNS SETOF t LANGUAGE sql AS $$
  UPDATE t SET v = CASE id WHEN a THEN (SELECT v FROM t WHERE id = b) ELSE (SELECT v FROM t WHERE id = a) END WHERE id IN (a, b);
  SELECT * FROM t WHERE id IN (a, b) ORDER BY id;
$$;
SELECT * FROM swap(2, 4);
-- composite results of the table's type
SELECT t FROM t WHERE id = 2;
SELECT (t).v FROM t WHERE id = 2;
CREATE FUNCTION double(t) RETURNS int LANGUAGE sql AS 'SELECT $1.v * 2';
SELECT id, t.double FROM t WHERE id < 100 ORDER BY id;
DO $$
DECLARE x t%ROWTYPE;
BEGIN
  SELECT * INTO STRICT x FROM t WHERE id = 2;
  x.id := 3; INSERT INTO t VALUES (x.*);
  RAISE NOTICE '%', x;
  SELECT * INTO STRICT x FROM t WHERE id = -1;
END $$;
SELECT count(*) FROM t WHERE id = 3;
