-- Index entries of row versions that never reach the store: those that their own transaction superseded, and those of what was rolled
-- back. Look-ups have the index forget them, so a row that is updated again and again in one transaction costs the same each time; what
-- an older snapshot of the transaction sees, or what a rollback to a savepoint may bring back, stays.
SELECT plan(53);
CREATE EXTENSION amcheck;
CREATE EXTENSION dblink;
CREATE TABLE t (id int PRIMARY KEY, v int, note text);
CREATE TABLE h (id int PRIMARY KEY, v int, note text) USING heap;
INSERT INTO t SELECT g, 0, 'row ' || g FROM generate_series(1, 100) g;
INSERT INTO h TABLE t;
SET enable_seqscan = off;
SET enable_bitmapscan = off;
-- entries that look-ups by the primary key have walked over in this transaction. How many marks of dead ones an index keeps depends on
-- where its pages end, of some 300 entries each: what counts is that it does not grow with the number of updates (2 000 unmarked ones would
-- be 1 000 for each update)
CREATE FUNCTION walked() RETURNS bigint LANGUAGE sql AS $$ SELECT pg_stat_get_xact_tuples_returned('t_pkey'::regclass) $$;
CREATE FUNCTION pages() RETURNS bigint LANGUAGE sql AS $$ SELECT pg_relation_size('t_pkey') / current_setting('block_size')::int $$;
CREATE FUNCTION bump(row_id int, times int) RETURNS int LANGUAGE plpgsql AS $$
BEGIN
  FOR i IN 1..times LOOP UPDATE t SET v = v + 1 WHERE id = row_id; END LOOP;
  RETURN times;
END $$;
CREATE FUNCTION now_at(row_id int) RETURNS int LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (SELECT v FROM t WHERE id = row_id); END $$;
CREATE FUNCTION same(what text) RETURNS text LANGUAGE sql AS $$ SELECT set_eq('TABLE t', 'TABLE h', what) $$;

-- one transaction: the work of an update does not depend on how many there were
BEGIN;
DO $$ BEGIN FOR i IN 1..5000 LOOP UPDATE t SET v = v + 1 WHERE id = 7; END LOOP; END $$;
SELECT is(v, 5000, 'updates in a DO block') FROM t WHERE id = 7;
SELECT cmp_ok(walked(), '<', 5000 * 20::bigint, 'they walk over few entries each');
SELECT cmp_ok(pages(), '<', 8::bigint, 'the index stays small');
COMMIT;
UPDATE h SET v = 5000 WHERE id = 7;
SELECT same('committed');
SELECT lives_ok($$ SELECT bt_index_parent_check('t_pkey', true, true) $$, 'amcheck is content');
BEGIN;
SELECT bump(8, 2000);
SELECT is(v, 2000, 'updates by a function') FROM t WHERE id = 8;
SELECT cmp_ok(walked(), '<', 2000 * 100::bigint, 'they walk over few entries each');
COMMIT;
-- on heap: INSERT ... ON CONFLICT, DELETE and INSERT
BEGIN;
DO $$ BEGIN FOR i IN 1..1000 LOOP
  INSERT INTO t VALUES (9, 1, 'new') ON CONFLICT (id) DO UPDATE SET v = t.v + excluded.v;
  DELETE FROM t WHERE id = 10;
  INSERT INTO t VALUES (10, i, 'again');
END LOOP; END $$;
SELECT is(v, 1000, 'ON CONFLICT DO UPDATE') FROM t WHERE id = 9;
SELECT is(v, 1000, 'DELETE and INSERT of a key') FROM t WHERE id = 10;
SELECT cmp_ok(walked(), '<', 3000 * 30::bigint, 'they walk over few entries each');
SELECT cmp_ok(pages(), '<', 16::bigint, 'the index stays small');
COMMIT;
UPDATE h SET v = 2000 WHERE id = 8;
UPDATE h SET v = 1000 WHERE id = 9;
UPDATE h SET v = 1000, note = 'again' WHERE id = 10;
SELECT same('committed');

-- a cursor sees what there was when it was opened
BEGIN;
UPDATE t SET v = 1 WHERE id = 1;
UPDATE t SET v = 2 WHERE id = 1;
DECLARE before CURSOR FOR SELECT v FROM t WHERE id = 1;
DECLARE scrolls SCROLL CURSOR FOR SELECT id, v FROM t WHERE id BETWEEN 1 AND 2 ORDER BY id;
SELECT bump(1, 500);
DECLARE midway CURSOR FOR SELECT v FROM t WHERE id = 1;
SELECT bump(1, 500);
SELECT is(v, 1002, 'the newest version') FROM t WHERE id = 1;
SELECT results_eq('FETCH ALL before', 'VALUES (2)', 'a cursor opened before the updates');
SELECT results_eq('FETCH ALL midway', 'VALUES (502)', 'and one opened among them');
SELECT results_eq('FETCH ALL scrolls', 'VALUES (1, 2), (2, 0)', 'a scrollable one');
SELECT bump(1, 500);
SELECT results_eq('FETCH BACKWARD ALL scrolls', 'VALUES (2, 0), (1, 2)', 'and backward after more updates');
CLOSE before;
CLOSE midway;
CLOSE scrolls;
SELECT bump(1, 500);
SELECT cmp_ok(walked(), '<', 2000 * 100::bigint, 'one version kept for each does not slow the others down');
COMMIT;
UPDATE h SET v = 2002 WHERE id = 1;
SELECT same('committed');

-- a query's snapshot is older than what functions it calls do
BEGIN;
UPDATE t SET v = 100 WHERE id = 2;
UPDATE t SET v = 200 WHERE id = 2;
SELECT results_eq('SELECT g, bump(2, 100), (SELECT v FROM t WHERE id = 2 + g * 0) FROM generate_series(1, 3) g',
  'VALUES (1, 100, 200), (2, 100, 200), (3, 100, 200)', 'a query goes on seeing what it began with');
SELECT is(v, 500, 'and the next one all of it') FROM t WHERE id = 2;
-- an expression of PL/pgSQL has a snapshot that is on no list but the stack of active ones
DO $$
DECLARE seen int; other int;
BEGIN
  UPDATE t SET v = 600 WHERE id = 2;
  seen := bump(2, 100) * 0 + now_at(2);
  IF seen <> 600 THEN RAISE EXCEPTION 'saw % instead of 600', seen; END IF;
  seen := bump(2, 100) * 0 + now_at(2) + bump(2, 50) * 0 + now_at(2);
  IF seen <> 1400 THEN RAISE EXCEPTION 'saw % instead of 1400', seen; END IF;
  SELECT bump(2, 100) * 0 + now_at(2) INTO seen;
  IF seen <> 850 THEN RAISE EXCEPTION 'saw % instead of 850', seen; END IF;
  FOR other, seen IN SELECT id, v FROM t WHERE id = 2 LOOP
    PERFORM bump(2, 100);
  END LOOP;
  IF seen <> 950 THEN RAISE EXCEPTION 'saw % instead of 950', seen; END IF;
END $$;
SELECT is(v, 1050, 'expressions of PL/pgSQL see what they began with') FROM t WHERE id = 2;
COMMIT;
UPDATE h SET v = 1050 WHERE id = 2;
SELECT same('committed');

-- REPEATABLE READ, with its one snapshot for the transaction
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT is(v, 0, 'REPEATABLE READ') FROM t WHERE id = 3;
SELECT bump(3, 1000);
SELECT is(v, 1000, 'sees its own updates') FROM t WHERE id = 3;
SELECT cmp_ok(walked(), '<', 1000 * 30::bigint, 'and walks over few entries');
COMMIT;
UPDATE h SET v = 1000 WHERE id = 3;

-- a rollback to a savepoint brings versions back
BEGIN;
SELECT bump(4, 10);
SAVEPOINT a;
SELECT bump(4, 500);
SELECT is(v, 510, 'after a savepoint') FROM t WHERE id = 4;
ROLLBACK TO a;
SELECT is(v, 10, 'the version from before it is back') FROM t WHERE id = 4;
SELECT bump(4, 500);
SAVEPOINT b;
SELECT bump(4, 500);
RELEASE b;
SELECT is(v, 1010, 'a released one counts') FROM t WHERE id = 4;
ROLLBACK TO a;
SELECT is(v, 10, 'until an outer one is rolled back') FROM t WHERE id = 4;
RELEASE a;
SELECT bump(4, 500);
SAVEPOINT c;
DELETE FROM t WHERE id = 4;
SELECT is_empty('SELECT * FROM t WHERE id = 4', 'deleted');
SELECT is_empty('SELECT * FROM t WHERE id = 4', 'deleted, and looked at again');
ROLLBACK TO c;
SELECT is(v, 510, 'and back') FROM t WHERE id = 4;
DO $$ BEGIN FOR i IN 1..300 LOOP
  BEGIN
    UPDATE t SET v = v + 1 WHERE id = 4;
    UPDATE t SET v = v + 1 WHERE id = 4;
    IF i % 2 = 0 THEN RAISE division_by_zero; END IF;
  EXCEPTION WHEN division_by_zero THEN NULL;
  END;
END LOOP; END $$;
SELECT is(v, 810, 'blocks with exceptions') FROM t WHERE id = 4;
COMMIT;
UPDATE h SET v = 810 WHERE id = 4;
SELECT same('committed');

-- what was rolled back
SELECT pages() AS pages \gset
BEGIN;
DO $$ BEGIN FOR i IN 1..100 LOOP
  BEGIN
    PERFORM 1 FROM t WHERE id BETWEEN 1001 AND 1100;
    INSERT INTO t SELECT 1000 + g, 0, 'gone' FROM generate_series(1, 100) g;
    RAISE division_by_zero;
  EXCEPTION WHEN division_by_zero THEN NULL;
  END;
END LOOP; END $$;
SELECT is_empty('SELECT * FROM t WHERE id > 1000', 'nothing of it is seen');
SELECT cmp_ok(pages(), '<=', (:pages + 4)::bigint, 'the index does not grow with rolled back subtransactions');
COMMIT;
CREATE PROCEDURE roll_back(times int) LANGUAGE plpgsql AS $$
BEGIN
  FOR i IN 1..times LOOP
    PERFORM 1 FROM t WHERE id BETWEEN 2001 AND 2100;
    INSERT INTO t SELECT 2000 + g, 0, 'gone' FROM generate_series(1, 100) g;
    ROLLBACK;
  END LOOP;
END $$;
CALL roll_back(100);
SELECT is_empty('SELECT * FROM t WHERE id > 1000', 'nothing of it is seen');
SELECT cmp_ok(pages(), '<=', (:pages + 8)::bigint, 'nor with rolled back transactions');
SELECT same('the rows');

-- prepared transactions
BEGIN;
SELECT bump(11, 200);
PREPARE TRANSACTION 'hot';
SELECT is(v, 0, 'prepared') FROM t WHERE id = 11;
COMMIT PREPARED 'hot';
SELECT is(v, 200, 'committed') FROM t WHERE id = 11;
BEGIN;
SELECT bump(11, 200);
PREPARE TRANSACTION 'hot';
ROLLBACK PREPARED 'hot';
SELECT is(v, 200, 'rolled back') FROM t WHERE id = 11;
SELECT bump(11, 1);
UPDATE h SET v = 201 WHERE id = 11;
SELECT same('and updated again');

-- other indexes and TRUNCATE
CREATE INDEX t_note ON t USING hash (note);
CREATE INDEX t_v ON t (v) INCLUDE (note);
BEGIN;
SELECT bump(5, 300);
SELECT bump(6, 300);
SELECT results_eq('SELECT id FROM t WHERE note = ''row 5''', 'VALUES (5)', 'a hash index');
SELECT results_eq('SELECT id FROM t WHERE v = 300 AND note = ''row 6''', 'VALUES (6)', 'an index on what changes');
SAVEPOINT a;
TRUNCATE t;
INSERT INTO t VALUES (5, 1, 'row 5');
SELECT bump(5, 100);
SELECT results_eq('SELECT id, v FROM t WHERE id = 5', 'VALUES (5, 101)', 'after TRUNCATE');
ROLLBACK TO a;
SELECT bump(5, 1);
SELECT results_eq('SELECT id, v FROM t WHERE id = 5', 'VALUES (5, 301)', 'and as if it had not been');
COMMIT;
UPDATE h SET v = 301 WHERE id = 5;
UPDATE h SET v = 300 WHERE id = 6;
SELECT same('committed');
SELECT lives_ok($$ SELECT bt_index_parent_check(i::regclass, true, true) FROM unnest('{t_pkey,t_v}'::text[]) i $$, 'amcheck is content');
-- what another session has rolled back is proven to be nothing, many at once, where history is collected
SELECT datahike.set_keep_history('t', 'none') \g /dev/null
VACUUM t;
SELECT dblink_connect(name, format('host=%s port=%s dbname=%s user=%s', current_setting('unix_socket_directories'), current_setting('port'), current_database(), current_user))
  FROM unnest('{other,reader}'::text[]) name \g /dev/null
SELECT dblink_exec('other', 'BEGIN') \g /dev/null
SELECT dblink_exec('other', 'INSERT INTO t SELECT 10000 + g, g, ''theirs'' FROM generate_series(1, 2000) g') \g /dev/null
CREATE FUNCTION look() RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
  SET LOCAL enable_seqscan = off;
  SET LOCAL enable_bitmapscan = off;
  PERFORM count(*) FROM t WHERE id BETWEEN 10001 AND 12000;
  PERFORM count(*) FROM t WHERE id BETWEEN 10001 AND 12000;
  RETURN walked();
END $$;
SELECT cmp_ok(n, '>=', 4000::bigint, 'entries of a running transaction stay') FROM dblink('reader', 'SELECT look()') AS d(n bigint);
SELECT dblink_exec('other', 'ROLLBACK') \g /dev/null
BEGIN;
SELECT look() AS walked \gset
SELECT is_empty('SELECT FROM t WHERE id BETWEEN 10001 AND 12000', 'nothing of it is seen');
SELECT cmp_ok(walked() - :walked, '<', 100::bigint, 'those of a rolled back one go');
COMMIT;
SELECT * FROM finish();
