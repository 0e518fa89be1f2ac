-- A column that was added with a default is there in rows from before it, on every branch and in every
-- commit, also after a rewrite has made PostgreSQL forget the default.
SELECT plan(15);
CREATE TABLE t (id int PRIMARY KEY, a int);
INSERT INTO t VALUES (1, 1), (2, 2);
SELECT datahike.commit_id() AS before \gset
SELECT datahike.create_branch('b') \g /dev/null
ALTER TABLE t ADD COLUMN z int NOT NULL DEFAULT 7;
SELECT results_eq('SELECT z FROM t', 'VALUES (7), (7)', 'the default is there');
VACUUM FULL t;
SELECT results_eq('SELECT z FROM t', 'VALUES (7), (7)', 'after VACUUM FULL');
ALTER TABLE t ADD COLUMN y text DEFAULT 'why';
BEGIN;
INSERT INTO t (id) VALUES (3);
ALTER TABLE t ADD COLUMN x numeric DEFAULT 1.5;
CLUSTER t USING t_pkey;
SELECT results_eq('SELECT z, y, x FROM t WHERE id > 1', $$VALUES (7, 'why', 1.5), (7, 'why', 1.5)$$, 'after CLUSTER, rows of the transaction too');
ROLLBACK;
SELECT is((SELECT count(*) FROM pg_attribute WHERE attrelid = 't'::regclass AND atthasmissing), 1::bigint, 'after ROLLBACK');
SELECT results_eq('SELECT z, y FROM t', $$VALUES (7, 'why'), (7, 'why')$$, 'and rows have it');
ALTER TABLE t ADD COLUMN u uuid DEFAULT gen_random_uuid();
SELECT results_eq('SELECT z, y FROM t', $$VALUES (7, 'why'), (7, 'why')$$, 'after a rewrite');
SELECT set_config('datahike.branch', 'b', false) \g /dev/null
SELECT results_eq('SELECT z, y, u IS NULL FROM t', $$VALUES (7, 'why', false), (7, 'why', false)$$, 'on the other branch');
RESET datahike.branch;
SELECT lives_ok('UPDATE t SET a = a + 1', 'and rows can be changed');
SELECT set_config('datahike.commit_id', :'before', false) \g /dev/null
SELECT results_eq('SELECT z, y, u FROM t', $$VALUES (7, 'why', NULL::uuid), (7, 'why', NULL)$$, 'old commits have it too');
RESET datahike.commit_id;
ALTER TABLE t ALTER z TYPE text USING z || '!', ALTER y TYPE varchar(9), ADD COLUMN w text DEFAULT 'w';
SELECT results_eq('SELECT z, y, w FROM t', $$VALUES ('7!', 'why'::varchar, 'w'), ('7!', 'why', 'w')$$, 'after another type');
SELECT set_config('datahike.commit_id', :'before', false) \g /dev/null
SELECT results_eq('SELECT z, y, w FROM t', $$VALUES ('7', 'why'::varchar, 'w'), ('7', 'why', 'w')$$, 'which the default is cast to');
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
