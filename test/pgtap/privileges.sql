-- Who may make and delete branches, what the log tells to whom, and what is nobody's to call.
SELECT plan(27);
CREATE ROLE tap_maker;
CREATE ROLE tap_other;
CREATE ROLE tap_member IN ROLE tap_maker;
CREATE ROLE tap_owner;
SELECT format('GRANT CREATE ON DATABASE %I TO tap_maker', current_database()) \gexec
CREATE TABLE open_table (id int, v text);
CREATE TABLE closed_table (id int);
CREATE TABLE half_table (id int, secret text);
CREATE TABLE "odd""\ name
	here" (id int);
GRANT SELECT ON open_table TO tap_other;
GRANT SELECT (id) ON half_table TO tap_other;
INSERT INTO open_table VALUES (1);
SET datahike.message = 'about the closed one';
INSERT INTO closed_table VALUES (1), (2);
RESET datahike.message;
INSERT INTO half_table VALUES (1);
BEGIN;
INSERT INTO open_table VALUES (2);
INSERT INTO closed_table VALUES (3);
COMMIT;

-- branches
SET ROLE tap_other;
SELECT throws_ok($$SELECT datahike.create_branch('others')$$, '42501', NULL, 'a branch takes CREATE on the database');
SET ROLE tap_maker;
SELECT is(datahike.create_branch('made'), 'made', 'with which one is made');
SELECT is(datahike.create_branch('made_too'), 'made_too', 'or two');
SELECT is(datahike.create_branch('for_owner'), 'for_owner', 'or three');
RESET ROLE;
SELECT is((SELECT owner FROM datahike.branch_permissions WHERE name = 'made'), 'tap_maker', 'it belongs to its maker');
SELECT datahike.create_branch('of_superuser') \g /dev/null
SET ROLE tap_other;
SELECT throws_ok($$SELECT datahike.delete_branch('made')$$, '42501', NULL, 'another role cannot delete it');
SELECT throws_ok($$SELECT datahike.delete_branch('no_such')$$, '42704', NULL, 'nor one that is not there');
SET ROLE tap_maker;
SELECT throws_ok($$SELECT datahike.delete_branch('of_superuser')$$, '42501', NULL, 'CREATE on the database is not enough');
SELECT is(datahike.delete_branch('made'), 'made', 'its maker can');
SET ROLE tap_member;
SELECT is(datahike.delete_branch('made_too'), 'made_too', 'so can a member of that role');
RESET ROLE;
SELECT format('ALTER DATABASE %I OWNER TO tap_owner', current_database()) \gexec
SET ROLE tap_owner;
SELECT is(datahike.delete_branch('for_owner'), 'for_owner', 'so can the owner of the database');
RESET ROLE;
SELECT is(datahike.delete_branch('of_superuser'), 'of_superuser', 'so can a superuser');
SELECT results_eq('SELECT * FROM datahike.branches()', ARRAY['db'], 'no branch is left');

-- the log
SET ROLE tap_other;
SELECT is((SELECT changes FROM datahike.log() LIMIT 1), '{"open_table": {"inserted": 1, "updated": 0, "deleted": 0}}', 'log() leaves out what may not be selected from');
SELECT is((SELECT changes FROM datahike.log() OFFSET 1 LIMIT 1), '{"half_table": {"inserted": 1, "updated": 0, "deleted": 0}}', 'the privilege on one column is enough');
SELECT results_eq('SELECT message, changes FROM datahike.log() OFFSET 2 LIMIT 1', $$VALUES ('about the closed one', '{}'::jsonb)$$, 'the commit itself is there');
SELECT is((SELECT changes FROM datahike.log() OFFSET 3 LIMIT 1), '{"open_table": {"inserted": 1, "updated": 0, "deleted": 0}}', 'and the rest of the log');
RESET ROLE;
SELECT is((SELECT count(*) FROM datahike.log(max => 1), jsonb_object_keys(changes)), 2::bigint, 'a superuser sees all of it');
DROP TABLE open_table;
SET ROLE tap_other;
SELECT is((SELECT changes FROM datahike.log() LIMIT 1), '{}', 'a table that is gone is nobody''s');
SET ROLE tap_owner;
SELECT is((SELECT changes ? 'open_table' FROM datahike.log() LIMIT 1), true, 'but the owner''s of the database');
RESET ROLE;

-- names are escaped
INSERT INTO "odd""\ name
	here" VALUES (1);
SELECT is((SELECT k FROM datahike.log(max => 1), jsonb_object_keys(changes) k), E'odd"\\ name\n\there', 'a table''s name may have any character');

-- functions
SET ROLE tap_other;
SELECT throws_ok('SELECT datahike.initialize()', '42501', NULL, 'initialize() is not for everyone');
SELECT throws_ok('SELECT datahike.check_preloaded()', '42501', NULL, 'nor is check_preloaded()');
SELECT throws_ok('CREATE TEMP TABLE x (a int); CREATE TRIGGER x BEFORE INSERT ON x EXECUTE FUNCTION datahike.refuse_replicated_change()', '42501', NULL, 'nor the trigger function');
SELECT lives_ok('SELECT * FROM datahike.stats(), datahike.branches()', 'the others are');
RESET ROLE;
SELECT throws_ok('SELECT datahike.initialize()', '55000', NULL, 'initialize() works once');
SELECT results_eq('SELECT count(*) FROM datahike.branch', ARRAY[1::bigint], 'and leaves nothing behind');

SELECT format('ALTER DATABASE %I OWNER TO postgres', current_database()) \gexec
DROP OWNED BY tap_maker, tap_other, tap_member, tap_owner;
DROP ROLE tap_member, tap_maker, tap_other, tap_owner;
SELECT * FROM finish();
