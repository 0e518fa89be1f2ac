-- ctid counts from (0,1) in each table: what takes one means a row of that table
SELECT plan(27);

CREATE TABLE a (id int PRIMARY KEY, v text);
CREATE TABLE b (id int PRIMARY KEY, up int REFERENCES a);
INSERT INTO a VALUES (1, 'one'), (2, 'two');
INSERT INTO b VALUES (1, 1);
SELECT is((SELECT ctid FROM a WHERE id = 1), '(0,1)'::tid, 'the first row of a table');
SELECT is((SELECT ctid FROM b), '(0,1)'::tid, 'the first row of another');

-- branches never share one
SELECT datahike.create_branch('other') AS created \gset
CREATE TABLE seen (branch text, id int, row_at tid) USING heap;
INSERT INTO a VALUES (3, 'main');
INSERT INTO seen SELECT 'main', id, ctid FROM a;
SET datahike.branch = 'other';
INSERT INTO a VALUES (4, 'other');
INSERT INTO seen SELECT 'other', id, ctid FROM a;
RESET datahike.branch;
SELECT is((SELECT count(DISTINCT row_at) FROM seen), 4::bigint, 'four rows on two branches have four TIDs');
SELECT is((SELECT count(*) FROM (SELECT row_at FROM seen GROUP BY row_at HAVING count(DISTINCT id) > 1) x), 0::bigint,
  'and none is that of two rows');
SELECT is((SELECT id FROM a WHERE ctid = (SELECT row_at FROM seen WHERE id = 4)), NULL, 'a row of the other branch is not found by its TID');

-- functions that take one
SELECT isnt(datahike.row_entity('a'::regclass, '(0,1)'), datahike.row_entity('b'::regclass, '(0,1)'), 'two entities with one TID');
SELECT datahike.commit_id() AS now \gset
SELECT isnt((datahike.row_origin('a'::regclass, '(0,1)', :'now')).commit_id, (datahike.row_origin('b'::regclass, '(0,1)', :'now')).commit_id, 'made by two commits');
DELETE FROM b;
DELETE FROM a WHERE id = 2;
INSERT INTO a VALUES (6, 'six');
INSERT INTO b VALUES (2, 1);
SELECT is((SELECT id FROM a WHERE ctid = (SELECT r FROM datahike.rows_only_in('a'::regclass, NULL, :'now') r)), 6, 'the row since');
BEGIN;
SELECT is((SELECT xmax::text FROM a WHERE id = 1), '0', 'nobody removes a row');
DECLARE c CURSOR FOR SELECT xmax::text <> '0' AS removing FROM a WHERE id = 1;
DELETE FROM b;
DELETE FROM a WHERE id = 1;
FETCH c \gset
SELECT ok(:'removing', 'xmax of a row that is being removed');
ROLLBACK;

-- a reference from a row with the TID of the erased one
\set ON_ERROR_STOP off
SELECT * FROM datahike.purge('a', 'id = 1');
SELECT is(:'SQLSTATE'::text, '23503', 'the referrer is not taken for the erased row');
\set ON_ERROR_STOP on
SELECT is((SELECT v FROM a WHERE id = 1), 'one', 'nothing is erased');

-- after TRUNCATE and a rewrite TIDs go on, and find rows
TRUNCATE a CASCADE;
INSERT INTO a VALUES (5, 'five');
SELECT isnt((SELECT ctid FROM a), '(0,1)'::tid, 'no TID is used again');
ALTER TABLE a ALTER id TYPE bigint;
VACUUM FULL a;
SELECT is((SELECT v FROM a WHERE ctid = (SELECT ctid FROM a WHERE id = 5)), 'five', 'a row of a rewritten table');
-- no block comes after the last one: not the first again
INSERT INTO b VALUES (7, 5);
SELECT is((SELECT count(*) FROM b WHERE ctid = ANY (ARRAY['(4294967295,1)', '(4294967295,2)', '(4294967295,3)', '(4294967295,4)']::tid[])),
  0::bigint, 'the block that is none');
SELECT is(datahike.row_entity('b'::regclass, '(4294967295,1)'), NULL, 'no entity is there');

-- a table that becomes one of datahike
CREATE TABLE h (n int) USING heap;
INSERT INTO h VALUES (1), (2);
ALTER TABLE h SET ACCESS METHOD datahike;
SELECT is((SELECT array_agg(ctid ORDER BY n) FROM h), ARRAY['(0,1)', '(0,2)']::tid[], 'rows of what was a heap table');
ALTER TABLE h SET ACCESS METHOD heap;
ALTER TABLE h SET ACCESS METHOD datahike;
INSERT INTO h VALUES (3);
SELECT is((SELECT string_agg(n::text, ' ' ORDER BY ctid) || ' ' || count(DISTINCT ctid) FROM h), '1 2 3 3', 'and once more');

-- tables that are undone, and dropped ones that are not
BEGIN;
CREATE TABLE undone (n int);
INSERT INTO undone VALUES (1);
ROLLBACK;
CREATE TABLE undone (n int PRIMARY KEY);
INSERT INTO undone VALUES (1), (2);
SELECT is((SELECT array_agg(ctid ORDER BY n) FROM undone), ARRAY['(0,1)', '(0,2)']::tid[], 'after a CREATE TABLE that was rolled back');
BEGIN;
DROP TABLE undone;
ROLLBACK;
BEGIN;
SAVEPOINT s;
DROP TABLE undone;
ROLLBACK TO s;
INSERT INTO undone SELECT generate_series(3, 300);
COMMIT;
INSERT INTO undone VALUES (301);
SET enable_seqscan = off;
SELECT results_eq('SELECT count(*), count(DISTINCT ctid), (SELECT n FROM undone WHERE ctid = (SELECT ctid FROM undone WHERE n = 301)) FROM undone',
  $$VALUES (301::bigint, 301::bigint, 301)$$, 'after a DROP TABLE that was');

-- what is in shared memory of a table that is undone goes, with the savepoint as with the transaction
CREATE FUNCTION blocks() RETURNS bigint LANGUAGE sql AS $$ SELECT rowid_blocks FROM datahike.stats() $$;
CREATE FUNCTION drawn() RETURNS bigint LANGUAGE sql AS $$ SELECT last_value FROM datahike.rowid_block $$;
SELECT blocks() AS before \gset
BEGIN;
SAVEPOINT a;
CREATE TABLE undone2 (n int);
SAVEPOINT b;
CREATE TABLE undone3 (n int);
INSERT INTO undone3 VALUES (1);
RELEASE b;
SELECT is(blocks() - :before, 2::bigint, 'two tables have blocks');
ROLLBACK TO a;
SELECT is(blocks(), :before::bigint, 'and none once they are undone');
CREATE TABLE kept (n int);
SAVEPOINT c;
CREATE TABLE kept2 (n int);
RELEASE c;
COMMIT;
SELECT is(blocks() - :before, 2::bigint, 'those that are not keep theirs');
DROP TABLE kept2;
SELECT is(blocks() - :before, 1::bigint, 'until they are dropped');

-- a block without a row is the next new table's: rewriting tables takes one, not one each time
CREATE MATERIALIZED VIEW m AS SELECT g AS n FROM generate_series(1, 10) g;
REFRESH MATERIALIZED VIEW m;
SELECT drawn() AS before \gset
REFRESH MATERIALIZED VIEW m;
VACUUM FULL a;
ALTER TABLE a ALTER v TYPE varchar(100);
REFRESH MATERIALIZED VIEW m;
SELECT cmp_ok(drawn() - :before, '<=', 1::bigint, 'rewrites take a block for rows of another type alone');
BEGIN;
SAVEPOINT s;
CREATE TABLE undone4 (n int);
ROLLBACK TO s;
CREATE TABLE next (n int PRIMARY KEY);
INSERT INTO next VALUES (1), (2);
COMMIT;
SELECT is((SELECT array_agg(ctid ORDER BY n) FROM next), ARRAY['(0,1)', '(0,2)']::tid[], 'a table with such a block');
-- what a table had whose DROP is undone is not the next one's
CREATE TABLE both1 (n int);
BEGIN;
DROP TABLE both1;
ROLLBACK;
CREATE TABLE both2 (n int);
INSERT INTO both1 SELECT generate_series(1, 70);
INSERT INTO both2 SELECT generate_series(101, 170);
SELECT results_eq('SELECT count(*), count(DISTINCT ctid), sum(n) FROM both1 UNION ALL SELECT count(*), count(DISTINCT ctid), sum(n) FROM both2',
  $$VALUES (70::bigint, 70::bigint, 2485::bigint), (70, 70, 9485)$$, 'two tables that had the same block');
SELECT * FROM finish();
