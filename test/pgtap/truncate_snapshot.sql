-- A snapshot that is older than a TRUNCATE still has the rows, by every kind of scan; on heap the table would be empty.
SELECT plan(6);
CREATE EXTENSION dblink;
CREATE TABLE t (id int PRIMARY KEY, v text);
INSERT INTO t SELECT g, 'row ' || g FROM generate_series(1, 1000) g;
SELECT dblink_connect('other', format('host=%s port=%s dbname=%s user=postgres', current_setting('unix_socket_directories'), current_setting('port'), current_database())) \g /dev/null

BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT count(*) FROM pg_class \g /dev/null
SELECT dblink_exec('other', 'TRUNCATE t') \g /dev/null
SELECT dblink_exec('other', $$INSERT INTO t VALUES (7, 'new')$$) \g /dev/null
SELECT is(count(*), 1000::bigint, 'a sequential scan') FROM t;
SET LOCAL enable_seqscan = off;
SELECT is((SELECT v FROM t WHERE id = 7), 'row 7', 'a look-up of a key that is there again');
SELECT is((SELECT v FROM t WHERE id = 8), 'row 8', 'a look-up of one that is not');
SELECT throws_ok('UPDATE t SET v = v WHERE id = 8', '40001', NULL, 'rows that are gone cannot be changed');
ROLLBACK;
SELECT results_eq('SELECT id, v FROM t', $$VALUES (7, 'new')$$, 'a new snapshot has what came after');
SELECT is(dblink_disconnect('other'), 'OK', 'the other session ends');
SELECT * FROM finish();
