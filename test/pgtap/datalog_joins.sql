-- Joins by [(= ?a ?b)], products that predicates bound while they are made, aggregates and functions over many rows, memory.
SELECT plan(24);
CREATE TABLE a (id int PRIMARY KEY, x bigint, s text) USING datahike;
CREATE TABLE b (id int PRIMARY KEY, y numeric, t text) USING datahike;
INSERT INTO a SELECT i, i * 3, 'k' || i % 10 FROM generate_series(1, 5000) i;
INSERT INTO b SELECT i, i * 2, 'k' || i FROM generate_series(1, 5000) i;
CREATE FUNCTION steps(query text) RETURNS text LANGUAGE sql AS $$ SELECT string_agg(s, E'\n') FROM datahike.explain_q(query) s $$;

-- A product of 25 million rows does not fit into work_mem; a join, and what a predicate leaves of it, does.
SET work_mem = '4MB';
SELECT is(datahike.q_json('[:find (count ?p) . :where [?p :a/x ?x] [?q :b/y ?y] [(= ?x ?y)]]'), '1666', 'an equality joins a bigint with a numeric');
SELECT is(datahike.q_json('[:find (count ?p) . :where [?q :b/y ?y] [(= ?y ?x)] [?p :a/x ?x]]'), '1666', 'in whatever order');
SELECT is(datahike.q_json('[:find (count ?q) . :where [?p :a/s ?s] [(= ?s ?t)] [?q :b/t ?t]]'), '9', 'a text with another');
CREATE TABLE z (i int, n numeric) USING datahike;
INSERT INTO z VALUES (0, 0.00), (5, 5.0), (7, 7.5);
SELECT is(datahike.q_json('[:find [?i ...] :where [_ :z/i ?i] [_ :z/n ?i] :order-by [?i]]'), '[0, 5]', 'zero of one kind is that of another');
SELECT is(datahike.q_json('[:find ?i ?j :where [?p :a/id ?i] [?q :b/id ?j] [(= ?i 7)] [(= ?i ?j)]]'), '[[7, 7]]', 'with a constant');
SELECT is(datahike.q_json('[:find ?i ?j :where [?p :a/id ?i] [?q :b/id ?j] [(> ?i 4998)] [(< ?j ?i)] [(> ?j 4997)] :order-by [?i ?j]]'),
  '[[4999, 4998], [5000, 4998], [5000, 4999]]', 'predicates between two unconnected patterns');
SELECT is(datahike.q_json('[:find (count ?i) . :with ?j :where [?p :a/id ?i] [?q :b/id ?j] [(+ ?i ?j) ?k] [(< ?k 10)] [(< ?i 10)] [(< ?j 10)]]'), '36', 'that a function follows');
SELECT is(datahike.q_json('[:find (count ?i) . :with ?j :where [?p :a/id ?i] [?q :b/id ?j] [(> ?i ?j 4900)]]'), '4950', 'a product is tested while it is made');
SELECT is(datahike.q_json('[:find (count ?i) . :in $ $t :where [?p :a/id ?i] [$t ?v] [(number? ?v)] [(< ?v ?i)]]', datahike.db(),
    (SELECT jsonb_agg(jsonb_build_array(CASE WHEN i % 2 = 0 THEN to_jsonb('x'::text) ELSE to_jsonb(4990 + i) END)) FROM generate_series(1, 100) i)),
  '9', 'by predicates in their order: one guards another');
SET work_mem = '1MB';
SELECT is(datahike.q_json('[:find (count ?i) . :with ?j :where [?p :a/id ?i] [(< ?i 201)] [?q :b/id ?j]]'), '1000000', 'one that nothing tests is answered by parts, in a file');
SET work_mem = '4MB';
SELECT throws_ok($$SELECT datahike.q_json('[:find ?i ?j :where [?p :a/id ?i] [?q :b/t ?j] [(< ?j ?i)]]')$$, '42804', NULL, 'values of kinds that do not go together');

-- Values count as memory: twenty thousand texts of a kilobyte do not fit.
SET work_mem = '1MB';
CREATE TABLE large (id int, s text) USING datahike;
INSERT INTO large SELECT i, repeat(md5(i::text), 32) FROM generate_series(1, 20000) i;
CREATE FUNCTION is_in_parts() RETURNS bool LANGUAGE sql AS $$ SELECT bool_or(s ^@ 'by parts') FROM datahike.explain_q('[:find (count ?s) . :where [_ :large/s ?s]]') s $$;
SELECT is(datahike.q_json('[:find (count ?s) . :where [_ :large/s ?s]]') || is_in_parts()::text, '20000true', 'values that are read: by parts');
SET work_mem = '64MB';
SELECT is(datahike.q_json('[:find (count ?s) . :where [_ :large/s ?s]]') || is_in_parts()::text, '20000false', 'fit with more work_mem');
RESET work_mem;
SELECT is(datahike.q_json('[:find ?i . :where [?e :large/id ?i] [?e :large/id 5]]'), '5', 'and are not read where they are not asked for');

-- Aggregates over longs are exact, or no longs.
CREATE TABLE n (id int, g text, v bigint) USING datahike;
INSERT INTO n VALUES (1, 'a', 9223372036854775807), (2, 'a', -1), (3, 'b', 9223372036854775807), (4, 'b', 1), (5, 'c', 2), (6, 'c', NULL), (7, 'c', 3);
SELECT is(datahike.q_json('[:find ?g (sum ?v) (min ?v) (max ?v) (count ?v) (avg ?v) :with ?e :where [?e :n/g ?g] [(not= ?g "b")] [?e :n/v ?v] :order-by [?g]]'),
  '[["a", 9223372036854775806, -1, 9223372036854775807, 2, 4611686018427387904], ["c", 5, 2, 3, 2, 2.5]]', 'aggregates of longs');
SELECT throws_ok($$SELECT datahike.q_json('[:find (sum ?v) . :with ?e :where [?e :n/g "b"] [?e :n/v ?v]]')$$, '22003', NULL, 'a sum that is no long');
INSERT INTO n VALUES (8, 'b', -1);
SELECT is(datahike.q_json('[:find (sum ?v) . :with ?e :where [?e :n/g "b"] [?e :n/v ?v]]'), '9223372036854775807', 'one that is none on the way only');
SELECT is(datahike.q_json('[:find (sum ?v) (count-distinct ?v) :with ?e :in [[?e ?v]]]', '[[1, 2], [2, 2.5], [3, 2]]'::jsonb), '[[6.5, 2]]', 'of numbers of several kinds');
SELECT is(datahike.q_json('[:find ?g (sum ?v) :with ?e :in [[?e ?g ?v]] :order-by [?g]]', '[[1, "a", 9223372036854775807], [2, "a", 1], [3, "a", -1], [4, "b", 1.5]]'::jsonb),
  '[["a", 9223372036854775807], ["b", 1.5]]', 'of longs beside a group of another kind');

-- Numbers of one worth join whatever their kinds: 0, negative ones, ones that no double holds.
CREATE TABLE worth (k int, v float8, w numeric, i bigint) USING datahike;
INSERT INTO worth VALUES (1, -0.0, 0, 0), (2, 0.5, 0.50, 2), (3, 9007199254740992, 9007199254740993, 9007199254740993), (4, -3, -3.000, -3), (5, 'NaN', 1e30, 5);
CREATE FUNCTION joined(a text, b text) RETURNS text LANGUAGE sql AS $$ SELECT datahike.q_json(format('[:find ?k ?l :where [?e :worth/k ?k] [?e :worth/%s ?v] [?f :worth/k ?l] [?f :worth/%s ?v] :order-by [?k ?l]]', a, b)) $$;
CREATE FUNCTION compared(a text, b text) RETURNS text LANGUAGE sql AS $$ SELECT datahike.q_json(format('[:find ?k ?l :where [?e :worth/k ?k] [?e :worth/%s ?v] [?f :worth/k ?l] [?f :worth/%s ?w] [(<= ?v ?w)] [(>= ?v ?w)] :order-by [?k ?l]]', a, b)) $$;
SELECT is(joined(a, b), compared(a, b), format('%s joined with %s', a, b)) FROM (VALUES ('v', 'w'), ('w', 'v'), ('w', 'i'), ('i', 'w')) x(a, b);
SELECT is(joined('w', 'i'), '[[1, 1], [3, 3], [4, 4]]', 'which are these');
SELECT * FROM finish();
