-- Whom branches belong to, and protected ones.
SELECT plan(56);
CREATE TABLE t (id int PRIMARY KEY, v text);
CREATE TABLE other (id int PRIMARY KEY REFERENCES t ON DELETE CASCADE);
INSERT INTO t VALUES (1, 'a'), (2, 'a');
INSERT INTO other VALUES (2);
CREATE ROLE bp_owner; CREATE ROLE bp_merger; CREATE ROLE bp_writer; CREATE ROLE bp_team; CREATE ROLE bp_member IN ROLE bp_team;
GRANT ALL ON t, other TO PUBLIC;
SELECT format('GRANT CREATE ON DATABASE %I TO bp_owner', current_database()) \gexec
GRANT USAGE, CREATE ON SCHEMA public TO PUBLIC;
SELECT datahike.commit_id() AS base \gset

SET ROLE bp_owner;
SELECT datahike.create_branch('mine') \g /dev/null
SELECT results_eq($$SELECT name, owner, protected, mergers FROM datahike.branch_permissions ORDER BY name$$,
  $$VALUES ('db', 'postgres'::name, false, '{}'::name[]), ('mine', 'bp_owner', false, '{}')$$, 'a branch belongs to who makes it');
SET ROLE bp_writer;
SELECT throws_ok($$SELECT datahike.create_branch('x')$$, '42501', NULL, 'making one takes CREATE on the database');
SELECT throws_ok($$SELECT datahike.tag('x')$$, '42501', NULL, 'so does a tag');
SELECT throws_ok($$SELECT datahike.delete_branch('mine')$$, '42501', NULL, 'deleting it is for the owner');
SELECT throws_ok($$SELECT datahike.rename_branch('mine', 'x')$$, '42501', NULL, 'so is renaming');
SELECT throws_ok($$SELECT datahike.force_branch('mine', 'db')$$, '42501', NULL, 'setting it to another commit');
SELECT throws_ok($$SELECT datahike.protect_branch('mine')$$, '42501', NULL, 'protecting');
SELECT throws_ok($$SELECT datahike.unprotect_branch('mine')$$, '42501', NULL, 'and unprotecting');
SELECT throws_ok($$SELECT datahike.set_branch_owner('mine', 'bp_writer')$$, '42501', NULL, 'and giving away');
SET ROLE bp_owner;
SELECT throws_ok($$SELECT datahike.set_branch_owner('mine', 'bp_writer')$$, '42501', NULL, 'not to a role that one is no member of');
SELECT throws_ok($$SELECT datahike.force_branch('db', 'mine')$$, '42501', NULL, 'the default branch belongs to who made the extension');
SELECT lives_ok($$SELECT datahike.force_branch('mine', 'db')$$, 'the owner may');
SELECT datahike.tag('mine_too') \g /dev/null
SET ROLE bp_writer;
SELECT throws_ok($$SELECT datahike.delete_tag('mine_too')$$, '42501', NULL, 'a tag is its maker''s to delete');
RESET ROLE;
SELECT lives_ok($$SELECT datahike.delete_tag('mine_too')$$, 'or the database owner''s');
GRANT bp_team TO bp_owner;
SELECT format('GRANT CREATE ON DATABASE %I TO bp_team', current_database()) \gexec
SET ROLE bp_owner;
SELECT lives_ok($$SELECT datahike.set_branch_owner('mine', 'bp_team')$$, 'to a team that can make branches it can go');
SET ROLE bp_member;
SELECT lives_ok($$SELECT datahike.rename_branch('mine', 'ours')$$, 'whose members then own it');
RESET ROLE;
SELECT is((SELECT owner FROM datahike.branch_permissions WHERE name = 'ours'), 'bp_team', 'as branch_permissions says');
SELECT throws_ok($$SELECT datahike.set_branch_owner('ours', 'nobody')$$, '42704', NULL, 'the role must exist');
SELECT throws_ok($$SELECT datahike.set_branch_owner('nowhere', 'bp_team')$$, '42704', NULL, 'the branch too');

-- execution can be taken away as of any function
SELECT datahike.set_branch_owner('ours', 'bp_owner') \g /dev/null
REVOKE EXECUTE ON FUNCTION datahike.force_branch FROM PUBLIC;
SET ROLE bp_owner;
SELECT throws_ok($$SELECT datahike.force_branch('ours', 'db')$$, '42501', NULL, 'REVOKE EXECUTE keeps functions from roles');
RESET ROLE;
GRANT EXECUTE ON FUNCTION datahike.force_branch TO PUBLIC;

-- protection
SELECT throws_ok($$SELECT datahike.protect_branch('ours', 'nobody')$$, '42704', NULL, 'mergers must exist');
SELECT throws_ok($$SELECT datahike.protect_branch('nowhere')$$, '42704', NULL, 'the branch too');
SELECT throws_ok($$SELECT datahike.protect_branch(NULL)$$, '42602', NULL, 'NULL is none');
SELECT throws_ok($$SELECT datahike.unprotect_branch(NULL)$$, '42602', NULL, 'here neither');
SELECT datahike.protect_branch('db', 'bp_merger', 'bp_team') \g /dev/null
SELECT results_eq($$SELECT protected, mergers FROM datahike.branch_permissions WHERE name = 'db'$$, $$VALUES (true, '{bp_merger,bp_team}'::name[])$$, 'a protected branch');
SELECT throws_ok($$INSERT INTO t VALUES (3, 'x')$$, '42501', NULL, 'takes no INSERT, not even a superuser''s');
SELECT throws_ok($$UPDATE t SET v = 'x'$$, '42501', NULL, 'no UPDATE');
SELECT throws_ok($$DELETE FROM t$$, '42501', NULL, 'no DELETE');
SELECT throws_ok($$TRUNCATE t CASCADE$$, '42501', NULL, 'no TRUNCATE');
SELECT throws_ok($$COPY t FROM PROGRAM 'echo "9	x"'$$, '42501', NULL, 'no COPY');
SELECT throws_ok($$INSERT INTO t VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET v = 'x'$$, '42501', NULL, 'no upsert');
SELECT throws_ok($$CREATE TABLE made AS SELECT 1 AS a$$, '42501', NULL, 'no table with rows');
SELECT throws_ok($$SELECT datahike.force_branch('db', 'ours')$$, '42501', NULL, 'and is not set elsewhere');
SELECT lives_ok($$SELECT * FROM t FOR UPDATE$$, 'locking rows changes nothing');
SELECT lives_ok($$DELETE FROM t WHERE id > 100$$, 'nor does a command that finds no row');
SELECT lives_ok($$ALTER TABLE t ADD n int DEFAULT 5$$, 'definitions are not a branch''s');
SELECT lives_ok($$ALTER TABLE t ALTER n TYPE bigint$$, 'also where the table is rewritten');
SET datahike.branch = ours;
SELECT lives_ok($$INSERT INTO t VALUES (4, 'ours')$$, 'other branches are as they were');
RESET datahike.branch;

-- merges
SET ROLE bp_writer;
SELECT throws_ok($$SELECT datahike.merge_parent('ours')$$, '42501', NULL, 'not everybody may merge');
SET ROLE bp_member;
BEGIN;
SELECT throws_ok($$INSERT INTO t VALUES (4, 'ours')$$, '42501', NULL, 'nor write, without merging');
ROLLBACK;
BEGIN;
SELECT datahike.merge_parent('ours') \g /dev/null
SELECT lives_ok($$INSERT INTO t VALUES (4, 'ours')$$, 'members of the roles that are named may, in a merge');
SELECT lives_ok($$DELETE FROM t WHERE id = 2$$, 'with referential actions');
SELECT is((SELECT count(*) FROM other), 0::bigint, 'which run as the table''s owner');
SET LOCAL ROLE bp_writer;
SELECT throws_ok($$INSERT INTO t VALUES (5, 'x')$$, '42501', NULL, 'but nobody else within it');
ROLLBACK;
BEGIN;
SAVEPOINT s;
SELECT datahike.merge_parent('ours') \g /dev/null
ROLLBACK TO s;
SELECT throws_ok($$INSERT INTO t VALUES (5, 'x')$$, '42501', NULL, 'or once it is undone');
ROLLBACK;
SET ROLE bp_writer;
SELECT throws_ok($$SELECT datahike.merge('ours')$$, '42501', NULL, 'merge() is no way around it');
SELECT is_empty($$SELECT * FROM datahike.conflicts('ours')$$, 'though anybody may look for conflicts');
SET ROLE bp_member;
BEGIN;
SELECT is((datahike.merge('ours')).status, 'merged', 'merge() is for the same roles');
ROLLBACK;
BEGIN;
SELECT is((datahike.cherry_pick('ours')).status, 'merged', 'so is cherry_pick()');
SELECT throws_ok($$INSERT INTO t VALUES (9, 'x')$$, '42501', NULL, 'which is over when it is done');
ROLLBACK;
RESET ROLE;
SELECT datahike.protect_branch('db') \g /dev/null
SELECT throws_ok($$SELECT datahike.merge_parent('ours')$$, '42501', NULL, 'without roles nobody merges');
SELECT datahike.protect_branch('ours') \g /dev/null
SELECT throws_ok($$SELECT datahike.delete_branch('ours')$$, '42501', NULL, 'a protected branch is not deleted');
SELECT throws_ok($$SELECT datahike.rename_branch('ours', 'x')$$, '42501', NULL, 'nor renamed');
SELECT lives_ok($$SELECT datahike.create_branch('more', 'ours')$$, 'but branched from');
SELECT datahike.unprotect_branch('db') \g /dev/null
SELECT lives_ok($$INSERT INTO t VALUES (5, 'x')$$, 'unprotect_branch ends it');
BEGIN;
SELECT datahike.protect_branch('db') \g /dev/null
ROLLBACK;
SELECT lives_ok($$INSERT INTO t VALUES (6, 'x')$$, 'ROLLBACK undoes protection');
SELECT * FROM finish();
DROP OWNED BY bp_owner, bp_merger, bp_writer, bp_team, bp_member;
DROP ROLE bp_owner, bp_merger, bp_writer, bp_member, bp_team;
