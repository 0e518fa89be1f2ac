-- Queries whose joins do not fit into work_mem are answered by parts: with the same answers as with more of it.
SELECT plan(22);
SET jit = off;
CREATE TABLE a (id int, k int, g text, b bigint) USING datahike;
CREATE TABLE b (id int, k numeric, m int, t text) USING datahike;
INSERT INTO a SELECT i, i % 5000, 'g' || i % 4, CASE WHEN i % 3 = 0 THEN i END FROM generate_series(1, 40000) i;
INSERT INTO b SELECT i, i % 5000, i % 5000 % 7, 'k' || i % 5000 FROM generate_series(1, 10000) i;
SELECT FROM datahike.transact('[{:db/ident :f/k :db/valueType :db.type/long} {:db/ident :f/tag :db/valueType :db.type/keyword :db/cardinality :db.cardinality/many}]');
DO $$ BEGIN PERFORM datahike.transact('[' || (SELECT string_agg(format('{:f/k %s :f/tag [:odd%s :t%s]}', i, i % 2, i % 3), ' ') FROM generate_series(1, 1500) i) || ']'); END $$;

-- Each query with 64 kB and with 256 MB: what it finds, and whether it was in parts.
CREATE FUNCTION either(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  small jsonb; large jsonb;
  call text := format('SELECT datahike.q_json(%L)', query);
BEGIN
  PERFORM set_config('work_mem', '256MB', true);
  EXECUTE call INTO large;
  IF EXISTS (SELECT FROM datahike.explain_q(query) s WHERE s ^@ 'by parts') THEN RETURN 'in parts with 256 MB'; END IF;
  PERFORM set_config('work_mem', '64kB', true);
  EXECUTE call INTO small;
  IF NOT EXISTS (SELECT FROM datahike.explain_q(query) s WHERE s ^@ 'by parts') THEN RETURN 'not in parts'; END IF;
  IF small <> large THEN RETURN format('%s with 64 kB, %s with 256 MB', small, large); END IF;
  RETURN small::text;
END $$;

SELECT is(either('[:find (count ?m) . :where [?p :a/k ?k] [?p :a/g ?g] [?q :b/k ?k] [?q :b/m ?m]]'), '7', 'a join of ints with numerics');
SELECT is(either('[:find ?g (max ?m) (min ?m) :where [?p :a/k ?k] [?p :a/g ?g] [?q :b/k ?k] [?q :b/m ?m] :order-by [?g]]'),
  '[["g0", 6, 0], ["g1", 6, 0], ["g2", 6, 0], ["g3", 6, 0]]', 'aggregates by group');
SELECT is(either('[:find ?g (sum ?m) :with ?k :where [?p :a/k ?k] [?p :a/g ?g] [?p :a/id ?i] [(quot ?k 200) ?z] [(= ?z 0)] [?q :b/k ?k] [?q :b/m ?m] :order-by [?g]]'),
  '[["g0", 147], ["g1", 148], ["g2", 149], ["g3", 150]]', 'with');
SELECT is(either('[:find [?g ...] :where [?p :a/k ?k] [?p :a/g ?g] [?q :b/k ?k] [?q :b/t ?t] [(= ?t "k17")] [?p :a/id ?i] [?x :a/id ?i] [?x :a/k ?l] [(= ?l ?k)] :order-by [?g]]'), '["g1"]', 'an equality');
SELECT is(either('[:find (count ?m) . :where [?p :a/id ?i] [?q :b/id ?j] [?q :b/m ?m] [(< ?i ?j)] [(< ?j 30)]]'), '7', 'a product that a predicate tests');
SELECT is(either('[:find (count ?g) . :where [?p :a/g ?g] [?q :b/id ?j] [?r :b/k ?k]]'), '4', 'products that nothing tests');
SELECT is(either('[:find [?m ...] :where [?q :b/m ?m] [?q :b/k ?k] [?p :a/k ?k] [?p :a/id ?i] (not [?p :a/b ?i]) (not [?x :a/id ?i] [?x :a/g "g1"]) :order-by [?m]]'), '[0, 1, 2, 3, 4, 5, 6]', 'not');
SELECT is(either('[:find (count ?k) . :where [?p :a/k ?k] [?p :a/id ?i] (not-join [?k] [?x :b/k ?k] [?x :b/m ?m] [(< ?m 6)])]'), '714', 'not-join, whose other variables are its own');
SELECT is(either('[:find (count ?m) . :where [?q :b/m ?m] [?q :b/k ?k] [?p :a/k ?k] [?p :a/id ?i] (or-join [?i ?k] (and [?x :a/b ?i] [?x :a/k ?k]) (and [?y :b/id ?i] [?y :b/k ?k]))]'), '7', 'or-join');
SELECT is(either('[:find ?t ?m :where [?q :b/t ?t] [?q :b/m ?m] [?p :a/k ?k] [?p :a/id ?i] [?q :b/k ?k] [(starts-with? ?t "k123")] [(str ?t "x") ?u] [(= ?u "k1234x")]]'), '[["k1234", 2]]', 'functions and texts');
SELECT is(either('[:find [?tag ...] :where [?e :f/k ?k] [?e :f/tag ?tag] [?p :a/k ?k] [?p :a/id ?i] [?p :a/g ?g] :order-by [?tag]]'), '[":odd0", ":odd1", ":t0", ":t1", ":t2"]', 'facts joined with rows');
SELECT is(either('[:find (count ?a) . :where [?e :f/k ?k] [?e ?a ?v] [?p :a/k ?k] [?p :a/id ?i]]'), '2', 'all attributes of entities');
SELECT is(either('[:find ?g (count ?m) (avg ?m) (median ?m) (distinct ?m) :where [?p :a/k ?k] [?p :a/g ?g] [(not= ?g "g1")] [?q :b/k ?k] [?q :b/m ?m] [?p :a/id ?i] [?q :b/id ?j] :order-by [?g :desc] :limit 2 :offset 1]'),
  '[["g2", 7, 3, 3, [0, 1, 2, 3, 4, 5, 6]], ["g0", 7, 3, 3, [0, 1, 2, 3, 4, 5, 6]]]', 'any aggregate, order, limit and offset');

-- Databases and collections as sources, inputs, pull.
SELECT datahike.commit_id() AS before \gset
UPDATE b SET m = m + 10 WHERE id <= 5000;
SET work_mem = '64kB';
SELECT is(datahike.q_json('[:find [?m ...] :in $ $then :where [$ ?q :b/m ?m] [$then ?q :b/m ?n] [(not= ?m ?n)] [$then ?q :b/k ?k] [$ ?p :a/k ?k] [$ ?p :a/id ?i] :order-by [?m]]',
  datahike.db(), datahike.db(:'before')), '[10, 11, 12, 13, 14, 15, 16]', 'two times');
SELECT is(datahike.q_json('[:find (count ?n) . :in $ $t [?g ...] :where [$t ?k ?n] [?p :a/k ?k] [?p :a/g ?g] [?p :a/id ?i] [?q :b/k ?k]]', datahike.db(),
  (SELECT jsonb_agg(jsonb_build_array(i, i % 10)) FROM generate_series(1, 3000) i), '["g1", "g3"]'::jsonb), '5', 'a collection and a bound input');
SELECT is(datahike.q_json('[:find (pull ?q [:b/m]) :where [?q :b/id 7] [?q :b/k ?k] [?p :a/k ?l] [?p :a/id ?i] [?x :b/id ?j]]'), '[[{":b/m": 10}]]', 'pull');
SELECT is((SELECT count(*) FROM datahike.q('[:find ?g ?m :where [?p :a/k ?k] [?p :a/g ?g] [?q :b/k ?k] [?q :b/m ?m]]') AS t(g text, m int)), 56::bigint, 'rows');

-- What it ends with.
SELECT throws_ok($$SELECT datahike.q_json('[:find (count ?i) . :with ?j :where [?p :a/id ?i] [?q :b/id ?j]]')$$, '53200', NULL, 'what would take too many parts');
SELECT throws_ok($$SELECT datahike.q_json('[:find ?m :where [?p :a/k ?k] [?p :a/g ?g] [?q :b/k ?k] [?q :b/m ?m] [(< ?g ?m)]]')$$, '42804', NULL, 'an error within a part');
CREATE FUNCTION is_cancelled() RETURNS bool LANGUAGE plpgsql AS $$
BEGIN
  LOOP
    PERFORM datahike.q_json('[:find ?g ?m :where [?p :a/k ?k] [?p :a/g ?g] [?q :b/k ?k] [?q :b/m ?m]]');
  END LOOP;
EXCEPTION WHEN query_canceled THEN RETURN true;
END $$;
SET statement_timeout = '700ms';
SELECT ok(is_cancelled(), 'is cancelled');
RESET statement_timeout;
SELECT is(datahike.q_json('[:find (count ?g) . :where [?p :a/g ?g]]'), '4', 'the session goes on');
-- Rules go on after a step that has not fitted: what they keep of a pattern is whole, or not kept.
CREATE TABLE chained (id int, g int, parent int) USING datahike;
INSERT INTO chained SELECT i, i % 7, CASE WHEN i % 12 <> 1 THEN i - 1 END FROM generate_series(1, 12000) i;
CREATE FUNCTION counted(kilobytes int) RETURNS text LANGUAGE plpgsql AS $$
DECLARE found text;
BEGIN
  PERFORM set_config('work_mem', kilobytes || 'kB', true);
  SELECT count(*) || ' ' || sum(x * c) INTO found FROM datahike.q('[:find ?x (count ?y) :in $ % :where [?e :chained/g 3] [?e :chained/id ?x] (above ?x ?y)]',
    '[[(above ?x ?y) [?e :chained/id ?x] [?e :chained/parent ?y]] [(above ?x ?y) (above ?x ?z) [?e :chained/id ?z] [?e :chained/parent ?y]]]') AS q(x int8, c int8);
  RETURN found;
EXCEPTION WHEN out_of_memory THEN
  RETURN 'too large';
END $$;
SELECT is((SELECT string_agg(DISTINCT counted(k), ', ') FILTER (WHERE counted(k) <> 'too large') FROM unnest(ARRAY[64, 70, 80, 90, 130, 250, 1000]) k),
  (SELECT count(*) || ' ' || sum(id * ((id - 1) % 12)) FROM generate_series(1, 12000) id WHERE id % 7 = 3 AND id % 12 <> 1), 'rules within little memory');

SELECT * FROM finish();
