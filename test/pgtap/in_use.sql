-- A branch that another session is writing cannot be deleted; two sessions on two branches never wait for each other.
SELECT plan(7);
CREATE EXTENSION dblink;
CREATE TABLE t (id int PRIMARY KEY, v text);
INSERT INTO t VALUES (1, 'one');
SELECT datahike.create_branch('busy') \g /dev/null
SELECT dblink_connect('other', format('host=%s port=%s dbname=%s user=postgres', current_setting('unix_socket_directories'), current_setting('port'), current_database())) \g /dev/null
SELECT dblink_exec('other', $$SET datahike.branch = 'busy'$$) \g /dev/null
SELECT dblink_exec('other', 'BEGIN') \g /dev/null
SELECT dblink_exec('other', $$UPDATE t SET v = 'busy' WHERE id = 1$$) \g /dev/null
SELECT throws_ok($$SELECT datahike.delete_branch('busy')$$, '55006', NULL, 'a branch being written is in use');
SET statement_timeout = '5s';
SELECT lives_ok($$UPDATE t SET v = 'db' WHERE id = 1$$, 'the same row on another branch waits for nobody');
SELECT is((SELECT v FROM t), 'db', 'and is changed');
SELECT lives_ok($$INSERT INTO t VALUES (2, 'two')$$, 'so is a new key');
SELECT dblink_exec('other', 'COMMIT') \g /dev/null
SELECT is((SELECT v FROM t WHERE id = 1), 'db', 'still after the other commits');
SET datahike.branch = 'busy';
SELECT is((SELECT v FROM t WHERE id = 1), 'busy', 'which has its own');
RESET datahike.branch;
SELECT is(datahike.delete_branch('busy'), 'busy', 'and then it can be deleted');
SELECT * FROM finish();
