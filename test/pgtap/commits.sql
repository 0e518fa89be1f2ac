-- What makes a commit, what it records, and how it is named.
SELECT plan(34);
CREATE TABLE t (id int PRIMARY KEY, v text);
CREATE TEMP TABLE mark (name text PRIMARY KEY, id uuid, at timestamptz);

INSERT INTO mark VALUES ('start', datahike.commit_id());
INSERT INTO t VALUES (1, 'one'), (2, 'two');
SELECT isnt(datahike.commit_id(), (SELECT id FROM mark WHERE name = 'start'), 'a transaction that writes makes a commit');
INSERT INTO mark VALUES ('insert', datahike.commit_id());
SELECT is(datahike.commit_id(), (SELECT id FROM mark WHERE name = 'insert'), 'reading makes none');
SELECT results_eq('SELECT * FROM datahike.parent_commits()', $$SELECT id FROM mark WHERE name = 'start'$$, 'its parent is the commit before');

BEGIN;
INSERT INTO t VALUES (3, 'three');
ROLLBACK;
SELECT is(datahike.commit_id(), (SELECT id FROM mark WHERE name = 'insert'), 'a transaction rolled back makes none');
BEGIN;
SAVEPOINT s;
INSERT INTO t VALUES (3, 'three');
ROLLBACK TO s;
COMMIT;
SELECT is(datahike.commit_id(), (SELECT id FROM mark WHERE name = 'insert'), 'nor does one whose changes were all rolled back to a savepoint');
UPDATE t SET v = 'nobody' WHERE id = 99;
SELECT is(datahike.commit_id(), (SELECT id FROM mark WHERE name = 'insert'), 'nor one that changed no row');

BEGIN;
UPDATE t SET v = 'ONE' WHERE id = 1;
DELETE FROM t WHERE id = 2;
INSERT INTO t VALUES (4, 'four'), (5, 'five');
COMMIT;
SELECT results_eq('SELECT * FROM datahike.parent_commits()', $$SELECT id FROM mark WHERE name = 'insert'$$, 'several statements make one commit');
INSERT INTO mark VALUES ('several', datahike.commit_id());

SET datahike.author = 'alice';
SET datahike.message = 'a message, with "quotes" and ünïcode';
INSERT INTO t VALUES (6, 'six');
RESET datahike.author;
RESET datahike.message;
INSERT INTO mark VALUES ('six', datahike.commit_id());

-- log
SELECT is((SELECT count(*) FROM datahike.log()), 4::bigint, 'the log holds every commit and the first');
SELECT results_eq('SELECT commit_id FROM datahike.log() LIMIT 3', $$SELECT id FROM mark WHERE name <> 'start' ORDER BY array_position(ARRAY['six', 'several', 'insert'], name)$$, 'newest first');
SELECT is((SELECT parents FROM datahike.log(max => 1)), ARRAY[(SELECT id FROM mark WHERE name = 'several')], 'parents are named');
SELECT is((SELECT author FROM datahike.log(max => 1)), 'alice', 'the author is recorded');
SELECT is((SELECT message FROM datahike.log(max => 1)), 'a message, with "quotes" and ünïcode', 'so is the message');
SELECT is((SELECT author FROM datahike.log() OFFSET 1 LIMIT 1), session_user::text, 'the author is the session user by default');
SELECT is((SELECT count(*) FROM datahike.log(max => 2)), 2::bigint, 'max cuts the log');
SELECT ok((SELECT bool_and(tx > older) FROM (SELECT tx, lead(tx) OVER () AS older FROM datahike.log()) x WHERE older IS NOT NULL), 'tx falls strictly, back in time');
SELECT ok((SELECT bool_and(committed_at > older) FROM (SELECT committed_at, lead(committed_at) OVER () AS older FROM datahike.log()) x WHERE older IS NOT NULL), 'so does the time');
SELECT is((SELECT (changes -> x ->> 'inserted')::int FROM datahike.log(max => 1), jsonb_object_keys(changes) x), 1, 'changes counts inserted rows per table');
SELECT ok((SELECT x IN ('t', 'public.t') FROM datahike.log(max => 1), jsonb_object_keys(changes) x), 'by the name of the table');
SELECT results_eq($$SELECT (c ->> 'inserted')::int, (c ->> 'updated')::int, (c ->> 'deleted')::int
  FROM datahike.log(max => 2) l, jsonb_each(changes) AS e(k, c) WHERE commit_id = (SELECT id FROM mark WHERE name = 'several')$$,
  $$VALUES (2, 1, 1)$$, 'and updated and deleted ones apart');

-- revisions
SELECT is((SELECT commit_id FROM datahike.log('db', 1)), (SELECT id FROM mark WHERE name = 'six'), 'a branch is a revision');
SELECT is((SELECT commit_id FROM datahike.log((SELECT id::text FROM mark WHERE name = 'insert'), 1)), (SELECT id FROM mark WHERE name = 'insert'), 'a commit id is');
SELECT is((SELECT commit_id FROM datahike.log((SELECT left(id::text, 13) FROM mark WHERE name = 'insert'), 1)), (SELECT id FROM mark WHERE name = 'insert'), 'a unique prefix of one is');
SELECT is((SELECT commit_id FROM datahike.log('db~1', 1)), (SELECT id FROM mark WHERE name = 'several'), 'rev~1 is the first parent');
SELECT is((SELECT commit_id FROM datahike.log('db~3', 1)), (SELECT id FROM mark WHERE name = 'start'), 'rev~3 is the third');
SELECT is((SELECT commit_id FROM datahike.log('db@' || (SELECT committed_at FROM datahike.log('db~1', 1)), 1)), (SELECT id FROM mark WHERE name = 'several'), 'rev@time is inclusive');
SELECT results_eq($$SELECT * FROM datahike.parent_commits('db~1')$$, $$SELECT id FROM mark WHERE name = 'insert'$$, 'parent_commits takes a revision');
SELECT throws_ok($$SELECT datahike.log('no_such_branch')$$, '42704', NULL, 'an unknown name is refused');
SELECT throws_ok($$SELECT datahike.log('00000000-0000-4000-8000-000000000000')$$, '42704', NULL, 'so is an unknown commit');
SELECT throws_ok($$SELECT datahike.parent_commits('no_such_branch')$$, '42704', NULL, 'and by parent_commits');
SELECT throws_ok($$SELECT datahike.log('db~100')$$, '42704', NULL, 'and one before the first');

-- heap and datahike together
CREATE TABLE h (id int) USING heap;
INSERT INTO h VALUES (1);
SELECT is(datahike.commit_id(), (SELECT id FROM mark WHERE name = 'six'), 'a change of a heap table makes no commit');
BEGIN;
INSERT INTO h VALUES (2);
INSERT INTO t VALUES (7, 'seven');
COMMIT;
SELECT results_eq('SELECT * FROM datahike.parent_commits()', $$SELECT id FROM mark WHERE name = 'six'$$, 'one of both makes one');
TRUNCATE t;
SELECT results_ne('SELECT datahike.commit_id()', $$SELECT id FROM mark WHERE name = 'six'$$, 'TRUNCATE makes a commit');
SELECT is((SELECT count(*) FROM t), 0::bigint, 'and leaves nothing');

SELECT * FROM finish();
