-- A unique violation on another branch says on which; roles that protect, and roles that are gone.
SELECT plan(11);
CREATE TABLE t (id int PRIMARY KEY, v int, w int);
INSERT INTO t SELECT g, g, g FROM generate_series(1, 10) g;
SELECT datahike.create_branch('o') \g /dev/null
SET datahike.branch = 'o';
UPDATE t SET v = 1 WHERE id = 2;
RESET datahike.branch;
CREATE FUNCTION context_of(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  context text;
BEGIN
  EXECUTE statement;
  RETURN 'no error';
EXCEPTION WHEN unique_violation THEN
  GET STACKED DIAGNOSTICS context = PG_EXCEPTION_CONTEXT;
  RETURN coalesce(substring(context from 'on branch "[^"]*"'), 'no branch');
END $$;
SELECT is(context_of('ALTER TABLE t ADD UNIQUE (v)'), 'on branch "o"', 'ADD UNIQUE');
SELECT is(context_of('CREATE UNIQUE INDEX ON t (v)'), 'on branch "o"', 'CREATE UNIQUE INDEX');
SET datahike.branch = 'o';
SELECT is(context_of('CREATE UNIQUE INDEX ON t (v)'), 'no branch', 'the session''s own needs no name');
RESET datahike.branch;
SELECT is(context_of('CREATE UNIQUE INDEX ON t (w)'), 'no error', 'what is unique everywhere');

CREATE ROLE uab_merger;
CREATE ROLE uab_owner;
DO $$ BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO uab_owner', current_database()); END $$;
SELECT datahike.set_branch_owner('o', 'uab_owner') \g /dev/null
SELECT datahike.protect_branch('db', 'uab_merger') \g /dev/null
SELECT throws_ok($$SELECT datahike.merge('o')$$, '42501', NULL, 'a superuser who is no member does not merge into a protected branch');
DO $$ BEGIN EXECUTE format('GRANT uab_merger TO %I', current_user); END $$;
SELECT is((SELECT status FROM datahike.merge('o')), 'fast-forward', 'one who has been made a member does');
SELECT is((SELECT owner FROM datahike.branch_permissions WHERE name = 'o'), 'uab_owner', 'a branch''s owner');
DO $$ BEGIN EXECUTE format('REVOKE CREATE ON DATABASE %I FROM uab_owner', current_database()); END $$;
DROP ROLE uab_owner;
DROP ROLE uab_merger;
SELECT is((SELECT owner FROM datahike.branch_permissions WHERE name = 'o'), NULL, 'is NULL once it is dropped');
SELECT is((SELECT mergers FROM datahike.branch_permissions WHERE name = 'db'), '{}'::name[], 'as mergers are none');
SELECT lives_ok($$SELECT datahike.unprotect_branch('db')$$, 'the database''s owner lifts the protection');
SELECT lives_ok($$SELECT datahike.delete_branch('o')$$, 'and deletes the branch');
SELECT * FROM finish();
