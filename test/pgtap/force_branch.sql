-- Setting branches to other commits, and what is told about it.
SELECT plan(56);
CREATE TABLE t (id int PRIMARY KEY, v text);
CREATE TEMP TABLE mark (name text PRIMARY KEY, id uuid) USING heap;
CREATE FUNCTION at(text) RETURNS text LANGUAGE sql AS $$ SELECT id::text FROM mark WHERE name = $1 $$;
CREATE FUNCTION rows() RETURNS text LANGUAGE sql VOLATILE AS $$ SELECT string_agg(id || v, ' ' ORDER BY id) FROM t $$;
CREATE FUNCTION by_index() RETURNS text LANGUAGE sql VOLATILE SET enable_seqscan = off AS $$ SELECT string_agg(id || v, ' ' ORDER BY id) FROM t WHERE id > 0 $$;
INSERT INTO t VALUES (1, 'a'), (2, 'a');
INSERT INTO mark SELECT 'one', datahike.commit_id();
UPDATE t SET v = 'b' WHERE id = 1;
INSERT INTO t VALUES (3, 'b');
DELETE FROM t WHERE id = 2;
INSERT INTO mark SELECT 'four', datahike.commit_id();

-- back
SELECT is(datahike.force_branch('db', at('one'))::text, at('one'), 'force_branch answers with the commit');
SELECT is(datahike.commit_id()::text, at('one'), 'at which the branch is');
SELECT is(rows(), '1a 2a', 'with its rows');
SELECT is(by_index(), '1a 2a', 'also by index');
SELECT is((SELECT count(*) FROM datahike.log()), 2::bigint, 'and its log');
SELECT results_eq($$SELECT operation, old::text, new::text FROM datahike.reflog('db')$$,
  format($$VALUES ('reset', %L, %L), ('commit', %L, %L), ('commit', %L, %L), ('commit', %L, %L), ('commit', %L, %L), ('create', NULL, %L)$$,
    at('four'), at('one'), (SELECT c FROM datahike.parent_commits(at('four')) c), at('four'),
    (SELECT c FROM datahike.parent_commits(at('four') || '~1') c), (SELECT c FROM datahike.parent_commits(at('four')) c),
    at('one'), (SELECT c FROM datahike.parent_commits(at('four') || '~1') c),
    (SELECT c FROM datahike.parent_commits(at('one')) c), at('one'), (SELECT c FROM datahike.parent_commits(at('one')) c)),
  'the reflog has every move');
SELECT results_eq($$SELECT operation FROM datahike.reflog('db', 2)$$, ARRAY['reset', 'commit'], 'or the last ones');

-- and on: the same keys, rows that the old line has removed, unique checks
INSERT INTO t VALUES (3, 'c');
SELECT throws_ok($$INSERT INTO t VALUES (2, 'c')$$, '23505', NULL, 'a row that is back is unique');
UPDATE t SET v = 'c' WHERE id = 1;
DELETE FROM t WHERE id = 2;
INSERT INTO t VALUES (2, 'd');
SELECT is(rows(), '1c 2d 3c', 'the branch goes on from there');
SELECT is(by_index(), '1c 2d 3c', 'by index');
INSERT INTO mark SELECT 'new', datahike.commit_id();
SELECT is(rows(), '1c 2d 3c', 'folded');
SELECT is(by_index(), '1c 2d 3c', 'by index as well');
SELECT is(datahike.common_ancestor('db', at('four'))::text, at('one'), 'old line and new line meet where it was reset');
SELECT is((SELECT count(*) FROM datahike.log()), 6::bigint, 'the log is that of the new line');

-- the old line
SELECT set_config('datahike.commit_id', at('four'), false) \g /dev/null
SELECT is(rows(), '1b 3b', 'what was there before can be read by commit id');
SELECT is(by_index(), '1b 3b', 'by index');
RESET datahike.commit_id;
SELECT set_config('datahike.as_of', (SELECT committed_at::text FROM datahike.commit_info(at('four'))), false) \g /dev/null
SELECT is(rows(), '1a 2a', 'the past of the branch is the new line''s: as of then');
SELECT set_config('datahike.as_of', (SELECT committed_at::text FROM datahike.commit_info('db~1')), false) \g /dev/null
SELECT is(rows(), '1c 3c', 'and later');
SELECT set_config('datahike.as_of', (SELECT tx::text FROM datahike.commit_info(at('four'))), false) \g /dev/null
SELECT is(rows(), '1a 2a', 'also by tx');
RESET datahike.as_of;
SELECT is(datahike.force_branch('db', at('four'))::text, at('four'), 'the branch can return');
SELECT is(rows(), '1b 3b', 'to what it had');
SELECT is(by_index(), '1b 3b', 'by index');
SELECT throws_ok($$INSERT INTO t VALUES (3, 'x')$$, '23505', NULL, 'unique');
INSERT INTO t VALUES (2, 'e');
SELECT is(rows(), '1b 2e 3b', 'and writable');
SELECT is(datahike.force_branch('db', 'db')::text, (SELECT commit_id::text FROM datahike.log('db', 1)), 'to where it is');
SELECT is((SELECT operation FROM datahike.reflog('db', 1)), 'commit', 'is no move');

-- within a transaction
INSERT INTO mark SELECT 'before', datahike.commit_id();
BEGIN;
SELECT datahike.force_branch('db', at('one')) \g /dev/null
SELECT is(rows(), '1a 2a', 'the transaction sees its reset');
INSERT INTO t VALUES (7, 'f');
UPDATE t SET v = 'f' WHERE id = 1;
SELECT is(rows(), '1f 2a 7f', 'and what it writes then');
SELECT is(by_index(), '1f 2a 7f', 'by index');
SELECT throws_ok($$SELECT datahike.force_branch('db', at('four'))$$, '55000', NULL, 'another one needs that committed');
ROLLBACK;
SELECT is(rows(), '1b 2e 3b', 'ROLLBACK undoes both');
SELECT is(by_index(), '1b 2e 3b', 'by index');
SELECT is(datahike.commit_id()::text, at('before'), 'the branch stands where it stood');
SELECT is((SELECT operation FROM datahike.reflog('db', 1)), 'commit', 'of which the reflog says nothing');
BEGIN;
SAVEPOINT a;
SELECT datahike.force_branch('db', at('one')) \g /dev/null
SAVEPOINT b;
SELECT datahike.force_branch('db', at('four')) \g /dev/null
SELECT is(rows(), '1b 3b', 'the last of two counts');
ROLLBACK TO b;
SELECT is(rows(), '1a 2a', 'until it is rolled back');
INSERT INTO t VALUES (9, 'g');
ROLLBACK TO a;
SELECT is(rows(), '1b 2e 3b', 'and the other one');
INSERT INTO t VALUES (9, 'h');
COMMIT;
SELECT is(rows(), '1b 2e 3b 9h', 'what comes then is on the old line');
BEGIN;
SELECT datahike.force_branch('db', at('one')) \g /dev/null
INSERT INTO t VALUES (10, 'i');
COMMIT;
SELECT is(rows(), '1a 2a 10i', 'a reset and more in one transaction');
SELECT results_eq('SELECT datahike.parent_commits()::text', ARRAY[at('one')], 'is a commit on the new line');
SELECT results_eq($$SELECT operation FROM datahike.reflog('db', 2)$$, ARRAY['commit', 'reset'], 'in this order');

-- with parents: a commit of its own
SELECT datahike.force_branch('db', at('four'), ARRAY['db', at('one')]) \g /dev/null
SELECT is(rows(), '1b 3b', 'with parents the rows are the revision''s');
SELECT results_eq($$SELECT datahike.parent_commits()::text$$, ARRAY[at('four'), (SELECT old::text FROM datahike.reflog('db', 2) WHERE operation = 'reset'), at('one')], 'and the commit has them as well');
SELECT ok(datahike.is_ancestor(at('new'), 'db') = false AND datahike.is_ancestor(at('four'), 'db'), 'what is no parent is no ancestor');

-- another branch than the session's; a commit that is no keyframe
SELECT datahike.create_branch('side', at('one')) \g /dev/null
DO $$ BEGIN FOR i IN 20 .. 26 LOOP INSERT INTO t VALUES (i, 'x'); COMMIT; END LOOP; END $$;
SELECT datahike.force_branch('side', 'db~3') \g /dev/null
SET datahike.branch = side;
SELECT is(rows(), '1b 3b 20x 21x 22x 23x', 'any branch can be set to any commit');
SELECT is(datahike.commit_id(), (SELECT commit_id FROM datahike.log('db') OFFSET 3 LIMIT 1), 'which it then names');
INSERT INTO t VALUES (24, 'y');
SELECT is(rows(), '1b 3b 20x 21x 22x 23x 24y', 'and goes on from');
SELECT is((SELECT commit_id FROM datahike.log(NULL, 2) OFFSET 1), (SELECT commit_id FROM datahike.log('db') OFFSET 3 LIMIT 1), 'as its parent');
RESET datahike.branch;

-- errors
SELECT throws_ok($$SELECT datahike.force_branch('nowhere', 'db')$$, '42704', NULL, 'the branch must exist');
SELECT throws_ok($$SELECT datahike.force_branch('side', 'nowhere')$$, '42704', NULL, 'the revision too');
SELECT throws_ok($$SELECT datahike.force_branch(NULL, 'db')$$, '42602', NULL, 'NULL is no name');
SELECT throws_ok($$SELECT datahike.force_branch('side', NULL)$$, '22004', NULL, 'and no revision');
SELECT throws_ok($$SELECT datahike.force_branch('side', 'db', ARRAY[NULL])$$, '22004', NULL, 'nor a parent');
SELECT throws_ok($$SELECT * FROM datahike.reflog('nowhere')$$, '42704', NULL, 'the reflog is a branch''s');
SELECT throws_ok($$SELECT * FROM datahike.reflog('db', -1)$$, '22023', NULL, 'max is a number of rows');
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT throws_ok($$SELECT datahike.force_branch('side', 'db')$$, '0A000', NULL, 'not in a SERIALIZABLE transaction');
ROLLBACK;
SELECT * FROM finish();
