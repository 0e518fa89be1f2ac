-- diff() against copies on heap, over random histories on two branches.
SELECT plan(26);
CREATE TABLE keyed (a int, b text COLLATE "C", v int, w text, gone int, PRIMARY KEY (b, a));
ALTER TABLE keyed DROP COLUMN gone;
CREATE TABLE free (a int, v text);
CREATE TABLE part (id int, region int, v text, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
CREATE TABLE part_1 PARTITION OF part FOR VALUES IN (1);
CREATE TABLE part_2 PARTITION OF part FOR VALUES IN (2, 3);
CREATE TABLE rev (n serial, id text) USING heap;
CREATE TABLE h_keyed (n int, x keyed) USING heap;
CREATE TABLE h_free (n int, e bigint, x free) USING heap;
CREATE TABLE h_part (n int, x part) USING heap;
CREATE PROCEDURE copy_all() LANGUAGE plpgsql AS $$
DECLARE c int;
BEGIN
  COMMIT;
  INSERT INTO rev (id) VALUES (datahike.commit_id()::text) RETURNING n INTO c;
  INSERT INTO h_keyed SELECT c, k FROM keyed k;
  INSERT INTO h_free SELECT c, datahike.row_entity(tableoid, ctid), f FROM free f;
  INSERT INTO h_part SELECT c, p FROM part p;
  COMMIT;
END $$;
CREATE PROCEDURE step(i int) LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO keyed SELECT g % 50, chr(97 + g % 7), i, NULL FROM generate_series(i, i + 20, 3) g ON CONFLICT DO NOTHING;
  UPDATE keyed SET v = v + 1, w = CASE WHEN random() < 0.5 THEN 'x' END WHERE random() < 0.1;
  UPDATE keyed SET v = v WHERE random() < 0.1;
  UPDATE keyed SET a = a + 100000 * i WHERE random() < 0.02;
  DELETE FROM keyed WHERE random() < 0.05;
  INSERT INTO free SELECT i, 'f' FROM generate_series(1, 5);
  UPDATE free SET v = v || i WHERE random() < 0.1;
  DELETE FROM free WHERE random() < 0.05;
  INSERT INTO part SELECT i * 10 + g, 1 + g % 3, 'p' FROM generate_series(0, 5) g;
  UPDATE part SET v = v || i WHERE random() < 0.1;
  UPDATE part SET region = 2 WHERE region = 1 AND random() < 0.1;
  DELETE FROM part WHERE random() < 0.05;
  IF i % 11 = 0 THEN TRUNCATE free; END IF;
  CALL copy_all();
END $$;
SELECT setseed(0.5);
CALL copy_all();
DO $$ BEGIN FOR i IN 1..8 LOOP CALL step(i); END LOOP; END $$;
SELECT datahike.create_branch('side') AS made \gset
DO $$ BEGIN FOR i IN 9..20 LOOP PERFORM set_config('datahike.branch', CASE i % 2 WHEN 0 THEN 'db' ELSE 'side' END, false); CALL step(i); END LOOP; END $$;
RESET datahike.branch;

-- What diff() should say, in plain SQL over the copies.
CREATE FUNCTION want_keyed(a int, b int) RETURNS TABLE (op text, old keyed, new keyed, changed text[]) LANGUAGE sql AS $$
  SELECT CASE WHEN o IS NULL THEN 'insert' WHEN n IS NULL THEN 'delete' ELSE 'update' END, o.x, n.x,
    CASE WHEN o IS NOT NULL AND n IS NOT NULL THEN array_remove(ARRAY[CASE WHEN (n.x).v IS DISTINCT FROM (o.x).v THEN 'v' END, CASE WHEN (n.x).w IS DISTINCT FROM (o.x).w THEN 'w' END], NULL) END
  FROM (SELECT x FROM h_keyed WHERE n = a) o FULL JOIN (SELECT x FROM h_keyed WHERE n = b) n ON (o.x).a = (n.x).a AND (o.x).b = (n.x).b
  WHERE (o.x).a IS NULL OR (n.x).a IS NULL OR o.x IS DISTINCT FROM n.x $$;
CREATE FUNCTION want_free(a int, b int) RETURNS TABLE (op text, old free, new free, changed text[]) LANGUAGE sql AS $$
  SELECT CASE WHEN o.e IS NULL THEN 'insert' WHEN n.e IS NULL THEN 'delete' ELSE 'update' END, o.x, n.x,
    CASE WHEN o.e = n.e THEN ARRAY['v'] END
  FROM (SELECT e, x FROM h_free WHERE n = a) o FULL JOIN (SELECT e, x FROM h_free WHERE n = b) n ON o.e = n.e
  WHERE o.e IS NULL OR n.e IS NULL OR o.x IS DISTINCT FROM n.x $$;
CREATE FUNCTION want_part(a int, b int) RETURNS TABLE (op text, old part, new part, changed text[]) LANGUAGE sql AS $$
  SELECT CASE WHEN o.x IS NULL THEN 'insert' WHEN n.x IS NULL THEN 'delete' ELSE 'update' END, o.x, n.x,
    CASE WHEN o.x IS NOT NULL AND n.x IS NOT NULL THEN ARRAY['v'] END
  FROM (SELECT x FROM h_part WHERE n = a) o FULL JOIN (SELECT x FROM h_part WHERE n = b) n ON (o.x).id = (n.x).id AND (o.x).region = (n.x).region
  WHERE (o.x).id IS NULL OR (n.x).id IS NULL OR o.x IS DISTINCT FROM n.x $$;
CREATE FUNCTION wrong(tbl text, a int, b int) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  n bigint;
  got text := format('SELECT * FROM datahike.diff(NULL::%I, %L, %L)', tbl, (SELECT id FROM rev r WHERE r.n = a), (SELECT id FROM rev r WHERE r.n = b));
  want text := format('SELECT * FROM want_%s(%s, %s)', tbl, a, b);
BEGIN
  EXECUTE format('SELECT count(*) FROM ((%s EXCEPT ALL %s) UNION ALL (%s EXCEPT ALL %s)) x', got, want, want, got) INTO n;
  RETURN n;
END $$;
SELECT cmp_ok((SELECT count(*) FROM h_keyed), '>', 400::bigint, 'enough rows');
SELECT is((SELECT count(DISTINCT op) FROM want_keyed(8, 20)), 3::bigint, 'of every kind');
SELECT is((SELECT sum(wrong(t, n, n + 1)) FROM generate_series(1, 20) n), 0::numeric, t || ': neighbours') FROM unnest(ARRAY['keyed', 'free', 'part']) t;
SELECT is((SELECT sum(wrong(t, n + 1, n)) FROM generate_series(1, 20, 3) n), 0::numeric, t || ': backwards') FROM unnest(ARRAY['keyed', 'free', 'part']) t;
SELECT is((SELECT sum(wrong(t, a, b)) FROM generate_series(1, 21, 5) a, generate_series(2, 21, 4) b), 0::numeric, t || ': any two') FROM unnest(ARRAY['keyed', 'free', 'part']) t;
SELECT is_empty($$SELECT * FROM datahike.diff(NULL::keyed, 'db', 'db')$$, 'nothing between a revision and itself');
SELECT is((SELECT count(*) FROM datahike.diff(NULL::keyed, (SELECT id FROM rev WHERE n = 1))), (SELECT count(*) FROM keyed), 'from before the table had rows; the revision by a subquery');
SELECT results_eq($$SELECT d.op, count(*) FROM (VALUES ('db', 'side')) r(a, b), LATERAL datahike.diff(NULL::part, r.a, r.b) d GROUP BY 1 ORDER BY 1$$, $$SELECT op, count(*) FROM datahike.diff(NULL::part, 'db', 'side') GROUP BY 1 ORDER BY 1$$, 'LATERAL');

-- one by one
CREATE TABLE t (id int PRIMARY KEY, a int, b text, c int GENERATED ALWAYS AS (a * 2) STORED);
INSERT INTO t SELECT g, g, 'x' FROM generate_series(1, 1000) g;
SELECT datahike.commit_id()::text AS start \gset
BEGIN;
UPDATE t SET a = 0 WHERE id = 1;
UPDATE t SET b = NULL WHERE id = 2;
UPDATE t SET a = a WHERE id = 3;
DELETE FROM t WHERE id = 4;
INSERT INTO t VALUES (5000, 1, 'y');
DELETE FROM t WHERE id = 6;
INSERT INTO t VALUES (6, 6, 'x');
UPDATE t SET id = 5001 WHERE id = 7;
SELECT is_empty(format($$SELECT * FROM datahike.diff(NULL::t, %L)$$, :'start'), 'uncommitted changes are no commit');
COMMIT;
SELECT results_eq(format($$SELECT op, (old).id, (new).id, changed FROM datahike.diff(NULL::t, %L) ORDER BY coalesce((new).id, (old).id)$$, :'start'),
  $$VALUES ('update', 1, 1, '{a,c}'::text[]), ('update', 2, 2, '{b}'), ('delete', 4, NULL, NULL), ('delete', 7, NULL, NULL), ('insert', NULL, 5000, NULL), ('insert', NULL, 5001, NULL)$$,
  'each change; a row with the same values again is none');
SELECT results_eq(format($$SELECT op, old IS NULL, new FROM datahike.diff(NULL::t, %L) WHERE (new).id = 5000$$, :'start'), $$VALUES ('insert', true, ROW(5000, 1, 'y', 2)::t)$$, 'the row that is not there is NULL');
CREATE FUNCTION plan_of(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE line text;
BEGIN
  FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP RETURN NEXT trim(line); END LOOP;
END $$;
SELECT ok('Index Cond: (id = 5000)' IN (SELECT plan_of(format('SELECT op FROM datahike.diff(NULL::t, %L) WHERE (new).id = 5000', :'start'))) OR
  'Filter: (id = 5000)' IN (SELECT plan_of(format('SELECT op FROM datahike.diff(NULL::t, %L) WHERE (new).id = 5000', :'start'))), 'a condition on a column reaches the scan');
SELECT is((SELECT count(*) FROM plan_of(format('SELECT op FROM datahike.diff(NULL::t, %L)', :'start')) p WHERE p ~ 'Datahike View'), 2::bigint, 'two scans of differences');
CREATE FUNCTION rows_read(query text) RETURNS numeric LANGUAGE plpgsql AS $$
DECLARE
  line text;
  most numeric := 0;
BEGIN
  FOR line IN EXECUTE 'EXPLAIN (ANALYZE, TIMING OFF) ' || query LOOP
    most := greatest(most, (regexp_match(line, 'Scan.*actual rows=(\d+)'))[1]::numeric, (regexp_match(line, 'Removed by Filter: (\d+)'))[1]::numeric);
  END LOOP;
  RETURN most;
END $$;
SELECT cmp_ok(rows_read(format('SELECT op FROM datahike.diff(NULL::t, %L)', :'start')), '<=', 8::numeric, 'they read what differs');
SELECT datahike.commit_id()::text AS altered \gset
ALTER TABLE t ADD COLUMN d int DEFAULT 7;
ALTER TABLE t DROP COLUMN c;
UPDATE t SET d = 8 WHERE id = 10;
SELECT results_eq(format($$SELECT op, old, new, changed FROM datahike.diff(NULL::t, %L)$$, :'altered'), $$VALUES ('update', ROW(10, 10, 'x', 7)::t, ROW(10, 10, 'x', 8)::t, '{d}'::text[])$$, 'old rows are read with today''s columns');
SELECT throws_ok($$SELECT * FROM datahike.diff(NULL::t, 'nowhere')$$, '42704', NULL, 'no such revision');
SELECT throws_ok($$SELECT * FROM datahike.diff(NULL::rev, 'db')$$, '42809', NULL, 'a heap table');
CREATE TABLE parent (id int PRIMARY KEY, v int);
CREATE TABLE child (w int) INHERITS (parent);
INSERT INTO parent VALUES (1, 1);
INSERT INTO child VALUES (1, 1, 1), (1, 2, 2);
SELECT datahike.commit_id()::text AS start \gset
UPDATE parent SET v = 9 WHERE v = 2;
SELECT results_eq(format($$SELECT op, old, new, changed FROM datahike.diff(NULL::parent, %L)$$, :'start'), $$VALUES ('update', ROW(1, 2)::parent, ROW(1, 9)::parent, '{v}'::text[])$$, 'children, which the parent''s key says nothing about');
CREATE TABLE "odd ""name""" ("old row" int PRIMARY KEY, "new row" int, "select" text);
INSERT INTO "odd ""name""" VALUES (1, 2, 'x');
SELECT datahike.commit_id()::text AS start \gset
UPDATE "odd ""name""" SET "new row" = 3;
SELECT results_eq(format($$SELECT changed FROM datahike.diff(NULL::"odd ""name""", %L)$$, :'start'), $$VALUES ('{new row}'::text[])$$, 'names that need quotes');
BEGIN;
DECLARE c CURSOR FOR SELECT op FROM datahike.diff(NULL::"odd ""name""", 'db~1');
SELECT isnt_empty('FETCH 1 FROM c', 'a cursor');
COMMIT;
SELECT * FROM finish();
