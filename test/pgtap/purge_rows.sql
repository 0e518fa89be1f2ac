-- purge(): row versions are erased from every branch and all of history; everything else is as it was.
SELECT plan(88);
-- Its statistics are looked at: no ANALYZE but the test's own.
CREATE TABLE p (id int PRIMARY KEY, name text, n int, words text[]) USING datahike WITH (autovacuum_enabled = off);
CREATE INDEX p_name ON p (name) INCLUDE (n);
CREATE INDEX p_lower ON p (lower(name)) WHERE n >= 0;
CREATE INDEX p_hash ON p USING hash (name);
CREATE INDEX p_words ON p USING gin (words);
CREATE TABLE bystander (id int PRIMARY KEY, name text) USING datahike;
INSERT INTO bystander SELECT i, 'secret ' || i FROM generate_series(1, 50) i;

-- A history: versions before and after, a branch that has its own, one that is deleted, a tag, a TRUNCATE, another type.
INSERT INTO p SELECT i, CASE WHEN i % 10 = 3 THEN 'secret ' || i ELSE 'plain ' || i END, i, ARRAY['w' || i % 7, CASE WHEN i % 10 = 3 THEN 'hidden' ELSE 'shown' END]
  FROM generate_series(1, 200) i;
SELECT datahike.create_branch('side') \g /dev/null
SELECT datahike.create_branch('lost') \g /dev/null
UPDATE p SET name = 'secret new', n = -n WHERE id IN (7, 13);
UPDATE p SET name = 'plain again' WHERE id = 23;
DELETE FROM p WHERE id IN (33, 34);
SELECT datahike.tag('before') \g /dev/null
SET datahike.branch = 'side';
UPDATE p SET n = n + 1000 WHERE id IN (43, 44);
INSERT INTO p VALUES (1001, 'secret of side', 1, '{hidden}'), (1002, 'plain of side', 2, '{shown}');
SET datahike.branch = 'lost';
INSERT INTO p VALUES (2001, 'secret of lost', 1, '{hidden}');
SELECT datahike.commit_id() AS lost \gset
RESET datahike.branch;
SELECT datahike.delete_branch('lost') \g /dev/null
INSERT INTO p SELECT i, 'secret batch ' || i, i, NULL FROM generate_series(301, 320) i;
DELETE FROM p WHERE id > 300;
ALTER TABLE p ALTER n TYPE bigint;
ALTER TABLE p ADD later text DEFAULT 'then';
UPDATE p SET n = n + 1 WHERE id IN (53, 54);

-- What there is, commit by commit, kept in heap tables.
CREATE TABLE commits USING heap AS SELECT commit_id, tx FROM datahike.log() UNION SELECT commit_id, tx FROM datahike.log('side') UNION SELECT :'lost', 0;
CREATE TABLE content (tx bigint, commit_id uuid, id int, name text, n bigint, words text[], later text) USING heap;
CREATE TABLE made (LIKE content, added bigint, removed bigint) USING heap;
CREATE PROCEDURE gather(into_content text) LANGUAGE plpgsql AS $$
DECLARE c record;
BEGIN
  FOR c IN SELECT * FROM commits LOOP
    PERFORM set_config('datahike.commit_id', c.commit_id::text, true);
    EXECUTE format('CREATE TEMP TABLE seen ON COMMIT DROP AS SELECT %L::bigint AS tx, %L::uuid AS commit_id, p.* FROM p', c.tx, c.commit_id);
    PERFORM set_config('datahike.commit_id', '', true);
    EXECUTE format('INSERT INTO %I SELECT * FROM seen', into_content);
    COMMIT;
  END LOOP;
END $$;
CALL gather('content');
CREATE TABLE versions_before USING heap AS SELECT (v."row").*, tx_added, tx_removed FROM datahike.versions(NULL::p) v;
CREATE TABLE blamed_before USING heap AS SELECT (b."row").*, commit_id, tx FROM datahike.blame(NULL::p) b;
CREATE TABLE diff_before USING heap AS SELECT op, (d.old).id AS old_id, (d.new).id AS new_id, (d.old).name AS old_name, (d.new).name AS new_name FROM datahike.diff(NULL::p, 'before', 'db') d;
SELECT datahike.commit_id() AS head \gset
SELECT cmp_ok(count(*), '>', 100::bigint, 'there are many secrets in the past') FROM content WHERE name LIKE '%secret%';
ANALYZE p;
ALTER TABLE p ALTER name SET STATISTICS 1000;
ANALYZE p;
SELECT cmp_ok(count(*), '>', 0::bigint, 'and in the statistics') FROM pg_stats WHERE tablename IN ('p', 'p_lower') AND concat(most_common_vals, histogram_bounds) LIKE '%secret%';

SELECT rows AS purged_rows, versions AS purged_versions FROM datahike.purge('p', $$name LIKE '%secret%'$$) \gset
-- 20 of the first INSERT, 7 and 13 updated, 43 on side and 1001 there, 2001, 20 of the batch; ALTER TYPE made versions of what was live:
-- on db 3, 7, 13, 43 to 193 without 23 and 33, on side all 20 and 1001 but with 43 as it was there; then 53.
SELECT is(:purged_rows, (20 + 1 + 1 + 1 + 20)::int, 'rows') ;
SELECT cmp_ok(:purged_versions, '>', :purged_rows, 'had several versions each');

CREATE TABLE after (LIKE content) USING heap;
CALL gather('after');
SELECT is(count(*), 0::bigint, 'no commit has any of them') FROM after WHERE name LIKE '%secret%';
SELECT is(count(*), 0::bigint, 'all others are where they were') FROM ((SELECT * FROM content WHERE name NOT LIKE '%secret%' EXCEPT SELECT * FROM after) UNION ALL (SELECT * FROM after EXCEPT SELECT * FROM content)) d;
SELECT is(datahike.commit_id()::text, :'head', 'the head has the id it had');
SELECT is((SELECT count(*) FROM datahike.log() JOIN commits USING (commit_id, tx)), (SELECT count(*) FROM datahike.log()), 'and so has every commit');
SELECT is(count(*), 0::bigint, 'versions() has none') FROM datahike.versions(NULL::p) v WHERE (v."row").name LIKE '%secret%';
SELECT is(count(*), 0::bigint, 'and all others') FROM (
  (SELECT id, name, n, words, later, tx_added, tx_removed FROM versions_before WHERE name NOT LIKE '%secret%' EXCEPT ALL SELECT (v."row").*, tx_added, tx_removed FROM datahike.versions(NULL::p) v)
  UNION ALL
  (SELECT (v."row").*, tx_added, tx_removed FROM datahike.versions(NULL::p) v EXCEPT ALL SELECT id, name, n, words, later, tx_added, tx_removed FROM versions_before)) d;
SELECT is(count(*), 0::bigint, 'blame() too') FROM (
  (SELECT * FROM blamed_before WHERE name NOT LIKE '%secret%' EXCEPT ALL SELECT (b."row").*, commit_id, tx FROM datahike.blame(NULL::p) b)
  UNION ALL
  (SELECT (b."row").*, commit_id, tx FROM datahike.blame(NULL::p) b EXCEPT ALL SELECT * FROM blamed_before)) d;
SELECT is(count(*), 0::bigint, 'diff() goes on, without them') FROM datahike.diff(NULL::p, 'before', 'db') d WHERE (d.old).name LIKE '%secret%' OR (d.new).name LIKE '%secret%';
SELECT is(count(*), 0::bigint, 'and says of the others what it did') FROM (
  SELECT op, old_id, new_id, old_name, new_name FROM diff_before WHERE coalesce(old_name, '') NOT LIKE '%secret%' AND coalesce(new_name, '') NOT LIKE '%secret%'
  EXCEPT ALL SELECT op, (d.old).id, (d.new).id, (d.old).name, (d.new).name FROM datahike.diff(NULL::p, 'before', 'db') d) d;
SELECT lives_ok($$SELECT * FROM datahike.diff_summary('before', 'side')$$, 'diff_summary() too');
SET datahike.history = on;
SELECT is(count(*), 0::bigint, 'history has none') FROM p WHERE name LIKE '%secret%';
SELECT cmp_ok(count(*), '>', 200::bigint, 'but the others') FROM p;
SET enable_seqscan = off;
SELECT is(count(*), 0::bigint, 'by index neither') FROM p WHERE name > 'secret' AND name < 'secreu';
RESET datahike.history;
SELECT is(count(*), 0::bigint, 'nor has the branch') FROM p WHERE name > 'secret' AND name < 'secreu';
SELECT is(count(*), 0::bigint, 'by an expression') FROM p WHERE lower(name) LIKE 'secret%' AND n >= 0;
SELECT is(count(*), 0::bigint, 'by hash') FROM p WHERE name = 'secret 63';
SELECT is(count(*), 0::bigint, 'by GIN') FROM p WHERE words @> '{hidden}' AND id <> 23;
SELECT is(count(*), 0::bigint, 'by key') FROM p WHERE id IN (3, 7, 13, 43, 53);
SET datahike.branch = 'side';
SELECT is(count(*), 1::bigint, 'on the other branch neither') FROM p WHERE id IN (3, 43, 1001, 1002);
RESET datahike.branch;
RESET enable_seqscan;
SET datahike.commit_id = :'lost';
SELECT is(count(*), 0::bigint, 'nor in what no branch has') FROM p WHERE name LIKE '%secret%';
SELECT is(count(*), 180::bigint, 'the others are there') FROM p;
RESET datahike.commit_id;
SELECT is(count(*), 0::bigint, 'statistics are gone') FROM pg_stats WHERE tablename IN ('p', 'p_lower', 'p_name');
ANALYZE p;
SELECT is(string_agg(tablename || '.' || attname, ' ' ORDER BY tablename, attname), 'p.id p.later p.n p.name p.words p_lower.lower', 'new ones have no secret')
  FROM pg_stats WHERE tablename IN ('p', 'p_lower', 'p_name') AND concat(most_common_vals, histogram_bounds) NOT LIKE '%secret%';
SELECT is(count(*), 50::bigint, 'another table is as it was') FROM bystander;

-- verify() says so.
SELECT is(count(*), 0::bigint, 'nothing is damaged') FROM datahike.verify(true) WHERE status NOT IN ('ok', 'redacted');
SELECT cmp_ok(count(*), '>', 4::bigint, 'commits of which rows were erased are said to be redacted') FROM datahike.verify() WHERE status = 'redacted' AND commit_id IS NOT NULL;
SELECT is(count(*), 1::bigint, 'and what was, when and by whom') FROM datahike.verify() WHERE status = 'redacted' AND commit_id IS NULL AND detail LIKE format('redaction 1: %s versions of %s rows of table public.p were erased by postgres at 2%%', :purged_versions, :purged_rows);
SELECT is((SELECT count(*) FROM datahike.verify() WHERE commit_id IS NOT NULL), (SELECT commits FROM datahike.stats()), 'each commit has one row');

-- Again, and what goes on afterwards.
CREATE TEMP TABLE answer (rows int8, versions int8);
INSERT INTO answer SELECT * FROM datahike.purge('p', $$name LIKE '%secret%'$$);
SELECT results_eq('SELECT * FROM answer', 'VALUES (0::bigint, 0::bigint)', 'there is nothing left');
INSERT INTO p VALUES (3, 'a new three', 3, '{hidden}'), (7, 'a new seven', 7, NULL);
SELECT throws_ok($$INSERT INTO p VALUES (3, 'twice')$$, '23505', NULL, 'keys are free again, once');
UPDATE p SET n = 0 WHERE id = 3;
DELETE FROM p WHERE id = 7;
SELECT is((SELECT status FROM datahike.merge('side')), 'merged', 'branches merge');
SELECT is(count(*), 1::bigint, 'and bring what is left') FROM p WHERE id IN (43, 1001, 1002);
SELECT is(count(*), 0::bigint, 'still none') FROM p WHERE name LIKE '%secret%';
SELECT datahike.create_branch('from_the_past', 'before') \g /dev/null
SET datahike.branch = 'from_the_past';
SELECT is(count(*), 0::bigint, 'a branch from a redacted commit has none') FROM p WHERE name LIKE '%secret%';
INSERT INTO bystander VALUES (100, 'here');
RESET datahike.branch;
VACUUM p;
REINDEX TABLE p;
SET enable_seqscan = off;
SELECT is(count(*), 1::bigint, 'VACUUM and REINDEX go through') FROM p WHERE id IN (3, 13);
RESET enable_seqscan;
SELECT lives_ok($$SELECT * FROM datahike.gc(now(), '0')$$, 'so does gc()');
SELECT lives_ok($$SELECT datahike.compact()$$, 'and compact()');
SELECT is(count(*), 0::bigint, 'the store verifies') FROM datahike.verify(true) WHERE status NOT IN ('ok', 'redacted');

-- By the version's own values: other versions of the row stay.
CREATE TABLE one (id int PRIMARY KEY, v text) USING datahike;
INSERT INTO one VALUES (1, 'first');
UPDATE one SET v = 'second';
UPDATE one SET v = 'third';
CREATE TEMP TABLE got AS SELECT * FROM datahike.purge('one', $$v = 'second'$$);
SELECT results_eq('SELECT * FROM got', 'VALUES (1::bigint, 1::bigint)', 'one version of a row');
SELECT results_eq($$SELECT (x."row").v FROM datahike.versions(NULL::one) x ORDER BY 1$$, $$VALUES ('first'), ('third')$$, 'the versions around it stay');
SELECT is(v, 'third', 'the row too') FROM one;
SELECT is((SELECT count(*) FROM datahike.at(NULL::one, 'db~1')), 0::bigint, 'where it was live there is no row now');

-- Foreign keys, on each branch.
CREATE TABLE parent (a int, b text COLLATE "C", PRIMARY KEY (a, b)) USING datahike;
CREATE TABLE child (id int PRIMARY KEY, a int, b text, up int REFERENCES child, FOREIGN KEY (a, b) REFERENCES parent) USING datahike;
INSERT INTO parent VALUES (1, 'x'), (2, 'x'), (3, 'x');
SELECT datahike.create_branch('fk') \g /dev/null
SET datahike.branch = 'fk';
INSERT INTO child VALUES (1, 2, 'x', NULL), (2, NULL, NULL, 1);
RESET datahike.branch;
INSERT INTO child VALUES (3, NULL, 'x', NULL);
\set ON_ERROR_STOP off
SELECT * FROM datahike.purge('parent', 'a = 2');
SELECT is(:'SQLSTATE'::text, '23503', 'a row that is referenced on another branch cannot be erased');
SELECT * FROM datahike.purge('child', 'id = 1');
SELECT is(:'SQLSTATE'::text, '23503', 'nor one that another of the same table refers to');
\set ON_ERROR_STOP on
SELECT is(versions, 2::bigint, 'both together can') FROM datahike.purge('child', 'id < 3');
SELECT is(versions, 2::bigint, 'then the referenced one, and one that never was') FROM datahike.purge('parent', 'a IN (2, 3)');
SELECT throws_ok($$INSERT INTO child VALUES (4, 3, 'x')$$, '23503', NULL, 'nobody can refer to what is gone');

-- Partitions: all of them, each with its own columns.
CREATE TABLE parts (id int, region text, v text, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
CREATE TABLE parts_a PARTITION OF parts FOR VALUES IN ('a') USING datahike;
CREATE TABLE parts_b (v text, gone int, region text NOT NULL, id int NOT NULL) USING datahike;
ALTER TABLE parts_b DROP gone;
ALTER TABLE parts ATTACH PARTITION parts_b FOR VALUES IN ('b');
INSERT INTO parts SELECT i, CASE WHEN i % 2 = 0 THEN 'a' ELSE 'b' END, 'v' || i FROM generate_series(1, 20) i;
UPDATE parts SET region = 'a' WHERE id = 5;
ANALYZE parts;
CREATE TEMP TABLE from_parts AS SELECT * FROM datahike.purge('parts', $$parts.v IN ('v4', 'v5', 'v7')$$);
SELECT results_eq('SELECT * FROM from_parts', 'VALUES (4::bigint, 4::bigint)', 'of all partitions');
SELECT is(count(*), 17::bigint, 'three rows are gone') FROM parts;
SELECT is(count(*), 0::bigint, 'and the parent''s statistics') FROM pg_stats WHERE tablename LIKE 'parts%';
CREATE TABLE parts_c PARTITION OF parts FOR VALUES IN ('c') USING heap;

-- Little history.
CREATE TABLE brief (id int PRIMARY KEY, v text) USING datahike;
SELECT datahike.set_keep_history('brief', 'none') \g /dev/null
INSERT INTO brief SELECT i, 'x' FROM generate_series(1, 10) i;
UPDATE brief SET v = 'y' WHERE id < 6;
SELECT is(versions, 2::bigint, 'what no history has is erased as well') FROM datahike.purge('brief', 'id = 2');
SELECT is(count(*), 9::bigint, 'one row is gone') FROM brief;
CREATE TABLE never (id int) USING datahike;
SELECT is(versions, 0::bigint, 'a table without rows') FROM datahike.purge('never', 'true');
INSERT INTO brief VALUES (11, NULL);
SELECT is(versions, 13::bigint, 'NULL is not true') FROM datahike.purge('brief', $$v IN ('x', 'y')$$);
SELECT is(count(*), 1::bigint, 'so that row stays') FROM brief;

-- Values of old types, which may not be castable any more; columns that are gone.
CREATE TABLE retyped (id int PRIMARY KEY, v text, w text) USING datahike;
INSERT INTO retyped VALUES (1, '17', 'secret'), (2, 'seventeen', 'plain'), (3, '18', 'plain');
DELETE FROM retyped WHERE id = 2;
ALTER TABLE retyped ALTER v TYPE int USING v::int;
SELECT is(versions, 1::bigint, 'columns before that of an old value can be named') FROM datahike.purge('retyped', 'id = 2');
SELECT is(versions, 2::bigint, 'and old values that can be cast') FROM datahike.purge('retyped', 'v = 17');
INSERT INTO retyped VALUES (4, 4, 'secret');
ALTER TABLE retyped DROP w;
SELECT is(versions, 3::bigint, 'all that is left') FROM datahike.purge('retyped', 'true');
INSERT INTO retyped VALUES (1, 1);
SELECT is((SELECT count(*) FROM datahike.versions(NULL::retyped)), 1::bigint, 'history begins anew');
CREATE UNLOGGED TABLE unlogged (id int PRIMARY KEY) USING datahike;
INSERT INTO unlogged SELECT generate_series(1, 5);
SELECT is(versions, 2::bigint, 'an unlogged table') FROM datahike.purge('unlogged', 'id IN (2, 4)');
SELECT is(sum(id), 9::bigint, 'two rows less') FROM unlogged;
CREATE MATERIALIZED VIEW seen_once USING datahike AS SELECT id FROM unlogged;
SELECT is(versions, 1::bigint, 'a materialized view') FROM datahike.purge('seen_once', 'id = 5');
SELECT is(sum(id), 4::bigint, 'one row less') FROM seen_once;

-- What is refused.
CREATE ROLE pr_owner; CREATE ROLE pr_other;
CREATE TABLE owned (id int PRIMARY KEY, v text) USING datahike;
INSERT INTO owned VALUES (1, 'x'), (2, 'y');
ALTER TABLE owned OWNER TO pr_owner;
CREATE TABLE on_heap (id int) USING heap;
GRANT ALL ON owned TO pr_other;
\set ON_ERROR_STOP off
SET ROLE pr_other;
SELECT datahike.purge('owned', 'id = 1');
SELECT is(:'SQLSTATE'::text, '42501', 'purge() is for the owner');
SET ROLE pr_owner;
SELECT datahike.purge('owned', 'id = 1');
SELECT is(:'SQLSTATE'::text, '00000', 'who may');
ALTER TABLE owned ENABLE ROW LEVEL SECURITY;
ALTER TABLE owned FORCE ROW LEVEL SECURITY;
SELECT datahike.purge('owned', 'id = 2');
SELECT is(:'SQLSTATE'::text, '42501', 'unless policies apply');
RESET ROLE;
REVOKE EXECUTE ON FUNCTION datahike.purge FROM PUBLIC;
ALTER TABLE owned NO FORCE ROW LEVEL SECURITY;
SET ROLE pr_owner;
SELECT datahike.purge('owned', 'id = 2');
SELECT is(:'SQLSTATE'::text, '42501', 'EXECUTE can be revoked');
RESET ROLE;
SELECT datahike.purge('on_heap', 'true');
SELECT is(:'SQLSTATE'::text, '42809', 'a heap table');
SELECT datahike.purge('parts', 'true');
SELECT is(:'SQLSTATE'::text, '42809', 'a heap partition');
SELECT datahike.purge('one', 'nothing = 1');
SELECT is(:'SQLSTATE'::text, '42703', 'an unknown column');
SELECT datahike.purge('one', 'id');
SELECT is(:'SQLSTATE'::text, '42804', 'no condition');
SELECT datahike.purge('one', 'true FROM p');
SELECT is(:'SQLSTATE'::text, '42601', 'no expression');
SELECT datahike.purge('one', 'true; DROP TABLE p');
SELECT is(:'SQLSTATE'::text, '42601', 'one alone');
SELECT datahike.purge('one', 'id IN (SELECT id FROM p)');
SELECT is(:'SQLSTATE'::text, '0A000', 'no subquery');
SELECT datahike.purge('one', 'xmin IS NOT NULL');
SELECT is(:'SQLSTATE'::text, '0A000', 'no system column');
SELECT datahike.purge('one', 'count(*) > 1');
SELECT is(:'SQLSTATE'::text, '42803', 'no aggregate');
ALTER TABLE brief ADD t text;
INSERT INTO brief VALUES (50, 'x', 'no number');
DELETE FROM brief WHERE id = 50;
ALTER TABLE brief ALTER t TYPE int USING 0;
SELECT datahike.purge('brief', 't = 0');
SELECT is(:'SQLSTATE'::text, '22P02', 'an old value that cannot be cast');
SELECT datahike.purge('one', '1 / (id - id) = 1');
SELECT is(:'SQLSTATE'::text, '22012', 'the predicate''s own errors');
SELECT datahike.purge('one', NULL);
SELECT is(:'SQLSTATE'::text, '22004', 'NULL is no predicate');
BEGIN;
SELECT datahike.purge('one', 'true');
\set state :SQLSTATE
ROLLBACK;
SELECT is(:'state'::text, '25001', 'a transaction block');
\set ON_ERROR_STOP on
SELECT is(count(*), 1::bigint, 'after all that the row is there') FROM one;
CREATE TABLE twice (id int PRIMARY KEY, v text) USING datahike;
INSERT INTO twice SELECT g, 'v' || g FROM generate_series(1, 10) g;
ANALYZE twice;
SELECT is(sum((datahike.purge('twice', 'id = ' || g)).versions), 2::numeric, 'two calls in a statement') FROM generate_series(1, 2) g;
SELECT is(count(*), 0::bigint, 'leave no statistics') FROM pg_stats WHERE tablename = 'twice';
SELECT is(count(*), 0::bigint, 'and the store verifies') FROM datahike.verify(true) WHERE status NOT IN ('ok', 'redacted');
DROP OWNED BY pr_owner, pr_other;
DROP ROLE pr_owner, pr_other;
SELECT * FROM finish();
