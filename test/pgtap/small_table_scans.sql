-- Sequential scans of a small table whose rows are in the store and are changed by transactions that are not folded: each scan has what its
-- snapshot sees, as on heap, whichever scans came before it.
SELECT plan(28);
CREATE EXTENSION dblink;
CREATE TABLE t (id int, v int);
CREATE TABLE h (id int, v int) USING heap;
INSERT INTO t SELECT g, 0 FROM generate_series(1, 200) g;
INSERT INTO h TABLE t;
ALTER SYSTEM SET datahike.fold_delay = '60s';
SELECT pg_reload_conf() \g /dev/null
SELECT datahike.commit_id() IS NOT NULL \g /dev/null
SELECT dblink_connect('other', format('host=%s port=%s dbname=%s user=%s', current_setting('unix_socket_directories'),
  current_setting('port'), current_database(), current_user)) \g /dev/null
-- The statement, in which %s is the table, on both: in this session or in another.
CREATE FUNCTION here(statement text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN EXECUTE format(statement, 't'); EXECUTE format(statement, 'h'); END $$;
CREATE FUNCTION there(statement text) RETURNS text LANGUAGE sql AS $$
  SELECT dblink_exec('other', format('BEGIN; %s; %s; COMMIT', format(statement, 't'), format(statement, 'h'))) $$;
CREATE FUNCTION same(what text) RETURNS text LANGUAGE sql AS $$ SELECT set_eq('TABLE t', 'TABLE h', what) $$;
-- What is left of a cursor.
CREATE FUNCTION drain(c refcursor, forward bool) RETURNS SETOF t LANGUAGE plpgsql AS $$
DECLARE r t;
BEGIN
  LOOP
    IF forward THEN FETCH NEXT FROM c INTO r; ELSE FETCH PRIOR FROM c INTO r; END IF;
    EXIT WHEN NOT FOUND;
    RETURN NEXT r;
  END LOOP;
END $$;

SELECT same('nothing has changed');
SELECT there('UPDATE %s SET v = v + 1 WHERE id %% 7 = 0') \g /dev/null
SELECT same('some rows have');
SELECT there('UPDATE %s SET v = v + 1 WHERE id %% 5 = 0') \g /dev/null
SELECT there('DELETE FROM %s WHERE id BETWEEN 50 AND 60') \g /dev/null
SELECT same('some more');

-- a cursor beside newer scans
BEGIN;
DECLARE c SCROLL CURSOR FOR SELECT id, v FROM t;
CREATE TEMPORARY TABLE before ON COMMIT DROP AS TABLE h;
MOVE FORWARD 50 FROM c;
SELECT there('UPDATE %s SET v = v + 10 WHERE id BETWEEN 20 AND 120') \g /dev/null
SELECT same('a newer snapshot');
MOVE FORWARD ALL FROM c;
SELECT set_eq('SELECT * FROM drain(''c'', false)', 'TABLE before', 'the cursor, backward');
SELECT there('DELETE FROM %s WHERE id > 190') \g /dev/null
SELECT same('newer still');
SELECT set_eq('SELECT * FROM drain(''c'', true)', 'TABLE before', 'the cursor, forward');
SELECT results_eq('SELECT count(*) FROM t WHERE ctid < ''(0,101)'' AND v = 0', 'SELECT count(*) FROM t WHERE id <= 100 AND v = 0 AND ctid < ''(0,101)''', 'a range of TIDs');
SELECT results_eq('SELECT count(*) FROM t TABLESAMPLE SYSTEM (100)', 'SELECT count(*) FROM h', 'a sample');
COMMIT;

-- one snapshot for the transaction, and its own changes
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT same('REPEATABLE READ');
SELECT there('UPDATE %s SET v = v + 100 WHERE id BETWEEN 150 AND 200') \g /dev/null
SELECT same('does not see it');
SELECT here('UPDATE %s SET v = -v WHERE id BETWEEN 10 AND 40') \g /dev/null
SELECT same('but its own');
SAVEPOINT s;
SELECT here('DELETE FROM %s WHERE id < 100') \g /dev/null
SELECT same('deleted');
ROLLBACK TO s;
SELECT same('not deleted');
SELECT here('TRUNCATE %s') \g /dev/null
SELECT same('emptied');
SELECT here('INSERT INTO %s VALUES (1, 1)') \g /dev/null
SELECT same('and filled');
ROLLBACK TO s;
SELECT same('as before');
COMMIT;
SELECT same('committed');

-- a function looks at the newest state in the middle of a scan
BEGIN;
CREATE FUNCTION newest() RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$ BEGIN RETURN (SELECT sum(v) FROM t); END $$;
SELECT sum(v) AS before FROM t \gset
SELECT results_eq('SELECT count(DISTINCT n) FROM (SELECT CASE WHEN id = 100 THEN there(''UPDATE %s SET v = v + 1 WHERE id = 3'') END, newest() AS n FROM t OFFSET 0) s',
  'VALUES (2::bigint)', 'sees what has been committed meanwhile');
SELECT results_eq('SELECT sum(v) FROM t', 'SELECT sum(v) FROM h', 'as the next statement does');
SELECT is(sum(v), :before + 1::bigint, 'that alone') FROM t;
COMMIT;

-- rows that come back, and go again
SELECT there('DELETE FROM %s WHERE id <= 10') \g /dev/null
SELECT same('deleted');
SELECT datahike.revert(datahike.commit_id()::text) IS NOT NULL \g /dev/null
INSERT INTO h SELECT id, v FROM datahike.at(NULL::t, 'db~2') WHERE id <= 10;
SELECT set_eq('TABLE t', 'TABLE h', 'the deletion reverted');
SELECT there('DELETE FROM %s WHERE id <= 10') \g /dev/null
SELECT same('deleted again');
SELECT there('UPDATE %s SET v = v + 1') \g /dev/null
SELECT same('and all others changed');

-- emptied by another session
SELECT there('TRUNCATE %s') \g /dev/null
SELECT same('TRUNCATE');
SELECT there('INSERT INTO %s SELECT g, g FROM generate_series(1, 5) g') \g /dev/null
SELECT same('rows after it');
SELECT datahike.commit_id() IS NOT NULL \g /dev/null
SELECT same('folded');
SELECT dblink_disconnect('other') \g /dev/null
ALTER SYSTEM RESET datahike.fold_delay;
SELECT pg_reload_conf() \g /dev/null
SELECT * FROM finish();
