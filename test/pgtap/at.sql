-- at(): tables at other revisions, compared with copies on heap made at the time.
SELECT plan(64);
SET datahike.branch = 'db';
CREATE TABLE t (id int PRIMARY KEY, v text, n int);
CREATE INDEX t_n ON t (n);
CREATE TEMP TABLE mark (name text PRIMARY KEY, id text, tx bigint, at timestamptz) USING heap;
CREATE FUNCTION note(name text) RETURNS void LANGUAGE sql AS
  $$INSERT INTO mark SELECT name, commit_id::text, tx, committed_at FROM datahike.log(max => 1)$$;
CREATE FUNCTION rev(name text) RETURNS text LANGUAGE sql STABLE AS $$SELECT id FROM mark m WHERE m.name = rev.name$$;
-- The lines of a plan that match.
CREATE FUNCTION plan_of(query text, pattern text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE line text;
BEGIN
  FOR line IN EXECUTE 'EXPLAIN (COSTS OFF, VERBOSE) ' || query LOOP
    IF line ~ pattern THEN RETURN NEXT trim(line); END IF;
  END LOOP;
END $$;

SELECT note('empty') \g /dev/null
INSERT INTO t SELECT g, 'v' || g, g % 10 FROM generate_series(1, 5000) g;
SELECT note('one') \g /dev/null
CREATE TABLE h_one USING heap AS SELECT * FROM t;
BEGIN;
UPDATE t SET v = 'two' WHERE id <= 100;
DELETE FROM t WHERE id > 4990;
COMMIT;
SELECT note('two') \g /dev/null
CREATE TABLE h_two USING heap AS SELECT * FROM t;
SELECT datahike.create_branch('side') \g /dev/null
INSERT INTO t SELECT g, 'three', 3 FROM generate_series(9001, 9010) g;
SELECT note('three') \g /dev/null
SET datahike.branch = 'side';
UPDATE t SET n = -1 WHERE id = 7;
CREATE TABLE h_side USING heap AS SELECT * FROM t;
RESET datahike.branch;
ANALYZE t;

-- every form of a revision
SELECT results_eq($$SELECT * FROM datahike.at(NULL::t, rev('one')) ORDER BY id$$, 'SELECT * FROM h_one ORDER BY id', 'a commit');
SELECT results_eq($$SELECT * FROM datahike.at(NULL::t, left(rev('two'), 13)) ORDER BY id$$, 'SELECT * FROM h_two ORDER BY id', 'a prefix');
SELECT results_eq($$SELECT * FROM datahike.at(NULL::t, 'side') ORDER BY id$$, 'SELECT * FROM h_side ORDER BY id', 'a branch');
SELECT results_eq($$SELECT * FROM datahike.at(NULL::t, 'db~2') ORDER BY id$$, 'SELECT * FROM h_one ORDER BY id', 'an ancestor');
SELECT results_eq($$SELECT * FROM datahike.at(NULL::t, 'side~1~1') ORDER BY id$$, 'SELECT * FROM h_one ORDER BY id', 'an ancestor of a branch');
SELECT results_eq($$SELECT * FROM datahike.at(NULL::t, 'db@' || (SELECT at FROM mark WHERE name = 'two')) ORDER BY id$$, 'SELECT * FROM h_two ORDER BY id', 'a time, in a subquery');
SELECT is_empty($$SELECT * FROM datahike.at(NULL::t, rev('empty'))$$, 'before there was a row');
SELECT is_empty($$SELECT * FROM datahike.at(NULL::t, (SELECT min(tx)::text FROM datahike.log()))$$ || 'LIMIT 0', 'nothing asked for');
SELECT results_eq($$SELECT * FROM datahike.at(NULL::t, NULL) ORDER BY id$$, 'SELECT * FROM t ORDER BY id', 'NULL: the session''s view');
SELECT results_eq(format($$SELECT * FROM datahike.at(NULL::t, NULL, %L::timestamptz) ORDER BY id$$, (SELECT at FROM mark WHERE name = 'one')), 'SELECT * FROM h_one ORDER BY id', 'as of a timestamp');
SELECT results_eq(format($$SELECT * FROM datahike.at(NULL::t, 'db', %L) ORDER BY id$$, (SELECT at FROM mark WHERE name = 'two')), 'SELECT * FROM h_two ORDER BY id', 'as of a text');
SELECT results_eq(format($$SELECT * FROM datahike.at(NULL::t, as_of => %s::bigint, revision => 'side') ORDER BY id$$, (SELECT tx FROM mark WHERE name = 'two')), 'SELECT * FROM h_two ORDER BY id', 'as of a tx, arguments by name');
SET datestyle = 'SQL, DMY';
SELECT results_eq(format($$SELECT count(*) FROM datahike.at(NULL::t, NULL, %L::timestamptz)$$, (SELECT at FROM mark WHERE name = 'one')), 'VALUES (5000::bigint)', 'as of a timestamp, whatever DateStyle');
RESET datestyle;

-- errors
SELECT throws_ok($$SELECT * FROM datahike.at(NULL::t, 'nowhere')$$, '42704', NULL, 'no such revision');
SELECT throws_ok($$SELECT * FROM datahike.at(NULL::t, 'db~1000')$$, '42704', NULL, 'no such ancestor');
SELECT throws_ok($$SELECT * FROM datahike.at(NULL::t, 'db', 'yesteryear')$$, '22P02', NULL, 'no time');
SELECT throws_ok($$SELECT * FROM datahike.at(NULL::t, 'db', 0)$$, '42704', NULL, 'before the first commit');
SELECT throws_ok($$SELECT * FROM datahike.at(NULL::h_one, 'db')$$, '42809', '"h_one" is not a datahike table', 'a heap table');
SELECT throws_ok($$SELECT * FROM datahike.at(NULL::pg_class, 'db')$$, '42809', NULL, 'a catalog');
SELECT throws_ok($$SELECT datahike.at(NULL::int, 'db')$$, '42809', NULL, 'no table');
CREATE TYPE pair AS (a int, b int);
SELECT throws_ok($$SELECT * FROM datahike.at(NULL::pair, 'db')$$, '42809', NULL, 'a composite type');
CREATE VIEW t_now AS SELECT * FROM t;
SELECT throws_ok($$SELECT * FROM datahike.at(NULL::t_now, 'db')$$, '42809', NULL, 'a view');

-- plans
SELECT results_eq($$SELECT plan_of('SELECT v FROM datahike.at(NULL::t, ''side'') WHERE id = 5', 'View|Scan|Cond|Revision')$$,
  $$VALUES ('Custom Scan (Datahike View)'), ('Revision: ''side''::text'), ('->  Index Scan using t_pkey on public.t'), ('Index Cond: (t.id = 5)')$$, 'a key is looked up by index');
SELECT results_eq($$SELECT plan_of('SELECT n + 1 FROM datahike.at(NULL::t, ''side'') x WHERE v = ''a'' LIMIT 3', 'Limit|View|Scan|Filter|Output')$$,
  $$VALUES ('Limit'), ('Output: ((x.n + 1))'), ('->  Custom Scan (Datahike View)'), ('Output: (x.n + 1)'), ('->  Seq Scan on public.t x'), ('Output: x.n'), ('Filter: (x.v = ''a''::text)')$$, 'filter, projection and limit reach the scan');
SELECT is((SELECT plan_of('SELECT max(id) FROM datahike.at(NULL::t, ''side'')', 'Index Only')), '->  Index Only Scan Backward using t_pkey on public.t', 'max() takes the index');
SELECT is((SELECT max(id) FROM datahike.at(NULL::t, 'side')), 4990, '... and is that of the view');
SELECT isnt_empty($$SELECT plan_of('SELECT * FROM t JOIN datahike.at(NULL::t, ''side'') x USING (id) WHERE t.id IN (1, 2)', 'Index Scan.* x')$$, 'a join looks up the rows it needs');
SELECT isnt_empty($$SELECT plan_of('SELECT * FROM datahike.at(NULL::t, ''side'') WHERE n = -1', 'Bitmap|Index')$$, 'another index');
SET enable_seqscan = off; SET enable_indexscan = off; SET enable_indexonlyscan = off;
SELECT isnt_empty($$SELECT plan_of('SELECT * FROM datahike.at(NULL::t, ''side'') WHERE n = 3', 'Bitmap Heap Scan')$$, 'a bitmap scan');
SELECT results_eq($$SELECT * FROM datahike.at(NULL::t, rev('one')) WHERE n = 3 OR id = 4999 ORDER BY id$$, 'SELECT * FROM h_one WHERE n = 3 OR id = 4999 ORDER BY id', '... reads its view');
RESET enable_seqscan; RESET enable_indexscan; RESET enable_indexonlyscan;
SELECT is((SELECT count(*) FROM datahike.at(NULL::t, rev('one')) x WHERE x.id BETWEEN 4985 AND 4995), 11::bigint, 'a range');
SELECT is((SELECT sum(n) FROM datahike.at(NULL::t, 'side')), (SELECT sum(n) FROM h_side), 'an aggregate');
SELECT results_eq($$SELECT n, count(*), max(v) FROM datahike.at(NULL::t, rev('two')) GROUP BY n ORDER BY n$$, 'SELECT n, count(*), max(v) FROM h_two GROUP BY n ORDER BY n', 'groups');

-- several views in one statement
SELECT results_eq($$SELECT a.id, a.v, b.v FROM datahike.at(NULL::t, 'db~2') a JOIN datahike.at(NULL::t, 'side') b USING (id) WHERE a.v <> b.v ORDER BY 1$$,
  'SELECT a.id, a.v, b.v FROM h_one a JOIN h_side b USING (id) WHERE a.v <> b.v ORDER BY 1', 'two views joined');
SELECT results_eq($$SELECT x.id FROM datahike.at(NULL::t, rev('one')) x LEFT JOIN t USING (id) WHERE t.id IS NULL ORDER BY 1$$,
  'SELECT id FROM h_one EXCEPT SELECT id FROM t ORDER BY 1', 'with the present');
SELECT results_eq($$SELECT count(*) FROM h_one h FULL JOIN datahike.at(NULL::t, rev('one')) x ON h = x WHERE h IS NULL OR x IS NULL$$, 'VALUES (0::bigint)', 'whole rows joined with a heap table');
SELECT results_eq($$SELECT id, (SELECT count(*) FROM t WHERE t.id = x.id AND t.v = x.v) FROM datahike.at(NULL::t, rev('one')) x WHERE id IN (1, 200, 4995) ORDER BY id$$,
  'VALUES (1, 0::bigint), (200, 1), (4995, 0)', 'a subquery below a view reads the present');
SELECT results_eq($$SELECT id FROM datahike.at(NULL::t, rev('one')) x WHERE id = (SELECT max(id) FROM t WHERE id < 5000)$$, 'VALUES (4990)', 'so does one that gives a key');
SELECT results_eq($$SELECT id FROM t WHERE id < 3 AND NOT EXISTS (SELECT FROM datahike.at(NULL::t, rev('one')) x WHERE x.id = t.id AND x.v = t.v)$$, 'VALUES (1), (2)', 'a view below the present');
CREATE FUNCTION now_v(int) RETURNS text LANGUAGE sql STABLE AS 'SELECT v FROM t WHERE id = $1';
CREATE FUNCTION now_commit() RETURNS uuid LANGUAGE sql AS 'SELECT datahike.commit_id()';
SELECT results_eq($$SELECT v, now_v(id) FROM datahike.at(NULL::t, rev('one')) WHERE id = 2$$, $$VALUES ('v2', 'two')$$, 'a function below a view reads the present');
SELECT results_eq($$SELECT DISTINCT datahike.commit_id() = rev('three')::uuid, datahike.current_branch() FROM datahike.at(NULL::t, rev('one'))$$, $$VALUES (true, 'db')$$, 'commit_id() is of the session');
SELECT results_eq($$SELECT count(*) FROM (SELECT * FROM datahike.at(NULL::t, 'db~2') EXCEPT SELECT * FROM datahike.at(NULL::t, 'side')) d$$,
  'SELECT count(*) FROM (SELECT * FROM h_one EXCEPT SELECT * FROM h_side) d', 'set operations');
SELECT results_eq($$WITH old AS MATERIALIZED (SELECT * FROM datahike.at(NULL::t, 'db~2')), new AS (SELECT * FROM datahike.at(NULL::t, 'db')) SELECT count(*) FROM old JOIN new USING (id, v, n)$$,
  'SELECT count(*) FROM h_one JOIN t USING (id, v, n)', 'in WITH');

-- the function itself
SELECT results_eq($$SELECT r, x.id, x.v FROM (VALUES ('db'), ('db~2')) w(r), LATERAL datahike.at(NULL::t, r) x WHERE x.id = 2 ORDER BY r$$, $$VALUES ('db', 2, 'two'), ('db~2', 2, 'v2')$$, 'the revision from another table');
SELECT results_eq($$SELECT (x).* FROM (SELECT datahike.at(NULL::t, 'side') AS x) s WHERE (x).id = 7$$, $$VALUES (7, 'two', -1)$$, 'in the SELECT list');
SELECT results_eq($$SELECT count(*), max(o) FROM datahike.at(NULL::t, 'side') WITH ORDINALITY AS x(id, v, n, o)$$, 'VALUES (4990::bigint, 4990::bigint)', 'with ordinality');
SELECT results_eq($$SELECT x.v FROM datahike.at((SELECT t FROM t LIMIT 1), 'db~2') x WHERE id = 1$$, $$VALUES ('v1')$$, 'a row instead of NULL');
SELECT throws_ok($$SELECT x.* FROM (VALUES ('nowhere')) w(r), LATERAL datahike.at(NULL::t, r) x$$, '42704', NULL, 'no such revision there');
SELECT throws_ok($$SELECT datahike.at(NULL::h_one, 'db')$$, '42809', NULL, 'a heap table there');

-- own changes, settings
BEGIN;
INSERT INTO t VALUES (-1, 'own', 0);
DELETE FROM t WHERE id = 1;
SELECT results_eq($$SELECT id, v FROM datahike.at(NULL::t, 'db') WHERE id < 2$$, $$VALUES (1, 'two')$$, 'a branch is what is committed there');
SELECT results_eq($$SELECT id, v FROM datahike.at(NULL::t, NULL) WHERE id < 2$$, $$VALUES (-1, 'own')$$, 'the session''s view has own changes');
SELECT is((SELECT count(*) FROM datahike.at(NULL::t, 'db')), 5000::bigint, 'counted');
ROLLBACK;
SET datahike.branch = 'side';
SELECT results_eq($$SELECT a.n, b.n, c.n, t.n FROM t JOIN datahike.at(NULL::t, 'db') a USING (id) JOIN datahike.at(NULL::t, 'side~1') b USING (id) JOIN datahike.at(NULL::t, NULL) c USING (id) WHERE id = 7$$, 'VALUES (7, 7, -1, -1)', 'on another branch');
SELECT results_eq(format($$SELECT count(*) FROM datahike.at(NULL::t, NULL, %s)$$, (SELECT tx FROM mark WHERE name = 'three')), 'VALUES (4990::bigint)', 'as of, on another branch');
RESET datahike.branch;
SELECT set_config('datahike.commit_id', rev('one'), false) \g /dev/null
SELECT results_eq($$SELECT a.v, b.v, t.v FROM t JOIN datahike.at(NULL::t, 'side') a USING (id) JOIN datahike.at(NULL::t, NULL) b USING (id) WHERE id = 3$$, $$VALUES ('two', 'v3', 'v3')$$, 'under datahike.commit_id');
SELECT is((SELECT count(*) FROM datahike.at(NULL::t, 'db')), 5000::bigint, 'the branch as it is');
SELECT is_empty(format($$SELECT * FROM datahike.at(NULL::t, NULL, %s)$$, (SELECT tx FROM mark WHERE name = 'empty')), 'as of, before the pin');
RESET datahike.commit_id;
PREPARE p(text) AS SELECT count(*), max(v) FILTER (WHERE id = 3) FROM datahike.at(NULL::t, $1);
SET plan_cache_mode = force_generic_plan;
SELECT results_eq(format('EXECUTE p(%L)', rev('one')), $$VALUES (5000::bigint, 'v3')$$, 'a generic plan');
SELECT results_eq($$EXECUTE p('side')$$, $$VALUES (4990::bigint, 'two')$$, '... of another revision');
SET datahike.branch = 'side';
SELECT results_eq($$EXECUTE p(NULL)$$, $$VALUES (4990::bigint, 'two')$$, '... of none');
RESET datahike.branch;
SELECT results_eq($$EXECUTE p(NULL)$$, $$VALUES (5000::bigint, 'two')$$, '... on another branch');
RESET plan_cache_mode;

-- cursors
BEGIN;
DECLARE c SCROLL CURSOR FOR SELECT id FROM datahike.at(NULL::t, 'db') WHERE id < 4 OR id > 9008 ORDER BY id;
DECLARE u SCROLL CURSOR FOR SELECT id FROM datahike.at(NULL::t, 'db');
FETCH 2 FROM c \g /dev/null
FETCH 3 FROM u \g /dev/null
INSERT INTO t VALUES (3000000, 'late', 0);
DELETE FROM t WHERE id = 3;
SET datahike.branch = 'side';
SELECT results_eq('FETCH ALL FROM c', 'VALUES (3), (9009), (9010)', 'a cursor goes on with its view');
SELECT results_eq('FETCH BACKWARD 2 FROM c', 'VALUES (9010), (9009)', 'also backward');
SELECT results_eq('FETCH BACKWARD 2 FROM u', $$SELECT id FROM (SELECT id, row_number() OVER () r FROM datahike.at(NULL::t, 'db')) x WHERE r <= 2 ORDER BY r DESC$$, 'backward in the scan');
ROLLBACK;
SELECT * FROM finish();
