-- What holds on every branch, whichever one the session has set.
SELECT plan(15);
\set VERBOSITY verbose
-- deferred constraints are checked on the branch that is set at COMMIT: another one is refused there
CREATE TABLE parent (id int PRIMARY KEY);
CREATE TABLE child (parent_id int REFERENCES parent DEFERRABLE INITIALLY DEFERRED);
INSERT INTO parent VALUES (1);
INSERT INTO child VALUES (1);
SELECT datahike.create_branch('b') \g /dev/null
\set ON_ERROR_STOP off
BEGIN;
DELETE FROM parent WHERE id = 1;
SET datahike.branch = 'b';
COMMIT \g /dev/null
\set deferred :SQLSTATE
RESET datahike.branch;
BEGIN;
DELETE FROM child;
DELETE FROM parent WHERE id = 1;
SET datahike.branch = 'b';
SET datahike.branch = 'db';
COMMIT \g /dev/null
\set back :SQLSTATE
-- a transaction that only locked rows keeps its locks when it is prepared
CREATE TABLE plain (id int PRIMARY KEY);
CREATE TABLE referring (parent_id int REFERENCES plain) USING heap;
INSERT INTO plain VALUES (1);
BEGIN;
INSERT INTO referring VALUES (1);
PREPARE TRANSACTION 'locks';
SET lock_timeout = '100ms';
DELETE FROM plain;
\set prepared :SQLSTATE
RESET lock_timeout;
ROLLBACK PREPARED 'locks';
\set ON_ERROR_STOP on
RESET datahike.branch;
SELECT is(:'deferred'::text, '0A000', 'COMMIT with deferred constraints on another branch is refused');
SELECT is(:'back'::text, '00000', 'and accepted once the branch is set back');
SELECT is_empty('SELECT * FROM parent', 'with its changes');
SELECT is(:'prepared'::text, '55P03', 'row locks are not lost in a prepared transaction');
SELECT lives_ok('DELETE FROM plain', 'and go with it');
-- unique indexes are built over every branch, deleted ones left out
CREATE TABLE r (i int);
INSERT INTO r VALUES (1), (2);
SELECT datahike.create_branch('x') \g /dev/null
SET datahike.branch = 'x';
INSERT INTO r VALUES (1);
RESET datahike.branch;
SELECT throws_ok('CREATE UNIQUE INDEX ON r (i)', '23505', NULL, 'a duplicate on another branch is found');
SELECT throws_ok('ALTER TABLE r ADD UNIQUE (i), ADD COLUMN k float8 DEFAULT random()', '23505', NULL, 'and by a rewrite');
\set ON_ERROR_STOP off
CREATE UNIQUE INDEX CONCURRENTLY r_concurrently ON r (i);
\set concurrently :SQLSTATE
\set ON_ERROR_STOP on
SELECT is(:'concurrently'::text, '23505', 'CONCURRENTLY finds it too');
DROP INDEX r_concurrently;
SELECT datahike.delete_branch('x') \g /dev/null
SELECT datahike.delete_branch('b') \g /dev/null
SELECT lives_ok('CREATE UNIQUE INDEX ON r (i)', 'a deleted branch is in nobody''s way');
SELECT lives_ok('ALTER TABLE r ADD COLUMN k float8 DEFAULT random()', 'nor in that of a rewrite');
SELECT is((SELECT count(*) FROM r WHERE k IS NOT NULL), 2::bigint, 'which fills the column');
-- an update that leaves the keys alone keeps every index right
CREATE TABLE u (id int PRIMARY KEY, v int, w text);
CREATE INDEX ON u (w);
INSERT INTO u SELECT g, g, 'w' || g % 10 FROM generate_series(1, 1000) g;
UPDATE u SET v = v + 1;
UPDATE u SET v = v + 1 WHERE id <= 500;
SET enable_seqscan = off;
SELECT is((SELECT sum(v) FROM u WHERE id BETWEEN 1 AND 1000), (500500 + 1000 + 500)::bigint, 'by primary key');
SELECT is((SELECT count(*) FROM u WHERE w = 'w3'), 100::bigint, 'by another index');
SELECT throws_ok('INSERT INTO u VALUES (7, 0, NULL)', '23505', NULL, 'the key is still unique');
-- an indexed expression that runs queries while every branch's rows are being indexed
CREATE FUNCTION busy(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS
  $$ DECLARE r int; BEGIN SELECT count(*) * 0 + $1 INTO r FROM pg_am; RETURN r; END $$;
SELECT datahike.create_branch('b' || g) FROM generate_series(1, 9) g \g /dev/null
SELECT set_config('datahike.branch', 'b1', false) \g /dev/null
INSERT INTO u SELECT g, g FROM generate_series(2001, 2500) g;
SELECT set_config('datahike.branch', 'b7', false) \g /dev/null
INSERT INTO u SELECT g, g FROM generate_series(2001, 2500) g;
RESET datahike.branch;
SELECT lives_ok('CREATE INDEX ON u (busy(id))', 'an expression may run queries during the build');
SELECT * FROM finish();
