-- Answers that do not fit into work_mem are kept in temporary files: with the same rows as SQL finds, in bounded memory.
SELECT plan(36);
SET jit = off;
CREATE TABLE a (id int, k int, t text, d numeric) USING datahike;
CREATE TABLE b (id int, k int) USING datahike;
CREATE TABLE plain_a (LIKE a);
CREATE TABLE plain_b (LIKE b);
INSERT INTO plain_a SELECT i, i % 1000, CASE WHEN i % 7 > 0 THEN 'text ' || i % 20000 END, CASE i % 3 WHEN 0 THEN i / 8.0 WHEN 1 THEN i END FROM generate_series(1, 30000) i;
INSERT INTO plain_b SELECT i, i % 1000 FROM generate_series(1, 5000) i;
INSERT INTO a SELECT * FROM plain_a;
INSERT INTO b SELECT * FROM plain_b;
CREATE FUNCTION is_in_file(query text) RETURNS bool LANGUAGE sql AS $$ SELECT EXISTS (SELECT FROM datahike.explain_q(query) s WHERE s ^@ 'in a temporary file') $$;
SET work_mem = '64kB';

-- Rows: those of SQL, each once.
CREATE FUNCTION differ(query text, columns text, sql text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE found bigint; wrong bigint; missing bigint;
BEGIN
  IF NOT is_in_file(query) THEN RETURN 'not in a file'; END IF;
  EXECUTE format('CREATE TEMP TABLE ours AS SELECT * FROM datahike.q(%L) AS t(%s)', query, columns);
  EXECUTE format('CREATE TEMP TABLE theirs AS %s', sql);
  EXECUTE 'SELECT count(*) FROM ours' INTO found;
  EXECUTE 'SELECT count(*) FROM (TABLE ours EXCEPT ALL TABLE theirs) x' INTO wrong;
  EXECUTE 'SELECT count(*) FROM (TABLE theirs EXCEPT ALL TABLE ours) x' INTO missing;
  DROP TABLE ours, theirs;
  RETURN format('%s rows, %s wrong, %s missing', found, wrong, missing);
END $$;
SELECT is(differ('[:find ?i ?k :where [?e :a/id ?i] [?e :a/k ?k]]', 'i int, k int', 'SELECT id, k FROM plain_a'), '30000 rows, 0 wrong, 0 missing', 'rows of a table');
SELECT is(differ('[:find ?k ?t :where [?e :a/k ?k] [?e :a/t ?t]]', 'k int, t text', 'SELECT DISTINCT k, t FROM plain_a WHERE t IS NOT NULL'), '18571 rows, 0 wrong, 0 missing', 'distinct rows, with texts');
SELECT is(differ('[:find ?d ?k ?t :where [?e :a/d ?d] [?e :a/k ?k] [?e :a/t ?t]]', 'd numeric, k int, t text', 'SELECT DISTINCT d, k, t FROM plain_a WHERE t IS NOT NULL AND d IS NOT NULL'),
  '17143 rows, 0 wrong, 0 missing', 'longs and decimals in one column');
SELECT is(differ('[:find ?i ?j :where [?e :a/id ?i] [(< ?i 3000)] [?e :a/k ?k] [?f :b/k ?k] [?f :b/id ?j]]', 'i int, j int',
  'SELECT a.id, b.id AS j FROM plain_a a JOIN plain_b b USING (k) WHERE a.id < 3000'), '14995 rows, 0 wrong, 0 missing', 'a join');
SELECT is(differ('[:find ?v ?i :where [?e :a/id ?i] [?e :a/k ?k] [(tuple ?k "x") ?v]]', 'v jsonb, i int', $$SELECT jsonb_build_array(k, 'x'), id FROM plain_a$$), '30000 rows, 0 wrong, 0 missing', 'collections');
SELECT is(differ('[:find ?i ?i ?k :where [?e :a/id ?i] [?e :a/k ?k]]', 'i int, j int, k int', 'SELECT id, id AS j, k FROM plain_a'), '30000 rows, 0 wrong, 0 missing', 'a variable twice');
SELECT is(differ('[:find [?t ...] :where [?e :a/t ?t]]', 't text', 'SELECT DISTINCT t FROM plain_a WHERE t IS NOT NULL'), '18571 rows, 0 wrong, 0 missing', 'a collection');

-- Aggregates: many groups, groups that do not fit, one group.
SELECT is(differ('[:find ?i (count ?j) (sum ?j) (min ?j) (max ?j) (avg ?j) (count-distinct ?j) (distinct ?k) :where [?e :a/id ?i] [(< ?i 9000)] [?e :a/k ?k] [?f :b/k ?k] [?f :b/id ?j]]',
  'i int, c int, s int, l int, m int, a float, d int, k jsonb', 'SELECT a.id, count(*)::int c, sum(b.id)::int s, min(b.id), max(b.id), avg(b.id)::float, count(DISTINCT b.id)::int n, jsonb_build_array(a.k)
  FROM plain_a a JOIN plain_b b USING (k) WHERE a.id < 9000 GROUP BY 1, 8'), '8999 rows, 0 wrong, 0 missing', 'many groups');
SELECT is(differ('[:find ?t (count ?i) (sum ?k) :where [?e :a/id ?i] [?e :a/t ?t] [?e :a/k ?k]]', 't text, c int, s int', 'SELECT t, count(*)::int AS c, sum(k)::int AS s
  FROM (SELECT DISTINCT id, t, k FROM plain_a) x WHERE t IS NOT NULL GROUP BY 1'), '18571 rows, 0 wrong, 0 missing', 'many texts to group by');
CREATE FUNCTION aggregated(query text, sql text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE ours jsonb; theirs jsonb;
BEGIN
  IF NOT is_in_file(query) THEN RETURN 'not in a file'; END IF;
  ours := datahike.q_json(query);
  EXECUTE sql INTO theirs;
  RETURN CASE WHEN ours = theirs THEN 'as SQL' ELSE format('%s, and in SQL %s', ours, theirs) END;
END $$;
SELECT is(aggregated('[:find (count ?i) (sum ?i) (min ?i) (max ?i) (avg ?i) (min 2 ?i) (max 2 ?i) :where [?e :a/id ?i] [?e :a/k ?k] [?e :a/t ?t]]',
  $$SELECT jsonb_build_array(jsonb_build_array(count(*), sum(id), min(id), max(id), avg(id)::float, jsonb '[1, 2]', jsonb '[29999, 30000]')) FROM plain_a WHERE t IS NOT NULL$$), 'as SQL', 'one group');
SELECT is(aggregated('[:find ?z (count ?i) (sum ?i) (max ?t) (count-distinct ?m) :with ?k :where [?e :a/id ?i] [?e :a/k ?k] [?e :a/t ?t] [(mod ?i 3) ?z] [(mod ?i 50) ?m] :order-by [?z]]',
  $$SELECT jsonb_agg(jsonb_build_array(z, c, s, m, d) ORDER BY z) FROM (SELECT id % 3 AS z, count(*) AS c, sum(id) AS s, max(t COLLATE "C") AS m, count(DISTINCT id % 50) AS d
  FROM plain_a WHERE t IS NOT NULL GROUP BY 1) x$$), 'as SQL', 'few groups, each larger than the memory');
SELECT is(aggregated('[:find (sum ?d) (count ?d) :with ?i :where [?e :a/id ?i] [?e :a/d ?d]]', 'SELECT jsonb_build_array(jsonb_build_array(sum(d), count(*))) FROM plain_a WHERE d IS NOT NULL'),
  'as SQL', 'longs and decimals together');
SELECT is(aggregated('[:find ?z (median ?i) :with ?t :where [?e :a/id ?i] [?e :a/t ?t] [(mod ?i 100) ?z] :order-by [?z]]',
  'SELECT jsonb_agg(jsonb_build_array(z, m) ORDER BY z) FROM (SELECT id % 100 AS z, percentile_cont(0.5) WITHIN GROUP (ORDER BY id) AS m FROM plain_a WHERE t IS NOT NULL GROUP BY 1) x'),
  'as SQL', 'medians of groups that fit');
SELECT is((SELECT array[round(v::numeric, 4), round(s::numeric, 4)] FROM datahike.q('[:find (variance ?i) (stddev ?i) :where [?e :a/id ?i] [?e :a/k ?k]]') AS t(v float, s float)),
  (SELECT array[round(var_pop(id), 4), round(stddev_pop(id), 4)] FROM plain_a), 'variance');
SELECT throws_ok($$SELECT datahike.q_json('[:find (median ?i) :where [?e :a/id ?i] [?e :a/k ?k] [?e :a/t ?t]]')$$, '53200', NULL, 'of one that does not: refused');
SELECT throws_ok($$SELECT datahike.q_json('[:find (sum ?t) :where [?e :a/id ?i] [?e :a/k ?k] [?e :a/t ?t]]')$$, '42804', NULL, 'an error of an aggregate');
SELECT throws_ok($$SELECT datahike.q_json('[:find (total ?i) :where [?e :a/id ?i] [?e :a/k ?k] [?e :a/t ?t]]')$$, '42883', NULL, 'no such aggregate');

-- Order, limit, offset, shapes, pull.
SELECT results_eq($$SELECT * FROM datahike.q('[:find ?i ?t ?k :where [?e :a/id ?i] [?e :a/t ?t] [?e :a/k ?k] :order-by [?k :desc ?t :asc ?i :desc]]') AS t(i int, t text, k int)$$,
  $$SELECT id, t, k FROM plain_a WHERE t IS NOT NULL ORDER BY k DESC, t COLLATE "C", id DESC$$, 'sorted runs are merged');
SELECT results_eq($$SELECT * FROM datahike.q('[:find ?i ?k :where [?e :a/id ?i] [?e :a/k ?k] :order-by [?k ?i :desc] :limit 5000 :offset 20000]') AS t(i int, k int)$$,
  $$SELECT id, k FROM plain_a ORDER BY k, id DESC LIMIT 5000 OFFSET 20000$$, 'limit and offset');
SELECT is((SELECT count(*) || ' ' || count(DISTINCT i) FROM datahike.q('[:find ?i ?k :where [?e :a/id ?i] [?e :a/k ?k] :limit 12345 :offset 17000]') AS t(i int, k int)), '12345 12345', 'of no order');
SELECT is(datahike.q_json('[:find ?i ?k :where [?e :a/id ?i] [?e :a/k ?k] :offset 30000]'), '[]', 'behind the end');
SELECT is(datahike.q_json('[:find [?i ?k] :where [?e :a/id ?i] [?e :a/k ?k] :order-by [?k :desc ?i :desc]]'), '[29999, 999]', 'a tuple');
SELECT is(datahike.q_json('[:find ?i . :where [?e :a/id ?i] [?e :a/k ?k] :order-by [?i :desc]]'), '30000', 'a scalar');
SELECT is(jsonb_array_length(datahike.q_json('[:find ?i ?k :keys i k :where [?e :a/id ?i] [?e :a/k ?k]]')), 30000, 'maps');
SELECT is((SELECT md5(string_agg(p::text, ',' ORDER BY (p->>':a/id')::int)) FROM datahike.q('[:find (pull ?e [:a/id :a/k]) :where [?e :a/id ?i]]') AS t(p jsonb)),
  (SELECT md5(string_agg(jsonb_build_object(':a/id', id, ':a/k', k)::text, ',' ORDER BY id)) FROM plain_a), 'pull, some at a time');
SELECT is((SELECT md5(string_agg(p::text, ',' ORDER BY i)) FROM datahike.q('[:find ?i (pull ?e [:a/id :a/k]) :where [?e :a/id ?i] [(< ?i 5000)]]') AS t(i int, p jsonb)),
  (SELECT md5(string_agg(jsonb_build_object(':a/id', id, ':a/k', k)::text, ',' ORDER BY id)) FROM plain_a WHERE id < 5000), 'pull, of rows that have room where what is pulled has none');

-- Facts, negation, collections of rows.
SELECT is(differ('[:find ?i ?k :where [?e :a/id ?i] [?e :a/k ?k] (not [?f :b/id ?i])]', 'i int, k int', 'SELECT id, k FROM plain_a a WHERE NOT EXISTS (SELECT FROM plain_b b WHERE b.id = a.id)'),
  '25000 rows, 0 wrong, 0 missing', 'not');
SELECT is(differ('[:find ?i ?y :where [?e :a/id ?i] [?e :a/k ?k] (or-join [?k ?y] (and [?f :b/k ?k] [?f :b/id ?y] [(< ?y 1500)]) [(+ ?k 5) ?y])]', 'i int, y int',
  'SELECT a.id, b.id AS j FROM plain_a a JOIN plain_b b ON b.k = a.k AND b.id < 1500 UNION SELECT id, k + 5 FROM plain_a'), '74970 rows, 0 wrong, 0 missing', 'or-join');

-- Cursors read it in both directions, again and in parts; joins read it with other rows.
CREATE FUNCTION scrolled() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  c SCROLL CURSOR FOR SELECT * FROM datahike.q('[:find ?i ?k :where [?e :a/id ?i] [?e :a/k ?k] :order-by [?i]]') AS t(i int, k int);
  r record; seen text := '';
BEGIN
  OPEN c;
  MOVE FORWARD 29990 FROM c;
  FETCH c INTO r; seen := seen || r.i;
  MOVE BACKWARD 15000 FROM c;
  BEGIN
    FETCH PRIOR FROM c INTO r; seen := seen || ' ' || r.i;
    RAISE division_by_zero;
  EXCEPTION WHEN division_by_zero THEN NULL;
  END;
  FETCH LAST FROM c INTO r; seen := seen || ' ' || r.i;
  FETCH FIRST FROM c INTO r; seen := seen || ' ' || r.i || ' ' || r.k;
  CLOSE c;
  RETURN seen;
END $$;
SELECT is(scrolled(), '29991 14990 30000 1 1', 'a cursor, one fetch of it in a subtransaction that is rolled back');
SELECT is((SELECT count(*) FROM plain_b b CROSS JOIN LATERAL (SELECT 1 FROM datahike.q('[:find ?i ?k :where [?e :a/id ?i] [?e :a/k ?k]]') AS t(i int, k int) WHERE t.i = b.id LIMIT 1) x WHERE b.id <= 3), 3::bigint, 'rescans');

-- Files go, whatever ends the query; they count for temp_file_limit.
CREATE FUNCTION files() RETURNS bigint LANGUAGE sql AS $$ SELECT count(*) FROM pg_ls_tmpdir() $$;
SELECT is(files(), 0::bigint, 'no files are left');
SET temp_file_limit = '100kB';
SELECT throws_ok($$SELECT count(*) FROM datahike.q('[:find ?i ?k :where [?e :a/id ?i] [?e :a/k ?k]]') AS t(i int, k int)$$, '53400', NULL, 'temp_file_limit');
RESET temp_file_limit;
SELECT is(files(), 0::bigint, 'nor after it');
SELECT throws_ok($$SELECT sum(1 / (k - 999)) FROM datahike.q('[:find ?i ?k :where [?e :a/id ?i] [?e :a/k ?k]]') AS t(i int, k int)$$, '22012', NULL, 'an error above the scan');
SELECT is(files(), 0::bigint, 'nor after an error');
CREATE FUNCTION is_cancelled() RETURNS bool LANGUAGE plpgsql AS $$
BEGIN
  LOOP
    PERFORM count(*) FROM datahike.q('[:find ?i ?k :where [?e :a/id ?i] [?e :a/k ?k] :order-by [?k]]') AS t(i int, k int);
  END LOOP;
EXCEPTION WHEN query_canceled THEN RETURN files() = 0;
END $$;
SET statement_timeout = '700ms';
SELECT ok(is_cancelled(), 'is cancelled, and leaves none');
RESET statement_timeout;

SELECT * FROM finish();
