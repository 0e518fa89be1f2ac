-- How commits descend from one another, and transactions that are merges.
SELECT plan(43);
CREATE TABLE t (id int PRIMARY KEY, v text);
CREATE TEMP TABLE mark (name text PRIMARY KEY, id uuid) USING heap;
CREATE FUNCTION at(text) RETURNS text LANGUAGE sql AS $$ SELECT id::text FROM mark WHERE name = $1 $$;
INSERT INTO mark SELECT 'root', datahike.commit_id();
INSERT INTO t VALUES (1, 'base');
INSERT INTO mark SELECT 'base', datahike.commit_id();
SELECT datahike.create_branch('side') \g /dev/null
INSERT INTO t VALUES (2, 'main');
INSERT INTO mark SELECT 'main', datahike.commit_id();
SET datahike.branch = side;
INSERT INTO t VALUES (3, 'side');
INSERT INTO mark SELECT 'side', datahike.commit_id();
RESET datahike.branch;

-- before there is any merge
SELECT results_eq($$SELECT datahike.ancestors('side')::text$$, ARRAY[at('base'), at('root')], 'ancestors, newest first');
SELECT results_eq($$SELECT datahike.ancestors()::text$$, ARRAY[at('base'), at('root')], 'of the current view by default');
SELECT is_empty($$SELECT datahike.ancestors(at('root'))$$, 'the root commit has none');
SELECT ok(datahike.is_ancestor(at('base'), 'side'), 'is_ancestor');
SELECT ok(datahike.is_ancestor('side', 'side'), 'of itself');
SELECT ok(NOT datahike.is_ancestor('side', at('base')), 'not the other way round');
SELECT ok(NOT datahike.is_ancestor('side', 'db'), 'nor of a sibling');
SELECT is(datahike.common_ancestor('side', 'db')::text, at('base'), 'the merge base of two branches');
SELECT is(datahike.common_ancestor('side~1', 'db')::text, at('base'), 'of a commit and its descendant');
SELECT is(datahike.common_ancestor('db', 'db')::text, at('main'), 'of a commit and itself');
SELECT throws_ok($$SELECT datahike.common_ancestor('db', 'nowhere')$$, '42704', NULL, 'both must exist');
SELECT throws_ok($$SELECT datahike.is_ancestor('nowhere', 'db')$$, '42704', NULL, 'here too');
SELECT throws_ok($$SELECT datahike.is_ancestor(NULL, 'db')$$, '22004', NULL, 'NULL is no revision');
SELECT throws_ok($$SELECT datahike.common_ancestor('db', NULL)$$, '22004', NULL, 'anywhere');
SELECT is((SELECT parents::text[] FROM datahike.commit_info('db')), ARRAY[at('base')], 'commit_info() names parents');
SELECT is((SELECT changes FROM datahike.commit_info()), '{"t": {"inserted": 1, "updated": 0, "deleted": 0}}', 'and changes');
SELECT throws_ok($$SELECT * FROM datahike.commit_info('nowhere')$$, '42704', NULL, 'of a commit there is');

-- a transaction with rows and a further parent
BEGIN;
SELECT datahike.merge_parent('side') \g /dev/null
INSERT INTO t VALUES (3, 'taken over');
SAVEPOINT s;
SELECT datahike.merge_parent('side~1') \g /dev/null
ROLLBACK TO s;
COMMIT;
INSERT INTO mark SELECT 'merge', datahike.commit_id();
SELECT results_eq('SELECT datahike.parent_commits()::text', ARRAY[at('main'), at('side')], 'both parents, the branch''s own first');
SELECT is((SELECT parents::text[] FROM datahike.log('db', 1)), ARRAY[at('main'), at('side')], 'in the log too');
SELECT results_eq($$SELECT commit_id::text FROM datahike.log()$$, ARRAY[at('merge'), at('side'), at('main'), at('base'), at('root')], 'which has every ancestor once');
SELECT ok(datahike.is_ancestor('side', 'db'), 'what was merged is an ancestor');
SELECT is(datahike.common_ancestor('side', 'db')::text, at('side'), 'and the merge base of what follows');
SELECT is((SELECT string_agg(v, ', ' ORDER BY id) FROM t), 'base, main, taken over', 'the rows are the transaction''s own');

-- with no rows
SELECT datahike.merge_parent('side') \g /dev/null
INSERT INTO mark SELECT 'again', datahike.commit_id();
SELECT results_eq('SELECT datahike.parent_commits()::text', ARRAY[at('merge'), at('side')], 'a merge without a change is a commit');
SELECT is((SELECT changes FROM datahike.commit_info()), '{}', 'that changes nothing');
BEGIN;
SELECT datahike.merge_parent('db~2') \g /dev/null
SELECT datahike.merge_parent('side') \g /dev/null
SELECT datahike.merge_parent('side') \g /dev/null
SELECT datahike.merge_parent('db') \g /dev/null
COMMIT;
SELECT results_eq('SELECT datahike.parent_commits()::text', ARRAY[at('again'), at('main'), at('side')], 'each parent counts once, the branch''s own commit first');

-- undone
INSERT INTO mark SELECT 'before', datahike.commit_id();
BEGIN;
SELECT datahike.merge_parent('side') \g /dev/null
ROLLBACK;
SELECT is(datahike.commit_id()::text, at('before'), 'ROLLBACK leaves no commit');
BEGIN;
SAVEPOINT s;
SELECT datahike.merge_parent('side') \g /dev/null
ROLLBACK TO s;
COMMIT;
SELECT is(datahike.commit_id()::text, at('before'), 'ROLLBACK TO neither');
BEGIN;
SELECT datahike.merge_parent('side') \g /dev/null
SAVEPOINT s;
SELECT datahike.merge_parent('db~1') \g /dev/null
INSERT INTO t VALUES (4, 'undone');
ROLLBACK TO s;
SAVEPOINT u;
INSERT INTO t VALUES (5, 'kept');
RELEASE u;
COMMIT;
SELECT results_eq('SELECT datahike.parent_commits()::text', ARRAY[at('before'), at('side')], 'ROLLBACK TO keeps what came before the savepoint');
SELECT is((SELECT string_agg(id::text, ' ' ORDER BY id) FROM t), '1 2 3 5', 'parents and rows alike');

-- on the branch that is set when it is called
BEGIN;
SET LOCAL datahike.branch = side;
SELECT datahike.merge_parent('db') \g /dev/null
SET LOCAL datahike.branch = db;
INSERT INTO t VALUES (6, 'main');
COMMIT;
INSERT INTO mark SELECT 'db', datahike.commit_id();
SELECT is((SELECT count(*) FROM datahike.parent_commits('side')), 2::bigint, 'the branch that was set is the one that merges');
SELECT is((SELECT count(*) FROM datahike.parent_commits('db')), 1::bigint, 'and no other');

-- criss-cross
SELECT datahike.create_branch('a', 'db') \g /dev/null
SELECT datahike.create_branch('b', 'db') \g /dev/null
SET datahike.branch = a;
INSERT INTO t VALUES (10, 'a');
INSERT INTO mark SELECT 'a', datahike.commit_id();
SET datahike.branch = b;
INSERT INTO t VALUES (11, 'b');
INSERT INTO mark SELECT 'b', datahike.commit_id();
SELECT datahike.merge_parent('a') \g /dev/null
SET datahike.branch = a;
SELECT datahike.merge_parent(at('b')) \g /dev/null
RESET datahike.branch;
SELECT is(datahike.common_ancestor('a', 'b')::text, at('b'), 'of several merge bases it is the newest');

-- errors
SELECT throws_ok($$SELECT datahike.merge_parent('nowhere')$$, '42704', NULL, 'the source must exist');
SELECT throws_ok($$SELECT datahike.merge_parent(NULL)$$, '22004', NULL, 'NULL is none');
BEGIN READ ONLY;
SELECT throws_ok($$SELECT datahike.merge_parent('side')$$, '25006', NULL, 'not in a read-only transaction');
ROLLBACK;
SELECT set_config('datahike.commit_id', at('base'), false) \g /dev/null
SELECT throws_ok($$SELECT datahike.merge_parent('side')$$, '25006', NULL, 'nor under a pinned view');
RESET datahike.commit_id;
BEGIN;
SELECT datahike.merge_parent('side') \g /dev/null
SELECT throws_ok($$SELECT datahike.create_branch('x')$$, '0A000', NULL, 'a pending merge is an uncommitted change');
SELECT throws_ok($$SELECT datahike.delete_branch('db')$$, '55000', NULL, 'the default branch stays');
ROLLBACK;
BEGIN;
SET LOCAL datahike.branch = a;
SELECT datahike.merge_parent('side') \g /dev/null
SELECT throws_ok($$SELECT datahike.delete_branch('a')$$, '55006', NULL, 'and holds its branch');
ROLLBACK;
SET client_min_messages = error;

-- prepared
BEGIN;
SELECT datahike.merge_parent('a') \g /dev/null
PREPARE TRANSACTION 'merging';
INSERT INTO t VALUES (7, 'between');
INSERT INTO mark SELECT 'between', datahike.commit_id();
SELECT is((SELECT count(*) FROM datahike.parent_commits()), 1::bigint, 'a prepared merge is none yet');
COMMIT PREPARED 'merging';
SELECT is((SELECT count(*) FROM datahike.parent_commits()), 2::bigint, 'COMMIT PREPARED makes it one');
SELECT ok(datahike.is_ancestor('a', 'db') AND datahike.is_ancestor(at('between'), 'db'), 'on what has become of the branch');

SELECT * FROM finish();
