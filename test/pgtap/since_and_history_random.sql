-- datahike.since and datahike.history in every combination with branch, commit_id and as_of, by every kind of
-- scan, against a heap table that has what was live after each commit of a random history.
SELECT plan(14);
CREATE TABLE t (id int, v text);
CREATE INDEX t_id ON t (id);
CREATE TABLE seen (tx bigint, row_at tid, id int, v text) USING heap;
CREATE TABLE commits (tx bigint, commit_id uuid, branch text, at timestamptz) USING heap;

CREATE PROCEDURE step(i int, branch text) LANGUAGE plpgsql AS $$
DECLARE
  c record;
BEGIN
  PERFORM set_config('datahike.branch', branch, false);
  INSERT INTO t SELECT g, 'row' FROM generate_series(1, (random() * 4)::int + 1) g;
  BEGIN
    CASE
      WHEN i % 17 = 0 THEN TRUNCATE t; INSERT INTO t SELECT g, 'new' FROM generate_series(1, 10) g;
      WHEN i % 5 = 0 THEN DELETE FROM t WHERE random() < 0.3;
      WHEN i % 3 = 0 THEN UPDATE t SET v = v || i, id = id + (random() < 0.1)::int WHERE random() < 0.3;
      ELSE INSERT INTO t SELECT g, 'sub' FROM generate_series(1, (random() * 10)::int + 1) g; DELETE FROM t WHERE v = 'sub' AND random() < 0.1;
    END CASE;
    IF i % 4 = 0 THEN RAISE division_by_zero; END IF;
  EXCEPTION WHEN division_by_zero THEN NULL;
  END;
  IF i > 20 AND i % 11 = 0 THEN PERFORM datahike.merge(CASE branch WHEN 'db' THEN 'side' ELSE 'db' END, 'theirs'); END IF;
  COMMIT;
  SELECT * INTO c FROM datahike.log(max => 1);
  INSERT INTO commits VALUES (c.tx, c.commit_id, branch, c.committed_at);
  INSERT INTO seen SELECT c.tx, ctid, id, v FROM t;
  COMMIT;
END $$;
SELECT setseed(0.5);
DO $$ BEGIN FOR i IN 1..20 LOOP CALL step(i, 'db'); END LOOP; END $$;
SELECT datahike.create_branch('side') AS made \gset
DO $$ BEGIN FOR i IN 21..60 LOOP CALL step(i, CASE i % 2 WHEN 0 THEN 'db' ELSE 'side' END); END LOOP; END $$;
RESET datahike.branch;

-- What a session must see whose view names the commit `head`.
CREATE TABLE ancestry USING heap AS SELECT c.commit_id AS head, l.tx FROM commits c, datahike.log(c.commit_id::text) l;
CREATE TABLE line USING heap AS
  WITH RECURSIVE parent AS MATERIALIZED (SELECT DISTINCT l.commit_id, l.parents[1] AS parent, l.tx FROM commits c, datahike.log(c.commit_id::text, 1) l),
  line AS (SELECT commit_id AS head, commit_id AS at FROM parent UNION ALL SELECT head, parent FROM line JOIN parent ON commit_id = at)
  SELECT head, tx FROM line JOIN parent ON commit_id = at;
CREATE TABLE versions USING heap AS  -- of every row, with the commit that made it and whether it is live at the head
  SELECT head, row_at, s.id, s.v, m.tx, c.at, bool_or(s.tx = h.tx) AS live
  FROM (SELECT head, row_at, min(tx) AS tx FROM seen JOIN ancestry USING (tx) GROUP BY 1, 2) m
    JOIN commits c USING (tx) JOIN commits h ON h.commit_id = head JOIN seen s USING (row_at)
  GROUP BY 1, 2, 3, 4, 5, 6;
CREATE INDEX ON versions (head);
CREATE INDEX ON seen (tx);
ANALYZE versions, seen, commits, line;
CREATE FUNCTION expected(head uuid, since_tx bigint, since_at timestamptz, history bool) RETURNS TABLE (row_at tid, id int, v text) LANGUAGE plpgsql AS $$
DECLARE
  base bigint := (SELECT max(c.tx) FROM commits c JOIN line l USING (tx) WHERE l.head = expected.head AND (c.tx <= since_tx OR c.at <= since_at));
BEGIN
  RETURN QUERY SELECT w.row_at, w.id, w.v FROM versions w WHERE w.head = expected.head
    AND CASE WHEN history THEN (since_tx IS NULL OR w.tx > since_tx) AND (since_at IS NULL OR w.at > since_at)
      ELSE live AND w.row_at NOT IN (SELECT s.row_at FROM seen s WHERE s.tx = base) END;
END $$;

-- Rows that differ, by a query of the view's rows which does not use what `without` names.
CREATE TABLE without (method text) USING heap;
CREATE FUNCTION wrong(head uuid, since_tx bigint, since_at timestamptz, history bool, query text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  n bigint;
BEGIN
  PERFORM set_config('datahike.since', coalesce(since_tx::text, since_at::text, ''), true), set_config('datahike.history', history::text, true);
  PERFORM set_config(method, 'off', true) FROM without;
  EXECUTE format('CREATE TEMP TABLE got USING heap AS %s', query);
  PERFORM set_config(method, 'on', true) FROM without;
  PERFORM set_config('datahike.since', '', true), set_config('datahike.history', 'off', true);
  WITH want AS MATERIALIZED (SELECT * FROM expected(head, since_tx, since_at, history))
  SELECT count(*) INTO n FROM (
    (SELECT row_at, id, v FROM got EXCEPT ALL SELECT * FROM want) UNION ALL (SELECT * FROM want EXCEPT ALL SELECT row_at, id, v FROM got)) x;
  DROP TABLE got;
  RETURN n;
END $$;
-- The same over points of the history, with the view's commit chosen in one of three ways.
CREATE FUNCTION all_wrong(way text, history bool, query text, step int DEFAULT 7) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  c commits;
  p commits;
  n bigint := 0;
  k int := 0;
BEGIN
  FOR c IN SELECT * FROM commits WHERE way <> 'branch' AND tx % 6 = 1 OR tx IN (SELECT max(tx) FROM commits GROUP BY branch) ORDER BY tx LOOP
    PERFORM set_config('datahike.branch', c.branch, true);
    CASE way
      WHEN 'commit_id' THEN PERFORM set_config('datahike.commit_id', c.commit_id::text, true);
      WHEN 'as_of tx' THEN PERFORM set_config('datahike.as_of', c.tx::text, true);
      WHEN 'as_of time' THEN PERFORM set_config('datahike.as_of', c.at::text, true);
      ELSE NULL;
    END CASE;
    FOR p IN SELECT * FROM commits UNION ALL SELECT 0, NULL, NULL, '-infinity' UNION ALL SELECT 1000000, NULL, NULL, 'infinity' LOOP
      k := k + 1;
      CONTINUE WHEN k % step <> 0 AND p.tx NOT IN (0, 1000000);
      n := n + wrong(c.commit_id, p.tx, NULL, history, query) + wrong(c.commit_id, NULL, p.at, history, query);
    END LOOP;
    n := n + wrong(c.commit_id, NULL, NULL, history, query);
    PERFORM set_config('datahike.commit_id', '', true), set_config('datahike.as_of', '', true);
  END LOOP;
  PERFORM set_config('datahike.branch', 'db', true);
  RETURN n;
END $$;

SELECT is(all_wrong('branch', false, 'SELECT ctid AS row_at, id, v FROM t', 3), 0::bigint, 'since, on a branch');
SELECT is(all_wrong('commit_id', false, 'SELECT ctid AS row_at, id, v FROM t', 17), 0::bigint, 'since, of a commit');
SELECT is(all_wrong('as_of tx', false, 'SELECT ctid AS row_at, id, v FROM t', 23), 0::bigint, 'since, as of a transaction');
SELECT is(all_wrong('as_of time', false, 'SELECT ctid AS row_at, id, v FROM t', 29), 0::bigint, 'since, as of a time');
SELECT is(all_wrong('branch', true, 'SELECT ctid AS row_at, id, v FROM t', 3), 0::bigint, 'history, of a branch');
SELECT is(all_wrong('commit_id', true, 'SELECT ctid AS row_at, id, v FROM t', 17), 0::bigint, 'history, of a commit');
SELECT is(all_wrong('as_of tx', true, 'SELECT ctid AS row_at, id, v FROM t', 23), 0::bigint, 'history, as of a transaction');

INSERT INTO without VALUES ('enable_seqscan'), ('enable_bitmapscan');
SELECT is(all_wrong('branch', false, 'SELECT ctid AS row_at, id, v FROM t WHERE id > 0', 11), 0::bigint, 'since, by an index');
SELECT is(all_wrong('branch', true, 'SELECT ctid AS row_at, id, v FROM t WHERE id > 0', 11), 0::bigint, 'history, by an index');
UPDATE without SET method = 'enable_indexscan' WHERE method = 'enable_bitmapscan';
SELECT is(all_wrong('branch', false, 'SELECT ctid AS row_at, id, v FROM t WHERE id > 0', 11), 0::bigint, 'since, by a bitmap');
SELECT is(all_wrong('branch', true, 'SELECT ctid AS row_at, id, v FROM t WHERE id > 0', 11), 0::bigint, 'history, by a bitmap');
TRUNCATE without;
SELECT is(all_wrong('branch', true, 'SELECT t.ctid AS row_at, t.id, v FROM (SELECT DISTINCT row_at FROM seen) x JOIN t ON t.ctid = x.row_at', 11), 0::bigint, 'history, by TIDs');
SELECT is(all_wrong('branch', true, $$SELECT ctid AS row_at, id, v FROM t WHERE ctid >= '(0,1)' AND ctid < '(4294967294,1)'$$, 11), 0::bigint, 'history, by a range of TIDs');
SELECT is(all_wrong('branch', true, 'SELECT ctid AS row_at, id, v FROM t TABLESAMPLE BERNOULLI (100)', 11), 0::bigint, 'history, by a sample');
SELECT * FROM finish();
