-- SERIALIZABLE updates whose index entries are made aside: the transaction stays serializable, errors inside included,
-- and keeps one table of its own locks.
SELECT plan(6);
CREATE TABLE t (id int PRIMARY KEY, v int);
INSERT INTO t SELECT g, 0 FROM generate_series(1, 500) g;
CREATE FUNCTION change(first int, last int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  FOR i IN first .. last LOOP
    PERFORM v FROM t WHERE id = i;
    UPDATE t SET v = v + 1 WHERE id = i;
  END LOOP;
END $$;
CREATE VIEW tables_of_locks AS SELECT count(*) FROM pg_backend_memory_contexts WHERE name = 'Local predicate lock';
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT change(1, 5);
SELECT is((SELECT count FROM tables_of_locks), 1::bigint, 'one table of locks after some updates');
SAVEPOINT s;
SELECT change(1, 5);
ROLLBACK TO s;
SELECT change(6, 300);
SELECT is((SELECT count FROM tables_of_locks), 1::bigint, 'and after many');
ROLLBACK;
SELECT is((SELECT count FROM tables_of_locks), 0::bigint, 'none after the end');
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT change(1, 40);
SELECT is((SELECT count(*) > 0 FROM pg_locks WHERE mode = 'SIReadLock' AND pid = pg_backend_pid()), true, 'its locks are its own');
COMMIT;
SELECT is((SELECT count(*) FROM pg_locks WHERE mode = 'SIReadLock' AND pid = pg_backend_pid()), 0::bigint, 'and go with it');
SELECT is((SELECT sum(v) FROM t), 40::bigint, 'the updates are made');
SELECT * FROM finish();
