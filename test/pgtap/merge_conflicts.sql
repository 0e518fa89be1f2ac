-- Conflicts as conflicts() lists them and as merge(), cherry_pick() and revert() count them; resolvers by name.
SELECT plan(31);

-- In a database that has no commits of its own, whatever is asked first.
SELECT is((datahike.merge('db')).status, 'up to date', 'a merge in a fresh database');
SELECT is((SELECT count(*) FROM datahike.conflicts('db')), 0::bigint, 'has no conflicts');
SELECT throws_ok($$SELECT datahike.revert('db')$$, '22023', 'the first commit of all has nothing to pick or revert', 'and nothing to revert');

-- One conflict of a cell, a unique one beside it, and one that strategies make.
CREATE TABLE t (id int PRIMARY KEY, u int UNIQUE, a int, b int, CHECK (a + b < 100));
INSERT INTO t SELECT g, g, 1, 1 FROM generate_series(1, 10) g;
SELECT datahike.create_branch('x') \g /dev/null
SET datahike.branch = 'x';
UPDATE t SET a = 2 WHERE id = 1;
UPDATE t SET a = 60 WHERE id = 2;
INSERT INTO t VALUES (20, 99, 1, 1);
RESET datahike.branch;
UPDATE t SET a = 3 WHERE id = 1;
UPDATE t SET a = 4, b = 60 WHERE id = 2;
INSERT INTO t VALUES (30, 99, 1, 1);
CREATE FUNCTION listed(text, text DEFAULT 'fail', operation text DEFAULT 'merge') RETURNS text LANGUAGE sql VOLATILE AS $$
  SELECT string_agg(concat_ws(' ', key->>'id', "column", kind, constraint_name), ', ' ORDER BY (key->>'id')::int, kind)
  FROM datahike.conflicts($1, $2, operation => operation) $$;

SELECT is(listed('x'), '1 a cell, 2 a cell, 20 unique t_u_key', 'what a merge meets');
SELECT is((SELECT status || conflicts FROM datahike.merge('x')), 'conflicts3', 'which merge() counts alike');
SELECT is(listed('x', 'theirs'), '1 a cell, 2 a cell, 2 check t_check, 20 unique t_u_key', 'with what the strategy violates');
SELECT is((SELECT status || conflicts FROM datahike.merge('x', 'theirs')), 'conflicts4', 'counted alike');
SELECT is(listed('x', 'ours'), '1 a cell, 2 a cell, 20 unique t_u_key', 'another strategy');
SELECT is((SELECT status || conflicts FROM datahike.merge('x', 'ours')), 'conflicts3', 'counted alike');
SELECT is((SELECT string_agg(id || ':' || a, ' ' ORDER BY id) FROM t WHERE id IN (1, 2, 20)), '1:3 2:4', 'nothing has been done');
SELECT throws_ok($$SELECT * FROM datahike.conflicts('x', 'mine')$$, '22023', 'unknown merge strategy "mine"', 'a strategy that there is not');
SELECT throws_ok($$SELECT * FROM datahike.conflicts('x', operation => 'rebase')$$, '22023', 'unknown operation "rebase"', 'nor operation');
SELECT throws_ok($$SELECT * FROM datahike.conflicts('x', operation => NULL)$$, '22004', NULL, 'nor none');

-- cherry_pick() and revert()
SELECT is(listed('x~1', operation => 'cherry_pick'), '2 a cell', 'what picking one commit meets');
SELECT is((SELECT status || conflicts FROM datahike.cherry_pick('x~1')), 'conflicts1', 'as cherry_pick() counts');
SELECT is(listed('x~1', 'theirs', 'cherry_pick'), '2 a cell, 2 check t_check', 'with a strategy');
SELECT is((SELECT status || conflicts FROM datahike.cherry_pick('x~1', 'theirs')), 'conflicts2', 'as cherry_pick() counts');
UPDATE t SET b = 2 WHERE id = 2;
SELECT is(listed('db~2', operation => 'revert'), '2 b cell', 'what taking a commit back meets');
SELECT is((SELECT status || conflicts FROM datahike.revert('db~2')), 'conflicts1', 'as revert() counts');

-- Resolvers by name.
DELETE FROM t WHERE id = 30;
CREATE FUNCTION larger(relation regclass, key jsonb, col text, base jsonb, ours jsonb, theirs jsonb) RETURNS jsonb
  LANGUAGE sql AS $$ SELECT greatest(ours, theirs) $$;
SELECT is((SELECT count(*) FROM datahike.conflicts('x', resolver => 'larger')), 2::bigint, 'a resolver by its name');
BEGIN;
SELECT is((SELECT status || conflicts FROM datahike.merge('x', resolver => 'larger')), 'merged2', 'by which is merged');
ROLLBACK;
BEGIN;
SELECT is((SELECT status FROM datahike.merge('x', 'public.larger')), 'merged', 'also in the place of a strategy, with its schema');
SELECT is((SELECT a FROM t WHERE id = 2), 60, 'its answers are taken');
ROLLBACK;
BEGIN;
SELECT is((SELECT status FROM datahike.merge('x', resolver => 'larger(regclass,jsonb,text,jsonb,jsonb,jsonb)'::regprocedure)), 'merged', 'as regprocedure');
ROLLBACK;
BEGIN;
SELECT is((SELECT status FROM datahike.merge('x', resolver => p)), 'merged', 'as text') FROM (SELECT 'larger'::text AS p) AS parameter;
ROLLBACK;
SELECT throws_ok($$SELECT datahike.merge('x', resolver => 'nobody')$$, '42883', 'there is no resolver function "nobody"', 'a name without a function');
SELECT throws_ok($$SELECT datahike.merge('x', resolver => 'lower')$$, '42883', 'there is no resolver function "lower"', 'or with others');
CREATE FUNCTION larger(relation text, key jsonb, col text, base jsonb, ours jsonb, theirs jsonb) RETURNS jsonb
  LANGUAGE sql AS $$ SELECT ours $$;
SELECT throws_ok($$SELECT datahike.merge('x', resolver => 'larger')$$, '42725', NULL, 'a name with two resolvers');

-- What is wrong with an answer says where.
CREATE FUNCTION wrong(text, jsonb, text, jsonb, jsonb, jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT '"many"'::jsonb $$;
CREATE FUNCTION context_of(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  context text;
BEGIN
  EXECUTE statement;
  RETURN NULL;
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS context = PG_EXCEPTION_CONTEXT;
  RETURN substring(context from '[^\n]*resolving[^\n]*');
END $$;
SELECT throws_ok($$SELECT datahike.merge('x', 'wrong')$$, '22P02', 'invalid input syntax for type integer: "many"', 'an answer that is no value of the column');
SELECT is(context_of($$SELECT datahike.merge('x', 'wrong')$$), 'resolving column "a" of row {"id": 1} of table t', 'the error says of which');
UPDATE t SET a = 3, b = 1 WHERE id = 2;
DELETE FROM t WHERE id IN (1, 2);
SELECT is(context_of($$SELECT datahike.merge('x', 'wrong')$$), 'resolving row {"id": 1} of table t', 'or of which row');
SELECT * FROM finish();
