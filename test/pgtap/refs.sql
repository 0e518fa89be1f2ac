-- Tags, the view of all names, renaming, and names that are none.
SELECT plan(60);
CREATE TABLE t (id int PRIMARY KEY, v text);
CREATE TEMP TABLE mark (name text PRIMARY KEY, id uuid) USING heap;
CREATE FUNCTION at(text) RETURNS text LANGUAGE sql AS $$ SELECT id::text FROM mark WHERE name = $1 $$;
INSERT INTO t VALUES (1, 'a');
INSERT INTO mark SELECT 'one', datahike.commit_id();
SET datahike.author = 'ada';
SET datahike.message = 'second';
INSERT INTO t VALUES (2, 'b');
RESET datahike.author;
RESET datahike.message;
INSERT INTO mark SELECT 'two', datahike.commit_id();

-- tags
SELECT is(datahike.tag('v1', at('one')), 'v1', 'tag answers with the name');
SELECT is(datahike.tag('v2'), 'v2', 'of the current view by default');
SELECT results_eq('SELECT name, commit_id::text, tx, owner FROM datahike.tags()',
  format($$VALUES ('v1', %L, 2::bigint, 'postgres'), ('v2', %L, 3::bigint, 'postgres')$$, at('one'), at('two')), 'tags() lists them');
SELECT is((SELECT commit_id::text FROM datahike.commit_info('v1')), at('one'), 'a tag is a revision');
SELECT is((SELECT commit_id::text FROM datahike.commit_info('v2~1')), at('one'), 'also with ~N');
SELECT is((SELECT commit_id::text FROM datahike.commit_info('v2@2')), at('one'), 'or @tx');
SELECT is(datahike.create_branch('from_tag', 'v1'), 'from_tag', 'a branch can begin at one');
INSERT INTO t VALUES (3, 'c');
SELECT is((SELECT commit_id::text FROM datahike.commit_info('v2')), at('two'), 'it does not move');
SELECT throws_ok($$SELECT datahike.tag('v1')$$, '42710', NULL, 'a tag''s name is used once');
SELECT throws_ok($$SELECT datahike.tag('db')$$, '42710', NULL, 'not for what is a branch');
SELECT throws_ok($$SELECT datahike.create_branch('v1')$$, '42710', NULL, 'nor the other way round');
SELECT throws_ok($$SELECT datahike.tag('x', 'nowhere')$$, '42704', NULL, 'the revision must exist');
SELECT throws_ok($$SELECT datahike.tag('')$$, '42602', NULL, 'an empty name is bad');
SELECT throws_ok($$SELECT datahike.tag('v~1')$$, '42602', NULL, 'so is one that reads as a revision');
SELECT throws_ok($$SELECT datahike.tag('deadbeef')$$, '42602', NULL, 'or as a commit');
SELECT throws_ok($$SELECT datahike.tag(NULL)$$, '42602', NULL, 'NULL is no name');
SELECT throws_ok($$SELECT datahike.delete_tag('nowhere')$$, '42704', NULL, 'only what exists can be deleted');
SELECT throws_ok($$SELECT datahike.delete_tag(NULL)$$, '42602', NULL, 'NULL does not');
BEGIN;
SELECT datahike.tag('undone') \g /dev/null
SELECT ok('undone' IN (SELECT name FROM datahike.tags()), 'a tag is there for its own transaction');
ROLLBACK;
SELECT ok('undone' NOT IN (SELECT name FROM datahike.tags()), 'ROLLBACK undoes it');
BEGIN;
INSERT INTO t VALUES (4, 'd');
SELECT throws_ok($$SELECT datahike.tag('x')$$, '0A000', NULL, 'uncommitted changes have no commit to name');
ROLLBACK;
SELECT is(datahike.delete_tag('v1'), 'v1', 'delete_tag answers with the name');
SELECT throws_ok($$SELECT * FROM datahike.commit_info('v1')$$, '42704', NULL, 'which is none any more');
SELECT is(datahike.tag('v1', at('two')), 'v1', 'and free');

-- refs
SELECT results_eq('SELECT name, kind, commit_id::text, tx, author, message, is_current FROM datahike.refs ORDER BY kind, name',
  format($$VALUES ('db', 'branch', %L, 4::bigint, 'postgres', NULL, true), ('from_tag', 'branch', %L, 2, 'postgres', NULL, false),
    ('v1', 'tag', %L, 3, 'ada', 'second', false), ('v2', 'tag', %L, 3, 'ada', 'second', false)$$,
    datahike.commit_id(), at('one'), at('two'), at('two')), 'refs has branches and tags');
SET datahike.branch = from_tag;
SELECT is((SELECT name FROM datahike.refs WHERE is_current), 'from_tag', 'and knows the current branch');
RESET datahike.branch;

-- rename
SELECT is(datahike.rename_branch('from_tag', 'feature'), 'feature', 'rename_branch answers with the new name');
SELECT results_eq('SELECT * FROM datahike.branches()', ARRAY['db', 'feature'], 'the new one is there, the old one is not');
SELECT throws_ok($$SET datahike.branch = from_tag$$, '42704', NULL, 'not for anybody');
SET datahike.branch = feature;
SELECT is((SELECT count(*) FROM t), 1::bigint, 'with the same rows');
RESET datahike.branch;
SELECT results_eq($$SELECT operation FROM datahike.reflog('feature')$$, ARRAY['rename: from_tag to feature', 'create'], 'and past');
BEGIN;
SELECT datahike.rename_branch('feature', 'undone') \g /dev/null
ROLLBACK;
SELECT ok('feature' IN (SELECT datahike.branches()), 'ROLLBACK undoes it');
SELECT throws_ok($$SELECT datahike.rename_branch('nowhere', 'x')$$, '42704', NULL, 'the branch must exist');
SELECT throws_ok($$SELECT datahike.rename_branch('feature', 'db')$$, '42710', NULL, 'the new name must not');
SELECT throws_ok($$SELECT datahike.rename_branch('feature', 'v1')$$, '42710', NULL, 'as a tag either');
SELECT throws_ok($$SELECT datahike.rename_branch('feature', 'a b')$$, '42602', NULL, 'and be a name');
SELECT throws_ok($$SELECT datahike.rename_branch('db', 'main')$$, '55000', NULL, 'the default branch keeps its name');
SELECT throws_ok($$SELECT datahike.rename_branch(NULL, 'x')$$, '42602', NULL, 'NULL is no name');
SELECT throws_ok($$SELECT datahike.rename_branch('feature', NULL)$$, '42602', NULL, 'nor a new one');
BEGIN;
SET LOCAL datahike.branch = feature;
INSERT INTO t VALUES (9, 'x');
SET LOCAL datahike.branch = db;
SELECT throws_ok($$SELECT datahike.rename_branch('feature', 'x')$$, '55006', NULL, 'not while it is written');
SELECT throws_ok($$SELECT datahike.delete_branch('feature')$$, '55006', NULL, 'nor deleted');
ROLLBACK;
SET datahike.branch = feature;
SELECT throws_ok($$SELECT datahike.rename_branch('feature', 'x')$$, '55006', NULL, 'not the branch that this session uses');
SELECT throws_ok($$SELECT datahike.delete_branch('feature')$$, '55006', NULL, 'nor deleted');
RESET datahike.branch;
SELECT throws_ok($$SELECT datahike.delete_branch(NULL)$$, '42602', NULL, 'NULL is no branch');
SELECT throws_ok($$SELECT datahike.create_branch(NULL)$$, '42602', NULL, 'nowhere');
BEGIN READ ONLY;
SELECT throws_ok($$SELECT datahike.tag('x')$$, '25006', NULL, 'a read-only transaction makes no tag');
ROLLBACK;
BEGIN READ ONLY;
SELECT throws_ok($$SELECT datahike.rename_branch('feature', 'x')$$, '25006', NULL, 'and renames nothing');
ROLLBACK;
BEGIN READ ONLY;
SELECT throws_ok($$SELECT datahike.force_branch('feature', 'db')$$, '25006', NULL, 'nor sets it elsewhere');
ROLLBACK;
BEGIN READ ONLY;
SELECT throws_ok($$SELECT datahike.protect_branch('feature')$$, '25006', NULL, 'nor protects it');
ROLLBACK;

-- the graph
SET datahike.branch = feature;
SET datahike.message = E'on the\nfeature';
INSERT INTO t VALUES (2, 'f');
SELECT datahike.merge_parent('db') \g /dev/null
RESET datahike.message;
RESET datahike.branch;
CREATE FUNCTION drawn(VARIADIC revisions text[]) RETURNS SETOF text LANGUAGE sql AS
  $$ SELECT rtrim(regexp_replace(line, '[0-9a-f]{8}', 'id')) FROM datahike.graph(VARIADIC revisions) line $$;
SELECT results_eq($$SELECT drawn('feature', 'db')$$,
  ARRAY['*   id (feature) on the', E'|\\', '* | id on the', '| * id (db)', '| * id (tag: v1, tag: v2) second', '|/', '* id', '* id'], 'graph() draws the history');
SELECT is((SELECT count(*) FROM datahike.graph(2, 'feature')), 3::bigint, 'as much of it as is asked for');
SELECT results_eq('SELECT * FROM datahike.graph()', $$SELECT * FROM datahike.graph('db')$$, 'of the current view by default');
SELECT throws_ok($$SELECT * FROM datahike.graph('nowhere')$$, '42704', NULL, 'of commits there are');
SELECT throws_ok($$SELECT * FROM datahike.graph(-1)$$, '22023', NULL, 'not less than none');

-- hints
CREATE FUNCTION hint_of(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE found text;
BEGIN EXECUTE statement; RETURN 'no error';
EXCEPTION WHEN OTHERS THEN GET STACKED DIAGNOSTICS found = PG_EXCEPTION_HINT; RETURN found; END $$;
SELECT matches(hint_of($$SELECT * FROM datahike.commit_info('nowhere')$$), 'tag.*~N.*@timestamp', 'an unknown revision is told all forms');
SELECT matches(hint_of($$SET datahike.commit_id = 'deadbeef'$$), 'whole id.*commit_info', 'a prefix where a commit id is needed is told how to get one');
SELECT is(hint_of($$SET datahike.commit_id = 'v1'$$), format('"v1" is a tag, of commit %s.', (SELECT commit_id FROM datahike.commit_info('v1'))), 'and so is one where a commit is');
SELECT is(hint_of($$SET datahike.branch = 'v1'$$), format('"v1" is a tag. SET datahike.commit_id = ''%s'' reads its commit.', (SELECT commit_id FROM datahike.commit_info('v1'))), 'a tag where a branch is needed is told how it is read');
CREATE VIEW seen AS SELECT 1 AS a;
SELECT throws_ok($$SELECT * FROM datahike.at(NULL::seen, 'v1')$$, '42809', '"seen" is not a table with versions of its own', 'a view is not asked for a null value of its type');
CREATE TABLE h (a int) USING heap;
SELECT throws_ok($$SELECT datahike.relation_size('h')$$, '42809', 'relation "h" is not a datahike table', 'relation_size() names the relation');
SELECT * FROM finish();
