-- Making, using and deleting branches.
SELECT plan(43);
CREATE TABLE t (id int PRIMARY KEY, v text);
INSERT INTO t SELECT g, 'v' || g FROM generate_series(1, 100) g;
CREATE TEMP TABLE mark (name text PRIMARY KEY, id uuid);
INSERT INTO mark VALUES ('base', datahike.commit_id());

SELECT is(datahike.create_branch('b1'), 'b1', 'create_branch answers with the name');
SELECT results_eq('SELECT * FROM datahike.branches()', ARRAY['b1', 'db'], 'branches() is sorted');
SELECT is(datahike.current_branch(), 'db', 'making a branch does not switch to it');
SET datahike.branch = 'b1';
SELECT is(datahike.current_branch(), 'b1', 'SET datahike.branch does');
SELECT is((SELECT count(*) FROM t), 100::bigint, 'the branch starts with the data');
SELECT is(datahike.commit_id(), (SELECT id FROM mark WHERE name = 'base'), 'and with the same commit');

UPDATE t SET v = 'changed' WHERE id <= 10;
DELETE FROM t WHERE id BETWEEN 11 AND 15;
INSERT INTO t VALUES (101, 'new on b1');
SELECT results_eq($$SELECT count(*), count(*) FILTER (WHERE v = 'changed'), max(id) FROM t$$, $$VALUES (96::bigint, 10::bigint, 101)$$, 'writes land on the branch');
INSERT INTO mark VALUES ('b1', datahike.commit_id());
SET datahike.branch = 'db';
SELECT results_eq($$SELECT count(*), count(*) FILTER (WHERE v = 'changed'), max(id) FROM t$$, $$VALUES (100::bigint, 0::bigint, 100)$$, 'and nowhere else');
SELECT is(datahike.commit_id(), (SELECT id FROM mark WHERE name = 'base'), 'the other branch stands where it stood');
INSERT INTO t VALUES (101, 'new on db');
DELETE FROM t WHERE id = 1;
SELECT is((SELECT v FROM t WHERE id = 101), 'new on db', 'the same key may be on both branches');
SET datahike.branch = 'b1';
SELECT is((SELECT v FROM t WHERE id = 101), 'new on b1', 'each its own');
SELECT is((SELECT v FROM t WHERE id = 1), 'changed', 'a row deleted elsewhere is still here');
SELECT throws_ok($$INSERT INTO t VALUES (101, 'again')$$, '23505', NULL, 'a key is unique within a branch');
SELECT lives_ok($$INSERT INTO t VALUES (11, 'back')$$, 'and free again where it was deleted');

-- from
SELECT datahike.create_branch('from_commit', (SELECT id::text FROM mark WHERE name = 'base')) \g /dev/null
SELECT datahike.create_branch('from_branch', 'db') \g /dev/null
SELECT datahike.create_branch('from_parent', 'b1~1') \g /dev/null
SELECT is(datahike.create_branch('from_view'), 'from_view', 'the default is the current view');
SET datahike.branch = 'from_commit';
SELECT results_eq('SELECT count(*), max(id) FROM t', $$VALUES (100::bigint, 100)$$, 'from a commit');
SET datahike.branch = 'from_branch';
SELECT results_eq('SELECT count(*), max(id) FROM t', $$VALUES (100::bigint, 101)$$, 'from a branch');
SET datahike.branch = 'from_parent';
SELECT is((SELECT count(*) FROM t WHERE id = 11), 0::bigint, 'from a parent');
SET datahike.branch = 'from_view';
SELECT is((SELECT v FROM t WHERE id = 11), 'back', 'from the current view');
DELETE FROM t;
SELECT is((SELECT count(*) FROM t), 0::bigint, 'a branch can be emptied');
SET datahike.branch = 'b1';
SELECT is((SELECT count(*) FROM t), 97::bigint, 'without a trace on the one it came from');
RESET datahike.branch;
SELECT is(datahike.current_branch(), 'db', 'RESET goes back to db');

-- in transactions
BEGIN;
SELECT datahike.create_branch('rolled_back') \g /dev/null
SELECT ok('rolled_back' IN (SELECT datahike.branches()), 'a branch is there for its own transaction');
ROLLBACK;
SELECT ok('rolled_back' NOT IN (SELECT datahike.branches()), 'ROLLBACK undoes it');
BEGIN;
SELECT datahike.delete_branch('from_commit') \g /dev/null
ROLLBACK;
SELECT ok('from_commit' IN (SELECT datahike.branches()), 'and undoes a deletion');
BEGIN;
SELECT datahike.create_branch('used_at_once') \g /dev/null
SET datahike.branch = 'used_at_once';
INSERT INTO t VALUES (500, 'at once');
COMMIT;
SELECT is((SELECT v FROM t WHERE id = 500), 'at once', 'a branch can be written in the transaction that made it');
RESET datahike.branch;
SELECT is((SELECT count(*) FROM t WHERE id = 500), 0::bigint, 'and only it is');

-- errors
SELECT throws_ok($$SELECT datahike.create_branch('b1')$$, '42710', NULL, 'a name is used once');
SELECT throws_ok($$SELECT datahike.create_branch('x', 'no_such')$$, '42704', NULL, 'the source must exist');
SELECT throws_ok($$SELECT datahike.create_branch('x', '00000000-0000-4000-8000-000000000000')$$, '42704', NULL, 'also a commit');
SELECT throws_ok($$SELECT datahike.create_branch('')$$, '42602', NULL, 'an empty name is bad');
SELECT throws_ok($$SELECT datahike.create_branch('a~1')$$, '42602', NULL, 'so is one that reads as a revision');
SELECT throws_ok($$SELECT datahike.create_branch('a@b')$$, '42602', NULL, 'or as a time');
SELECT throws_ok($$SELECT datahike.create_branch('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11')$$, '42602', NULL, 'or as a commit');
SELECT throws_ok($$SET datahike.branch = 'no_such'$$, '42704', NULL, 'an unknown branch is refused at SET');
SELECT throws_ok($$SELECT datahike.delete_branch('no_such')$$, '42704', NULL, 'and by delete_branch');
SELECT throws_ok($$SELECT datahike.delete_branch('db')$$, '55000', NULL, 'the default branch stays');

-- deletion
SELECT is(datahike.delete_branch('b1'), 'b1', 'delete_branch answers with the name');
SELECT ok('b1' NOT IN (SELECT datahike.branches()), 'the name is gone');
SELECT throws_ok($$SET datahike.branch = 'b1'$$, '42704', NULL, 'and unknown');
SELECT set_config('datahike.commit_id', (SELECT id::text FROM mark WHERE name = 'b1'), false) \g /dev/null
SELECT is((SELECT count(*) FROM t WHERE v = 'changed'), 10::bigint, 'its commits are still readable by id');
RESET datahike.commit_id;
SELECT is(datahike.create_branch('b1', (SELECT id::text FROM mark WHERE name = 'b1')), 'b1', 'and a branch can be made of them again');
SET datahike.branch = 'b1';
SELECT is((SELECT v FROM t WHERE id = 101), 'new on b1', 'with all that was there');

SELECT * FROM finish();
