-- Which commit made a row version and which removed it, against a heap table that knows every commit's rows.
SELECT plan(17);
CREATE TABLE t (id int, v text);
CREATE TABLE seen (tx bigint, row_at tid) USING heap;
CREATE TABLE commits (tx bigint, commit_id uuid, branch text) USING heap;

-- One random transaction, with subtransactions, then what is live after it.
CREATE PROCEDURE step(i int, branch text) LANGUAGE plpgsql AS $$
DECLARE
  c uuid;
  number bigint;
BEGIN
  PERFORM set_config('datahike.branch', branch, false);
  INSERT INTO t SELECT g, 'row' FROM generate_series(1, (random() * 5)::int + 1) g;
  BEGIN
    CASE
      WHEN i % 19 = 0 THEN TRUNCATE t; INSERT INTO t SELECT g, 'new' FROM generate_series(1, 10) g;
      WHEN i % 5 = 0 THEN DELETE FROM t WHERE random() < 0.2;
      WHEN i % 3 = 0 THEN UPDATE t SET v = v || i WHERE random() < 0.2;
      ELSE INSERT INTO t SELECT g, 'sub' FROM generate_series(1, (random() * 20)::int + 1) g; DELETE FROM t WHERE v = 'sub' AND random() < 0.1;
    END CASE;
    IF i % 4 = 0 THEN RAISE division_by_zero; END IF;
  EXCEPTION WHEN division_by_zero THEN NULL;
  END;
  COMMIT;
  c := datahike.commit_id();
  SELECT l.tx INTO number FROM datahike.log(c::text, 1) l;
  INSERT INTO commits VALUES (number, c, branch);
  INSERT INTO seen SELECT number, ctid FROM t;
  COMMIT;
END $$;
SELECT setseed(0.75);
DO $$ BEGIN FOR i IN 1..25 LOOP CALL step(i, 'db'); END LOOP; END $$;
SELECT datahike.create_branch('side') AS made \gset
DO $$ BEGIN FOR i IN 26..60 LOOP CALL step(i, CASE i % 2 WHEN 0 THEN 'db' ELSE 'side' END); END LOOP; END $$;
RESET datahike.branch;

CREATE FUNCTION wrong(head uuid) RETURNS bigint LANGUAGE sql AS $$
  WITH ancestors AS (SELECT tx, commit_id FROM datahike.log(head::text)),
  rows AS (SELECT DISTINCT row_at FROM seen),
  expected AS (
    SELECT row_at, made, (SELECT min(a.tx) FROM ancestors a WHERE a.tx > made AND NOT EXISTS (SELECT FROM seen s WHERE s.tx = a.tx AND s.row_at = r.row_at)) AS gone
    FROM (SELECT row_at, (SELECT min(s.tx) FROM seen s JOIN ancestors USING (tx) WHERE s.row_at = rows.row_at) AS made FROM rows) r)
  SELECT count(*) FROM expected,
    LATERAL datahike.row_origin('t'::regclass, row_at, head) o, LATERAL datahike.row_removal('t'::regclass, row_at, head) r
  WHERE (o.tx, r.tx) IS DISTINCT FROM (made, gone)
$$;
SELECT cmp_ok((SELECT count(DISTINCT row_at) FROM seen), '>', 400::bigint, 'many row versions');
SELECT is(wrong((SELECT commit_id FROM commits WHERE branch = 'db' ORDER BY tx DESC LIMIT 1)), 0::bigint, 'seen from the default branch');
SELECT is(wrong((SELECT commit_id FROM commits WHERE branch = 'side' ORDER BY tx DESC LIMIT 1)), 0::bigint, 'from another');
SELECT is((SELECT sum(wrong(commit_id)) FROM commits WHERE tx % 17 = 3), 0::numeric, 'and from old commits');
-- The branch is set to other commits, and removes rows again that it had removed on another line.
DO $$ BEGIN
  FOR i IN 61..100 LOOP
    IF i % 3 = 0 THEN PERFORM datahike.force_branch('side', (SELECT commit_id::text FROM commits ORDER BY random() LIMIT 1)); COMMIT; END IF;
    CALL step(i, 'side');
  END LOOP;
END $$;
RESET datahike.branch;
SELECT is((SELECT sum(wrong(commit_id)) FROM commits WHERE tx % 6 = 0), 0::numeric, 'on each of the lines');
SELECT is_empty($$SELECT * FROM datahike.verify(true) WHERE status <> 'ok'$$, 'each of which can be verified');

-- What is said of a commit.
CREATE TABLE u (id int PRIMARY KEY, v text);
SET datahike.author = 'alice';
INSERT INTO u VALUES (1, 'one');
SET datahike.author = 'bob';
UPDATE u SET v = 'two';
RESET datahike.author;
SELECT datahike.commit_id() AS head, datahike.commit_id() || '~1' AS before \gset
SELECT results_eq(format($$SELECT o.author, o.commit_id, o.tx, o.committed_at FROM u, datahike.row_origin(u.tableoid, u.ctid, %L) o$$, :'head'),
  $$SELECT author, commit_id, tx, committed_at FROM datahike.log(NULL, 1)$$, 'commit, tx, time and author');
SELECT is((SELECT r.commit_id FROM u, datahike.row_removal(u.tableoid, u.ctid, :'head') r), NULL::uuid, 'a live row has not been removed');
SELECT ctid AS old_row FROM datahike.rows_only_in('u', :'before', :'head') ctid \gset
SELECT is((SELECT author FROM datahike.row_origin('u'::regclass, :'old_row', :'head')), 'alice', 'its former version was made by another');
SELECT is((SELECT author FROM datahike.row_removal('u'::regclass, :'old_row', :'head')), 'bob', 'and removed by its author');

-- A row of a branch that is merged goes with the merge, which writes its own.
SELECT datahike.create_branch('feature') AS made \gset
SET datahike.branch = feature;
UPDATE u SET v = 'feature';
SELECT ctid AS feature_row FROM u \gset
SELECT datahike.commit_id() AS feature \gset
RESET datahike.branch;
SELECT is((SELECT tx FROM datahike.row_origin('u'::regclass, :'feature_row', datahike.commit_id())), NULL::bigint, 'another branch''s row is of no ancestor''s making');
BEGIN;
SELECT datahike.merge_parent('feature') AS merged \gset
UPDATE u SET v = 'feature';
COMMIT;
SELECT datahike.commit_id() AS merge \gset
SELECT is((SELECT commit_id FROM datahike.row_origin('u'::regclass, :'feature_row', :'merge')), :'feature'::uuid, 'once merged it is');
SELECT is((SELECT commit_id FROM datahike.row_removal('u'::regclass, :'feature_row', :'merge')), :'merge'::uuid, 'and is gone with the merge');
SELECT is((SELECT tx FROM datahike.row_removal('u'::regclass, :'feature_row', :'feature')), NULL::bigint, 'but is there on the branch');

-- Refusals.
SELECT throws_ok($$SELECT datahike.row_origin('seen'::regclass, '(0,1)', datahike.commit_id())$$, '42809', NULL, 'a heap table');
SELECT throws_ok($$SELECT datahike.row_origin('u'::regclass, '(0,1)', '00000000-0000-8000-8000-000000000000')$$, '42704', NULL, 'an unknown commit');
CREATE ROLE origin_reader;
SET ROLE origin_reader;
SELECT throws_ok($$SELECT datahike.row_origin('u'::regclass, '(0,1)', datahike.commit_id())$$, '42501', NULL, 'a table that the role may not read');
RESET ROLE;
DROP ROLE origin_reader;
SELECT * FROM finish();
