-- merge() over tables of many kinds, and tables that have been altered since the branch was made.
SELECT plan(20);
CREATE FUNCTION rows(regclass) RETURNS text LANGUAGE plpgsql AS $$
  DECLARE r text; BEGIN EXECUTE format('SELECT string_agg(x::text, '' '' ORDER BY x::text) FROM %s x', $1) INTO r; RETURN r; END $$;
CREATE FUNCTION counts(text, text DEFAULT 'fail') RETURNS text LANGUAGE sql AS $$
  SELECT concat_ws(' ', status, inserted, updated, deleted, conflicts) FROM datahike.merge($1, $2) $$;
CREATE FUNCTION conflicts(text) RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(concat_ws(' ', relation::text, key, "column", kind, constraint_name), E'\n' ORDER BY relation::text, key, "column")
  FROM datahike.conflicts($1) $$;

-- Inheritance: each table by itself.
CREATE TABLE parent (id int PRIMARY KEY, a int);
CREATE TABLE child (b int, PRIMARY KEY (id)) INHERITS (parent);
INSERT INTO parent VALUES (1, 1), (2, 2);
INSERT INTO child VALUES (3, 3, 3), (4, 4, 4);
SELECT datahike.create_branch('inherit') \g /dev/null
SET datahike.branch = 'inherit';
UPDATE parent SET a = a * 10 WHERE id IN (1, 3);
DELETE FROM ONLY parent WHERE id = 2;
INSERT INTO child VALUES (5, 5, 5);
RESET datahike.branch;
UPDATE parent SET a = a + 1 WHERE id = 4;
SELECT is(counts('inherit'), 'merged 1 2 1 0', 'inheritance');
SELECT is((SELECT string_agg(concat(tableoid::regclass, id, ' ', a), ',' ORDER BY id) FROM parent), 'parent1 10,child3 30,child4 5,child5 5', 'each table by itself');

-- Types whose equality is not that of the bytes, and indexes of many kinds.
CREATE COLLATION nocase (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE TYPE pair AS (x int, y text);
CREATE TABLE ty (k text COLLATE nocase, n numeric, c pair, arr int[], j jsonb, PRIMARY KEY (k, n));
CREATE UNIQUE INDEX ty_partial ON ty (((c).x)) WHERE arr IS NOT NULL;
CREATE INDEX ON ty USING gin (j);
CREATE INDEX ON ty ((n * 2));
INSERT INTO ty VALUES ('Ab', 1.0, '(1,q)', '{1,2}', '{"x":1}'), ('cd', 2, NULL, NULL, NULL);
SELECT datahike.create_branch('types') \g /dev/null
SET datahike.branch = 'types';
UPDATE ty SET n = 1.00, arr = '{3}' WHERE k = 'ab';
UPDATE ty SET k = 'CD', j = '{"y":2}' WHERE k = 'cd';
INSERT INTO ty VALUES ('z', 1, '(7,w)', '{}', NULL);
RESET datahike.branch;
UPDATE ty SET c = '(9,zz)' WHERE k = 'ab';
SELECT is(counts('types'), 'merged 1 2 0 0', 'a key that is equal under its collation is the same key');
SELECT is(rows('ty'), '(Ab,1.00,"(9,zz)",{3},"{""x"": 1}") (CD,2,,,"{""y"": 2}") (z,1,"(7,w)",{},)', 'and takes the new spelling');
SET enable_seqscan = off;
SELECT is((SELECT k COLLATE "C" FROM ty WHERE j @> '{"y":2}'), 'CD', 'GIN has it');
SELECT is((SELECT k COLLATE "C" FROM ty WHERE n * 2 = 4), 'CD', 'so has an index over an expression');
RESET enable_seqscan;
SET datahike.branch = 'types';
INSERT INTO ty VALUES ('y', 1, '(9,w)', '{}', NULL);
RESET datahike.branch;
SELECT is(conflicts('types'), 'ty {"k": "y", "n": 1} unique ty_partial', 'a partial unique index');

-- Altered since.
CREATE TABLE al (id int PRIMARY KEY, a int, b text, c int);
INSERT INTO al VALUES (1, 1, '1', 1), (2, 2, '2', 2), (3, 3, '3', 3);
SELECT datahike.create_branch('alter') \g /dev/null
SET datahike.branch = 'alter';
UPDATE al SET a = 10 WHERE id = 1;
RESET datahike.branch;
UPDATE al SET c = 30 WHERE id = 3;
ALTER TABLE al DROP b, ADD e int DEFAULT 7, ALTER c TYPE bigint;
SET datahike.branch = 'alter';
UPDATE al SET e = 8 WHERE id = 2;
RESET datahike.branch;
SELECT is(counts('alter'), 'merged 0 2 0 0', 'columns dropped, added, of another type');
SELECT is(rows('al'), '(1,10,1,7) (2,2,2,8) (3,3,30,7)', 'since the branch was made');
CREATE TABLE kd (id int PRIMARY KEY, v text);
INSERT INTO kd VALUES (1, 'a'), (2, 'b');
SELECT datahike.create_branch('keyless') \g /dev/null
SET datahike.branch = 'keyless';
UPDATE kd SET id = 5 WHERE id = 1;
RESET datahike.branch;
UPDATE kd SET v = 'A' WHERE id = 1;
SELECT is(conflicts('keyless'), 'kd {"id": 1} update/delete', 'with a primary key, another key is another row');
ALTER TABLE kd DROP CONSTRAINT kd_pkey;
SELECT is(counts('keyless'), 'merged 0 1 0 0', 'without, the same row');
SELECT is(rows('kd'), '(2,b) (5,A)', 'which both have changed');

-- What the transaction has done already.
CREATE TABLE ow (id int PRIMARY KEY, v int);
CREATE TABLE own (v int);
INSERT INTO ow SELECT i, i FROM generate_series(1, 4) i;
INSERT INTO own SELECT i FROM generate_series(1, 4) i;
SELECT datahike.create_branch('own') \g /dev/null
SET datahike.branch = 'own';
UPDATE ow SET v = 20 WHERE id = 2;
INSERT INTO ow VALUES (9, 9);
INSERT INTO own VALUES (9);
UPDATE own SET v = 44 WHERE v = 4;
RESET datahike.branch;
BEGIN;
TRUNCATE ow, own;
INSERT INTO ow VALUES (2, 2), (7, 7);
INSERT INTO own VALUES (7);
SELECT is(counts('own', 'theirs'), 'merged 3 1 0 1', 'a transaction that has truncated the tables');
SELECT is(rows('ow') || rows('own'), '(2,20) (7,7) (9,9)(44) (7) (9)', 'and filled them again');
COMMIT;
SELECT is(rows('ow') || rows('own'), '(2,20) (7,7) (9,9)(44) (7) (9)', 'after COMMIT, too');

-- Heap tables on the other side of foreign keys.
CREATE TABLE hp (id int PRIMARY KEY) USING heap;
CREATE TABLE dc (id int PRIMARY KEY, h int REFERENCES hp);
CREATE TABLE dp (id int PRIMARY KEY);
CREATE TABLE hc (d int REFERENCES dp ON DELETE CASCADE) USING heap;
INSERT INTO hp VALUES (1), (2);
INSERT INTO dp VALUES (1), (2);
SELECT datahike.create_branch('heap') \g /dev/null
SET datahike.branch = 'heap';
INSERT INTO dc VALUES (1, 2);
DELETE FROM dp WHERE id = 2;
RESET datahike.branch;
DELETE FROM hp WHERE id = 2;
INSERT INTO hc VALUES (2);
SELECT is(conflicts('heap'), 'dc {"id": 1} foreign key dc_h_fkey
dp {"id": 2} foreign key hc_d_fkey', 'heap tables have no branches: what they hold now counts');
INSERT INTO hp VALUES (2);
TRUNCATE hc;
SELECT is(counts('heap'), 'merged 1 0 1 0', 'when they agree it is merged');

-- An error in the merge undoes it, and what comes after a savepoint goes on.
CREATE FUNCTION refuse(relation text, key jsonb, col text, base jsonb, ours jsonb, theirs jsonb) RETURNS jsonb LANGUAGE plpgsql
  AS $$ BEGIN RAISE EXCEPTION 'undecided'; END $$;
SET datahike.branch = 'own';
UPDATE ow SET v = 1000 WHERE id = 2;
INSERT INTO ow VALUES (1, 1) ON CONFLICT DO NOTHING;
RESET datahike.branch;
UPDATE ow SET v = 2000 WHERE id = 2;
BEGIN;
SELECT throws_ok($$SELECT datahike.merge('own', resolver => 'refuse(text,jsonb,text,jsonb,jsonb,jsonb)')$$, 'P0001', 'undecided', 'an error of the resolver');
SELECT is(counts('own', 'ours'), 'merged 0 0 0 1', 'ends that merge alone');
COMMIT;
SELECT is(rows('ow'), '(2,2000) (7,7) (9,9)', 'and the next is made');
SELECT * FROM finish();
