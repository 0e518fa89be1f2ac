-- tx_range(): what it says of each commit is put into practice on a copy, over random histories with merges and resets.
SELECT plan(42);
CREATE TABLE keyed (a int, b text COLLATE "C", v int, w text, gone int, PRIMARY KEY (b, a));
ALTER TABLE keyed DROP COLUMN gone;
CREATE TABLE free (a int, v text);
CREATE TABLE part (id int, region int, v text, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
CREATE TABLE part_1 PARTITION OF part FOR VALUES IN (1);
CREATE TABLE part_2 PARTITION OF part FOR VALUES IN (2, 3);
CREATE TABLE parent (id int PRIMARY KEY, v int);
CREATE TABLE child (w int) INHERITS (parent);
CREATE TABLE rev (n serial, id text PRIMARY KEY) USING heap;
CREATE TABLE copy (n int, relation regclass, x jsonb) USING heap;
CREATE INDEX ON copy (n);
CREATE PROCEDURE keep() LANGUAGE plpgsql AS $$
DECLARE c int; t text;
BEGIN
  COMMIT;
  INSERT INTO rev (id) VALUES (datahike.commit_id()::text) ON CONFLICT DO NOTHING RETURNING n INTO c;
  IF c IS NOT NULL THEN
    FOREACH t IN ARRAY '{keyed,free,part_1,part_2,parent,child}'::text[] LOOP
      EXECUTE format('INSERT INTO copy SELECT %s, %L::regclass, to_jsonb(t) FROM ONLY %I t', c, t, t);
    END LOOP;
  END IF;
  COMMIT;
END $$;
CREATE PROCEDURE step(i int) LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO keyed SELECT g % 30, chr(97 + g % 5), i, NULL FROM generate_series(i, i + 20, 3) g ON CONFLICT DO NOTHING;
  UPDATE keyed SET v = v + 1, w = CASE WHEN random() < 0.5 THEN 'x' END WHERE random() < 0.1;
  UPDATE keyed SET a = a + 1000 * i WHERE random() < 0.03;
  UPDATE keyed SET v = v WHERE random() < 0.1;
  DELETE FROM keyed WHERE random() < 0.05;
  BEGIN
    INSERT INTO free SELECT i, 'f' FROM generate_series(1, 4);
    UPDATE free SET v = v || i WHERE random() < 0.2;
    DELETE FROM free WHERE random() < 0.1;
    INSERT INTO keyed SELECT 500 + g, 'sub', i FROM generate_series(1, 3) g ON CONFLICT (b, a) DO UPDATE SET v = excluded.v;
    DELETE FROM keyed WHERE b = 'sub' AND random() < 0.3;
    IF i % 4 = 0 THEN RAISE division_by_zero; END IF;
  EXCEPTION WHEN division_by_zero THEN NULL;
  END;
  INSERT INTO part SELECT i * 10 + g, 1 + g % 3, 'p' FROM generate_series(0, 4) g ON CONFLICT DO NOTHING;
  UPDATE part SET v = v || i WHERE random() < 0.1;
  UPDATE part SET region = 3 - region WHERE region < 3 AND random() < 0.1 AND NOT EXISTS (SELECT FROM part p WHERE p.id = part.id AND p.region = 3 - part.region);
  DELETE FROM part WHERE random() < 0.05;
  INSERT INTO parent VALUES (i, 0) ON CONFLICT DO NOTHING;
  INSERT INTO child VALUES (i % 5, 0, i);
  UPDATE parent SET v = v + 1 WHERE random() < 0.2;
  DELETE FROM parent WHERE random() < 0.05;
  IF i % 13 = 0 THEN TRUNCATE free; INSERT INTO free VALUES (i, 'truncated'); END IF;
  IF i % 17 = 0 THEN TRUNCATE keyed; END IF;
  CALL keep();
END $$;
SELECT setseed(0.25);
CALL keep();
DO $$ BEGIN FOR i IN 1..10 LOOP CALL step(i); END LOOP; END $$;
SELECT datahike.create_branch('side') AS made \gset
DO $$
DECLARE branch text;
BEGIN
  FOR i IN 11..60 LOOP
    branch := CASE WHEN random() < 0.5 THEN 'db' ELSE 'side' END;
    PERFORM set_config('datahike.branch', branch, false);
    CALL step(i);
    IF i % 5 = 0 THEN
      PERFORM datahike.merge(CASE branch WHEN 'db' THEN 'side' ELSE 'db' END, CASE WHEN random() < 0.5 THEN 'ours' ELSE 'theirs' END);
      CALL keep();
    END IF;
    IF i % 6 = 0 THEN  -- what has just been merged in there can be taken over as it is
      PERFORM set_config('datahike.branch', CASE branch WHEN 'db' THEN 'side' ELSE 'db' END, false);
      PERFORM datahike.merge(branch, 'theirs');
      CALL keep();
    END IF;
    IF i % 19 = 0 THEN
      PERFORM datahike.force_branch(branch, (SELECT id FROM rev WHERE n = (i / 2)));
      CALL keep();
      PERFORM datahike.force_branch(branch, (SELECT id FROM rev WHERE n = (i / 3)), ARRAY[(SELECT id FROM rev WHERE n = i)]);
      CALL keep();
    END IF;
  END LOOP;
END $$;
RESET datahike.branch;

-- Changes that do not fit the copy, and rows that are others than they should be after a commit.
CREATE TABLE work (relation regclass, x jsonb) USING heap;
CREATE INDEX ON work (relation, x);
CREATE FUNCTION strays(commit text) RETURNS bigint LANGUAGE sql AS $$
  SELECT (SELECT count(*) FROM (SELECT relation, x FROM copy JOIN rev USING (n) WHERE id = commit EXCEPT ALL TABLE work) a)
    + (SELECT count(*) FROM (TABLE work EXCEPT ALL SELECT relation, x FROM copy JOIN rev USING (n) WHERE id = commit) b) $$;
CREATE FUNCTION wrong(start text, stop text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  c record;
  last text := start;
  n bigint;
  bad bigint := 0;
BEGIN
  TRUNCATE work;
  INSERT INTO work SELECT relation, x FROM copy JOIN rev USING (n) WHERE id = start;
  FOR c IN SELECT * FROM datahike.tx_range(start, stop) LOOP
    IF c.commit_id::text <> last THEN bad := bad + strays(last); END IF;
    last := c.commit_id::text;
    IF c.old IS NOT NULL THEN
      DELETE FROM work WHERE ctid = (SELECT ctid FROM work WHERE relation = c.relation AND x = c.old LIMIT 1);
      GET DIAGNOSTICS n = ROW_COUNT;
      bad := bad + 1 - n;
    END IF;
    IF c.new IS NOT NULL THEN INSERT INTO work VALUES (c.relation, c.new); END IF;
    bad := bad + (c.op IS DISTINCT FROM CASE WHEN c.old IS NULL THEN 'insert' WHEN c.new IS NULL THEN 'delete' ELSE 'update' END)::int;
  END LOOP;
  RETURN bad + strays(last) + strays(stop);
END $$;
CREATE TABLE pair USING heap AS SELECT a.n AS a, b.n AS b, a.id AS start, b.id AS stop, datahike.is_ancestor(a.id, b.id) AS descends
  FROM rev a, rev b WHERE (a.n * 7 + b.n * 13) % 41 = 0 OR b.n = a.n + 1;
SELECT cmp_ok((SELECT count(*) FROM pair WHERE descends), '>', 80::bigint, 'enough ranges');
SELECT cmp_ok((SELECT count(*) FROM pair WHERE NOT descends), '>', 20::bigint, 'and some that are none');
SELECT is((SELECT sum(wrong(start, stop)) FROM pair WHERE descends), 0::numeric, 'the changes make one revision of another, commit by commit');
CREATE FUNCTION errors_of(query text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN EXECUTE query; RETURN 'none'; EXCEPTION WHEN OTHERS THEN RETURN SQLSTATE; END $$;
SELECT results_eq($$SELECT DISTINCT errors_of(format('SELECT FROM datahike.tx_range(%L, %L)', start, stop)) FROM pair WHERE NOT descends$$, $$VALUES ('22023')$$, 'others are refused');

-- One table: what diff() says of each commit and the parent that the way goes over.
CREATE FUNCTION way(start text, stop text) RETURNS TABLE (parent text, commit_id text) LANGUAGE sql AS $$
  WITH RECURSIVE way AS (
    SELECT (SELECT p FROM unnest(i.parents) WITH ORDINALITY u(p, n) WHERE datahike.is_ancestor(start, p::text) ORDER BY n LIMIT 1)::text AS parent, stop AS commit_id
    FROM datahike.commit_info(stop) i WHERE stop <> start
    UNION ALL
    SELECT (SELECT p FROM unnest(i.parents) WITH ORDINALITY u(p, n) WHERE datahike.is_ancestor(start, p::text) ORDER BY n LIMIT 1)::text, w.parent
    FROM way w, LATERAL datahike.commit_info(w.parent) i WHERE w.parent <> start)
  SELECT * FROM way $$;
CREATE FUNCTION wrong_of(tbl text, start text, stop text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  n bigint;
  got text := format('SELECT commit_id::text, op, old, new, changed FROM datahike.tx_range(NULL::%I, %L, %L)', tbl, start, stop);
  want text := format('SELECT commit_id, op, old, new, changed FROM way(%L, %L), LATERAL datahike.diff(NULL::%I, parent, commit_id)', start, stop, tbl);
BEGIN
  EXECUTE format('SELECT count(*) FROM ((%s EXCEPT ALL %s) UNION ALL (%s EXCEPT ALL %s)) x', got, want, want, got) INTO n;
  RETURN n;
END $$;
SELECT is((SELECT sum(wrong_of(t, start, stop)) FROM pair WHERE descends AND (a + b) % 3 = 0), 0::numeric, t || ': as diff() of each commit') FROM unnest(ARRAY['keyed', 'free', 'part', 'parent']) t;
SELECT cmp_ok((SELECT count(*) FROM pair, LATERAL way(start, stop) w, LATERAL datahike.commit_info(w.commit_id) i WHERE descends AND i.parents[1]::text <> w.parent), '>', 0::bigint, 'some go over another than the first parent');
SELECT is((SELECT count(*) FROM (SELECT commit_id, tx, lag(tx) OVER () AS before FROM datahike.tx_range(NULL, 'db')) x WHERE tx < before), 0::bigint, 'in the order of the line');
SELECT results_eq($$SELECT DISTINCT r.tx, r.committed_at, r.author FROM datahike.tx_range('db~5', 'db') r ORDER BY 1$$,
  $$SELECT DISTINCT l.tx, l.committed_at, l.author FROM datahike.tx_range('db~5', 'db') r JOIN datahike.log('db') l USING (commit_id) ORDER BY 1$$, 'with what the log says of the commits');

-- One by one
CREATE TABLE t (id int PRIMARY KEY, u int UNIQUE, v text);
INSERT INTO t SELECT g, g, 'x' FROM generate_series(1, 1000) g;
SELECT datahike.commit_id()::text AS start \gset
SET datahike.message = 'three kinds';
SET datahike.author = 'ada';
BEGIN;
INSERT INTO t VALUES (2000, 2000, 'new'), (2001, 2001, 'not for long');
UPDATE t SET u = 2 WHERE id = 2;
UPDATE t SET v = 'y', u = 5000 WHERE id = 3;
DELETE FROM t WHERE id IN (4, 2001);
DELETE FROM t WHERE id = 5;
INSERT INTO t VALUES (5, 5, 'again');
UPDATE t SET id = 2006 WHERE id = 6;
COMMIT;
RESET datahike.message;
RESET datahike.author;
SELECT datahike.commit_id()::text AS three \gset
SELECT results_eq(format($$SELECT message, author, relation::text, op, coalesce(new, old)->>'id', changed FROM datahike.tx_range(%L)$$, :'start'),
  $$VALUES ('three kinds', 'ada', 't', 'delete', '4', NULL::text[]), ('three kinds', 'ada', 't', 'delete', '6', NULL), ('three kinds', 'ada', 't', 'update', '3', '{u,v}'),
  ('three kinds', 'ada', 't', 'update', '5', '{v}'), ('three kinds', 'ada', 't', 'insert', '2000', NULL), ('three kinds', 'ada', 't', 'insert', '2006', NULL)$$, 'deletions, updates, insertions');
SELECT results_eq(format($$SELECT op, old, new FROM datahike.tx_range(NULL::t, %L) WHERE (new).id = 3$$, :'start'), $$VALUES ('update', ROW(3, 3, 'x')::t, ROW(3, 5000, 'y')::t)$$, 'rows of one table');
SELECT results_eq(format($$SELECT old, new FROM datahike.tx_range(%L) WHERE op = 'update' AND new->>'id' = '3'$$, :'start'),
  $$VALUES ('{"id": 3, "u": 3, "v": "x"}'::jsonb, '{"id": 3, "u": 5000, "v": "y"}'::jsonb)$$, 'as jsonb');
SELECT is_empty(format('SELECT * FROM datahike.tx_range(%L, %L)', :'three', :'three'), 'from is exclusive');
BEGIN;
DELETE FROM t WHERE id = 7;
SELECT is_empty(format('SELECT * FROM datahike.tx_range(%L)', :'three'), 'uncommitted changes are no commit');
COMMIT;
TRUNCATE t;
INSERT INTO t VALUES (1, 1, 'x');
SELECT results_eq(format($$SELECT tx - min(tx) OVER (), op, count(*) FROM datahike.tx_range(%L) GROUP BY tx, op ORDER BY tx$$, :'three'),
  $$VALUES (0::bigint, 'delete', 1::bigint), (1, 'delete', 999), (2, 'insert', 1)$$, 'TRUNCATE deletes what was there');
SELECT datahike.commit_id()::text AS truncated \gset
ALTER TABLE t ADD COLUMN w int DEFAULT 7;
UPDATE t SET w = 8;
ALTER TABLE t ALTER COLUMN u TYPE bigint;
SELECT results_eq(format($$SELECT op, old, new FROM datahike.tx_range(NULL::t, %L)$$, :'truncated'), $$VALUES ('update', ROW(1, 1, 'x', 7)::t, ROW(1, 1, 'x', 8)::t)$$, 'today''s columns; definitions are no changes of rows');
CREATE FUNCTION rows_read(query text) RETURNS numeric LANGUAGE plpgsql AS $$
DECLARE line text; most numeric := 0;
BEGIN
  FOR line IN EXECUTE 'EXPLAIN (ANALYZE, TIMING OFF) ' || query LOOP
    most := greatest(most, (regexp_match(line, 'Scan.*actual rows=(\d+)'))[1]::numeric, (regexp_match(line, 'Removed by Filter: (\d+)'))[1]::numeric);
  END LOOP;
  RETURN most;
END $$;
SELECT cmp_ok(rows_read(format($$SELECT op FROM datahike.commit_changes(NULL::t, %L, %L)$$, :'start', :'three')), '<=', 6::numeric, 'costs what the commit has changed');
SELECT throws_ok(format($$SELECT * FROM datahike.tx_range('nowhere', %L)$$, :'three'), '42704', NULL, 'no such revision');
SELECT throws_ok('SELECT * FROM datahike.tx_range(NULL::rev, NULL)', '42809', NULL, 'a heap table');
SELECT throws_ok(format('SELECT * FROM datahike.tx_range(%L, %L)', :'three', :'start'), '22023', NULL, 'backwards');
SELECT throws_ok($$SELECT * FROM datahike.commit_changes(NULL::t, '00000000-0000-8000-8000-000000000000', '00000000-0000-8000-8000-000000000000')$$, '42704', NULL, 'no such commit');
SELECT is((SELECT count(*) FROM datahike.tx_range(NULL::t, NULL, :'three')), 1006::bigint, 'from NULL: from the beginning');
PREPARE feed(text) AS SELECT count(*) FROM datahike.tx_range($1);
SELECT results_eq(format('EXECUTE feed(%L)', :'truncated'), 'VALUES (1::bigint)', 'a prepared statement');
SELECT results_eq(format($$SELECT r.n, (SELECT count(*) FROM datahike.tx_range(NULL::t, r.id)) FROM (VALUES (1, %L), (2, %L)) r(n, id) ORDER BY n$$, :'three', :'truncated'), 'VALUES (1, 1002::bigint), (2, 1)', 'revisions from another table');
SELECT results_eq(format($$SELECT count(*) FROM datahike.commit_info(%L) i, LATERAL datahike.commit_changes(NULL::t, i.parents[1], i.commit_id)$$, :'three'), 'VALUES (6::bigint)', 'a commit from another table');

-- A branch that is taken over as it is, after it had merged this one.
SELECT datahike.create_branch('draft') AS made \gset
INSERT INTO t VALUES (10, 10, 'db');
SELECT datahike.commit_id()::text AS seen \gset
SET datahike.branch = 'draft';
INSERT INTO t VALUES (11, 11, 'draft');
SELECT status AS merged FROM datahike.merge('db') \gset
SELECT datahike.commit_id()::text AS merge \gset
RESET datahike.branch;
SELECT is((SELECT status FROM datahike.merge('draft')), 'fast-forward', 'the branch is taken over');
SELECT results_eq(format($$SELECT commit_id, op, (new).id FROM datahike.tx_range(NULL::t, %L)$$, :'seen'), format($$VALUES (%L::uuid, 'insert', 11)$$, :'merge'), 'what is new to who has seen the branch before');

-- Who may see what.
CREATE ROLE feed_reader;
CREATE TABLE hidden (id int, secret int);
CREATE TABLE policed (id int PRIMARY KEY, owner text);
ALTER TABLE policed ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON policed USING (owner = current_user);
CREATE SCHEMA closed;
CREATE TABLE closed.t (id int);
GRANT SELECT ON t, policed, closed.t TO feed_reader;
GRANT SELECT (id) ON hidden TO feed_reader;
SELECT datahike.commit_id()::text AS start \gset
INSERT INTO hidden VALUES (1, 1);
INSERT INTO closed.t VALUES (1);
INSERT INTO policed VALUES (1, 'feed_reader'), (2, 'other');
UPDATE policed SET owner = 'feed_reader' WHERE id = 2;
SET ROLE feed_reader;
SELECT count(*) AS unreadable FROM datahike.tx_range(:'start') WHERE relation::text IN ('hidden', 'closed.t') \gset
SELECT string_agg(op || (new->>'id'), ' ') AS policed FROM datahike.tx_range(:'start') \gset
SELECT errors_of(format('SELECT * FROM datahike.tx_range(NULL::hidden, %L)', :'start')) AS one_table,
  errors_of(format('SELECT * FROM datahike.tx_range(NULL::closed.t, %L)', :'start')) AS closed \gset
RESET ROLE;
SELECT is(:unreadable, 0, 'tables that the caller may not read are left out');
SELECT is(:'policed'::text, 'insert1 insert2', 'row security');
SELECT is(:'one_table'::text, '42501', 'one table');
SELECT is(:'closed'::text, '42501', 'of a schema that the caller may not use');

-- What is no longer there.
CREATE TABLE dropped (id int);
INSERT INTO dropped VALUES (1);
CREATE MATERIALIZED VIEW m AS SELECT count(*) FROM t;
SELECT datahike.commit_id()::text AS stop \gset
DROP TABLE dropped;
SELECT is((SELECT count(*) FROM datahike.tx_range(:'start') WHERE relation NOT IN ('hidden'::regclass, 'closed.t'::regclass, 'policed'::regclass)), 0::bigint, 'dropped tables and materialized views are left out');
CREATE TABLE brief (id int PRIMARY KEY, n int);
INSERT INTO brief VALUES (1, 1);
SELECT datahike.commit_id()::text AS early \gset
UPDATE brief SET n = 2;
SELECT datahike.commit_id()::text AS later \gset
UPDATE brief SET n = 3;
SELECT datahike.set_keep_history('brief', 'none') AS set \gset
DO $$
BEGIN
  FOR i IN 1..200 LOOP
    UPDATE brief SET n = n + 1;
    COMMIT;
    PERFORM datahike.commit_id();
    EXIT WHEN errors_of(format('SELECT FROM datahike.at(NULL::brief, %L)', (SELECT commit_id FROM datahike.log('db~' || i + 1, 1)))) = '72000';
    PERFORM pg_sleep(0.05);
  END LOOP;
END $$;
SELECT throws_ok(format('SELECT * FROM datahike.tx_range(%L, %L)', :'early', :'later'), '72000', NULL, 'collected history of a table');
SELECT throws_ok(format('SELECT * FROM datahike.tx_range(NULL::brief, %L, %L)', :'early', :'later'), '72000', NULL, 'and of that one alone');
SELECT lives_ok(format('SELECT * FROM datahike.tx_range(NULL::t, %L)', :'early'), 'others are there');
SELECT lives_ok('SELECT * FROM datahike.tx_range(NULL::brief, ''db'')', 'and its present');
SELECT datahike.tag('kept', :'three') AS tag \gset
DO $$ BEGIN FOR i IN 1..3 LOOP UPDATE t SET w = i; COMMIT; END LOOP; END $$;
SELECT commits AS collected FROM datahike.gc(now(), '0') \gset
SELECT cmp_ok(:collected, '>', 0, 'commits are collected');
SELECT throws_ok('SELECT * FROM datahike.tx_range(''kept'')', '72000', NULL, 'a gap');
SELECT throws_ok('SELECT * FROM datahike.tx_range(NULL)', '72000', NULL, 'from the beginning, over a gap');
INSERT INTO t VALUES (77, 77, 'x');
SELECT results_eq($$SELECT op, (new).id FROM datahike.tx_range(NULL::t, 'db~1')$$, $$VALUES ('insert', 77)$$, 'what came after it is there');
SELECT * FROM finish();
