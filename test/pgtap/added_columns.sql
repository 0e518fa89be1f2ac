-- A column that was added with a default is there in rows from before it, on every branch and in every
-- commit; what would make PostgreSQL forget the default is refused.
SELECT plan(11);
CREATE TABLE t (id int PRIMARY KEY, a int);
INSERT INTO t VALUES (1, 1), (2, 2);
SELECT datahike.commit_id() AS before \gset
SELECT datahike.create_branch('b') \g /dev/null
ALTER TABLE t ADD COLUMN z int NOT NULL DEFAULT 7;
SELECT results_eq('SELECT z FROM t', 'VALUES (7), (7)', 'the default is there');
\set ON_ERROR_STOP off
VACUUM FULL t;
\set full :SQLSTATE
CLUSTER t USING t_pkey;
\set cluster :SQLSTATE
\set ON_ERROR_STOP on
SELECT is(:'full'::text, '0A000', 'VACUUM FULL is refused');
SELECT is(:'cluster'::text, '0A000', 'and CLUSTER');
SELECT datahike.delete_branch('b') \g /dev/null
SELECT throws_ok('ALTER TABLE t ADD COLUMN u uuid DEFAULT gen_random_uuid()', '0A000', NULL, 'and a rewrite');
SELECT results_eq('SELECT z FROM t', 'VALUES (7), (7)', 'nothing is lost');
SELECT lives_ok('UPDATE t SET a = a + 1', 'and rows can be changed');
SELECT set_config('datahike.commit_id', :'before', false) \g /dev/null
SELECT results_eq('SELECT z FROM t', 'VALUES (7), (7)', 'old commits have it too');
RESET datahike.commit_id;
CREATE TABLE plain (id int PRIMARY KEY, a int);
INSERT INTO plain SELECT g, g FROM generate_series(1, 100) g;
UPDATE plain SET a = a + 1;
VACUUM FULL plain;
CLUSTER plain USING plain_pkey;
SELECT is((SELECT sum(a) FROM plain), 5150::bigint, 'without such a column both work');
SELECT lives_ok('ALTER TABLE plain ADD COLUMN u uuid NOT NULL DEFAULT gen_random_uuid()', 'and so does a rewrite');
SELECT is((SELECT count(DISTINCT u) FROM plain), 100::bigint, 'which fills the column');
VACUUM plain;
SET enable_seqscan = off;
SELECT is((SELECT a FROM plain WHERE id = 50), 51, 'by index');
SELECT * FROM finish();
