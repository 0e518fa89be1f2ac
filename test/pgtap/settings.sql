-- The settings through every door that PostgreSQL has for settings: other sessions are made with dblink.
SELECT plan(20);
CREATE EXTENSION dblink;
CREATE ROLE tap_reader LOGIN;
CREATE ROLE tap_branch LOGIN;
CREATE TABLE t (id int);
GRANT ALL ON t TO tap_reader, tap_branch;
INSERT INTO t VALUES (1);
SELECT datahike.create_branch('side') \g /dev/null
SELECT datahike.commit_id() AS pinned \gset
INSERT INTO t VALUES (2);
SET datahike.branch = 'side';
INSERT INTO t VALUES (10), (11), (12);
RESET datahike.branch;

-- ask(QUESTION, USER, OPTIONS): the answer of a fresh session
CREATE FUNCTION ask(question text, "user" text, options text DEFAULT '') RETURNS text LANGUAGE sql AS $$
  SELECT a FROM dblink(format('host=%s port=%s dbname=%s user=%s options=''%s''', current_setting('unix_socket_directories'),
    current_setting('port'), current_database(), "user", options), question) AS x(a text)
$$;
CREATE FUNCTION fails(question text, "user" text, options text DEFAULT '') RETURNS text LANGUAGE plpgsql AS $$
BEGIN RETURN 'answered ' || ask(question, "user", options); EXCEPTION WHEN OTHERS THEN RETURN SQLSTATE; END $$;

SELECT is(ask('SELECT count(*) FROM t', 'tap_reader'), '2', 'a fresh session reads db');
SELECT is(ask('SELECT count(*) FROM t', 'tap_reader', '-c datahike.branch=side'), '4', 'connection options choose a branch');
SELECT is(ask('SELECT datahike.current_branch()', 'tap_reader', '-c datahike.branch=side'), 'side', 'also for functions');
SELECT is(ask('SELECT count(*) FROM t', 'tap_reader', '-c datahike.commit_id=' || :'pinned'), '1', 'and a commit');
SELECT is(fails('DELETE FROM t RETURNING 1', 'tap_reader', '-c datahike.commit_id=' || :'pinned'), '25006', 'which is read-only');
SELECT is(fails('SELECT count(*) FROM t', 'tap_reader', '-c datahike.branch=no_such'), '42704', 'an unknown branch there fails with the first statement that reads');
ALTER ROLE tap_branch SET datahike.branch = 'side';
SELECT is(ask('SELECT count(*) FROM t', 'tap_branch'), '4', 'ALTER ROLE SET');
SELECT is(ask('SELECT count(*) FROM t', 'tap_reader'), '2', 'of that role only');
SELECT is(ask('SELECT count(*) FROM t', 'tap_branch', '-c datahike.branch=db'), '2', 'connection options win over it');
SELECT format('ALTER DATABASE %I SET datahike.commit_id = %L', current_database(), :'pinned') \gexec
SELECT is(ask('SELECT count(*) FROM t', 'tap_reader'), '1', 'ALTER DATABASE SET');
SELECT format('ALTER DATABASE %I RESET datahike.commit_id', current_database()) \gexec
SELECT is(ask('WITH i AS (INSERT INTO t VALUES (3) RETURNING id) SELECT id FROM i', 'tap_reader'), '3', 'an ordinary role writes');
SELECT is((SELECT author FROM datahike.log(max => 1)), 'tap_reader', 'and is the author');
SELECT is(fails('SELECT count(*) FROM datahike.tx_log', 'tap_reader'), '42501', 'the log table is closed to it');
SELECT is(fails('SELECT count(*) FROM datahike.heads', 'tap_reader'), '42501', 'so are the heads');

-- What is set for later need not be there yet: a dump is restored before its branches are made, and checks no bodies, as pg_dump has it.
SET check_function_bodies = off;
SELECT lives_ok($$CREATE FUNCTION of_promo() RETURNS int8 LANGUAGE sql SET datahike.branch = 'promo' AS 'SELECT count(*) FROM t'$$, 'a function of a branch that is not there');
SELECT throws_ok('SELECT of_promo()', '42704', NULL, '... which it needs when it is called');
SELECT lives_ok('ALTER ROLE tap_branch SET datahike.branch = promo', 'ALTER ROLE likewise');
SELECT lives_ok($$CREATE FUNCTION of_commit() RETURNS int8 LANGUAGE sql SET datahike.commit_id = '00000000-0000-4000-8000-000000000000' AS 'SELECT count(*) FROM t'$$, 'a commit likewise');
SELECT throws_ok('SELECT of_commit()', '42704', NULL, '... when it is called');
SELECT datahike.create_branch('promo');
SELECT is(of_promo(), (SELECT count(*) FROM t), 'with the branch the function works');

REVOKE ALL ON t FROM tap_reader, tap_branch;
ALTER ROLE tap_branch RESET ALL;
DROP ROLE tap_reader, tap_branch;
SELECT * FROM finish();
