-- Criss-cross merges, several merges in one transaction, cherry_pick(), revert(), diff_summary().
SELECT plan(57);
CREATE TABLE t (id int PRIMARY KEY, a int, b int);
CREATE TABLE n (v text);
INSERT INTO t VALUES (1, 0, 0), (2, 0, 0), (3, 0, 0);
INSERT INTO n VALUES ('x'), ('x'), ('y');
CREATE FUNCTION rows(regclass) RETURNS text LANGUAGE plpgsql AS $$
  DECLARE r text; BEGIN EXECUTE format('SELECT string_agg(x::text, '' '' ORDER BY x::text) FROM %s x', $1) INTO r; RETURN r; END $$;
CREATE FUNCTION counts(text, text) RETURNS text LANGUAGE plpgsql AS $$
  DECLARE r text; BEGIN EXECUTE format('SELECT concat_ws('' '', status, inserted, updated, deleted, conflicts) FROM datahike.%s(%L)', $1, $2) INTO r; RETURN r; END $$;
CREATE FUNCTION changes(text, text) RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(concat_ws(' ', relation, inserted, updated, deleted, schema), E'\n') FROM datahike.diff_summary($1, $2) $$;

-- Criss-cross: each side merges the other's change, then one takes its own back.
SELECT datahike.create_branch('f') \g /dev/null
UPDATE t SET a = 1 WHERE id = 1;
SELECT datahike.commit_id() AS ours \gset
SET datahike.branch = 'f';
UPDATE t SET b = 1 WHERE id = 1;
SELECT datahike.commit_id() AS theirs \gset
SELECT is(counts('merge', :'ours'), 'merged 0 1 0 0', 'the branch merges');
RESET datahike.branch;
SELECT is(counts('merge', :'theirs'), 'merged 0 1 0 0', 'so does the other');
UPDATE t SET a = 0 WHERE id = 1;
UPDATE t SET a = 7 WHERE id = 2;
SELECT is((SELECT count(*) FROM datahike.conflicts('f')), 0::bigint, 'each of the two bases is right about its own change');
SELECT is(counts('merge', 'f'), 'merged 0 0 0 0', 'and both are heard');
SELECT is(rows('t'), '(1,0,1) (2,7,0) (3,0,0)', 'what was taken back stays so');
SET datahike.branch = 'f';
SELECT is(counts('merge', 'db'), 'fast-forward 0 2 0 0', 'and goes the other way');
RESET datahike.branch;
-- Criss-cross with a conflict between the bases themselves, resolved in two ways.
UPDATE t SET a = 10 WHERE id = 3;
SELECT datahike.commit_id() AS ours \gset
SET datahike.branch = 'f';
UPDATE t SET a = 20 WHERE id = 3;
SELECT datahike.commit_id() AS theirs \gset
SELECT is((SELECT status FROM datahike.merge(:'ours', 'ours')), 'merged', 'one resolves it so');
RESET datahike.branch;
SELECT is((SELECT status FROM datahike.merge(:'theirs', 'ours')), 'merged', 'the other so');
SELECT results_eq($$SELECT key::text, "column", kind, base::text, ours::text, theirs::text FROM datahike.conflicts('f')$$,
  $$VALUES ('{"id": 3}', 'a', 'cell', NULL, '10', '20')$$, 'there is no base to decide between them');
SELECT is((SELECT status FROM datahike.merge('f', 'theirs')), 'merged', 'the merge does');
SELECT is(rows('t'), '(1,0,1) (2,7,0) (3,20,0)', 'once for all');

-- Several merges in one transaction, and a deletion between them.
SET datahike.branch = 'f';
INSERT INTO n VALUES ('first');
SELECT datahike.commit_id() AS first \gset
INSERT INTO n VALUES ('second');
RESET datahike.branch;
BEGIN;
SELECT is(counts('merge', :'first'), 'merged 1 0 0 0', 'a commit');
DELETE FROM n WHERE v = 'first';
SELECT is(counts('merge', :'first'), 'up to date 0 0 0 0', 'again, in the same transaction');
SELECT is(counts('merge', 'f'), 'merged 1 0 0 0', 'then what came after it');
SELECT is(rows('n'), '(second) (x) (x) (y)', 'a row deleted in between does not come back');
SAVEPOINT s;
SELECT datahike.create_branch('g', 'f') \g /dev/null
ROLLBACK TO s;
SELECT is(counts('merge', 'f'), 'up to date 0 0 0 0', 'nothing is left');
COMMIT;
SELECT is((SELECT array_length(parents, 1) FROM datahike.log(NULL, 1)), 3, 'the commit has them all as parents');
PREPARE read AS SELECT count(*) FROM n;
EXECUTE read \g /dev/null
SET datahike.branch = 'f';
INSERT INTO n VALUES ('third');
RESET datahike.branch;
BEGIN;
SELECT counts('merge', 'f') \g /dev/null
PREPARE TRANSACTION 'merge';
SELECT is((SELECT count(*) FROM n), 4::bigint, 'a prepared merge is not there yet');
COMMIT PREPARED 'merge';
SELECT results_eq('EXECUTE read', 'VALUES (5::bigint)', 'and then is');
SELECT is(counts('merge', 'f'), 'up to date 0 0 0 0', 'with its parents');

-- cherry_pick and revert.
SET datahike.branch = 'f';
UPDATE t SET b = 5 WHERE id = 2;
INSERT INTO n VALUES ('picked');
SELECT datahike.commit_id() AS pick \gset
DELETE FROM n WHERE ctid = (SELECT min(ctid) FROM n WHERE v = 'x');
UPDATE t SET b = 6 WHERE id = 2;
DELETE FROM t WHERE id = 3;
SELECT datahike.commit_id() AS gone \gset
RESET datahike.branch;
SELECT is(counts('cherry_pick', :'pick'), 'merged 1 0 0 0', 'one commit, without those around it');
SELECT is(rows('n'), '(picked) (second) (third) (x) (x) (y)', 'its row');
SELECT is((SELECT array_length(parents, 1) FROM datahike.log(NULL, 1)), 1, 'the commit is no merge');
SELECT is((SELECT message FROM datahike.log(NULL, 1)), 'Cherry-pick ' || left(:'pick', 8), 'its message names the commit');
SELECT is(counts('cherry_pick', :'pick'), 'up to date 0 0 0 0', 'twice is once');
SELECT is(counts('cherry_pick', :'pick' || '~1'), 'merged 0 1 0 0', 'an update');
SELECT is(counts('cherry_pick', :'gone'), 'merged 0 0 1 0', 'a deletion');
SELECT datahike.commit_id() AS picked \gset
SELECT is(counts('revert', :'picked'), 'merged 1 0 0 0', 'revert brings the row back');
SELECT is(rows('t'), '(1,0,1) (2,7,5) (3,20,0)', 'as it was');
SELECT is((SELECT message FROM datahike.log(NULL, 1)), 'Revert ' || left(:'picked', 8) || ': Cherry-pick ' || left(:'gone', 8), 'with a message');
UPDATE t SET a = a + 1 WHERE id = 2;
SELECT is(counts('revert', 'db'), 'merged 0 1 0 0', 'an update taken back');
UPDATE t SET a = 99 WHERE id = 1;
SELECT datahike.commit_id() AS old \gset
UPDATE t SET a = 100 WHERE id = 1;
SELECT is(counts('revert', :'old'), 'conflicts 0 0 0 1', 'what has changed since is a conflict');
SELECT is((SELECT status FROM datahike.revert(:'old', 'theirs')), 'merged', 'unless told');
SELECT is(rows('t'), '(1,0,1) (2,7,5) (3,20,0)', 'what to do');
SELECT is(counts('merge', 'f'), 'conflicts 0 0 0 1', 'picked is not merged: what both have changed since the base');
SELECT is((SELECT concat_ws(' ', status, inserted, updated, deleted) FROM datahike.merge('f', 'theirs')), 'merged 0 1 2', 'rows that were picked are found here, not inserted again');
SELECT is(rows('n') || rows('t'), '(picked) (second) (third) (x) (y)(1,0,1) (2,7,6)', 'and brings the rest');
SELECT throws_ok($$SELECT datahike.revert((SELECT commit_id::text FROM datahike.log() ORDER BY tx LIMIT 1))$$, '22023', NULL, 'the root commit');

SELECT datahike.commit_id() AS unforwarded \gset

-- Fast-forward.
SELECT datahike.create_branch('ahead') \g /dev/null
SET datahike.branch = 'ahead';
INSERT INTO n VALUES ('ahead');
UPDATE t SET a = 1 WHERE id = 1;
RESET datahike.branch;
SELECT rows('n') AS before \gset
BEGIN;
SELECT is(counts('merge', 'ahead'), 'fast-forward 1 1 0 0', 'a branch with nothing of its own is set to the source');
SELECT is(rows('t'), '(1,1,1) (2,7,6)', 'its rows are there');
INSERT INTO n VALUES ('and on');
ROLLBACK;
SELECT is(rows('n'), :'before', 'ROLLBACK takes it back');
BEGIN;
INSERT INTO n VALUES ('mine');
SELECT is(counts('merge', 'ahead'), 'merged 1 1 0 0', 'a transaction that has changed the branch merges');
ROLLBACK;
SELECT is((SELECT status FROM datahike.merge('ahead', message => 'forward')), 'fast-forward', 'in a transaction of its own');
SELECT is(datahike.commit_id(), (SELECT commit_id FROM datahike.log('ahead', 1)), 'no commit is made');
SELECT is((SELECT operation FROM datahike.reflog('db', 1)), 'fast-forward: forward', 'the reflog has it');
SELECT is(counts('merge', 'ahead'), 'up to date 0 0 0 0', 'and that is that');
CREATE TABLE hp (id int PRIMARY KEY) USING heap;
CREATE TABLE dc (h int REFERENCES hp);
INSERT INTO hp VALUES (1);
SET datahike.branch = 'ahead';
INSERT INTO dc VALUES (1);
RESET datahike.branch;
DELETE FROM hp;
SELECT is(counts('merge', 'ahead'), 'conflicts 0 0 0 1', 'foreign keys to heap tables are checked');
INSERT INTO hp VALUES (1);
SELECT is(counts('merge', 'ahead'), 'merged 1 0 0 0', 'by an ordinary merge');

-- diff_summary
SELECT is(changes('db', 'db'), NULL, 'a revision does not differ from itself');
SELECT is(changes(:'unforwarded' || '~1', :'unforwarded'), 'n 0 0 1
t 0 1 1', 'counts by table');
SELECT is(changes(:'unforwarded', :'unforwarded' || '~1'), 'n 1 0 0
t 1 1 0', 'and backwards');
SELECT datahike.commit_id() AS before \gset
UPDATE t SET a = a;
ALTER TABLE t RENAME b TO bb;
ALTER TABLE t ADD c text NOT NULL DEFAULT '', ALTER a TYPE bigint;
CREATE TABLE young (v int);
INSERT INTO young VALUES (1), (2);
UPDATE t SET bb = 8 WHERE id = 2;
SELECT is(changes(:'before', 'db'), 't 0 1 0 {"column a from integer to bigint","column b renamed to bb","column c text NOT NULL added"}
young 2 0 0 {"table created"}', 'with what has changed of the tables themselves');
DROP TABLE young;
SELECT is((SELECT inserted FROM datahike.diff_summary(:'before') WHERE relation LIKE '%young%'), 2::bigint, 'also of those that are gone');
CREATE ROLE merge_reader;
GRANT SELECT ON n TO merge_reader;
SET ROLE merge_reader;
SELECT is((SELECT count(*) FROM datahike.diff_summary(:'before')), 0::bigint, 'tables that the caller may not read are left out');
RESET ROLE;
-- Criss-cross, and then one deletes the row: of the base what the two agree on is known.
CREATE TABLE c (id int PRIMARY KEY, a int, b int);
INSERT INTO c VALUES (1, 0, 5), (2, 0, 5);
SELECT datahike.create_branch('g') \g /dev/null
UPDATE c SET a = 1 WHERE id = 1;
SELECT datahike.commit_id() AS ours \gset
SET datahike.branch = 'g';
UPDATE c SET a = 2 WHERE id = 1;
SELECT datahike.commit_id() AS theirs \gset
SELECT status FROM datahike.merge(:'ours', 'ours') \g /dev/null
DELETE FROM c WHERE id = 1;
RESET datahike.branch;
SELECT status FROM datahike.merge(:'theirs', 'ours') \g /dev/null
UPDATE c SET a = 7 WHERE id = 1;
SELECT results_eq($$SELECT key::text, "column", kind, base::text, ours::text, theirs::text FROM datahike.conflicts('g')$$,
  $$VALUES ('{"id": 1}', NULL, 'update/delete', '{"b": 5, "id": 1}', '{"a": 7, "b": 5, "id": 1}', NULL)$$, 'a row of a base that is known in part');
CREATE FUNCTION told(relation text, key jsonb, "column" text, base jsonb, ours jsonb, theirs jsonb) RETURNS jsonb LANGUAGE sql AS
  $$ SELECT ours || jsonb_build_object('b', 10 * (base->>'b')::int) || CASE WHEN base ? 'a' THEN '{"b": -1}' ELSE '{}'::jsonb END $$;
SELECT is((SELECT status FROM datahike.merge('g', 'told')), 'merged', 'a resolver gets that');
SELECT is(rows('c'), '(1,7,50) (2,0,5)', 'and no more');
SELECT * FROM finish();
