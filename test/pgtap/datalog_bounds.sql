-- What a query may not do is refused by name: unbound variables, sources that are none, nesting and sizes without bound.
SELECT plan(13);
SET jit = off;

SELECT throws_ok($$SELECT datahike.q_json('[:find ?x ?y :in $d :where [$d ?x _] (not [$d ?y ?x])]', '[[1,2]]'::jsonb)$$, '42P10', NULL, 'a variable that only not names');
SELECT throws_ok($$SELECT datahike.q_json('[:find ?x ?y :in $ % :where (r ?x ?y)]', '[[1,2]]'::jsonb, '[[(r ?x ?y) [?x _] (not [?y ?x])]]')$$, '42P10', NULL, 'in a rule');
SELECT is(datahike.q_json('[:find ?x ?y :in $ % ?y :where (r ?x ?y)]', '[[1,2]]'::jsonb, '[[(r ?x ?y) [?x _] (not [?y ?x])]]', 1), '[[1, 1]]', 'unless the call binds it');
SELECT throws_ok($$SELECT datahike.q_json('[:find ?x ?y :in $ :where (or-join [?x ?y] (and [?x _] (not [?y ?x])) [?x ?y])]', '[[1,2]]'::jsonb)$$, '42P10', NULL, 'in a branch of or-join');
SELECT throws_ok($$SELECT datahike.q_json('[:find ?x :in $d :where [$d ?x]]', 5)$$, '42804', NULL, 'a number is no source');
SELECT throws_ok($$SELECT datahike.q_json('[:find ?x :in $d :where [$d ?x]]', NULL::jsonb)$$, '42804', NULL, 'nor is NULL');
SELECT throws_ok($$SELECT datahike.q_json('[:find ?x :in $ :where [?x]]', NULL::datahike.db)$$, '22004', NULL, 'nor a database that is NULL');
SELECT throws_ok($$SELECT datahike.q_json('[:find ?x :in $ $s % :where (r ?x)]', '[[1]]'::jsonb, '[[1]]'::jsonb, '[[(r ?x) ($s or (r ?x) (r ?x))]]')$$, '54001', NULL, 'a disjunction of another source in a recursion');
CREATE FUNCTION chain(length int, call text) RETURNS text LANGUAGE sql AS $$
  SELECT '[[(r0 ?x) [?x]] ' || string_agg(format('[(r%s ?x) [?x] ' || call || ']', i, i - 1), ' ') || ']' FROM generate_series(1, length) i $$;
SELECT is(datahike.q_json('[:find ?x :in $ % :where (r100 ?x)]', '[[1]]'::jsonb, chain(100, '(r%s ?x)')), '[[1]]', 'a chain of rules');
SELECT throws_ok($$SELECT datahike.q_json('[:find ?x :in $ % :where (r5000 ?x)]', '[[1]]'::jsonb, chain(5000, '(r%s ?x)'))$$, '54001', NULL, 'too long a chain of rules');
SELECT is(datahike.q_json('[:find ?x :in $ % :where (r100 ?x)]', '[[1]]'::jsonb, chain(100, '(not (r%s ?x))')), '[[1]]', 'of negations');
SELECT throws_ok($$SELECT datahike.q_json('[:find ?x :in $ % :where (r2000 ?x)]', '[[1]]'::jsonb, chain(2000, '(not (r%s ?x))'))$$, '54001', NULL, 'too long a chain of negations');
SELECT is(datahike.q_json('[:find ?x :in $ $s % :where (a ?x)]', '[[1, 1], [2, 2]]'::jsonb, '[[2, 0], [3, 0]]'::jsonb, '[[(a ?x) [?x _] ($s b ?x)] [(b ?x) [?x _]]]'), '[[2]]', 'a rule''s call of another source within a rule');
SELECT * FROM finish();
