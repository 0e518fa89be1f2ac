-- versions() and blame(): which commit made a row, and which removed it.
SELECT plan(17);
CREATE TABLE t (id int PRIMARY KEY, v text);
SET datahike.author = 'alice';
INSERT INTO t VALUES (1, 'one'), (2, 'two'), (3, 'three');
SELECT datahike.commit_id() AS first \gset
SET datahike.author = 'bob';
UPDATE t SET v = 'TWO' WHERE id = 2;
DELETE FROM t WHERE id = 3;
RESET datahike.author;
CREATE TEMP TABLE log AS SELECT row_number() OVER (ORDER BY tx) - 1 AS n, * FROM datahike.log();
SELECT tx AS insert_tx FROM log WHERE n = 1 \gset
SELECT tx AS update_tx FROM log WHERE n = 2 \gset
SELECT tx AS delete_tx FROM log WHERE n = 3 \gset

SELECT results_eq('SELECT (b."row").id, (b."row").v, author FROM datahike.blame(NULL::t) b ORDER BY 1', $$VALUES (1, 'one', 'alice'), (2, 'TWO', 'bob')$$, 'who last set each row');
SELECT results_eq('SELECT b.commit_id, b.tx, b.committed_at FROM datahike.blame(NULL::t) b WHERE (b."row").id = 2', 'SELECT commit_id, tx, committed_at FROM log WHERE n = 2', 'by which commit');
SELECT results_eq(format('SELECT (b."row").v, author FROM datahike.blame(NULL::t, %L) b ORDER BY 1', :'first'), $$VALUES ('one', 'alice'), ('three', 'alice'), ('two', 'alice')$$, 'at a revision');
SELECT results_eq('SELECT (v."row").id, (v."row").v, tx_added, tx_removed FROM datahike.versions(NULL::t) v ORDER BY 1, 3',
  format($$VALUES (1, 'one', %1$s::bigint, NULL::bigint), (2, 'two', %1$s, %2$s), (2, 'TWO', %2$s, NULL), (3, 'three', %1$s, %3$s)$$, :insert_tx, :update_tx, :delete_tx), 'every version of every row');
SELECT is((SELECT bool_and(added_at = (SELECT committed_at FROM log WHERE tx = tx_added) AND removed_at IS NOT DISTINCT FROM (SELECT committed_at FROM log WHERE tx = tx_removed)) FROM datahike.versions(NULL::t)), true, 'with their times');
SELECT results_eq(format('SELECT (v."row").id, tx_removed FROM datahike.versions(NULL::t, %L) v ORDER BY 1', :'first'), $$VALUES (1, NULL::bigint), (2, NULL), (3, NULL)$$, 'as far as a revision knows');
SELECT is(current_setting('datahike.history') || current_setting('datahike.commit_id'), 'off', 'the settings are as before');
SET datahike.as_of = :insert_tx;
SELECT is((SELECT count(*) FROM datahike.versions(NULL::t)), 3::bigint, 'by default what the session reads');
SELECT is((SELECT count(*) FROM datahike.blame(NULL::t) WHERE author = 'alice'), 3::bigint, 'for blame too');
RESET datahike.as_of;

-- They join with one another and with tables; partitions and inheritance.
SELECT is((SELECT count(*) FROM t JOIN datahike.versions(NULL::t) v ON (v."row").id = t.id JOIN datahike.blame(NULL::t) b ON (b."row").id = t.id), 3::bigint, 'joined');
CREATE TABLE p (id int, v text) PARTITION BY RANGE (id);
CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (100);
CREATE TABLE p2 (v text, id int);
ALTER TABLE p ATTACH PARTITION p2 FOR VALUES FROM (100) TO (200);
INSERT INTO p VALUES (1, 'one'), (101, 'other');
UPDATE p SET id = 102 WHERE id = 1;
SELECT results_eq('SELECT (v."row").id, (v."row").v, tx_removed IS NULL FROM datahike.versions(NULL::p) v ORDER BY 1', $$VALUES (1, 'one', false), (101, 'other', true), (102, 'one', true)$$, 'partitions');
SELECT is((SELECT count(*) FROM datahike.blame(NULL::p)), 2::bigint, 'of a partitioned table');

-- Privileges and row security of the table hold.
CREATE ROLE versions_reader;
GRANT SELECT ON t TO versions_reader;
ALTER TABLE t ENABLE ROW LEVEL SECURITY;
CREATE POLICY low_ids ON t USING (id < 3);
SET ROLE versions_reader;
SELECT is((SELECT count(*) FROM datahike.versions(NULL::t)), 3::bigint, 'policies hold for versions');
SELECT is((SELECT count(*) FROM datahike.blame(NULL::t)), 2::bigint, 'and for blame');
SELECT throws_ok('SELECT * FROM datahike.versions(NULL::p)', '42501', NULL, 'so do privileges');
RESET ROLE;
REVOKE ALL ON t FROM versions_reader;
DROP ROLE versions_reader;
CREATE TABLE h (id int) USING heap;
INSERT INTO h VALUES (1);
SELECT throws_ok('SELECT * FROM datahike.blame(NULL::h)', '42809', NULL, 'a heap table is refused');
SELECT throws_ok($$SELECT * FROM datahike.versions(NULL::t, 'no_such')$$, '42704', NULL, 'and an unknown revision');
SELECT * FROM finish();
