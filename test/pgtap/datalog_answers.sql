-- datalog.q in FROM: a scan of its own, which has to be as a function scan is.
SELECT plan(41);
SET jit = off;
CREATE TABLE n (id int PRIMARY KEY, name text, other bigint, half float8, part numeric) USING datahike;
INSERT INTO n SELECT i, 'name ' || i % 7, i * 10000000000, i / 2.0, (i / 4.0)::numeric(10, 2) FROM generate_series(1, 2500) i;
CREATE VIEW answers AS SELECT * FROM datahike.q('[:find ?i ?n ?o ?h :where [?e :n/id ?i] [?e :n/name ?n] [?e :n/other ?o] [?e :n/half ?h] :order-by [?i]]') AS t(i int, n text, o bigint, h float8);
CREATE FUNCTION plan_of(text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE line text; all_of text := '';
BEGIN FOR line IN EXECUTE 'EXPLAIN (VERBOSE, COSTS OFF) ' || $1 LOOP all_of := all_of || line || E'\n'; END LOOP; RETURN all_of; END $$;
CREATE FUNCTION numbers(text, int) RETURNS text LANGUAGE plpgsql AS $$
DECLARE c refcursor; r int; found text := '';
BEGIN
  OPEN c SCROLL FOR SELECT i FROM answers WHERE i % $2 = 0;
  FOR step IN 1..length($1) LOOP
    CASE substr($1, step, 1)
      WHEN '+' THEN FETCH NEXT FROM c INTO r;
      WHEN '-' THEN FETCH PRIOR FROM c INTO r;
      WHEN '>' THEN FETCH LAST FROM c INTO r;
      WHEN '<' THEN FETCH FIRST FROM c INTO r;
      WHEN '.' THEN FETCH RELATIVE 0 FROM c INTO r;
      WHEN 'x' THEN MOVE FORWARD ALL FROM c;
    END CASE;
    IF substr($1, step, 1) <> 'x' THEN found := found || coalesce(r::text, '!') || ' '; END IF;
  END LOOP;
  CLOSE c;
  RETURN rtrim(found);
END $$;
SELECT matches(plan_of('SELECT i + 1 FROM answers WHERE n = ''name 3'''), 'Custom Scan \(Datahike Query\).*Output: \(t.i \+ 1\).*Filter: .*Function Call: datahike.q', 'the plan');
SELECT is((SELECT count(*) FROM answers), 2500::bigint, 'all rows');
SELECT is((SELECT sum(hashtext(row(i, n, o, h)::text)) FROM answers), (SELECT sum(hashtext(row(id, name, other, half)::text)) FROM n), 'of all types as the table has them');
SELECT is((SELECT array_agg(i ORDER BY i) FROM answers WHERE n = 'name 3' AND i < 30), '{3,10,17,24}', 'conditions');
SELECT is((SELECT array_agg(i) FROM (SELECT i FROM answers OFFSET 998 LIMIT 4) x), '{999,1000,1001,1002}', 'in the answer''s order');
SELECT is((SELECT count(*) FROM answers a JOIN answers b USING (i) WHERE a.n <> b.n), 0::bigint, 'two at once');
SELECT is((SELECT count(*) FROM datahike.q('[:find ?i :where [?e :n/id ?i] [(< ?i 0)]]') t(i int)), 0::bigint, 'none');
SELECT is((SELECT t FROM datahike.q('[:find ?i ?j :in $ ?i ?j]', 1, 'a') t(i int, j text)), row(1, 'a'::text), 'a row as a whole');
SELECT is((SELECT count(t.*) FROM datahike.q('[:find ?i ?j :in $ ?i ?j]', 1, 'a') t(i int, j text) WHERE t IS NOT NULL), 1::bigint, 'in a condition, too');
SELECT is((SELECT array_agg(row(g, a, b)::text ORDER BY g) FROM generate_series(1, 3) g, LATERAL datahike.q('[:find ?i ?j :in $ ?i :where [(+ ?i 1) ?j]]', g) t(a int, b numeric)), '{"(1,1,2)","(2,2,3)","(3,3,4)"}', 'arguments of another table');
SELECT is((SELECT array_agg((SELECT x FROM datahike.q('[:find ?i :in $ ?i]', g) t(x int))) FROM generate_series(1, 3) g), '{1,2,3}', 'of a query around it');
SELECT is((SELECT count(*) FROM generate_series(1, 40) g WHERE EXISTS (SELECT FROM answers WHERE i = g * 100)), 25::bigint, 'a condition on one around it');
CREATE FUNCTION calls() RETURNS bigint LANGUAGE sql AS $$ SELECT calls FROM pg_stat_xact_user_functions WHERE funcname = 'q' $$;
SET track_functions = 'all';
BEGIN;
SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off; SET LOCAL enable_material = off; SET LOCAL enable_memoize = off; SET LOCAL enable_hashagg = off; SET LOCAL enable_sort = off;
SELECT is((SELECT count(*) FROM generate_series(1, 40) g, answers WHERE i = g * 100), 25::bigint, 'scanned again and again');
SELECT is((SELECT count(*) FROM generate_series(1, 40) g WHERE (SELECT count(*) FROM answers WHERE i = g * 100) = 1), 25::bigint, 'by subqueries');
SELECT is(calls(), 2::bigint, 'each of them evaluated once');
COMMIT;
RESET track_functions;

-- cursors
SELECT is(numbers('+++--.-+', 1), '1 2 3 2 1 1 ! 1', 'back and forth');
SELECT is(numbers('>+-<>-', 1), '2500 ! 2500 1 2500 2499', 'the ends');
SELECT is(numbers('++-+x--', 999), '999 1998 999 1998 1998 999', 'with a condition');
BEGIN;
DECLARE c CURSOR FOR SELECT i FROM answers;
SELECT is((SELECT count(*) FROM answers), 2500::bigint, 'beside a cursor that has not begun');
FETCH 2 FROM c \g /dev/null
INSERT INTO n VALUES (0, 'later', 0, 0, 0);
SAVEPOINT s;
SELECT throws_ok($$SELECT * FROM datahike.q('[:find ?n :where [_ :n/name ?n]]') t(i int)$$, '22P02', NULL, 'an error beside it');
ROLLBACK TO s;
FETCH 1 FROM c \gset next_
SELECT is(:next_i, 3, 'a cursor goes on with the answer that it had');
CLOSE c;
ROLLBACK;
BEGIN;
DECLARE held CURSOR WITH HOLD FOR SELECT i FROM answers WHERE i > 2400;
COMMIT;
FETCH 1 FROM held \gset held_
SELECT is(:held_i, 2401, 'WITH HOLD');
CLOSE held;
PREPARE p(int) AS SELECT count(*) FROM datahike.q('[:find ?i :in $ ?most :where [?e :n/id ?i] [(<= ?i ?most)]]', $1) t(i int);
EXECUTE p(5) \gset five_
EXECUTE p(7) \gset seven_
SET plan_cache_mode = force_generic_plan;
EXECUTE p(6) \gset six_
RESET plan_cache_mode;
SELECT is(array[:five_count, :six_count, :seven_count], '{5,6,7}', 'prepared');

-- types
SELECT throws_ok($$SELECT * FROM datahike.q('[:find ?o :where [_ :n/other ?o]]') t(o int)$$, '22003', NULL, 'what does not fit');
SELECT throws_ok($$SELECT * FROM datahike.q('[:find ?o ?i :where [?e :n/other ?o] [?e :n/id ?i]]') t(o int)$$, '42804', NULL, 'another number of columns');
SELECT is((SELECT array_agg(p::text ORDER BY p) FROM datahike.q('[:find ?p :where [?e :n/part ?p] [?e :n/id ?i] [(< ?i 4)]]') t(p numeric)), '{0.25,0.50,0.75}', 'numerics');
SELECT is((SELECT array_agg(p::text ORDER BY p) FROM datahike.q('[:find ?i :where [?e :n/id ?i] [(< ?i 3)]]') t(p numeric(5,2))), '{1.00,2.00}', 'with a scale');
SELECT throws_ok($$SELECT * FROM datahike.q('[:find ?n :where [?e :n/name ?n]]') t(n varchar(3))$$, '22001', NULL, 'text that is too long');
SELECT is((SELECT array_agg(v::text ORDER BY v::text) FROM datahike.q('[:find ?x ?v :in $ [[?x ?v]]]', '[[1, "a"], [2, null], [3, 1.5], [4, true]]'::jsonb) t(x int, v text)), '{1.5,a,true}', 'text of all kinds');
SELECT is((SELECT count(*) FROM datahike.q('[:find ?v ?w :in $ [[?v ?w]]]', '[[1, 2], [3, 4]]'::jsonb) t(v smallint, w real) WHERE v < w), 2::bigint, 'other types of numbers');

-- locks, changes, privileges
CREATE TABLE heap_n (id int PRIMARY KEY, hits int DEFAULT 0) USING heap;
INSERT INTO heap_n SELECT generate_series(1, 10);
SELECT is((SELECT count(*) FROM (SELECT id FROM heap_n JOIN answers ON i = id FOR UPDATE OF heap_n) x), 10::bigint, 'beside rows that are locked');
SELECT unalike(plan_of('SELECT id FROM heap_n JOIN answers ON i = id FOR UPDATE OF heap_n'), '%Datahike Query%', 'by PostgreSQL''s own scan');
UPDATE heap_n SET hits = i FROM answers WHERE i = id;
SELECT is((SELECT sum(hits) FROM heap_n), 55::bigint, 'UPDATE');
INSERT INTO heap_n SELECT i FROM answers WHERE i BETWEEN 11 AND 20;
SELECT is((SELECT count(*) FROM heap_n), 20::bigint, 'INSERT');
CREATE ROLE reader;
GRANT SELECT ON n TO reader;
SET ROLE reader;
SELECT is((SELECT count(*) FROM datahike.q('[:find ?i :where [?e :n/id ?i]]') t(i int)), 2500::bigint, 'another role');
RESET ROLE;
REVOKE EXECUTE ON FUNCTION datahike.q(text, "any") FROM PUBLIC;
SET ROLE reader;
SELECT throws_ok($$SELECT * FROM datahike.q('[:find ?i :in $ ?i]', 1) t(i int)$$, '42501', NULL, 'who may not execute it');
RESET ROLE;
GRANT EXECUTE ON FUNCTION datahike.q(text, "any") TO PUBLIC;
ALTER FUNCTION datahike.q(text) SECURITY DEFINER;
SELECT unalike(plan_of($$SELECT * FROM datahike.q('[:find ?i :where [?e :n/id ?i]]') t(i int)$$), '%Datahike Query%', 'with other rights it is a function scan');
SELECT unalike(plan_of('SELECT * FROM answers'), '%Datahike Query%', 'in views that there were, too');
ALTER FUNCTION datahike.q(text) SECURITY INVOKER;
ALTER FUNCTION datahike.q(text) STRICT;
SELECT is((SELECT count(*) FROM datahike.q(NULL) t(i int)), 0::bigint, 'where it is not to be called, it is not');
ALTER FUNCTION datahike.q(text) CALLED ON NULL INPUT;
DROP OWNED BY reader; DROP ROLE reader;

-- what another query holds in memory does not count
BEGIN;
SET LOCAL work_mem = '2MB';
INSERT INTO n SELECT i, repeat('long ', 20) || i, i, i, i FROM generate_series(3001, 9000) i;
CREATE VIEW texts AS SELECT * FROM datahike.q('[:find ?i ?n :where [?e :n/id ?i] [?e :n/name ?n]]') AS t(i int, n text);
DECLARE a CURSOR FOR SELECT * FROM texts; FETCH 1 FROM a \g /dev/null
DECLARE b CURSOR FOR SELECT * FROM texts; FETCH 1 FROM b \g /dev/null
DECLARE d CURSOR FOR SELECT * FROM texts; FETCH 1 FROM d \g /dev/null
DECLARE f CURSOR FOR SELECT * FROM texts; FETCH 1 FROM f \g /dev/null
SELECT is((SELECT count(*) FROM texts), 8500::bigint, 'beside open cursors');
ROLLBACK;
SELECT is((SELECT count(*) FROM answers), 2500::bigint, 'and when they are gone');
SELECT * FROM finish();
