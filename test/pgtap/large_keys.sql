-- A btree index leaves out row versions that are live on no branch and whose key is too large for it, as heap's would not have them at
-- all. Views that see them do without the index.
SELECT plan(33);
CREATE EXTENSION amcheck;
CREATE FUNCTION long_text(n int, seed text) RETURNS text LANGUAGE sql IMMUTABLE AS
  $$ SELECT string_agg(md5(seed || g), '') FROM generate_series(1, n / 32) g $$;
CREATE FUNCTION scan_of(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE line text;
BEGIN
  FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
    IF line ~ 'Index|Seq Scan' THEN RETURN coalesce(substring(line FROM 't_\w+'), 'seq'); END IF;
  END LOOP;
END $$;
CREATE TABLE t (id int PRIMARY KEY, k text, big text);
INSERT INTO t SELECT g, 'key ' || g, CASE WHEN g % 100 = 0 THEN long_text(2600, 'b' || g) ELSE 'small' END FROM generate_series(1, 1000) g;
INSERT INTO t VALUES (2001, long_text(4000, 'a'), 'x'), (2002, long_text(20000, 'a'), 'x'), (2003, 'short', long_text(9000, 'a')),
  (2004, repeat('compressible', 1000), 'x');
SELECT datahike.commit_id() AS loaded \gset
CREATE TABLE h_loaded USING heap AS TABLE t;
SELECT throws_ok('CREATE INDEX ON t (k)', '54000', NULL, 'a live row');
SELECT datahike.create_branch('side') \g /dev/null
DELETE FROM t WHERE id IN (2001, 2002, 2003);
SELECT throws_ok('CREATE INDEX ON t (k)', '54000', NULL, 'one that is live on another branch');
SET datahike.branch = 'side';
UPDATE t SET k = 'mended ' || id, big = 'x' WHERE id IN (2001, 2002, 2003);
SET datahike.branch = 'db';
CREATE TABLE h_db USING heap AS TABLE t;
CREATE INDEX t_k ON t (k);
CREATE UNIQUE INDEX t_unique ON t (k) INCLUDE (big);
CREATE INDEX t_two ON t (id, k);
CREATE INDEX t_id ON t (id);
SELECT set_eq('SELECT index::regclass::text FROM datahike.index_omissions', '{t_k,t_unique,t_two}'::text[], 'rows are left out of btree indexes of text');
SELECT lives_ok($$ SELECT bt_index_parent_check(i::regclass, true, true) FROM unnest('{t_k,t_unique,t_two}'::text[]) i $$, 'amcheck is content');
SET enable_seqscan = off;
SELECT ok(scan_of('SELECT id FROM t WHERE k = ''key 7''') IN ('t_k', 't_unique'), 'the branch is served by the index');
SELECT results_eq('SELECT id FROM t WHERE k = ''key 7''', 'VALUES (7)', 'with its rows');
SELECT results_eq('SELECT id FROM t WHERE k = repeat(''compressible'', 1000)', 'VALUES (2004)', 'a key that compression makes small enough has its entry');
SELECT results_eq('SELECT id FROM t ORDER BY k', 'SELECT id FROM h_db ORDER BY k', 'in the order of the index');
SET datahike.branch = 'side';
SELECT ok(scan_of('SELECT id FROM t WHERE k = ''mended 2001''') IN ('t_k', 't_unique'), 'so is the other branch');
SELECT results_eq('SELECT id FROM t WHERE k LIKE ''mended%'' ORDER BY 1', 'VALUES (2001), (2002), (2003)', 'with its rows');
SET datahike.branch = 'db';
PREPARE q AS SELECT id FROM t WHERE k >= long_text(4000, 'a') AND k <= long_text(20000, 'a') ORDER BY id;
SELECT is_empty('EXECUTE q', 'a prepared plan at the branch');
SELECT throws_ok(format('INSERT INTO t VALUES (3000, %L, NULL)', long_text(4000, 'a')), '54000', NULL, 'a new row is refused as on heap');

-- a commit that has the rows
SET datahike.commit_id = :'loaded';
SELECT is(scan_of('SELECT id FROM t WHERE k = ''key 7'''), 'seq', 'a commit that has them is not');
SELECT is(scan_of('SELECT id FROM t WHERE id = 7'), 't_id', 'but by another index');
SELECT results_eq('SELECT id FROM t WHERE k >= long_text(4000, ''a'') ORDER BY k', 'SELECT id FROM h_loaded WHERE k >= long_text(4000, ''a'') ORDER BY k', 'its rows');
SELECT set_eq('EXECUTE q', 'SELECT id FROM h_loaded WHERE k >= long_text(4000, ''a'') AND k <= long_text(20000, ''a'')', 'the prepared plan is made again');
RESET datahike.commit_id;

-- a branch made from it
SELECT datahike.create_branch('old', :'loaded') \g /dev/null
SET datahike.branch = 'old';
SELECT is(scan_of('SELECT id FROM t WHERE k = ''key 7'''), 'seq', 'a branch that has them is not served');
SELECT throws_ok('INSERT INTO t VALUES (3001, ''short'', NULL)', '0A000', NULL, 'where uniqueness could not be checked nothing is inserted');
SELECT throws_ok('UPDATE t SET k = ''short'' WHERE id = 5', '0A000', NULL, 'or updated');
SELECT throws_ok('REINDEX INDEX t_unique', '54000', NULL, 'the branch''s rows count now');
DELETE FROM t WHERE id IN (2001, 2002, 2003);
SELECT lives_ok('INSERT INTO t VALUES (3001, ''short'', NULL)', 'without the rows it is as any other');
SELECT ok(scan_of('SELECT id FROM t WHERE k = ''short''') IN ('t_k', 't_unique'), 'and served');
SELECT results_eq('SELECT id FROM t WHERE k = ''short''', 'VALUES (3001)', 'with its rows');
SET datahike.branch = 'db';

-- other ways to build it
REINDEX TABLE CONCURRENTLY t;
SELECT set_eq('SELECT index::regclass::text FROM datahike.index_omissions', '{t_k,t_unique,t_two}'::text[], 'REINDEX CONCURRENTLY leaves them out as well');
CREATE INDEX CONCURRENTLY t_again ON t (big);
SELECT ok(exists(SELECT FROM datahike.index_omissions WHERE index = 't_again'::regclass), 'so does CREATE INDEX CONCURRENTLY');
SELECT results_eq('SELECT id FROM t ORDER BY k', 'SELECT id FROM h_db ORDER BY k', 'the rows, in order');
SELECT lives_ok($$ SELECT bt_index_parent_check(i::regclass, true, true) FROM unnest('{t_k,t_unique,t_two,t_again}'::text[]) i $$, 'amcheck is content');
DROP INDEX t_again, t_unique;
BEGIN;
INSERT INTO t VALUES (4001, 'own', long_text(4000, 'c'));
DELETE FROM t WHERE id = 4001;
SELECT lives_ok('CREATE INDEX t_own ON t (big text_pattern_ops)', 'a row that the transaction has removed itself');
ROLLBACK;
CREATE INDEX t_hash ON t USING hash (k);
SELECT is_empty('SELECT FROM datahike.index_omissions WHERE index = ''t_hash''::regclass', 'a hash index has entries for all rows');
SET datahike.commit_id = :'loaded';
SELECT is(scan_of('SELECT id FROM t WHERE k = ''key 7'''), 't_hash', 'and serves the commit');
RESET datahike.commit_id;
DROP INDEX t_hash;
VACUUM FULL t;
SELECT results_eq('SELECT id FROM t ORDER BY k', 'SELECT id FROM h_db ORDER BY k', 'after VACUUM FULL');

-- several processes do not put together what each has left out
SET max_parallel_maintenance_workers = 2;
SET min_parallel_table_scan_size = 0;
ALTER TABLE t SET (parallel_workers = 2);
SELECT datahike.delete_branch('side') \g /dev/null
SELECT datahike.delete_branch('old') \g /dev/null
SELECT throws_ok('CREATE INDEX ON t (k)', '0A000', NULL, 'a build by several processes is refused');
SET max_parallel_maintenance_workers = 0;
SELECT lives_ok('CREATE INDEX ON t (k)', 'one process builds it');
SELECT * FROM finish();
