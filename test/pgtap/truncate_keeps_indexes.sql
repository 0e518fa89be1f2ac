-- TRUNCATE leaves indexes as they are: rows of other branches, of older commits and before a ROLLBACK are found by all of them,
-- also after a second TRUNCATE of the transaction; what triggers and the rest of the transaction insert is in them.
SELECT plan(48);
CREATE EXTENSION amcheck;

-- What each index finds of the rows with n up to 40, beside what a scan of the table finds.
CREATE FUNCTION looks() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  conditions text[] := ARRAY['id = 7', 'n = 7', 'upper(v) = ''ROW 7''', 'n = 7 AND v > ''row 5''', 'n = 3 AND v > ''row 5''', 'hash = 7', 'tags @> ''{7}''',
    'box @> point(7, 7)', 'block BETWEEN 7 AND 7'];
  condition text; by_index bigint; by_scan bigint; found text := '';
BEGIN
  FOREACH condition IN ARRAY conditions LOOP
    SET LOCAL enable_seqscan = on; SET LOCAL enable_indexscan = off; SET LOCAL enable_bitmapscan = off; SET LOCAL enable_indexonlyscan = off;
    EXECUTE 'SELECT count(*) FROM t WHERE ' || condition INTO by_scan;
    SET LOCAL enable_seqscan = off; SET LOCAL enable_indexscan = on; SET LOCAL enable_bitmapscan = on;
    EXECUTE 'SELECT count(*) FROM t WHERE ' || condition INTO by_index;
    found := found || by_index;
    IF by_index <> by_scan THEN found := found || '!' || by_scan; END IF;
  END LOOP;
  RETURN found;
END $$;
CREATE TABLE t (id int PRIMARY KEY, n int, v text, hash int, tags int[], box box, block int);
CREATE INDEX t_n ON t (n);
CREATE INDEX t_e ON t (upper(v));
CREATE INDEX t_p ON t (n) WHERE v > 'row 5';
CREATE INDEX t_h ON t USING hash (hash);
CREATE INDEX t_g ON t USING gin (tags);
CREATE INDEX t_s ON t USING gist (box);
CREATE INDEX t_q ON t USING spgist (box);
CREATE INDEX t_b ON t USING brin (block);
CREATE FUNCTION files() RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(pg_relation_filenode(indexrelid)::text, ',' ORDER BY indexrelid) FROM pg_index WHERE indrelid = 't'::regclass $$;
CREATE FUNCTION fill(first int DEFAULT 1) RETURNS void LANGUAGE sql AS $$
  INSERT INTO t SELECT g, g, 'row ' || g, g, ARRAY[g], box(point(g, g), point(g, g)), g FROM generate_series(first, first + 39) g $$;
SELECT fill();
SELECT is(looks(), '111101111', 'indexes find rows');
SELECT datahike.create_branch('old') \g /dev/null
SELECT datahike.commit_id() AS full_commit \gset
SELECT files() AS files \gset

TRUNCATE t;
SELECT is(files(), :'files', 'the indexes keep their files');
SELECT is(looks(), '000000000', 'the table is empty');
SET datahike.branch = 'old';
SELECT is(looks(), '111101111', 'a branch has its rows by index');
SELECT lives_ok('INSERT INTO t (id, n) VALUES (100, 100)', 'takes new ones');
SELECT throws_ok('INSERT INTO t (id, n) VALUES (7, 7)', '23505', NULL, 'and sees that keys are unique');
RESET datahike.branch;
SET datahike.commit_id = :'full_commit';
SELECT is(looks(), '111101111', 'so has an older commit');
RESET datahike.commit_id;
SELECT fill();
SELECT is(looks(), '111101111', 'the same keys are there again');
SELECT throws_ok('INSERT INTO t (id, n) VALUES (7, 7)', '23505', NULL, 'and unique');

-- twice in a transaction
BEGIN;
TRUNCATE t;
SELECT fill();
TRUNCATE t;
SELECT is(looks(), '000000000', 'twice in a transaction: the table is empty');
SELECT fill(5);
TRUNCATE t;
SELECT fill(6);
COMMIT;
SELECT is(looks(), '111101111', 'what came last is there');
SET datahike.branch = 'old';
SELECT is(looks(), '111101111', 'a branch has its rows by expression, too');
RESET datahike.branch;
SELECT is((SELECT count(*) FROM t), 40::bigint, 'and the other only what came last');

-- rolled back
BEGIN;
SAVEPOINT one;
TRUNCATE t;
TRUNCATE t;
SELECT fill(5);
SAVEPOINT two;
TRUNCATE t;
SELECT is(looks(), '000000000', 'within savepoints: the table is empty');
ROLLBACK TO two;
SELECT is(looks(), '111101111', 'rolled back once');
ROLLBACK TO one;
SELECT is(looks(), '111101111', 'rolled back twice');
SELECT is((SELECT min(id) FROM t), 6, 'with the rows of before');
TRUNCATE t;
SELECT fill(7);
RELEASE one;
TRUNCATE t;
SELECT fill(4);
COMMIT;
SELECT is(looks(), '111101111', 'committed after all');
SELECT is((SELECT min(id) FROM t), 4, 'with the last rows');
BEGIN;
TRUNCATE t;
SELECT fill(1);
ROLLBACK;
SELECT is(looks(), '111101111', 'a transaction rolled back');
SELECT is((SELECT min(id) FROM t), 4, 'with the rows of before');

-- COPY FREEZE, as pgbench -i does it, goes by a TRUNCATE in its subtransaction
CREATE TABLE frozen (id int PRIMARY KEY, v text);
CREATE INDEX frozen_e ON frozen (upper(v));
INSERT INTO frozen VALUES (1, 'a'), (2, 'b');
BEGIN;
TRUNCATE frozen;
COPY frozen FROM PROGRAM 'echo "3,c"' WITH (FORMAT csv, FREEZE);
SELECT results_eq('TABLE frozen', $$VALUES (3, 'c')$$, 'TRUNCATE and COPY FREEZE');
TRUNCATE frozen;
SAVEPOINT a;
TRUNCATE frozen;
TRUNCATE frozen;
COPY frozen FROM PROGRAM 'echo "5,e"' WITH (FORMAT csv, FREEZE);
SELECT results_eq('TABLE frozen', $$VALUES (5, 'e')$$, 'in a savepoint, after two');
ROLLBACK TO a;
SELECT throws_ok($$COPY frozen FROM PROGRAM 'echo "6,f"' WITH (FORMAT csv, FREEZE)$$, '55000', NULL, 'not in a subtransaction after it');
ROLLBACK;
SET enable_seqscan = off;
SELECT is((SELECT id FROM frozen WHERE upper(v) = 'B'), 2, 'the indexes are as before');
RESET enable_seqscan;

-- a table of the transaction's own
BEGIN;
CREATE TABLE own (id int PRIMARY KEY, v text);
CREATE INDEX own_e ON own (upper(v));
INSERT INTO own SELECT g, 'row ' || g FROM generate_series(1, 9) g;
TRUNCATE own;
INSERT INTO own SELECT g, 'new ' || g FROM generate_series(1, 9) g;
SAVEPOINT a;
TRUNCATE own;
ROLLBACK TO a;
COMMIT;
SET enable_seqscan = off;
SELECT is((SELECT id FROM own WHERE upper(v) = 'NEW 5'), 5, 'a table of the transaction: rows are found by expression');
SELECT is((SELECT v FROM own WHERE id = 5), 'new 5', 'and by key');
RESET enable_seqscan;

-- triggers, of the table and of another in the same command
CREATE TABLE other (id int) USING heap;
CREATE FUNCTION refill() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM fill(); RETURN NULL; END $$;
CREATE TRIGGER after_t AFTER TRUNCATE ON t EXECUTE FUNCTION refill();
TRUNCATE t;
SELECT is(looks(), '111101111', 'what a trigger inserts is in the indexes');
ALTER TABLE t DISABLE TRIGGER after_t;
CREATE TRIGGER after_other AFTER TRUNCATE ON other EXECUTE FUNCTION refill();
TRUNCATE t, other;
SELECT is(looks(), '111101111', 'by the trigger of another table, too');
TRUNCATE other, t;
SELECT is(looks(), '111101111', 'in any order');
CREATE FUNCTION refuse_truncate() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$;
CREATE TRIGGER fails AFTER TRUNCATE ON other EXECUTE FUNCTION refuse_truncate();
BEGIN;
DO $$ BEGIN TRUNCATE t, other; EXCEPTION WHEN raise_exception THEN NULL; END $$;
SELECT is(looks(), '111101111', 'where a trigger fails nothing has happened');
DELETE FROM t;
SELECT fill(3);
COMMIT;
SELECT is(looks(), '111101111', 'and rows go on being in the indexes');
DROP TRIGGER fails ON other;
CREATE FUNCTION rows_of_t() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM t WHERE id = 7';
CREATE TRIGGER checked AFTER TRUNCATE ON other WHEN (rows_of_t() = 1) EXECUTE FUNCTION refuse_truncate();
SELECT lives_ok('TRUNCATE t, other', 'conditions of triggers see the table empty');
SELECT is(looks(), '111101111', 'and the rest goes on');
DROP TABLE other;

-- references, cascades, sequences
CREATE TABLE parent (id int PRIMARY KEY);
CREATE TABLE child (id serial PRIMARY KEY, parent int REFERENCES parent);
CREATE INDEX ON child (parent);
INSERT INTO parent VALUES (1), (2);
INSERT INTO child (parent) VALUES (1), (2);
SELECT throws_ok('TRUNCATE parent', '0A000', NULL, 'a table that is referred to');
SET client_min_messages = warning;
TRUNCATE parent RESTART IDENTITY CASCADE;
RESET client_min_messages;
SELECT throws_ok('INSERT INTO child (parent) VALUES (1)', '23503', NULL, 'its rows are gone for references');
INSERT INTO parent VALUES (1);
INSERT INTO child (parent) VALUES (1);
SELECT results_eq('SELECT * FROM child', 'VALUES (2, 1)', 'sequences begin again');
SELECT throws_ok('DELETE FROM parent', '23503', NULL, 'references hold');

-- indexes that are not whole
SET allow_system_table_mods = on;
UPDATE pg_index SET indisvalid = false WHERE indexrelid = 't_n'::regclass;
SELECT pg_relation_filenode('t_n') AS file \gset
TRUNCATE t;
SELECT is((SELECT indisvalid FROM pg_index WHERE indexrelid = 't_n'::regclass), true, 'an index that is not valid is built anew');
SELECT isnt(pg_relation_filenode('t_n')::text, :'file', 'in a new file');
SELECT fill();
SET datahike.branch = 'old';
SELECT is(looks(), '111101111', 'with entries for all branches');
RESET datahike.branch;

-- partitions, unlogged tables, and one that keeps no history
CREATE TABLE parted (id int PRIMARY KEY) PARTITION BY RANGE (id);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (10);
CREATE TABLE parted_2 PARTITION OF parted FOR VALUES FROM (10) TO (20);
INSERT INTO parted VALUES (5), (15);
TRUNCATE parted;
SELECT lives_ok('INSERT INTO parted VALUES (5), (15)', 'partitions are emptied');
CREATE UNLOGGED TABLE unlogged (id int PRIMARY KEY);
INSERT INTO unlogged VALUES (1);
TRUNCATE unlogged;
SELECT lives_ok('INSERT INTO unlogged VALUES (1)', 'unlogged tables are');

-- what else a transaction does to the indexes
BEGIN;
TRUNCATE t;
REINDEX TABLE t;
CREATE INDEX t_n2 ON t (n);
TRUNCATE t;
SELECT fill();
COMMIT;
SELECT is(looks(), '111101111', 'indexes built between two');
SET datahike.branch = 'old';
SELECT is(looks(), '111101111', 'have the rows of branches');
RESET datahike.branch;
VACUUM t;
SELECT is(looks(), '111101111', 'VACUUM afterwards');
SELECT lives_ok($$SELECT bt_index_check('t_pkey', true), bt_index_check('t_n', true), bt_index_check('t_e', true)$$, 'indexes are sound');
SELECT is((SELECT count(*) FROM datahike.verify(true) WHERE status <> 'ok'), 0::bigint, 'the store is');
SELECT * FROM finish();
