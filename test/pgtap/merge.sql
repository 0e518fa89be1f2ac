-- merge(): keyed and keyless tables, strategies, constraints on the merged state.
SELECT plan(65);
CREATE TABLE t (id int PRIMARY KEY, a int, b text);
CREATE TABLE n (a int, b text);
INSERT INTO t VALUES (1, 10, 'x'), (2, 20, 'y'), (3, 30, 'z'), (4, 40, 'w');
INSERT INTO n VALUES (1, 'x'), (1, 'x'), (2, 'y'), (3, 'z');
CREATE FUNCTION counts(text) RETURNS text LANGUAGE sql AS $$
  SELECT format('%s %s+ %s~ %s- %s!', status, inserted, updated, deleted, conflicts) FROM datahike.merge($1) $$;
CREATE FUNCTION counts(text, text) RETURNS text LANGUAGE sql AS $$
  SELECT format('%s %s+ %s~ %s- %s!', status, inserted, updated, deleted, conflicts) FROM datahike.merge($1, $2) $$;
CREATE FUNCTION rows(regclass) RETURNS text LANGUAGE plpgsql AS $$
  DECLARE r text; BEGIN EXECUTE format('SELECT string_agg(x::text, '' '' ORDER BY x::text) FROM %s x', $1) INTO r; RETURN r; END $$;
CREATE FUNCTION conflicts(text) RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(concat_ws(' ', relation::text, key, "column", kind, constraint_name, '|', coalesce(base::text, '-'), coalesce(ours::text, '-'),
    coalesce(theirs::text, '-')), E'\n' ORDER BY relation::text, key, "column") FROM datahike.conflicts($1) $$;

-- Without conflicts: each side's changes are there, cell by cell.
SELECT datahike.create_branch('f') \g /dev/null
SET datahike.branch = 'f';
UPDATE t SET a = 11 WHERE id = 1;
DELETE FROM t WHERE id = 2;
INSERT INTO t VALUES (5, 50, 'n');
UPDATE n SET b = 'xx' WHERE ctid = (SELECT min(ctid) FROM n);
DELETE FROM n WHERE a = 2;
INSERT INTO n VALUES (4, 'n'), (4, 'n');
RESET datahike.branch;
UPDATE t SET b = 'X' WHERE id = 1;
INSERT INTO t VALUES (6, 60, 'm');
DELETE FROM t WHERE id = 4;
INSERT INTO n VALUES (9, 'm');
SELECT is(conflicts('f'), NULL, 'no conflicts');
BEGIN;
SELECT is(counts('f'), 'merged 3+ 2~ 2- 0!', 'what is done is counted');
SELECT is(rows('t'), '(1,11,X) (3,30,z) (5,50,n) (6,60,m)', 'a table with a key');
SELECT is(rows('n'), '(1,x) (1,xx) (3,z) (4,n) (4,n) (9,m)', 'a table without, equal rows in it');
ROLLBACK;
SELECT is(rows('t'), '(1,10,X) (2,20,y) (3,30,z) (6,60,m)', 'ROLLBACK undoes it');
BEGIN;
SAVEPOINT s;
SELECT counts('f') \g /dev/null
ROLLBACK TO s;
SELECT is(rows('n'), '(1,x) (1,x) (2,y) (3,z) (9,m)', 'so does ROLLBACK TO');
SELECT is(counts('f'), 'merged 3+ 2~ 2- 0!', 'and it can be done again');
COMMIT;
SELECT is(rows('t'), '(1,11,X) (3,30,z) (5,50,n) (6,60,m)', 'COMMIT keeps it');
SELECT is((SELECT array_length(parents, 1) FROM datahike.log(NULL, 1)), 2, 'one commit with both parents');
SELECT is((SELECT message FROM datahike.log(NULL, 1)), 'Merge f', 'and a message');
SELECT is((SELECT count(*) FROM datahike.log(NULL, 1) l, datahike.log('f', 1) f WHERE f.commit_id = l.parents[2]), 1::bigint, 'the second is the source');
SELECT is(counts('f'), 'up to date 0+ 0~ 0- 0!', 'merging twice changes nothing');
SET enable_seqscan = off;
SELECT is((SELECT b FROM t WHERE id = 5), 'n', 'indexes have the rows');
RESET enable_seqscan;

-- What ours does with merged rows stands.
DELETE FROM n WHERE a = 4;
DELETE FROM t WHERE id = 5;
UPDATE n SET b = 'mine' WHERE b = 'xx';
SET datahike.branch = 'f';
INSERT INTO n VALUES (5, 'later');
RESET datahike.branch;
SELECT is(counts('f', 'theirs'), 'merged 1+ 0~ 0- 0!', 'a later merge brings only what is new');
SELECT is(rows('n'), '(1,mine) (1,x) (3,z) (5,later) (9,m)', 'rows deleted here stay deleted, changes here stand');
SELECT is(rows('t'), '(1,11,X) (3,30,z) (6,60,m)', 'with a key too');
SET datahike.branch = 'f';
SELECT is(counts('db'), 'fast-forward 2+ 2~ 4- 0!', 'and the other way round');
SELECT is(rows('n') || rows('t'), '(1,mine) (1,x) (3,z) (5,later) (9,m)(1,11,X) (3,30,z) (6,60,m)', 'both branches are the same');
RESET datahike.branch;
UPDATE t SET a = a;
SET datahike.branch = 'f';
UPDATE t SET a = a;
RESET datahike.branch;
SELECT is(counts('f'), 'merged 0+ 0~ 0- 0!', 'a merge that changes no row');
SELECT is((SELECT array_length(parents, 1) FROM datahike.log(NULL, 1)), 2, 'is a commit');

-- Conflicts.
SET datahike.branch = 'f';
UPDATE t SET a = 100, b = 'both' WHERE id = 1;
DELETE FROM t WHERE id = 3;
UPDATE t SET b = 'theirs' WHERE id = 6;
INSERT INTO t VALUES (7, 7, 'x'), (8, NULL, 'same');
RESET datahike.branch;
UPDATE t SET a = 200, b = 'both' WHERE id = 1;
UPDATE t SET a = 31 WHERE id = 3;
DELETE FROM t WHERE id = 6;
INSERT INTO t VALUES (7, NULL, 'x'), (8, NULL, 'same');
SELECT is(conflicts('f'), $$t {"id": 1} a cell | 11 200 100
t {"id": 3} update/delete | {"a": 30, "b": "z", "id": 3} {"a": 31, "b": "z", "id": 3} -
t {"id": 6} delete/update | {"a": 60, "b": "m", "id": 6} - {"a": 60, "b": "theirs", "id": 6}
t {"id": 7} a insert/insert | - null 7$$, 'conflicts() names them');
SELECT is(counts('f'), 'conflicts 0+ 0~ 0- 4!', 'fail does nothing');
SELECT is(rows('t'), '(1,200,both) (3,31,z) (7,,x) (8,,same)', 'nothing at all');
SELECT is((SELECT array_length(parents, 1) FROM datahike.log(NULL, 1)), 1, 'and makes no merge');
BEGIN;
SELECT is(counts('f', 'ours'), 'merged 0+ 0~ 0- 4!', 'ours');
SELECT is(rows('t'), '(1,200,both) (3,31,z) (7,,x) (8,,same)', 'keeps what is here');
ROLLBACK;
BEGIN;
SELECT is(counts('f', 'theirs'), 'merged 1+ 2~ 1- 4!', 'theirs');
SELECT is(rows('t'), '(1,100,both) (6,60,theirs) (7,7,x) (8,,same)', 'takes what is there');
ROLLBACK;
BEGIN;
SELECT is(counts('f', 'union'), 'merged 1+ 1~ 0- 4!', 'union');
SELECT is(rows('t'), '(1,200,both) (3,31,z) (6,60,theirs) (7,7,x) (8,,same)', 'keeps rows, and fills NULLs');
ROLLBACK;
CREATE FUNCTION sum(relation regclass, key jsonb, col text, base jsonb, ours jsonb, theirs jsonb) RETURNS jsonb LANGUAGE sql AS $$
  SELECT CASE WHEN col IS NOT NULL THEN to_jsonb(coalesce(nullif(ours, 'null')::int, 0) + coalesce(nullif(theirs, 'null')::int, 0))
    WHEN key->>'id' = '3' THEN NULL ELSE theirs || '{"b": "resolved"}' END $$;
BEGIN;
SELECT is((SELECT status FROM datahike.merge('f', resolver => 'sum(regclass,jsonb,text,jsonb,jsonb,jsonb)')), 'merged', 'a resolver');
SELECT is(rows('t'), '(1,300,both) (6,60,resolved) (7,7,x) (8,,same)', 'says what becomes of cells and rows');
ROLLBACK;
SELECT throws_ok($$SELECT datahike.merge('f', resolver => 'lower(text)')$$, '42883', NULL, 'a function that is no resolver');
SELECT throws_ok($$SELECT datahike.merge('f', 'ours', 'sum(regclass,jsonb,text,jsonb,jsonb,jsonb)')$$, '22023', NULL, 'a strategy and a resolver');
SELECT throws_ok($$SELECT datahike.merge('f', 'best')$$, '22023', NULL, 'an unknown strategy');
SELECT throws_ok($$SELECT datahike.merge('nobody')$$, '42704', NULL, 'an unknown source');
-- Resolved by hand, in the transaction of the merge.
BEGIN;
UPDATE t SET a = 100 WHERE id = 1;
DELETE FROM t WHERE id = 3;
INSERT INTO t VALUES (6, 6, 'mine');
UPDATE t SET a = 77 WHERE id = 7;
SELECT is(conflicts('f'), $$t {"id": 6} b cell | "m" "mine" "theirs"
t {"id": 7} a insert/insert | - 77 7$$, 'what equals theirs is no conflict');
SELECT is(counts('f', 'ours'), 'merged 0+ 0~ 0- 2!', 'ours takes what was made of the rest');
SELECT is(rows('t'), '(1,100,both) (6,6,mine) (7,77,x) (8,,same)', 'by hand');
COMMIT;
SELECT is(counts('f'), 'up to date 0+ 0~ 0- 0!', 'and that is the end of it');

-- Constraints of the merged state.
CREATE TABLE u (id int PRIMARY KEY, v int UNIQUE, w int DEFAULT 0, CHECK (v + w < 1000));
CREATE TABLE c (id int PRIMARY KEY, u int REFERENCES u ON DELETE CASCADE);
CREATE TABLE x (id int PRIMARY KEY, r int4range, EXCLUDE USING gist (r WITH &&));
CREATE TABLE d (id int PRIMARY KEY DEFERRABLE INITIALLY DEFERRED, v int UNIQUE DEFERRABLE INITIALLY DEFERRED);
INSERT INTO u VALUES (1, 1), (2, 2), (3, 3);
INSERT INTO c VALUES (1, 1);
INSERT INTO d VALUES (1, 1), (2, 2);
SELECT datahike.create_branch('g') \g /dev/null
SET datahike.branch = 'g';
UPDATE u SET v = -1 WHERE id = 1;
UPDATE u SET v = 1 WHERE id = 2;
UPDATE u SET v = 2 WHERE id = 1;
UPDATE d SET v = 3 - v;
RESET datahike.branch;
UPDATE u SET w = w;
SELECT is(counts('g'), 'merged 0+ 4~ 0- 0!', 'rows exchange unique values');
SELECT is(rows('u') || rows('d'), '(1,2,0) (2,1,0) (3,3,0)(1,2) (2,1)', 'of both kinds');
SET datahike.branch = 'g';
INSERT INTO u VALUES (10, 100), (11, 101);
DELETE FROM u WHERE id = 3;
UPDATE u SET w = 500 WHERE id = 2;
INSERT INTO c VALUES (5, 1), (10, 10);
INSERT INTO x VALUES (1, '[5,8)');
INSERT INTO d VALUES (5, 5);
RESET datahike.branch;
INSERT INTO u VALUES (20, 100);
INSERT INTO c VALUES (3, 3);
UPDATE u SET v = 600 WHERE id = 2;
INSERT INTO x VALUES (2, '[7,9)');
INSERT INTO d VALUES (6, 5);
SELECT is(conflicts('g'), $$c {"id": 10} foreign key c_u_fkey | - - {"u": 10, "id": 10}
d {"id": 5} unique d_v_key | - - {"v": 5, "id": 5}
u {"id": 2} check u_check | {"v": 1, "w": 0, "id": 2} {"v": 600, "w": 0, "id": 2} {"v": 1, "w": 500, "id": 2}
u {"id": 3} foreign key c_u_fkey | {"v": 3, "w": 0, "id": 3} {"v": 3, "w": 0, "id": 3} -
u {"id": 10} unique u_v_key | - - {"v": 100, "w": 0, "id": 10}
x {"id": 1} exclusion x_r_excl | - - {"r": "[5,8)", "id": 1}$$, 'violations are conflicts with the constraint''s name');
SELECT is(counts('g', 'theirs'), 'conflicts 0+ 0~ 0- 6!', 'to which no strategy has an answer');
SELECT is(rows('u') || rows('c'), '(1,2,0) (2,600,0) (20,100,0) (3,3,0)(1,1) (3,3)', 'nothing has been done');
BEGIN;
DELETE FROM x WHERE id = 2;
DELETE FROM d WHERE id = 6;
UPDATE u SET v = 20 WHERE id = 20;
DELETE FROM c WHERE id = 3;
UPDATE u SET v = 6 WHERE id = 2;
SELECT is(counts('g'), 'merged 6+ 1~ 1- 0!', 'they are resolved by changing rows here');
SELECT is(rows('u') || rows('c'), '(1,2,0) (10,100,0) (11,101,0) (2,6,500) (20,20,0)(1,1) (10,10) (5,1)', 'and all is there');
COMMIT;
SELECT throws_ok('INSERT INTO c VALUES (99, 3)', '23503', NULL, 'foreign keys go on being checked');
SET datahike.branch = 'g';
INSERT INTO c VALUES (12, 11);
RESET datahike.branch;
DELETE FROM u WHERE id = 11;
SELECT is(conflicts('g'), 'c {"id": 12} foreign key c_u_fkey | - - {"u": 11, "id": 12}', 'a parent that is gone here');
-- NOT NULL
ALTER TABLE t ALTER b SET NOT NULL;
SELECT datahike.create_branch('nn') \g /dev/null
CREATE FUNCTION nothing(relation text, key jsonb, col text, base jsonb, ours jsonb, theirs jsonb) RETURNS jsonb LANGUAGE sql AS 'SELECT NULL::jsonb';
SET datahike.branch = 'nn';
UPDATE t SET b = 'p' WHERE id = 1;
RESET datahike.branch;
UPDATE t SET b = 'q' WHERE id = 1;
SELECT is((SELECT status || conflicts FROM datahike.merge('nn', resolver => 'nothing(text,jsonb,text,jsonb,jsonb,jsonb)')), 'conflicts2', 'a resolver''s NULL in a NOT NULL column');

-- Other sources and tables.
CREATE TABLE p (id int, k int, v text, PRIMARY KEY (id, k)) PARTITION BY LIST (k);
CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1);
CREATE TABLE p2 PARTITION OF p FOR VALUES IN (2);
INSERT INTO p SELECT i, 1 + i % 2, 'v' FROM generate_series(1, 6) i;
CREATE TABLE tree (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, up int REFERENCES tree, g int GENERATED ALWAYS AS (up * 2) STORED, big text);
INSERT INTO tree (up, big) VALUES (NULL, repeat('abc', 100000)), (1, 'x');
SELECT datahike.create_branch('h') \g /dev/null
SET datahike.branch = 'h';
UPDATE p SET k = 3 - k WHERE id = 1;
UPDATE p SET v = 'x' WHERE id = 2;
INSERT INTO tree (up) VALUES (2), (3);
UPDATE tree SET big = big || '!' WHERE id = 1;
SELECT datahike.commit_id() AS commit \gset
UPDATE p SET v = 'not yet' WHERE id = 5;
RESET datahike.branch;
UPDATE p SET k = 3 - k WHERE id = 4;
UPDATE p SET v = 'y' WHERE id = 3;
UPDATE tree SET up = 1 WHERE id = 1;
SELECT is((SELECT status FROM datahike.merge(:'commit', message => 'up to here')), 'merged', 'a commit can be merged');
SELECT is((SELECT string_agg(concat(tableoid::regclass, id, k, v), ' ' ORDER BY id) FROM p), 'p111v p121x p232y p242v p252v p161v', 'partitions, rows moved between them');
SELECT is((SELECT string_agg(concat_ws(' ', id, up, g, length(big)), ',' ORDER BY id) FROM tree), '1 1 2 300001,2 1 2 1,3 2 4,4 3 6', 'identity, generated columns, references to itself, large values');
SELECT is((SELECT message FROM datahike.log(NULL, 1)), 'up to here', 'the message is recorded');
SELECT is(counts('h'), 'merged 0+ 1~ 0- 0!', 'then the rest of the branch');
SET datahike.branch = 'h';
TRUNCATE n;
CREATE TABLE young (id int PRIMARY KEY);
INSERT INTO young VALUES (1);
RESET datahike.branch;
INSERT INTO n VALUES (77, 'new');
SELECT is(counts('h'), 'merged 1+ 0~ 5- 0!', 'TRUNCATE there is the deletion of what was there');
SELECT is(rows('n') || rows('young'), '(77,new)(1)', 'a new table''s rows come along');
SET datahike.branch = 'h';
INSERT INTO young VALUES (2);
RESET datahike.branch;
DROP TABLE young;
SELECT is(counts('h'), 'merged 0+ 0~ 0- 0!', 'a dropped table''s do not');

-- Refused.
SET datahike.as_of = '2999-01-01';
SELECT throws_ok($$SELECT datahike.merge('h')$$, '25006', NULL, 'under a pinned view');
RESET datahike.as_of;
BEGIN READ ONLY;
SELECT throws_ok($$SELECT datahike.merge('h')$$, '25006', NULL, 'in a read-only transaction');
ROLLBACK;
BEGIN;
SET LOCAL datahike.branch = 'h';
INSERT INTO n VALUES (1, 'uncommitted');
SET LOCAL datahike.branch = 'db';
SELECT throws_ok($$SELECT datahike.merge('h')$$, '0A000', NULL, 'uncommitted changes of the source');
ROLLBACK;
CREATE ROLE tap_merger;
GRANT SELECT, INSERT, UPDATE (a) ON t TO tap_merger;
SET datahike.branch = 'h';
UPDATE t SET a = 5 WHERE id = 8;
RESET datahike.branch;
SET ROLE tap_merger;
SELECT lives_ok($$SELECT datahike.merge('h')$$, 'privileges for what is done are enough');
RESET ROLE;
SET datahike.branch = 'h';
UPDATE t SET b = 'b' WHERE id = 8;
RESET datahike.branch;
SET ROLE tap_merger;
SELECT throws_ok($$SELECT datahike.merge('h')$$, '42501', NULL, 'and no others');
RESET ROLE;
GRANT ALL ON t TO tap_merger;
ALTER TABLE t ENABLE ROW LEVEL SECURITY;
SET ROLE tap_merger;
SELECT throws_ok($$SELECT datahike.merge('h')$$, '0A000', NULL, 'row security');
RESET ROLE;
SELECT is(counts('h'), 'merged 0+ 1~ 0- 0!', 'which the owner bypasses');
SELECT * FROM finish();
