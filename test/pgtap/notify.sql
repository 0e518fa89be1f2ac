-- LISTEN datahike: a notification for each commit while datahike.notify is on.
SELECT plan(9);
CREATE EXTENSION dblink;
CREATE TABLE t (id int);
CREATE TABLE "Odd ""name" (id int);
SELECT dblink_connect('listener', format('host=%s port=%s dbname=%s user=%s', current_setting('unix_socket_directories'), current_setting('port'), current_database(), current_user)) AS connected,
  dblink_exec('listener', 'LISTEN datahike') AS listens \gset
CREATE FUNCTION heard() RETURNS SETOF jsonb LANGUAGE sql AS $$SELECT extra::jsonb FROM dblink_get_notify('listener') WHERE notify_name = 'datahike'$$;
INSERT INTO t VALUES (1);
SELECT datahike.commit_id() AS silent \gset
SELECT is_empty('SELECT * FROM heard()', 'off by default');
SELECT throws_ok('SET datahike.notify = on', '55P02', NULL, 'no session turns it on');
ALTER SYSTEM SET datahike.notify = on;
SELECT pg_reload_conf() AS reloaded \gset
-- Notifications come when they come: waits until that of a commit is among `got`, half a minute at most.
CREATE TABLE got (x jsonb) USING heap;
CREATE PROCEDURE hear(commit text) LANGUAGE plpgsql AS $$
BEGIN
  FOR i IN 1..600 LOOP
    INSERT INTO got SELECT * FROM heard();
    EXIT WHEN EXISTS (SELECT FROM got WHERE x->>'commit' = commit);
    PERFORM pg_sleep(0.05);
  END LOOP;
END $$;
-- The worker reads its configuration at the latest for the next fold.
DO $$
DECLARE newest text;
BEGIN
  FOR i IN 1..100 LOOP
    INSERT INTO t VALUES (0);
    COMMIT;
    newest := datahike.commit_id();
    INSERT INTO got SELECT * FROM heard();
    EXIT WHEN EXISTS (SELECT FROM got);
    PERFORM pg_sleep(0.05);
  END LOOP;
  CALL hear(newest);
END $$;
SELECT is((SELECT count(*) FROM got), (SELECT count(DISTINCT x->>'commit') FROM got), 'each is heard once');
TRUNCATE got;
BEGIN;
INSERT INTO t VALUES (2);
INSERT INTO "Odd ""name" VALUES (2);
COMMIT;
SELECT datahike.create_branch('side"x"') AS made \gset
SET datahike.branch = 'side"x"';
DELETE FROM t WHERE id = 2;
SELECT datahike.commit_id() AS side \gset
RESET datahike.branch;
CALL hear(:'side');
SELECT is((SELECT count(*) FROM got), 2::bigint, 'one for each commit');
SELECT is((SELECT x->>'commit' FROM got WHERE x->>'branch' = 'side"x"'), :'side', 'with the branch and the commit');
SELECT is((SELECT x->>'tx' FROM got WHERE x->>'branch' = 'db'), (SELECT tx::text FROM datahike.log('db', 1)), 'its tx');
SELECT results_eq($$SELECT jsonb_array_elements_text(x->'tables') AS name FROM got WHERE x->>'branch' = 'db' ORDER BY 1$$,
  $$SELECT name FROM (VALUES ('public."Odd ""name"'), ('public.t')) v(name) ORDER BY 1$$, 'and the tables');
BEGIN;
INSERT INTO t VALUES (3);
ROLLBACK;
SELECT datahike.commit_id() AS same \gset
SELECT is_empty('SELECT * FROM heard()', 'none for a transaction that is rolled back');
ALTER SYSTEM RESET datahike.notify;
SELECT pg_reload_conf() AS reloaded \gset
-- One commit that nobody hears of may be one whose notification is late.
DO $$
DECLARE unheard int := 0;
BEGIN
  FOR i IN 1..100 LOOP
    INSERT INTO t VALUES (0);
    COMMIT;
    PERFORM datahike.commit_id();
    PERFORM pg_sleep(0.2);
    unheard := CASE WHEN EXISTS (SELECT FROM heard()) THEN 0 ELSE unheard + 1 END;
    EXIT WHEN unheard = 3;
  END LOOP;
END $$;
INSERT INTO t VALUES (4);
SELECT datahike.commit_id() AS quiet \gset
SELECT is_empty('SELECT * FROM heard()', 'off again');
SELECT dblink_disconnect('listener') AS gone \gset
SELECT * FROM finish();
